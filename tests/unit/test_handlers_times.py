"""Times in every accepted form, and each conversion as zoneinfo does it, one by one."""

# ruff: noqa: RUF001  (digits of other scripts)

from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from handlers import times
from handlers.columns import Context, LocalTime
from handlers.reasons import RowReason

NOW = datetime(2026, 3, 1, 12, 30)


def read(*texts, zone="UTC"):
    """[local datetime or None]"""
    found = times.parse(pa.array(texts, pa.string()), ZoneInfo(zone))
    moments = [datetime(1970, 1, 1) + timedelta(microseconds=int(m)) for m in found.micros]
    for moment, good, text in zip(moments, found.ok, found.text.to_pylist(), strict=True):
        assert not good or text == moment.isoformat(" ")
    return [moment if good else None for moment, good in zip(moments, found.ok, strict=True)]


def column(*texts, zone="UTC", now=NOW):
    """[canonical text, or reason]"""
    values, problems = LocalTime().convert(pa.array(texts, pa.string()), Context(now, ZoneInfo(zone)))
    found = values.to_pylist()
    for problem in problems:
        for k in np.flatnonzero(problem.mask):
            found[k] = problem.reason
    return found


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("2021-01-02T03:04:05", "2021-01-02 03:04:05"),
        ("2021-01-02 03:04:05", "2021-01-02 03:04:05"),
        ("2021-01-02", "2021-01-02 00:00:00"),
        ("2021-01-02T03:04:05.5", "2021-01-02 03:04:05.500000"),
        ("2021-01-02 03:04:05.000001", "2021-01-02 03:04:05.000001"),
        ("2021-01-02T03:04:05.000000", "2021-01-02 03:04:05"),
        ("2021-01-02T03:04:05.123456789", "2021-01-02 03:04:05.123456"),
        ("2021-01-02T03:04:05Z", "2021-01-02 03:04:05"),
        ("2021-01-02T03:04:05.25Z", "2021-01-02 03:04:05.250000"),
        ("2021-01-02T03:04:05+00:00", "2021-01-02 03:04:05"),
        ("2021-01-02T03:04:05+05:30", "2021-01-01 21:34:05"),
        ("2021-01-02T03:04:05+0530", "2021-01-01 21:34:05"),
        ("2021-01-02T03:04:05-11:00", "2021-01-02 14:04:05"),
        ("2024-02-29T23:59:59", "2024-02-29 23:59:59"),
        ("2000-02-29", "2000-02-29 00:00:00"),
    ],
)
def test_accepted_forms(text, canonical):
    assert column(text) == [canonical]


@pytest.mark.parametrize(
    "text",
    [
        "2021-02-29", "2100-02-29", "2021-04-31", "2021-13-01", "2021-00-01", "2021-01-00", "2021-01-32",
        "2021-01-02T24:00:00", "2021-01-02T23:60:00", "2021-01-02T23:59:60", "2021-01-02T03:04", "2021-01-02T",
        "2021-01-02Z", "2021-01-02+01:00", "2021-01-02  03:04:05", "2021-01-02T03:04:05 Z", "2021-01-02T03:04:05z",
        "2021-01-02t03:04:05", "2021-01-02T03:04:05.", "2021-01-02T03:04:05,5", "2021-01-02T03:04:05+24:00",
        "2021-01-02T03:04:05+01:60", "2021-01-02T03:04:05+1:00", "2021-01-02T03:04:05\u221201:00", "2021-1-2", "21-01-02",
        "20210102", "2021-01", "2021", "2021-W01-1", "2021-002", "02.01.2021", "01/02/2021", "2021/01/02", "1609556645",
        "44198", "today", "2021-01-02\n", "\uff12021-01-02", "２０２１-０１-０２", "+2021-01-02", "-2021-01-02", "12021-01-02", "date",
    ],
)  # fmt: skip
def test_refused_forms(text):
    assert column(text) == [RowReason.BAD_DATE]


def test_every_day_of_the_calendar_and_no_other():
    texts = [
        f"{y}-{m:02}-{d:02}" for y in (2000, 2021, 2023, 2024, 2025) for m in range(14) for d in range(33)
    ]

    def day(text):
        try:
            return datetime.combine(date.fromisoformat(text), datetime.min.time())
        except ValueError:
            return None

    assert read(*texts) == [day(text) for text in texts]


@given(st.datetimes(datetime(1, 1, 1), datetime(9999, 12, 31)))
@settings(max_examples=300, deadline=None)
def test_local_times_of_all_years_come_back(moment):
    assert read(moment.isoformat()) == [moment]
    assert timedelta(microseconds=times.to_micros(moment)) == moment - datetime(1970, 1, 1)


# -- offsets


def as_zoneinfo(moment, zone):
    return moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None)


@pytest.mark.parametrize(
    "zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "UTC"]
)
def test_two_days_around_each_change_of_the_clocks_minute_by_minute(zone):
    for day in (datetime(2021, 3, 14, tzinfo=UTC), datetime(2021, 3, 28, tzinfo=UTC), datetime(2021, 4, 3, tzinfo=UTC),
                datetime(2021, 10, 2, tzinfo=UTC), datetime(2021, 10, 31, tzinfo=UTC), datetime(2021, 11, 7, tzinfo=UTC)):  # fmt: skip
        moments = [day + timedelta(minutes=k, seconds=k % 60) for k in range(1500)]
        texts = [moment.isoformat().replace("+00:00", "Z") for moment in moments]
        assert read(*texts, zone=zone) == [as_zoneinfo(moment, zone) for moment in moments]


