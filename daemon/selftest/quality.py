"""Do the metrics of a day say what the rows of that day say?"""

from datetime import date
from typing import Any

from daemon.selftest import expected
from daemon.selftest.book import count_rows
from daemon.selftest.checks import Checks
from daemon.selftest.trial import Trial

_FAR = 3.0  # standard deviations


def check(trial: Trial, checks: Checks) -> None:
    """Compares the metrics of the day that was spoilt, and those of the day that was corrected."""
    trial.prepare()
    corrected, day, _ = trial.days
    for file in trial.delivered:
        if file.rejects:
            rows = count_rows(file.text)
            share = expected.accuracy(rows - len(file.rejects), rows)
            (number,) = trial.ask("SELECT MAX(id) FROM data_ingestion_log WHERE file_name = ?", file.name)[0]
            _judged(trial, checks, f"accuracy of {file.name}", share, ("accuracy", f"delivery:{number}", day))
    _judged(
        trial,
        checks,
        f"completeness of sales on {day}",
        expected.completeness(trial.book, day),
        ("completeness", "", day),
        feed="sales",
    )
    for rule, share in expected.stock_rules(trial.book, day).items():
        _judged(
            trial, checks, f"consistency, rule {rule}, on {day}", share, ("consistency", f"rule:{rule}", day)
        )
    _hundredfold(trial, checks, corrected)


def _judged(
    trial: Trial, checks: Checks, name: str, share: float, key: tuple[str, str, date], feed: str = ""
) -> None:
    """The newest value and status of a metric."""
    found = _metrics(trial, key, feed)
    checks.near(name, share, found[-1][0] if found else None)
    if key[0] != "accuracy":  # whose status goes by an upper bound where rows are few
        checks.equal(f"status of {name}", expected.verdict(share), found[-1][1] if found else None)


def _hundredfold(trial: Trial, checks: Checks, day: date) -> None:
    """Prices in cents stand out, and no longer when the file is corrected."""
    scores = [value for value, _ in _metrics(trial, ("anomaly_score", "measure:revenue", day), "sales")]
    first, last = (scores[0], scores[-1]) if scores else (None, None)
    far = first is not None and first > _FAR
    name = f"score of the revenue of {day}"
    checks.so(f"{name}, a hundred times too much", f"above {_FAR:g}", first, ok=far)
    less = far and last is not None and abs(last) < abs(first or 0.0) / 2
    checks.so(f"{name}, corrected", "less than half of that", last, ok=less)
    prices = [status for _, status in _metrics(trial, ("consistency", "rule:unit_price", day), "sales")]
    checks.equal(f"rule unit_price on {day}, before and after", ["fail", "pass"], prices[:1] + prices[-1:])


def _metrics(trial: Trial, key: tuple[str, str, date], feed: str) -> list[tuple[Any, Any]]:
    """What was said of something, the newest last."""
    metric, scope, day = key
    rows = trial.ask(
        "SELECT metric_value, status, data_source FROM data_quality_metrics"
        " WHERE metric_name = ? AND scope = ? AND day = ? ORDER BY id",
        metric,
        scope,
        str(day),
    )
    return [(value, status) for value, status, of in rows if feed in ("", of)]
