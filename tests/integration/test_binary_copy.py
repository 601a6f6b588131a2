"""Rows in binary COPY's words are the rows that COPY of text gives."""

import os
from datetime import datetime

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from daemon.store import Store
from daemon.store.binary_copy import copy_in, encoded
from daemon.store.bulk import Postgresql
from daemon.store.schema import column_type
from handlers.columns import Column, Decimal, Integer, LocalTime, Text, Words

KINDS = (
    Column("at", LocalTime(), required=True),
    Column("later", LocalTime()),
    Column("words", Words(("pos", "online")), required=True),
    Column("name", Text(40)),
    Column("count", Integer(-(2**31)), required=True),
    Column("other", Integer(0)),
    Column("money", Decimal(4, -(10**11), 10**11), required=True),
    Column("price", Decimal(4, 0, 10**11)),
    Column("share", Decimal(9, 0, 1)),
)
NAME = Column("name", Text(40))
TIMES = st.datetimes(datetime(2000, 1, 1), datetime(2199, 12, 31)).map(lambda at: at.isoformat(" "))
MONEY = st.integers(-(10**15) + 1, 10**15 - 1).map(lambda units: units / 10**4)
ROW = st.tuples(
    TIMES,
    st.none() | TIMES,
    st.sampled_from(["pos", "online"]),
    st.none() | st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=40),
    st.integers(-(2**31), 2**31 - 1),
    st.none() | st.integers(0, 2**31 - 1),
    MONEY,
    st.none() | MONEY.map(abs),
    st.none() | st.integers(0, 10**9).map(lambda parts: parts / 10**9),
)


@pytest.fixture(scope="module")
def store(_databases, tmp_path_factory):
    opened = Store.open(_databases.make("postgresql", tmp_path_factory.mktemp("copy")))
    yield opened
    opened.close()


@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example([("2025-03-01 00:00:00", None, "pos", "\\.", 0, None, -0.0001, 0.0, None)])
@example([("2000-01-01 00:00:00.000001", None, "pos", "", -1, 0, 99_999_999_999.9999, None, 1.0)])
@given(st.lists(ROW, min_size=1, max_size=30))
def test_binary_rows_are_those_of_text(store, rows):
    columns = [
        pa.array(values, kind.kind.arrow_type)
        for kind, values in zip(KINDS, zip(*rows, strict=True), strict=True)
    ]
    batch = pa.RecordBatch.from_arrays(columns, names=[kind.name for kind in KINDS])
    ids = np.arange(len(rows)) + (7 << 32)
    with store.engine.connect() as connection:
        kinds = ", ".join(
            f"{kind.name} {column_type(kind.kind).compile(connection.dialect)}" for kind in KINDS
        )
        for table in ("by_text", "by_bytes"):
            connection.exec_driver_sql(f"CREATE TEMPORARY TABLE {table} (id BIGINT, {kinds})")
        Postgresql().insert(connection, "by_text", batch.add_column(0, "id", pa.array(ids)))
        copy_in(connection, "by_bytes", *encoded(ids, batch, KINDS))
        found = [
            connection.exec_driver_sql(f"SELECT * FROM {table} ORDER BY id").all()
            for table in ("by_text", "by_bytes")
        ]
        connection.rollback()
    assert len(found[0]) == len(rows)
    assert found[0] == found[1]


def test_what_the_server_refuses_is_said(store):
    batch = pa.record_batch({"name": ["a" * 41]})
    with store.engine.connect() as connection:
        connection.exec_driver_sql("CREATE TEMPORARY TABLE short (id BIGINT, name VARCHAR(40))")
        with pytest.raises(Exception, match="too long"):
            copy_in(connection, "short", *encoded(np.array([1]), batch, [NAME]))


def test_a_database_of_another_encoding_gets_each_character_or_an_error(postgres, tmp_path):
    name = f"latin_copy_{os.getpid()}"
    with psycopg.connect(postgres.url("postgres").replace("+psycopg", ""), autocommit=True) as server:
        server.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
    opened = Store.open(postgres.url(name))
    try:
        with opened.engine.connect() as connection:
            connection.exec_driver_sql("CREATE TEMPORARY TABLE names (id BIGINT, name VARCHAR(40))")
            Postgresql().insert(connection, "names", pa.record_batch({"id": [1], "name": ["café"]}))
            copy_in(connection, "names", *encoded(np.array([2]), pa.record_batch({"name": ["café"]}), [NAME]))
            found = connection.exec_driver_sql("SELECT name FROM names").scalars().all()
            assert found == ["café", "café"]
            with pytest.raises(Exception, match="no equivalent"):
                copy_in(
                    connection, "names", *encoded(np.array([3]), pa.record_batch({"name": ["語"]}), [NAME])
                )
    finally:
        opened.close()
        postgres.drop(name)
