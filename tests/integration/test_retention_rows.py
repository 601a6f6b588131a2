"""Old rows that nothing needs: taken out a few at a time; what was corrected stays, and a rejects file gets a clear answer."""

import threading
from datetime import UTC, date, datetime, timedelta
from functools import partial

import pytest
from sqlalchemy import insert, select, update
from support.dump import dump
from support.files import SALES, csv_bytes, drop
from support.site import Site
from test_rebuild import verified

from daemon import hands
from daemon.rebuild.text import verification_text
from daemon.retention import retain
from daemon.store import retention as store_retention
from daemon.store.derived import ALERTS, LETTERS, METRICS, NOTICES, QUALITY_DAYS, WORKFLOW_RUNS
from daemon.store.schema import DELIVERIES, REJECTS
from daemon.story.tell import tell

NAME = "sales_data_20250601.csv"
GOOD = [f"2025-06-01T09:0{n}:00,A-{n},pos,1,1.00,,,," for n in range(6)]
BAD = ["2025-06-01,A-1,pos,x,1.00,,,,", "2025-06-01,A-2,pos,y,1.00,,,,", "2025-06-01,A-3,pos,z,1.00,,,,"]
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
FIRST = date(2025, 6, 1) - timedelta(730)


@pytest.fixture
def site(service):
    return Site(service())


def retained(site, *, dry=False, **settings):
    wanted = site.service.settings
    settings = {"compress_days": None, **settings}
    wanted = wanted.model_copy(update={"retention": wanted.retention.model_copy(update=settings)})
    return retain(wanted, site.service.store, dry=dry, now=lambda: NOW).rows


def arrived(site, delivery_id, days_ago):
    """Makes a delivery older than it is."""
    at = NOW - timedelta(days_ago)
    change = update(DELIVERIES).where(DELIVERIES.c.id == delivery_id).values(timestamp=at)
    site.service.store.change(lambda connection: connection.execute(change).rowcount)


def rejects(site):
    with site.service.store.engine.connect() as connection:
        rows = connection.execute(select(REJECTS.c.delivery_id, REJECTS.c.line).order_by(REJECTS.c.id))
        return [tuple(row) for row in rows]


def partial_delivery(site):
    first = site.deliver(NAME, csv_bytes(SALES, [*GOOD, *BAD]))
    return first, site.service.folders.errors / f"{NAME}.rejects.csv"


# ---- rejects


def test_a_rejects_file_whose_rows_are_gone(site):
    first, path = partial_delivery(site)
    content = path.read_bytes()
    assert retained(site)["rejected_rows"] == 0
    arrived(site, 1, 366)
    assert retained(site, dry=True)["rejected_rows"] == 3
    assert len(rejects(site)) == 3
    assert retained(site)["rejected_rows"] == 3
    assert retained(site)["rejected_rows"] == 0
    before = dump(site.service.store.engine, ledger=False)["live_sales_data"]
    path.unlink()
    back = site.deliver(path.name, content.replace(b",x,", b",2,"))
    assert back["status"] == "failed"
    said = back["error_details"]["message"]
    assert "were removed from the database on" in said
    assert "correct the whole file" in said
    assert dump(site.service.store.engine, ledger=False)["live_sales_data"] == before
    assert site.ledger()[0]["records_failed"] == first["records_failed"] == 3
    found = verified(site)
    assert (found.is_equal, found.rejects_removed) == (True, 1)
    assert "rejected rows were removed" in verification_text(found)
    told = tell("1", site.service.settings, site.service.store, site.service.folders.data_dir)
    assert "rejects_removed" in str(told)
    site.unload(site.ledger()[0])
    assert site.ledger()[0]["status"] == "unloaded"


def test_what_was_corrected_stays_exact(site):
    """A fix can still be taken out, and is still proved, also without its file."""
    first, path = partial_delivery(site)
    fix = site.fix(first, line_8={"quantity_sold": "2"})
    assert fix["status"] == "success"
    arrived(site, 1, 400)
    assert retained(site)["rejected_rows"] == 0  # somebody corrects it just now
    arrived(site, 2, 399)
    assert retained(site)["rejected_rows"] == 2
    assert rejects(site) == [(1, 8)]
    assert verified(site).is_equal
    (site.service.folders.data_dir / site.ledger()[0]["archive_path"]).unlink()
    without = verified(site)
    assert (without.differences, len(without.not_replayed)) == (0, 1), without.as_dict()
    hands.unload(2, "", site.service.store, site.service.folders)
    assert site.ledger()[0]["records_failed"] == 3
    assert rejects(site) == [(1, 8)]
    assert path.exists()


def test_those_of_a_delivery_that_was_replaced(site):
    partial_delivery(site)
    site.deliver(NAME, csv_bytes(SALES, [*GOOD, "2025-06-01,B,pos,1,1,,,,"]))
    arrived(site, 1, 366)
    assert retained(site)["rejected_rows"] == 3
    assert verified(site).is_equal
    site.unload(site.ledger()[1])
    assert site.ledger()[0]["superseded_by"] is None
    assert verified(site).is_equal


# ---- what is said of the data


def metric(day, *, scope="", at=NOW, metric_name="completeness"):
    return {
        "timestamp": at,
        "data_source": "sales",
        "metric_name": metric_name,
        "metric_value": 1.0,
        "threshold_value": 0.9,
        "status": "pass",
        "details": {},
        "delivery_id": None,
        "scope": scope,
        "day": day,
    }


