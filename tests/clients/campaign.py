"""What is done with each client: a whole upload, a slow one, a stalled one, and two that are cut off."""

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from e2e.harness import Process, until

from clients.line import Line
from clients.servers import Grounds
from clients.ways import Job, Way

ROWS = 2_000
_SLOW, _BRISK = 0.30, 0.5  # the file in a second: the one takes about 3.3 s, the other 2
_CUT_AT = 0.3
_AT_ONCE = 5  # clients
_NOW_AND_THEN = 0.1  # seconds between two questions, of each of them


def feed_file(marker: str) -> bytes:
    """A file that takes its time on a line, but little to load; its lines are long, so that a cut is within one."""
    lines = ["date,product_id,channel,quantity_sold,revenue,location,note"]
    lines += [
        f"2025-03-01T10:00:{n % 60:02d},{marker}-{n % 20},online,{1 + n % 4},{n + 1}.25,shop-1,{'x' * 330}"
        for n in range(ROWS)
    ]
    return "".join(f"{line}\n" for line in lines).encode()


@dataclass
class Sent:
    """What became of one file.

    Attributes:
        seconds: from the client's end to loaded and filed.
        statuses: of its deliveries, in order.
        rows: of it in the database.
        taken_after: of one that was cut: seconds from its last change until it was taken; None: it was not.
        was: what lay in the inbox when it was cut.
        broken: whether it ended within a line.
        closed: whether the daemon might not read it.
        wrong: what did not go as it should.
    """

    way: str
    name: str
    seconds: float | None = None
    statuses: list[str] = field(default_factory=list)
    rows: int = 0
    taken_after: float | None = None
    was: list[str] = field(default_factory=list)
    broken: bool = True
    closed: bool = False
    wrong: str = ""


