"""The explanation of a metric as lines that fit the terminal."""

import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import click
from rich.cells import cell_len

from daemon.quality_view.figures import (
    limit_text,
    moment_text,
    number,
    sparkline,
    trend_words,
    value_text,
)
from daemon.quality_view.meanings import RULES, spoken
from daemon.quality_view.text import coloured, status_words
from daemon.quality_view.why import missing_text, scope_text
from daemon.terminal import is_terminal, padded, printable, width, wrapped

_NAMES = 12  # of a list that are shown
_MOMENTS = 6  # of a value's history that are shown


def explanation_text(told: Mapping[str, Any]) -> str:
    """What ``explanation`` found."""
    return "\n".join(_Page(told).lines())


class _Page:
    def __init__(self, told: Mapping[str, Any]) -> None:
        self._told = told
        self._metric = str(told["metric"])
        self._zone = ZoneInfo(told["timezone"])

    def lines(self) -> list[str]:
        """All of it."""
        meaning = self._told["meaning"]
        lines = [click.style(spoken(self._metric), bold=True)]
        lines += self._said(meaning["sentence"])
        lines += self._said(meaning["formula"], "  = ", "    ")
        lines += self._said(meaning["reading"])
        lines += self._said(f"Limits: {self._limits()}.")
        if self._told["settings"]:
            lines += self._said(f"Settings: {', '.join(self._told['settings'])}.")
        by_feed: dict[str, list[Mapping[str, Any]]] = {}
        for result in self._told["results"]:
            by_feed.setdefault(result["feed"], []).append(result)
        for first, *others in by_feed.values():
            lines += ["", *self._result(first), *self._others(others)]
        return lines + self._missing() + self._parts()

    def _limits(self) -> str:
        (passes, good), (warns, tolerable) = self._told["limits"].items()
        direction = "or more" if self._metric in ("completeness", "accuracy", "consistency") else "or less"
        if self._metric == "anomaly_score":
            beyond = f"beyond is a warning, of the severity info up to {tolerable:g} ({warns})"
            return f"within {good:g} passes ({passes}), {beyond}"
        return f"{good:g} {direction} passes ({passes}), {tolerable:g} {direction} is a warning ({warns}), else it fails"

    def _result(self, result: Mapping[str, Any]) -> Iterator[str]:
        value = value_text(self._metric, result["value"])
        what = " ".join(filter(None, (spoken(self._metric), scope_text(result["scope"]))))
        when = self._told["day"] if self._metric != "timeliness" else self._at(result["at"])
        status = status_words(result["status"])
        plain = printable(f"{result['feed']}, {when}: {what} {value}, ")
        whole = wrapped(plain + status, width())
        whole[-1] = whole[-1][: -len(status)] + coloured(result["status"], status)
        yield from whole
        rule = RULES.get(scope_text(result["scope"]))
        if rule and rule not in result["why"]:
            yield from self._said(f"The rule: {rule}.")
        if result["why"]:
            yield from self._said(result["why"])
        yield self._trend(result["trend"])
        yield from self._head("How it came about")
        yield from self._figures(result["details"])
        for each in result["rejected"][:_NAMES]:
            text = f"{each['file']} (delivery {each['delivery']}): {each['rows']:,} rejected, mostly {each['reason']}"
            yield from self._said(text, "    ")
        yield from self._history(result["history"])
        yield from self._head("What to do")
        for step in result["next"]:
            yield from self._said(step["text"], "    ")
            if step["command"]:
                yield f"      {printable(step['command'])}"

    def _trend(self, points: Sequence[Mapping[str, Any]]) -> str:
        values = [point["value"] for point in points]
        if not is_terminal(sys.stdout):
            return f"  {len(points) - 1} days before: {trend_words(self._metric, values)}"
        bars = sparkline(self._metric, values)
        shown = "".join(coloured(p["status"] or "", bar) for p, bar in zip(points, bars, strict=True))
        return f"  last {len(points)} days  {shown}"

    def _figures(self, details: Mapping[str, Any]) -> Iterator[str]:
        shown = {
            spoken(key): self._figure(value) for key, value in details.items() if value not in (None, [], {})
        }
        if not shown:
            yield from self._said("no figures were recorded", "    ")
            return
        broad = min(max(map(cell_len, shown)), max(width() // 2 - 6, 8))
        for name, text in shown.items():
            yield from wrapped(printable(text), width(), f"    {padded(name, broad)}  ")

    def _figure(self, value: Any) -> str:
        if isinstance(value, bool):
            return "yes" if value else "no"
        if isinstance(value, int | float):
            return number(value)
        if isinstance(value, Mapping):
            return ", ".join(f"{spoken(str(key))} {self._figure(each)}" for key, each in value.items())
        if isinstance(value, list):
            named = [
                scope_text(each) if isinstance(each, str) else self._figure(each) for each in value[:_NAMES]
            ]
            separator = "; " if any(isinstance(each, Mapping | list) for each in value) else ", "
            more = f" and {len(value) - len(named):,} more" if len(value) > len(named) else ""
            return separator.join(named) + more
        return self._at(value) if isinstance(value, str) else str(value)

    def _at(self, text: str) -> str:
        """A text; if it is a moment, in the business time zone."""
        if "T" not in text:
            return text
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            return text
        return f"{moment_text(at, self._zone)} ({self._zone.key})" if at.tzinfo else text

    def _history(self, moments: Sequence[Mapping[str, Any]]) -> Iterator[str]:
        """First value, last value, and some between."""
        left_out = max(len(moments) - _MOMENTS, 0)
        for number_, each in enumerate(moments):
            if 0 < number_ <= left_out:
                if number_ == left_out:
                    yield f"    … {left_out:,} between"
                continue
            which = "only" if len(moments) == 1 else "first" if not number_ else ""
            which = "now" if number_ == len(moments) - 1 and number_ else which
            by = f"after delivery {each['delivery']}" if each["delivery"] else "by the clock"
            file = f" ({each['file']})" if each["file"] else ""
            at = moment_text(datetime.fromisoformat(each["at"]), self._zone)
            text = f"{padded(which, 5)}  {at}  {value_text(self._metric, each['value'])} {each['status']}, {by}{file}"
            yield from wrapped(printable(text), width(), "    ", " " * 11)

    def _others(self, others: Sequence[Mapping[str, Any]]) -> list[str]:
        if not others:
            return []
        lines = list(self._head("Also measured (tell more of one with --scope)"))
        for each in others:
            plain = printable(f"{each['scope'] or 'as a whole'} {value_text(self._metric, each['value'])}, ")
            limit = limit_text(self._metric, each["threshold"])
            text = f"{plain}{status_words(each['status'])} ({limit})"
            lines += wrapped(text, width(), "    ", "      ")
        return lines

    def _missing(self) -> list[str]:
        files = self._told["missing_files"]
        if not files:
            return []
        lines = ["", *self._head("Files that did not come")]
        for each in files:
            lines += self._said(f"{each['feed']}: {missing_text(each, self._zone)}", "    ", "      ")
            if each["command"]:
                lines.append(f"      {printable(each['command'])}")
        return lines

    def _parts(self) -> list[str]:
        parts = self._told["parts"]
        if not parts:
            return []
        lines = ["", *self._head("In parts (tell more of one with --scope)")]
        for each in parts:
            value = value_text(self._metric, each["value"])
            text = printable(f"{each['feed']} {each['scope']} {value}, {status_words(each['status'])}")
            lines += wrapped(text, width(), "    ", "      ")
        more = self._told["parts_count"] - len(parts)
        return lines + ([f"    … and {more:,} more"] if more else [])

    def _head(self, text: str) -> Iterator[str]:
        for line in wrapped(text, width(), "  "):
            yield click.style(line, bold=True)

    def _said(self, text: str, first: str = "  ", rest: str | None = None) -> list[str]:
        return wrapped(printable(text), width(), first, rest)
