"""The parts of `rebuild` that need no site: rows side by side, and folders for a while."""

import fcntl
import os
import sqlite3
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.process import clean_environment, run_cli

from daemon.rebuild.room import room
from daemon.store import canonical
from daemon.store.canonical import Rows, form_of, missing, pairs
from daemon.store.derived import DERIVED
from daemon.store.schema import LIVE, METADATA, PRODUCTS

tables = st.dictionaries(st.text("aäzZ€", min_size=1, max_size=3), st.integers(0, 2), max_size=30)


def rows_of(table):
    """A table's rows as SQLite gives them."""
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE products (product_id TEXT PRIMARY KEY, first_seen INTEGER)")
    connection.executemany("INSERT INTO products VALUES (?, ?)", table.items())
    form = form_of(PRODUCTS)
    return Rows(connection.execute(form.select("sqlite")), form)


@given(tables, tables, st.integers(1, 7))
def test_pairs_are_rows_between_the_same_keys(one, other, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(canonical, "_SOME", size)
        found = list(pairs(rows_of(one), rows_of(other)))
    assert [row for pair in found for row in pair.left] == sorted(one.items())
    assert [row for pair in found for row in pair.right] == sorted(other.items())
    for pair in found:
        assert max(len(pair.left), len(pair.right)) <= 2 * size
    assert {row for pair in found for row in missing(pair, "left")} == one.items() - other.items()
    assert {row for pair in found for row in missing(pair, "right")} == other.items() - one.items()
    assert all(pair.equal == (pair.left == pair.right) for pair in found)


@pytest.mark.parametrize("table", [*METADATA.tables.values(), *DERIVED.tables.values()], ids=str)
def test_a_row_begins_with_its_key_and_has_every_column(table):
    form = form_of(table)
    assert form.columns[: form.keys] == tuple(column.name for column in table.primary_key)
    computed = {column.name for column in table.columns if column.computed is not None}
    assert set(form.columns) == set(table.columns.keys()) - computed


def test_money_is_read_alike():
    assert 'ROUND("revenue", 4)' in form_of(LIVE["sales"]).select("sqlite")
    assert 'CAST("revenue" AS DOUBLE PRECISION)' in form_of(LIVE["sales"]).select("postgresql")


# ---- folders


def test_a_room_is_removed(tmp_path):
    with room(tmp_path) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "file").write_text("x")
        assert list(tmp_path.iterdir()) == [folder]
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt), room(tmp_path):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_process_left_is_removed_and_nothing_else(tmp_path):
    names = ("rebuild-dead", "rebuild-young", "rebuild-held", "claim-other")
    for name in names:
        (tmp_path / name).mkdir()
        if name != "rebuild-young":
            os.utime(tmp_path / name, (0, time.time() - 3_600))
    held = os.open(tmp_path / "rebuild-held", os.O_RDONLY)
    fcntl.flock(held, fcntl.LOCK_EX)
    with room(tmp_path):
        assert {name for name in names if (tmp_path / name).exists()} == set(names[1:])
    os.close(held)


def test_a_room_needs_its_folder(tmp_path):
    with pytest.raises(FileNotFoundError), room(tmp_path / "nowhere"):
        pass


# ---- the command without a site


def test_without_a_database_there_is_nothing_to_prove(tmp_path):
    for arguments in (
        ("--verify",),
        ("--into", "sqlite:///new.db"),
        ("--into", "sqlite:///new.db", "--dry-run"),
    ):
        done = run_cli("rebuild", *arguments, env=clean_environment(), cwd=tmp_path)
        assert (done.returncode, done.stdout) == (69, "")
        assert "there is no database yet" in done.stderr
    assert list(tmp_path.iterdir()) == []
