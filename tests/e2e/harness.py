"""The program as real processes on a real folder and a real database, and conditions to wait for.

A `Place` is a data folder with a database. It starts processes, keeps what they say, and at the end of a test looks
through all of it: every line of every log must be a JSON object of a known event.
"""

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from sqlalchemy import Engine, create_engine, text
from support.process import clean_environment, command

from daemon.events import Event
from daemon.logs import MAX_LINE_BYTES

T = TypeVar("T")
Line = dict[str, Any]

EVENTS = frozenset(str(event) for event in Event)
DEFECT = "delivery_failed"  # an error that the program has no name for
PRESENCE = "present.lock"  # in .work/ since the first start: who works there shares its lock
START_SECONDS = 30.0  # two cores, many tests at once


def until(
    condition: Callable[[], T], seconds: float = 30.0, what: str | Callable[[], str] = "", every: float = 0.02
) -> T:
    """Waits until a condition holds, and returns what it gave.

    Raises:
        AssertionError: it did not hold in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        found = condition()
        if found:
            return found
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds:g} s: {what() if callable(what) else what}")
        time.sleep(every)


@dataclass
class Process:
    """A started `stockgrip`, and what it says on stderr."""

    popen: subprocess.Popen[bytes]
    log: Path
    out: Path
    what: str
    expects_defect: bool = False
    killed: bool = False

    @property
    def pid(self) -> int:
        """Its id."""
        return self.popen.pid

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        return self.popen.poll() is None

    def said(self, event: str | None = None, **fields: Any) -> list[Line]:
        """The lines of its log so far that are whole; only those of an event, and with these fields."""
        whole = self.log.read_bytes().rpartition(b"\n")[0]
        lines = [json.loads(line) for line in whole.split(b"\n") if line.startswith(b"{")]
        return [line for line in lines if _fits(line, event, fields)]

    def wait_said(self, event: str, seconds: float = 30.0, **fields: Any) -> Line:
        """The first such line, as soon as it is there."""

        def look() -> list[Line]:
            found = self.said(event, **fields)
            assert found or self.alive, f"{self} ended with {self.popen.returncode}; its log:\n{self.tail()}"
            return found

        return until(look, seconds, lambda: f"{event} {fields}; its log:\n{self.tail()}")[0]

    def end(self, seconds: float = 60.0) -> int:
        """Waits for its end and returns its exit status."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise AssertionError(
                f"{self} did not end within {seconds:g} s; its log:\n{self.tail()}"
            ) from None

    def stop(self, seconds: float = 20.0) -> int:
        """Asks it to stop and returns its exit status."""
        self.popen.send_signal(signal.SIGTERM)
        return self.end(seconds)

    def kill(self) -> None:
        """SIGKILL."""
        self.killed = True
        if self.alive:
            self.popen.kill()
        self.popen.wait()

    def result(self) -> dict[str, int]:
        """What `drain --json` printed."""
        return json.loads(self.out.read_text())

    def tail(self, most: int = 25) -> str:
        """The last lines of its log, for messages."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-most:])

    def check_log(self) -> None:
        """Every line is one JSON object of a known event, short enough; no unknown error came up."""
        *lines, rest = self._json_part().split(b"\n")
        assert self.killed or not rest, f"{self}: the last line of the log does not end: {rest[:200]!r}"
        for line in lines:
            assert len(line) < MAX_LINE_BYTES
            assert line.startswith(b"{"), f"{self}: not JSON: {line!r}\n{self.tail()}"
            found = json.loads(line)
            assert {"timestamp", "level", "event"} <= found.keys(), line
            assert found["event"] in EVENTS, line
            assert self.expects_defect or found["event"] != DEFECT, f"{self}: {line.decode()}"

    def _json_part(self) -> bytes:
        """The log without the sentence for people that a command says when it ends with status 69 or 78."""
        lines, sentence = [], False
        for line in self.log.read_bytes().splitlines(keepends=True):
            sentence = line.startswith(b"stockgrip: ") or (sentence and not line.startswith(b"{"))
            assert not sentence or self.popen.returncode in (69, 78), f"{self}:\n{self.tail()}"
            if not sentence:
                lines.append(line)
        return b"".join(lines)

    def __str__(self) -> str:
        return f"{self.what} (pid {self.pid})"


def _fits(line: Line, event: str | None, fields: dict[str, Any]) -> bool:
    if event is not None and line["event"] != event:
        return False
    return all(line.get(name) == value for name, value in fields.items())


@dataclass
class Place:
    """A data folder with a database, and the processes on it."""

    folder: Path
    url: str
    settings: dict[str, str] = field(default_factory=dict)
    processes: list[Process] = field(default_factory=list)
    _engine: Engine | None = None

    def __post_init__(self) -> None:
        for folder in (self.inbox, self.work, self.processed, self.errors):
            folder.mkdir(parents=True, exist_ok=True)

    @property
    def data(self) -> Path:
        """The data folder."""
        return self.folder / "data"

    @property
    def inbox(self) -> Path:
        """Where files are dropped."""
        return self.data / "live_feeds"

    @property
    def work(self) -> Path:
        """Claims."""
        return self.data / ".work"

    @property
    def processed(self) -> Path:
        """Loaded files."""
        return self.data / "processed"

    @property
    def errors(self) -> Path:
        """Refused files."""
        return self.data / "errors"

    # ---- processes

    def environment(self, **settings: Any) -> dict[str, str]:
        """The environment of a process; `settle__quiet_seconds=1` is a setting, capitals are variables of any kind."""
        given = {
            "data_dir": str(self.data),
            "database__url": self.url,
            "log__format": "json",
            "log__level": "debug",
            "settle__quiet_seconds": "0",
            "settle__grace_seconds": "0",
            "retry__initial_seconds": "0.05",
            "retry__max_seconds": "0.5",
            **self.settings,
            **{name: str(value) for name, value in settings.items()},
        }
        return clean_environment(
            **{
                name if name.isupper() else f"STOCKGRIP_{name.upper()}": value
                for name, value in given.items()
            }
        )

    def start(self, *arguments: str, wrap: tuple[str, ...] = (), **settings: Any) -> Process:
        """Starts `stockgrip ARGUMENTS…`, with a program such as strace around it if need be."""
        number = len(self.processes)
        env = self.environment(**settings)
        if wrap:  # measuring coverage means files and rights of its own
            env = {name: value for name, value in env.items() if not name.startswith("COVERAGE_")}
        log, out = self.folder / f"log-{number}.jsonl", self.folder / f"out-{number}.txt"
        with log.open("wb") as stderr, out.open("wb") as stdout:
            popen = subprocess.Popen(
                [*wrap, *command(*arguments)],
                env=env,
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
            )
        process = Process(popen, log, out, " ".join(arguments))
        self.processes.append(process)
        return process

    def run(self, *, wrap: tuple[str, ...] = (), **settings: Any) -> Process:
        """Starts the daemon, and waits until it is ready."""
        process = self.start("run", wrap=wrap, **settings)
        process.wait_said("daemon_ready", START_SECONDS)
        return process

    def drain(self, *expected: int, seconds: float = 60.0, **settings: Any) -> Process:
        """Drains, and holds its exit status against those expected (by default 0 or 1)."""
        process = self.start("drain", "--json", **settings)
        status = process.end(seconds)
        assert status in (expected or (0, 1)), f"{process} ended with {status}:\n{process.tail()}"
        return process

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends what still runs, and looks through all logs."""
        for process in self.processes:
            if process.alive:
                process.kill()
        if self._engine is not None:
            self._engine.dispose()
        for process in self.processes:
            process.check_log()

    # ---- what is there

    @property
    def engine(self) -> Engine:
        """An engine of the test's own."""
        if self._engine is None:
            self._engine = create_engine(self.url, pool_pre_ping=True)  # tests stop servers
        return self._engine

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """What a query gives."""
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(sql))]

    def scalar(self, sql: str) -> Any:
        """The one value of a query."""
        return self.rows(sql)[0][0]

    def ledger(self, name: str | None = None) -> list[dict[str, Any]]:
        """Rows of the ledger, oldest first; only those of a file name."""
        with self.engine.connect() as connection:
            found = connection.execute(text("SELECT * FROM data_ingestion_log ORDER BY id")).mappings()
            return [dict(row) for row in found if name in (None, row["file_name"])]

    def waiting(self) -> list[str]:
        """What lies in the inbox."""
        return sorted(os.listdir(self.inbox))

    def claimed(self) -> list[str]:
        """Files that are claimed."""
        found = sorted(name for _, _, names in os.walk(self.work) for name in names)
        return [name for name in found if name != PRESENCE]

    def archived(self, folder: Path) -> list[Path]:
        """The delivered files below a folder, without what the program wrote beside them."""
        ours = (".reason.txt", ".rejects.csv", ".tmp")
        return sorted(path for path in folder.rglob("*") if path.is_file() and not path.name.endswith(ours))

    def loaded(self, name: str) -> bool:
        """Whether a file was loaded and filed away."""
        rows = self.ledger(name)
        return any(row["status"] in ("success", "partial") and row["archive_path"] for row in rows)

    def wait_loaded(self, *names: str, seconds: float = 30.0) -> None:
        """Waits until files are loaded and filed away."""
        missing = list(names)

        def all_loaded() -> bool:
            missing[:] = [name for name in missing if not self.loaded(name)]
            return not missing

        until(all_loaded, seconds, lambda: f"{missing} loaded; the log:\n{self.processes[-1].tail()}")

    def assert_clean(self) -> None:
        """Nothing is left in the inbox or claimed."""
        assert self.waiting() == []
        assert self.claimed() == []
        assert [path.name for path in self.work.iterdir()] in ([], [PRESENCE])


def sales(
    marker: str, rows: int = 3, *, day: str = "2025-03-01", bad: int = 0, products: int = 1 << 30
) -> bytes:
    """A sales file; product ids carry the marker and the line, and so are found again; at most so many products."""
    lines = ["date,product_id,channel,quantity_sold,revenue,location"]
    lines += [
        f"{day}T10:00:{n % 60:02d},{marker}-{n % products},online,{1 + n % 4},{n + 1}.25,shop-{n % 2}"
        for n in range(rows)
    ]
    lines += [f"{day}T11:00:00,{marker}-bad-{n},online,0,1.00,shop-0" for n in range(bad)]
    return "".join(f"{line}\n" for line in lines).encode()


def put(folder: Path, name: str, content: bytes) -> Path:
    """A file that appears whole, by a rename from beside the folder."""
    aside = folder.parent / f"upload-{os.getpid()}-{name}"
    aside.write_bytes(content)
    return aside.rename(folder / name)
