"""What the page says of quality, of unusual figures, of alerts and of the daily run."""

from collections.abc import Mapping, Sequence
from textwrap import shorten
from typing import Any

from daemon.quality_view.figures import trend_words
from daemon.report.charts import spark, weeks
from daemon.report.html import Child, Html, el, joined
from daemon.report.tables import Column, more, table
from daemon.report.words import (
    NOTHING,
    change_text,
    figure,
    judged,
    limit_text,
    moment,
    short_day,
    spoken,
    value_text,
)

_CHARTS = 8  # more of them nobody looks at
_ALERTS = 10
_LONGEST = 210  # of an alert's sentence
_SEVERITIES = {"critical": ("■", "bad"), "warning": ("▲", "weak"), "info": ("●", "dim")}
_STEPS = {"ok": ("✓ done", "good"), "failed": ("■ failed", "bad"), "skipped": (f"{NOTHING} left out", "dim")}


def quality(found: Mapping[str, Any]) -> Html:
    """The five metrics of each feed, with two weeks of each."""
    if not found["feeds"]:
        said = "Nothing was measured of this day."
        return el("section", el("h2", "Quality of the data"), el("p", said, class_="note"))
    parts: list[Html | None] = [
        el("h2", "Quality of the data"),
        el(
            "p",
            "Did all come, was it right, was it in time, does it agree with itself, is it unusual?",
            class_="note",
        ),
    ]
    for feed in found["feeds"]:
        if feed["metrics"]:
            parts += [el("h3", feed["feed"].capitalize()), _metrics(feed["metrics"])]
    return el("section", *parts)


def _metrics(metrics: Sequence[Mapping[str, Any]]) -> Html:
    days = len(metrics[0]["trend"])
    columns = [
        Column("metric"),
        Column("status", "keep plain"),
        Column("value", "n plain"),
        Column("passes", "keep plain limit"),
        Column(f"last {days} days", "keep plain"),
    ]
    return table(columns, map(_metric, metrics), kind="even")


def _metric(metric: Mapping[str, Any]) -> Sequence[Child]:
    sign, word, kind = judged(metric["status"])
    name = metric["metric"]
    values = [point["value"] for point in metric["trend"]]
    said = f"{spoken(name)} of the last {len(values)} days: {trend_words(name, values)} before"
    known = any(value is not None for value in values)
    why = el("span", metric["why"], class_="note name") if metric["why"] else None
    return [
        joined(el("strong", spoken(name)), joined(el("br"), why) if why else None),
        el("span", f"{sign} {word}", class_=kind),
        value_text(name, None if metric["status"] == "skipped" else metric["value"]),
        limit_text(name, metric["threshold"]),
        spark(name, metric["trend"], said) if known else None,
    ]


def anomalies(found: Mapping[str, Any]) -> Html:
    """What was unusual, each with its last weeks."""
    if not found["count"]:
        said = "Nothing stands out from what the days before made usual, as far as they tell."
        return el("section", el("h2", "Unusual figures"), el("p", said, class_="note"))
    charted = found["items"][:_CHARTS]
    return el(
        "section",
        el("h2", "Unusual figures"),
        el(
            "p",
            "A surprise is no proof of a fault. The feed as a whole comes first, then what explains it.",
            class_="note",
        ),
        el(
            "p",
            el("span", el("i", class_="key weak"), "this day"),
            el("span", el("i", class_="key range"), "usual range"),
            el("span", el("i", class_="key line"), "expected"),
            class_="note legend",
        ),
        el("div", map(_anomaly, charted), class_="cards"),
        more(found["count"], len(charted)),
    )


def _anomaly(one: Mapping[str, Any]) -> Html:
    score = one["score"]
    said = f"{abs(score):.1f} standard deviations {'above' if score > 0 else 'below'} what was expected"
    if one["counted"] is not None and one["expected"] is not None:
        change = change_text(one["change"])
        said = (
            f"{figure(one['counted'])} instead of {figure(one['expected'])}{f' ({change})' if change else ''}"
        )
    if one["holiday"]:
        said += f"; {one['holiday']}"
    title, measure = _of(one), f"{one['feed']}, {one['measure']}"
    axis = chart = None
    if one["days"]:
        chart = weeks(one["days"], "value", f"{measure}, {title}: {said}", "weak")
        ends = (one["days"][0]["day"], one["days"][-1]["day"])
        axis = el("div", (el("span", short_day(end)) for end in ends), class_="axis")
    word = "● somewhat unusual" if one["severity"] == "info" else "▲ unusual"
    return el(
        "figure",
        el("h3", title),
        el("p", measure, class_="note"),
        el("p", el("span", word, class_="weak keep"), f": {said}", class_="note"),
        chart,
        axis,
    )


def _of(one: Mapping[str, Any]) -> str:
    """A product in a place, a place, or the feed as a whole."""
    parts = dict(one["of"])
    product = parts.pop("product", None)
    places = " ".join(str(value) for value in parts.values())
    if product:
        return f"{product} in {places}" if places else str(product)
    return places or f"All {one['feed']}"


def alerts(found: Mapping[str, Any]) -> Html | None:
    """The alerts that fire; nothing where there are none."""
    if not found["count"]:
        return None
    return el(
        "section",
        el("h2", f"Alerts that fire: {found['count']:,}"),
        el("ul", map(_alert, found["items"][:_ALERTS]), class_="items"),
        more(found["count"], min(_ALERTS, len(found["items"])), "alerts"),
    )


def _alert(one: Mapping[str, Any]) -> Html:
    sign, kind = _SEVERITIES.get(one["severity"], ("●", "dim"))
    seen = [word for word in ("acknowledged", "silenced") if one[word]]
    return el(
        "li",
        joined(
            el("span", f"{sign} {one['severity']}", class_=f"{kind} keep"),
            " ",
            el("strong", spoken(one["rule"])),
            f" {one['feed']}" if one["feed"] else None,
            el(
                "span", f", since {moment(one['since'])}{''.join(f', {word}' for word in seen)}", class_="dim"
            ),
        ),
        el("p", shorten(one["summary"], _LONGEST, placeholder=" …")),
    )


def run(found: Mapping[str, Any] | None) -> Html | None:
    """What the steps of the daily run did before the report."""
    if found is None or not found["steps"]:
        return None
    columns = [
        Column("step"),
        Column("outcome", "keep"),
        Column("seconds", "n"),
        Column("what it did", "name"),
    ]
    return el(
        "section",
        el("h2", "The daily run"),
        el("p", f"Run {found['run']:,}, begun {moment(found['started_at'])}.", class_="note"),
        table(columns, map(_step, found["steps"])),
    )


def _step(step: Mapping[str, Any]) -> Sequence[Child]:
    word, kind = _STEPS.get(step["status"], (step["status"], "dim"))
    said = step["error"] or ", ".join(
        f"{spoken(name)} {_value(value)}" for name, value in step["details"].items()
    )
    return [spoken(step["name"]), el("span", word, class_=kind), f"{step['seconds']:,.1f}", said]


def _value(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{count} {spoken(str(name))}" for name, count in value.items() if count) or "none"
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return f"{value:,}" if isinstance(value, int) else str(value)
