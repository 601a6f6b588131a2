"""Signals, and a log that nobody reads."""

import fcntl
import json
import os
import signal
import subprocess
import time

import pytest
from support.process import command

from e2e.harness import START_SECONDS, Place, put, sales, until

A, B = "sales_data_20250301_a.csv", "sales_data_20250301_b.csv"


def test_asked_to_stop_it_finishes_the_delivery_in_hand(place: Place) -> None:
    rows = 30_000
    (place.inbox / A).write_bytes(sales("A", rows, products=50))  # what follows is not what is tried here
    time.sleep(0.01)
    put(place.inbox, B, sales("B"))
    daemon = place.run()
    daemon.wait_said("delivery_claimed", file=A)
    daemon.popen.send_signal(signal.SIGTERM)
    assert daemon.end(60) == 0
    assert place.waiting() == [B], "the next one waits for the next start"
    assert place.claimed() == []
    assert place.loaded(A)
    assert place.scalar("SELECT COUNT(*) FROM live_sales_data") == rows
    assert daemon.said("daemon_stopped")
    place.drain(0)
    place.assert_clean()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stops_at_once_when_idle(sqlite_place: Place, number: int) -> None:
    daemon = sqlite_place.run(settle__scan_seconds=3600)
    begun = time.monotonic()
    daemon.popen.send_signal(number)
    assert daemon.end() == 0
    assert time.monotonic() - begun < 5


def test_signals_never_hang_it(sqlite_place: Place) -> None:
    """A signal handler runs between any two instructions: also while the loop holds a lock."""
    place = sqlite_place
    daemon = place.run(settle__scan_seconds=3600)
    deadline = time.monotonic() + 1.5
    number = 0
    while time.monotonic() < deadline:
        for _ in range(20):
            os.kill(daemon.pid, signal.SIGUSR1)
        number += 1
        if number % 50 == 0:
            put(place.inbox, f"sales_data_20250301_{number}.csv", sales(f"N{number}", 1))
        time.sleep(0.001)
    put(place.inbox, A, sales("A"))
    place.wait_loaded(A, seconds=10)
    assert daemon.stop(10) == 0
    place.assert_clean()


def _started(place: Place, stderr: int, out: str = "out.txt") -> subprocess.Popen[bytes]:
    with (place.folder / out).open("wb") as stdout:
        return subprocess.Popen(
            command("run"),
            env=place.environment(),
            cwd=place.folder,
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
        )


def _works_and_stops(place: Place, daemon: subprocess.Popen[bytes]) -> None:
    try:
        for n in range(30):
            put(place.inbox, f"sales_data_20250301_{n:02d}.csv", sales(f"N{n}", 2, bad=1))
        until(lambda: place.scalar("SELECT COUNT(*) FROM live_sales_data") == 60, START_SECONDS)
        until(lambda: not place.claimed(), 10)
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(20) == 0
    finally:
        daemon.kill()
        daemon.wait()


def test_log_pipe_that_nobody_reads(sqlite_place: Place) -> None:
    """It is full from the start: lines are lost, work is not; a reader who comes later learns how many."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    os.set_blocking(writer, False)
    filler = b'{"timestamp": "", "level": "info", "event": "daemon_ready"}\n'
    try:
        while True:
            os.write(writer, filler)
    except BlockingIOError:
        os.set_blocking(writer, True)
    daemon = _started(sqlite_place, writer)
    os.close(writer)
    _works_and_stops(sqlite_place, daemon)
    os.set_blocking(reader, False)
    left = os.read(reader, 1 << 20)
    os.close(reader)
    for line in left.split(b"\n")[:-1]:
        json.loads(line)


def test_log_pipe_that_is_read_late(sqlite_place: Place) -> None:
    """What did not fit into the queue is counted, and every line that came through is whole."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    daemon = _started(sqlite_place, writer)
    os.close(writer)
    try:
        for n in range(40):
            put(sqlite_place.inbox, f"sales_data_20250301_{n:02d}.csv", sales(f"N{n}", 2, bad=1))
        until(lambda: sqlite_place.scalar("SELECT COUNT(*) FROM live_sales_data") == 80, START_SECONDS)
        daemon.send_signal(signal.SIGTERM)
        with os.fdopen(reader, "rb") as stream:
            lines = stream.read().splitlines()
        assert daemon.wait(20) == 0
        events = [json.loads(line)["event"] for line in lines]
        assert events.count("delivery_partial") == 40
        assert events[-1] == "daemon_stopped"
    finally:
        daemon.kill()
        daemon.wait()


@pytest.mark.parametrize("how", ["its reader is gone", "there is none"])
def test_log_pipe_that_is_closed(sqlite_place: Place, how: str) -> None:
    if how == "there is none":
        daemon = subprocess.Popen(
            ["sh", "-c", 'exec "$@" 2>&-', "sh", *command("run")],
            env=sqlite_place.environment(),
            cwd=sqlite_place.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
    else:
        reader, writer = os.pipe()
        os.close(reader)
        daemon = _started(sqlite_place, writer)
        os.close(writer)
    _works_and_stops(sqlite_place, daemon)
