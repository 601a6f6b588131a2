"""Quality metrics after deliveries and on the timer: learned, late, silent, refused, unusual, replayed. On both databases."""

import random
from collections.abc import Callable, Iterator
from datetime import date, timedelta

import pytest
from sqlalchemy import select, text
from support.arrivals import at, judge, send, watch
from support.faults import Injected, statements
from support.files import DEMAND, INVENTORY, SALES, csv_bytes

from daemon.after import quality
from daemon.outcomes import Outcome
from daemon.settings import Settings
from daemon.store import Store
from daemon.store.derived import ALERTS, DUE_DAYS, METRICS
from handlers.fixes import FIXED_LINE

FIRST = date(2025, 1, 6)  # a Monday
WEEKS = 6
TODAY = FIRST + timedelta(weeks=WEEKS)  # the first day after the history
STORES = ("1", "2", "3", "4", "5")
DAY = timedelta(days=1)


def north(day: date, stores=STORES, price: float = 2.0, until: int = 24) -> bytes:
    """Two lines an hour and store from eight to eight, about ten units each."""
    chance = random.Random(f"north {day}")
    rows = [
        (hour, f"{day}T{hour:02}:15:00,{product},pos,{units},{units * price:.2f},,,,{store}")
        for store in STORES
        for hour in range(8, 20)
        for product, units in (("A", chance.randrange(5, 16)), ("B", chance.randrange(5, 16)))
        if store in stores
    ]
    return csv_bytes(SALES, (row for hour, row in rows if hour < until))


def web(day: date, until: int = 24) -> bytes:
    return csv_bytes(SALES, (f"{day}T{hour:02}:40:00,A,online,3,9,,,," for hour in range(until)))


def send_north(store: Store, day: date, hour: float = 26.0, **what) -> Outcome:
    return send(store, f"sales_data_{day:%Y%m%d}_north.csv", north(day, **what), at(day, hour))


def send_web(store: Store, day: date, hour: float = 25.0) -> Outcome:
    return send(store, f"sales_data_{day:%Y%m%d}_web.csv", web(day), at(day, hour))


def rows(store: Store, metric: str, scope: str | None = "", day: date | None = TODAY):
    """What was said, the oldest first."""
    its = [METRICS.c.metric_name == metric, METRICS.c.data_source == "sales"]
    its += [METRICS.c.scope == scope] if scope is not None else []
    its += [METRICS.c.day == day if day is not None else METRICS.c.day.is_(None)]
    with store.engine.connect() as connection:
        return connection.execute(select(METRICS).where(*its).order_by(METRICS.c.id)).all()


def statuses(store: Store, metric: str, scope: str = "", day: date | None = TODAY) -> list[str]:
    return [row.status for row in rows(store, metric, scope, day)]


def firing(store: Store) -> set[tuple[str, str]]:
    """The alerts about now and today."""
    with store.engine.connect() as connection:
        of_now = (ALERTS.c.state == "firing", (ALERTS.c.day == TODAY) | ALERTS.c.day.is_(None))
        found = connection.execute(select(ALERTS.c.rule, ALERTS.c.scope).where(*of_now))
        return {(row.rule, row.scope) for row in found}


@pytest.fixture(scope="module")
def histories(_databases) -> Iterator[Callable[[str, object], str]]:
    """Makes databases with six weeks of two senders, judged day by day."""
    made: dict[str, str] = {}

    def of_kind(kind: str, folder) -> str:
        if kind not in made:
            made[kind] = _databases.make(kind, folder)
            _databases.keep(made[kind])
            opened = Store.open(made[kind])
            for n in range(7 * WEEKS):
                day = FIRST + n * DAY
                send_web(opened, day, 25 + n % 3 / 10)
                send_north(opened, day, 26 + n % 5 / 10)
                judge(opened)
            opened.close()
        return made[kind]

    return of_kind


@pytest.fixture
def shop(histories, databases, database_kind, tmp_path, tmp_path_factory) -> Iterator[Store]:
    """A database with six weeks of history."""
    origin = histories(database_kind, tmp_path_factory.mktemp("history"))
    opened = Store.open(databases.make(database_kind, tmp_path, of=origin))
    yield opened
    opened.close()


