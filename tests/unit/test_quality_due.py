"""Which files are due when, from what the ledger lists: histories loaded at once, closed days, refused files."""

from datetime import UTC, date, datetime, time, timedelta

from daemon.after.files import Files
from daemon.after.files_due import FilesDue
from daemon.after.terms import Terms
from daemon.settings import Settings
from daemon.store.arrivals import Filed

DAY = timedelta(days=1)
FIRST = date(2025, 1, 6)
TERMS = Terms.of(Settings(), "sales")


def filed(day: date, at: datetime, source: str = "north", status: str = "success") -> Filed:
    name = f"sales_data_{day:%Y%m%d}_{source}.csv"
    return Filed((day - FIRST).days, day, source, at, name, status, status == "success", 10, 0)


def at(day: date, hour: float) -> datetime:
    return datetime.combine(day, time(), UTC) + timedelta(hours=hour)


def due(listed: list[Filed], as_of: datetime, settings: Settings | None = None) -> FilesDue:
    terms = TERMS if settings is None else Terms.of(settings, "sales")
    return FilesDue(Files(terms, FIRST, as_of.date() + DAY, listed), as_of)


def test_a_history_that_was_loaded_at_once_tells_no_time_of_day():
    begin = FIRST + 60 * DAY
    loaded = [filed(FIRST + n * DAY, at(begin, 10)) for n in range(60)]
    assert due(loaded, at(begin, 12)).calendar("north", begin) is None
    for live in range(4):
        day = begin + live * DAY
        loaded.append(filed(day, at(day, 26)))
    today = begin + 4 * DAY
    known = due(loaded, at(today, 3)).calendar("north", today)
    assert known.due(today, UTC) == at(
        today, 27
    )  # the usual two o'clock of the next day, and an hour of grace
    assert all(known.expects(today + n * DAY) for n in range(7))


def test_three_days_that_come_together_each_monday_are_a_habit():
    days = [FIRST + n * DAY for n in range(56)]
    monday = [at(day + ((7 - day.weekday()) % 7 or 7) * DAY, 8) for day in days]
    weekend = [filed(day, at_) for day, at_ in zip(days, monday, strict=True) if day.weekday() >= 4]
    known = due(weekend, at(days[-1] + DAY, 12)).calendar("north", days[-1] + DAY)
    assert sorted(known.due_after) == [4, 5, 6]
    assert known.due_after[4] == timedelta(days=3, hours=9)


def test_what_arrived_after_the_moment_is_not_known():
    listed = [filed(FIRST + n * DAY, at(FIRST + n * DAY, 26)) for n in range(40)]
    early = due(listed, at(FIRST, 30))
    assert len(early.arrivals("north")) == 1
    assert early.calendar("north", FIRST + DAY) is None


def test_the_deadline_is_that_of_the_last_file_that_is_not_here():
    listed = [
        filed(FIRST + n * DAY, at(FIRST + n * DAY, hour), source)
        for n in range(40)
        for source, hour in (("north", 26), ("south", 28), ("west", 30))
    ]
    today = FIRST + 40 * DAY
    assert due(listed, at(today, 24)).deadline(today) == at(today, 31)
    listed.append(filed(today, at(today, 25), "west"))
    assert due(listed, at(today, 25)).deadline(today) == at(today, 29)
    listed.append(filed(today, at(today, 25), "south", "failed"))
    assert due(listed, at(today, 25)).deadline(today) == at(today, 29)
    listed += [filed(today, at(today, 26), source) for source in ("north", "south")]
    assert due(listed, at(today, 26)).deadline(today) is None


def test_a_late_file_is_waited_for_a_day_but_not_one_that_was_refused():
    listed = [
        filed(FIRST + n * DAY, at(FIRST + n * DAY, 26), source)
        for n in range(40)
        for source in ("north", "south")
    ]
    today = FIRST + 40 * DAY
    listed.append(filed(today, at(today, 26), "north"))
    late = due(listed, at(today, 30))
    assert (late.deadline(today), late.given_up(today)) == (at(today, 27), at(today, 27 + 24))
    assert (late.is_over(today), late.is_settled(today)) == (True, False)
    assert due(listed, at(today, 51)).is_settled(today)
    listed.append(filed(today, at(today, 26), "south", "failed"))
    assert due(listed, at(today, 30)).is_settled(today)


def test_no_file_is_expected_on_a_closed_day_or_a_public_holiday():
    listed = [filed(FIRST + n * DAY, at(FIRST + n * DAY, 26)) for n in range(60)]
    closed = FIRST + 60 * DAY
    settings = Settings(quality={"closed_days": [closed], "country": "DE"})
    as_of = at(closed, 30)
    known = due(listed, as_of, settings)
    assert not known.is_expected(closed)
    assert known.is_expected(closed + DAY)
    friday = date(2025, 4, 18)  # Good Friday
    listed = [filed(friday - n * DAY, at(friday - n * DAY, 26)) for n in range(60, 0, -1)]
    assert not due(listed, at(friday, 30), settings).is_expected(friday)
