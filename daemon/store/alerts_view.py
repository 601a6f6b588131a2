"""Alerts for the operator: what there is, what was told of it, who has seen it, and what is to be quiet."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, case, func, insert, select, update

from daemon.store.alerts import FIRING, take_turns
from daemon.store.derived import ALERTS, LETTERS, NOTICES, SILENCES
from handlers.alerts.rules import LATENESS, Severity, in_force, inhibits, silenced_by

_A, _N, _L, _S = ALERTS.c, NOTICES.c, LETTERS.c, SILENCES.c
_OVER = 100  # alerts that are over and shown
_NEWEST = 100  # silences that are shown
_ASKED = 1_000
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which alerts; None: all.

    Attributes:
        every: also the last that are over.
        feed: whose; "" are files that no feed owns.
        alert_id: this one only, over or not.
    """

    every: bool = False
    feed: str | None = None
    alert_id: int | None = None


def alerts(connection: Connection, wanted: Wanted, now: datetime) -> list[Row]:
    """Rows of ``alerts``: those that fire, what nobody has acknowledged and the worst first; then what is over.

    Each has also ``silenced_by``, the silence that it falls under, ``kept_quiet_by``, the alert about a late feed that keeps it
    quiet, and ``telling``: ``told``, ``waiting`` for a letter,
    ``sending`` while a channel has not sent its letter, or None if nobody is to be told.

    Args:
        connection: to the database.
        wanted: which.
        now: UTC.
    """
    only = [] if wanted.feed is None else [_A.feed == wanted.feed]
    if wanted.alert_id is not None:
        rows = _rows(connection, _A.id == wanted.alert_id)
    else:
        rank = case({severity.value: severity.rank for severity in Severity}, value=_A.severity)
        order = (_A.acked_at.is_not(None), rank, _A.first_at.desc(), _A.id.desc())
        rows = _rows(connection, _A.state == FIRING, *only, order=order)
        if wanted.every:
            newest = (_A.resolved_at.desc(), _A.id.desc())
            rows += _rows(connection, _A.state != FIRING, *only, order=newest, most=_OVER)
    quiet = silences(connection, now)
    late = _rows(connection, _A.state == FIRING, _A.rule.in_(sorted(LATENESS)))
    last = _last_notices(connection, [row["id"] for row in rows])
    for row in rows:
        silence = silenced_by(row, quiet, now)
        row["silenced_by"] = silence and silence["id"]
        by = [each["id"] for each in late if row["state"] == FIRING and inhibits(each, row)]
        row["kept_quiet_by"] = min(by, default=None)
        row["telling"] = _telling(last.get(row["id"]))
    return rows


def notices(connection: Connection, alert_id: int) -> list[Row]:
    """What was told of an alert and what is to be, oldest first: notices, once for each channel of their letters."""
    query = (
        select(
            _N.id, _N.kind, _N.created_at, _N.letter_id, _L.channel, _L.attempts, _L.last_error, _L.sent_at
        )
        .select_from(NOTICES.outerjoin(LETTERS, _L.id == _N.letter_id))
        .where(_N.alert_id == alert_id)
        .order_by(_N.id, _L.channel)
    )
    return [dict(row) for row in connection.execute(query).mappings()]


def newest_id(connection: Connection) -> int:
    """The newest alert; none: 0."""
    return connection.execute(select(func.max(_A.id))).scalar() or 0


def acknowledge(
    connection: Connection, alert_ids: Sequence[int], note: str, now: datetime
) -> tuple[list[Row], list[str]]:
    """Notes that somebody looks after alerts: they are not repeated until they begin anew or get worse.

    Args:
        connection: of a writing transaction.
        alert_ids: which.
        note: for whom it may concern.
        now: UTC.

    Returns:
        The alerts, and a sentence about each that could not be acknowledged.
    """
    take_turns(connection)
    rows = {row["id"]: row for row in _rows(connection, _A.id.in_(alert_ids))}
    done, failed = [], []
    for alert_id in dict.fromkeys(alert_ids):
        row = rows.get(alert_id)
        if row is None:
            newest = newest_id(connection)
            known = f"the last one is {newest}" if newest else "there are none yet"
            failed.append(f"there is no alert {alert_id}; {known}; `stockgrip alerts --all` lists them")
        elif row["state"] != FIRING:
            failed.append(f"alert {alert_id} is over since {row['resolved_at']:%Y-%m-%d %H:%M} UTC")
        else:
            said = {"acked_at": now, "ack_note": note or None}
            connection.execute(update(ALERTS).where(_A.id == alert_id).values(said))
            done.append(row | said)
    return done, failed


def silence(
    connection: Connection, of: Mapping[str, str | None], until: datetime, why: str, now: datetime
) -> Row:
    """Keeps alerts quiet for a while: those that match, now and later.

    Args:
        connection: of a writing transaction.
        of: ``rule``, ``feed`` and ``scope``; None: any.
        until: when it ends, UTC.
        why: for whom it may concern.
        now: UTC.

    Returns:
        Its row.
    """
    row = {**of, "until": until, "why": why, "created_at": now}
    key = connection.execute(insert(SILENCES).values(row)).inserted_primary_key
    if key is None:
        raise AssertionError("the database gave no id")
    return {"id": int(key[0]), **row, "ended_at": None}


def end_silence(connection: Connection, silence_id: int, now: datetime) -> tuple[Row | None, str]:
    """Ends a silence before its time.

    Returns:
        Its row; or None, and why not.
    """
    found = connection.execute(select(SILENCES).where(_S.id == silence_id)).mappings().first()
    if found is None:
        return None, f"there is no silence {silence_id}; `stockgrip alerts silences` lists them"
    if not in_force(dict(found), now):
        over = found["ended_at"] or found["until"]
        return None, f"silence {silence_id} is over since {over:%Y-%m-%d %H:%M} UTC"
    connection.execute(update(SILENCES).where(_S.id == silence_id).values(ended_at=now))
    return {**found, "ended_at": now}, ""


def silences(connection: Connection, now: datetime, *, every: bool = False) -> list[Row]:
    """The silences in force, the first to end first; with ``every`` the newest, over or not."""
    query = select(SILENCES).where(_S.ended_at.is_(None), _S.until > now).order_by(_S.until, _S.id)
    if every:
        query = select(SILENCES).order_by(_S.id.desc()).limit(_NEWEST)
    return [dict(row) for row in connection.execute(query).mappings()]


def _rows(
    connection: Connection, *where: Any, order: Sequence[Any] = (_A.id,), most: int | None = None
) -> list[Row]:
    query = select(ALERTS).where(*where).order_by(*order).limit(most)
    return [dict(row) for row in connection.execute(query).mappings()]


def _last_notices(connection: Connection, alert_ids: Sequence[int]) -> dict[int, Row]:
    """The last notice of each alert, and by how many channels its letter is still to be sent."""
    found: dict[int, Row] = {}
    for at in range(0, len(alert_ids), _ASKED):
        some = alert_ids[at : at + _ASKED]
        last = select(func.max(_N.id)).where(_N.alert_id.in_(some)).group_by(_N.alert_id)
        unsent = select(func.count()).where(_L.id == _N.letter_id, _L.sent_at.is_(None)).scalar_subquery()
        query = select(_N.alert_id, _N.letter_id, unsent.label("unsent")).where(_N.id.in_(last))
        found |= {row["alert_id"]: dict(row) for row in connection.execute(query).mappings()}
    return found


def _telling(last: Row | None) -> str | None:
    if last is None:
        return None
    if last["letter_id"] is None:
        return "waiting"
    return "sending" if last["unsent"] else "told"
