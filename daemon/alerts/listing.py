"""Alerts and silences as text that fits the terminal, for ``stockgrip alerts``."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import click

from daemon.terminal import UNLIMITED, beginning, padded, printable, width, wrapped
from handlers.alerts.words import owner_words

Row = Mapping[str, Any]
_COLOURS = {"critical": "red", "warning": "yellow", "info": "cyan"}
_INDENT = 4
_SUMMARY = 240  # columns of a summary in a list on a terminal
_VALUE = 300  # characters of a detail
_WHOLE = 1000  # from here on fractions of a detail are of no interest
_SAID = ("file", "message")  # details that the summary has


def alerts_text(rows: Sequence[Row], timezone: str) -> str:
    """Alerts, each with some lines: what, since when, the figures, what was told and who looks after it."""
    zone, digits = ZoneInfo(timezone), max((len(str(row["id"])) for row in rows), default=0)
    return "\n".join(line for row in rows for line in _alert(row, zone, digits))


def alert_text(told: Row, timezone: str) -> str:
    """One alert with its details, what was told of it, and the command that shows more."""
    zone, row = ZoneInfo(timezone), told["alert"]
    lines = _alert(row, zone, 0, whole=True)
    lines += _fields({"rule": f"{row['rule']}: {told['meaning']}", "key": row["dedup_key"]})
    lines += _fields(row["details"] or {})
    for notice in told["notices"]:
        lines += _line(f"{_at(notice['created_at'], zone)}  {notice['kind']}: {_fate(notice, row, zone)}")
    for step in told["next"]:
        lines += _line(f"$ {step}")
    return "\n".join(lines)


def acked_text(found: Row) -> str:
    """What was acknowledged, and what was not."""
    lines = []
    for row in found["acked"]:
        lines += wrapped(printable(f"alert {row['id']} is acknowledged: {row['summary']}"), width())
    for why in found["failed"]:
        lines += wrapped(printable(why), width())
    return "\n".join(lines)


def silences_text(rows: Sequence[Row], now: datetime, timezone: str) -> str:
    """Silences, each with what it keeps quiet, until when, and why."""
    zone, lines = ZoneInfo(timezone), []
    for row in rows:
        if row["ended_at"] is not None:
            when = f"ended {_at(row['ended_at'], zone)}"
        else:
            when = f"{'until' if now < row['until'] else 'over since'} {_at(row['until'], zone)}"
        lines += wrapped(printable(f"{_what(row)}, {when}: {row['why']}"), width(), f"{row['id']}  ")
    return "\n".join(lines)


def silence_text(row: Row, quiet: int, timezone: str) -> str:
    """A silence that begins, and how many alerts fall under it now."""
    zone = ZoneInfo(timezone)
    now = f"{quiet:,} that fire{'s' * (quiet == 1)} now" if quiet else "none that fires now"
    text = f"silence {row['id']}: {_what(row)}, until {_at(row['until'], zone)} ({now})"
    return "\n".join(wrapped(printable(text), width()))


def sent_text(found: Iterable[Row]) -> str:
    """What became of a test, for each channel."""
    lines = []
    for each in found:
        mark = click.style("sent", fg="green") if each["ok"] else click.style("failed", fg="red")
        first, *rest = wrapped(printable(each["message"]), width(), f"{each['channel']}: {'.' * 6} ")
        lines += [first.replace("." * 6, mark, 1), *rest]
    return "\n".join(lines)


def _alert(row: Row, zone: ZoneInfo, digits: int, *, whole: bool = False) -> list[str]:
    severity = row["severity"] if row["state"] == "firing" else "over"
    about = (
        row["rule"],
        owner_words(row["rule"], row["feed"]),
        row["scope"],
        row["day"] and row["day"].isoformat(),
    )
    head = printable("  ".join(filter(None, about)))
    number = padded(str(row["id"]), max(digits, len(str(row["id"]))), right=True)
    begin = f"{number}  {padded(severity, 8)}  "
    first, *rest = wrapped(head, width(), begin, " " * _INDENT)
    colour = _COLOURS.get(severity)
    styled = click.style(severity, fg=colour, bold=severity == "critical" or None, dim=not colour or None)
    first = first.replace(severity, styled, 1)
    summary = printable(row["summary"])
    if not whole and width() < UNLIMITED:
        summary = beginning(summary, _SUMMARY)
    return [first, *rest, *_line(summary), *_line(printable(_state(row, zone)))]


def _state(row: Row, zone: ZoneInfo) -> str:
    """Since when, how often, and who knows."""
    said = [f"since {_at(row['first_at'], zone)} {row['first_at'].astimezone(zone):%Z}"]
    if row["state"] != "firing":
        over = row["resolved_at"].astimezone(zone)
        said = [f"from {_at(row['first_at'], zone)} until {_at(over, zone)} {over:%Z}"]
    if row["times"] > 1:
        said.append(f"found {row['times']:,} times")
    if row["acked_at"] is not None:
        note = f" ({row['ack_note']})" if row["ack_note"] else ""
        said.append(f"acknowledged {_at(row['acked_at'], zone)}{note}")
    if row["silenced_by"] is not None:
        said.append(f"silenced by {row['silenced_by']}")
    told = f" {_at(row['notified_at'], zone)}" if row["notified_at"] is not None else ""
    words = {"told": f"told{told}", "waiting": _waits(row), "sending": "being sent"}
    said.append(words.get(row["telling"], "not told"))
    return ", ".join(said)


def _waits(row: Row) -> str:
    """Why nobody is told yet."""
    if row["kept_quiet_by"] is not None:
        return f"kept quiet by alert {row['kept_quiet_by']}"
    return "waits for the daily digest" if row["severity"] == "info" else "waits to be told"


def _fate(notice: Row, row: Row, zone: ZoneInfo) -> str:
    if notice["letter_id"] is None:
        return _waits(row)
    if notice["channel"] is None:
        return f"letter {notice['letter_id']}"
    if notice["sent_at"] is not None:
        return f"sent by {notice['channel']} {_at(notice['sent_at'], zone)}"
    tries = f", tried {notice['attempts']:,} times" if notice["attempts"] else ""
    return f"to be sent by {notice['channel']}{tries}" + (
        f": {notice['last_error']}" if notice["last_error"] else ""
    )


def _what(row: Row) -> str:
    named = [f"{name} {row[name] or 'none'}" for name in ("rule", "feed", "scope") if row[name] is not None]
    return ", ".join(named) or "everything"


def _fields(fields: Row) -> list[str]:
    """Names and values."""
    lines = []
    for name, value in fields.items():
        if value in (None, False, "") or name in _SAID:
            continue
        lines += _line(printable(_text(value)[:_VALUE]), f"{name}: ")
    return lines


def _text(value: object) -> str:
    """A detail: a fraction with four digits, a list with commas, counts by name as ``bad_date 59``."""
    if isinstance(value, float):
        return f"{value:.4g}" if abs(value) < _WHOLE else f"{value:,.0f}"
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_text(each)}" for key, each in value.items())
    if isinstance(value, list):
        return ", ".join(map(_text, value))
    return str(value)


def _line(text: str, begin: str = "") -> list[str]:
    return wrapped(text, width(), " " * _INDENT + begin, " " * (_INDENT + 2))


def _at(moment: datetime, zone: ZoneInfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"
