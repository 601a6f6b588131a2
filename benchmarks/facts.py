"""What stands in the database after a run, day by day, as whole numbers that can be compared without rounding.

A fact is ``(day, measure) -> value``; money is in 1/10 000. Both sides of `real_year`'s comparison are made of them.
"""

from typing import Any

from sqlalchemy import URL, Engine, create_engine, inspect, make_url, text

Facts = dict[tuple[str, str], int | str]

SOLD = """
SELECT substr(CAST(date AS TEXT), 1, 10), COUNT(*), SUM(quantity_sold), SUM(CAST(ROUND(revenue * 10000) AS BIGINT))
FROM live_sales_data GROUP BY 1
"""
SUMMED = """
SELECT CAST(day AS TEXT), COUNT(*), SUM("rows"), SUM(units), SUM(returned), SUM(revenue_e4), SUM(promo_units)
FROM sales_daily GROUP BY 1
"""
REJECTED = """
SELECT d.file_name, r.column_name, r.reason, COUNT(*)
FROM rejected_rows AS r JOIN data_ingestion_log AS d ON d.id = r.delivery_id GROUP BY 1, 2, 3
"""
LEDGER = (
    "SELECT file_name, status, records_processed, records_successful, records_failed FROM data_ingestion_log"
)


def engine_for(url: str) -> Engine:
    """An engine for reading, whichever PostgreSQL driver name the URL carries."""
    parsed: URL = make_url(url)
    if parsed.get_backend_name() in {"postgresql", "postgres"}:
        parsed = parsed.set(drivername="postgresql+psycopg")
    return create_engine(parsed)


def deliveries(url: str) -> int:
    """How many deliveries a database already knows; 0 if it has no tables yet."""
    engine = engine_for(url)
    try:
        if not inspect(engine).has_table("data_ingestion_log"):
            return 0
        with engine.connect() as connection:
            return int(connection.execute(text("SELECT COUNT(*) FROM data_ingestion_log")).scalar_one())
    finally:
        engine.dispose()


def _day_of(file_name: str) -> str:
    """``sales_data_20170102.csv`` speaks for 2017-01-02."""
    digits = file_name.removeprefix("sales_data_")[:8]
    return f"{digits[:4]}-{digits[4:6]}-{digits[6:]}"


def found(url: str) -> Facts:
    """Read all facts from a database that a run has filled."""
    facts: Facts = {}
    engine = engine_for(url)
    with engine.connect() as connection:
        for day, rows, units, revenue in connection.execute(text(SOLD)):
            facts |= _facts(day, {"rows": rows, "units": units, "revenue": revenue})
        for day, keys, rows, units, returned, revenue, promo in connection.execute(text(SUMMED)):
            facts |= _facts(day, {"daily rows": rows, "daily units": units, "daily revenue": revenue})
            facts |= _facts(day, {"daily keys": keys, "daily returned": returned, "daily promo units": promo})
        for name, column, reason, count in connection.execute(text(REJECTED)):
            facts |= _facts(_day_of(name), {f"rejected {column} {reason}": count})
        for name, status, processed, loaded, failed in connection.execute(text(LEDGER)):
            day = _day_of(name)
            facts |= _facts(
                day, {"ledger processed": processed, "ledger loaded": loaded, "ledger failed": failed}
            )
            facts[day, "ledger status"] = (
                status if (day, "ledger status") not in facts else f"{status}, twice"
            )
    engine.dispose()
    return facts


def _facts(day: str, values: dict[str, Any]) -> Facts:
    """One day's numbers as facts; PostgreSQL sums whole numbers as decimals."""
    return {(day, measure): int(value) for measure, value in values.items()}


def wanted(days: dict[str, dict[str, Any]]) -> Facts:
    """The same facts from the converter's ``expected.json``.

    Args:
        days: its ``days``, or some of them.

    Returns:
        What `found` must give for a database that holds just these days.
    """
    facts: Facts = {}
    for day, figures in days.items():
        rows, units = figures["loaded_rows"], figures["loaded_units"]
        dollars, _, cents = figures["loaded_revenue"].partition(".")
        revenue = int(dollars + cents.ljust(4, "0"))
        rejects = figures["rows"] - rows
        facts |= _facts(day, {"rows": rows, "units": units, "revenue": revenue})
        facts |= _facts(
            day, {"daily rows": rows, "daily units": units, "daily revenue": revenue, "daily returned": 0}
        )
        facts |= _facts(day, {"daily keys": figures["keys"], "daily promo units": figures["promo_units"]})
        facts |= _facts(
            day, {f"rejected {column} out_of_range": n for column, n in figures["rejected"].items()}
        )
        facts |= _facts(
            day, {"ledger processed": figures["rows"], "ledger loaded": rows, "ledger failed": rejects}
        )
        facts[day, "ledger status"] = "partial" if rejects else "success"
    return facts
