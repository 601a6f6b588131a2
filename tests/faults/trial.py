"""A trial of the daemon: files before, during and after a fault, and what must be true when all is well again.

Whatever the fault: no row is lost or doubled, no file is blamed, the log says it, at most one letter tells of it, and work
goes on within thirty seconds of its end. The waits between two tries are those of the default configuration, but
after two tries intake pauses, not after five: a trial need not wait for that.
"""

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2e.harness import START_SECONDS, Place, Process, put, sales, until
from support.mail import Mailbox

WITHIN = 30.0  # seconds after the end of a fault
_PRODUCTS = 500
_DUE = ("due_products", "due_days")


Begin = Callable[[Place], "Trial"]


def names_of(count: int, word: str = "f") -> list[str]:
    """Names of sales files, each a slot of its own."""
    return [f"sales_data_20250301_{word}{n:05}.csv" for n in range(count)]


@dataclass
class Trial:
    """A daemon with a mail server, what was sent to it, and how long it took to recover.

    Attributes:
        place: its folders, database and processes.
        box: what the mail server took.
        record: notes a figure of the test for the table that `make faults` prints.
        rows: of each file that was sent.
    """

    place: Place
    box: Mailbox
    record: Callable[[str, object], None]
    rows: dict[str, int] = field(default_factory=dict)
    _ended: float | None = None
    _recovered: list[float] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.place.settings |= {
            "retry__initial_seconds": "0.2",
            "retry__max_seconds": "15",
            "retry__attempts": "2",
            "alerts__mail__host": "127.0.0.1",
            "alerts__mail__port": str(self.box.port),
            "alerts__mail__security": "none",
            "alerts__mail__sender": "stockgrip@example.org",
            "alerts__mail__to": '["ops@example.org"]',
        }

    @property
    def daemon(self) -> Process:
        """The process that was started last."""
        return self.place.processes[-1]

    def run(self, **settings: Any) -> Process:
        """Starts the daemon and waits until it is ready."""
        return self.place.run(**settings)

    # ---- what is sent

    def content(self, name: str, rows: int = 5) -> bytes:
        """Noted as sent: product and revenue tell each row from every other of the trial."""
        assert name not in self.rows
        self.rows[name] = rows
        marker = name.removesuffix(".csv").rpartition("_")[2]
        lines = sales(marker, rows).splitlines(keepends=True)
        # a day's few hundred products, or what follows the delivery would take longer than the fault
        return b"".join(
            line.replace(b"%s-%d," % (marker.encode(), n), b"%s-%d," % (marker.encode(), n % _PRODUCTS))
            for n, line in enumerate(lines, -1)
        )

    def send(self, *names: str, rows: int = 5) -> None:
        """Files that appear whole."""
        for name in names:
            put(self.place.inbox, name, self.content(name, rows))

    # ---- the end of the fault

    def over(self) -> None:
        """From now on the world is well."""
        self._ended = time.monotonic()

    def wait_recovered(self, within: float = WITHIN) -> float:
        """Waits until everything that was sent is loaded, filed away and followed up; how long that took."""
        assert self._ended is not None
        begun = self._ended
        left = within - (time.monotonic() - begun)
        until(self._is_done, left, lambda: f"{self._state()}\n{self.daemon.tail()}", every=0.1)
        seconds = time.monotonic() - begun
        self._recovered.append(seconds)
        self.record("seconds", round(max(self._recovered), 1))
        self._ended = None
        return seconds

    def _is_done(self) -> bool:
        filed = self.place.scalar(
            "SELECT COUNT(*) FROM data_ingestion_log WHERE archive_path IS NOT NULL AND status = 'success'"
        )
        return filed >= len(self.rows) and not any(self._due().values()) and not self.place.claimed()

    def _due(self) -> dict[str, int]:
        return {table: self.place.scalar(f"SELECT COUNT(*) FROM {table}") for table in _DUE}

    def _state(self) -> str:
        done = self.place.rows("SELECT status, COUNT(*) FROM data_ingestion_log GROUP BY status")
        waiting, claimed = len(self.place.waiting()), len(self.place.claimed())
        return f"sent {len(self.rows)}, {done}, waiting {waiting}, claimed {claimed}, {self._due()}"

    # ---- what must be true

    def assert_unharmed(self, letters: int = 0) -> None:
        """Each row is there once, each file in its place, nothing was blamed.

        Args:
            letters: how many may have told of the fault; each is followed by one that tells of its end.
        """
        place, rows = self.place, sum(self.rows.values())
        place.assert_clean()
        assert list(place.errors.iterdir()) == []
        found = place.rows("SELECT file_name, status, records_processed FROM data_ingestion_log")
        assert sorted(found) == sorted((name, "success", count) for name, count in self.rows.items())
        assert place.scalar("SELECT COUNT(*) FROM live_sales_data") == rows
        distinct = "SELECT DISTINCT product_id, revenue FROM live_sales_data"
        assert place.scalar(f"SELECT COUNT(*) FROM ({distinct}) AS them") == rows
        assert place.scalar("SELECT SUM(rows) FROM sales_daily") == rows
        assert place.scalar("SELECT SUM(rows) FROM scope_daily WHERE scope = ''") == rows
        assert place.scalar("SELECT COUNT(*) FROM rejected_rows") == 0
        assert sorted(path.name for path in place.archived(place.processed)) == sorted(self.rows)
        told = [subject for subject in self.box.subjects if "RESOLVED" not in subject.upper()]
        self.record("letters", len(told))
        assert len(told) == letters, self.box.subjects
        assert len(self.box.letters) <= 2 * letters, self.box.subjects

    def finish(self, letters: int = 0) -> None:
        """The daemon stops when asked, and all is as it must be."""
        assert self.daemon.stop() == 0
        self.assert_unharmed(letters)


