"""The way of many first pipelines: `iterrows`, an object for each row, `session.add`, one commit at the end.

python -m benchmarks.peers.iterrows_orm CSV DATABASE
"""

import sys
from datetime import datetime

import pandas as pd
from sqlalchemy import create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

from benchmarks.peers.timing import work


class Base(DeclarativeBase):
    """The tables."""


class Sale(Base):
    """A row of the file."""

    __tablename__ = "sales"
    id: Mapped[int] = mapped_column(primary_key=True)
    date: Mapped[datetime]
    product_id: Mapped[str]
    channel: Mapped[str]
    quantity_sold: Mapped[int]
    revenue: Mapped[float]
    customer_segment: Mapped[str]
    promotion_code: Mapped[str | None]
    fulfillment_method: Mapped[str]


def main() -> None:
    """Load the file named on the command line."""
    source, target = sys.argv[1:]
    engine = create_engine(f"sqlite:///{target}")
    with work():
        Base.metadata.create_all(engine)
        table = pd.read_csv(source)
        with Session(engine) as session:
            for _, row in table.iterrows():
                session.add(
                    Sale(
                        date=pd.to_datetime(row["date"]).to_pydatetime(),
                        product_id=row["product_id"],
                        channel=row["channel"],
                        quantity_sold=int(row["quantity_sold"]),
                        revenue=float(row["revenue"]),
                        customer_segment=row["customer_segment"],
                        promotion_code=None if pd.isna(row["promotion_code"]) else row["promotion_code"],
                        fulfillment_method=row["fulfillment_method"],
                    )
                )
            session.commit()


if __name__ == "__main__":
    main()
