"""The daily workflow: its steps, a step that fails, one run at a time, and a run that died."""

import time
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest
from conftest import make_settings
from sqlalchemy import text
from support.files import SALES, csv_bytes, drop

from daemon.service import Service
from daemon.store import Store, runs
from daemon.workflow import Step, Workflow
from daemon.workflow import timetable as timetable_module
from daemon.workflow.daily import daily
from daemon.workflow.orchestrator import UnderWay
from daemon.workflow.schedule import next_run
from daemon.workflow.status import status_of
from daemon.workflow.timetable import timetable
from stockgrip import WorkflowOrchestrator

ROW = "2025-03-01,A,pos,1,2.5,,,,"


@pytest.fixture
def settings(database_url, tmp_path):
    return make_settings(tmp_path / "data", database_url)


def test_a_day(settings, store: Store):
    drop(settings.data_dir / "live_feeds", "sales_data_20250301.csv", csv_bytes(SALES, [ROW]))
    done = daily(settings, store).run()
    assert done["status"] == "ok", done
    steps = {step["name"]: step for step in done["steps"]}
    assert list(steps) == [
        "drain",
        "day_close",
        "quality_check",
        "retention",
        "backup",
        "report",
        "notification",
    ]
    assert steps["drain"]["details"]["rows_loaded"] == 1
    assert steps["backup"]["details"]["deliveries"] == 1
    again = daily(settings, store).run()
    assert again["status"] == "ok"
    found = status_of(settings, store, next_run(settings))
    assert found["last_run"]["id"] == again["id"] > done["id"]
    assert [step["status"] for step in found["last_run"]["steps"]] == ["ok"] * 7


def test_what_is_switched_off_is_skipped(database_url, store, tmp_path):
    off = {
        "feature_engineering_enabled": "day_close",
        "quality_check_enabled": "quality_check",
        "retention_enabled": "retention",
        "backup_enabled": "backup",
        "report_enabled": "report",
        "notification_enabled": "notification",
    }
    settings = make_settings(tmp_path / "data", database_url, workflow=dict.fromkeys(off, False))
    steps = {step["name"]: step for step in daily(settings, store).run()["steps"]}
    assert steps.pop("drain")["status"] == "ok"
    for setting, step in off.items():
        assert steps[step]["status"] == "skipped"
        assert steps[step]["details"]["why"] == f"workflow.{setting} is false"
    assert not (tmp_path / "data" / "backups").exists()
    assert not list((tmp_path / "data" / "reports").glob("*"))


def test_a_step_that_failed_is_told_until_a_run_is_well(settings, store, tmp_path):
    (tmp_path / "data").mkdir(exist_ok=True)
    in_the_way = tmp_path / "data" / "backups"
    in_the_way.write_text("no folder")
    quiet = settings.model_copy(
        update={"workflow": settings.workflow.model_copy(update={"notification_enabled": False})}
    )
    assert daily(quiet, store).run()["status"] == "failed"
    assert store.ask(alerts_of) == []
    assert daily(settings, store).run()["status"] == "failed"
    [(state, summary)] = store.ask(alerts_of)
    assert state == "firing"
    assert summary.startswith("1 step of the daily workflow failed: backup: ")
    in_the_way.unlink()
    assert daily(settings, store).run()["status"] == "ok"
    assert [state for state, _ in store.ask(alerts_of)] == ["resolved"]


def alerts_of(connection):
    found = connection.execute(text("SELECT state, summary FROM alerts WHERE rule = 'workflow'"))
    return [tuple(row) for row in found]


def test_a_step_that_fails_hides_no_other(settings, store):
    def broken():
        raise ValueError("no such thing")

    done = Workflow(settings, store, [Step("one", broken), Step("two", lambda: {"done": 1})]).run()
    assert done["status"] == "failed"
    assert [step["status"] for step in done["steps"]] == ["failed", "ok"]
    assert done["steps"][0]["error"] == "no such thing"
    assert status_of(settings, store, None)["last_run"]["status"] == "failed"


def test_one_run_at_a_time(settings, store):
    def another():
        Workflow(settings, store, []).run()
        return {}

    done = Workflow(settings, store, [Step("another", another)]).run()
    assert "under way on" in done["steps"][0]["error"]
    assert Workflow(settings, store, []).run()["status"] == "ok"


def test_a_run_that_died_is_replaced(settings, store):
    long_ago = datetime.now(UTC) - timedelta(minutes=6)
    begin = partial(runs.begin, day=long_ago.date(), host="elsewhere", dead_before=long_ago - timedelta(1))
    store.change(partial(begin, at=long_ago))
    assert Workflow(settings, store, []).run()["status"] == "ok"
    assert [run["status"] for run in store.ask(partial(runs.newest, most=2))] == ["ok", "died"]
    store.change(partial(begin, at=datetime.now(UTC)))
    with pytest.raises(UnderWay, match="elsewhere"):
        Workflow(settings, store, []).run()


@pytest.mark.parametrize(
    ("after", "expected"),
    [
        ("2026-01-10T00:00", "2026-01-10T01:30:00+00:00"),
        (
            "2026-03-28T12:00",
            "2026-03-29T01:30:00+00:00",
        ),  # 02:30 is skipped that day: 03:30 by the new clock
        ("2026-10-24T12:00", "2026-10-25T00:30:00+00:00"),  # 02:30 comes twice: the first one
        ("2026-10-25T00:31", "2026-10-26T01:30:00+00:00"),
    ],
)
def test_the_hour_on_days_that_have_23_or_25(tmp_path, after, expected):
    settings = make_settings(
        tmp_path, f"sqlite:///{tmp_path}/x.db", timezone="Europe/Berlin", workflow={"at": "02:30"}
    )
    found = next_run(settings, datetime.fromisoformat(after).replace(tzinfo=UTC))
    assert found.astimezone(UTC).isoformat() == expected


def test_it_runs_by_itself_also_after_a_reload(settings, store, monkeypatch):
    """When ``next_run`` says so, by the settings in force; a file that arrives is waited for."""
    asked = []

    def soon(given, after):
        asked.append(given.workflow.at)
        return after + timedelta(seconds=0.3) if given.workflow.at == "03:00" and len(asked) < 4 else None

    monkeypatch.setattr(timetable_module, "next_run", soon)
    service = Service(settings, store)
    service.vitals.waiting = 1
    with timetable(service):
        assert store.ask(runs.newest) == []
        at_three = settings.workflow.model_copy(update={"at": "03:00"})
        service.settings = settings.model_copy(update={"workflow": at_three})
        service.on_reload(service.settings)
        until(lambda: store.ask(runs.newest))
        service.vitals.waiting = 0
        until(lambda: store.ask(runs.newest)[0]["status"] == "ok")
    service.close()
    assert asked[0] == "02:00"
    (run,) = store.ask(partial(runs.newest, most=9))
    assert run["steps"][0]["name"] == "drain"


def test_from_python(settings, store):
    with WorkflowOrchestrator(settings) as workflow:
        assert workflow.get_workflow_status()["last_run"] is None
        assert workflow.schedule_daily_workflow("04:15")["next_run"].endswith("T04:15:00+00:00")
        done = workflow.run_daily_workflow()
        assert done["status"] == "ok"
        assert workflow.get_workflow_status()["last_run"]["id"] == done["id"]
        with pytest.raises(ValueError, match="time of day"):
            workflow.schedule_daily_workflow("25:00")


def until(is_so, seconds=30):
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.02)
