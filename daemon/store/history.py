"""Reading the ledger for people: pages of deliveries, and what one delivery has to do with others. Nothing is written."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, func, or_, select

from daemon.store import ledger
from daemon.store.schema import DELIVERIES, REJECTS, rejects_are_of

_C, _R = DELIVERIES.c, REJECTS.c
_BATCH = 1_000  # rows a query; the glob of a rare name may need many
_BRIEF = (
    _C.id,
    _C.timestamp,
    _C.file_name,
    _C.file_type,
    _C.status,
    _C.records_processed,
    _C.records_successful,
    _C.records_failed,
    _C.records_duplicate,
    _C.superseded_by,
    _C.unloaded_at,
)
STATUSES = ("success", "partial", "failed", "duplicate", "unloaded")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which deliveries; None: all.

    Attributes:
        feed: the owner of the name; "none" for those that no feed owns.
        status: one of ``STATUSES``.
        since: arrived at or after this, aware.
        until: arrived before this, aware.
        name: a glob that the file's name matches.
    """

    feed: str | None = None
    status: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    name: str | None = None

    def takes(self, row: Mapping[Any, Any]) -> bool:
        """Whether a row's name matches: SQL looks for a little more than a glob says."""
        return self.name is None or fnmatchcase(row["file_name"], self.name)

    def conditions(self) -> list[ColumnElement[bool]]:
        """The same as SQL."""
        found: list[ColumnElement[bool]] = []
        if self.feed is not None:
            found.append(_C.file_type.is_(None) if self.feed == "none" else _C.file_type == self.feed)
        if self.status is not None:
            found.append(_C.status == self.status)
        if self.since is not None:
            found.append(_C.timestamp >= self.since)
        if self.until is not None:
            found.append(_C.timestamp < self.until)
        if self.name is not None:
            found.append(_C.file_name.like(_like(self.name), escape="!"))
        return found


def _like(glob: str) -> str:
    """A pattern of LIKE that finds at least what the glob finds."""
    plain, bracket, _ = glob.partition("[")  # what follows is left to the glob
    plain = plain.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    return plain.replace("*", "%").replace("?", "_") + ("%" if bracket else "")


def page(
    connection: Connection, wanted: Wanted, most: int, after: int = 0, upto: int | None = None
) -> list[dict[str, Any]]:
    """The last deliveries, oldest first, each with ``supersedes``: those it replaced.

    Args:
        connection: to the database.
        wanted: which.
        most: at most so many of them; 0 for all.
        after: only those with a higher id.
        upto: only those with this id or a lower one.
    """
    found: list[dict[str, Any]] = []
    before = None if upto is None else upto + 1
    while not most or len(found) < most:
        query = select(DELIVERIES).where(_C.id > after, *wanted.conditions()).order_by(_C.id.desc())
        if before is not None:
            query = query.where(_C.id < before)
        rows = [dict(row) for row in connection.execute(query.limit(_BATCH)).mappings()]
        found += [row for row in rows if wanted.takes(row)]
        if len(rows) < _BATCH:
            break
        before = rows[-1]["id"]
    return _with_replaced(connection, found[: most or None][::-1])


def chosen(connection: Connection, ids: Iterable[int], wanted: Wanted) -> list[dict[str, Any]]:
    """Those of some deliveries that are wanted, as ``page`` gives them."""
    rows = connection.execute(
        select(DELIVERIES).where(_C.id.in_(list(ids)), *wanted.conditions()).order_by(_C.id)
    )
    return _with_replaced(connection, [dict(row) for row in rows.mappings() if wanted.takes(row)])


