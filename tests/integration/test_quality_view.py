"""`stockgrip quality` and `DataQualityMonitor`: what they tell of recorded metrics, on both databases."""

import json
import re
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from support.files import SALES, csv_bytes, drop
from support.process import clean_environment

from daemon import cli, logs
from daemon.store import Store, get_session
from daemon.store.quality import record
from handlers.quality.result import Metric, Result, Status
from stockgrip import DataQualityMonitor, Settings

assert cli  # the package, which hides its module
program = sys.modules["daemon.cli.main"]
LAST = date(2026, 6, 30)
MISSING = {
    "observed": 8,
    "expected": 12,
    "missing": ["location:store_03|channel:pos", "location:store_04|channel:pos"],
    "missing_count": 4,
}
SQLITE = pytest.mark.parametrize("database_kind", ["sqlite"])  # where the database makes no difference
Call = Callable[..., tuple[int, str, str]]


def at(day: date, hour: int = 6) -> datetime:
    return datetime(day.year, day.month, day.day, hour, tzinfo=UTC) + timedelta(days=1)


def results(back: int) -> list[Result]:
    """What a day brings: the last one has gaps, the one before prices that are wrong."""
    day, last = LAST - timedelta(days=back), back == 0
    prices = 0.5 if back == 1 else 0.99

    def said(
        metric: Metric, scope: str, value: float | None, limit: float, status: Status, **more: Any
    ) -> Result:
        return Result(metric, scope, day, value, limit, status, more)

    good, bad, odd = Status.PASS, Status.FAIL, Status.WARNING
    return [
        said(
            Metric.COMPLETENESS,
            "",
            0.62 if last else 0.99,
            0.95,
            bad if last else good,
            **(MISSING if last else {}),
        ),
        said(Metric.ACCURACY, "", 1.0, 0.95, good, valid=200, rows=200),
        said(Metric.ACCURACY, "delivery:12", 0.5, 0.95, bad, valid=1, rows=2),
        said(Metric.CONSISTENCY, "rule:reserved", None, 0.95, Status.SKIPPED, evaluated=0, violating=0),
        said(
            Metric.CONSISTENCY,
            "rule:unit_price",
            prices,
            0.95,
            bad if back == 1 else good,
            evaluated=100,
            violating=50,
        ),
        said(
            Metric.ANOMALY_SCORE,
            "",
            -2.4 if last else 0.3,
            2.0,
            odd if last else good,
            counted=812,
            expected=1033.0,
        ),
        *(
            [said(Metric.ANOMALY_SCORE, "location:store_03", -4.4, 2.0, odd, counted=0, expected=40.0)]
            if last
            else []
        ),
    ]


@pytest.fixture
def measured(store: Store) -> Store:
    """Twenty days of sales, two of inventory."""

    def write(connection: Any) -> None:
        for back in range(20, -1, -1):
            day = LAST - timedelta(days=back)
            if back == 0:
                early = Result(Metric.COMPLETENESS, "", day, 0.3, 0.95, Status.PENDING, {"observed": 4})
                record(connection, [early], "sales", at(day, 1), 11)
            record(connection, results(back), "sales", at(day), 12)
        for back in (6, 5):
            day = LAST - timedelta(days=back)
            new = Result(Metric.COMPLETENESS, "", day, None, 0.95, Status.INSUFFICIENT_HISTORY, {})
            record(connection, [new], "inventory", at(day), 13)
        gone = {"name": "sales_data_20260630_n.csv", "source": "n", "due": "2026-07-01T03:02:00+00:00"}
        file = Result(Metric.TIMELINESS, "source:n", LAST, 5.0, 24.0, Status.PENDING, gone)
        record(connection, [file], "sales", at(LAST, 8))
        for hour, late in ((6, 0.0), (20, 30.0)):
            status = Status.WARNING if late else Status.PASS
            details = {"next_due": "2026-06-30T14:00:00+00:00", "arrival_lag_hours": 40.0}
            delay = Result(Metric.TIMELINESS, "", None, late, 24.0, status, details)
            record(connection, [delay], "sales", at(LAST, hour))
            record(connection, [delay], "demand", at(LAST, hour))

    store.change(write)
    return store


