"""The settings of quality: what they become, and what is said of wrong ones."""

from datetime import UTC, date, datetime, time, timedelta

import pytest

from daemon.after.terms import Terms
from daemon.config import load_settings
from daemon.errors import ConfigError
from daemon.reading import Rules
from daemon.settings import Settings
from handlers.quality.result import DEFAULTS


def settings(tmp_path, text: str) -> Settings:
    file = tmp_path / "config.yaml"
    file.write_text("quality:\n" + text, encoding="utf-8")
    return load_settings(file, {})


def test_the_defaults_are_those_of_the_handlers():
    assert Rules.of(Settings()).thresholds == DEFAULTS
    terms = Terms.of(Settings(), "sales")
    assert terms.thresholds == DEFAULTS
    assert (terms.expected, dict(terms.calendars), terms.holiday(date(2025, 12, 25))) == (None, {}, "")


def test_thresholds_reach_the_rows_and_the_days(tmp_path):
    changed = settings(tmp_path, "  thresholds: {accuracy_pass: 0.99}\n")
    assert Rules.of(changed).thresholds.accuracy_pass == 0.99
    assert Terms.of(changed, "demand").thresholds.accuracy_pass == 0.99


def test_a_feed_without_totals_is_not_judged():
    assert Terms.of(Settings(), "products") is None


def test_a_calendar_is_what_it_says(tmp_path):
    entry = "{source: north, weekdays: [sat, mon], due: 16:30, days_later: 0, name: 'x_{date}.csv'}"
    changed = settings(
        tmp_path, f"  closed_days: [2025-07-12]\n  sales:\n    calendar: [{entry}, {{due: '06:00'}}]\n"
    )
    terms = Terms.of(changed, "sales")
    north = terms.calendars["north"]
    assert set(north.due_after) == {0, 5}
    assert north.due(date(2025, 7, 7), UTC) == datetime(2025, 7, 7, 16, 30, tzinfo=UTC)
    assert north.name(date(2025, 7, 7)) == "x_20250707.csv"
    assert not north.expects(date(2025, 7, 12))
    assert terms.calendars[""].due_after[6] == timedelta(days=1, hours=6)
    assert changed.quality.sales.calendar[0].due == time(16, 30)


def test_holidays_are_those_of_the_place(tmp_path):
    terms = Terms.of(settings(tmp_path, "  country: DE\n  subdivision: BY\n"), "sales")
    assert terms.holiday(date(2025, 1, 6)) != ""  # of Bavaria
    assert terms.holiday(date(2025, 1, 7)) == ""
    assert terms.same_holidays(date(2025, 1, 6), 2) == [date(2023, 1, 6), date(2024, 1, 6)]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("  country: Germany\n", "country 'Germany' is not known"),
        ("  country: no\n", "use quotes"),
        ("  subdivision: BY\n", "needs a country"),
        ("  country: DE\n  subdivision: CA\n", "there are: BB, BE"),
        ("  closed_days: [christmas]\n", "quality.closed_days[0]"),
        ("  grace_minutes: -1\n", "greater than or equal to 0"),
        ("  thresholds: {accuracy_warning: 0.99}\n", "accuracy_warning (0.99) must not be more than"),
        ("  thresholds: {anomaly_infos: 2}\n", "did you mean quality.thresholds.anomaly_info?"),
        ("  sales: {expected: [447]}\n", "valid string"),
        ("  sales: {expected: [shop-447]}\n", "location:447|channel:pos"),
        ("  sales: {calendar: {north: 1}}\n", "must be a list such as"),
        ("  sales: {calendar: [north]}\n", "each entry must have keys: source, weekdays"),
        ("  sales: {calendar: [{sauce: x}]}\n", "unknown key sauce; known are source"),
        ("  sales: {calendar: [{source: true}]}\n", "source must be"),
        ("  sales: {calendar: [{weekdays: [monday]}]}\n", "weekdays must be a list of mon, tue"),
        ("  sales: {calendar: [{due: '25:00'}]}\n", 'from "00:00" to "23:59"'),
        ("  sales: {calendar: [{days_later: 40}]}\n", "whole number from 0 to 31"),
        ("  sales: {calendar: [{name: sales.csv}]}\n", "with {date}"),
        ("  sales: {calendar: [{source: a}, {source: a}]}\n", "'a' stands in it twice"),
    ],
)
def test_a_wrong_value_is_refused_with_what_is_allowed(tmp_path, text, said):
    with pytest.raises(ConfigError) as caught:
        settings(tmp_path, text)
    assert said in str(caught.value)
