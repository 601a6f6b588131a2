"""The log, through real files, pipes, terminals and processes: always readable, never in the way."""

from __future__ import annotations

import fcntl
import json
import logging
import os
import pty
import re
import shutil
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon import logs
from daemon.events import Event

ROOT = Path(__file__).parents[2]
ANYTHING = st.text(st.characters(exclude_categories=())) | st.text(
    '\x1b[31m\n\r\t\x00\x9b\u2028\u202e\udcff\ud800é\\"'
)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(min_value=10**18, max_value=10**400)
    | st.floats()
    | st.binary()
    | ANYTHING
    | st.decimals()
    | st.datetimes(timezones=st.just(UTC) | st.none())
    | st.timedeltas()
    | st.builds(ValueError, ANYTHING)
    | st.builds(Path, ANYTHING.filter(lambda text: "\x00" not in text))
    | st.frozensets(st.integers() | st.floats() | st.binary())
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner) | st.tuples(inner) | st.dictionaries(ANYTHING | st.integers(), inner),
    max_leaves=20,
)
FIELDS = st.dictionaries(
    ANYTHING.filter(lambda key: key not in {"event", "file", "exc_info", "self", "method_name"}), VALUES
)


@pytest.fixture(autouse=True)
def unconfigured():
    yield
    logs.shutdown()


def captured(work: Callable[[], object], fmt: str = "json", level: str = "debug") -> bytes:
    """What the log holds after ``work``: a real file in memory."""
    fd = os.memfd_create("log")
    try:
        logs.configure(level, fmt, fd)
        work()
        logs.shutdown()
        return os.pread(fd, 1 << 30, 0)
    finally:
        os.close(fd)


def parsed(data: bytes) -> list[dict[str, Any]]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    return [json.loads(line, parse_constant=refuse) for line in data.decode("utf-8").splitlines()]


def one_line(**fields: Any) -> dict[str, Any]:
    (line,) = parsed(captured(lambda: logs.emit(Event.DELIVERY_LOADED, **fields)))
    return line


# --- a line ----------------------------------------------------------------------------------------------------------


def test_line_has_its_keys_in_order() -> None:
    def work() -> None:
        with logs.bound(delivery=7, file="sales_data_20260105.csv"):
            try:
                int("boom")
            except ValueError:
                logs.emit(Event.DELIVERY_FAILED, exc_info=True, step="parse", attempts=2)

    (line,) = parsed(captured(work))
    assert list(line) == ["timestamp", "level", "event", "delivery", "file", "step", "attempts", "exception"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["timestamp"])
    assert abs((datetime.now(UTC) - datetime.fromisoformat(line["timestamp"])).total_seconds()) < 60
    assert (line["level"], line["event"], line["delivery"]) == ("error", "delivery_failed", 7)
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("'boom'")


def test_fields_cannot_take_the_place_of_the_first_keys() -> None:
    line = one_line(timestamp="yesterday", level="none", rows_in=1)
    assert line["level"] == "info"
    assert line["timestamp"] != "yesterday"


def test_bound_values_end_with_their_block() -> None:
    def work() -> None:
        with logs.bound(delivery=1, file=b"a\xff.csv"):
            with logs.bound(delivery=2):
                logs.emit(Event.DELIVERY_SEEN)
            logs.emit(Event.DELIVERY_SEEN)
        logs.emit(Event.DELIVERY_SEEN)

    inner, outer, outside = parsed(captured(work))
    assert (inner["delivery"], inner["file"]) == (2, r"a\xff.csv")
    assert (outer["delivery"], outer["file"]) == (1, r"a\xff.csv")
    assert not {"delivery", "file"} & outside.keys()


class Raises:
    def __str__(self) -> str:
        raise RuntimeError("no text for you")

    __repr__ = __str__


