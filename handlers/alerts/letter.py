"""A letter that a person can act on: from what is known to a subject, a text and the parts that HTML is made of.

Whatever comes from a file or a sender is shown on one line with every character visible: a name can neither add a header
nor turn text around.
"""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from handlers.alerts.rules import Rule
from handlers.alerts.words import owner_words, scope_words

SUBJECT = 120  # characters
COLUMNS = 78
_IN_FULL = 10  # alerts that are told in full; the table names them all
_VALUE = 60
_IN_MINUTES, _IN_HOURS = 120, 48  # below so many, a span is told in them
_PLACES = {"place": "file", "rejects_place": "rejects"}

_STEPS: Mapping[Rule, str] = {
    Rule.COMPLETENESS: "Ask those that are missing whether they sent. A file that comes late is loaded as usual, and the "
    "alert ends by itself.",
    Rule.ACCURACY: "Correct the rows in the rejects file and drop it into live_feeds; tell the sender what is wrong.",
    Rule.TIMELINESS: "Ask the sender whether he sent. If he did: look whether the file lies elsewhere or waits in "
    "live_feeds (stockgrip explain NAME).",
    Rule.MISSING_FILE: "Ask the sender for it. A file that comes late is loaded as usual, and the alert ends by itself.",
    Rule.CONSISTENCY: "Look at the figures that contradict each other; a unit that changed (cents for dollars) or two "
    "files from different moments are the usual causes. A corrected file replaces the old one.",
    Rule.ANOMALY_SCORE: "Look whether something happened that day: a promotion, a closed shop, a file that came twice or in "
    "part.",
    Rule.REFUSED_FILE: "Do what the reason says, or ask the sender for a corrected file of the same name.",
    Rule.WORKFLOW: "Do what the message says; then run the workflow again: it does no harm, and ends this alert. `stockgrip "
    "doctor` looks for what is wrong with the host.",
}


@dataclass(frozen=True, slots=True)
class Part:
    """What is told of one alert.

    Attributes:
        head: feed, day and scope.
        said: one sentence with the figures.
        meaning: what the rule looks at; "" when the alert has ended.
        facts: names and values.
        rejects: the first of them, a line each.
        steps: what to do; "" when the alert has ended.
        commands: what shows more, to be copied.
    """

    head: str
    said: str
    meaning: str
    facts: tuple[tuple[str, str], ...]
    rejects: tuple[str, ...]
    steps: str
    commands: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Composed:
    """A letter in words.

    Attributes:
        subject: one line.
        text: for a screen of 78 columns; commands and paths are never broken.
        intro: its first sentence.
        rows: of the table: severity, where, what; empty for a single alert.
        parts: its alerts in full, the first ``_IN_FULL`` of them.
        footer: where it comes from, and what to do against too many letters.
    """

    subject: str
    text: str
    intro: str
    rows: tuple[tuple[str, str, str], ...]
    parts: tuple[Part, ...]
    footer: str


def shown(text: object) -> str:
    r"""Any text on one line, every character of it visible: what a screen does not show stands as ``\n``, ``\u202e``."""
    said = str(text)
    return said if said.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in said)


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")


def compose(facts: Mapping[str, Any]) -> Composed:
    """The letter about some alerts.

    Args:
        facts: as docs/alerts.md lists them.
    """
    alerts: Sequence[Mapping[str, Any]] = facts["alerts"]
    count = facts["count"]
    rows = () if count == 1 else tuple(_row(alert) for alert in alerts)
    parts = tuple(_part(alert, alerts[:number]) for number, alert in enumerate(alerts[:_IN_FULL]))
    intro, footer = _intro(facts), _footer(facts)
    text = "\n".join(_text(intro, rows, count, parts, footer)) + "\n"
    return Composed(_subject(facts), text, intro, rows, parts, footer)


# ---- words


def _subject(facts: Mapping[str, Any]) -> str:
    alerts, count = facts["alerts"], facts["count"]
    first = alerts[0]
    if facts["kind"] == "test":
        return f"[test] {shown(first['summary'])}"
    state = {alert["state"] for alert in alerts}
    word = {"resolved": "resolved", "digest": "digest"}.get(facts["kind"], facts["severity"])
    if state == {"repeat"}:
        word += ", still"
    if count == 1 and facts["kind"] != "digest":
        said = f"{_where(first)}: {first['summary']}"
    elif facts["kind"] == "digest":
        said = f"{_number(count)} for {facts['created_at'][:10]}: {_feeds(alerts)}"
    else:
        said = f"{_feeds(alerts)}: {_number(count)}, {first['summary']} …"
    return _cut(f"[{word}] {shown(said)}", SUBJECT)


