"""Does the daily workflow load what waits, close the day and copy the database, and does it no harm to run it again?"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daemon.selftest import features
from daemon.selftest.book import TABLES, count_rows
from daemon.selftest.checks import Checks
from daemon.selftest.trial import Trial
from daemon.store.backups import contents_of, is_sqlite
from daemon.store.bare import rows as ask
from daemon.workflow.daily import daily


def check(trial: Trial, checks: Checks) -> None:
    """Delivers the last day, runs the workflow twice, and compares."""
    trial.prepare()
    files = trial.last_day()
    trial.drop(files)
    done = daily(trial.settings, trial.store).run()
    trial.progress(len(files))
    steps = {step["name"]: step for step in done["steps"]}
    failed = {name: step["error"] for name, step in steps.items() if step["status"] == "failed"}
    checks.equal("steps that failed", {}, failed)
    drained = steps["drain"]["details"]
    checks.equal("files loaded", len(files), drained.get("loaded"))
    checks.equal("rows loaded", sum(count_rows(file.text) for file in files), drained.get("rows_loaded"))
    for feed in TABLES:
        checks.same_rows(f"rows of {feed}", trial.book.counted(feed), trial.found(feed), "")
    features.compare(trial, checks)
    _backup(trial, checks, steps)
    _again(trial, checks, done)


def _backup(trial: Trial, checks: Checks, steps: Mapping[str, Any]) -> None:
    """The copy is sound, and has the rows of the day."""
    path = Path(str(steps["backup"]["details"].get("file", "")))
    if not path.is_file():
        checks.so("backup", "a copy of the database", "none", ok=False)
        return
    if is_sqlite(trial.settings.database_url):
        checks.equal("backup, as SQLite judges it", [("ok",)], ask(path, "PRAGMA integrity_check"))
        found = {table: ask(path, f"SELECT COUNT(*) FROM {table}")[0][0] for table in TABLES.values()}  # noqa: S608
    else:
        found = dict(contents_of(path).rows)  # as pg_restore reads it
    for feed, table in TABLES.items():
        checks.equal(f"backup, rows of {feed}", trial.book.counted(feed).total(), found.get(table))


def _again(trial: Trial, checks: Checks, first: Mapping[str, Any]) -> None:
    """A second run changes nothing, and both are in the list of runs."""
    second = daily(trial.settings, trial.store).run()
    drained = second["steps"][0]["details"]
    checks.equal("status of a second run", "ok", second["status"])
    checks.equal("files loaded by it", 0, drained.get("loaded"))
    for feed in TABLES:
        checks.equal(f"rows of {feed} after it", trial.book.counted(feed).total(), trial.found(feed).total())
    runs = trial.ask("SELECT id, status FROM workflow_runs ORDER BY id")
    checks.equal("runs that are noted", [(first["id"], "ok"), (second["id"], "ok")], runs)
