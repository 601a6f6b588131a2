"""Letters in the database: the notices that wait, the letters made of them, and how far their sending has come.

A letter has one row for each channel. Its id comes from its notices, so that it is the same however often it is sent.
Who wants to send it takes a lease in a transaction of its own: of two processes one gets it, and of one that died it is
free again when the lease is over.
"""

import hashlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import ColumnElement, Connection, delete, exists, func, insert, or_, select, update

from daemon.store.alerts import take_turns
from daemon.store.derived import ALERTS, LETTERS, NOTICES, SILENCES
from handlers.alerts.choice import FLAP_WINDOW, Choice, Draft, Notice, Policy, Told, choose
from handlers.alerts.rules import LATENESS

_A, _N, _L = ALERTS.c, NOTICES.c, LETTERS.c
_MOST = 2_000  # notices at a time
_KEYS = 500
_LONGEST_ERROR = 1_000
_FARTHEST = timedelta(hours=2)  # no letter is put off, or leased, for longer


@dataclass(frozen=True, slots=True)
class Letter:
    """A letter that is to be sent by one channel.

    Attributes:
        id: from its notices; the same for every channel and every try.
        channel: ``log``, ``webhook`` or ``mail``.
        created_at: UTC.
        facts: what it tells (see docs/alerts.md).
        attempts: how often it was tried before.
        accepted: recipients that have it already.
    """

    id: str
    channel: str
    created_at: datetime
    facts: Mapping[str, Any]
    attempts: int
    accepted: tuple[str, ...]


def letter_id(notices: Iterable[Notice]) -> str:
    """The id of the letter about some notices: of no two sites the same, however often it is asked."""
    said = sorted(f"{n.id}|{n.created_at.isoformat()}|{n.alert['dedup_key']}" for n in notices)
    return hashlib.sha256("\n".join(said).encode("utf-8", "surrogatepass")).hexdigest()[:32]


# ---- what is to be told


def waiting(connection: Connection) -> list[Notice]:
    """The notices without a letter, with their alerts, the oldest first."""
    query = select(_N.id.label("notice_id"), _N.kind, _N.created_at, ALERTS).join(
        ALERTS, _A.id == _N.alert_id
    )
    rows = connection.execute(query.where(_N.letter_id.is_(None)).order_by(_N.id).limit(_MOST)).mappings()
    return [
        Notice(row["notice_id"], row["kind"], row["created_at"], {c.name: row[c] for c in ALERTS.c})
        for row in rows
    ]


def choice(connection: Connection, policy: Policy, most_an_hour: int) -> Choice:
    """What is to become of the notices that wait.

    Args:
        connection: to read from.
        policy: when to tell; its ``room`` is found here.
        most_an_hour: letters.
    """
    pending = waiting(connection)
    if not pending:
        return Choice()
    hour_ago = policy.now - timedelta(hours=1)
    made = connection.execute(
        select(func.count(_L.id.distinct())).where(_L.created_at > hour_ago, _L.created_at <= policy.now)
    ).scalar_one()
    late = connection.execute(
        select(ALERTS).where(_A.state == "firing", _A.rule.in_(sorted(LATENESS)))
    ).mappings()
    silences = connection.execute(select(SILENCES).where(SILENCES.c.ended_at.is_(None))).mappings()
    policy = Policy(policy.now, policy.group, policy.digest_before, most_an_hour - made, policy.at_once)
    told = _told(connection, [notice.alert["id"] for notice in pending], policy.now)
    return choose(pending, told, [dict(row) for row in late], [dict(row) for row in silences], policy)


def _told(connection: Connection, alerts: Sequence[int], now: datetime) -> dict[int, Told]:
    found: dict[int, Told] = {}
    ids = sorted(set(alerts))
    for at in range(0, len(ids), _KEYS):
        query = select(_N.alert_id, _N.kind, _N.created_at, _N.letter_id).where(
            _N.alert_id.in_(ids[at : at + _KEYS]), _N.letter_id.is_not(None)
        )
        for row in connection.execute(query.order_by(_N.id)):
            recent = row.kind != "repeat" and row.created_at > now - FLAP_WINDOW
            before = found.get(row.alert_id, Told())
            found[row.alert_id] = Told(row.kind, before.recently + recent, row.letter_id)
    sent = _sent_at(connection, {told.letter for told in found.values() if told.letter})
    return {
        alert: Told(told.kind, told.recently, told.letter, sent.get(told.letter or ""))
        for alert, told in found.items()
    }


