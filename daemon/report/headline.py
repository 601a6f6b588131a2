"""The day in one line, for who reads no further."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

ATTENTION, LOOK, WELL, NOTHING = "attention", "look", "well", "nothing"
_TIMES = 3.0  # from so many times the usual on it is told as a multiple
_AS_USUAL = 0.005
_NAMED = 3  # points in the line; the others stand below it
_UNJUDGED = ("pending", "insufficient_history", "skipped")


@dataclass(frozen=True, slots=True)
class _Point:
    """Something that is not as it should be."""

    level: str
    text: str


def headline(found: Mapping[str, Any]) -> dict[str, Any]:
    """The line and what stands below it.

    Args:
        found: all else that the report says.

    Returns:
        ``status`` (``attention``: somebody must act; ``look``: it is worth a look; ``well``; ``nothing``: there are no data of
        the day), ``text``, and ``more``: sentences.
    """
    points = sorted(_points(found), key=lambda point: point.level != ATTENTION)
    firing = found["alerts"]["critical"] + found["alerts"]["warning"]
    if not points and firing:  # about other days, mostly
        points = [_Point(LOOK, f"{_count(firing, 'alert')} {'fires' if firing == 1 else 'fire'}")]
    sales = sales_text(found["sales"], found["weekday"])
    told = ", ".join(point.text for point in points[:_NAMED])
    more = [f"Also {_listed(point.text for point in points[_NAMED:])}."] if points[_NAMED:] else []
    if points:
        status = points[0].level
    elif _is_empty(found):
        status = NOTHING
        told = "No data yet" if found["newest_day"] is None else f"No data of this {found['weekday']}"
    else:
        status = WELL
        told = _all_well(found["quality"]["metrics"])
    text = "; ".join(filter(None, (told, sales)))
    return {
        "status": status,
        "text": text[:1].upper() + text[1:],
        "more": [*more, *_earlier(found["missing_files"]), *_stock(found["stock"])],
    }


def sales_text(sales: Mapping[str, Any], weekday: str) -> str:
    """The day's sales beside those of a usual day; "" if that is not known."""
    change = sales["revenue_change"]
    if change is None:
        return ""
    so_far = " so far" if sales["complete"] is False else ""
    if abs(change) < _AS_USUAL:
        return f"sales{so_far} as on a usual {weekday}"
    if change + 1 >= _TIMES:
        return f"sales{so_far} {change + 1:,.0f} times those of a usual {weekday}"
    share = f"{abs(change) * 100:.0f} %" if abs(change) < 1 or change > 0 else "100 %"
    return f"sales{so_far} {share} {'above' if change > 0 else 'below'} a usual {weekday}"


def _points(found: Mapping[str, Any]) -> Iterator[_Point]:
    missing, refused = found["missing_files"], found["files"]["refused"]["open"]
    if missing["missing"]:
        yield _Point(ATTENTION, f"{_count(missing['missing'], 'file')} missing")
    if refused:
        noun = f"{refused:,}" if missing["missing"] else _count(refused, "file")
        yield _Point(ATTENTION, f"{noun} refused")
    failed = [
        step["name"] for step in (found["workflow"] or {}).get("steps", ()) if step["status"] == "failed"
    ]
    if failed:
        yield _Point(ATTENTION, f"{_listed(name.replace('_', ' ') for name in failed)} failed")
    told = {"completeness", "timeliness"} if missing["missing"] or refused else set()
    bad = [
        f"{metric['metric'].replace('_', ' ')} of {feed['feed']}"
        for feed in found["quality"]["feeds"]
        for metric in feed["metrics"]
        if metric["status"] in ("fail", "error") and metric["metric"] not in told
    ]
    if bad:
        yield _Point(ATTENTION, f"{_listed(bad)} {'fails' if len(bad) == 1 else 'fail'}")
    elif found["alerts"]["critical"] and not (missing["missing"] or refused):
        yield _Point(ATTENTION, _count(found["alerts"]["critical"], "critical alert"))
    if missing["late"]:
        yield _Point(LOOK, f"{_count(missing['late'], 'file')} late")
    if found["rejects"]["rows"]:
        yield _Point(LOOK, f"{_count(found['rejects']['rows'], 'row')} rejected")
    odd = dict.fromkeys(each["feed"] for each in found["anomalies"]["items"])
    if odd:
        yield _Point(LOOK, f"unusual figures in {_listed(odd)}")
    weak = [
        f"{metric['metric'].replace('_', ' ')} of {feed['feed']}"
        for feed in found["quality"]["feeds"]
        for metric in feed["metrics"]
        if metric["status"] == "warning" and metric["metric"] not in {*told, "anomaly_score"}
    ]
    if weak:
        yield _Point(LOOK, f"{_listed(weak)} below {'its limit' if len(weak) == 1 else 'their limits'}")


def _is_empty(found: Mapping[str, Any]) -> bool:
    return (
        not found["files"]["totals"]["files"]
        and found["sales"]["units"] is None
        and not found["quality"]["feeds"]
    )


def _all_well(metrics: Mapping[str, int]) -> str:
    unjudged, total = sum(metrics.get(status, 0) for status in _UNJUDGED), sum(metrics.values())
    if total and unjudged * 2 < total:
        return "All well"
    return "Nothing wrong was found" + (
        f", but {unjudged} of {total} measures of quality cannot be judged yet" if total else ""
    )


def _earlier(missing: Mapping[str, Any]) -> list[str]:
    number = missing["of_earlier_days"]
    if not number:
        return []
    return [f"{_count(number, 'file')} of earlier days {'is' if number == 1 else 'are'} still missing."]


def _stock(stock: Mapping[str, Any]) -> list[str]:
    out, low = stock["out"], stock["low"]
    told = []
    if out["selling"]:
        verb = "is" if out["selling"] == 1 else "are"
        told.append(f"{_count(out['selling'], 'product')} that sold lately {verb} out of stock")
    if low["count"]:
        told.append(f"{_count(low['count'], 'product')} may run out before more can come")
    return [f"{'; '.join(told)}."] if told else []


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _listed(names: Iterable[str]) -> str:
    """One, two and three."""
    *first, last = names
    return f"{', '.join(first)} and {last}" if first else last
