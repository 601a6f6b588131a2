"""The report as a page for people: one file, without scripts and without anything from elsewhere."""

from collections.abc import Iterator, Mapping
from typing import Any

from daemon.report import arrivals, stock
from daemon.report.charts import weeks
from daemon.report.figures import alerts, anomalies, quality, run
from daemon.report.headline import sales_text
from daemon.report.html import Html, el, joined
from daemon.report.style import STYLE
from daemon.report.words import NOTHING, change_text, counted, figure, long_day, moment, short_day, whole

_STATES = {
    "attention": ("■ Needs attention", "bad"),
    "look": ("▲ Worth a look", "weak"),
    "well": ("✓ All well", "good"),
    "nothing": (f"{NOTHING} No data", "dim"),
}
_NOTHING_OUTSIDE = "default-src 'none'; style-src 'unsafe-inline'"


def page(facts: Mapping[str, Any]) -> str:
    """The page.

    Args:
        facts: the report as ``facts_of`` made it.
    """
    told = facts["headline"]
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("meta", http_equiv="Content-Security-Policy", content=_NOTHING_OUTSIDE),
        el("title", f"Daily report of {facts['day']}: {told['text']}"),
        el("style", Html(STYLE)),
    )
    body = el("body", el("main", _header(facts), *_sections(facts), _footer(facts)))
    return f"<!DOCTYPE html>\n{el('html', head, body, lang='en')}\n"


def _sections(facts: Mapping[str, Any]) -> Iterator[Html | None]:
    yield arrivals.to_do(facts)
    if facts["headline"]["status"] == "nothing":
        why = "Files that are dropped into live_feeds/ are loaded within seconds; the next report tells of them."
        if facts["newest_day"]:
            why = f"The newest day with data is {long_day(facts['newest_day'])}."
        yield el("section", el("p", why, class_="note after"))
    else:
        yield _sales(facts)
        yield quality(facts["quality"])
        yield anomalies(facts["anomalies"])
        yield stock.section(facts["stock"])
        yield arrivals.files(facts)
        yield arrivals.rejects(facts["rejects"])
    yield alerts(facts["alerts"])
    yield run(facts["workflow"])


def _header(facts: Mapping[str, Any]) -> Html:
    told = facts["headline"]
    state, kind = _STATES[told["status"]]
    return el(
        "header",
        el("p", "Daily report · ", el("b", long_day(facts["day"])), class_="kicker"),
        el(
            "div",
            el("p", el("span", state, class_=f"pill {kind}")),
            el("h1", told["text"]),
            (el("p", sentence) for sentence in told["more"]),
            class_=f"lead {told['status']}",
        ),
        el("dl", _tiles(facts), class_="tiles") if told["status"] != "nothing" else None,
    )


def _tiles(facts: Mapping[str, Any]) -> Iterator[Html]:
    sales, files, stock_ = facts["sales"], facts["files"]["totals"], facts["stock"]
    usual = facts["weekday"]
    yield _tile("Sales", figure(sales["revenue"]), _beside(sales["revenue_change"], usual))
    yield _tile("Units sold", whole(sales["units"]), _beside(sales["units_change"], usual))
    loaded = files["loaded_files"] + files["partial_files"]
    bad = [f"{files['refused_files']:,} refused"] if files["refused_files"] else []
    bad += [
        f"{number:,} {state}" for state in ("missing", "late") if (number := facts["missing_files"][state])
    ]
    yield _tile("Files loaded", f"{loaded:,} of {files['files']:,}", ", ".join(bad))
    rejected = facts["rejects"]["rows"]
    yield _tile(
        "Rows loaded",
        whole(files["rows_loaded"]),
        f"{rejected:,} rejected" if rejected else "none rejected" if files["rows_loaded"] else "",
    )
    if stock_["products"]:
        yield _tile(
            "Out of stock", whole(stock_["out"]["count"]), f"of {counted(stock_['products'], 'product')}"
        )


def _tile(name: str, value: str, note: str) -> Html:
    return el("div", el("dt", name), el("dd", value, el("span", note, class_="note") if note else None))


def _beside(change: float | None, weekday: str) -> str:
    return "" if change is None else f"{change_text(change)} to a usual {weekday}"


def _sales(facts: Mapping[str, Any]) -> Html | None:
    """The last weeks of sales; nothing where there are none."""
    sales = facts["sales"]
    if all(day["revenue"] is None for day in sales["days"]):
        return None
    usual = sales["usual_revenue"]
    said = sales_text(sales, facts["weekday"])
    if usual is None:
        why = f"Too few {facts['weekday']}s are known to say what is usual."
    else:
        why = (
            f"{said[:1].upper()}{said[1:]}: {figure(sales['revenue'])} beside {figure(usual)}, the middle one of the"
            f" last {sales['usual_of']} {facts['weekday']}s."
        )
        if sales["complete"] is False:
            why += " Not all of the day's sales have come."
    if sales["revenue"] is None:
        why = "There are no sales of this day."
    highest = max(day["revenue"] or 0 for day in sales["days"])
    return el(
        "section",
        el("h2", "Sales"),
        el("p", why, class_="note"),
        el(
            "figure",
            weeks(sales["days"], "revenue", why, usual=usual),
            el(
                "div",
                el("span", short_day(sales["days"][0]["day"])),
                el("span", f"highest {figure(highest)}"),
                el("span", short_day(facts["day"])),
                class_="axis",
            ),
            el(
                "p",
                el("span", el("i", class_="key day"), "this day"),
                el("span", el("i", class_="key bar"), "days before"),
                el("span", el("i", class_="key line"), f"a usual {facts['weekday']}")
                if usual is not None
                else None,
                class_="note legend",
            ),
        ),
    )


def _footer(facts: Mapping[str, Any]) -> Html:
    return el(
        "footer",
        el(
            "p",
            joined(
                f"As known {moment(facts['created_at'])} ({facts['timezone']}); later files may change it. More: ",
                el("code", "stockgrip explain FILE"),
                ", ",
                el("code", f"stockgrip quality --day {facts['day']}"),
                ", ",
                el("code", "stockgrip alerts"),
                ". The same for programs: ",
                el("code", f"daily_summary_{facts['day'].replace('-', '')}.json"),
                ".",
            ),
        ),
    )
