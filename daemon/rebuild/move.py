"""``rebuild --into``: the site's database, exactly, in another place."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

from daemon.rebuild.verify import Bars
from daemon.settings import Settings, safe_url
from daemon.store.compare import Compared, Snapshot, compare, snapshot, whole_tables
from daemon.store.copying import (
    changed_since,
    copy_table,
    followed_since,
    keep_numbers,
    opened_target,
    rows_there,
)
from daemon.store.looking import looking
from daemon.store.store import Store


@dataclass(frozen=True, slots=True)
class Copied:
    """A table in both databases.

    Attributes:
        table: which.
        rows: how many it has in the site's database.
        there: how many the target had before.
        copied: how many were put in; None in a dry run.
        differences: values or rows that differ in the end; None in a dry run.
    """

    table: str
    rows: int
    there: int
    copied: int | None = None
    differences: int | None = None


@dataclass(slots=True)
class Move:
    """What was copied, or would be.

    Attributes:
        target: its URL, without a password.
        dry: nothing was done.
        tables: each table, the ledger first.
        changed: deliveries that came or were changed while it was copied.
        followed: whether features, quality or alerts were, without that.
    """

    target: str
    dry: bool
    tables: list[Copied] = field(default_factory=list)
    changed: int = 0
    followed: bool = False

    @property
    def is_exact(self) -> bool:
        """Whether the target is what the site's database is now."""
        return not (self.changed or self.followed or any(table.differences for table in self.tables))

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "target": self.target,
            "dry_run": self.dry,
            "exact": None if self.dry else self.is_exact,
            "changed_meanwhile": self.changed,
            "followed_meanwhile": self.followed,
            "tables": [asdict(table) for table in self.tables],
        }


def plan(settings: Settings, url: str) -> Move:
    """How much there is to copy; nothing is made or changed. Raises as ``move`` does."""
    with looking(settings.database_url) as store, snapshot(store) as source:
        there = rows_there(url, source)
        forms = whole_tables()
        tables = [Copied(f.table.name, f.count(source.connection), there[f.table.name]) for f in forms]
    return Move(safe_url(url), dry=True, tables=tables)


def move(settings: Settings, url: str, bars: Bars) -> Move:
    """Copies what the target does not have, or has otherwise, and compares every table.

    The site's database is held still for reading meanwhile: what the daemon writes to it is not copied, but noticed.

    Args:
        settings: whose database.
        url: the target, of either kind, empty or a copy of the same site.
        bars: for progress.

    Raises:
        CannotCopy: the target is the database itself, or holds something else.
        DatabaseUnavailable: one of them cannot be reached.
    """
    timeout = settings.database.busy_timeout_seconds
    with (
        looking(settings.database_url, busy_timeout_seconds=timeout) as store,
        snapshot(store) as source,
        opened_target(url, source, busy_timeout_seconds=timeout) as target,
    ):
        there = _counts(target)
        copied = _copy(source, target, bars)
        keep_numbers(source, target)
        compared = _compare(source, target, bars)
        changed, followed = changed_since(source, store), followed_since(source, store)
    tables = [Copied(c.table, c.rows, there[c.table], copied[c.table], c.differences) for c in compared]
    return Move(safe_url(url), dry=False, tables=tables, changed=changed, followed=followed and not changed)


def _counts(target: Store) -> dict[str, int]:
    with snapshot(target) as there:
        return {form.table.name: form.count(there.connection) for form in whole_tables()}


def _copy(source: Snapshot, target: Store, bars: Bars) -> dict[str, int]:
    forms = whole_tables()
    with bars("rows to copy") as bar:
        advance = _Steps(bar, source)
        return {form.table.name: copy_table(source, target, form, advance) for form in forms}


def _compare(source: Snapshot, target: Store, bars: Bars) -> list[Compared]:
    with snapshot(target) as there, bars("rows to compare") as bar:
        advance = _Steps(bar, source)
        return [compare(source, there, form, progress=advance) for form in whole_tables()]


class _Steps:
    """Tells a bar the sum of what was done."""

    def __init__(self, bar: Callable[[int, int], None], source: Snapshot) -> None:
        self._bar = bar
        self._total = sum(form.count(source.connection) for form in whole_tables())
        self._done = 0
        bar(0, self._total)

    def __call__(self, rows: int) -> None:
        self._done += rows
        self._bar(self._done, self._total)
