"""What follows from deliveries keeps up with what operators do, and is told of where it does not."""

import json
import math
import os
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from contextlib import closing
from datetime import timedelta

import pytest
from conftest import make_settings
from e2e.harness import until as in_time
from sqlalchemy import delete, func, insert, select
from support.files import SALES, csv_bytes, drop
from support.loading import ARRIVED, load, wipe
from support.process import command, environment, run_cli
from test_loads import SALES_ROWS

from daemon.after import steps
from daemon.after.steps import AfterSteps
from daemon.doctor import Site, following
from daemon.doctor.finding import examined
from daemon.errors import TransientError
from daemon.render import status_text
from daemon.status import picture
from daemon.store.derived import ALERTS, DUE_DAYS, DUE_PRODUCTS, FEATURE_WINDOWS, METRICS, PRODUCT_FEATURES
from daemon.store.engine import open_engine
from daemon.store.schema import TOTALS

_LATER = ["2025-06-03T10:00:00,SKU-9,pos,3,3.00,,,,"]
_HOW = "catalogue_version", "known_at"


def current(engine):
    """The features of the newest day there are any of, and what was last said of the completeness of each day."""
    with engine.connect() as connection:
        newest = connection.execute(select(func.max(PRODUCT_FEATURES.c.as_of))).scalar()
        rows = connection.execute(
            select(PRODUCT_FEATURES).where(PRODUCT_FEATURES.c.as_of == newest)
        ).mappings()
        features = sorted(
            ({name: value for name, value in row.items() if name not in _HOW} for row in rows),
            key=lambda row: row["product_id"],
        )
        said = connection.execute(
            select(METRICS.c.day, METRICS.c.delivery_id)
            .where(METRICS.c.metric_name == "completeness", METRICS.c.scope == "")
            .order_by(METRICS.c.id)
        )
        return newest, features, {row.day: row.delivery_id for row in said}


def due(engine):
    with engine.connect() as connection:
        counts = (select(func.count()).select_from(table) for table in (DUE_PRODUCTS, DUE_DAYS))
        return [connection.execute(count).scalar_one() for count in counts]


def until(condition, process):
    deadline = time.monotonic() + 30
    while not condition() and process.poll() is None:
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


