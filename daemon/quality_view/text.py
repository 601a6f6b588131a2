"""The picture of quality as lines that fit the terminal."""

import sys
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import click
from rich.cells import cell_len

from daemon.quality_view.figures import limit_text, moment_text, sparkline, trend_words, value_text
from daemon.quality_view.meanings import spoken
from daemon.quality_view.why import missing_text, scope_text
from daemon.terminal import is_terminal, padded, printable, width, wrapped

_COLOURS = {"pass": "green", "warning": "yellow", "fail": "red", "error": "red"}
_UNJUDGED = ("pending", "insufficient_history", "skipped")
_WORDS = {"insufficient_history": "not judged", "skipped": "nothing to judge"}
_GAP = "  "
_FILES = 5  # that did not come, and are named
_RIGHT = ("value",)
_LEFT_OUT = ("passes", "trend")  # in this order, where there is no room


def coloured(status: str, text: str | None = None) -> str:
    """A status, or a text in its colour; ``click.echo`` takes the colour out where none is wanted."""
    shown = status if text is None else text
    return click.style(shown, fg=_COLOURS.get(status), dim=status not in _COLOURS or None)


def status_words(status: str) -> str:
    """A status as a person reads it."""
    return _WORDS.get(status, status)


def picture_text(told: Mapping[str, Any]) -> str:
    """What ``picture`` found."""
    if told["day"] is None:
        return "\n".join(wrapped(nothing_yet(told["feed"]), width()))
    zone = ZoneInfo(told["timezone"])
    lines = wrapped(_head(told), width())
    for feed in told["feeds"]:
        lines += ["", *_block(feed, zone)]
    return "\n".join(lines)


def nothing_yet(feed: str | None = None) -> str:
    """What there is to say where nothing was ever recorded, or nothing of a feed."""
    return (
        f"no quality metrics{f' of {feed}' if feed else ''} yet: they follow the first delivery that is loaded, by `stockgrip run` or `stockgrip drain`."
        " `stockgrip status` shows what waits."
    )


def not_measured(told: Mapping[str, Any]) -> str:
    """That nothing was measured of a day, and where there is something."""
    whose = f" of {told['feed']}" if told["feed"] else ""
    near = " and ".join(told["nearest_days"])
    there = f"the nearest with metrics: {near}" if near else "there are none of any other day either"
    return f"no metrics{whose} for {told['day']}; {there}"


def _head(told: Mapping[str, Any]) -> str:
    day = date.fromisoformat(told["day"])
    whose = f" of {told['feed']}" if told["feed"] else ""
    newest = ""
    if told["day"] == told["newest_day"]:
        newest = f", the newest day with metrics{whose}"
        if told["newer_day"]:
            newest += f" (of {told['newer_day']} there is only timeliness)"
    counts = [
        f"{count} {status_words(status)}"
        for status in ("fail", "error", "warning", "pass", *_UNJUDGED)
        if (count := told["summary"].get(status))
    ]
    return f"{day:%A %Y-%m-%d}{newest} ({told['timezone']}): {', '.join(counts)}"


def _block(feed: Mapping[str, Any], zone: ZoneInfo) -> list[str]:
    """A feed: a table of its metrics, what is to be said of those that do not pass, and what changed."""
    last = f"the last ones are of {feed['last_day']}" if feed["last_day"] else "there never were any"
    if not feed["metrics"]:
        return wrapped(f"{feed['feed']}: no metrics of this day; {last}", width())
    head = f"{click.style(feed['feed'], bold=True)}: {coloured(feed['status'], status_words(feed['status']))}"
    lines = [head, *_table(feed["metrics"])]
    if [metric["metric"] for metric in feed["metrics"]] == ["timeliness"]:
        lines += wrapped(f"no other metrics of this day; {last}", width(), _GAP, _GAP * 2)
    for metric in feed["metrics"]:
        lines += _remarks(metric, zone)
    return lines + _missing(feed["missing_files"], zone) + _unjudged(feed["metrics"]) + _changed(feed)


def _missing(files: Sequence[Mapping[str, Any]], zone: ZoneInfo) -> list[str]:
    """The files that did not come, and what to look at if something did."""
    lines = []
    for each in files[:_FILES]:
        told = f"did not come: {missing_text(each, zone)}"
        lines += wrapped(printable(told), width(), _GAP, _GAP * 2)
        if each["command"]:
            lines.append(f"{_GAP * 2}{printable(each['command'])}")
    more = len(files) - _FILES
    return lines + ([f"{_GAP}and {more:,} more files that did not come"] if more > 0 else [])