@pytest.mark.parametrize(
    ("zone", "change"),
    [  # clocks that changed at one minute past
        ("America/St_Johns", datetime(2005, 4, 3, 3, 31, tzinfo=UTC)),
        ("America/Moncton", datetime(2006, 10, 29, 3, 1, tzinfo=UTC)),
        ("Asia/Gaza", datetime(2010, 3, 26, 22, 1, tzinfo=UTC)),
        ("Antarctica/Casey", datetime(2020, 10, 3, 16, 1, tzinfo=UTC)),
    ],
)
def test_changes_that_are_not_on_a_quarter_of_an_hour(zone, change):
    moments = [change + timedelta(seconds=k) for k in (-61, -60, -1, 0, 1, 59, 60, 840, 900)]
    assert read(*(m.isoformat() for m in moments), zone=zone) == [as_zoneinfo(m, zone) for m in moments]


@given(
    st.lists(
        st.datetimes(datetime(1999, 12, 1), datetime(2037, 1, 1), timezones=st.just(UTC)),
        min_size=1,
        max_size=5,
    ),
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
    st.sampled_from(sorted(available_timezones())),
)
@settings(max_examples=300, deadline=None)
def test_any_offset_to_any_zone(moments, minutes, zone):
    sign, offset = "-" if minutes < 0 else "+", timedelta(minutes=minutes)
    written = [
        (m + offset).replace(tzinfo=None).isoformat()
        + f"{sign}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
        for m in moments
    ]
    assert read(*written, zone=zone) == [as_zoneinfo(m, zone) for m in moments]


def test_times_without_an_offset_are_local_also_where_the_clock_skips_or_repeats_them():
    assert column("2021-03-28T02:30:00", "2021-10-31T02:30:00", zone="Europe/Berlin") == [
        "2021-03-28 02:30:00",
        "2021-10-31 02:30:00",
    ]


@pytest.mark.parametrize("zone", ["Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC"])
@pytest.mark.parametrize(
    "text",
    ["9999-12-31T23:59:59Z", "9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+23:59", "0000-01-01T00:00:00Z", "9999-12-31", "0001-01-01"],
)  # fmt: skip
def test_the_ends_of_the_calendar_are_out_of_range(text, zone):
    assert column(text, zone=zone) == [RowReason.DATE_OUT_OF_RANGE]


# -- bounds


def test_dates_before_2000_are_out_of_range():
    assert column("1999-12-31T23:59:59.999999", "2000-01-01", "2000-01-01T00:00:00") == [
        RowReason.DATE_OUT_OF_RANGE,
        "2000-01-01 00:00:00",
        "2000-01-01 00:00:00",
    ]


def test_the_bounds_hold_in_the_business_time_zone():
    assert column("1999-12-31T23:30:00Z", "2000-01-01T00:30:00+02:00", zone="Europe/Berlin") == [
        "2000-01-01 00:30:00",
        RowReason.DATE_OUT_OF_RANGE,
    ]


@given(st.datetimes(datetime(2001, 1, 1), datetime(2090, 1, 1)))
@settings(max_examples=300, deadline=None)
def test_a_day_ahead_to_the_microsecond(now):
    last = now + timedelta(days=1)
    assert column(last.isoformat(), (last + timedelta(microseconds=1)).isoformat(), now=now) == [
        last.isoformat(" "),
        RowReason.DATE_OUT_OF_RANGE,
    ]


def test_messages_say_what_is_allowed():
    _, problems = LocalTime().convert(pa.array(["x", "2031-01-01"]), Context(NOW, ZoneInfo("UTC")))
    said = {p.reason: p.say("x") for p in problems}
    assert "YYYY-MM-DDTHH:MM:SS" in said[RowReason.BAD_DATE]
    assert "2000-01-01" in said[RowReason.DATE_OUT_OF_RANGE]
    assert "2026-03-02T12:30:00" in said[RowReason.DATE_OUT_OF_RANGE]


@given(st.lists(st.datetimes(datetime(2000, 1, 1), datetime(2030, 1, 1)), min_size=2, max_size=8))
def test_canonical_texts_sort_as_the_times_do(moments):
    texts = column(*(m.isoformat() for m in moments), now=datetime(2030, 1, 1))
    assert [m for _, m in sorted(zip(texts, moments, strict=True))] == sorted(moments)


USUAL = st.datetimes(datetime(1990, 1, 1), datetime(2030, 1, 1)).map(lambda t: t.isoformat()[:19])
SPOILT = st.builds(
    lambda text, at, letter: text[:at] + letter + text[at + 1 :],
    USUAL,
    st.integers(0, 18),
    st.sampled_from("0129-: TtZ./٣é\n\0"),
)
OTHER = st.one_of(
    USUAL.map(lambda text: text[:10]), USUAL.map(lambda text: text + "+02:00"), st.text(max_size=20)
)


@given(st.lists(st.one_of(USUAL, SPOILT, OTHER), max_size=12), st.integers(0, 5))
def test_texts_of_the_usual_length_are_read_as_by_the_regular_expression(texts, skipped):
    cells = pa.array(texts, pa.string())[skipped:]
    zone = ZoneInfo("Europe/Paris")
    found, wanted = times.parse(cells, zone), times._parse_any(cells, zone)
    assert found.ok.tolist() == wanted.ok.tolist()
    assert found.micros.tolist() == wanted.micros.tolist()
    assert (
        found.text.filter(pa.array(found.ok)).to_pylist()
        == wanted.text.filter(pa.array(wanted.ok)).to_pylist()
    )
