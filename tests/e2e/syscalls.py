"""SIGKILL at a chosen system call, by strace; shared by the short test here and the whole walk in soak."""

import random
import re
import shutil
import signal
import subprocess

import pytest
from e2e.harness import Place, Process
from e2e.mix import Mix

# A question mark: not every architecture has it.
MOVES = ("?rename", "?renameat", "renameat2", "fsync", "fdatasync", "?unlink", "unlinkat", "?rmdir", "?mkdir", "mkdirat")
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
    return MOVES if place.url.startswith("sqlite") else (*MOVES, *MESSAGES)


def traced(place: Place, calls: tuple[str, ...], when: int | None = None, **settings: str) -> tuple[Process, list[str]]:
    """A drain under strace, killed as it enters the `when`-th of these calls (of its main thread, from 1).

    Returns:
        The ended process, and the calls of its main thread that strace saw.
    """
    log = place.folder / "strace.txt"
    some = ",".join(calls)
    inject = [] if when is None else ["-e", f"inject={some}:signal=SIGKILL:when={when}"]
    wrap = ("strace", "-f", "--seccomp-bpf", "-qq", "-s", "200", "-o", str(log), "-e", f"trace={some}", *inject)
    process = place.start("drain", wrap=wrap, PYTHONDONTWRITEBYTECODE="1", **settings)
    process.end()
    process.killed = when is not None
    lines = log.read_text(errors="replace").splitlines()
    main = lines[0].split()[0] if lines else ""
    return process, [line.split(maxsplit=1)[1] for line in lines if line.startswith(main) and "resumed>" not in line]


def decisive(seen: list[str]) -> list[int]:
    """Numbers of the calls around the claim, the COMMIT and the move of the first file, and just after each."""
    found = []
    for pattern in (r'^rename.*live_feeds/sales.*\.work', r'(fdatasync|sendto.*COMMIT)', r'^renameat2.*processed'):
        claims = [n for n, line in enumerate(seen, 1) if re.search(r"^rename.*live_feeds/sales.*\.work", line)]
        after = claims[0] if claims else 1
        at = next((n for n, line in enumerate(seen, 1) if n >= after and re.search(pattern, line)), None)
        if at is not None:
            found += [at, at + 1]
    return found


def killed_and_resumed(place: Place, mix: Mix, when: int, calls: tuple[str, ...]) -> bool:
    """Drops three files, kills a drain at a call, drains again; whether the first one got as far as that call."""
    names = mix.drop_three(place)
    process, seen = traced(place, calls, when)
    if process.popen.returncode != -signal.SIGKILL:
        return False
    place.drain(0, 1, log__level="debug")
    place.assert_clean()
    for name, status in names.items():
        rows = place.ledger(name)
        at = f"killed at call {when}, {seen[-1] if seen else '?'}"
        assert [row["status"] for row in rows] == [status], f"{name}: {rows}; {at}"
        assert (place.data / rows[0]["archive_path"]).exists(), at
    return True


def new_mix(seed: int) -> Mix:
    """A mix of its own."""
    return Mix(random.Random(seed))