def test_a_missing_store_is_named_and_late_data_make_it_good(shop):
    send_web(shop, TODAY)
    send_north(shop, TODAY, stores=STORES[:4])
    judge(shop)
    (row,) = rows(shop, "completeness")
    assert (row.status, row.details["missing"]) == ("warning", ["location:5|channel:pos"])
    assert row.metric_value == pytest.approx(7 / (8 * (WEEKS + 0.5) / (WEEKS + 1)))
    assert row.timestamp == at(TODAY, 26)
    late = send_north(shop, TODAY, hour=40)
    judge(shop)
    first, last = rows(shop, "completeness")
    assert first == row
    assert (last.status, last.metric_value, last.timestamp) == ("pass", 1.0, at(TODAY, 40))
    assert last.delivery_id == late.delivery_id


def test_a_day_is_pending_until_its_last_file_was_due(shop):
    send_north(shop, TODAY)
    judge(shop)
    (row,) = rows(shop, "completeness")
    assert row.status == "pending"
    # the usual 25.1 and an hour of grace; until a day later the file is only late
    assert row.details["deadline"] == at(TODAY, 26.1 + 24).isoformat()
    assert statuses(shop, "anomaly_score", "measure:units") == ["pending"]
    watch(shop, at(TODAY, 26.05))
    assert statuses(shop, "timeliness", "source:web") == []
    watch(shop, at(TODAY, 26.2))
    assert statuses(shop, "timeliness", "source:web") == ["pending"]
    assert statuses(shop, "completeness") == ["pending"]
    scores = rows(shop, "anomaly_score", None)
    assert {row.status for row in scores} == {"pending"}
    assert scores[-1].metric_value < -2
    watch(shop, at(TODAY, 50))
    assert rows(shop, "anomaly_score", None) == scores  # nothing new, nothing said
    assert firing(shop) == set()
    watch(shop, at(TODAY, 50.2))
    assert statuses(shop, "completeness") == ["pending", "fail"]
    assert {("completeness", ""), ("anomaly_score", "measure:units")} <= firing(shop)
    before = rows(shop, "completeness")
    watch(shop, at(TODAY, 50.3))
    assert rows(shop, "completeness") == before
    send_web(shop, TODAY, 51)
    judge(shop)
    assert statuses(shop, "completeness") == ["pending", "fail", "pass"]
    assert ("completeness", "") not in firing(shop)


def test_silence_is_noticed_and_each_file_that_did_not_come_is_named(shop):
    assert statuses(shop, "timeliness", day=None)[-1] == "pass"
    watch(shop, at(TODAY, 30))
    (row,) = rows(shop, "completeness")
    assert (row.status, row.metric_value, row.delivery_id) == ("pending", 0.0, None)
    assert firing(shop) == set()
    (missed,) = rows(shop, "timeliness", "source:web")
    assert missed.details["name"] == f"sales_data_{TODAY:%Y%m%d}_web.csv"
    assert missed.status == "pending"
    watch(shop, at(TODAY, 55))
    assert statuses(shop, "timeliness", "source:north") == ["pending", "warning"]
    assert statuses(shop, "completeness") == ["pending", "fail"]
    assert statuses(shop, "timeliness", day=None)[-1] == "warning"
    assert {("missing_file", "source:web"), ("timeliness", "")} <= firing(shop)
    send_web(shop, TODAY, 56)
    judge(shop)
    came = rows(shop, "timeliness", "source:web")[-1]
    assert (came.status, came.details["arrived"]) == ("pass", at(TODAY, 56).isoformat())
    assert ("missing_file", "source:web") not in firing(shop)
    assert statuses(shop, "timeliness", "source:north")[-1] == "warning"


def test_a_refused_file_is_no_silence(shop):
    send_north(shop, TODAY)
    refused = send(shop, f"sales_data_{TODAY:%Y%m%d}_web.csv", b"date,what\n1,2\n", at(TODAY, 25))
    judge(shop)
    watch(shop, at(TODAY, 30))
    (row,) = rows(shop, "timeliness", "source:web")
    assert row.details["came"]["delivery"] == refused.delivery_id
    assert row.details["why"] == "it came and was refused"
    assert "the header lacks" in row.details["came"]["message"]


