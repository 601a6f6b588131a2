"""A change gives way to a file: nothing of it stays, and the connection is as good as before."""

from contextlib import suppress

import pytest

from daemon.errors import GaveWay
from daemon.store import Store

COUNT = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n{}) SELECT MAX(x) FROM n"


@pytest.fixture
def table(store: Store):
    with store.engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE noted (n INTEGER)")
    return store


def noted(store):
    with store.engine.connect() as connection:
        return connection.exec_driver_sql("SELECT COUNT(*) FROM noted").scalar_one()


def note(connection):
    connection.exec_driver_sql("INSERT INTO noted VALUES (1)")


def after(questions):
    """Says yes once it was asked so often."""
    left = iter(range(questions))
    return lambda: next(left, None) is None


def test_without_anything_more_urgent_it_is_done(table):
    table.change(note, lambda: False)
    table.change(note)
    assert noted(table) == 2


def test_nothing_of_it_stays(table):
    wanted = []

    def work(connection):
        note(connection)
        wanted.append(1)
        note(connection)

    with pytest.raises(GaveWay):
        table.change(work, lambda: bool(wanted))
    assert noted(table) == 0


def test_nothing_of_it_stays_though_somebody_takes_it_for_a_trouble_of_his_own(table):
    wanted = []

    def work(connection):
        note(connection)
        wanted.append(1)
        for _ in range(2):
            with suppress(Exception):
                note(connection)

    with pytest.raises(GaveWay):
        table.change(work, lambda: bool(wanted))
    assert noted(table) == 0


@pytest.mark.parametrize("database_kind", ["sqlite"], indirect=True)
def test_a_statement_that_takes_long_is_broken_off(table):
    def work(connection):
        note(connection)
        connection.exec_driver_sql(COUNT.format(""))  # it never ends

    with pytest.raises(GaveWay):
        table.change(work, after(100))
    assert noted(table) == 0
    many = COUNT.format(" WHERE x < 1000000")
    assert table.change(lambda connection: connection.exec_driver_sql(many).scalar()) == 1_000_000


def test_an_error_of_its_own_is_told_as_it_is(table):
    def work(connection):
        note(connection)
        raise ValueError

    with pytest.raises(ValueError):
        table.change(work, lambda: False)
    assert noted(table) == 0
