"""Reading a SQLite database with nothing of ours in between: what a check of this program may rely on."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any


def rows(database: Path, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
    """The answer to a question, as SQLite keeps it: times are text, money is a float.

    Args:
        database: the file; it is only read.
        sql: the question.
        values: for its question marks.
    """
    with closing(sqlite3.connect(f"{database.resolve().as_uri()}?mode=ro", uri=True)) as connection:
        return connection.execute(sql, values).fetchall()
