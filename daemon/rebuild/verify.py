"""``rebuild --verify``: is the database what the filed files make of it?"""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from daemon.files import Folders
from daemon.reading import Rules
from daemon.rebuild.replay import Remark, Replay
from daemon.rebuild.room import room
from daemon.settings import Settings, quoted
from daemon.store.canonical import Value
from daemon.store.compare import (
    Compared,
    Difference,
    Snapshot,
    compare,
    replayed_ledger,
    replayed_tables,
    snapshot,
)
from daemon.store.looking import looking
from daemon.store.replaying import forget_rejects, scratch_store, take_over_counts

# a progress bar for what is counted, such as "rows"; it is told how many are done, and how many there are
Bars = Callable[[str], AbstractContextManager[Callable[[int, int], None]]]
SHOWN = 20
_SPLIT = ("records_successful", "records_duplicate")


@dataclass(slots=True)
class Verification:
    """What a replay found.

    Attributes:
        replayed: deliveries that were loaded again from their files.
        not_replayed: those whose files are not there as they were: their rows prove nothing.
        otherwise: those that today's rules and patterns would not load.
        rejects_removed: deliveries whose rejected rows retention has removed: what was rejected of them is not compared.
        rows_removed: deliveries whose rows retention has removed: they are not compared; what is made of them is.
        lost: those of them that have no file either: figures of such days prove nothing.
        tables: each table, with how much differs.
        examples: the first differences.
    """

    replayed: int = 0
    not_replayed: list[Remark] = field(default_factory=list)
    otherwise: list[Remark] = field(default_factory=list)
    rejects_removed: int = 0
    rows_removed: int = 0
    lost: int = 0
    tables: list[Compared] = field(default_factory=list)
    examples: list[Difference] = field(default_factory=list)

    @property
    def differences(self) -> int:
        """How many values or rows differ."""
        return sum(table.differences for table in self.tables)

    @property
    def is_equal(self) -> bool:
        """Whether the database is proved: all was replayed, and nothing differs."""
        return not (self.differences or self.not_replayed)

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "equal": self.is_equal,
            "replayed": self.replayed,
            "not_replayed": [asdict(remark) for remark in self.not_replayed],
            "otherwise": [asdict(remark) for remark in self.otherwise],
            "rejects_removed": self.rejects_removed,
            "rows_removed": self.rows_removed,
            "lost": self.lost,
            "tables": [{"table": t.table, "rows": t.rows, "differences": t.differences} for t in self.tables],
            "differences": self.differences,
            "first_differences": [asdict(difference) for difference in self.examples],
        }


def verify(settings: Settings, scratch: Path | None, bars: Bars) -> Verification:
    """Replays what is loaded, and compares.

    Args:
        settings: whose database and data folder; nothing in either is changed.
        scratch: where the scratch database lies for a while; below ``.work/`` if it is not given.
        bars: for progress.

    Raises:
        DatabaseUnavailable: there is no database, or it does not answer.
        TransientError: the scratch database has no room.
    """
    folders = Folders(settings.data_dir)
    with (
        looking(settings.database_url, busy_timeout_seconds=settings.database.busy_timeout_seconds) as real,
        snapshot(real) as ledger,
        room(scratch or folders.work) as place,
        scratch_store(f"sqlite:///{quoted(place / 'scratch.db')}") as store,
    ):
        replay = Replay(ledger, real, store, folders, Rules.of(settings), place)
        with bars("deliveries") as bar:
            total = ledger.count_loaded()
            for done, row in enumerate(ledger.loaded()):
                bar(done, total)
                replay.deliver(row)
            bar(total, total)
        removed = ledger.rejects_removed()
        forget_rejects(store, ledger, removed)
        take_over_counts(store, ledger, replay.lost)
        rows_removed = ledger.rows_removed()
        with snapshot(store) as made:
            tables = _compare(replay, ledger, made, bars)
    examples = [example for table in tables for example in table.examples]
    return Verification(
        replay.replayed,
        replay.not_replayed,
        replay.otherwise,
        len(removed),
        rows_removed,
        len(set(replay.lost)),
        tables,
        examples[:SHOWN],
    )


def _compare(replay: Replay, ledger: Snapshot, made: Snapshot, bars: Bars) -> list[Compared]:
    """Each table, the ledger first: what differs there explains most of what differs below."""

    def alike(one: dict[str, Value], other: dict[str, Value]) -> bool:
        return one["id"] in replay.split_may_differ and _joined(one) == _joined(other)

    here, there = (replayed_tables(each, unproved=replay.lost_feeds) for each in (ledger, made))
    pairs = [
        (replayed_ledger(only_loaded=True), replayed_ledger(only_loaded=False)),
        *zip(here, there, strict=True),
    ]
    total = sum(form.count(ledger.connection) for form, _ in pairs)
    done = 0
    found = []
    with bars("rows") as bar:

        def advance(rows: int) -> None:
            nonlocal done
            done += rows
            bar(done, total)

        for place, (form, other) in enumerate(pairs):
            rule = {} if place else {"alike": alike}
            found.append(compare(ledger, made, form, other, most=SHOWN, progress=advance, **rule))
    return found


def _joined(row: dict[str, Value]) -> dict[str, Value]:
    """A row of the ledger in which loaded and duplicate rows are one figure."""
    rest = {name: value for name, value in row.items() if name not in _SPLIT}
    return {**rest, "both": sum(int(row[name] or 0) for name in _SPLIT)}
