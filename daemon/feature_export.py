"""All products' features as a file: Parquet or CSV, written some products at a time, there whole or not at all."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import pyarrow as pa

from daemon.feature_view import NoFeatures
from daemon.files import sync_folder
from daemon.store import Store, feature_view
from daemon.store import features as table
from daemon.store.product_days import history_of
from handlers.features import features_of

SUFFIXES: Final = (".parquet", ".csv")
_STORED = 2_000  # products at a time
_COMPUTED = 250  # each of them reads some hundred days


class _Writer(Protocol):
    def write_table(self, table: pa.Table) -> None: ...


def export(
    store: Store,
    target: Path,
    as_of: date | None,
    fresh_days: int,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> dict[str, Any]:
    """Writes the features of all products.

    Args:
        store: the database.
        target: ends in one of the ``SUFFIXES``; replaced if it is there.
        as_of: the day; none for each product's newest row. A day of which nothing is stored is computed from the
            daily aggregates, with what is known now.
        fresh_days: how old the latest stock level may be.
        progress: told how many products are done, and of how many.

    Returns:
        ``file``, ``products``, ``as_of``, ``stored`` (whether the rows are what was computed then), ``data_day`` and
        ``behind`` (how many products are not up to date).

    Raises:
        NoFeatures: the day is later than all data.
        OSError: the file cannot be written.
    """
    day = store.ask(table.frontier)
    if as_of is not None and (day is None or as_of > day):
        raise NoFeatures(f"{as_of} is after the newest day with data, {day or 'of which there is none yet'}")
    stored = as_of is None or as_of in store.ask(table.feature_days)
    upto = as_of or day or date.min
    total = store.ask(lambda connection: feature_view.count_seen(connection, upto))
    batches = _stored(store, as_of) if stored else _computed(store, upto, fresh_days)
    done = 0
    with _replacing(target) as file, _writing(file, target.suffix) as writer:
        for batch in batches:
            writer.write_table(batch)
            done += batch.num_rows
            progress(done, total)
    return {
        "file": str(target),
        "products": done,
        "as_of": None if as_of is None else as_of.isoformat(),
        "stored": stored,
        "data_day": None if day is None else day.isoformat(),
        "behind": store.ask(feature_view.count_behind),
    }


def _stored(store: Store, as_of: date | None) -> Iterator[pa.Table]:
    """The rows there are, of a day or the newest of each product."""
    product = ""
    while True:
        after = product
        batch = store.ask(lambda connection: feature_view.rows_after(connection, after, as_of, _STORED))  # noqa: B023
        if not batch.num_rows:
            return
        yield batch
        product = batch["product_id"][-1].as_py()


def _computed(store: Store, as_of: date, fresh_days: int) -> Iterator[pa.Table]:
    """The features of a day in the past, computed now."""
    product = ""
    known = store.ask(table.known_at)
    while True:
        after = product
        some = store.ask(lambda connection: feature_view.products_after(connection, after, as_of, _COMPUTED))  # noqa: B023
        if not some:
            return
        history = store.ask(lambda connection: history_of(connection, some, as_of, fresh_days))  # noqa: B023
        yield feature_view.exported(features_of(history).table(), known)
        product = some[-1]


@contextmanager
def _replacing(target: Path) -> Iterator[BinaryIO]:
    """A file beside the target that takes its place in the end; if anything fails it is removed."""
    temporary = target.with_name(f".{target.name[:200]}.tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(target)
        sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def _writing(file: BinaryIO, suffix: str) -> Iterator[_Writer]:
    schema = feature_view.EXPORTED
    if suffix == ".csv":
        import pyarrow.csv as pacsv  # noqa: PLC0415

        with pacsv.CSVWriter(file, schema) as writer:
            yield writer
        return
    import pyarrow.parquet as pq  # noqa: PLC0415  (40 ms)

    with pq.ParquetWriter(file, schema, compression="zstd") as writer:
        yield writer