def test_the_accuracy_of_a_file_follows_its_fixes(shop):
    good = [f"{TODAY}T10:00:00,A,pos,1,2,,,,{store}" for store in STORES for _ in range(20)]
    bad = [f"{TODAY}T10:00:00,A,shop,1,2,,,,1"] * 10
    name = f"sales_data_{TODAY:%Y%m%d}_north.csv"
    first = send(shop, name, csv_bytes(SALES, good + bad), at(TODAY, 26)).delivery_id
    scope = f"delivery:{first}"
    (row,) = rows(shop, "accuracy", scope)
    assert (row.status, row.metric_value) == ("warning", pytest.approx(100 / 110))
    judge(shop)
    assert rows(shop, "accuracy")[-1].metric_value == pytest.approx(100 / 110)
    fixed = (f"{102 + n},{TODAY}T10:00:00,A,pos,1,2,,,,1" for n in range(10))
    send(shop, name, csv_bytes(f"{FIXED_LINE},{SALES}", fixed), at(TODAY, 27), fixes=first)
    judge(shop)
    assert [row.metric_value for row in rows(shop, "accuracy", scope)] == [pytest.approx(100 / 110), 1.0]
    assert rows(shop, "accuracy")[-1].status == "pass"


def test_a_bad_file_alerts_for_itself_and_its_day_does_not_again(shop):
    rows_ = [f"{TODAY}T10:00:00,A,{channel},1,2,,,,1" for channel in ["pos"] * 30 + ["shop"] * 10]
    sent = send(shop, f"sales_data_{TODAY:%Y%m%d}_north.csv", csv_bytes(SALES, rows_), at(TODAY, 26))
    judge(shop)
    assert statuses(shop, "accuracy") == ["fail"]
    assert {which for which in firing(shop) if which[0] == "accuracy"} == {
        ("accuracy", f"delivery:{sent.delivery_id}")
    }


def test_a_refused_file_has_an_accuracy_if_its_rows_were_read(shop):
    content = csv_bytes(SALES, ["x,A,pos,1,2,,,,1"] * 30 + [f"{TODAY}T10:00:00,A,pos,1,2,,,,1"] * 70)
    refused = send(shop, f"sales_data_{TODAY:%Y%m%d}_north.csv", content, at(TODAY, 26)).delivery_id
    (row,) = rows(shop, "accuracy", f"delivery:{refused}")
    assert (row.metric_value, row.status, row.day) == (0.7, "fail", TODAY)
    assert firing(shop) == {("refused_file", "source:north")}  # one fault, one alert


def test_of_a_day_long_ago_nobody_is_told(shop):
    send_web(shop, TODAY + 20 * DAY)
    send_north(shop, TODAY, hour=21 * 24, price=200.0)
    judge(shop)
    assert statuses(shop, "anomaly_score", "measure:revenue") == ["warning"]
    assert {scope for _, scope in firing(shop)} <= {"source:north"}


def test_a_hundredfold_price_stands_out_down_to_the_product_until_it_is_corrected(shop):
    send_web(shop, TODAY)
    send_north(shop, TODAY, price=200.0)
    judge(shop)
    scores = {row.scope: row for row in rows(shop, "anomaly_score", None)}
    chain = scores["measure:revenue"]
    assert (chain.status, chain.details["severity"]) == ("warning", "warning")
    assert chain.metric_value > 5
    assert chain.details["counted"] / chain.details["expected"] > 50
    assert scores["measure:units"].status == "pass"
    assert "measure:revenue|channel:pos" in scores
    products = [scope.rpartition("|")[2] for scope in scores if "|product:" in scope]
    assert "product:A" in products
    assert len(products) == len(set(products))  # each once, in the place where it stands out most
    assert {scope for rule, scope in firing(shop) if rule == "anomaly_score"} == {"measure:revenue"}
    assert not any(scope.startswith("measure:units|") for scope in scores)
    send_north(shop, TODAY, hour=30)
    judge(shop)
    now = {row.scope: row.status for row in rows(shop, "anomaly_score", None)}
    assert now["measure:revenue"] == "pass"
    assert set(now.values()) == {"pass", "skipped"}
    assert not any(rule == "anomaly_score" for rule, _ in firing(shop))