def _sent_at(connection: Connection, letters: set[str]) -> dict[str, datetime]:
    """When each of these was sent last by any channel, so that one that is dead silences no other."""
    found: dict[str, datetime] = {}
    ids = sorted(letters)
    for at in range(0, len(ids), _KEYS):
        some = _L.id.in_(ids[at : at + _KEYS]) & _L.sent_at.is_not(None)
        query = select(_L.id, func.max(_L.sent_at).label("sent_at")).where(some).group_by(_L.id)
        found |= {row.id: row.sent_at for row in connection.execute(query)}
    return found


def write(
    connection: Connection,
    chosen: Choice,
    facts: Mapping[str, Mapping[str, Any]],
    channels: Sequence[str],
    now: datetime,
) -> list[str]:
    """Makes the letters that were chosen, for each channel; in one transaction with ``choice``, after ``take_turns``.

    Args:
        connection: of the transaction.
        chosen: what ``choice`` said.
        facts: what each letter tells, by its id.
        channels: by which it goes out.
        now: UTC.

    Returns:
        The ids of the new letters.
    """
    for at in range(0, len(chosen.dropped), _KEYS):
        connection.execute(delete(NOTICES).where(_N.id.in_(chosen.dropped[at : at + _KEYS])))
    for notice, letter in chosen.told_before.items():
        connection.execute(update(NOTICES).where(_N.id == notice).values(letter_id=letter))
        of_it = select(_N.alert_id).where(_N.id == notice).scalar_subquery()
        connection.execute(update(ALERTS).where(_A.id == of_it).values(notified_at=now))
    made = []
    for draft in chosen.drafts:
        name = letter_id(draft.notices)
        new = {"id": name, "created_at": now, "facts": facts[name], "attempts": 0, "next_try_at": now}
        by = _channels_for(connection, draft, channels)
        connection.execute(insert(LETTERS), [{**new, "channel": channel} for channel in by])
        ids = [notice.id for notice in draft.notices]
        for at in range(0, len(ids), _KEYS):
            connection.execute(update(NOTICES).where(_N.id.in_(ids[at : at + _KEYS])).values(letter_id=name))
        _notified(connection, name, now)
        made.append(name)
    return made


def _channels_for(connection: Connection, draft: Draft, channels: Sequence[str]) -> Sequence[str]:
    """By which a letter goes out: what only repeats is not for a channel that has yet to send what it repeats."""
    if any(notice.kind != "repeat" for notice in draft.notices):
        return channels
    alerts = {notice.alert["id"] for notice in draft.notices}
    owed = _L.sent_at.is_(None) & _N.alert_id.in_(alerts)
    query = select(_L.channel).join(NOTICES, _N.letter_id == _L.id).where(owed).group_by(_L.channel)
    owing = set(connection.execute(query.having(func.count(_N.alert_id.distinct()) == len(alerts))).scalars())
    return [channel for channel in channels if channel not in owing] or channels


def _notified(connection: Connection, name: str, now: datetime) -> None:
    about = select(_N.alert_id).where(_N.letter_id == name)
    connection.execute(update(ALERTS).where(_A.id.in_(about)).values(notified_at=now))


def parents(connection: Connection, draft: Draft) -> list[str]:
    """The letters that told of the same alerts before, the oldest first: a mail program puts them into one thread."""
    alerts = sorted({notice.alert["id"] for notice in draft.notices})[:_KEYS]
    query = select(_N.letter_id, func.min(_N.id)).where(_N.alert_id.in_(alerts), _N.letter_id.is_not(None))
    rows = connection.execute(query.group_by(_N.letter_id).order_by(func.min(_N.id)))
    return [row[0] for row in rows][-10:]


# ---- sending


