"""A floor: pyarrow parses the file in a stream, all columns as text, and throws it away.

python -m benchmarks.peers.arrow_parse CSV
"""

import sys
from pathlib import Path

import pyarrow as pa
from pyarrow import csv

from benchmarks.peers.timing import work


def main() -> None:
    """Parse the file named on the command line."""
    with Path(sys.argv[1]).open("rb") as file:
        names = file.readline().decode().strip().split(",")
    texts = csv.ConvertOptions(column_types=dict.fromkeys(names, pa.string()))
    with work(rows=0) as counted:
        for batch in csv.open_csv(sys.argv[1], convert_options=texts):
            counted["rows"] += batch.num_rows


if __name__ == "__main__":
    main()