def test_a_part_of_a_day_is_scored_against_its_share(shop):
    send(shop, f"sales_data_{TODAY:%Y%m%d}_north.csv", north(TODAY, until=14), at(TODAY, 14))
    send(shop, f"sales_data_{TODAY:%Y%m%d}_web.csv", web(TODAY, until=14), at(TODAY, 14))
    judge(shop)
    (row,) = rows(shop, "anomaly_score", "measure:units")
    assert row.status == "pass"
    assert row.details["part_of_day"] == pytest.approx(0.5, abs=0.05)
    assert row.details["counted"] / row.details["expected"] == pytest.approx(1, abs=0.2)
    assert statuses(shop, "completeness") == ["pending"]
    send_web(shop, TODAY, 25)
    judge(shop)
    row = rows(shop, "anomaly_score", "measure:units")[-1]
    assert "part_of_day" not in row.details  # now it is over, and half of it is missing
    assert (row.status, row.metric_value < -3) == ("warning", True)


def test_a_file_that_is_taken_out_is_missed_as_of_then(shop):
    gone = send_web(shop, TODAY)
    send_north(shop, TODAY)
    judge(shop)
    assert statuses(shop, "completeness") == ["pass"]
    shop.unload(gone.delivery_id, "a test")
    judge(shop)
    last = rows(shop, "completeness")[-1]
    assert (last.status, last.details["missing"]) == ("fail", ["channel:online", "source:web"])
    assert last.timestamp == shop.delivery(gone.delivery_id)["unloaded_at"]


def test_what_is_configured_is_expected_from_the_first_day_on(store):
    changes = {
        "expected": ["location:1", "location:2", "source:"],
        "calendar": [{"due": "04:00", "name": "inventory_data_{date}.csv"}],
    }
    settings = Settings(quality={"inventory": changes})
    stock = csv_bytes(INVENTORY, [f"{TODAY}T00:00:00,A,1,10,,,,"])
    send(store, f"inventory_data_{TODAY:%Y%m%d}.csv", stock, at(TODAY, 26))
    demand = csv_bytes(DEMAND, [f"{TODAY},A,high,0.5,1,,,"])
    send(store, f"demand_data_{TODAY:%Y%m%d}.csv", demand, at(TODAY, 26))
    while quality.judge(store, settings):
        pass
    quality.watch(store, settings, at(TODAY, 54))
    with store.engine.connect() as connection:
        found = connection.execute(select(METRICS).order_by(METRICS.c.id)).all()
    said = {(row.data_source, row.metric_name, row.scope, row.day): row for row in found}
    came = said["inventory", "completeness", "", TODAY]
    assert (came.status, came.details["missing"]) == ("fail", ["location:2"])
    assert came.metric_value == pytest.approx(2 / 3)
    silent = said["inventory", "completeness", "", TODAY + DAY]
    assert (silent.status, silent.metric_value) == ("pending", 0.0)
    missed = said["inventory", "timeliness", "", TODAY + DAY]
    assert (missed.status, missed.details["name"]) == ("pending", f"inventory_data_{TODAY + DAY:%Y%m%d}.csv")
    late = said["inventory", "timeliness", "", None]
    assert (late.status, late.metric_value) == ("pass", 2.0)
    assert said["inventory", "anomaly_score", "measure:units", TODAY].status == "insufficient_history"
    assert said["demand", "completeness", "", TODAY].status == "insufficient_history"
    assert said["demand", "accuracy", "", TODAY].status == "pass"
    assert not any(row.data_source == "sales" for row in found)  # nobody sends it