class LogsItself:
    def __str__(self) -> str:
        logs.emit(Event.DELIVERY_SEEN)
        return "logged"


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (3, 3),
        (True, True),
        (None, None),
        (np.int64(3), 3),
        (np.float64(0.5), 0.5),
        (np.bool_(True), "True"),
        (float("nan"), "nan"),
        (float("-inf"), "-inf"),
        (2**63, "0x8000000000000000"),
        (Decimal("1.20"), "1.20"),
        (date(2026, 1, 5), "2026-01-05"),
        (pd.NaT, "NaT"),
        (Path("/data/x.csv"), "/data/x.csv"),
        (Event.DELIVERY_SEEN, "delivery_seen"),
        (b"caf\xe9\x00", r"caf\xe9\x00"),
        ("\ud800 \udcff \x1b[31m", r"\ud800 \xff \x1b[31m"),
        ("two\nlines", "two\nlines"),
        ("Käse 🧀", "Käse 🧀"),
        (ValueError("bad"), "ValueError: bad"),
        ({1: (2, {"a": None})}, {"1": [2, {"a": None}]}),
        (Raises(), "<Raises that cannot be shown: RuntimeError>"),
        ([1, Raises()], [1, "<Raises that cannot be shown: RuntimeError>"]),
        ("postgresql://shop:s3c@ret@db/x", "postgresql://shop:***@db/x"),
        ("https://db:5432/x", "https://db:5432/x"),
        ("host=db password='s3 cret' user=a", "host=db password=*** user=a"),
        ({"url": "x", "note": "Password: s3cret"}, {"url": "x", "note": "Password: ***"}),
    ],
    ids=lambda value: type(value).__name__,
)
def test_value_is_shown(value: object, shown: object) -> None:
    assert one_line(reason=value)["reason"] == shown


def test_exception_that_cannot_be_printed_and_value_that_logs() -> None:
    class Broken(Exception):  # noqa: N818
        __str__ = Raises.__str__

    def work() -> None:
        logs.emit(Event.DELIVERY_FAILED, exc_info=Broken(), error=Broken(), step=LogsItself())

    inner, outer = parsed(captured(work))
    assert inner["event"] == "delivery_seen"
    assert outer["step"] == "logged"
    assert "Broken" in outer["exception"]


@settings(max_examples=200, deadline=None)
@given(fields=FIELDS, name=st.binary(min_size=1), message=ANYTHING)
def test_any_content_gives_one_valid_line(fields: dict[str, Any], name: bytes, message: str) -> None:
    def work() -> None:
        with logs.bound(delivery=1, file=os.fsdecode(name)):
            logs.get_logger().info(Event.DELIVERY_LOADED, **fields, exc_info=ValueError(message))

    data = captured(work)
    (line,) = parsed(data)
    assert data.endswith(b"\n")
    assert len(data) <= logs.MAX_LINE_BYTES
    assert not re.search(rb"[\x00-\x1f\x7f]", data[:-1])
    json.dumps(line, ensure_ascii=False).encode("utf-8")  # no lone surrogate came back from an escape
    assert line["event"] == "delivery_loaded"
    assert line["file"].isprintable()


def cyclic() -> list[Any]:
    items: list[Any] = [1]
    items.append(items)
    return items


def deep() -> list[Any]:
    items: list[Any] = []
    for _ in range(5_000):
        items = [items]
    return items


HUGE = {
    "text": {"reason": "x" * 1_000_000},
    "wide text": {"reason": "🧀" * 100_000},
    "unprintable text": {"reason": "\U000e0001\x1b\udcff" * 100_000},
    "bytes": {"reason": b"\xff" * 1_000_000},
    "number": {"reason": 10**100_000},
    "list": {"columns": ["column"] * 100_000},
    "wide list": {"columns": ["\x1b" * 1_000] * 100_000},
    "mapping": {"reasons": {f"reason {n}": "x" * 100 for n in range(100_000)}},
    "many fields": {f"field{n}": "\x1b" * 1_000 for n in range(1_000)},
    "long names": {("\u2028" * 1_000) + str(n): "\u2028" * 1_000 for n in range(1_000)},
    "cyclic": {"reason": cyclic()},
    "deep": {"reason": deep()},
    "tree": {"reason": [[[["x"] * 100] * 100] * 100] * 100},
}


@pytest.mark.parametrize("fmt", ["json", "console"])
@pytest.mark.parametrize("fields", HUGE.values(), ids=HUGE)
def test_huge_line_is_trimmed_visibly(fields: Mapping[str, Any], fmt: str) -> None:
    def work() -> None:
        with logs.bound(delivery=412, file="sales_data_20260105.csv"):
            logs.emit(Event.DELIVERY_REFUSED, **fields)

    data = captured(work, fmt)
    assert len(data) <= logs.MAX_LINE_BYTES
    assert data.count(b"\n") == 1
    assert re.search(r"…\[\d+ characters cut\]…|… \d+ more|\d+ more fields", data.decode())
    assert b"sales_data_20260105.csv" in data
    if fmt == "json":
        (line,) = parsed(data)
        assert (line["event"], line["delivery"]) == ("delivery_refused", 412)


