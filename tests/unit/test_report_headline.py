"""The day in one line."""

from typing import Any

import pytest

from daemon.report.headline import headline
from daemon.report.html import Html, el
from daemon.report.words import change_text, value_text


def facts(**changes: Any) -> dict[str, Any]:
    """A day on which all is well, and what is otherwise."""
    metrics = [{"metric": name, "status": "pass"} for name in ("completeness", "accuracy", "consistency")]
    found: dict[str, Any] = {
        "weekday": "Tuesday",
        "newest_day": "2025-07-01",
        "sales": {"units": 96, "revenue_change": -0.04, "complete": True},
        "files": {"totals": {"files": 3}, "refused": {"open": 0}},
        "missing_files": {"missing": 0, "late": 0, "of_earlier_days": 0},
        "rejects": {"rows": 0},
        "quality": {"metrics": {"pass": 3}, "feeds": [{"feed": "sales", "metrics": metrics}]},
        "anomalies": {"items": []},
        "stock": {"out": {"selling": 0}, "low": {"count": 0}},
        "alerts": {"critical": 0, "warning": 0},
        "workflow": None,
    }
    for name, value in changes.items():
        found[name] = {**found[name], **value} if isinstance(found[name], dict) else value
    return found


MISSING = {"missing": 2, "late": 0, "of_earlier_days": 1}
REFUSED = {"refused": {"open": 1}}
FAILS = {"feeds": [{"feed": "demand", "metrics": [{"metric": "consistency", "status": "fail"}]}]}
EARLY = {"metrics": {"insufficient_history": 9, "pass": 6}}


@pytest.mark.parametrize(
    ("changes", "status", "text"),
    [
        ({}, "well", "All well; sales 4 % below a usual Tuesday"),
        ({"sales": {"revenue_change": 0.004}}, "well", "All well; sales as on a usual Tuesday"),
        ({"sales": {"revenue_change": None}}, "well", "All well"),
        ({"sales": {"revenue_change": 99.0}}, "well", "All well; sales 100 times those of a usual Tuesday"),
        (
            {"missing_files": MISSING, "files": REFUSED},
            "attention",
            "2 files missing, 1 refused; sales 4 % below a usual Tuesday",
        ),
        (
            {"missing_files": {"late": 1}, "sales": {"revenue_change": -0.4, "complete": False}},
            "look",
            "1 file late; sales so far 40 % below a usual Tuesday",
        ),
        ({"quality": FAILS}, "attention", "Consistency of demand fails; sales 4 % below a usual Tuesday"),
        ({"alerts": {"warning": 2}}, "look", "2 alerts fire; sales 4 % below a usual Tuesday"),
        (
            {"rejects": {"rows": 1}, "workflow": {"steps": [{"name": "day_close", "status": "failed"}]}},
            "attention",
            "Day close failed, 1 row rejected; sales 4 % below a usual Tuesday",
        ),
        (
            {"quality": EARLY, "sales": {"revenue_change": None}},
            "well",
            "Nothing wrong was found, but 9 of 15 measures of quality cannot be judged yet",
        ),
    ],
)
def test_a_line(changes: dict[str, Any], status: str, text: str) -> None:
    found = headline(facts(**changes))
    assert (found["status"], found["text"]) == (status, text)


def test_what_stands_below_the_line() -> None:
    stock = {"out": {"selling": 3}, "low": {"count": 1}}
    assert headline(facts(stock=stock, missing_files=MISSING))["more"] == [
        "1 file of earlier days is still missing.",
        "3 products that sold lately are out of stock; 1 product may run out before more can come.",
    ]


def test_html_is_escaped_wherever_text_goes() -> None:
    made = el("td", "<i>&\u202e", el("b", "x"), None, data_l='"><script>', class_=None)
    assert made == '<td data-l="&quot;&gt;&lt;script&gt;">&lt;i&gt;&amp;\\u202e<b>x</b></td>'
    assert isinstance(made, Html)


def test_a_share_is_never_rounded_up_and_a_multiple_is_told_as_such() -> None:
    assert [value_text("accuracy", value) for value in (0.99999, 1.0, 0.57)] == ["99.9 %", "100 %", "57 %"]
    assert [change_text(change) for change in (-0.04, 0.5, 99.0, None)] == [
        "\N{MINUS SIGN}4 %",
        "+50 %",
        "\N{MULTIPLICATION SIGN} 100",
        "",
    ]
