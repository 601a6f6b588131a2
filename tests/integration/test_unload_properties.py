"""Taking deliveries out again: whatever came before and after, the tables are as if they had never come."""

import re
from dataclasses import dataclass

from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from support.dump import dump
from support.files import DEMAND, INVENTORY, SALES_WITH_TRANSACTION, csv_bytes
from support.loading import load, wipe

from daemon.outcomes import Loaded
from daemon.store.unload import CannotUnload

PROPERTY = settings(
    max_examples=20,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate, Phase.shrink],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
HEADERS = {"sales": SALES_WITH_TRANSACTION, "inventory": INVENTORY, "demand": DEMAND}

times = st.sampled_from(["2025-06-01", "2025-06-01T20:00:00", "2025-06-02T07:00:00"])
products = st.sampled_from(["A", "B"])
sales = st.builds(
    "{},{},{},{},{},,{},,{},{}".format,
    times,
    products,
    st.sampled_from(["online", "pos"]),
    st.sampled_from(["1", "2", "x"]),
    st.sampled_from(["0.0001", "2.50"]),
    st.sampled_from(["", "PROMO"]),
    st.sampled_from(["", "s1"]),
    st.sampled_from(["", "T1", "T2"]),
)
inventory = st.builds("{},{},s1,{},,,,".format, times, products, st.sampled_from(["5", "6", "x"]))
demand = st.builds("{},{},{},0.5,1,,,".format, times, products, st.sampled_from(["high", "low", "x"]))
ROWS = {"sales": sales, "inventory": inventory, "demand": demand}
RIGHT = {"sales": ",3,", "inventory": ",7,", "demand": ",medium,"}


@dataclass(frozen=True)
class File:
    """A file of a source; with `fixes` it corrects rejects of the n-th file that came before, where there are any."""

    feed: str
    source: str
    rows: tuple[str, ...]
    fixes: int | None = None
    still_wrong: bool = False


def _files(feed):
    good_and_bad = st.lists(ROWS[feed], min_size=1, max_size=6).map(tuple)
    return st.builds(File, st.just(feed), st.sampled_from("ab"), good_and_bad)


files = st.one_of(*(_files(feed) for feed in HEADERS))
fixes = st.builds(
    File, st.just(""), st.just(""), st.just(()), fixes=st.integers(0, 3), still_wrong=st.booleans()
)
histories = st.lists(st.one_of(files, files, fixes), min_size=1, max_size=7)


def rejected(file):
    """Line and text of the rows that are wrong in themselves."""
    return [(line, row) for line, row in enumerate(file.rows, 2) if ",x," in row]


def content_of(file, number):
    """A file's bytes; its number stands in a column of its own, so that no two are alike."""
    header = f"{HEADERS[file.feed]},number"
    return csv_bytes(header, [f"{row},{number}" for row in file.rows])


class History:
    """Loads files one after the other and remembers their deliveries."""

    def __init__(self, store):
        self.store = store
        self.loaded: dict[int, int] = {}  # number of the file -> delivery
        self.first: dict[int, int] = {}  # number of a fix -> number of the file it fixes

    def load(self, number, file, before):
        if file.fixes is not None:
            self._fix(number, file, before)
            return
        if len(rejected(file)) == len(file.rows):
            return  # refused as a whole
        name = f"{file.feed}_data_20250601_{file.source}.csv"
        outcome = load(self.store, name, content_of(file, number))
        assert isinstance(outcome, Loaded)
        self.loaded[number] = outcome.delivery_id

    def _fix(self, number, file, before):
        # among all, so that a fix has the same target also when others were left out
        broken = [n for n, other in before if other.fixes is None and rejected(other)]
        if not broken:
            return
        target = broken[file.fixes % len(broken)]
        if target not in self.loaded:
            return
        row = self.store.delivery(self.loaded[target])
        if row["superseded_by"] is not None or row["status"] == "unloaded":
            return
        first = dict(before)[target]
        right = ",y," if file.still_wrong else RIGHT[first.feed]
        rows = [f"{line},,,{text.replace(',x,', right, 1)},{number}" for line, text in rejected(first)]
        header = f"reject_line,reject_reason,reject_message,{HEADERS[first.feed]},number"
        name = f"{first.feed}_data_20250601_{first.source}.csv"
        outcome = load(self.store, name, csv_bytes(header, rows), fixes=row["id"])
        assert isinstance(outcome, Loaded)
        self.loaded[number] = outcome.delivery_id
        self.first[number] = target


def run(store, history, without=frozenset()):
    done = History(store)
    numbered = list(enumerate(history))
    for number, file in numbered:
        if number not in without:
            done.load(number, file, numbered[:number])
    return done


def without_ids(store):
    """The tables, deliveries named by their files, in the sentences about rejects too."""
    tables = dump(store.engine, by_name=True, ledger=False)
    for row in tables["rejected_rows"]:
        row["message"] = re.sub(r"delivery \d+", "delivery …", row["message"])
    return tables


@PROPERTY
@given(history=histories)
def test_taking_out_the_last_delivery_leaves_everything_as_it_was(store, history):
    wipe(store.engine)
    before = run(store, history[:-1])
    tables = dump(store.engine, ledger=False)
    counts = {key: store.delivery(key)["records_successful"] for key in before.loaded.values()}
    numbered = list(enumerate(history))
    before.load(len(history) - 1, history[-1], numbered[:-1])
    last = before.loaded.get(len(history) - 1)
    assume(last is not None)
    store.unload(last, "")
    assert dump(store.engine, ledger=False) == tables
    counts.pop(last, None)
    assert {key: store.delivery(key)["records_successful"] for key in counts} == counts


@PROPERTY
@given(history=histories, data=st.data())
def test_taking_out_any_deliveries_is_as_if_they_had_never_come(store, history, data):
    wipe(store.engine)
    done = run(store, history)
    assume(done.loaded)
    gone = data.draw(st.lists(st.sampled_from(sorted(done.loaded)), unique=True, min_size=1))
    for number in list(gone):
        if store.delivery(done.loaded[number])["status"] == "unloaded":  # a fix goes with its file
            continue
        try:
            store.unload(done.loaded[number], "")
        except CannotUnload:  # a later fix of the same file must go first
            gone.remove(number)
    found = without_ids(store)
    with_fixes = {*gone, *(fix for fix, first in done.first.items() if first in gone)}
    # a fix that could not be in one history, because its file had been replaced, shall not be in the other
    never = {number for number in range(len(history)) if number not in done.loaded}
    wipe(store.engine)
    run(store, history, without=with_fixes | never)
    assert found == without_ids(store)
