"""What the page says of files: which need somebody, what came, and which rows were rejected."""

from collections.abc import Mapping, Sequence
from typing import Any

from daemon.report.html import Child, Html, el, joined
from daemon.report.tables import Column, more, table
from daemon.report.words import counted, moment, outcome, short_day, spoken, whole
from handlers.reasons import FileReason

_ROWS = ("rows_read", "rows_loaded", "rows_rejected", "rows_duplicate")
_SHOWN = 8  # of what is long, and stands before or between what matters
_LONGEST = (
    210  # of a message: a longer one says more than a manager asks for, and the meaning of its reason does
)
_MEANINGS = {reason.value: reason.meaning for reason in FileReason}
_FILE = (
    Column("file", "name"),
    Column("from", "name"),
    Column("outcome", "keep"),
    Column("read", "n"),
    Column("loaded", "n"),
    Column("rejected", "n"),
    Column("repeated", "n"),
    Column("came", "keep"),
)


def to_do(facts: Mapping[str, Any]) -> Html | None:
    """The files that did not come, and those that were refused; nothing where there are none."""
    missing, refused = facts["missing_files"], facts["files"]["refused"]
    still = [file for file in refused["items"] if not file["mended"]][:_SHOWN]
    if not missing["count"] and not still:
        return None
    parts: list[Html | None] = [el("h2", "What needs doing")]
    if missing["count"]:
        parts += [
            el("h3", _missing_title(missing)),
            el("ul", map(_missing, missing["items"][:_SHOWN]), class_="items"),
            more(missing["count"], min(_SHOWN, len(missing["items"]))),
        ]
    if still:
        parts += [
            el("h3", f"{counted(refused['open'], 'file')} refused"),
            el("ul", map(_refused, still), class_="items"),
            more(refused["open"], len(still)),
        ]
    return el("section", *parts)


def _missing_title(missing: Mapping[str, Any]) -> str:
    told = [f"{missing[state]:,} {state}" for state in ("missing", "late") if missing[state]]
    if missing["of_earlier_days"]:
        told.append(f"{missing['of_earlier_days']:,} of earlier days")
    return f"Files that did not come: {', '.join(told)}"


def _missing(file: Mapping[str, Any]) -> Html:
    word, kind = ("■ missing", "bad") if file["state"] == "missing" else ("▲ late", "weak")
    name = file["name"] or f"{file['feed']} of {short_day(file['day'])}"
    sender = f" from {file['sender']}" if file["sender"] else ""
    why = f"{file['why']}. " if file["why"] else ""
    due = f"It was due {moment(file['due_at'])}." if file["due_at"] else ""
    return el(
        "li",
        joined(el("span", word, class_=f"{kind} keep"), " ", el("strong", name, class_="name"), sender),
        el("p", f"{why[:1].upper()}{why[1:]}{due}"),
    )


def _refused(file: Mapping[str, Any]) -> Html:
    sender = f" from {file['sender']}" if file["sender"] else ""
    message = str(file["message"] or "")
    if not message or len(message) > _LONGEST:
        message = _MEANINGS.get(file["reason"] or "", message or "no reason is known")
    told = f"{message[:1].upper()}{message[1:]}"
    remedy = f" {file['remedy']}" if file["remedy"] else ""
    return el(
        "li",
        joined(
            el("span", "■ refused", class_="bad keep"),
            " ",
            el("strong", file["name"], class_="name"),
            sender,
            el("span", f", came {moment(file['arrived_at'])}", class_="dim"),
        ),
        el("p", f"{told}{'' if told.endswith('.') else '.'}{remedy}"),
    )


def files(facts: Mapping[str, Any]) -> Html:
    """What came: sums by feed, the files of the day, and those of other days that came meanwhile."""
    of_day, others, totals = (
        facts["files"]["of_day"],
        facts["files"]["of_other_days"],
        facts["files"]["totals"],
    )
    parts: list[Html | None] = [el("h2", "Files")]
    if not of_day["count"]:
        parts.append(el("p", "No file of this day has come.", class_="note"))
    else:
        feeds = [feed for feed in facts["files"]["feeds"] if feed["files"]]
        columns = [Column("feed"), *(Column(title, "n") for title in _TITLES)]
        parts += [
            table(columns, map(_feed, feeds), _feed({**totals, "feed": "all"}) if len(feeds) > 1 else None),
            el("h3", "Of this day"),
            table(_FILE, map(_file, of_day["items"])),
            more(of_day["count"], len(of_day["items"]), "files"),
        ]
    if others["count"]:
        parts += [
            el("h3", "Of other days"),
            el("p", f"Came between {moment(others['since'])} and {moment(others['until'])}.", class_="note"),
            table(_FILE, map(_file, others["items"][:_SHOWN])),
            more(others["count"], min(_SHOWN, len(others["items"])), "files"),
        ]
    return el("section", *parts)


_TITLES = ("files", "refused", "rows read", "loaded", "rejected", "repeated")


def _feed(feed: Mapping[str, Any]) -> Sequence[Child]:
    names = ("files", "refused_files", *_ROWS)
    return [feed["feed"] or "no feed", *(whole(feed[name]) for name in names)]


def _file(file: Mapping[str, Any]) -> Sequence[Child]:
    word, kind = outcome(dict(file))
    return [
        file["name"],
        " ".join(filter(None, (file["feed"] or "no feed", file["sender"]))),
        el("span", word, class_=kind or None),
        *(whole(file[name]) for name in _ROWS),
        moment(file["arrived_at"]),
    ]


def rejects(found: Mapping[str, Any]) -> Html:
    """The rows that were rejected, by reason and by sender, each with an example."""
    if not found["rows"]:
        said = "No row of the files that were loaded was rejected, or all are corrected."
        return el("section", el("h2", "Rejected rows"), el("p", said, class_="note"))
    said = (
        f"{counted(found['rows'], 'row')} of {counted(found['files'], 'file')}; the others of the same files were loaded."
        " Correct the cells in errors/, then drop that file back."
    )
    reasons, senders = found["by_reason"], found["by_sender"]
    numbers = (Column("rows", "n"), Column("files", "n"))
    return el(
        "section",
        el("h2", "Rejected rows"),
        el("p", said, class_="note"),
        el("h3", "By reason"),
        table(
            [Column("reason"), *numbers, Column("example", "name")],
            ([_reason(one), *_numbers(one), _example(one["example"])] for one in reasons["items"]),
        ),
        more(reasons["count"], len(reasons["items"]), "reasons"),
        el("h3", "By sender"),
        table(
            [Column("sender", "name"), *numbers, Column("example", "name")],
            ([_sender(one), *_numbers(one), _example(one["example"])] for one in senders["items"]),
        ),
        more(senders["count"], len(senders["items"]), "senders"),
    )


def _reason(one: Mapping[str, Any]) -> Html:
    return joined(el("strong", spoken(one["reason"])), el("br"), el("span", one["meaning"], class_="dim"))


def _sender(one: Mapping[str, Any]) -> Html:
    return joined(el("strong", one["sender"] or one["feed"]), f" ({one['feed']})" if one["sender"] else None)


def _numbers(one: Mapping[str, Any]) -> list[str]:
    return [whole(one["rows"]), whole(one["files"])]


def _example(one: Mapping[str, Any] | None) -> Html | None:
    if one is None:
        return None
    cell = joined(f"{one['column']} ", el("code", one["value"])) if one["column"] else None
    return joined(
        cell, el("br") if cell else None, el("span", f"{one['file']}, line {one['line']:,}", class_="dim")
    )
