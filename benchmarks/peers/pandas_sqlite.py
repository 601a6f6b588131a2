"""A short script with pandas: read the file, `to_sql` it, check nothing.

    python -m benchmarks.peers.pandas_sqlite CSV DATABASE

In chunks, so that a large file fits into memory. A path is written straight over `sqlite3`, which is the fastest way; a URL
(sqlite:///… or postgresql+psycopg://…) through SQLAlchemy.
"""

import sqlite3
import sys

import pandas as pd

from benchmarks.peers.timing import work


def main() -> None:
    """Load the file named on the command line."""
    source, target = sys.argv[1:]
    if ":" in target:
        from sqlalchemy import create_engine, event  # noqa: PLC0415

        engine = create_engine(target)
        if target.startswith("sqlite"):
            event.listen(engine, "connect", lambda raw, _: raw.execute("PRAGMA journal_mode=WAL"))
        with work(), engine.begin() as connection:
            for chunk in pd.read_csv(source, chunksize=100_000):
                chunk.to_sql("sales", connection, if_exists="append", index=False)
        return
    connection = sqlite3.connect(target)
    connection.execute("PRAGMA journal_mode=WAL")
    with work():
        for chunk in pd.read_csv(source, chunksize=100_000):
            chunk.to_sql("sales", connection, if_exists="append", index=False)
        connection.commit()
    connection.close()


if __name__ == "__main__":
    main()
