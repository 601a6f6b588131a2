"""The ways in which `benchmarks.load` brings one file into a database: ours, others', and floors below which nothing goes."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from benchmarks.measure import Finished
from benchmarks.runners import PEERS, Job, bare_copy, drained, dropped, pgloader, program, psql_copy, script

Kind = Literal["ours", "peer", "floor"]
Database = Literal["sqlite", "postgresql", ""]
APT = {"sqlite3": "sqlite3", "psql": "postgresql-client", "pgloader": "pgloader"}
"""The packages of programs that come from the system."""


@dataclass(frozen=True)
class Way:
    """A way to load a file.

    Attributes:
        key: its name on the command line.
        label: its name in the table.
        kind: whose it is.
        database: what it writes to; "" is nothing.
        checks: what it checks of each row.
        run: does it.
        program: what must be there, on PATH or in the peers' environment.
        most: it is so slow that it gets no more rows than this; None: all.
        table: where the rows are afterwards.
    """

    key: str
    label: str
    kind: Kind
    database: Database
    checks: str
    run: Callable[[Job], Finished]
    program: str
    most: int | None = None
    table: str = "sales"

    def missing(self) -> str | None:
        """How to get what it needs, if that is not there."""
        if self.kind == "ours":
            return None
        if self.program in APT:
            return None if shutil.which(self.program) else f"apt-get install {APT[self.program]}"
        return None if (PEERS / self.program).exists() else "make bench-tools"


WAYS = (
    Way(
        "arrow-parse",
        "floor: pyarrow parses, nothing else",
        "floor",
        "",
        "",
        script("arrow_parse"),
        "python",
    ),
    Way(
        "adbc-sqlite",
        "floor: ADBC, from memory",
        "floor",
        "sqlite",
        "",
        script("adbc_sqlite", "{database}"),
        "python",
    ),
    Way(
        "import",
        "sqlite3 .import --csv",
        "peer",
        "sqlite",
        "",
        program("sqlite3", "{database}", "PRAGMA journal_mode=WAL", '.import --csv "{source}" sales'),
        "sqlite3",
    ),
    Way(
        "pandas",
        "pandas to_sql, sqlite3",
        "peer",
        "sqlite",
        "types",
        script("pandas_sqlite", "{database}"),
        "python",
    ),
    Way(
        "pandas-sqlalchemy",
        "pandas to_sql, SQLAlchemy",
        "peer",
        "sqlite",
        "types",
        script("pandas_sqlite", "sqlite:///{database}"),
        "python",
    ),
    Way(
        "pandera",
        "pandera, then pandas to_sql",
        "peer",
        "sqlite",
        "rules",
        script("pandera_sqlite", "{database}"),
        "python",
    ),
    Way(
        "csvs-to-sqlite",
        "csvs-to-sqlite",
        "peer",
        "sqlite",
        "types",
        program("csvs-to-sqlite", "{source}", "{database}", "-t", "sales"),
        "csvs-to-sqlite",
    ),
    Way(
        "sqlite-utils",
        "sqlite-utils insert --csv",
        "peer",
        "sqlite",
        "types",
        program("sqlite-utils", "insert", "{database}", "sales", "{source}", "--csv"),
        "sqlite-utils",
        most=100_000,
    ),
    Way(
        "dlt",
        "dlt",
        "peer",
        "sqlite",
        "types",
        script("dlt_load", "{database}", "{folder}"),
        "dlt",
        most=100_000,
    ),
    Way(
        "iterrows",
        "iterrows, session.add of an ORM",
        "peer",
        "sqlite",
        "types",
        script("iterrows_orm", "{database}"),
        "python",
        most=10_000,
    ),
    Way(
        "drain",
        "stockgrip drain, start and end in it",
        "ours",
        "sqlite",
        "rules",
        drained,
        "python",
        table="live_sales_data",
    ),
    Way(
        "run",
        "stockgrip run, to the commit",
        "ours",
        "sqlite",
        "rules",
        dropped,
        "python",
        table="live_sales_data",
    ),
    Way(
        "bare-copy", "floor: COPY, the server's own file, text", "floor", "postgresql", "", bare_copy, "psql"
    ),
    Way("copy", "psql \\copy", "peer", "postgresql", "types", psql_copy, "psql"),
    Way("pgloader", "pgloader", "peer", "postgresql", "types", pgloader, "pgloader"),
    Way(
        "pandas-postgresql",
        "pandas to_sql, psycopg",
        "peer",
        "postgresql",
        "types",
        script("pandas_sqlite", "{url}"),
        "python",
        most=100_000,
    ),
    Way(
        "drain-postgresql",
        "stockgrip drain, start and end in it",
        "ours",
        "postgresql",
        "rules",
        drained,
        "python",
        table="live_sales_data",
    ),
    Way(
        "run-postgresql",
        "stockgrip run, to the commit",
        "ours",
        "postgresql",
        "rules",
        dropped,
        "python",
        table="live_sales_data",
    ),
)
MEASURE = {"sqlite": "import", "postgresql": "copy"}
"""What the others are compared with."""


def versions() -> Mapping[str, str]:
    """Of the programs and packages that are there."""
    found = {}
    for name in filter(shutil.which, APT):
        said = subprocess.run([name, "--version"], capture_output=True, text=True, check=False).stdout
        number = re.search(r"\d+\.[\d.]+", said)
        found[name] = number[0] if number else said.strip()
    names = [
        "pandas",
        "pandera",
        "csvs-to-sqlite",
        "sqlite-utils",
        "dlt",
        "sqlalchemy",
        "pyarrow",
        "adbc-driver-sqlite",
        "psycopg",
    ]
    code = f"import importlib.metadata as m, json; print(json.dumps({{n: m.version(n) for n in {names}}}))"
    if (PEERS / "python").exists():
        found |= json.loads(
            subprocess.run([PEERS / "python", "-c", code], capture_output=True, check=True).stdout
        )
    found["stockgrip's python"] = ".".join(map(str, sys.version_info[:3]))
    return found