@dataclass
class Campaign:
    """A daemon, servers, and files that are sent to them by several clients at once.

    Attributes:
        at: the grounds.
        daemon: the process that watches.
        ports: of the servers: ``sftp``, ``shell``, ``smb``.
        quiet: the daemon's quiet period, in seconds.
        grace: its grace period.
    """

    at: Grounds
    daemon: Process
    ports: dict[str, int]
    quiet: float
    grace: float

    def run(self, scenario: str, ways: Sequence[Way]) -> dict[str, Sent]:
        """Does one thing with each client, some at once; by the way's name."""
        work: Callable[[Way, Sent, Path], None] = getattr(self, f"_{scenario}")

        def one(numbered: tuple[int, Way]) -> Sent:
            number, way = numbered
            name = f"sales_data_20250301_{scenario}-{number}.csv"
            sent, source = Sent(way.name, name), self.at.folder / name
            source.write_bytes(feed_file(_marker(name)))
            source.chmod(0o640)
            try:
                work(way, sent, source)
            except AssertionError as error:
                log = self.at.folder / f"{name}.client.log"
                sent.wrong = f"{error}\n{log.read_text(errors='replace')[-500:] if log.exists() else ''}"
            sent.statuses, sent.rows = self._statuses(name), self._rows(name)
            return sent

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            return {sent.way: sent for sent in pool.map(one, enumerate(ways))}

    # ---- what is done

    def _complete(self, way: Way, sent: Sent, source: Path) -> None:
        """As fast as it goes."""
        client = way.start(Job(self.at, self.ports[way.server], source))
        assert client.wait(60) == 0, "the client failed"
        sent.seconds = self._seconds_to_load(sent.name)

    def _slow(self, way: Way, sent: Sent, source: Path) -> None:
        """It takes longer than the quiet period."""
        with self._line(way, source, _SLOW) as line:
            client = way.start(Job(self.at, line.port, source))
            assert client.wait(60) == 0, "the client failed"
            assert self._statuses(sent.name) == [], "taken before it was whole"
            sent.seconds = self._seconds_to_load(sent.name)

    def _stalled(self, way: Way, sent: Sent, source: Path) -> None:
        """Nothing comes for longer than the quiet period, but less than the grace period."""
        with self._line(way, source, _BRISK) as line:
            client = way.start(Job(self.at, line.port, source))
            self._until_part_is_there(sent, source)
            line.stalled.set()
            self._stays((self.quiet + self.grace) / 2, sent)
            line.stalled.clear()
            assert client.wait(60) == 0, "the client failed"
            sent.seconds = self._seconds_to_load(sent.name)

    def _resumed(self, way: Way, sent: Sent, source: Path) -> None:
        """Cut off, and resumed within the grace period."""
        self._cut_off(way, sent, source)
        self._stays((self.quiet + self.grace) / 2, sent)
        client = way.start(Job(self.at, self.ports[way.server], source, resumed=True))
        assert client.wait(60) == 0, "the client that went on failed"
        sent.seconds = self._seconds_to_load(sent.name)

    def _late(self, way: Way, sent: Sent, source: Path) -> None:
        """Cut off, taken as it is after the grace period if it has its name, and then sent again as a whole."""
        cut = self._cut_off(way, sent, source)
        if sent.name in sent.was and not sent.closed:
            until(
                lambda: self._is_done(sent.name),
                self.grace + 20,
                "the cut file is taken",
                every=_NOW_AND_THEN,
            )
            sent.taken_after = self._arrived(sent.name) - cut
            if sent.broken:
                assert sent.taken_after > self.grace - 0.3, f"a cut file taken after {sent.taken_after:.1f} s"
        else:
            self._stays(self.grace + self.quiet, sent)
        client = way.start(Job(self.at, self.ports[way.server], source))
        assert client.wait(60) == 0, "the client that sent it again failed"
        ended, before = time.monotonic(), len(self._statuses(sent.name))
        until(
            lambda: self._is_done(sent.name) and self._rows(sent.name) == ROWS,
            30,
            "all rows are there",
            every=_NOW_AND_THEN,
        )
        sent.seconds = time.monotonic() - ended
        assert len(self._statuses(sent.name)) - before <= 1

    def _broken(self, way: Way, sent: Sent, source: Path) -> None:
        """Cut off, said so by the server, and resumed long after the grace period."""
        self._cut_off(way, sent, source)
        self.daemon.wait_said("delivery_waiting", 20, file=sent.name, reason="broken_off")
        sent.broken = True  # wherever it was cut
        self._stays(self.grace + 2 * self.quiet, sent)
        client = way.start(Job(self.at, self.ports[way.server], source, resumed=True))
        assert client.wait(60) == 0, "the client that went on failed"
        sent.seconds = self._seconds_to_load(sent.name)

    # ---- pieces of it

    @contextlib.contextmanager
    def _line(self, way: Way, source: Path, share: float) -> Iterator[Line]:
        with Line(self.ports[way.server]) as line:
            line.rate = int(source.stat().st_size * share)
            yield line

    def _cut_off(self, way: Way, sent: Sent, source: Path) -> float:
        """The line goes dead in the middle, and the client with it; when the file was last changed, by the wall clock."""
        with self._line(way, source, _BRISK) as line:
            client = way.start(Job(self.at, line.port, source))
            self._until_part_is_there(sent, source)
            line.close()
            client.kill()
            client.wait()
        until(lambda: not self._is_open(sent.name), 20, "the server lets go of the file", every=_NOW_AND_THEN)
        there = self._files(sent.name)
        sent.was = [path.relative_to(self.at.place.inbox).as_posix() for path in there]
        content = there[0].read_bytes() if there else b""
        assert len(content) < source.stat().st_size, "it was not cut"
        sent.closed = bool(there) and not there[0].stat().st_mode & 0o040
        sent.broken = not content.endswith(b"\n")
        return max((path.stat().st_ctime for path in there), default=time.time())

    def _until_part_is_there(self, sent: Sent, source: Path) -> None:
        enough = source.stat().st_size * _CUT_AT

        def is_there() -> bool:
            return any(_size(path) > enough for path in self._files(sent.name))

        until(is_there, 60, "a part of the file is there")

    def _files(self, name: str) -> list[Path]:
        """What lies in the inbox of a file, under whatever name."""
        return [path for path in self.at.place.inbox.rglob(f"*{name}*") if path.is_file()]

    def _is_open(self, name: str) -> bool:
        """Whether a process has it open; only root may see that of others."""
        for link in Path("/proc").glob("[0-9]*/fd/*"):
            with contextlib.suppress(OSError):
                target = link.readlink()
                if name in target.name and "live_feeds" in target.parts:
                    return True
        return False

    def _stays(self, seconds: float, sent: Sent) -> None:
        """For so long it is not taken."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            time.sleep(0.1)
            claimed = self._statuses(sent.name) or self.daemon.said("delivery_claimed", file=sent.name)
            assert not claimed or not sent.broken, f"taken {end - time.monotonic():.1f} s too early"

    def _seconds_to_load(self, name: str) -> float:
        begun = time.monotonic()
        until(lambda: self._is_done(name), 30, "it is loaded", every=_NOW_AND_THEN)
        return time.monotonic() - begun

    # ---- what the database says; connections of one's own, for many threads ask

    def _ask(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        with contextlib.closing(
            sqlite3.connect(self.at.place.url.removeprefix("sqlite:///"), timeout=20)
        ) as connection:
            return connection.execute(sql, values).fetchall()

    def _statuses(self, name: str) -> list[str]:
        return [
            str(row[0])
            for row in self._ask(
                "SELECT status FROM data_ingestion_log WHERE file_name = ? ORDER BY id", name
            )
        ]

    def _is_done(self, name: str) -> bool:
        rows = self._ask("SELECT archive_path FROM data_ingestion_log WHERE file_name = ?", name)
        return bool(rows) and all(row[0] for row in rows)

    def _arrived(self, name: str) -> float:
        at = self._ask("SELECT timestamp FROM data_ingestion_log WHERE file_name = ? ORDER BY id", name)[0][0]
        return datetime.fromisoformat(str(at)).replace(tzinfo=UTC).timestamp()

    def _rows(self, name: str) -> int:
        marker = _marker(name)
        return int(
            str(
                self._ask("SELECT COUNT(*) FROM live_sales_data WHERE product_id GLOB ?", f"{marker}-*")[0][0]
            )
        )


def _marker(name: str) -> str:
    return name.removeprefix("sales_data_20250301_").removesuffix(".csv").upper()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
