"""Which results and files begin an alert, which end one, and which say neither."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from handlers.alerts.rules import Rule, Severity, inhibits, silenced_by, worst
from handlers.alerts.signals import Signal, arrived, merged, refused, signal_of
from handlers.quality.accuracy import accuracy
from handlers.quality.completeness import completeness, configured
from handlers.quality.hierarchy import judge_score
from handlers.quality.result import TOLD_BY, Metric, Result, Status
from handlers.quality.timeliness import timeliness

DAY = date(2025, 6, 3)
NOW = datetime(2025, 6, 4, 12, tzinfo=UTC)


def completeness_of(share: float) -> Result:
    keys = [f"location:{n:03}" for n in range(100)]
    return completeness(DAY, keys[: round(share * 100)], configured(keys))


@pytest.mark.parametrize(
    ("share", "firing"),
    [(0.0, True), (0.89, True), (0.90, None), (0.92, None), (0.93, False), (0.95, False), (1.0, False)],
)
def test_completeness_begins_below_090_and_ends_at_093(share: float, firing: bool | None) -> None:
    signal = signal_of(completeness_of(share), "sales", 7)
    assert (signal and signal.firing) == firing
    if signal is not None:
        assert (signal.rule, signal.severity) == (Rule.COMPLETENESS, Severity.CRITICAL)
        assert signal.key == "completeness|sales||2025-06-03"


def test_a_summary_names_figures_and_what_is_missing() -> None:
    signal = signal_of(completeness_of(0.8), "sales", 7)
    assert signal is not None
    assert signal.summary == (
        "80.0 % of what was expected came; 20 of 100 missing: location 080, location 081, location 082,"
        " location 083, location 084 and 15 more"
    )
    assert json.loads(json.dumps(dict(signal.details)))["value"] == 0.8
    well = signal_of(completeness_of(0.96), "sales", 7)
    assert well is not None
    assert well.summary == "96.0 % of what was expected came"


@pytest.mark.parametrize("share", [0.8999, 0.89999, 0.9, 0.29])
def test_a_share_is_never_rounded_up(share: float) -> None:
    signal = signal_of(
        Result(Metric.COMPLETENESS, "", DAY, share, 0.95, Status.FAIL, {"missing": ["a"]}), "sales", 1
    )
    assert signal is not None
    assert float(signal.summary.split(" %")[0]) <= share * 100 + 1e-9


@pytest.mark.parametrize("metric", list(Metric))
def test_what_is_not_judged_says_nothing_but_what_is_skipped_is_well(metric: Metric) -> None:
    for status in (Status.PENDING, Status.INSUFFICIENT_HISTORY, Status.ERROR):
        assert signal_of(Result(metric, "", DAY, None, 0.95, status), "sales", 1) is None
    signal = signal_of(Result(metric, "", DAY, None, 0.95, Status.SKIPPED), "sales", 1)
    assert signal is not None
    assert not signal.firing


@pytest.mark.parametrize(
    ("valid", "firing"), [(890, True), (899, True), (900, None), (949, None), (950, False), (1000, False)]
)
def test_accuracy_of_a_delivery(valid: int, firing: bool | None) -> None:
    signal = signal_of(accuracy(valid, 1000), "sales", 12)
    assert (signal and signal.firing) == firing
    if signal is not None:
        assert (signal.severity, signal.scope) == (Severity.WARNING, "delivery:12")
        assert signal.summary == f"{valid:,} of 1,000 rows are good ({valid / 10:.1f} %)"
    named = replace(accuracy(1, 1000), details={"valid": 1, "rows": 1000, "file": "a.csv"})
    signal = signal_of(named, "sales", 12)
    assert signal is not None
    assert signal.summary == "a.csv: 1 of 1,000 rows are good (0.1 %)"
    of_a_day = signal_of(accuracy(1, 1000, day=DAY), "sales", 12)
    assert of_a_day is not None
    assert of_a_day.key == "accuracy|sales||2025-06-03"


@pytest.mark.parametrize(
    ("hours", "firing"), [(0, False), (24, False), (24.1, True), (47, True), (100, True)]
)
def test_lateness_is_a_warning_after_24_hours(hours: float, firing: bool) -> None:
    result = timeliness(NOW, covered=None, arrived=None, due=NOW - timedelta(hours=hours))
    signal = signal_of(result, "sales", None)
    assert signal is not None
    assert (signal.firing, signal.severity, signal.rule) == (firing, Severity.WARNING, Rule.TIMELINESS)


@pytest.mark.parametrize(
    ("status", "why", "summary"),
    [
        (Status.FAIL, None, "a.csv did not come; it was due at 6"),
        (Status.FAIL, "it was refused", "a.csv is not here: it was refused; it was due at 6"),
        (Status.PASS, None, "a.csv came"),
        (Status.SKIPPED, "it is not expected any more", "a.csv: it is not expected any more"),
    ],
)
def test_what_is_said_of_a_missing_file(status: Status, why: str | None, summary: str) -> None:
    said = {"name": "a.csv", "due": 6, **({"why": why} if why else {})}
    signal = signal_of(Result(Metric.TIMELINESS, "", DAY, 30.0, 24.0, status, said), "sales", None)
    assert signal is not None
    assert signal.summary == summary


def test_timeliness_of_a_day_is_about_its_file() -> None:
    said = {"name": "sales_data_20250603.csv", "due": "2025-06-04T06:00:00+00:00"}
    missing = Result(Metric.TIMELINESS, "source:a", DAY, 6.0, 24.0, Status.WARNING, said)
    signal = signal_of(missing, "sales", None)
    assert signal is not None
    assert signal.key == "missing_file|sales|source:a|2025-06-03"
    assert signal.summary == "sales_data_20250603.csv did not come; it was due at 2025-06-04 06:00"


@pytest.mark.parametrize(
    ("status", "firing"), [(Status.FAIL, True), (Status.WARNING, None), (Status.PASS, False)]
)
def test_consistency_alarms_when_it_fails(status: Status, firing: bool | None) -> None:
    said = {"evaluated": 2000, "violating": 300, "violating_keys": ["A-1 store_01"]}
    signal = signal_of(
        Result(Metric.CONSISTENCY, "rule:unit_price", DAY, 0.85, 0.95, status, said), "sales", 3
    )
    assert (signal and signal.firing) == firing
    if signal is not None:
        assert signal.severity is Severity.WARNING
        assert signal.summary.startswith("unit price: 300 of 2,000 contradict each other")


@pytest.mark.parametrize(
    ("z", "severity"), [(1.9, None), (2.1, Severity.INFO), (-2.9, Severity.INFO), (-3.1, Severity.WARNING)]
)
def test_a_surprise_is_information_and_a_big_one_a_warning(z: float, severity: Severity | None) -> None:
    scored = judge_score("measure:revenue", DAY, z, details={"counted": 812, "expected": 1400.4})
    signal = signal_of(scored, "sales", None)
    assert signal is not None
    assert signal.firing == (severity is not None)
    if severity:
        assert signal.severity == severity
        assert signal.summary == f"revenue 812, expected 1,400 ({z:+.1f} standard deviations)"


def test_what_another_alert_tells_begins_none_and_is_named_there() -> None:
    child = judge_score("measure:revenue|location:4", DAY, -9.0, details={TOLD_BY: "measure:revenue"})
    signal = signal_of(child, "sales", 7)
    assert signal is not None
    assert not signal.firing
    parts = [{"scope": "location:4|product:A", "value": -9.04}, {"scope": "channel:pos", "value": -3.0}]
    details = {"counted": 0, "expected": 8.46, "parts": parts}
    signal = signal_of(judge_score("measure:revenue", DAY, -3.9, details=details), "sales", 7)
    assert signal is not None
    assert signal.summary == (
        "revenue 0, expected 8.5 (-3.9 standard deviations); above all location 4 product A -9.0, channel pos -3.0"
    )


# ---- files


def row(**of: Any) -> dict[str, Any]:
    return {
        "id": 5,
        "file_name": "sales_data_20250603.csv",
        "file_type": "sales",
        "slot": "sales:2025-06-03:",
        "fixes": None,
        "error_details": {"reason": "no_valid_rows", "message": "all 8 rows were rejected", "remedy": "r"},
    } | of


UNREAD = {"file_type": None, "slot": None}


@pytest.mark.parametrize(
    ("was_refused", "came"),
    [
        (row(), row(id=9)),
        (row(), row(id=9, file_name="sales_data_20250603.csv.gz")),
        (row(slot="sales:2025-06-03:till:1"), row(slot="sales:2025-06-03:till:1", file_name="other.csv")),
        (row(**UNREAD), row(id=9)),
        (row(**UNREAD, file_name="sales_data_20250603.csv.zst"), row(id=9)),
        (row(slot=None, file_name="till_log.csv"), row(slot=None, file_name="till_log.csv")),
        (row(fixes=3, file_name="x.csv.rejects.csv"), row(fixes=3, file_name="x.csv.rejects.csv")),
    ],
)
def test_what_comes_at_last_ends_the_alert_of_what_was_refused(
    was_refused: dict[str, Any], came: dict[str, Any]
) -> None:
    signal = refused(was_refused)
    assert signal.firing
    assert signal.severity is Severity.WARNING
    assert signal.key in [each.key for each in arrived(came)]
    assert not any(each.firing for each in arrived(came))


@pytest.mark.parametrize(
    ("was_refused", "came"),
    [
        (row(), row(slot="sales:2025-06-04:", file_name="sales_data_20250604.csv")),
        (row(), row(slot="sales:2025-06-03:store_01", file_name="sales_data_20250603_store_01.csv")),
        (row(), row(fixes=3, file_name="sales_data_20250603.csv.rejects.csv")),
        (row(file_type="demand"), row()),
    ],
)
def test_another_file_does_not(was_refused: dict[str, Any], came: dict[str, Any]) -> None:
    assert refused(was_refused).key not in [each.key for each in arrived(came)]


def test_the_same_bytes_under_a_better_name_do() -> None:
    misnamed = row(**UNREAD, file_name="export (1).csv")
    assert refused(misnamed).key in [each.key for each in arrived(row(id=9), [misnamed])]


def test_a_held_correction_is_said_to_be_held_and_oddities_are_escaped() -> None:
    odd = row(
        file_name="s\x1b[31m\u202e.csv",
        error_details={"reason": "shrunk", "message": "1 row\0\nfor 9 \udc80"},
    )
    signal = refused(odd)
    assert signal.summary == r"s\x1b[31m\u202e.csv is held (shrunk): 1 row\x00\nfor 9 \udc80"
    assert signal.details["held"] is True
    signal = refused(row(error_details={"reason": "encoding", "message": "x" * 5_000}))
    assert len(signal.summary) == 400
    assert refused(row(error_details=None)).firing


# ---- rules


def alert(**of: Any) -> dict[str, Any]:
    return {"rule": "completeness", "feed": "sales", "scope": "", "day": DAY} | of


def test_a_late_feed_keeps_its_completeness_and_anomalies_quiet() -> None:
    late = alert(rule="timeliness", day=None)
    assert inhibits(late, alert())
    assert inhibits(late, alert(rule="anomaly_score", scope="location:4"))
    assert not inhibits(late, alert(feed="demand"))
    assert not inhibits(late, alert(rule="consistency"))
    assert not inhibits(alert(rule="timeliness", day=None, scope="source:a"), alert())
    assert inhibits(alert(rule="missing_file"), alert())
    assert not inhibits(alert(rule="missing_file"), alert(day=date(2025, 6, 4)))
    assert not inhibits(alert(), alert())


def test_a_silence_matches_what_it_names_until_it_ends() -> None:
    silence = {"rule": None, "feed": "sales", "scope": None, "until": NOW, "ended_at": None}
    before = NOW - timedelta(seconds=1)
    assert silenced_by(alert(), [silence], before) is silence
    assert silenced_by(alert(), [silence], NOW) is None
    assert silenced_by(alert(feed="demand"), [silence], before) is None
    assert silenced_by(alert(), [silence | {"rule": "accuracy"}], before) is None
    assert silenced_by(alert(scope="location:4"), [silence | {"scope": ""}], before) is None
    assert silenced_by(alert(), [silence | {"ended_at": before}], before) is None


def test_every_rule_has_a_meaning_and_severities_an_order() -> None:
    assert all(rule.meaning for rule in Rule)
    assert {metric.value for metric in Metric} < {rule.value for rule in Rule}
    assert worst(["info", "critical", "warning"]) is Severity.CRITICAL


def test_of_several_signals_about_one_thing_the_last_counts() -> None:
    one, other = (
        Signal(Rule.ACCURACY, Severity.WARNING, "sales", "", DAY, firing) for firing in (True, False)
    )
    assert merged([one, other]) == [other]
