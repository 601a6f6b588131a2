"""Small charts as SVG: no text in them, for it would shrink with them; what they say stands beside them in words.

Colours are classes of the page's style, so that they suit light, dark and paper; each shape also has one of its own, for
programs that take the style away.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from daemon.quality_view.figures import heights
from daemon.report.html import Html, el

_STEP, _BAR = 10.0, 6.0  # a day's width, and that of its bar
_HIGH = 100.0
_LEAST = 1.5  # of a bar that is not nothing
_GREY, _RANGE, _INK, _BAD, _WEAK = "#8fa3b5", "#dfe7ee", "#5c6873", "#b3261e", "#9a5b00"
_FILLS = {"bar": _GREY, "bad": _BAD, "weak": _WEAK, "day": "#2f5d8a", "range": _RANGE}


def weeks(
    days: Sequence[Mapping[str, Any]],
    measure: str,
    said: str,
    marked: str = "day",
    usual: float | None = None,
) -> Html:
    """A bar for each day, the last one marked; behind them the usual range, or a line at what is usual.

    Args:
        days: oldest first; ``measure``, and maybe ``low``, ``expected`` and ``high``.
        measure: what the bars show.
        said: the same in words.
        marked: the class of the last bar.
        usual: where the line is; None: there is none.
    """
    top = max((value for day in days for value in (day[measure], day.get("high")) if value), default=0.0)
    top = max(top, usual or 0.0) or 1.0

    def y(value: float) -> float:
        return round(_HIGH - max(0.0, value) / top * (_HIGH - 4), 2)

    shapes = _range(days, y)
    for n, day in enumerate(days):
        value, last = day[measure], n == len(days) - 1
        if value is None:
            continue
        kind = marked if last else "bar"
        at = min(y(value), _HIGH - _LEAST)
        shapes.append(_rect(n * _STEP + (_STEP - _BAR) / 2, at, _BAR, _HIGH - at, kind))
    expected = [(n, day["expected"]) for n, day in enumerate(days) if day.get("expected") is not None]
    for n, value in expected:
        shapes.append(_line(n * _STEP, y(value), (n + 1) * _STEP, y(value)))
    if usual is not None:
        shapes.append(_line(0, y(usual), len(days) * _STEP, y(usual)))
    return _svg(len(days) * _STEP, shapes, said, "chart")


def _range(days: Sequence[Mapping[str, Any]], y: Any) -> list[Html]:
    """What was usual: a box for each day of which it is known."""
    known = [(n, day["low"], day["high"]) for n, day in enumerate(days) if day.get("high") is not None]
    return [_rect(n * _STEP, y(high), _STEP, y(low) - y(high), "range") for n, low, high in known]


def spark(metric: str, trend: Sequence[Mapping[str, Any]], said: str) -> Html:
    """A metric's last days: a bar each; those that do not pass are marked."""
    shapes = []
    for n, (day, height) in enumerate(
        zip(trend, heights(metric, [each["value"] for each in trend]), strict=True)
    ):
        if height is None:
            shapes.append(_rect(n * _STEP + 3, _HIGH - 4, 4, 4, "none"))
            continue
        tall = max(8.0, min(height, 1.0) * (_HIGH - 2))
        kind = {"fail": "bad", "error": "bad", "warning": "weak"}.get(day["status"] or "", "bar")
        shapes.append(_rect(n * _STEP + 1.5, _HIGH - tall, _BAR, tall, kind))
    return _svg(len(trend) * _STEP, shapes, said, "spark")


def _rect(x: float, y: float, width: float, height: float, kind: str) -> Html:
    return el(
        "rect",
        x=round(x, 2),
        y=round(y, 2),
        width=round(width, 2),
        height=round(height, 2),
        fill=_FILLS.get(kind, _GREY),
        class_=f"c-{kind}",
    )


def _line(x1: float, y1: float, x2: float, y2: float) -> Html:
    return el(
        "line",
        x1=x1,
        y1=y1,
        x2=x2,
        y2=y2,
        stroke=_INK,
        stroke_width="1.2",
        vector_effect="non-scaling-stroke",
        class_="c-line",
    )


def _svg(width: float, shapes: Sequence[Html], said: str, kind: str) -> Html:
    return el(
        "svg",
        shapes,
        viewBox=f"0 0 {width:g} {_HIGH:g}",
        preserveAspectRatio="none",
        role="img",
        aria_label=said,
        class_=kind,
        width="90" if kind == "spark" else "100%",
        height="22" if kind == "spark" else "84",
    )
