"""A database of the release before features and quality gets what it would have had, and its next run does the rest."""

import os
from datetime import date, timedelta

import pytest
from alembic import command
from alembic.config import Config
from conftest import make_settings, serving
from sqlalchemy import func, insert, inspect, select, text
from support.dump import dump
from support.files import INVENTORY, SALES, csv_bytes

from daemon.store import Store, open_engine
from daemon.store.derived import DERIVED, DUE_DAYS, DUE_PRODUCTS, METRICS, PRODUCT_FEATURES
from daemon.store.migrate import _SCRIPTS, migrate
from daemon.store.schema import METADATA, PRODUCTS, TOTALS

_OLD = "0002"
_NEWEST = date(2025, 6, 20)
_MATTER = 126  # days


def _fill(site):
    """What the release knew, some of it long ago; returns the deliveries that it could not have had."""
    days = (_NEWEST - timedelta(n) for n in (160, _MATTER, _MATTER - 1, 3, 2, 1, 0))
    for day in days:
        sales = [
            f"{day}T{hour:02}:30:00,A-{hour},pos,{hour},2.50,,,,store_0{hour % 3}|%" for hour in range(24)
        ]
        stock = [f"{day}T06:00:00,A-{n},store_01|%,{n},0,0,," for n in range(5)]
        site.deliver(f"sales_data_{day:%Y%m%d}_late.csv", csv_bytes(SALES, sales))
        site.deliver(f"inventory_data_{day:%Y%m%d}.csv", csv_bytes(INVENTORY, stock))
    for row in site.ledger():
        if row["file_type"] == "products" and row["status"] in ("success", "partial") and not row["fixes"]:
            site.unload(row)
    site.service.drain()


def _as_it_was(url, engine):
    """A database of the earlier release with the same rows."""
    old = open_engine(url)
    config = Config()
    config.set_main_option("script_location", os.fspath(_SCRIPTS))
    config.set_main_option("path_separator", "os")
    with old.connect().execution_options(begin="IMMEDIATE") as target, target.begin():
        config.attributes["connection"] = target
        command.upgrade(config, _OLD)
        with engine.connect() as source:
            for table in METADATA.sorted_tables:
                if inspect(target).has_table(table.name):
                    columns = [column for column in table.columns if column.computed is None]
                    if rows := [dict(row) for row in source.execute(select(*columns)).mappings()]:
                        target.execute(insert(table), rows)
        if target.dialect.name == "postgresql":
            last = "(SELECT MAX(id) FROM data_ingestion_log)"
            target.execute(text(f"SELECT setval('data_ingestion_log_id_seq', {last})"))
    return old


def _current(engine):
    """The features of the newest day; not when they became known."""
    columns = [column for column in PRODUCT_FEATURES.columns if column.name != "known_at"]
    newest = select(func.max(PRODUCT_FEATURES.c.as_of)).scalar_subquery()
    query = select(*columns).where(PRODUCT_FEATURES.c.as_of == newest)
    with engine.connect() as connection:
        return sorted(
            (dict(row) for row in connection.execute(query).mappings()), key=lambda r: r["product_id"]
        )


@pytest.fixture
def empty_url(database_kind, request, tmp_path):
    """A database without any table."""
    if database_kind == "sqlite":
        yield f"sqlite:///{tmp_path}/old.db"
        return
    cluster = request.getfixturevalue("postgres")
    name = cluster.create(prefix="old")
    yield cluster.url(name)
    cluster.drop(name)


def test_an_older_database_gets_what_a_fresh_load_gives(site, empty_url, tmp_path):
    _fill(site)
    fresh = site.service.store.engine
    old = _as_it_was(empty_url, fresh)
    assert not {*DERIVED.tables, TOTALS.name} & set(inspect(old).get_table_names())
    assert migrate(old) is True
    old.dispose()

    assert dump(old) == dump(fresh)
    with old.connect() as connection:
        due = connection.execute(select(DUE_DAYS.c.feed, DUE_DAYS.c.day)).all()
        products = set(connection.execute(select(DUE_PRODUCTS.c.product_id)).scalars())
        assert products == set(connection.execute(select(PRODUCTS.c.product_id)).scalars())
        of_sales = {day for feed, day in due if feed == "sales"}
        assert {feed for feed, _ in due} == {"sales", "inventory", "demand"}
        assert min(of_sales) == _NEWEST - timedelta(_MATTER - 1)
        assert max(of_sales) == _NEWEST
    old.dispose()

    store = Store.open(empty_url)
    with serving(make_settings(tmp_path / "empty", empty_url), store) as service:
        service.drain()
    assert _current(store.engine) == _current(fresh) != []
    with store.engine.connect() as connection:
        assert connection.execute(select(func.count()).select_from(DUE_PRODUCTS)).scalar_one() == 0
        assert connection.execute(select(func.count()).select_from(DUE_DAYS)).scalar_one() == 0
        judged = connection.execute(select(METRICS.c.day).where(METRICS.c.data_source == "sales")).scalars()
        assert of_sales <= set(judged)
    store.close()
