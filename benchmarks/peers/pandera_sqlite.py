"""pandas with a schema of pandera, which judges every row by rules like ours; good rows go on to `to_sql`.

python -m benchmarks.peers.pandera_sqlite CSV DATABASE
"""

import sqlite3
import sys

import pandas as pd
import pandera.pandas as pa

from benchmarks.peers.timing import work

SCHEMA = pa.DataFrameSchema(
    {
        "date": pa.Column("datetime64[us]", coerce=True),
        "product_id": pa.Column(str, pa.Check.str_length(1, 200)),
        "channel": pa.Column(str, pa.Check.isin(["online", "pos", "marketplace", "wholesale"])),
        "quantity_sold": pa.Column("int64", pa.Check.ge(1), coerce=True),
        "revenue": pa.Column("float64", pa.Check.gt(0), coerce=True),
        "customer_segment": pa.Column(str, pa.Check.isin(["premium", "regular", "budget"])),
        "promotion_code": pa.Column(str, pa.Check.str_length(0, 500), nullable=True),
        "fulfillment_method": pa.Column(str, pa.Check.isin(["warehouse", "store_pickup", "dropship"])),
    },
    strict=True,
)


def main() -> None:
    """Load the file named on the command line."""
    source, target = sys.argv[1:]
    connection = sqlite3.connect(target)
    connection.execute("PRAGMA journal_mode=WAL")
    with work():
        for chunk in pd.read_csv(source, chunksize=100_000):
            good = SCHEMA.validate(chunk, lazy=True)
            good.to_sql("sales", connection, if_exists="append", index=False)
        connection.commit()
    connection.close()


if __name__ == "__main__":
    main()
