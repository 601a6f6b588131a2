"""dlt with its SQLAlchemy destination: Arrow tables in, types kept, a load package as it makes them.

python -m benchmarks.peers.dlt_load CSV DATABASE FOLDER
"""

import os
import sys
from collections.abc import Iterator
from pathlib import Path

from benchmarks.peers.timing import work

os.environ |= {
    "RUNTIME__DLTHUB_TELEMETRY": "false",
    "RUNTIME__LOG_LEVEL": "ERROR",
    "DLT_DATA_DIR": str(Path(sys.argv[3]) / "dlt"),
}

import dlt
import pyarrow as pa
from pyarrow import csv


def main() -> None:
    """Load the file named on the command line."""
    source, target, folder = sys.argv[1:]

    @dlt.resource(name="sales", write_disposition="append")
    def sales() -> Iterator[pa.Table]:
        for batch in csv.open_csv(source):
            yield pa.table(batch)

    credentials = target if ":" in target else f"sqlite:///{target}"
    with work():
        pipeline = dlt.pipeline(
            pipeline_name="peer",
            pipelines_dir=folder,
            destination=dlt.destinations.sqlalchemy(credentials=credentials),
            dataset_name="main",
        )
        pipeline.run(sales())


if __name__ == "__main__":
    main()
