"""The rules of consistency, from files to metrics."""

from datetime import date, timedelta

from sqlalchemy import select
from support.files import INVENTORY, SALES, csv_bytes, drop

from daemon.store import rule_days
from daemon.store.derived import ALERTS, METRICS, RULE_DAYS

FIRST = date(2026, 3, 2)
PRODUCTS = ("A", "B", "C")


def day(number):
    return FIRST + timedelta(days=number)


def sales(number, price=2.0):
    return csv_bytes(SALES, [f"{day(number)}T10:00:00,{p},pos,5,{5 * price},,,," for p in PRODUCTS])


def load(made, **files):
    for name, content in files.items():
        drop(made.folders.inbox, f"{name}.csv", content)
    made.drain()


def rates(made, rule):
    """Day to status of a rule, as judged last."""
    m = METRICS.c
    asked = select(m.day, m.status, m.details).where(m.scope == f"rule:{rule}").order_by(m.id)
    return made.store.ask(lambda c: {row.day: (row.status, row.details) for row in c.execute(asked)})


def verdicts(made):
    rows = select(RULE_DAYS).order_by(RULE_DAYS.c.day, RULE_DAYS.c.product_id)
    return made.store.ask(lambda c: [tuple(row) for row in c.execute(rows)])


def test_prices_in_cents_are_named_and_taken_out_again(service):
    made = service()
    load(made, **{f"sales_data_{day(n):%Y%m%d}": sales(n) for n in range(8)})
    before = verdicts(made)
    assert {status for status, _ in rates(made, "unit_price").values()} == {"pass"}
    load(made, **{f"sales_data_{day(8):%Y%m%d}": sales(8, price=200.0)})
    status, details = rates(made, "unit_price")[day(8)]
    assert (status, details["violating"], details["violating_keys"]) == ("fail", 3, list(PRODUCTS))
    alert = select(ALERTS.c.state).where(ALERTS.c.scope == "rule:unit_price")
    assert made.store.ask(lambda c: c.execute(alert).scalars().all()) == ["firing"]

    load(made, **{f"sales_data_{day(8):%Y%m%d}": sales(8, price=2.5)})  # the correction
    assert rates(made, "unit_price")[day(8)][0] == "pass"
    assert made.store.ask(lambda c: c.execute(alert).scalars().all()) == ["resolved"]

    last = made.store.ask(lambda c: c.exec_driver_sql("SELECT MAX(id) FROM data_ingestion_log").scalar_one())
    made.store.unload(last, "")
    made.store.unload(last - 1, "")  # that came back
    made.after.run()
    assert verdicts(made) == before
    assert made.store.ask(lambda c: rule_days.counts(c, day(8))) == []


def test_sales_are_held_against_the_stock_of_the_day_before(service):
    made = service()
    stock = csv_bytes(
        INVENTORY, [f"{day(0)},{p},s1,{level},,,," for p, level in zip("ABC", (0, 9, 9), strict=True)]
    )
    load(made, **{f"inventory_data_{day(0):%Y%m%d}": stock, f"sales_data_{day(1):%Y%m%d}": sales(1)})
    status, details = rates(made, "sold_at_zero")[day(1)]
    assert (status, details) == ("fail", {"evaluated": 3, "violating": 1, "violating_keys": ["A"]})
    # the stock comes again, and was not nothing
    load(made, **{f"inventory_data_{day(0):%Y%m%d}": stock.replace(b"A,s1,0", b"A,s1,7")})
    assert rates(made, "sold_at_zero")[day(1)][0] == "pass"
