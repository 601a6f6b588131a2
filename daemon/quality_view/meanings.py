"""What each metric means, in one place: for ``stockgrip quality explain``, and for docs/cli.md."""

from collections.abc import Mapping
from dataclasses import dataclass

from handlers.quality.result import Metric


@dataclass(frozen=True, slots=True)
class Meaning:
    """What there is to say of a metric.

    Attributes:
        sentence: what it is.
        formula: how its value is worked out, in words.
        reading: what a value tells, and what it does not.
        passes: the setting up to which a value passes.
        warns: the setting up to which it is a warning.
        more: other settings that decide about it; FEED stands for the feed's name.
    """

    sentence: str
    formula: str
    reading: str
    passes: str
    warns: str
    more: tuple[str, ...] = ()


MEANINGS: Mapping[Metric, Meaning] = {
    Metric.COMPLETENESS: Meaning(
        "The share of what was expected of a business day that came.",
        "expected senders (places and channels; of demand: sources) that came / how many of them come on average;"
        " at most 1. Expected are those that came on most of the last 8 open days of the same weekday, or those configured.",
        "1 means as many as usual. A product that sold nothing is not missing. Late files are judged again: the value can"
        " only rise.",
        "completeness_pass",
        "completeness_warning",
        ("FEED.expected", "closed_days", "country"),
    ),
    Metric.ACCURACY: Meaning(
        "The share of the rows that came which could be loaded.",
        "good rows / all data rows of the day's files, lines that could not be read included; below 50 rows the lower bound"
        " of Wilson's interval, judged by the upper one.",
        "Of a few rows a share says little: three good rows of three have the value 0.44, and pass.",
        "accuracy_pass",
        "accuracy_warning",
    ),
    Metric.TIMELINESS: Meaning(
        "How many hours the next data are overdue.",
        "this moment - the moment at which the next file was due (its usual time and a grace, or the configured one); 0 if"
        " that has not come yet.",
        "It speaks of a moment, not of a business day: silence makes it grow.",
        "delay_pass_hours",
        "delay_warning_hours",
        ("FEED.calendar", "grace_minutes", "closed_days"),
    ),
    Metric.CONSISTENCY: Meaning(
        "The share of a day's figures that agree with each other, for each rule.",
        "1 - products (and places) that break the rule / those of which enough is known to tell.",
        "Real data break rules now and then; a low share says that something is wrong with a file.",
        "consistency_pass",
        "consistency_warning",
    ),
    Metric.ANOMALY_SCORE: Meaning(
        "How many standard deviations a day's total is from what was to be expected.",
        "the total's place in the distribution that the level of the last 28 open days, the weekday and the usual spread"
        " lead to, as standard deviations.",
        "A score is a surprise, no proof of a fault: it warns and never fails. On chance alone 6 days of 100 are beyond 2.",
        "anomaly_info",
        "anomaly_warning",
        ("country", "closed_days"),
    ),
}

RULES: Mapping[str, str] = {
    "reserved": "0 ≤ reserved ≤ stock",
    "stock_balance": "stock = stock of the day before - sales + receipts",
    "sold_at_zero": "nothing is sold when the stock of the day before was 0 and nothing came in",
    "unit_price": "a unit price is within a factor of 3 of the product's median of 28 days, or within its usual spread",
    "competitor_price": "own / competitor's price is between 1/3 and 3",
    "reconciliation": "a control total and what was loaded differ by at most 1, or 0.5 %",
}


def spoken(name: str) -> str:
    """A metric's name for a person."""
    return name.replace("_", " ")
