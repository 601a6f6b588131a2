"""What a replay needs of the store: a database to throw away, and rows of a delivery whose file cannot be read any more."""

import contextlib
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    Select,
    bindparam,
    delete,
    event,
    func,
    insert,
    select,
    update,
)

from daemon.outcomes import Delivery, Dialect, Outcome
from daemon.store.canonical import form_of, rows_of
from daemon.store.compare import Snapshot
from daemon.store.derived import REMOVED_DAYS
from daemon.store.ledger import REJECTS_REMOVED
from daemon.store.schema import DELIVERIES, LINE_BITS, LIVE, SHADOWED, is_of, rejects_are_of
from daemon.store.schema import REJECTS as REJECTED
from daemon.store.staging import REJECTS, Stage
from daemon.store.store import Store
from handlers.feed import Feed, names
from handlers.fixes import FIXED_LINE, fixing


@contextlib.contextmanager
def scratch_store(url: str) -> Iterator[Store]:
    """A new SQLite database that is thrown away: it does not wait for the disk."""
    store = Store.open(url)

    @event.listens_for(store.engine, "connect")
    def hurry(connection: sqlite3.Connection, _record: object) -> None:
        connection.execute("PRAGMA synchronous=OFF")

    store.engine.dispose()  # what was opened so far waits
    try:
        yield store
    finally:
        store.close()


def take_over(
    source: Snapshot, row: Mapping[str, Any], delivery: Delivery, feed: Feed, store: Store
) -> Outcome:
    """Loads what a database has of a delivery, as if it had been read from the file.

    Args:
        source: the database.
        row: the delivery's row of the ledger there.
        delivery: as it is to be recorded.
        feed: whose rows.
        store: where it is loaded.
    """
    dialect = Dialect(row["encoding"] or "", row["delimiter"] or "", tuple(_header(row)))
    fixes = row["fixes"]
    with store.stage(feed if fixes is None else fixing(feed)) as stage:
        for rows in (
            _rows(source, row["id"], feed) if fixes is None else _fixed(source, row["id"], fixes, feed)
        ):
            stage.append(rows.combine_chunks().to_batches()[0])
        _reject(source, row["id"], stage)
        if REJECTS_REMOVED in (row["error_details"] or {}):
            corrected = source.connection.execute(_corrected(row["id"])).scalar_one()
            stage.rejects = row["records_failed"] + corrected
        stage.known = max(0, row["records_processed"] - stage.rows - stage.rejects)
        stage.finish()
        return store.commit(delivery, stage, dialect, 0.0, least_share=0.0)


def take_over_removed_days(store: Store, source: Snapshot) -> None:
    """Says to a replay which days' rows were removed, and when: what came late for them changed less."""
    found = [dict(row) for row in source.connection.execute(select(REMOVED_DAYS)).mappings()]
    if found:
        store.change(lambda connection: connection.execute(insert(REMOVED_DAYS), found).rowcount)


def take_over_counts(store: Store, source: Snapshot, deliveries: Sequence[int]) -> None:
    """Lets the replay's ledger say of some deliveries what the database's says: nobody can count their rows any more."""
    names = ("status", "records_processed", "records_successful", "records_failed", "records_duplicate")
    for delivery_id in deliveries:
        its = select(*(DELIVERIES.c[name] for name in names)).where(DELIVERIES.c.id == delivery_id)
        said = dict(source.connection.execute(its).mappings().one())
        change = update(DELIVERIES).where(DELIVERIES.c.id == delivery_id).values(said)
        store.change(lambda connection, change=change: connection.execute(change).rowcount)  # type: ignore[misc]


def forget_rejects(store: Store, source: Snapshot, deliveries: Sequence[int]) -> None:
    """Takes those rejects out of a replay that the database has not kept of some deliveries (``daemon.store.retention``).

    What is left of them there, because it was corrected, is compared.
    """
    for delivery_id in deliveries:
        kept = source.connection.execute(select(REJECTED.c.id).where(rejects_are_of(delivery_id))).scalars()
        ids: BindParameter[Any] = bindparam(
            "kept", list(kept), expanding=True, literal_execute=True
        )  # they may be very many
        gone = [rejects_are_of(delivery_id), REJECTED.c.id.not_in(ids)]
        store.change(partial(_delete_rejects, which=gone))


def _corrected(delivery_id: int) -> Select[Any]:
    """How many rejects of a delivery were corrected: what is left of those that are old."""
    fixed = REJECTED.c.fixed_by.is_not(None)
    return select(func.count()).select_from(REJECTED).where(rejects_are_of(delivery_id), fixed)


def _delete_rejects(connection: Connection, which: Sequence[ColumnElement[bool]]) -> None:
    connection.execute(delete(REJECTED).where(*which))


def _header(row: Mapping[str, Any]) -> list[str]:
    return list((row["error_details"] or {}).get("header", []))


def _rows(source: Snapshot, delivery_id: int, feed: Feed) -> Iterator[pa.Table]:
    """The rows that the delivery's own file brought: those that a fix brought stand among its rejects, too."""
    for table in (LIVE[feed.name], SHADOWED[feed.name]):
        rejected = f"EXISTS (SELECT 1 FROM rejected_rows r WHERE r.id = {table.name}.id)"
        form = form_of(table, names(feed.columns), f"{is_of(delivery_id)} AND NOT {rejected}")
        for rows in rows_of(source.connection, form):
            yield _with_lines(form.as_table(rows))


def _fixed(source: Snapshot, fix: int, first: int, feed: Feed) -> Iterator[pa.Table]:
    """The rows that a fix brought, with the lines they correct, in an order that gives them their numbers again."""
    number = (feed.key[-1],) if feed.repeats == "number" else ()
    found = []
    for table in (LIVE[feed.name], SHADOWED[feed.name]):
        fixed = f"EXISTS (SELECT 1 FROM rejected_rows r WHERE r.id = {table.name}.id AND r.fixed_by = {fix})"
        form = form_of(table, (*names(feed.columns), *number), f"{is_of(first)} AND {fixed}")
        found += [form.as_table(rows) for rows in rows_of(source.connection, form)]
    if not found:
        return
    rows = pa.concat_tables(found).sort_by([*((name, "ascending") for name in number), ("id", "ascending")])
    rows = _with_lines(rows).rename_columns({"line": FIXED_LINE}).drop_columns(list(number))
    yield rows.append_column("line", pa.array(range(1, rows.num_rows + 1), pa.int64()))


def _reject(source: Snapshot, delivery_id: int, stage: Stage) -> None:
    columns = ("column_name", "value", "reason", "message", "raw")
    form = form_of(REJECTED, columns, is_of(delivery_id))
    for rows in rows_of(source.connection, form):
        stage.manners.insert(stage.connection, REJECTS, _with_lines(form.as_table(rows)))
        stage.rejects += len(rows)


def _with_lines(rows: pa.Table) -> pa.Table:
    """Rows that have their line for an id."""
    lines = pc.bit_wise_and(rows["id"], pa.scalar(2**LINE_BITS - 1, pa.int64()))
    return rows.drop_columns(["id"]).add_column(0, "line", lines)