def test_long_traceback_keeps_its_end() -> None:
    line = one_line(exc_info=ValueError("x" * 100_000 + " the reason"), columns=["c"] * 10_000)
    assert line["exception"].endswith("the reason")
    assert "characters cut" in line["exception"]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("sales_data_20260105.csv", "sales_data_20260105.csv"),
        ("Lager Köln (2).csv", "Lager Köln (2).csv"),
        (b"K\xf6ln.csv", r"K\xf6ln.csv"),
        (os.fsdecode(b"K\xf6ln.csv"), r"K\xf6ln.csv"),
        ("a\nb\tc\x1b[2J\x7f.csv", r"a\nb\tc\x1b[2J\x7f.csv"),
        ("sales\u200b\u202evsc.csv", r"sales\u200b\u202evsc.csv"),
        (r"C:\feeds\x.csv", r"C:\feeds\x.csv"),
        (Path("in/x.csv"), "in/x.csv"),
    ],
)
def test_display_name(name: str | bytes, shown: str) -> None:
    assert logs.display_name(name) == shown


@given(st.binary())
def test_display_name_is_printable_and_stable(name: bytes) -> None:
    shown = logs.display_name(name)
    assert shown.isprintable()
    assert shown.encode("utf-8").decode("utf-8") == shown
    assert logs.display_name(shown) == shown
    assert logs.display_name(os.fsdecode(name)) == shown


def test_jq_takes_every_line() -> None:
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")

    def work() -> None:
        for fields in HUGE.values():
            logs.emit(Event.DELIVERY_LOADED, **fields)
        for code in [*range(0x300), *range(0xD7F0, 0xE010), *range(0xFFF0, 0x10010), 0x10FFFF]:
            logs.emit(Event.DELIVERY_LOADED, reason=f"<{chr(code)}>", error=float("inf"))

    data = captured(work)
    done = subprocess.run(["jq", "-c", ".event"], input=data, capture_output=True, timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.splitlines() == [b'"delivery_loaded"'] * data.count(b"\n")


# --- on a terminal -----------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(fields=FIELDS, name=st.binary(min_size=1), message=ANYTHING)
def test_console_lets_no_control_character_through(fields: dict[str, Any], name: bytes, message: str) -> None:
    def work() -> None:
        with logs.bound(file=name):
            logs.emit(Event.DELIVERY_LOADED, **fields)
            logs.emit(Event.DELIVERY_FAILED, exc_info=ValueError(message))

    text = captured(work, "console").decode("utf-8")
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e]", text)
    assert len(text.partition("\n")[0].encode()) < logs.MAX_LINE_BYTES
    assert "delivery_failed" in text.split("\n")[1], "the first event took one line"


def on_terminal(monkeypatch: pytest.MonkeyPatch, **environment: str) -> str:
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    master, slave = pty.openpty()
    try:
        logs.configure("info", "auto", slave)
        logs.emit(Event.DELIVERY_LOADED, reason="\x1b[31mred\x1b]0;title\x07")
        logs.shutdown()
        return os.read(master, 65536).decode()
    finally:
        os.close(master)
        os.close(slave)


def test_terminal_gets_colours_but_not_those_of_a_value(monkeypatch: pytest.MonkeyPatch) -> None:
    text = on_terminal(monkeypatch, TERM="xterm")
    assert "\x1b[1mdelivery_loaded" in text
    assert r"\x1b[31mred\x1b]0;title\x07" in text


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1", "TERM": "xterm"}, {"TERM": "dumb"}])
def test_terminal_without_colours(monkeypatch: pytest.MonkeyPatch, environment: dict[str, str]) -> None:
    text = on_terminal(monkeypatch, **environment)
    assert "delivery_loaded" in text
    assert "\x1b" not in text
    assert not text.startswith("{")


# --- levels, libraries ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("level", "count"), [("debug", 4), ("INFO", 3), ("warning", 2), ("error", 1)])
def test_level(level: str, count: int) -> None:
    def work() -> None:
        for event in (
            Event.DELIVERY_SEEN,
            Event.DELIVERY_LOADED,
            Event.DELIVERY_PARTIAL,
            Event.DELIVERY_FAILED,
        ):
            logs.emit(event)

    lines = parsed(captured(work, level=level))
    assert [line["level"] for line in lines] == ["debug", "info", "warning", "error"][-count:]


