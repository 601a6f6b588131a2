"""A floor: rows that stand in memory as Arrow go into SQLite by Arrow's own driver, in WAL, unchecked.

    python -m benchmarks.peers.adbc_sqlite CSV DATABASE

Reading the file into memory is not in the time of the work alone.
"""

import sys

from adbc_driver_sqlite import dbapi
from pyarrow import csv

from benchmarks.peers.timing import work


def main() -> None:
    """Load the file named on the command line."""
    source, target = sys.argv[1:]
    as_text = csv.ConvertOptions(timestamp_parsers=[csv.ISO8601], column_types={"date": "string"})
    table = csv.read_csv(source, convert_options=as_text)
    with dbapi.connect(target, autocommit=True) as connection, connection.cursor() as cursor:
        for pragma in ("journal_mode=WAL", "synchronous=FULL"):
            cursor.execute(f"PRAGMA {pragma}")
            cursor.fetchall()
        cursor.execute("BEGIN IMMEDIATE")
        with work():
            cursor.adbc_ingest("sales", table, mode="create")
            cursor.execute("COMMIT")


if __name__ == "__main__":
    main()
