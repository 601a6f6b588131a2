"""What a short script with pandas does with the same file: read it, `to_sql` it, check nothing.

    python -m benchmarks.peer_pandas CSV DATABASE_FILE

In chunks, so that a large file fits into memory, and straight over `sqlite3`, its fastest way.
"""

import sqlite3
import sys
from contextlib import closing

import pandas as pd


def main() -> None:
    """Load the file named on the command line."""
    source, database = sys.argv[1:]
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        for chunk in pd.read_csv(source, chunksize=100_000):
            chunk.to_sql("sales", connection, if_exists="append", index=False)
        connection.commit()


if __name__ == "__main__":
    main()
