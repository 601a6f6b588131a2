"""Random histories of files, old rows that go, late files and files that are taken out, beside a plain model of them."""

import os
from collections import Counter
from dataclasses import dataclass, field
from datetime import date, timedelta

from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete, select
from support.files import DEMAND, INVENTORY, SALES_WITH_TRANSACTION, csv_bytes
from support.loading import ARRIVED, load, wipe

from daemon.outcomes import Duplicate, Loaded
from daemon.retention import rows as old_rows
from daemon.store import raw_rows
from daemon.store.derived import REMOVED_DAYS
from daemon.store.schema import DAILY, LIVE, SHADOWED, TOTALS
from daemon.store.unload import CannotUnload
from handlers.errors import FileError

PROPERTY = settings(
    max_examples=int(os.environ.get("SGTEST_EXAMPLES", "5")),
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
BEGIN = date(2025, 6, 1)
LATE = ARRIVED + timedelta(days=30)  # nothing that came is young any more
HEADERS = {"sales": SALES_WITH_TRANSACTION, "inventory": INVENTORY, "demand": DEMAND}


@dataclass(frozen=True)
class Row:
    """A row of any feed: its day, counted from 0, and its hour tell snapshots apart, `receipt` sales."""

    day: int
    product: str
    value: int
    hour: int = 8
    receipt: str = ""

    def text(self, feed):
        at = f"{BEGIN + timedelta(self.day)}T{self.hour:02}:00:00"
        match feed:
            case "sales":
                named = f"{self.receipt}-{self.day}" if self.receipt else ""
                return f"{at},{self.product},pos,{self.value},1.00,,,,,{named}"
            case "inventory":
                return f"{at},{self.product},s1,{self.value},,,,"
            case _:
                return f"{at},{self.product},{'high' if self.value > 2 else 'low'},,,,,"


@dataclass(frozen=True)
class File:
    feed: str
    slot: int
    rows: tuple[Row, ...]


@dataclass(frozen=True)
class Retain:
    first: int


@dataclass(frozen=True)
class Unload:
    which: int


def _files(feed, days):
    receipts = st.sampled_from(["", "", "R", "S"]) if feed == "sales" else st.just("")
    hours = st.just(8) if feed == "sales" else st.sampled_from([8, 20])
    row = st.builds(Row, st.sampled_from(days), st.sampled_from("AB"), st.integers(1, 4), hours, receipts)
    unlike = st.lists(row, min_size=1, max_size=3, unique_by=lambda r: (r.day, r.product, r.hour, r.receipt))
    return st.builds(File, st.just(feed), st.integers(0, 2), unlike.map(tuple))


def histories(feed):
    """Some files, most of them of old days; rows go; then whatever may follow."""
    unloads, retains = st.builds(Unload, st.integers(0, 5)), st.builds(Retain, st.integers(1, 2))
    late = _files(feed, [0, 0, 0, 1, 2])
    return st.tuples(
        st.lists(_files(feed, [0, 0, 1]), min_size=1, max_size=3),
        st.just([Retain(1)]),
        st.lists(st.one_of(late, late, late, unloads, retains), min_size=2, max_size=6),
    ).map(lambda parts: [step for part in parts for step in part])


@dataclass
class Delivery:
    key: int
    slot: int
    rows: tuple[Row, ...]
    superseded_by: int | None = None
    noted: bool = False


@dataclass
class Model:
    """What is to be: rows are never forgotten here, only that they are gone."""

    feed: str
    deliveries: dict[int, Delivery] = field(default_factory=dict)
    gone: dict[int, set[int]] = field(default_factory=dict)  # days whose rows are gone, by delivery
    removed: set[int] = field(default_factory=set)
    sealed: dict[tuple[int, str], int] = field(default_factory=dict)

    def current(self, slot):
        own = [d for d in self.deliveries.values() if d.slot == slot and d.superseded_by is None]
        return own[-1] if own else None

    def key(self, delivery, row):
        if self.feed != "sales":
            return row.product, row.day, row.hour
        return (row.product, row.day, row.receipt) if row.receipt else (delivery.key, row)

    def figures(self):
        """Of each product and day: the units of sales, the last stock level, the number of high signals less low ones."""
        winners = {}
        for d in self.deliveries.values():
            if d.superseded_by is None:
                winners |= {self.key(d, row): row for row in d.rows}
        found = Counter() if self.feed != "inventory" else {}
        for row in sorted(winners.values(), key=lambda r: r.hour):
            where = row.day, row.product
            if self.feed == "sales":
                found[where] += row.value
            elif self.feed == "inventory":
                found[where] = row.value
            else:
                found[where] += 1 if row.value > 2 else -1
        present = {(row.day, row.product) for row in winners.values()}
        return {where: self.sealed.get(where, found[where]) for where in present | self.sealed.keys()}

    def may_be_old(self, rows):
        """Transactions of days whose rows went, of products that have figures of it."""
        known = self.figures().keys()
        return any(r.receipt and r.day in self.removed and (r.day, r.product) in known for r in rows)

    def days(self, delivery):
        return {row.day for row in delivery.rows} - self.gone.get(delivery.key, set())

    def retain(self, first):
        old = {d.key for d in self.deliveries.values() if all(row.day < first for row in d.rows)}
        figures = self.figures()
        for day in range(first):
            its = [d for d in self.deliveries.values() if day in self.days(d)]
            if not its or any(max(self.days(d)) >= first for d in its):
                continue
            assert {d.key for d in its} <= old
            self.removed.add(day)
            if self.feed != "sales":
                self.sealed |= {where: value for where, value in figures.items() if where[0] == day}
            for d in its:
                d.noted = True
                self.gone.setdefault(d.key, set()).add(day)

    def unload(self, delivery):
        before = [d for d in self.deliveries.values() if d.superseded_by == delivery.key]
        if delivery.noted or (delivery.superseded_by is None and any(d.noted for d in before)):
            return False
        for d in before:
            d.superseded_by = delivery.superseded_by
        del self.deliveries[delivery.key]
        return True


def check(store, model):
    """The figures are what the model says, and the rows that are there are those that should be."""
    table = DAILY[model.feed]
    measure = {"sales": "units", "inventory": "close", "demand": "level_sum"}[model.feed]
    with store.engine.connect() as connection:
        found = {
            ((row["day"] - BEGIN).days, row["product_id"]): row[measure]
            for row in connection.execute(select(table)).mappings()
        }
        assert found == model.figures()
        totals = connection.execute(select(TOTALS.c.day).where(TOTALS.c.scope == "")).scalars()
        assert {(day - BEGIN).days for day in totals} == {day for day, _ in found}
        kept = Counter()
        for each in (LIVE[model.feed], SHADOWED[model.feed]):
            for row in connection.execute(select(each.c.delivery_id, each.c.date)):
                kept[row.delivery_id, (row.date.date() - BEGIN).days] += 1
    assert kept == Counter(
        (d.key, r.day) for d in model.deliveries.values() for r in d.rows if r.day in model.days(d)
    )


def run(store, feed, history):
    wipe(store.engine)
    store.change(lambda connection: connection.execute(delete(REMOVED_DAYS)).rowcount)
    model = Model(feed)
    for number, step in enumerate(history):
        match step:
            case File():
                bring(store, model, step, number)
            case Retain():
                gone = dict.fromkeys(raw_rows.NAMES, 0)
                old_rows.remove(store, BEGIN + timedelta(step.first), LATE, gone)
                model.retain(step.first)
            case Unload() if model.deliveries:
                chosen = list(model.deliveries.values())[step.which % len(model.deliveries)]
                try:
                    store.unload(chosen.key, "")
                    assert model.unload(chosen)
                except CannotUnload:
                    assert not model.unload(chosen)
        check(store, model)


def bring(store, model, file, number):
    name = f"{file.feed}_data_20250601_{file.slot}.csv"
    content = csv_bytes(
        f"{HEADERS[file.feed]},number", [f"{row.text(file.feed)},{number}" for row in file.rows]
    )
    before = model.current(file.slot)
    refused = (before is not None and before.noted) or model.may_be_old(file.rows)
    try:
        outcome = load(store, name, content)
    except FileError:
        assert refused
        return
    assert isinstance(outcome, Loaded)
    assert not refused
    if before is not None:
        before.superseded_by = outcome.delivery_id
    model.deliveries[outcome.delivery_id] = Delivery(outcome.delivery_id, file.slot, file.rows)
    assert isinstance(load(store, name, content), Duplicate)


@PROPERTY
@given(history=histories("sales"))
def test_sales(store, history):
    run(store, "sales", history)


def stock(slot, *rows):
    return File("inventory", slot, tuple(Row(*row) for row in rows))


OLD = stock(0, (0, "A", 1))


@PROPERTY
@given(history=histories("inventory"))
# late rows make an aggregate together, are corrected, and come back
@example([OLD, Retain(1), stock(1, (0, "B", 2)), stock(2, (0, "B", 3, 20)), Unload(1), Retain(2)])
@example([OLD, Retain(1), stock(1, (0, "A", 4), (0, "B", 2)), stock(1, (0, "B", 3)), Unload(2)])
# what was replaced is gone
@example([OLD, stock(1, (0, "B", 2)), stock(1, (2, "B", 3)), Retain(1), Unload(2)])
# rows wait for those of the same day, also if others of their file went
@example(
    [
        OLD,
        Retain(1),
        stock(1, (0, "B", 2, 20), (2, "B", 2)),
        stock(2, (0, "B", 1), (1, "B", 1)),
        Retain(2),
        Retain(2),
        Unload(1),
    ]
)
def test_inventory(store, history):
    run(store, "inventory", history)


@PROPERTY
@given(history=histories("demand"))
def test_demand(store, history):
    run(store, "demand", history)
