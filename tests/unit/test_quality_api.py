"""What is said of quality in one place is what the pages say; and figures are shown as what they are."""

import inspect
import re
from pathlib import Path

import pytest

from daemon.quality_view import figures
from daemon.quality_view.meanings import MEANINGS, RULES
from daemon.quality_view.picture import FEEDS
from daemon.settings import Settings
from handlers.quality.consistency import Rule
from handlers.quality.result import Metric
from stockgrip import DataQualityMonitor, QualityReport, QualityResult

DOCS = Path(__file__).parents[2] / "docs"


def rows(name: str, heading: str) -> list[list[str]]:
    """The tables below a heading, without their heads."""
    text = (DOCS / name).read_text("utf-8").split(f"# {heading}\n", 1)[1]
    text = re.split(r"^#", text, maxsplit=1, flags=re.MULTILINE)[0]
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith("| `")
    ]


def test_each_metric_and_rule_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Metric)
    assert set(RULES) == set(Rule)
    for meaning in MEANINGS.values():
        assert {meaning.passes, meaning.warns} <= Settings().quality.thresholds.__class__.model_fields.keys()
        for key in meaning.more:
            for feed in FEEDS:
                found = Settings().quality
                for name in key.replace("FEED", feed).split("."):
                    found = getattr(found, name)


def test_the_page_of_commands_says_what_each_metric_is() -> None:
    found = dict(rows("cli.md", "stockgrip quality explain"))
    assert {name: found[f"`{name}`"] for name in Metric} == {m: MEANINGS[m].sentence for m in Metric}


@pytest.mark.parametrize("result", [QualityResult, QualityReport], ids=lambda r: r.__name__)
def test_the_page_of_the_api_lists_each_key(result: type) -> None:
    assert [row[0] for row in rows("api.md", result.__name__)] == [
        f"`{key}`" for key in result.__annotations__
    ]


def test_the_page_of_the_api_lists_each_method() -> None:
    methods = [
        n for n, _ in inspect.getmembers(DataQualityMonitor, inspect.isfunction) if not n.startswith("_")
    ]
    heading = "DataQualityMonitor(session, config=None, settings=None)"
    assert sorted(re.match(r"`(\w+)", row[0])[1] for row in rows("api.md", heading)) == sorted(methods)


def test_a_share_is_never_rounded_to_what_it_is_not() -> None:
    assert figures.value_text("accuracy", 0.9499999) == "0.949", "it does not pass"
    assert figures.value_text("completeness", 0.99999) == "0.999"
    assert figures.value_text("anomaly_score", 2.0) == "+2.00"


def test_a_sparkline_has_a_mark_for_each_day() -> None:
    bars = figures.sparkline("completeness", [1.0, None, 0.0, 0.5])
    assert len(bars) == 4
    assert len(set(bars)) == 4
    assert figures.trend_words("accuracy", [None, 1.0, 1.0]) == "always 1.000"
    assert figures.trend_words("accuracy", [None, 0.5]) == "nothing before"
