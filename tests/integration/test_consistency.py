"""The rules of consistency, from files to metrics."""

from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta

import pytest
from sqlalchemy import select
from support.files import DEMAND, INVENTORY, SALES, csv_bytes, drop

from daemon.after import features, quality
from daemon.store import due, rule_days
from daemon.store.derived import ALERTS, DUE_DAYS, METRICS, RULE_DAYS
from handlers import feed_named

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


def unload(made, name):
    found = "SELECT MAX(id) FROM data_ingestion_log WHERE status = 'success' AND file_name LIKE '{}%%'"
    number = made.store.ask(lambda c: c.exec_driver_sql(found.format(name), {}).scalar_one())
    made.store.unload(number, "")
    made.after.run()


def firing(made):
    a = ALERTS.c
    some = select(a.scope, a.day).where(a.state == "firing", a.rule == "consistency")
    return made.store.ask(lambda c: {tuple(row) for row in c.execute(some)})


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


def test_whether_what_is_on_its_way_is_told_is_known_of_the_feed(service):
    made = service()
    for number, (coming, level) in enumerate(((3, 9), (0, 12), (0, 40))):
        rows = [f"{day(number)},A,s1,9,0,{coming},,", f"{day(number)},B,s1,{level},0,0,,"]
        load(made, **{f"inventory_data_{day(number):%Y%m%d}": csv_bytes(INVENTORY, rows)})
    found = rates(made, "stock_balance")
    assert found[day(1)][1] == {"evaluated": 2, "violating": 1, "violating_keys": ["B"]}
    assert found[day(2)][1] == {"evaluated": 2, "violating": 1, "violating_keys": ["B"]}


def competitor(number, price):
    return csv_bytes(DEMAND, [f"{day(number)}T06:00:00,{p},high,,{price},,," for p in PRODUCTS])


def test_a_competitors_price_holds_from_its_day_on_and_its_alert_ends_when_it_is_taken_out(service):
    made = service()
    load(made, **{f"sales_data_{day(n):%Y%m%d}": sales(n) for n in range(4)})
    load(made, **{f"demand_data_{day(2):%Y%m%d}": competitor(2, 50)})
    said = {each: status for each, (status, _) in rates(made, "competitor_price").items()}
    assert said == {day(2): "fail", day(3): "fail"}
    assert firing(made) == {("rule:competitor_price", day(2)), ("rule:competitor_price", day(3))}

    load(made, **{f"demand_data_{day(1):%Y%m%d}": competitor(1, 2), f"sales_data_{day(5):%Y%m%d}": sales(5)})
    load(made, **{f"demand_data_{day(3):%Y%m%d}": competitor(3, 2.5)})
    said = {each: status for each, (status, _) in rates(made, "competitor_price").items()}
    assert said == {day(1): "pass", day(2): "fail", day(3): "pass", day(5): "pass"}
    assert firing(made) == {("rule:competitor_price", day(2))}

    unload(made, f"demand_data_{day(2):%Y%m%d}")
    assert firing(made) == set()
    unload(made, f"demand_data_{day(1):%Y%m%d}")
    assert rates(made, "competitor_price")[day(2)][0] == "skipped"
    assert rates(made, "competitor_price")[day(3)][0] == "pass"


def test_of_a_day_that_is_taken_out_nothing_holds_any_more(service):
    made = service()
    load(made, **{f"sales_data_{day(n):%Y%m%d}": sales(n) for n in range(6)})
    m = METRICS.c
    last = select(m.metric_name, m.scope, m.status).where(m.day == day(5)).order_by(m.id)

    def said():
        return {
            (name, scope): status
            for name, scope, status in made.store.ask(lambda c: c.execute(last).all())
            if name in ("accuracy", "consistency") and not scope.startswith("delivery:")
        }

    assert said() == {("accuracy", ""): "pass", ("consistency", "rule:unit_price"): "pass"}
    unload(made, f"sales_data_{day(5):%Y%m%d}")
    assert said() == {("accuracy", ""): "skipped", ("consistency", "rule:unit_price"): "skipped"}


def test_what_is_on_its_way_is_told_by_any_product_also_late(service):
    """More stock than came and none on its way is only wrong where the sender ever says what is."""
    made = service()

    def stock(number, product, level, transit=0):
        return csv_bytes(INVENTORY, [f"{day(number)},{product},s1,{level},,{transit},,"])

    for number, level in enumerate((5, 9)):
        load(made, **{f"inventory_data_{day(number):%Y%m%d}_a": stock(number, "A", level)})
    assert rates(made, "stock_balance") == {}
    load(made, **{f"inventory_data_{day(0):%Y%m%d}_b": stock(0, "B", 5, transit=1)})
    assert rates(made, "stock_balance")[day(1)][1]["violating_keys"] == ["A"]
    unload(made, f"inventory_data_{day(0):%Y%m%d}_b")
    assert rates(made, "stock_balance")[day(1)][0] == "skipped"
    assert firing(made) == set()


def test_what_can_be_judged_no_more_is_not_known(service):
    """What broke the rule is corrected when its day is long past; what another sender said of it stays."""
    made = service()

    def stock(**levels):
        return csv_bytes(
            INVENTORY, [f"{day(0)},{product},s1,{level},,,," for product, level in levels.items()]
        )

    name = f"inventory_data_{day(0):%Y%m%d}"
    load(made, **{f"{name}_a": stock(A=0), f"{name}_b": stock(B=0, C=9)})
    load(made, **{f"sales_data_{day(1):%Y%m%d}": sales(1)})
    assert rates(made, "sold_at_zero")[day(1)][1]["violating_keys"] == ["A", "B"]
    load(made, **{f"sales_data_{day(31):%Y%m%d}": sales(31)})
    load(made, **{f"{name}_a": stock(A=5)})
    assert rates(made, "sold_at_zero")[day(1)][1]["violating_keys"] == ["B"]
    assert firing(made) == {("rule:sold_at_zero", day(1))}
    unload(made, f"{name}_b")
    assert verdicts(made) == []
    assert rates(made, "sold_at_zero")[day(1)][0] == "skipped"
    assert firing(made) == set()


def test_a_step_and_a_delivery_may_mark_the_same_day(service, database_kind):
    if database_kind == "sqlite":
        pytest.skip("only one connection can write")
    made = service()
    stock = {
        f"inventory_data_{day(n):%Y%m%d}": csv_bytes(INVENTORY, [f"{day(n)},A,s1,5,,,,"]) for n in (0, 1)
    }
    load(made, **stock)
    drop(made.folders.inbox, f"sales_data_{day(1):%Y%m%d}.csv", sales(1))
    made.inbox.scan()
    assert made.carrier.deliver(f"sales_data_{day(1):%Y%m%d}.csv", patient=False)
    while quality.judge(made.store, made.settings):
        pass
    with ThreadPoolExecutor(1) as pool:
        with made.store.engine.begin() as delivery:
            delivery.exec_driver_sql(
                f"CREATE TEMPORARY TABLE came AS SELECT 'Z' AS product_id, DATE '{day(1)}' AS day"
            )
            due.mark(delivery, feed_named("inventory"), "came", [3], {})
            step = pool.submit(features.advance, made.store, made.settings)
            while not delivery.exec_driver_sql("SELECT COUNT(*) FROM pg_locks WHERE NOT granted").scalar():
                assert not step.done(), step.result()
        assert step.result() is True
    days = made.store.ask(lambda c: c.execute(select(DUE_DAYS.c.day).distinct()).scalars().all())
    assert days == [day(1)]