def _intro(facts: Mapping[str, Any]) -> str:
    count = facts["count"]
    number, one = _number(count), count == 1
    again = all(alert["state"] == "repeat" for alert in facts["alerts"])
    lasts = "This lasts, and nobody has acknowledged it." if one else f"{number} last."
    needs = "This needs a look." if one else f"{number} need a look."
    by_kind = {
        "test": "This is a test: alerts will come by this way.",
        "daemon_failed": "It does not start again by itself: a person must look. Files that come meanwhile stay in live_feeds, and "
        "none is lost.",
        "intake_paused": "No file is loaded at present. None is lost: work goes on by itself when the cause is gone.",
        "resolved": "This is over." if one else f"{number} are over.",
        "digest": f"Worth knowing, no hurry: {number}.",
        "summary": f"There were many letters in this hour; this one tells all that is left: {number}.",
    }
    return by_kind.get(facts["kind"], lasts if again else needs)


def _number(count: int) -> str:
    return "1 alert" if count == 1 else f"{count:,} alerts"


def _feeds(alerts: Sequence[Mapping[str, Any]]) -> str:
    return ", ".join(dict.fromkeys(owner_words(alert["rule"], alert["feed"]) for alert in alerts))


def _where(alert: Mapping[str, Any]) -> str:
    """Feed, day and scope; a file's name stands in the summary."""
    scope = "" if alert["scope"].startswith(("file:", "delivery:")) else scope_words(alert["scope"], ", ")
    return " ".join(
        filter(
            None,
            (owner_words(alert["rule"], alert["feed"]) if alert["id"] else "stockgrip", alert["day"], scope),
        )
    )


def _row(alert: Mapping[str, Any]) -> tuple[str, str, str]:
    word = {"resolved": "over", "repeat": "still"}.get(alert["state"], alert["severity"])
    return word, shown(_where(alert)), shown(alert["summary"])


def _part(alert: Mapping[str, Any], before: Sequence[Mapping[str, Any]]) -> Part:
    delivery = alert["delivery"] or {}
    is_new = delivery not in [other["delivery"] for other in before]  # else its rejects are told already
    over = alert["state"] == "resolved"
    rule = _rule(alert["rule"])
    remedy = delivery.get("remedy") if rule is Rule.REFUSED_FILE else None
    steps = remedy or (_STEPS[rule] if rule else "")
    return Part(
        head=shown(_where(alert)),
        said=shown(alert["summary"]),
        meaning="" if over or rule is None else f"{rule.meaning}.",
        facts=tuple((name, shown(value)) for name, value in _facts(alert, delivery)),
        rejects=tuple(_rejects(alert["rejects"])) if is_new and not over else (),
        steps="" if over else shown(steps),
        commands=tuple(shown(command) for command in _commands(alert, over=over)),
    )


def _rule(word: str) -> Rule | None:
    return Rule(word) if word in Rule.__members__.values() else None


