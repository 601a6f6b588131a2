"""`rebuild --into` takes along what no replay can make: what was known, said and told, and what is still due."""

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from conftest import make_settings
from sqlalchemy import func, insert, select, update
from support.copies import opened
from support.files import SALES, csv_bytes
from support.loading import load
from test_loads import SALES_ROWS

from daemon.after.steps import AfterSteps
from daemon.rebuild.move import move
from daemon.rebuild.text import move_text
from daemon.store import Store, runs
from daemon.store.copying import CannotCopy
from daemon.store.derived import (
    ALERTS,
    DERIVED,
    DUE_DAYS,
    DUE_PRODUCTS,
    FEATURE_WINDOWS,
    LETTERS,
    METRICS,
    NOTICES,
    PRODUCT_FEATURES,
    REMOVED_DAYS,
    SILENCES,
)

_AT = datetime(2025, 7, 2, 8, tzinfo=UTC)
_POSTGRES = pytest.mark.postgres
DIRECTIONS = pytest.mark.parametrize(
    ("database_kind", "target"),
    [
        pytest.param("sqlite", "postgresql", marks=_POSTGRES),
        pytest.param("postgresql", "sqlite", marks=_POSTGRES),
    ],
    indirect=True,
)
ON_SQLITE = pytest.mark.parametrize(("database_kind", "target"), [("sqlite", "sqlite")], indirect=True)


@contextlib.contextmanager
def no_bar(_of):
    yield lambda _done, _total: None


@pytest.fixture
def target(request, databases, tmp_path) -> str:
    """The URL of an empty database."""
    return databases.make(request.param, tmp_path)


def following(engine):
    """What follows from the rows, as plain values."""
    with engine.connect() as connection:
        return {
            name: sorted((dict(row) for row in connection.execute(select(table)).mappings()), key=repr)
            for name, table in DERIVED.tables.items()
        }


def letter(letter_id, sent_at):
    return {
        "id": letter_id,
        "channel": "mail",
        "created_at": _AT,
        "facts": {"subject": "Ä"},
        "attempts": 1,
        "sent_at": sent_at,
    }


def tell(site):
    """Alerts of all ages, letters that went and that wait, a silence, and something that is due."""
    refused = site.deliver("sales_data_20250610.csv", b"nothing\n")
    store = site.service.store
    with store.engine.begin() as connection:
        first = connection.execute(select(func.min(ALERTS.c.id))).scalar_one()
        connection.execute(insert(LETTERS), [letter("sent", _AT), letter("unsent", None)])
        notice = {"alert_id": first, "kind": "firing", "created_at": _AT}
        connection.execute(
            insert(NOTICES), [notice | {"letter_id": each} for each in ("sent", "unsent", None)]
        )
        silence = {"until": _AT + timedelta(1), "why": "stocktaking", "created_at": _AT}
        connection.execute(insert(SILENCES), [silence | {"rule": "refused_file"}])
        given = connection.execute(insert(ALERTS).returning(ALERTS.c.id), _alert("gone")).scalar_one()
        connection.execute(insert(REMOVED_DAYS), [{"feed": "sales", "day": _AT.date(), "since": 1}])
        connection.execute(ALERTS.delete().where(ALERTS.c.id == given))
    load(
        store, "sales_data_20250611.csv", csv_bytes(SALES, SALES_ROWS)
    )  # what follows from it is not done yet
    return refused["id"], given


def _alert(key):
    return {
        "dedup_key": key,
        "rule": "refused_file",
        "severity": "warning",
        "feed": "sales",
        "scope": "",
        "state": "firing",
        "summary": key,
        "details": {},
        "first_at": _AT,
        "last_at": _AT,
        "times": 1,
    }


@DIRECTIONS
def test_what_follows_is_copied_and_goes_on(site, target):
    site.service.drain()
    refused, given = tell(site)
    now = datetime.now(UTC)
    site.service.store.change(lambda c: runs.begin(c, now.date(), now, "here", now))
    source = site.service.store.engine
    before = following(source)
    assert {name for name, rows in before.items() if not rows} <= {"rule_days"}
    found = move(site.service.settings, target, no_bar)
    assert found.is_exact
    again = move(site.service.settings, target, no_bar)
    assert sum(table.copied for table in again.tables) == 0
    with opened(target) as copy:
        assert following(copy) == before == following(source)
        with copy.begin() as connection:
            for table in (ALERTS, METRICS, NOTICES, SILENCES):
                last = connection.execute(select(func.max(table.c.id))).scalar_one()
                row = connection.execute(select(table).limit(1)).mappings().one()
                values = {name: value for name, value in row.items() if name != "id"} | (
                    {"dedup_key": "new"} if table is ALERTS else {}
                )
                key = connection.execute(insert(table).returning(table.c.id), values).scalar_one()
                assert key > max(last, given if table is ALERTS else 0)
                connection.execute(table.delete().where(table.c.id == key))
        assert refused in [row["delivery_id"] for row in before["alerts"]]

    # what was due is done on either side, with the same result
    settings = site.service.settings
    for url in (site.url, target):
        store = Store.open(url)
        AfterSteps(store, make_settings(settings.data_dir, url)).run()
        store.close()
    after = following(source)
    assert not after["due_products"] + after["due_days"]
    with opened(target) as copy:
        moved = following(copy)
    for table in (DUE_DAYS, DUE_PRODUCTS, FEATURE_WINDOWS, PRODUCT_FEATURES):
        assert moved[table.name] == after[table.name]
    assert after["product_features"] != before["product_features"]


@ON_SQLITE
def test_what_is_done_meanwhile_is_noticed(site, target):
    tell(site)

    @contextlib.contextmanager
    def bar(of):
        if of == "rows to copy":
            site.service.drain()
        yield lambda _done, _total: None

    found = move(site.service.settings, target, bar)
    assert (found.is_exact, found.changed, found.followed) == (False, 0, True)
    assert not any(table.differences for table in found.tables)
    assert "features, quality or alerts changed meanwhile" in move_text(found)
    again = move(site.service.settings, target, no_bar)
    assert again.is_exact
    with opened(target) as copy:
        assert following(copy) == following(site.service.store.engine)


@ON_SQLITE
def test_a_target_that_has_told_is_refused(site, target):
    tell(site)
    move(site.service.settings, target, no_bar)
    with opened(target) as copy, copy.begin() as connection:
        connection.execute(update(LETTERS).values(sent_at=_AT))
    with pytest.raises(CannotCopy, match=r"letter about alerts was sent from the target"):
        move(site.service.settings, target, no_bar)