@pytest.mark.parametrize(("level", "fmt"), [("loud", "json"), ("info", "xml")])
def test_unknown_setting_is_refused(level: str, fmt: str) -> None:
    with pytest.raises(ValueError, match="is unknown: use one of"):
        logs.configure(level, fmt)


def test_what_libraries_say_comes_along() -> None:
    def work() -> None:
        logging.getLogger("alembic.runtime").info("not this")
        logging.getLogger("watchdog").warning("queue of %d overflowed", 3)
        wrong = {"name": "watchdog", "levelno": logging.WARNING, "msg": "wrong %d format", "args": ("x",)}
        logs._handler.handle(logging.makeLogRecord(wrong))
        logging.getLogger("sqlalchemy.pool").error("cannot close", exc_info=OSError("gone"))
        with warnings.catch_warnings():
            warnings.simplefilter("always")
            logging.captureWarnings(True)
            warnings.warn("old\x1b[31m", DeprecationWarning, stacklevel=1)
        logging.captureWarnings(True)

    overflow, wrong, pool, warned = parsed(captured(work))
    assert {line["event"] for line in (overflow, wrong, pool, warned)} == {"library_warned"}
    assert (overflow["level"], overflow["logger"], overflow["message"]) == (
        "warning",
        "watchdog",
        "queue of 3 overflowed",
    )
    assert wrong["message"] == ["wrong %d format", ["x"]]
    assert (pool["level"], pool["exception"].splitlines()[-1]) == ("error", "OSError: gone")
    assert (warned["logger"], "old" in warned["message"]) == ("py.warnings", True)


def test_unconfigured_the_log_is_the_applications(
    caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture
) -> None:
    caplog.set_level("INFO", logger="stockgrip")
    logs.emit(Event.DELIVERY_SEEN)
    logs.emit(Event.DELIVERY_LOADED, rows_in=3)
    assert [json.loads(record.getMessage())["rows_in"] for record in caplog.records] == [3]
    assert capfd.readouterr() == ("", "")


# --- the stream: stalled, slow, closed, torn -------------------------------------------------------------------------------


def child(source: str, *before: str, **options: Any) -> subprocess.Popen[bytes]:
    """A process that runs ``source`` with the log configured on its stderr."""
    start = "import os, sys, time\nfrom daemon import logs\nfrom daemon.events import Event\nlogs.configure('debug', 'json')\n"
    arguments = [*before, sys.executable, "-c", start + source]
    return subprocess.Popen(arguments, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, **options)


def test_full_pipe_does_not_stop_the_work_and_the_loss_is_counted() -> None:
    source = """
for number in range(200_000):
    logs.emit(Event.DELIVERY_SEEN, size_bytes=number)
print("worked", flush=True)
sys.stdin.readline()
logs.emit(Event.DELIVERY_FILED)  # dropped too, unless the reader was quick
logs.shutdown(60)
"""
    with child(source, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"worked\n", "it ended its work while nobody read its log"
        log = process.communicate(b"read\n", timeout=120)[1]
    lines = parsed(log)
    seen = [line["size_bytes"] for line in lines if line["event"] == "delivery_seen"]
    dropped = [line["lines"] for line in lines if line["event"] == "log_lines_dropped"]
    assert process.returncode == 0
    assert seen[:10_000] == list(range(10_000)), "the oldest lines are kept"
    assert len(dropped) == 1
    last = sum(line["event"] == "delivery_filed" for line in lines)
    assert len(seen) + last + dropped[0] == 200_001


def test_stalled_pipe_does_not_delay_the_end() -> None:
    source = """
for number in range(20_000):
    logs.emit(Event.DELIVERY_SEEN, path="x" * 100)
start = time.monotonic()
logs.shutdown(0.5)
print(time.monotonic() - start)
"""
    with child(source, stderr=subprocess.PIPE) as process:
        assert 0.4 < float(process.stdout.readline()) < 10
        assert process.wait(30) == 0


def test_pipe_whose_reader_is_gone_does_not_stop_the_work() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    with child(
        "for n in range(20_000): logs.emit(Event.DELIVERY_SEEN)\nprint('worked')", stderr=write_end
    ) as process:
        os.close(write_end)
        assert process.communicate(timeout=60)[0] == b"worked\n"
        assert process.returncode == 0


def test_stderr_closed_from_the_start() -> None:
    source = "for n in range(1_000): logs.emit(Event.DELIVERY_SEEN)\nprint('worked')"
    with child(source, "sh", "-c", 'exec "$@" 2>&-', "sh") as process:
        assert process.communicate(timeout=60)[0] == b"worked\n"
        assert process.returncode == 0


def test_stderr_closed_later_and_its_number_given_to_another_file(tmp_path: Path) -> None:
    source = """
os.close(2)
assert os.open(sys.stdin.readline().strip(), os.O_WRONLY | os.O_CREAT) == 2
logs.emit(Event.DELIVERY_SEEN)
"""
    with child(source, stderr=subprocess.PIPE) as process:
        log = process.communicate(os.fsencode(tmp_path / "database"), timeout=60)[1]
    assert (tmp_path / "database").read_bytes() == b""
    assert [line["event"] for line in parsed(log)] == ["delivery_seen"]


@pytest.mark.parametrize("ending", ["", "sys.exit(3)", "raise SystemExit('bye')"])
def test_end_of_the_process_flushes(ending: str) -> None:
    with child(
        f"for n in range(5_000): logs.emit(Event.DELIVERY_SEEN)\n{ending}", stderr=subprocess.PIPE
    ) as process:
        log = process.communicate(timeout=60)[1]
    assert log.count(b'"delivery_seen"') == 5_000


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.005)


