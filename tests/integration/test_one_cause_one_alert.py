"""Histories that were loaded at once: their holes, whose file a result names, and what does not alert twice."""

from datetime import date, timedelta

import pytest
from sqlalchemy import select
from support.arrivals import at, judge, send
from support.files import INVENTORY, SALES, csv_bytes

from daemon.store import Store
from daemon.store.derived import ALERTS, METRICS

FIRST = date(2026, 3, 2)
OLD_HOLE, HOLE, LAST = 29, 44, 50


def day(number):
    return FIRST + timedelta(days=number)


def sell(store, number, price=2.0):
    units = 5 + number % 3
    rows = [f"{day(number)}T10:00:00,{p},pos,{units},{units * price},,,,s1" for p in "ABC"]
    return send(store, f"sales_data_{day(number):%Y%m%d}.csv", csv_bytes(SALES, rows), at(day(LAST), 26))


def said(store, metric):
    """Day and scope to the newest row."""
    rows = select(METRICS).where(METRICS.c.metric_name == metric).order_by(METRICS.c.id)
    return {(row.day, row.scope): row for row in store.ask(lambda c: c.execute(rows).all())}


def firing(store, rule):
    a = ALERTS.c
    rows = select(a.day, a.scope, a.summary).where(a.rule == rule, a.state == "firing").order_by(a.day)
    return store.ask(lambda c: [tuple(row) for row in c.execute(rows)])


@pytest.fixture(scope="module")
def made(_databases, tmp_path_factory):
    """Sales of fifty days of one shop with two holes, and of the last one in cents, judged in one go."""
    url = _databases.make("sqlite", tmp_path_factory.mktemp("history"))
    _databases.keep(url)
    store = Store.open(url)
    for number in range(LAST):
        if number not in (OLD_HOLE, HOLE):
            sell(store, number)
    sell(store, LAST, price=200.0)
    judge(store)
    store.close()
    return url


@pytest.fixture
def history(made, databases, tmp_path):
    store = Store.open(databases.make("sqlite", tmp_path, of=made))
    yield store
    store.close()


def test_a_hole_is_judged_and_told_if_it_is_not_long_ago(history):
    found = said(history, "completeness")
    for number in (OLD_HOLE, HOLE):
        row = found[day(number), ""]
        assert (row.status, row.metric_value, row.delivery_id) == ("fail", 0.0, None)
    assert firing(history, "completeness") == [
        (
            *(day(HOLE), ""),
            "0.0 % of what was expected came; 2 of 2 missing: location s1 channel pos, the file",
        )
    ]
    sell(history, HOLE)
    judge(history)
    assert firing(history, "completeness") == []


def test_what_explains_a_day_that_stands_out_is_told_with_it(history):
    scores = {
        scope: row for (when, scope), row in said(history, "anomaly_score").items() if when == day(LAST)
    }
    products = [f"product:{name}" for name in "ABC"]
    # where there is one shop and one channel they say nothing that the chain does not
    assert set(scores) == {
        *("measure:units", "measure:rows", "measure:revenue"),
        *(f"measure:revenue|{product}" for product in products),
    }
    assert scores["measure:revenue|product:A"].status == "warning"
    assert [part["scope"] for part in scores["measure:revenue"].details["parts"]] == products
    ((when, scope, summary),) = firing(history, "anomaly_score")
    assert (when, scope) == (day(LAST), "measure:revenue")
    assert summary.startswith("revenue 4,200, expected 36 (+")
    assert "; above all product A +" in summary
    sell(history, LAST)
    judge(history)
    assert firing(history, "anomaly_score") == []
    known = select(ALERTS.c.scope).where(ALERTS.c.rule == "anomaly_score")
    assert history.ask(lambda c: c.execute(known).scalars().all()) == ["measure:revenue"]


def test_a_result_names_the_file_of_its_day_whatever_it_is_due_by(history):
    def again(connection):
        connection.exec_driver_sql("DELETE FROM data_quality_metrics")
        connection.exec_driver_sql(  # as an upgrade does, and a rule that needs another look
            "INSERT INTO due_days (feed, day, delivery_id) SELECT feed, day, (SELECT MAX(id) FROM data_ingestion_log)"
            " FROM scope_daily WHERE scope = ''"
        )
        ledger = "SELECT substr(slot, 7, 10), id FROM data_ingestion_log"
        return dict(connection.exec_driver_sql(ledger).all())

    owner = history.change(again)
    judge(history)
    for metric in ("completeness", "accuracy", "anomaly_score"):
        found = [row for row in said(history, metric).values() if row.day not in (day(OLD_HOLE), day(HOLE))]
        assert {row.day for row in found} >= {day(10), day(LAST)}
        assert [row for row in found if row.delivery_id != owner[row.day.isoformat()]] == []


def test_a_level_that_stays_where_it_is_is_told_once(databases, tmp_path):
    store = Store.open(databases.make("sqlite", tmp_path))
    levels = dict.fromkeys(range(40), 50) | dict.fromkeys(range(40, 44), 70) | {44: 400, 45: 400}
    for number, level in levels.items():
        rows = [f"{day(number)},{p},s1,{level + (number * 7) % 5},0,0,," for p in "AB"]
        name = f"inventory_data_{day(number):%Y%m%d}.csv"
        send(store, name, csv_bytes(INVENTORY, rows), at(day(LAST), 26))
    judge(store)
    found = said(store, "anomaly_score")
    assert all(found[day(n), "measure:units"].status == "warning" for n in range(40, 46))
    assert [when for when, _, _ in firing(store, "anomaly_score")] == [day(40), day(44)]
    store.close()