def _table(metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    trend = _trend_of if is_terminal(sys.stdout) else _words_of
    rows = [
        {
            "metric": (spoken(m["metric"]), None),
            "value": (value_text(m["metric"], None if m["status"] == "skipped" else m["value"]), None),
            "passes": (limit_text(m["metric"], m["threshold"], few="share" in m["details"]), None),
            "status": (_judged(m), coloured(m["status"], _judged(m))),
            "trend": trend(m),
        }
        for m in metrics
    ]
    titles = {name: name for name in rows[0]} | {"trend": _title(metrics[0]["trend"])}
    sizes = {name: max(cell_len(titles[name]), *(cell_len(row[name][0]) for row in rows)) for name in titles}
    for name in _LEFT_OUT:
        if sum(sizes.values()) + len(_GAP) * len(sizes) > width():
            del sizes[name]
    head = _GAP.join(padded(titles[name], size, right=name in _RIGHT) for name, size in sizes.items())
    lines = [f"{_GAP}{click.style(head.rstrip(), dim=True)}"]
    for row in rows:
        cells = []
        for name, size in sizes.items():
            plain, styled = row[name]
            cell = padded(plain, size, right=name in _RIGHT)
            cells.append(cell if styled is None else styled + " " * (size - cell_len(plain)))
        lines.append(_GAP + _GAP.join(cells).rstrip())
    return lines


def _judged(metric: Mapping[str, Any]) -> str:
    """Its status; of a surprise that is only worth a line in the digest, that."""
    mild = metric["status"] == "warning" and metric["details"].get("severity") == "info"
    return f"{status_words(metric['status'])}{' (info)' if mild else ''}"


def _title(points: Sequence[object]) -> str:
    """What is shown of so many days: in words only those before."""
    return f"last {len(points)} days" if is_terminal(sys.stdout) else f"{len(points) - 1} days before"


def _trend_of(metric: Mapping[str, Any]) -> tuple[str, str | None]:
    """A sparkline, and the same with each day in its status' colour."""
    points = metric["trend"]
    bars = sparkline(metric["metric"], [point["value"] for point in points])
    styled = [coloured(p["status"] or "", bar) for p, bar in zip(points, bars, strict=True)]
    return "".join(bars), "".join(styled)


def _words_of(metric: Mapping[str, Any]) -> tuple[str, str | None]:
    return trend_words(metric["metric"], [point["value"] for point in metric["trend"]]), None


def _remarks(metric: Mapping[str, Any], zone: ZoneInfo) -> list[str]:
    """Why a metric does not pass, and the command that shows more; of lateness the moment that it speaks of."""
    lines = []
    name = spoken(metric["metric"])
    if metric["metric"] == "timeliness" and metric["status"] not in _UNJUDGED:
        why = f"{metric['why']}; " if metric["why"] else ""
        told = f"{name}: {why}as of {moment_text(datetime.fromisoformat(metric['at']), zone)}"
        lines += wrapped(printable(told), width(), _GAP, _GAP * 2)
    elif metric["command"]:
        lines += wrapped(printable(f"{name}: {metric['why']}"), width(), _GAP, _GAP * 2)
    others = [
        f"{scope_text(each['scope'])} {_brief(metric['metric'], each)}" for each in metric["others"][:5]
    ]
    if others:
        more = metric["others_count"] - len(others)
        told = f"also: {', '.join(others)}{f' and {more:,} more' if more else ''}"
        lines += wrapped(printable(told), width(), _GAP * 2)
    if metric["command"]:
        lines.append(f"{_GAP * 2}{printable(metric['command'])}")
    return lines


def _brief(metric: str, each: Mapping[str, Any]) -> str:
    return f"{value_text(metric, each['value'])} ({each['status']})"


def _unjudged(metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    """One line for all that nobody can judge yet: on a young site that is most."""
    told: dict[str, list[str]] = {}
    for metric in metrics:
        if metric["status"] in _UNJUDGED:
            told.setdefault(metric["why"] or status_words(metric["status"]), []).append(
                spoken(metric["metric"])
            )
    return [
        line
        for why, names in told.items()
        for line in wrapped(printable(f"{', '.join(names)}: {why}"), width(), _GAP, _GAP * 2)
    ]


def _changed(feed: Mapping[str, Any]) -> list[str]:
    told = []
    for change in feed["changes"][:6]:
        what = " ".join(filter(None, (spoken(change["metric"]), scope_text(change["scope"]))))
        told.append(f"{what} {change['change']} ({change['before']} → {change['now']})")
    if not told:
        return []
    more = len(feed["changes"]) - len(told)
    text = f"since {feed['day_before']}: {', '.join(told)}{f' and {more:,} more' if more else ''}"
    return wrapped(printable(text), width(), _GAP, _GAP * 2)
