"""Reading a database with nothing of ours in between: what a check of this program may rely on."""

import json
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any


def rows(database: Path | str, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """The answer to a question, as SQLite keeps it: times are text, money is a number.

    Args:
        database: a file of SQLite, or the URL of a PostgreSQL database; it is only read.
        sql: the question.
        values: for its question marks.
    """
    if isinstance(database, str):
        return _rows_of_postgresql(database, sql, values)
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(sql, values).fetchall()


def _rows_of_postgresql(url: str, sql: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
    import psycopg  # noqa: PLC0415

    with psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://", 1)) as connection:
        connection.read_only = True
        found = connection.execute(sql.replace("?", "%s").encode(), values)
        return [tuple(_plain(cell) for cell in row) for row in found.fetchall()]


def _plain(cell: Any) -> Any:
    match cell:
        case datetime() | date():
            return str(cell)
        case Decimal():
            return int(cell) if cell == int(cell) else float(cell)
        case dict() | list():
            return json.dumps(cell)
        case _:
            return cell
