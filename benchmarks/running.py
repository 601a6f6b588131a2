"""The daemon as a process of its own, as an operator starts it, and when it said what."""

import json
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from benchmarks import measure

ENDINGS = frozenset({"delivery_loaded", "delivery_partial", "delivery_duplicate", "delivery_refused"})
"""What the daemon says of a delivery once its outcome is committed."""

T = TypeVar("T")


@dataclass(frozen=True)
class Said:
    """A line of its log.

    Attributes:
        at: when it reached us, seconds of ``time.perf_counter``.
        line: the fields.
    """

    at: float
    line: dict[str, Any]


@dataclass
class Daemon:
    """A running ``stockgrip run``.

    Attributes:
        data_dir: holds ``live_feeds/``.
        process: the process.
        started: when it was started, seconds of ``time.perf_counter``.
    """

    data_dir: Path
    process: subprocess.Popen[bytes]
    started: float
    _said: list[Said] = field(default_factory=list)
    _outcomes: list[Said] = field(default_factory=list)
    _news: threading.Condition = field(default_factory=threading.Condition)
    _ended: bool = False

    @property
    def inbox(self) -> Path:
        """Where files are dropped."""
        return self.data_dir / "live_feeds"

    @property
    def database(self) -> Path:
        """The SQLite file."""
        return self.data_dir / "stockgrip.db"

    def drop(self, file: Path, name: str | None = None) -> float:
        """Renames a file into the inbox; when that was."""
        at = time.perf_counter()
        file.rename(self.inbox / (name or file.name))
        return at

    def said(self, *events: str) -> list[Said]:
        """The lines of some events so far."""
        with self._news:
            return [said for said in self._said if said.line.get("event") in events]

    def wait(self, enough: Callable[[], T], seconds: float, what: str) -> T:
        """Waits until a condition on what was said holds, and gives what it gave."""
        deadline = time.perf_counter() + seconds
        with self._news:
            while not (found := enough()):
                left = deadline - time.perf_counter()
                if left <= 0 or self._ended:
                    tail = "\n".join(json.dumps(said.line) for said in self._said[-15:])
                    sys.exit(f"the daemon {'ended' if self._ended else 'took too long'}: {what}\n{tail}")
                self._news.wait(min(left, 1.0))
            return found

    def wait_ready(self, seconds: float = 60.0) -> float:
        """Seconds from the start of the process until it says, and tells systemd, that it is ready."""
        ready = self.wait(lambda: self.said("daemon_ready"), seconds, "it is not ready")
        return ready[0].at - self.started

    def wait_loaded(self, files: int, seconds: float) -> list[Said]:
        """What was said of so many deliveries, in the order in which they were committed."""
        self.wait(lambda: len(self._outcomes) >= files, seconds, f"{files} files are not loaded")
        for said in self._outcomes:
            if said.line["event"] != "delivery_loaded":
                sys.exit(f"not loaded whole: {said.line}")
        return list(self._outcomes)

    def wait_done(self, seconds: float, every: float = 0.02) -> tuple[float, float]:
        """When every loaded file lay in the archive, and when all that follows had followed.

        The daemon says neither at its usual log level, so its database is asked now and then.
        """
        filed = _until(
            lambda: not self._exists("data_ingestion_log WHERE archive_path IS NULL"), seconds, every
        )
        due = ("due_products", "due_days")
        return filed, _until(lambda: not any(map(self._exists, due)), seconds, every)

    def _exists(self, which: str) -> bool:
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            return bool(connection.execute(f"SELECT EXISTS (SELECT 1 FROM {which})").fetchone()[0])

    def ask(self, query: str) -> tuple[Any, ...]:
        """The first row that a query finds."""
        with closing(sqlite3.connect(f"file:{self.database}?mode=ro", uri=True)) as connection:
            return tuple(connection.execute(query).fetchone())

    # ---- what it costs

    def cpu_seconds(self) -> float:
        """What the processors worked for all its threads so far, those included that have ended."""
        return time.clock_gettime((~self.process.pid << 3) | 2)  # what clock_getcpuclockid(3) gives on Linux

    def memory_mb(self, which: str = "VmRSS") -> float:
        """Its resident memory, or with ``VmHWM`` the most that it was, MB of 10^6 bytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith(f"{which}:"))
        return int(line.split()[1]) * 1024 / 1e6

    # ---- its life

    def listen(self) -> None:
        """Notes what it says, until it ends; a thread, because a reader who stalls loses lines."""
        assert self.process.stderr is not None
        for raw in self.process.stderr:
            at = time.perf_counter()
            line = json.loads(raw) if raw.startswith(b"{") else {"text": raw.decode(errors="replace")}
            with self._news:
                self._said.append(Said(at, line))
                if line.get("event") in ENDINGS:
                    self._outcomes.append(self._said[-1])
                self._news.notify_all()
        with self._news:
            self._ended = True
            self._news.notify_all()


def _until(condition: Callable[[], bool], seconds: float, every: float) -> float:
    deadline = time.perf_counter() + seconds
    while not condition():
        if time.perf_counter() > deadline:
            sys.exit(f"not done within {seconds:g} s")
        time.sleep(every)
    return time.perf_counter()


@contextmanager
def daemon(data_dir: Path, settings: Mapping[str, object]) -> Iterator[Daemon]:
    """Starts ``stockgrip run`` on a folder, on SQLite, without anybody's config.yaml; ends it afterwards.

    Args:
        data_dir: the data folder.
        settings: such as ``{"settle.quiet_seconds": 0}``; all others are the defaults.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    env = {name: value for name, value in os.environ.items() if not name.startswith("STOCKGRIP_")}
    env |= {"STOCKGRIP_DATA_DIR": str(data_dir), "STOCKGRIP_LOG__FORMAT": "json"}
    env |= {f"STOCKGRIP_{key.upper().replace('.', '__')}": str(value) for key, value in settings.items()}
    command = [sys.executable, "-m", "daemon", "run"]
    env["PYTHONPATH"] = str(measure.ROOT)  # it runs in a folder where there is no config.yaml
    started = time.perf_counter()
    process = subprocess.Popen(
        command, cwd=data_dir, env=env, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL
    )
    running = Daemon(data_dir, process, started)
    listener = threading.Thread(target=running.listen, daemon=True)
    listener.start()
    try:
        yield running
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        listener.join(5)
        if process.stderr is not None:
            process.stderr.close()
