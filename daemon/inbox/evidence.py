"""What tells that a file is complete: the rule of its feed, and whether what is known of the file is enough for it."""

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Literal, TypeAlias

from daemon.inbox.probe import Tail
from daemon.settings import EVIDENCE, CompleteWhen, Evidence, Settings
from handlers.band import Band
from handlers.errors import FileError
from handlers.fixes import first_rejects_name
from handlers.route import route

Waiting: TypeAlias = Literal[
    "still_changing",
    "open_for_writing",
    "no_final_newline",
    "nul_tail",
    "fewer_rows_than_usual",
    "manifest_unfinished",
    "no_marker",
    "no_manifest",
    "no_rename",
    "unreadable",
    "broken_off",
]
UP_TO_THE_SENDER: dict[Evidence, Waiting] = {
    "marker": "no_marker",
    "manifest": "no_manifest",
    "rename": "no_rename",
}
# for these a file waits settle.grace_seconds, and no longer
GRACED = frozenset(
    {"no_final_newline", "nul_tail", "fewer_rows_than_usual", "manifest_unfinished", "unreadable"}
)
HELD = frozenset({*UP_TO_THE_SENDER.values(), "unreadable", "broken_off"})


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of a file.

    Attributes:
        promised: what its sender did to say that it is whole: ``rename``, ``marker``, ``manifest``.
        quiet: it was the same at two looks, ``settle.quiet_seconds`` apart.
        aged: it has been the same for that long; one look is enough.
        writer: whether a process of this host has it open for writing; None: that cannot be told.
        tail: what its end lacks.
    """

    promised: Collection[Evidence]
    quiet: bool
    aged: bool
    writer: bool | None
    tail: Tail | None


def lacking(rule: CompleteWhen, promised: Collection[Evidence], *, quiet: bool) -> Waiting | None:
    """What a file lacks, as far as that is known without opening it."""
    if rule.need == "all":
        for kind, reason in UP_TO_THE_SENDER.items():
            if kind in rule.of and kind not in promised:
                return reason
        return "still_changing" if "quiet" in rule.of and not quiet else None
    if "lease" in rule.of or any(kind in promised for kind in rule.of):
        return None
    if "quiet" in rule.of:
        return None if quiet else "still_changing"
    return next(reason for kind, reason in UP_TO_THE_SENDER.items() if kind in rule.of)


def is_vouched_for(rule: CompleteWhen, promised: Collection[Evidence]) -> bool:
    """Whether its sender has said that it is whole: then its end and its length need not speak for it."""
    return any(kind in promised and (kind != "rename" or kind in rule.of) for kind in UP_TO_THE_SENDER)


def doubt(rule: CompleteWhen, facts: Facts, *, patient: bool) -> Waiting | None:
    """What tells that a file that was opened is not complete.

    Args:
        rule: what is asked of it.
        facts: what is known of it.
        patient: a broken end may still be mended; False after ``settle.grace_seconds``.
    """
    if facts.writer:
        return "open_for_writing"
    if facts.tail is not None and patient and not is_vouched_for(rule, facts.promised):
        return facts.tail
    # where the kernel gives no lease, lying still for long stands for it
    closed = facts.writer is False or facts.aged
    fulfilled = {"quiet": facts.quiet, "lease": closed} | dict.fromkeys(facts.promised, True)
    enough = (any if rule.need == "any" else all)(fulfilled.get(kind, False) for kind in rule.of)
    return None if enough else "still_changing"


def found(facts: Facts) -> tuple[Evidence, ...]:
    """The evidence there is, for the ledger."""
    held: set[Evidence] = set(facts.promised)
    if facts.quiet:
        held.add("quiet")
    if facts.writer is False and facts.tail is None:
        held.add("lease")
    return tuple(kind for kind in EVIDENCE if kind in held)


class Expectations:
    """What is asked of a file of some name, by the settings and by what its kind usually is.

    Args:
        settings: the configuration.
        usual: a slot to its usual number of rows; None where nothing is known. It must not raise.
    """

    def __init__(self, settings: Settings, usual: Callable[[str], Band | None] = lambda _slot: None) -> None:
        feeds = dict(settings.feeds)
        self._patterns = {name: tuple(feed.patterns) for name, feed in feeds.items()}
        self._rules = {name: feed.complete_when for name, feed in feeds.items() if feed.complete_when}
        self._usual = usual
        self.default = default_rule(settings.settle.ready_on)

    def rule(self, name: str) -> CompleteWhen:
        """When a file counts as complete; one that no feed owns, or that corrects rejects, goes by ``settle``."""
        if not self._rules:
            return self.default
        where = self._where(name)
        return self._rules.get(where[0], self.default) if where else self.default

    def usual(self, name: str) -> Band | None:
        """How many rows such a file usually has."""
        where = self._where(name)
        return self._usual(where[1]) if where and where[1] else None

    def _where(self, name: str) -> tuple[str, str | None] | None:
        if first_rejects_name(name) is not None:
            return None
        try:
            owner = route(name, self._patterns)
        except FileError:
            return None
        return owner.feed, owner.slot


def default_rule(ready_on: Literal["quiet", "close"]) -> CompleteWhen:
    """The rule of ``settle.ready_on``."""
    return CompleteWhen("all", ("lease",) if ready_on == "close" else ("quiet", "lease"))