def put(site, table, rows):
    site.service.store.change(lambda connection: connection.execute(insert(table), rows).rowcount)


def count(site, table):
    with site.service.store.engine.connect() as connection:
        return len(connection.execute(select(table)).all())


def test_metrics_by_the_newest_day(site):
    site.deliver(NAME, csv_bytes(SALES, GOOD))
    had = count(site, METRICS)
    long_ago = datetime.combine(FIRST, datetime.min.time(), UTC) - timedelta(days=1)
    rows = [metric(FIRST), metric(FIRST - timedelta(1)), metric(FIRST - timedelta(99))]
    # of no day: the last word of a key stays however old it is, but what a delivery was found to be
    rows += [metric(None, at=long_ago, metric_name="timeliness")] * 3
    rows += [metric(None, at=long_ago, scope="delivery:1")]
    put(site, METRICS, rows)
    days = [FIRST - timedelta(n) for n in (0, 1, 126, 127, 300)]
    put(site, QUALITY_DAYS, [{"feed": "sales", "day": day, "scopes": "[]", "figures": b""} for day in days])
    assert retained(site, dry=True)["data_quality_metrics"] == 5
    done = retained(site)
    assert (done["data_quality_metrics"], done["quality_days"]) == (5, 2)
    assert count(site, METRICS) == had + 2
    assert not any(retained(site).values())


# ---- alerts and runs


def alert(number, state, days_ago):
    at = NOW - timedelta(days_ago)
    return {
        "id": number,
        "dedup_key": f"{number}",
        "rule": "accuracy",
        "severity": "warning",
        "feed": "sales",
        "scope": "",
        "day": None,
        "state": state,
        "summary": "",
        "details": {},
        "first_at": at,
        "last_at": at,
        "times": 1,
        "resolved_at": at if state == "resolved" else None,
    }


def test_alerts_that_are_over_with_what_was_told_of_them(site):
    put(
        site,
        ALERTS,
        [
            alert(1, "resolved", 400),
            alert(2, "firing", 400),
            alert(3, "resolved", 300),
            alert(4, "resolved", 400),  # its letter is not out yet
            alert(5, "resolved", 400),  # no letter tells it yet
        ],
    )
    old = NOW - timedelta(400)
    told = {1: "a", 2: "b", 3: "c", 4: "d", 5: None}
    put(
        site,
        NOTICES,
        [
            {"alert_id": number, "kind": kind, "created_at": old, "letter_id": letter}
            for number, letter in told.items()
            for kind in ("firing", "resolved")
        ],
    )
    put(
        site,
        LETTERS,
        [
            {
                "id": name,
                "channel": channel,
                "created_at": old,
                "facts": {},
                "attempts": 1,
                "sent_at": None if (name, channel) == ("d", "mail") else old,
            }
            for name in "abcd"
            for channel in ("mail", "log")
        ],
    )
    runs = [("ok", 500), ("running", 500), ("ok", 10)]
    begun = [(status, NOW - timedelta(days)) for status, days in runs]
    put(
        site,
        WORKFLOW_RUNS,
        [
            {"day": at.date(), "host": "h", "status": status, "started_at": at, "beat_at": at, "steps": []}
            for status, at in begun
        ],
    )
    wanted = {"alerts": 1, "notices": 2, "letters": 2, "workflow_runs": 1}
    dry = retained(site, dry=True)
    assert {name: dry[name] for name in wanted} == {
        **wanted,
        "letters": 0,
    }  # they go when their alert is gone
    done = retained(site)
    assert {name: done[name] for name in wanted} == wanted
    assert [count(site, table) for table in (ALERTS, NOTICES, LETTERS, WORKFLOW_RUNS)] == [4, 8, 6, 2]
    assert not any(retained(site).values())


# ---- beside the daemon


def test_files_are_loaded_meanwhile(site, monkeypatch):
    """In small transactions, each alone, and what a kill has left is done by the next pass."""
    monkeypatch.setattr(store_retention, "_ROWS", 50)
    site.deliver(NAME, csv_bytes(SALES, GOOD))
    put(site, METRICS, [metric(FIRST - timedelta(1 + n % 9), scope=f"s{n}") for n in range(2_000)])
    loaded = threading.Event()

    def load():
        for n in range(5):
            drop(
                site.service.folders.inbox, f"sales_data_2025060{n + 2}.csv", csv_bytes(SALES, GOOD[: n + 1])
            )
            site.service.drain()
        loaded.set()

    thread = threading.Thread(target=load)
    thread.start()
    first = next(some for table, some in store_retention.removals(horizons()) if table == METRICS.name)
    assert site.service.store.change(first) == (50, 0)
    assert retained(site)["data_quality_metrics"] == 1_950
    thread.join(60)
    assert loaded.is_set()
    assert [row["status"] for row in site.ledger()] == ["success"] * 6


def horizons():
    return store_retention.Horizons(FIRST, None, None)


def test_nothing_is_old_if_nothing_is_to_go(site):
    partial_delivery(site)
    arrived(site, 1, 4_000)
    never = partial(retained, site, metrics_days=None, rejects_days=None, alerts_days=None)
    assert not any(never().values())
    assert len(rejects(site)) == 3