def assert_quiet(daemon: Process, event: str, most: int = 1) -> None:
    """What is wrong is said, and not again and again."""
    said = len(daemon.said(event))
    assert 1 <= said <= most, f"{event} was said {said} times:\n{daemon.tail()}"


@contextmanager
def meddled(daemon: Process, *inject: str, where: Path | None = None) -> Iterator[None]:
    """System calls of a running daemon that fail, as ``strace --inject`` says: ``fsync:error=EIO``.

    Args:
        daemon: it.
        inject: what fails, and how.
        where: only calls about this path.
    """
    calls = ",".join(each.partition(":")[0] for each in inject)
    log = daemon.log.with_name(f"meddled-{time.monotonic_ns()}.txt")
    words = ["strace", "-f", "-p", str(daemon.pid), "-o", str(log), "-e", f"trace={calls}"]
    words += [word for each in inject for word in ("-e", f"inject={each}")]
    words += ["-P", str(where)] if where is not None else []
    with log.with_suffix(".err").open("w+") as said:
        tracer = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        try:
            status = Path(f"/proc/{daemon.pid}/task")
            until(
                lambda: (
                    tracer.poll() is not None
                    or all(
                        f"TracerPid:\t{tracer.pid}" in (task / "status").read_text()
                        for task in status.iterdir()
                    )
                ),
                10,
                "traced",
            )
            assert tracer.poll() is None, log.with_suffix(".err").read_text()
            yield
        finally:
            tracer.terminate()
            tracer.wait(10)


class Keeper:
    """Starts the daemon again whenever it ends by itself, a second later, as systemd does (`Restart=always`)."""

    def __init__(self, trial: Trial, start: Callable[[], Process]) -> None:
        self._trial = trial
        self._start = start
        self.statuses: list[int] = []

    def tend(self) -> None:
        """Looks after it; to be called again and again."""
        daemon = self._trial.daemon
        if not daemon.alive:
            self.statuses.append(daemon.popen.returncode)
            daemon.killed = True  # its last line may be cut
            time.sleep(1)
            self._start()

    def until(self, condition: Callable[[], Any], seconds: float, what: str) -> None:
        """Waits for something, looking after the daemon meanwhile."""

        def look() -> Any:
            self.tend()
            return condition()

        until(look, seconds, lambda: f"{what}\n{self._trial.daemon.tail()}", every=0.1)


__all__ = ["START_SECONDS", "WITHIN", "Keeper", "Trial", "assert_quiet", "meddled", "names_of"]
