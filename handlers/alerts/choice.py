"""Which notices go into which letter, which wait, and which nobody needs to hear of."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal

from handlers.alerts.rules import Severity, inhibits, silenced_by, worst

Kind = Literal["firing", "repeat", "resolved"]
LetterKind = Literal["alerts", "resolved", "digest", "summary"]
_Group = tuple[LetterKind, str | None, Severity]

CRITICAL_WAITS = timedelta(seconds=5)
FLAPS = 4  # so often in an hour one alert is told that it began or ended; then it waits
FLAP_WINDOW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Notice:
    """Something about an alert that nobody was told yet.

    Attributes:
        id: grows with time.
        kind: what happened.
        created_at: UTC.
        alert: its row of ``alerts``.
    """

    id: int
    kind: Kind
    created_at: datetime
    alert: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Told:
    """What people were told of an alert before.

    Attributes:
        kind: the last that they were told; None: nothing.
        recently: how often within ``FLAP_WINDOW``.
        letter: the last letter about it.
        sent_at: when a channel sent that last; None: it is still to be.
    """

    kind: Kind | None = None
    recently: int = 0
    letter: str | None = None
    sent_at: datetime | None = None


NOTHING = Told()


@dataclass(frozen=True, slots=True)
class Policy:
    """When to tell.

    Attributes:
        now: UTC.
        group: how long a notice waits for others.
        digest_before: the last time that a digest was due: info notices from before it go out.
        room: how many letters may still be made within this hour.
        at_once: nobody waits for others, because the process is to end.
    """

    now: datetime
    group: timedelta
    digest_before: datetime
    room: int
    at_once: bool = False


@dataclass(frozen=True, slots=True)
class Draft:
    """A letter to be made.

    Attributes:
        kind: ``alerts``, ``resolved``, ``digest``, or ``summary``: all that is left of an hour with too many letters.
        severity: the worst of its alerts.
        feed: whose alerts; None: of several.
        notices: what it tells, the worst first.
    """

    kind: LetterKind
    severity: Severity
    feed: str | None
    notices: tuple[Notice, ...]


@dataclass(frozen=True, slots=True)
class Choice:
    """What became of the notices; those in neither wait.

    Attributes:
        drafts: the letters to be made.
        dropped: notices that are no news.
        told_before: notices that say what an earlier letter said already; with that letter.
        held_back: how many letters wait because of the most in an hour.
    """

    drafts: tuple[Draft, ...] = ()
    dropped: tuple[int, ...] = ()
    told_before: Mapping[int, str] = field(default_factory=dict)
    held_back: int = 0


def choose(
    pending: Iterable[Notice],
    told: Mapping[int, Told],
    late: Sequence[Mapping[str, Any]],
    silences: Sequence[Mapping[str, Any]],
    policy: Policy,
) -> Choice:
    """Decides about every notice that has no letter.

    Args:
        pending: in the order of their ids.
        told: by alert; one that is not there was never told.
        late: the alerts about late feeds and sources that fire now.
        silences: rows of ``silences``.
        policy: when to tell.
    """
    dropped: list[int] = []
    again: dict[int, str] = {}
    groups: dict[_Group, list[tuple[Notice, bool]]] = {}
    for notices in _by_alert(pending):
        before = told.get(notices[0].alert["id"], NOTHING)
        kept = _news(notices, before)
        dropped += [notice.id for notice in notices if notice is not kept]
        if kept is None and notices[-1].kind == "firing" and before.letter is not None:
            again[dropped.pop()] = before.letter
        if kept is None or _is_quiet(kept, before, late, silences, policy.now):
            continue
        due = _is_due(kept, notices[0].created_at, policy)
        if (
            due or kept.alert["severity"] != Severity.INFO
        ):  # what came after a digest's time is for the next one
            groups.setdefault(_group(kept), []).append((kept, due))
    ready = [(key, [n for n, _ in its]) for key, its in groups.items() if any(due for _, due in its)]
    drafts = sorted((_draft(*group) for group in ready), key=lambda d: (d.severity.rank, d.notices[0].id))
    held_back = 0
    if policy.room <= 0:
        held_back, drafts = len(drafts), []
    elif len(drafts) > policy.room:
        drafts[policy.room - 1 :] = [_summary(drafts[policy.room - 1 :])]
    return Choice(tuple(drafts), tuple(dropped), again, held_back)


def _by_alert(pending: Iterable[Notice]) -> Iterator[list[Notice]]:
    found: dict[int, list[Notice]] = {}
    for notice in pending:
        found.setdefault(notice.alert["id"], []).append(notice)
    yield from found.values()


def _news(notices: list[Notice], before: Told) -> Notice | None:
    """The one notice of an alert that tells something new."""
    kinds, last = [notice.kind for notice in notices], notices[-1]
    if before.kind in (None, "resolved"):
        return (
            None if last.kind == "resolved" else last
        )  # who never heard that it began need not hear that it ended
    if last.kind == "resolved":
        return last
    if "resolved" in kinds:  # it came back before its end was told
        return None
    if "firing" in kinds:  # worse than what was told
        return last
    is_told_since = before.sent_at is not None and before.sent_at >= last.created_at
    return None if is_told_since else last


def _is_quiet(
    notice: Notice,
    before: Told,
    late: Sequence[Mapping[str, Any]],
    silences: Sequence[Mapping[str, Any]],
    now: datetime,
) -> bool:
    if silenced_by(notice.alert, silences, now) is not None:
        return True
    if notice.kind == "repeat" and before.sent_at is None:
        return True  # the letter that it repeats is still to be sent
    if notice.kind != "repeat" and before.recently >= FLAPS:
        return True
    return notice.kind != "resolved" and any(inhibits(other, notice.alert) for other in late)


def _is_due(notice: Notice, since: datetime, policy: Policy) -> bool:
    if notice.alert["severity"] == Severity.INFO:
        return notice.created_at < policy.digest_before
    hurry = notice.alert["severity"] == Severity.CRITICAL and notice.kind == "firing"
    wait = min(policy.group, CRITICAL_WAITS) if hurry else policy.group
    # a moment to come: the clock was set back since
    return policy.at_once or not timedelta(0) <= policy.now - since < wait


def _group(notice: Notice) -> _Group:
    alert = notice.alert
    if alert["severity"] == Severity.INFO:
        return "digest", None, Severity.INFO
    return ("resolved" if notice.kind == "resolved" else "alerts"), alert["feed"], Severity(alert["severity"])


def _draft(group: _Group, notices: list[Notice]) -> Draft:
    kind, feed, severity = group
    return Draft(kind, severity, feed, tuple(sorted(notices, key=_place)))


def _place(notice: Notice) -> tuple[Any, ...]:
    day = notice.alert["day"]
    return notice.alert["feed"], "" if day is None else day.isoformat(), notice.id


def _summary(drafts: list[Draft]) -> Draft:
    notices = tuple(notice for draft in drafts for notice in draft.notices)
    feeds = {draft.feed for draft in drafts}
    only = feeds.pop() if len(feeds) == 1 else None
    return Draft("summary", worst([draft.severity for draft in drafts]), only, notices)