def _facts(alert: Mapping[str, Any], delivery: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if alert["state"] == "resolved":
        yield "lasted", _lasted(alert)
        yield "from", _clock(alert["first_at"])
        yield "to", _clock(alert["resolved_at"])
        if alert["details"].get("resolved_by"):
            yield "ended by", f"delivery {alert['details']['resolved_by']}"
    else:
        yield "since", _clock(alert["first_at"])
    if alert["times"] > 1:
        yield "times", f"{alert['times']:,}"
    if not delivery:
        return
    yield "delivery", f"{delivery['id']}, {delivery['file']}"
    if delivery["rows"]:
        rows = f"{delivery['rows']:,} read, {delivery['loaded']:,} loaded"
        refused = delivery["status"] == "failed"  # all of its rows count as rejected, for the sums to agree
        yield "rows", rows if refused else f"{rows}, {delivery['rejected']:,} rejected"
    for key, name in _PLACES.items():
        if delivery.get(key):
            yield name, delivery[key]


def _lasted(alert: Mapping[str, Any]) -> str:
    gone = datetime.fromisoformat(alert["resolved_at"]) - datetime.fromisoformat(alert["first_at"])
    minutes = max(0, round(gone.total_seconds() / 60))
    hours, days = minutes / 60, minutes / 60 / 24
    if minutes < 1:
        return "less than a minute"
    if minutes < _IN_MINUTES:
        return f"{minutes} minute{'s' if minutes > 1 else ''}"
    return f"{hours:.0f} hours" if hours < _IN_HOURS else f"{days:.1f} days"


def _clock(at: str) -> str:
    moment = datetime.fromisoformat(at)
    return f"{moment:%Y-%m-%d %H:%M} ({moment:%z})"


def _rejects(rejects: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """What is wrong, each once with all of its lines: a column in another format breaks every row alike."""
    lines: dict[str, list[str]] = {}
    for reject in rejects:
        lines.setdefault(_reject(reject), []).append(str(reject["line"]))
    for said, (first, *others) in lines.items():
        same = f"; the same in {', '.join(others)}" if others else ""
        yield f"line {first}{said}{same}"


def _reject(reject: Mapping[str, Any]) -> str:
    """What is wrong, without its line."""
    column, value, message = (shown(reject[name] or "") for name in ("column", "value", "message"))
    cell = f", {column}" if column else ""
    if value:
        cell += f" '{_cut(value, _VALUE)}'"
    if f"{column} {value!r}" in message:  # most messages say it themselves
        cell = ""
    return f"{cell}: {message} ({shown(reject['reason'])})"


def _commands(alert: Mapping[str, Any], *, over: bool) -> Iterator[str]:
    rule = alert["rule"]
    if alert["delivery"]:
        yield f"stockgrip explain {alert['delivery']['id']}"
    if rule in ("intake_paused", "daemon_failed"):
        yield "stockgrip doctor"
    if rule == Rule.WORKFLOW:
        yield "stockgrip workflow status"
        if not over:
            yield "stockgrip workflow run"
    if rule != Rule.REFUSED_FILE and alert["feed"]:
        metric = Rule.TIMELINESS if rule == Rule.MISSING_FILE else rule
        day = f" --day {alert['day']}" if alert["day"] else ""
        yield f"stockgrip quality explain {metric} --feed {alert['feed']}{day}"
    if not over and alert["id"]:
        yield f"stockgrip alerts ack {alert['id']}"


def _footer(facts: Mapping[str, Any]) -> str:
    origin = (
        f"Stock GRIP Live on {shown(facts['host'])}, data folder {shown(facts['data_dir'])}, "
        f"letter {shown(facts['letter'])}. Times are of {shown(facts['timezone'])}."
    )
    if facts["kind"] not in ("alerts", "summary"):
        return origin
    return (
        f"{origin} What lasts is told again until somebody acknowledges it (stockgrip alerts ack) or silences it "
        "(stockgrip alerts silence)."
    )


# ---- the text


def _text(
    intro: str, rows: Sequence[tuple[str, str, str]], count: int, parts: Sequence[Part], footer: str
) -> Iterator[str]:
    yield from _wrapped(intro)
    if rows:
        yield ""
        yield from _table(rows)
        if count > len(rows):
            yield f"… and {count - len(rows):,} more: stockgrip alerts list"
    for number, part in enumerate(parts, 1):
        yield ""
        yield f"{number}. {part.head}" if len(parts) > 1 else part.head
        yield "-" * min(COLUMNS, len(part.head) + (3 if len(parts) > 1 else 0))
        yield from _part_text(part)
    if rows and len(rows) > len(parts):
        yield from (
            "",
            f"The other {count - len(parts):,} are in the table above; stockgrip alerts list has all.",
        )
    yield from ("", "-- ")
    yield from _wrapped(footer)


def _part_text(part: Part) -> Iterator[str]:
    yield from _wrapped(part.said)
    if part.meaning:
        yield from _wrapped(f"({part.meaning})")
    yield ""
    wide = max((len(name) for name, _ in part.facts), default=0)
    yield from (f"  {name:<{wide}}  {value}" for name, value in part.facts)  # a path stays whole
    if part.rejects:
        yield from ("", "The first rejects:")
        for reject in part.rejects:
            yield from _wrapped(reject, "  ", "    ")
    if part.steps:
        yield from ("", "What to do:")
        yield from _wrapped(part.steps, "  ", "  ")
    if part.commands:
        yield from ("", "More:", *(f"  {command}" for command in part.commands))


def _table(rows: Sequence[tuple[str, str, str]]) -> Iterator[str]:
    first, second = (max(len(row[n]) for row in rows) for n in (0, 1))
    room = COLUMNS - first - 2
    for word, where, said in rows:
        line = f"{word:<{first}}  {where:<{second}}  {said}"
        if len(line) <= COLUMNS:
            yield line
        else:
            yield from (f"{word:<{first}}  {_cut(where, room)}", f"{'':<{first}}  {_cut(said, room)}")


def _wrapped(text: str, first: str = "", then: str = "") -> list[str]:
    return textwrap.wrap(
        text,
        COLUMNS,
        initial_indent=first,
        subsequent_indent=then,
        break_long_words=False,
        break_on_hyphens=False,
    )


def _cut(text: str, limit: int) -> str:
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