@pytest.mark.parametrize("runs", [False, True], ids=["alone", "beside the daemon"])
def test_what_follows_an_unload(service, database_url, tmp_path, runs):
    made = service()
    env = environment(made.folders.data_dir, database_url)
    drop(made.folders.inbox, "sales_data_20250601.csv", csv_bytes(SALES, SALES_ROWS))
    made.drain()
    before = current(made.store.engine)
    drop(made.folders.inbox, "sales_data_20250603.csv", csv_bytes(SALES, _LATER))
    daemon = (
        subprocess.Popen(command("run"), env=env, cwd=tmp_path, stderr=subprocess.DEVNULL) if runs else None
    )
    try:
        if daemon is None:
            assert run_cli("drain", env=env, cwd=tmp_path).returncode == 0
        else:
            until(lambda: (made.store.delivery(2) or {}).get("archive_path"), daemon)
            until(lambda: due(made.store.engine) == [0, 0], daemon)
        loaded = current(made.store.engine)
        assert loaded[0] == before[0] + timedelta(1)
        done = run_cli("unload", "2", "--yes", env=env, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        if daemon is not None:
            until(lambda: due(made.store.engine) == [0, 0], daemon)
    finally:
        if daemon is not None:
            daemon.send_signal(signal.SIGTERM)
            assert daemon.wait(30) == 0
    assert due(made.store.engine) == [0, 0]
    after = current(made.store.engine)
    assert after[:2] == before[:2]
    assert after[2][loaded[0]] == 2, "the day is judged again: nothing of it is there now"


def test_a_drain_with_nothing_waiting_does_what_is_due(store, database_url, tmp_path):
    load(store, "sales_data_20250601.csv", csv_bytes(SALES, SALES_ROWS))
    assert all(due(store.engine))
    settings = make_settings(tmp_path / "data", database_url)
    found = picture(settings)
    assert (found["due"]["products"] > 0, found["due"]["days"]) == (True, 2)
    assert "quality of 2 days (the daemon does it" in status_text(found).replace("\n", " ")
    env = environment(tmp_path / "data", database_url)
    assert run_cli("drain", env=env, cwd=tmp_path).returncode == 0
    assert due(store.engine) == [0, 0]
    with store.engine.begin() as connection:
        connection.execute(delete(ALERTS))
    told = json.loads(run_cli("status", "--json", env=env, cwd=tmp_path).stdout)
    assert told["due"] == {"products": 0, "days": 0}
    assert told["firing"] == {}
    assert "due  " not in status_text(told)
    assert "alerts  " not in status_text(told)
    told["firing"] = {"info": 3, "critical": 1_200}
    assert "alerts    1,200 critical, 3 info" in status_text(told)


def test_days_are_judged_before_a_new_day_moves_the_other_products_on(store, database_url, tmp_path):
    after = AfterSteps(store, make_settings(tmp_path / "data", database_url))
    load(store, "sales_data_20250601.csv", csv_bytes(SALES, SALES_ROWS))
    after.run()
    load(store, "sales_data_20250603.csv", csv_bytes(SALES, _LATER))
    windows = select(FEATURE_WINDOWS.c.as_of).distinct()
    turns = []

    def enough():
        with store.engine.connect() as connection:
            turns.append((*due(store.engine), len(connection.execute(windows).all())))
        return len(turns) > 500

    after.run(enough)
    # products that are due, days that are due, different days of windows
    assert list(dict.fromkeys(turns)) == [(1, 1, 1), (0, 1, 2), (0, 0, 2), (0, 0, 1)]


def test_a_step_gives_way_to_a_file_and_is_done_again(store, database_url, tmp_path, caplog):
    """It is asked before each of its statements; whenever it says so, nothing of the step is done."""
    after = AfterSteps(store, make_settings(tmp_path / "data", database_url))
    load(store, "sales_data_20250601.csv", csv_bytes(SALES, SALES_ROWS))
    waits = due(store.engine)
    asked = []

    def count():
        asked.append(1)
        return False

    def break_off_at(question):
        questions = iter(range(question))
        return lambda: next(questions, None) is None

    after.run(count)
    done = current(store.engine)[:2]
    assert due(store.engine) == [0, 0]
    wipe(store.engine)
    load(store, "sales_data_20250601.csv", csv_bytes(SALES, SALES_ROWS))
    for question in range(1, len(asked)):
        after._gave_way.clear()
        before = due(store.engine)
        after.run(break_off_at(question))
        left = due(store.engine)
        assert left in (before, [0, before[1]], [0, 0])
        if left != [0, 0]:
            assert left[1] == waits[1]
    after._gave_way.clear()
    after.run()
    assert due(store.engine) == [0, 0]
    assert current(store.engine)[:2] == done
    with store.engine.connect() as connection:
        assert "error" not in connection.execute(select(METRICS.c.status)).scalars().all()
    assert not any("failed" in line for line in caplog.messages)


def test_files_that_never_end_put_a_step_off_for_a_while(store, database_url, tmp_path, monkeypatch):
    after = AfterSteps(store, make_settings(tmp_path / "data", database_url))
    load(store, "sales_data_20250601.csv", csv_bytes(SALES, SALES_ROWS))
    waits = due(store.engine)

    def run_until_a_file_comes():
        first = iter([False])  # a step is begun, and a file comes
        after.run(lambda: next(first, True))

    for _ in range(5):
        run_until_a_file_comes()
        assert due(store.engine) == waits
    monkeypatch.setattr(steps, "_PATIENCE", 0.0)
    run_until_a_file_comes()
    assert due(store.engine) == [0, waits[1]]


def delivered(made, name, row):
    drop(made.folders.inbox, name, csv_bytes(SALES, [row]))
    made.inbox.scan()
    assert list(made.carrier.deliver_all(made.inbox.ready(), patient=True, enough=made.stop.is_set)) == [name]


def soon(question, answer):
    in_time(lambda: question() == answer, 15)


def test_in_a_stream_of_files_it_rests_and_is_done_for_many_of_them(service):
    made = service()

    def follow_up():
        return made._follow_up(time.monotonic() + 60)

    delivered(made, "sales_data_20250601_a.csv", "2025-06-01T10:00:00,SKU-1,pos,3,3.00,,,,")
    assert follow_up() == math.inf
    assert due(made.store.engine) == [0, 0]
    for name in "bc":
        delivered(made, f"sales_data_20250601_{name}.csv", f"2025-06-01T10:00:00,SKU-{name},pos,3,3.00,,,,")
        assert follow_up() == made._rests_until > time.monotonic()
    assert due(made.store.engine)[0] == 2
    made._rests_until = 0.0
    assert follow_up() == math.inf
    assert due(made.store.engine) == [0, 0]


def test_when_it_has_rested_it_is_done_though_nothing_else_happens(service, database_url):
    made = service(
        settle={"quiet_seconds": 0, "grace_seconds": 0, "canary_seconds": 600, "scan_seconds": 600}
    )
    loop = threading.Thread(target=made.run)
    loop.start()
    engine = open_engine(database_url)  # the loop lets go of its own now and then
    try:
        for files, name in enumerate("ab", 1):
            row = f"2025-06-01T10:00:00,SKU-{name},pos,3,3.00,,,,"
            drop(made.folders.inbox, f"sales_data_20250601_{name}.csv", csv_bytes(SALES, [row]))
            wanted = (files, files)
            soon(lambda: (made.summary.loaded, len(current(engine)[1])), wanted)
    finally:
        made.request_stop()
        loop.join()
        engine.dispose()


def test_no_commit_of_a_file_has_to_copy_the_log_into_the_database(store, database_url, tmp_path):
    after = AfterSteps(store, make_settings(tmp_path / "data", database_url))
    load(store, "sales_data_20250601.csv", csv_bytes(SALES, SALES_ROWS))
    after.run()
    if store.engine.dialect.name == "sqlite":
        shutil.copy(store.engine.url.database, tmp_path / "without_its_log.db")
        with closing(sqlite3.connect(tmp_path / "without_its_log.db")) as copy:
            assert copy.execute("SELECT COUNT(*) FROM product_features").fetchone()[0] > 0


class Locked(AfterSteps):
    """Meets a database that is locked, for a while."""

    locked = True

    def _features(self):
        if self.locked:
            raise TransientError("the database is locked")
        return super()._features()


def test_a_fault_of_the_world_is_said_once_and_soon_tried_again(
    store, database_url, tmp_path, caplog, monkeypatch
):
    after = Locked(store, make_settings(tmp_path / "data", database_url))
    load(store, "sales_data_20250601.csv", csv_bytes(SALES, SALES_ROWS))

    def said():
        return sum("after_step_failed" in line for line in caplog.messages)

    after.run()
    assert said() == 1
    assert 0 < after.next_try() <= 5
    monkeypatch.setattr(steps, "_PASSING", 0.0)
    after._failed.clear()
    for times in (2, 2):
        after.run()
        assert said() == times
    after.locked = False
    after.run()
    assert due(store.engine) == [0, 0]
    assert after.next_try() == math.inf
    after.locked = True
    after.run()
    assert said() == 3


# ---- doctor


def look(tmp_path, database_url, later=3_600.0):
    """What the doctor says some time after the delivery."""
    variables = {"STOCKGRIP_DATA_DIR": str(tmp_path / "data"), "STOCKGRIP_DATABASE__URL": database_url}
    at = Site(None, os.environ | variables, clock=lambda: ARRIVED.timestamp() + later)
    (found,) = examined(following.CHECKS[0], at)
    return found


def test_the_doctor_tells_what_grows_old_and_why(store, database_url, tmp_path):
    load(store, "sales_data_20250601.csv", csv_bytes(SALES, SALES_ROWS))
    marks = due(store.engine)
    found = look(tmp_path, database_url, later=60)
    assert (found.state, found.command) == ("ok", ""), found.said
    found = look(tmp_path, database_url)
    assert (found.state, found.command) == ("warn", "stockgrip drain")
    assert "the quality of 2 days, the first for 60 min" in found.said
    assert due(store.engine) == marks
    with store.engine.begin() as connection:  # a window that a later release wrote
        product = connection.execute(select(DUE_PRODUCTS.c.product_id).limit(1)).scalar_one()
        day = connection.execute(select(func.max(TOTALS.c.day))).scalar_one()
        connection.execute(insert(FEATURE_WINDOWS).values(product_id=product, as_of=day, packed=b"\xff"))
    found = look(tmp_path, database_url)
    assert found.state == "fail"
    assert "ValueError: a window has layout 255" in found.said
    assert due(store.engine) == marks