def claim(connection: Connection, channel: str, now: datetime, lease: timedelta) -> Letter | None:
    """Takes the next letter of a channel that is due, so that nobody else sends it until the lease is over."""
    take_turns(connection)
    free = or_(_L.lease_until.is_(None), _is_over(_L.lease_until, now))
    due = (_L.channel == channel) & _L.sent_at.is_(None) & _is_over(_L.next_try_at, now) & free
    row = connection.execute(select(LETTERS).where(due).order_by(_L.created_at, _L.id).limit(1)).first()
    if row is None:
        return None
    connection.execute(_one(row.id, channel).values(lease_until=now + lease, attempts=row.attempts + 1))
    return Letter(row.id, channel, row.created_at, row.facts, row.attempts, tuple(row.accepted or ()))


def _is_over(moment: ColumnElement[datetime | None], now: datetime) -> ColumnElement[bool]:
    """Whether a moment has come; one that lies too far ahead was noted before the clock was set back."""
    return or_(moment <= now, moment > now + _FARTHEST)


def is_due(connection: Connection, channel: str, now: datetime) -> bool:
    """Whether ``claim`` may find something: asked first, for it costs no writing transaction."""
    due = (_L.channel == channel) & _L.sent_at.is_(None) & _is_over(_L.next_try_at, now)
    return connection.execute(select(_L.id).where(due).limit(1)).first() is not None


def sent(
    connection: Connection,
    letter: Letter,
    now: datetime,
    accepted: Sequence[str] = (),
    said: str | None = None,
) -> None:
    """Notes that a letter is out.

    Args:
        connection: of a writing transaction.
        letter: which.
        now: UTC.
        accepted: recipients that have it.
        said: who could not be reached, and why.
    """
    done = {"sent_at": now, "next_try_at": None, "lease_until": None, "accepted": list(accepted)}
    connection.execute(_one(letter.id, letter.channel).values(**done, last_error=said))
    _notified(connection, letter.id, now)


def failed(
    connection: Connection, letter: Letter, next_try_at: datetime, error: str, accepted: Sequence[str] = ()
) -> None:
    """Notes that a letter is to be tried again, by those who have not got it."""
    values = {"next_try_at": next_try_at, "lease_until": None, "accepted": list(accepted)}
    connection.execute(_one(letter.id, letter.channel).values(**values, last_error=error[:_LONGEST_ERROR]))


def hasten(connection: Connection, channel: str, now: datetime) -> int:
    """A channel works again: what waits for its next try goes out now; how many letters."""
    waits = (_L.channel == channel) & _L.sent_at.is_(None) & (_L.next_try_at > now) & _L.lease_until.is_(None)
    return connection.execute(update(LETTERS).where(waits).values(next_try_at=now)).rowcount


def withdraw(connection: Connection, channels: Sequence[str], now: datetime) -> dict[str, int]:
    """Takes back what channels that are switched off have not sent; what no other channel told waits to be told anew.

    Args:
        connection: of a writing transaction.
        channels: those that are switched on.
        now: UTC; a letter that some process tries just now is left to it.

    Returns:
        How many letters, by channel.
    """
    take_turns(connection)
    free = or_(_L.lease_until.is_(None), _L.lease_until <= now)
    off = _L.sent_at.is_(None) & _L.channel.not_in(channels) & free
    rows = connection.execute(select(_L.id, _L.channel).where(off)).all()
    connection.execute(delete(LETTERS).where(off))
    ids = sorted({row.id for row in rows})
    for at in range(0, len(ids), _KEYS):
        untold = _N.letter_id.in_(ids[at : at + _KEYS]) & ~exists().where(_L.id == _N.letter_id)
        connection.execute(update(NOTICES).where(untold).values(letter_id=None))
    return Counter(row.channel for row in rows)


def unsent(connection: Connection) -> list[Mapping[str, Any]]:
    """The letters that are under way, without what they tell, the oldest first."""
    columns = (_L.id, _L.channel, _L.created_at, _L.attempts, _L.next_try_at, _L.last_error)
    query = select(*columns).where(_L.sent_at.is_(None)).order_by(_L.created_at, _L.id, _L.channel)
    return [dict(row) for row in connection.execute(query).mappings()]


def _one(name: str, channel: str) -> Any:
    return update(LETTERS).where(_L.id == name, _L.channel == channel)