def _with_replaced(connection: Connection, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    replaced: dict[int, list[int]] = {}
    for start in range(0, len(rows), _BATCH):
        ids = [row["id"] for row in rows[start : start + _BATCH]]
        query = (
            select(_C.id, _C.superseded_by)
            .where(_C.superseded_by.in_(ids), _C.fixes.is_(None))  # fixes go with what they fix
            .order_by(_C.id)
        )
        for old, new in connection.execute(query):
            replaced.setdefault(new, []).append(old)
    return [{**row, "supersedes": replaced.get(row["id"], [])} for row in rows]


def filling(connection: Connection, slot: str | None) -> int | None:
    """The delivery whose rows fill a slot now."""
    current = ledger.current_of(connection, slot)
    return current.delivery_id if current else None


def last_id(connection: Connection) -> int:
    """The newest delivery; 0 if there is none."""
    return ledger.last(connection)


def state_of(row: Mapping[Any, Any]) -> tuple[Any, ...]:
    """What changes in the life of a delivery."""
    return row["status"], row["superseded_by"], row["records_failed"]


def states(connection: Connection, after: int, upto: int) -> dict[int, tuple[Any, ...]]:
    """``state_of`` the deliveries with ids from above ``after`` to ``upto``."""
    query = select(_C.id, _C.status, _C.superseded_by, _C.records_failed).where(_C.id > after, _C.id <= upto)
    return {row["id"]: state_of(row) for row in connection.execute(query).mappings()}


def touched_by(connection: Connection, after: int) -> set[int]:
    """Older deliveries that those with a higher id replaced or fixed."""
    replaced = select(_C.id).where(_C.superseded_by > after)
    fixed = select(_C.fixes).where(_C.fixes.is_not(None), _C.id > after)
    return {int(row[0]) for query in (replaced, fixed) for row in connection.execute(query)}


def named(connection: Connection, name: str) -> list[int]:
    """The deliveries with a file name, newest first."""
    return [int(i) for i in connection.execute(_ids(_C.file_name == name)).scalars()]


def filed_at(connection: Connection, path: str) -> list[int]:
    """The deliveries whose file, or rejects file, was filed at a path relative to the data folder, newest first."""
    where = or_(_C.archive_path == path, _C.rejects_path == path)
    return [int(i) for i in connection.execute(_ids(where)).scalars()]


def filed_as(connection: Connection, name: str) -> list[int]:
    """The deliveries whose file, or rejects file, was filed under a name in any folder, newest first."""
    escaped = name.replace("!", "!!").replace("%", "!%").replace("_", "!_")
    tail = f"%/{escaped}"
    where = or_(_C.archive_path.like(tail, escape="!"), _C.rejects_path.like(tail, escape="!"))
    rows = connection.execute(
        select(_C.id, _C.archive_path, _C.rejects_path).where(where).order_by(_C.id.desc())
    )
    # LIKE of SQLite makes no difference between upper and lower case
    return [int(row.id) for row in rows if any((path or "").endswith(f"/{name}") for path in tuple(row)[1:])]


def _ids(where: ColumnElement[bool]) -> Any:
    return select(_C.id).where(where).order_by(_C.id.desc())


def names(connection: Connection, most: int) -> list[str]:
    """The file names of the last deliveries, each once, newest first."""
    rows = connection.execute(select(_C.file_name).order_by(_C.id.desc()).limit(most)).scalars()
    return list(dict.fromkeys(rows))


def briefs(connection: Connection, ids: Sequence[int]) -> list[dict[str, Any]]:
    """The main facts of some deliveries, in the order of the ids; those that are not there are left out."""
    rows = connection.execute(select(*_BRIEF).where(_C.id.in_(list(ids)))).mappings()
    known = {row["id"]: dict(row) for row in rows}
    return [known[i] for i in ids if i in known]


def facts(connection: Connection, delivery_id: int, examples: int) -> dict[str, Any] | None:
    """All that the database knows of a delivery: ``row``, ``relatives``, ``rejects`` (see there) and ``fixed``."""
    row = connection.execute(select(DELIVERIES).where(_C.id == delivery_id)).mappings().first()
    if row is None:
        return None
    return {
        "row": dict(row),
        "relatives": relatives(connection, row),
        "rejects": rejects_by_reason(connection, delivery_id, examples),
        "fixed": fixed_rejects(connection, delivery_id),
        "fixed_there": fixed_rejects(connection, row["fixes"]).get(delivery_id, 0) if row["fixes"] else 0,
    }


def relatives(connection: Connection, row: Mapping[Any, Any]) -> dict[str, list[dict[str, Any]]]:
    """The deliveries that have to do with one, by kind, each kind in the order in which they came.

    Args:
        connection: to the database.
        row: the delivery's row of the ledger.

    Returns:
        ``supersedes``, ``superseded_by``, ``duplicate_of``, ``duplicates``, ``fixes``, ``fixed_by``, ``extends``,
        ``extended_by``: the nearest ones. ``retry_of``: the whole chain back; ``retried_by``: the whole chain on.
    """
    key = row["id"]
    same_bytes = _C.sha256 == row["sha256"] if row["sha256"] else _C.id == key
    twins = (
        connection.execute(select(*_BRIEF, _C.duplicate_of, _C.retry_of).where(same_bytes).order_by(_C.id))
        .mappings()
        .all()
    )
    parents = {twin["id"]: twin["retry_of"] for twin in twins}
    back, onward = _chain(key, row["retry_of"], parents)
    return {
        "supersedes": _all(connection, _C.superseded_by, key, _C.fixes.is_(None)),
        "superseded_by": briefs(connection, _given(row["superseded_by"])),
        "duplicate_of": briefs(connection, _given(row["duplicate_of"])),
        "duplicates": [_short(twin) for twin in twins if twin["duplicate_of"] == key],
        "retry_of": briefs(connection, back),
        "retried_by": briefs(connection, onward),
        "fixes": briefs(connection, _given(row["fixes"])),
        "fixed_by": _all(connection, _C.fixes, key),
        "extends": briefs(connection, _given(row["extends"])),
        "extended_by": _all(connection, _C.extends, key),
    }


def _chain(key: int, retry_of: int | None, parents: Mapping[int, int | None]) -> tuple[list[int], list[int]]:
    """The ids of earlier and later tries of the same bytes."""
    back: list[int] = []
    while retry_of is not None and retry_of not in back:
        back.insert(0, retry_of)
        retry_of = parents.get(retry_of)
    onward: list[int] = []
    for child in sorted(parents):  # a try has a higher id than what it tries again
        if parents[child] in (key, *onward):
            onward.append(child)
    return back, onward


def _short(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {column.name: row[column.name] for column in _BRIEF}


def _given(key: int | None) -> list[int]:
    return [] if key is None else [key]


def _all(
    connection: Connection, column: Column[Any], key: int, *more: ColumnElement[bool]
) -> list[dict[str, Any]]:
    query = select(*_BRIEF).where(column == key, *more).order_by(_C.id)
    return [dict(row) for row in connection.execute(query).mappings()]


def rejects_by_reason(connection: Connection, delivery_id: int, examples: int) -> list[dict[str, Any]]:
    """A delivery's rejects grouped by reason, most first: ``reason``, ``count``, ``open`` and the first ``examples``."""
    own = rejects_are_of(delivery_id)
    groups = connection.execute(
        select(_R.reason, func.count().label("count"), func.count(_R.fixed_by).label("fixed"))
        .where(own)
        .group_by(_R.reason)
        .order_by(func.count().desc(), _R.reason)
    ).all()
    columns = (_R.line, _R.column_name.label("column"), _R.value, _R.message, _R.raw, _R.fixed_by)
    found = []
    for reason, count, fixed in groups:
        rows = connection.execute(
            select(*columns)
            .where(own, _R.reason == reason)
            .order_by(_R.fixed_by.is_not(None), _R.id)  # the open ones first: they are what is to be done
            .limit(examples)
        )
        group = {"reason": reason, "count": count, "open": count - fixed}
        found.append({**group, "examples": [dict(row) for row in rows.mappings()]})
    return found


def fixed_rejects(connection: Connection, delivery_id: int) -> dict[int, int]:
    """How many of a delivery's rejects each other delivery fixed."""
    rows = connection.execute(
        select(_R.fixed_by, func.count())
        .where(rejects_are_of(delivery_id), _R.fixed_by.is_not(None))
        .group_by(_R.fixed_by)
    )
    return {int(by): int(count) for by, count in rows}


def shas(connection: Connection) -> set[str]:
    """The SHA-256 of the files of all deliveries."""
    return set(connection.execute(select(_C.sha256).where(_C.sha256.is_not(None))).scalars())


def archived_paths(connection: Connection) -> set[str]:
    """Where the files of all deliveries lie, and the rejects of them; relative to the data folder."""
    rows = connection.execute(select(_C.archive_path, _C.rejects_path))
    return {path for row in rows for path in row if path is not None}