def test_judged_anew_in_one_go_a_history_gives_what_it_gave_day_by_day(shop):
    def said() -> list[tuple[object, ...]]:
        columns = [column for column in METRICS.c if column.name != "id"]
        with shop.engine.connect() as connection:
            found = connection.execute(select(*columns).where(METRICS.c.day.is_not(None)))
            return sorted(tuple(map(str, row)) for row in found)

    send_north(shop, TODAY)  # its other file never comes: it waits until the next day's tell that it is over
    judge(shop)
    send_web(shop, TODAY + DAY)
    send_north(shop, TODAY + DAY, 26.5)
    judge(shop)
    assert statuses(shop, "completeness") == ["pending", "fail"]
    assert rows(shop, "anomaly_score", "measure:units")[-1].timestamp == at(TODAY + DAY, 26.5)
    before = [row for row in said() if "delivery:" not in row[-2] and "pending" not in row]
    assert len(before) > 150
    with shop.engine.begin() as connection:
        connection.execute(text("DELETE FROM data_quality_metrics"))
        connection.execute(text("DELETE FROM quality_days"))
        connection.execute(
            text(
                "INSERT INTO due_days (feed, day, delivery_id) SELECT 'sales', day,"
                " (SELECT MAX(id) FROM data_ingestion_log WHERE slot LIKE 'sales:' || CAST(day AS TEXT) || ':%')"
                " FROM scope_daily WHERE feed = 'sales' AND scope = ''"
            )
        )
    judge(shop)
    again = said()
    assert [row for row in before if row not in again] == []


def test_a_fault_anywhere_leaves_the_day_due_or_says_which_check_failed(shop):
    send_web(shop, TODAY)
    last = send_north(shop, TODAY).delivery_id
    failed = 0
    for fail_at in range(1, 200):
        count = len(rows(shop, "completeness")) + len(rows(shop, "anomaly_score", None))
        try:
            with statements(shop.engine, fail_at):
                judge(shop)
        except Injected:
            with shop.engine.connect() as connection:
                due = connection.execute(select(DUE_DAYS.c.day).where(DUE_DAYS.c.feed == "sales")).scalars()
                assert list(due) == [TODAY]
            assert len(rows(shop, "completeness")) + len(rows(shop, "anomaly_score", None)) == count
        else:
            errors = [row for row in rows(shop, "anomaly_score") if row.status == "error"]
            if not errors:
                break
            failed += 1
            assert "Injected" in errors[0].details["error"]
            assert statuses(shop, "completeness") == ["pass"]
            with shop.engine.begin() as connection:
                connection.execute(text("DELETE FROM data_quality_metrics WHERE status = 'error'"))
                connection.execute(DUE_DAYS.insert().values(feed="sales", day=TODAY, delivery_id=last))
    assert failed
    assert statuses(shop, "completeness") == ["pass"]
    assert statuses(shop, "anomaly_score", "measure:units") == ["pass"]


def test_a_place_may_have_any_name(shop):
    """As those of parts of other series: x, a channel that is none, and the only channel of store 1."""
    odd = ("x|channel:bogus", "1|channel:pos", "50%|7C", "location:1")
    for back in range(28, -1, -1):
        day = TODAY - back * DAY
        some = odd if back else odd[:1]
        lines = [
            f"{day}T09:15:00,A,pos,{5 + back % 3},{price},,,,{place}" for place in some for price in (9, 10)
        ]
        send(shop, f"sales_data_{day:%Y%m%d}_odd.csv", csv_bytes(SALES, lines), at(day, 25))
    send_north(shop, TODAY)
    send_web(shop, TODAY)
    judge(shop)
    assert metrics_in_error(shop) == []
    said = rows(shop, "completeness")[-1]
    missing = [scope for scope in said.details["missing"] if scope.startswith("location:")]
    assert missing == [
        "location:1%7Cchannel:pos|channel:pos",
        "location:50%25%7C7C|channel:pos",
        "location:location:1|channel:pos",
    ]


def metrics_in_error(store: Store) -> list[str]:
    c = METRICS.c
    with store.engine.connect() as connection:
        return list(connection.execute(select(c.metric_name).where(c.status == "error")).scalars())