def test_reader_that_comes_back_is_told_what_it_missed(tmp_path: Path) -> None:
    fifo = tmp_path / "log"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    writer = os.open(fifo, os.O_WRONLY)
    logs.configure("debug", "json", writer)
    os.close(writer)
    os.close(reader)
    for _ in range(3):
        logs.emit(Event.DELIVERY_SEEN)
    until(lambda: logs._writers[0]._dropped == 3)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    logs.emit(Event.DELIVERY_FILED)
    logs.shutdown()
    lines = parsed(os.read(reader, 65536))
    os.close(reader)
    assert [(line["event"], line.get("lines")) for line in lines] == [
        ("delivery_filed", None),
        ("log_lines_dropped", 3),
    ]


def test_slow_reader_of_a_non_blocking_pipe_gets_everything() -> None:
    read_end, write_end = os.pipe()
    fcntl.fcntl(write_end, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(write_end, False)
    received: list[bytes] = []

    def read() -> None:
        while data := os.read(read_end, 1_000):
            received.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    logs.configure("debug", "json", write_end)
    os.close(write_end)

    def log(thread: int) -> None:
        for number in range(500):
            logs.emit(Event.DELIVERY_SEEN, size_bytes=thread * 500 + number, path="x" * 500)

    threads = [threading.Thread(target=log, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    logs.shutdown(60)
    reader.join()
    os.close(read_end)
    assert sorted(line["size_bytes"] for line in parsed(b"".join(received))) == list(range(2_000))


def test_line_torn_by_a_full_disk_spoils_no_other(tmp_path: Path) -> None:
    source = """
import resource
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, hard))  # a file that takes 1 000 bytes and no more
for number in range(30):
    logs.emit(Event.DELIVERY_SEEN, size_bytes=number)
while logs._writers[0]._lines:
    time.sleep(0.005)
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
logs.emit(Event.DELIVERY_FILED)
"""
    log = tmp_path / "log"
    with log.open("wb") as stderr, child(source, stderr=stderr) as process:
        process.communicate(timeout=60)
    *whole, torn, filed, dropped = log.read_bytes().splitlines()
    assert [line["size_bytes"] for line in parsed(b"\n".join(whole))] == list(range(len(whole)))
    assert b"\n".join(whole)
    with pytest.raises(json.JSONDecodeError):
        json.loads(torn)
    assert json.loads(filed)["event"] == "delivery_filed"
    assert json.loads(dropped)["lines"] + len(whole) == 30


def test_logging_inside_a_logging_call_does_not_deadlock() -> None:
    """A finalizer or a signal handler may run between any two steps of put(), and log."""
    source = """
def trace(frame, kind, argument):
    if frame.f_code.co_name == "put":
        logs.emit(Event.DELIVERY_FILED)
    return trace
sys.settrace(trace)
for number in range(1_000):
    logs.emit(Event.DELIVERY_SEEN)
sys.settrace(None)
logs.shutdown(30)
print("worked")
"""
    with child(source, stderr=subprocess.PIPE) as process:
        try:
            output, log = process.communicate(timeout=60)
        finally:
            process.kill()
    assert output == b"worked\n"
    events = [line["event"] for line in parsed(log)]
    assert events.count("delivery_seen") == 1_000
    assert events.count("delivery_filed") > 1_000
