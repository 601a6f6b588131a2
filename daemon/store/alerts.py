"""Alerts in the database: what begins, changes and ends them, and the outbox of what is to be told.

``apply`` belongs into the transaction that found something: an alert and its notice are committed with what they are about.
A notice without a letter waits to be told. The courier writes it into a letter; what ends before is not told at all.
An alert lives once for each key and may fire again: its times then are those of the last time, and ``times`` counts them.
``notified_at`` is the courier's: set when a letter tells of the alert, and none again when it begins anew.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, TypeVar

from sqlalchemy import Connection, bindparam, delete, exists, insert, literal, select, update

from daemon.store import ledger
from daemon.store.derived import ALERTS, NOTICES
from daemon.store.schema import DELIVERIES
from handlers.alerts.rules import Rule, Severity, worse
from handlers.alerts.signals import Signal, arrived, delivery_scope, ended, merged, refused

_A, _N = ALERTS.c, NOTICES.c
_TURN = 7_140_217_004  # an advisory lock of PostgreSQL, any number that is ours
_KEYS = 1_000  # asked for at a time

FIRING, RESOLVED = "firing", "resolved"
REPEAT = "repeat"  # besides those two, what a notice may say
Row = Mapping[str, Any]
_Item = TypeVar("_Item")


def take_turns(connection: Connection) -> None:
    """Makes a transaction the only one that changes alerts or writes letters; SQLite has one writer anyway."""
    if connection.dialect.name == "postgresql":
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_TURN})")


def apply(connection: Connection, signals: Sequence[Signal], at: datetime) -> None:
    """Begins, changes and ends alerts; what is as it was is not written.

    Call it late in the transaction: until its end nobody else changes alerts. Of several signals of one key the last counts.

    Args:
        connection: of the transaction that found it.
        signals: in any number; the work takes few statements for all of them.
        at: now, UTC.
    """
    wanted = merged(signals)
    if not any(signal.firing for signal in wanted) and not _any_fires(connection, wanted):
        return  # as after nearly every delivery: nothing was wrong
    take_turns(connection)
    stored = _stored(connection, wanted)
    known = [(stored[signal.key], signal) for signal in wanted if signal.key in stored]
    new = [_new(signal, at) for signal in wanted if signal.firing and signal.key not in stored]
    changed = [after for row, signal in known if (after := _after(row, signal, at)) is not None]
    if new:
        connection.execute(insert(ALERTS), new)
    if changed:
        values: dict[str, Any] = {column.name: bindparam(column.name) for column in _CHANGING}
        connection.execute(update(ALERTS).where(_A.id == bindparam("which")).values(values), changed)
    _retract(connection, [row["id"] for row, signal in known if _ends(row, signal)], at)
    begun = [signal.key for row, signal in known if _begins(row, signal)]
    for keys in _some([*(alert["dedup_key"] for alert in new), *begun]):
        _notify(connection, FIRING, _A.dedup_key.in_(keys), at)


def due_repeats(connection: Connection, now: datetime, every: timedelta) -> int:
    """Writes a notice for each alert that was told long ago, still fires, and nobody has acknowledged.

    One with a notice that waits for its letter is left alone, and so are those for the digest.

    Args:
        connection: of a writing transaction.
        now: UTC.
        every: how long after it was told last, ``notified_at``.

    Returns:
        How many were written.
    """
    take_turns(connection)
    waits = exists().where(_N.alert_id == _A.id, _N.letter_id.is_(None))
    due = (
        (_A.state == FIRING)
        & (_A.severity != Severity.INFO)
        & _A.acked_at.is_(None)
        & (_A.notified_at <= now - every)
        & ~waits
    )
    return _notify(connection, REPEAT, due, now)


# ---- what a delivery means for alerts


def on_refused(connection: Connection, delivery_id: int, at: datetime) -> None:
    """A delivery was refused, or is held: its alert fires."""
    row = ledger.row_of(connection, delivery_id)
    if row is not None:
        apply(connection, [refused(row)], at)


def on_loaded(connection: Connection, delivery_id: int, at: datetime) -> None:
    """A delivery was loaded: what was refused before is well, and what it replaced or mended is no matter any more."""
    row = ledger.row_of(connection, delivery_id)
    if row is None:
        return
    c = DELIVERIES.c
    same_bytes = select(DELIVERIES).where(c.sha256 == row["sha256"], c.status == "failed", c.id < delivery_id)
    tried = [dict(other) for other in connection.execute(same_bytes).mappings()]
    apply(connection, arrived(row, tried), at)
    replaced = select(c.id).where(c.superseded_by == delivery_id)
    over = list(connection.execute(replaced).scalars())
    first = row["fixes"] and ledger.row_of(connection, row["fixes"])
    if first and first["status"] == "success":
        over.append(first["id"])
    on_gone(connection, over, at, f"{row['file_name']} corrected it")


def on_new(connection: Connection, rows: Sequence[Row], at: datetime) -> None:
    """Deliveries were loaded whose bytes and slots are new: what was refused before of their places is well.

    Args:
        connection: of the transaction.
        rows: of the ledger.
        at: now, UTC.
    """
    apply(connection, [signal for row in rows for signal in arrived(row)], at)


def on_gone(connection: Connection, deliveries: Sequence[int], at: datetime, why: str = "") -> None:
    """Rows of deliveries count no more: what was said of their accuracy ends.

    Args:
        connection: of the transaction.
        deliveries: which.
        at: now, UTC.
        why: the alert's new summary.
    """
    if not deliveries:
        return
    scopes = [delivery_scope(each) for each in deliveries]
    of_them = (_A.state == FIRING, _A.rule == Rule.ACCURACY, _A.scope.in_(scopes))
    rows = connection.execute(select(ALERTS).where(*of_them)).mappings().all()
    apply(connection, [ended(dict(row), why or "the delivery was taken out") for row in rows], at)


# ---- rows


_CHANGING = (
    *(_A.severity, _A.state, _A.summary, _A.details, _A.delivery_id, _A.first_at, _A.last_at, _A.times),
    *(_A.resolved_at, _A.acked_at, _A.ack_note, _A.notified_at),
)


_AMONG = _A.dedup_key.in_(bindparam("keys", expanding=True))
_OF_KEYS = select(ALERTS).where(_AMONG)
_ONE_THAT_FIRES = select(_A.id).where(_AMONG, _A.state == FIRING).limit(1)


def _stored(connection: Connection, signals: Sequence[Signal]) -> dict[str, dict[str, Any]]:
    """The alerts of some signals, by key."""
    found = {}
    for keys in _some([signal.key for signal in signals]):
        for row in connection.execute(_OF_KEYS, {"keys": keys}).mappings():
            found[row["dedup_key"]] = dict(row)
    return found


def _any_fires(connection: Connection, signals: Sequence[Signal]) -> bool:
    """Whether an alert of some signals fires."""
    return any(
        connection.execute(_ONE_THAT_FIRES, {"keys": keys}).first() is not None
        for keys in _some([signal.key for signal in signals])
    )


def _new(signal: Signal, at: datetime) -> dict[str, Any]:
    return {
        "dedup_key": signal.key,
        "rule": signal.rule.value,
        "severity": signal.severity.value,
        "feed": signal.feed,
        "scope": signal.scope,
        "day": signal.day,
        "state": FIRING,
        "summary": signal.summary,
        "details": _plain(signal.details),
        "delivery_id": signal.delivery_id,
        "first_at": at,
        "last_at": at,
        "times": 1,
    }


def _ends(row: Row, signal: Signal) -> bool:
    return not signal.firing and bool(row["state"] == FIRING)


def _begins(row: Row, signal: Signal) -> bool:
    """Whether an alert fires again, or is worse than what was told of it."""
    return signal.firing and (row["state"] == RESOLVED or worse(signal.severity, row["severity"]))


def _after(row: Row, signal: Signal, at: datetime) -> dict[str, Any] | None:
    """An alert's values after a signal, and ``which`` it is; None if nothing changes."""
    before = {column.name: row[column.name] for column in _CHANGING}
    said: dict[str, Any] = {"summary": signal.summary, "details": _plain(signal.details)}
    if not signal.firing:
        if row["state"] == RESOLVED:
            return None
        said["details"] = {**(said["details"] or row["details"]), "resolved_by": signal.delivery_id}
        over = max(at, row["first_at"])  # a judgement as of an earlier moment ends nothing before it began
        after = before | said | {"state": RESOLVED, "resolved_at": over, "last_at": over}
    elif row["state"] == RESOLVED:
        begun = {"state": FIRING, "severity": signal.severity.value, "first_at": at, "last_at": at}
        open_again = dict.fromkeys(("resolved_at", "acked_at", "ack_note", "notified_at"))
        after = before | said | begun | open_again
        after |= {"times": row["times"] + 1, "delivery_id": signal.delivery_id}
    else:
        severity = signal.severity.value if worse(signal.severity, row["severity"]) else row["severity"]
        again = signal.delivery_id is not None and signal.delivery_id != row["delivery_id"]
        after = before | said | {"severity": severity}
        if again:
            after |= {"delivery_id": signal.delivery_id, "times": row["times"] + 1}
        if severity != row["severity"]:
            after |= {"acked_at": None, "ack_note": None}  # what was acknowledged was less
        if after == before:
            return None
        after["last_at"] = at
    return after | {"which": row["id"]}