@pytest.fixture
def call(
    database_url: str, tmp_path: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Call:
    """Calls the program on the database."""

    def called(*arguments: str, **more: str) -> tuple[int, str, str]:
        wanted = clean_environment(STOCKGRIP_DATABASE__URL=database_url, **more)
        for name, value in wanted.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", ["stockgrip", *arguments])
        capsys.readouterr()
        status = program._run()
        logs.shutdown()
        shown = capsys.readouterr()
        return status, shown.out, shown.err

    return called


def test_the_picture_of_a_day(measured: Store, call: Call) -> None:
    status, out, _ = call("quality", "--json")
    assert status == 1, "completeness fails"
    told = json.loads(out)
    assert told["day"] == told["newest_day"] == "2026-06-30"
    assert told["overall_status"] == "fail"
    sales, inventory, demand = told["feeds"]
    metrics = {metric["metric"]: metric for metric in sales["metrics"]}
    assert list(metrics) == ["completeness", "accuracy", "timeliness", "consistency", "anomaly_score"]
    assert metrics["completeness"]["value"] == 0.62, "the newest row holds, not the first"
    assert metrics["completeness"]["details"]["missing_count"] == 4
    assert [point["value"] for point in metrics["completeness"]["trend"]] == [0.99] * 13 + [0.62]
    assert (metrics["accuracy"]["value"], metrics["accuracy"]["status"]) == (1.0, "pass"), (
        "of the day, not of a file"
    )
    assert metrics["consistency"]["scope"] == "rule:unit_price"
    assert metrics["timeliness"]["value"] == 30.0
    assert [(file["name"], file["status"]) for file in sales["missing_files"]] == [
        ("sales_data_20260630_n.csv", "pending")
    ]
    assert metrics["anomaly_score"]["others"] == [
        {"scope": "location:store_03", "status": "warning", "value": -4.4}
    ]
    assert [(c["metric"], c["change"]) for c in sales["changes"]] == [
        ("completeness", "worse"),
        ("anomaly_score", "worse"),
        ("consistency", "resolved"),
    ]
    assert (inventory["metrics"], inventory["last_day"]) == ([], "2026-06-25")
    assert demand["status"] == "warning", "nothing of it came, but it is late"
    assert [metric["metric"] for metric in demand["metrics"]] == ["timeliness"]

    # of an older day: what was said of it, and the delay as it was at the end of the day after it
    before = json.loads(call("quality", "--json", "--day", "2026-06-29", "--feed", "sales")[1])
    metrics = {metric["metric"]: metric for metric in before["feeds"][0]["metrics"]}
    assert metrics["consistency"]["status"] == "fail"
    assert "timeliness" not in metrics


@SQLITE
@pytest.mark.parametrize("columns", [40, 80])
def test_what_a_person_reads(measured: Store, call: Call, columns: int) -> None:
    status, out, _ = call("quality", COLUMNS=str(columns))
    assert status == 1
    flat = re.sub(r"\s+", " ", out)
    for text in (
        "Tuesday 2026-06-30, the newest day with metrics (UTC): 1 fail, 3 warning, 2 pass",
        "4 of 12 expected missing: store_03 pos, store_04 pos and 2 more",
        "did not come: sales_data_20260630_n.csv (due 2026-07-01 03:02)",
        "as of 2026-07-01 20:00",
        "812 counted, 1,033 expected (-21%)",
        "consistency unit_price resolved (fail → pass)",
        "inventory: no metrics of this day; the last ones are of 2026-06-25",
    ):
        assert text in flat
    for shown in (
        out,
        call("quality", "explain", "completeness", "--feed", "sales", COLUMNS=str(columns))[1],
    ):
        commands = re.compile(r" +stockgrip ")
        assert [
            line for line in shown.split("\n") if cell_len(line) > columns and not commands.match(line)
        ] == []


@SQLITE
def test_the_commands_that_are_shown_work(measured: Store, call: Call) -> None:
    told = json.loads(call("quality", "--day", "2026-06-30", "--json")[1])
    commands = [m["command"] for feed in told["feeds"] for m in feed["metrics"] if m["command"]]
    assert len(commands) == 4
    for command in commands:
        status, out, _ = call(*command.split(" ")[1:], "--json")
        assert status == 0
        assert json.loads(out)["results"]


def test_explain_tells_how_a_value_came_about(measured: Store, call: Call) -> None:
    status, out, _ = call("quality", "explain", "comp", "--feed", "sales")
    assert status == 0
    for text in (
        "The share of what was expected of a business day that came.",
        "quality.thresholds.completeness_pass",
        "first  2026-07-01 01:00  0.300 pending, after delivery 11",
        "now    2026-07-01 06:00  0.620 fail, after delivery 12",
        "stockgrip log --feed sales --name '*20260630*'",
    ):
        assert text in out
    scoped = json.loads(call("quality", "explain", "anomaly_score", "--scope", "store_03", "--json")[1])
    assert [(each["scope"], each["value"]) for each in scoped["results"]] == [("location:store_03", -4.4)]
    rules = json.loads(call("quality", "--day", "2026-06-29", "explain", "consistency", "--json")[1])
    assert [each["status"] for each in rules["results"]] == ["fail", "skipped"], "the worst first"


MISTAKES = {
    "--feed slaes": (2, "Did you mean 'sales'?"),
    "explain anomly_score": (2, "Did you mean 'anomaly_score'?"),
    "--day gestern": (2, "write it as"),
    "--day 2026-05-01": (1, "no metrics for 2026-05-01; the nearest with metrics: 2026-06-10"),
    "--day 0001-01-01": (1, "no metrics for 0001-01-01; the nearest with metrics: 2026-06-10"),
    "--day 9999-12-31": (1, "no metrics for 9999-12-31; the nearest with metrics: 2026-06-30"),
    "explain accuracy --day 0001-01-01": (1, "no metrics for 0001-01-01"),
    "--day 9999-12-31T23:59:59-12:00": (2, "is no time"),
    "explain accuracy --scope \udcff": (1, "nothing is recorded of the scope"),
    "explain anomaly_score --feed demand": (1, "no quality metrics of demand yet"),
    "explain anomaly_score --scope store_33": (1, "did you mean 'store_03'?"),
}


@SQLITE
def test_mistakes(measured: Store, call: Call) -> None:
    for arguments, (status, says) in MISTAKES.items():
        found, out, err = call("quality", *arguments.split(" "))
        assert (found, out) == (status, ""), arguments
        assert says in err
        assert err.count("\n") == 1


@SQLITE
def test_the_trend_is_that_of_the_value_that_is_shown(store: Store, call: Call) -> None:
    def said(measure: str, back: int, value: float) -> None:
        day = LAST - timedelta(days=back)
        row = Result(Metric.ANOMALY_SCORE, f"measure:{measure}", day, value, 2.0, Status.PASS, {})
        store.change(lambda connection: record(connection, [row], "sales", at(day), 1))

    for measure, back, value in (
        ("units", 1, 1.9),
        ("revenue", 1, 0.1),
        ("units", 0, 0.2),
        ("revenue", 0, 1.8),
    ):
        said(measure, back, value)
    [shown] = [
        metric
        for feed in json.loads(call("quality", "--json")[1])["feeds"]
        for metric in feed["metrics"]
        if metric["metric"] == "anomaly_score"
    ]
    assert shown["scope"] == "measure:revenue"
    assert [each["value"] for each in shown["trend"][-2:]] == [0.1, 1.8]
    told = json.loads(call("quality", "explain", "anomaly", "--scope", "revenue", "--json")[1])
    assert told["results"][0]["trend"] == shown["trend"]


@SQLITE
def test_a_newer_day_with_only_timeliness_is_named_but_not_shown(measured: Store, call: Call) -> None:
    day = LAST + timedelta(days=1)
    came = {"delivery": 7, "message": "too few rows"}
    gone = {"name": "sales_data_20260701.csv", "source": "", "why": "refused", "came": came}
    file = Result(Metric.TIMELINESS, "source:", day, 30.0, 24.0, Status.FAIL, gone)
    measured.change(lambda connection: record(connection, [file], "sales", at(day, 8)))
    out = call("quality", "--feed", "sales", COLUMNS="200")[1]
    assert "2026-06-30, the newest day with metrics of sales (of 2026-07-01 there is only timeliness)" in out
    assert "\n    stockgrip explain 7\n" in out


@SQLITE
def test_the_commands_that_are_shown_name_the_configuration(
    measured: Store, call: Call, tmp_path: Path
) -> None:
    came = {"delivery": 7, "message": "too few rows"}
    gone = {"name": "sales_data_20260701.csv", "source": "", "why": "refused", "came": came}
    file = Result(Metric.TIMELINESS, "source:", LAST, 30.0, 24.0, Status.FAIL, gone)
    measured.change(lambda connection: record(connection, [file], "sales", at(LAST, 8)))
    (tmp_path / "my.yaml").write_text("")
    for arguments in (("quality",), ("quality", "explain", "timeliness")):
        out = call("--config", "my.yaml", *arguments, COLUMNS="200")[1]
        commands = [line.split() for line in out.split("\n") if line.strip().startswith("stockgrip ")]
        assert ["stockgrip", "--config", "my.yaml", "explain", "7"] in commands
        assert {tuple(command[1:3]) for command in commands} == {("--config", "my.yaml")}


@SQLITE
def test_an_empty_database(store: Store, call: Call) -> None:
    del store
    status, out, _ = call("quality")
    assert status == 0
    assert out.startswith("no quality metrics yet")
    assert json.loads(call("quality", "--json")[1])["feeds"] == []


def test_a_loaded_file_is_told_of_with_its_rejects(service: Callable[..., Any], call: Call) -> None:
    daemon = service()
    good = [
        f"2026-06-30T09:{n % 60:02}:00,P-{n % 9},online,1,2.50,regular,,warehouse,store_01" for n in range(60)
    ]
    bad = [line.replace(",1,2.50", ",none,2.50") for line in good[:5]]
    drop(daemon.folders.inbox, "sales_data_20260630_n.csv", csv_bytes(SALES, [*good, *bad]))
    daemon.drain()
    status, out, _ = call("quality", COLUMNS="200")
    assert status == 0, "a warning is no failure"
    assert "accuracy       0.923  from 0.95  warning" in out
    assert "5 of 65 rows were rejected: sales_data_20260630_n.csv (5, mostly bad_integer)" in out
    told = json.loads(call("quality", "explain", "accuracy", "--json")[1])["results"][0]
    assert told["file"] == "sales_data_20260630_n.csv"
    assert told["next"][0]["command"] == f"stockgrip explain {told['delivery']}"


@SQLITE
def test_lateness_is_that_of_the_moment(service: Callable[..., Any], store: Store) -> None:
    rule = [{"source": "", "due": "06:00", "name": "sales_data_{date}.csv"}]
    daemon = service(quality={"sales": {"calendar": rule}})
    now = datetime.now(UTC)
    day = now.date() - timedelta(days=1)
    row = f"{day}T09:00:00,P-1,online,1,2.50,regular,,warehouse,store_01"
    drop(daemon.folders.inbox, f"sales_data_{day:%Y%m%d}.csv", csv_bytes(SALES, [row]))
    daemon.drain()
    with get_session(store.engine) as session:
        monitor = DataQualityMonitor(session, settings=daemon.settings)
        assert monitor.check_data_timeliness("sales")["status"] == "pass"
        # nothing was recorded since: no daemon runs
        late = monitor.check_data_timeliness("sales", now=now + timedelta(days=5))
        assert (late["status"], late["metric_value"] > 48) == ("fail", True)
        names = [file["name"] for file in late["details"]["missing_files"]]
        assert f"sales_data_{day + timedelta(days=1):%Y%m%d}.csv" in names
        assert f"sales_data_{day:%Y%m%d}.csv" not in names


# ---- Python


@pytest.fixture
def monitor(measured: Store) -> Any:
    with get_session(measured.engine) as session:
        yield DataQualityMonitor(session, settings=Settings())


def test_the_monitor_tells_what_is_recorded(monitor: DataQualityMonitor, measured: Store) -> None:
    found = monitor.check_data_completeness("sales")
    assert found.keys() == {"status", "metric_name", "metric_value", "threshold_value", "details"}
    assert (found["status"], found["metric_value"], found["threshold_value"]) == ("fail", 0.62, 0.95)
    assert found["details"]["date"] == "2026-06-30"
    assert monitor.check_data_completeness("sales", LAST - timedelta(days=1))["metric_value"] == 0.99
    assert monitor.check_data_consistency("sales")["details"]["rules"]["reserved"]["status"] == "skipped"
    late = monitor.check_data_timeliness("sales")
    assert (late["metric_value"], late["details"]["missing_files"][0]["source"]) == (30.0, "n")
    assert monitor.check_data_timeliness("sales", now=at(LAST, 10))["metric_value"] == 0.0
    anomalies = monitor.detect_sales_anomalies()
    assert anomalies["metric_value"] == -2.4
    assert [each["scope"] for each in anomalies["details"]["anomalies"]] == ["location:store_03", ""]
    assert anomalies["details"]["days_judged"] == 21
    assert monitor.detect_sales_anomalies(lookback_days=5)["details"]["days_judged"] == 5
    for nothing in (monitor.check_data_completeness("demand"), monitor.detect_inventory_anomalies()):
        assert (nothing["status"], nothing["metric_value"]) == ("insufficient_history", None)

    report = monitor.run_comprehensive_quality_check()
    assert report["overall_status"] == "fail"
    assert report["checks"]["sales_completeness"] == found
    assert report["summary"]["total"] == len(report["checks"]) == 15
    trends = monitor.get_quality_trends(days=3)
    assert (trends["from"], trends["to"]) == ("2026-06-28", "2026-06-30")
    assert [p["value"] for p in trends["trends"]["sales"]["consistency"]] == [0.99, 0.5, 0.99]

    # what comes later is seen by the same session
    mended = Result(Metric.COMPLETENESS, "", LAST, 1.0, 0.95, Status.PASS)
    measured.change(lambda connection: record(connection, [mended], "sales", at(LAST, 22), 14))
    assert monitor.check_data_completeness("sales")["status"] == "pass"


@SQLITE
def test_the_monitor_refuses_what_is_not_measured(monitor: DataQualityMonitor) -> None:
    with pytest.raises(ValueError, match="measured are sales, inventory, demand"):
        monitor.check_data_timeliness("products")
    with pytest.raises(ValueError, match="1 or more"):
        monitor.get_quality_trends(days=0)
    with pytest.raises(ValueError, match="time zone"):
        monitor.check_data_timeliness("sales", now=datetime(2026, 7, 1))
