"""SIGKILL at a chosen system call, by strace; shared by the short test here and the whole walk in soak."""

import random
import re
import shutil
import signal
import subprocess
from collections import Counter
from dataclasses import dataclass
from itertools import pairwise

import pytest

from e2e.harness import Place, Process
from e2e.mix import Mix

# A question mark: not every architecture has it.
MOVES = (
    "?rename",
    "?renameat",
    "renameat2",
    "fsync",
    "fdatasync",
    "?unlink",
    "unlinkat",
    "?rmdir",
    "?mkdir",
    "mkdirat",
)
WRITES = ("pwrite64",)  # SQLite's pages; the last one before a sync commits, as far as a killed process goes
MESSAGES = ("sendto", "recvfrom")  # to and from PostgreSQL


def need_strace() -> None:
    """Skips where a process cannot be traced."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed; run: apt-get install --no-install-recommends strace")
    tried = subprocess.run(["strace", "-f", "-o", "/dev/null", "true"], capture_output=True, check=False)
    if tried.returncode:
        pytest.skip(f"tracing is not allowed here: {tried.stderr.decode().strip()}")


def calls_of(place: Place) -> tuple[str, ...]:
    """The system calls at which it matters to die."""
    return (*MOVES, *(WRITES if place.url.startswith("sqlite") else MESSAGES))


@dataclass(frozen=True)
class Call:
    """A system call of a drain: which one, and the how many-th of its name (strace counts each name by itself)."""

    name: str
    number: int
    text: str

    def __str__(self) -> str:
        return f"{self.name} {self.number}: {self.text}"


def traced(
    place: Place, calls: tuple[str, ...], kill: Call | None = None, command: tuple[str, ...] = ("drain",)
) -> tuple[Process, list[Call]]:
    """A command under strace, killed as it enters one of these calls.

    Returns:
        The ended process, and the calls of its main thread that strace saw.
    """
    place.engine.dispose()  # or SQLite would keep its files, and the calls would not be the same each time
    log = place.folder / "strace.txt"
    inject = [] if kill is None else ["-e", f"inject={kill.name}:signal=SIGKILL:when={kill.number}"]
    wrap = ("strace", "-f", "-qq", "-s", "200", "-o", str(log), "-e", f"trace={','.join(calls)}")
    process = place.start(*command, wrap=(*wrap, *inject), PYTHONDONTWRITEBYTECODE="1")
    process.end()
    process.killed = kill is not None
    lines = [line.split(maxsplit=1) for line in log.read_text(errors="replace").splitlines()]
    seen: list[Call] = []
    counts: Counter[str] = Counter()
    for thread, text in lines:
        found = re.match(r"(\w+)\(", text)
        if thread == lines[0][0] and found:
            counts[found[1]] += 1
            seen.append(Call(found[1], counts[found[1]], text))
    return process, seen


def decisive(seen: list[Call]) -> list[Call]:
    """Of the first file: just after its claim, just before and after its COMMIT, just after its move."""

    def first(pattern: str, begin: int = 0) -> int:
        return next(n for n, call in enumerate(seen) if n >= begin and re.match(pattern, call.text))

    claim = first(r"rename.*live_feeds/sales.*\.work")
    move = first(r"renameat2.*processed", claim)
    commit = [n for n in commits(seen) if claim < n < move][-1]
    return [seen[n] for n in (claim + 1, commit, commit + 1, move + 1)]


def commits(seen: list[Call]) -> list[int]:
    """Where a transaction is committed: the last write before a sync, or the message that says so."""
    return [
        n
        for n, (call, following) in enumerate(pairwise(seen))
        if (call.name == "pwrite64" and following.name == "fdatasync")
        or re.match(r"sendto.*COMMIT", call.text)
    ]


def worth_dying_at(seen: list[Call]) -> list[Call]:
    """All calls but the writes in the middle of a transaction."""
    last = set(commits(seen))
    return [call for n, call in enumerate(seen) if call.name != "pwrite64" or n in last]


def killed_and_resumed(place: Place, mix: Mix, kill: Call, calls: tuple[str, ...]) -> bool:
    """Drops three files, kills a drain at a call, drains again; whether the first one got as far as that call."""
    names = mix.drop_three(place)
    process, _ = traced(place, calls, kill)
    if process.popen.returncode != -signal.SIGKILL:
        return False
    place.drain(0, 1)
    place.assert_clean()
    for name, status in names.items():
        rows = place.ledger(name)
        assert [row["status"] for row in rows] == [status], f"{name}: {rows}; killed at {kill}"
        assert (place.data / rows[0]["archive_path"]).exists(), f"killed at {kill}"
    return True


def new_mix(seed: int) -> Mix:
    """A mix of its own."""
    return Mix(random.Random(seed))