def _retract(connection: Connection, over: Sequence[int], at: datetime) -> None:
    """Ends alerts: what nobody was told is not told any more, and what somebody was told is told to be well."""
    for ids in _some(over):
        untold = delete(NOTICES).where(_N.alert_id.in_(ids), _N.letter_id.is_(None), _N.kind != RESOLVED)
        connection.execute(untold)
        _notify(connection, RESOLVED, _A.id.in_(ids) & _A.notified_at.is_not(None), at)


def _notify(connection: Connection, kind: str, which: Any, at: datetime) -> int:
    chosen = select(_A.id, literal(kind), literal(at, NOTICES.c.created_at.type)).where(which).order_by(_A.id)
    written = insert(NOTICES).from_select(["alert_id", "kind", "created_at"], chosen)
    return connection.execute(written, execution_options={"preserve_rowcount": True}).rowcount


def _some(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """As many at a time as a statement takes."""
    return (items[at : at + _KEYS] for at in range(0, len(items), _KEYS))


def _plain(details: Mapping[str, Any]) -> dict[str, Any]:
    """What both databases keep as it is; what is no number is nothing."""
    found: dict[str, Any] = json.loads(
        json.dumps(dict(details), default=str), parse_constant=lambda _word: None
    )
    return found


__all__ = [
    "FIRING",
    "REPEAT",
    "RESOLVED",
    "apply",
    "due_repeats",
    "on_gone",
    "on_loaded",
    "on_refused",
    "take_turns",
]
