"""What systemd is told, a reload, and a file that becomes ready while features and quality follow another."""

import os
import re
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from e2e.harness import Place, put, sales, until

A, B = "sales_data_20250301_a.csv", "sales_data_20250302_b.csv"


class Manager:
    """systemd's end of the line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))

    def wait_for(self, pattern: str, seconds: float = 20.0) -> str:
        """The next message that has this in it."""
        self._socket.settimeout(seconds)
        while True:
            message = self._socket.recv(65536).decode()
            self.said.append(message)
            if re.search(pattern, message, re.MULTILINE):
                return message

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def manager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Manager]:
    pytest.importorskip("systemd.daemon", reason="systemd-python: uv sync --extra systemd")
    made = Manager(tmp_path_factory.mktemp("s") / "notify")
    yield made
    made.close()


def _configured(place: Place, **settings: object) -> Path:
    path = place.folder / "config.yaml"
    path.write_text(yaml.safe_dump(settings))
    return path


def test_systemd_is_told(sqlite_place: Place, manager: Manager) -> None:
    place = sqlite_place
    watchdog = {"NOTIFY_SOCKET": manager.path, "WATCHDOG_USEC": 1_500_000}
    daemon = place.run(settle__scan_seconds=3600, **watchdog)
    assert "STATUS=" in manager.wait_for("^READY=1$")
    manager.wait_for("^WATCHDOG=1$")
    put(place.inbox, A, sales("A"))
    manager.wait_for("^WATCHDOG_USEC=7510000000$")  # work may take its time
    manager.wait_for("^WATCHDOG_USEC=1500000$")
    assert re.search(r"STATUS=idle; 0 waiting; .*\b1 loaded", manager.wait_for("1 loaded"))
    daemon.popen.send_signal(signal.SIGHUP)
    assert re.search(r"^MONOTONIC_USEC=\d+$", manager.wait_for("^RELOADING=1$"), re.MULTILINE)
    manager.wait_for("^READY=1$")
    assert daemon.stop() == 0
    manager.wait_for("^STOPPING=1$")


def test_a_process_that_is_not_watched_says_no_word_of_a_watchdog(
    sqlite_place: Place, manager: Manager
) -> None:
    daemon = sqlite_place.run(NOTIFY_SOCKET=manager.path, WATCHDOG_USEC=1_500_000, WATCHDOG_PID=os.getpid())
    manager.wait_for("^READY=1$")
    assert daemon.stop() == 0
    manager.wait_for("^STOPPING=1$")
    assert not [said for said in manager.said if "WATCHDOG" in said]


def test_reload(sqlite_place: Place) -> None:
    place = sqlite_place
    path = _configured(place, limits={"max_file_bytes": 10_000_000})
    daemon = place.start("--config", str(path), "run")
    daemon.wait_said("daemon_ready", 30)
    path.write_text("limits: {max_file_bytes: many}")
    daemon.popen.send_signal(signal.SIGHUP)
    assert "max_file_bytes" in daemon.wait_said("reload_refused")["error"]
    put(place.inbox, A, sales("A"))
    place.wait_loaded(A)
    _configured(place, limits={"max_file_bytes": 1_000}, log={"level": "info"})
    daemon.popen.send_signal(signal.SIGHUP)
    assert daemon.wait_said("config_reloaded")["changed"] == ["limits"]
    put(place.inbox, B, sales("B", 500))
    assert daemon.wait_said("delivery_refused")["code"] == "too_large"
    assert daemon.stop() == 0
    assert len(daemon.said("daemon_ready")) == 1


def test_what_a_reload_cannot_change(sqlite_place: Place) -> None:
    place = sqlite_place
    path = _configured(place)
    daemon = place.start("--config", str(path), "run")
    daemon.wait_said("daemon_ready", 30)
    _configured(place, data_dir="elsewhere")
    assert daemon.alive
    daemon.popen.send_signal(signal.SIGHUP)
    daemon.wait_said("config_reloaded")  # the environment names another, and goes before the file
    assert daemon.stop() == 0


def test_a_file_does_not_wait_for_what_follows_another(sqlite_place: Place) -> None:
    """Thousands of features are due when it comes: it is loaded as soon as it is quiet, between two steps."""
    place = sqlite_place
    products = 30_000
    rows = "".join(f"2025-03-01,P{n},pos,1,2.5\n" for n in range(products))
    daemon = place.run(settle__quiet_seconds=0.4, settle__scan_seconds=3600)
    put(place.inbox, A, b"date,product_id,channel,quantity_sold,revenue\n" + rows.encode())
    place.wait_loaded(A, seconds=60)
    put(place.inbox, B, sales("B"))
    place.wait_loaded(B, seconds=60)
    assert place.scalar("SELECT COUNT(*) FROM due_products") > 0, "all of it was done first"
    assert daemon.stop() == 0
    until(lambda: not daemon.alive, 5)
