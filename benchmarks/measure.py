"""Run a program and say what it took: wall seconds and peak memory, as the kernel counted them.

A child starts with the memory peak of the process that forked it. So the programs here import nothing big themselves:
whatever needs pandas or pyarrow runs in a child.
"""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / "build"
"""Scratch space of the benchmarks: on a disk, out of version control, safe to delete."""


@dataclass(frozen=True)
class Finished:
    """What a child process took.

    Attributes:
        seconds: wall time from its start to its end.
        peak_mb: its peak resident memory (threads included, its own children not), MB of 10^6 bytes.
        status: exit status; negative is a signal.
    """

    seconds: float
    peak_mb: float
    status: int


def run(
    command: Sequence[str | Path], *, log: Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> Finished:
    """Run a program to its end.

    Args:
        command: the program and its arguments.
        log: the file that gets what it prints.
        cwd: the folder it runs in.
        env: settings on top of this process's environment.

    Returns:
        What it took, whatever its exit status.
    """
    with log.open("wb") as output:
        started = time.perf_counter()
        child = subprocess.Popen(
            command, cwd=cwd, env={**os.environ, **(env or {})}, stdout=output, stderr=subprocess.STDOUT
        )
        _, state, usage = os.wait4(child.pid, 0)
        seconds = time.perf_counter() - started
    child.returncode = os.waitstatus_to_exitcode(state)  # wait4 took it away from subprocess
    return Finished(seconds, usage.ru_maxrss * 1024 / 1e6, child.returncode)


def must_run(command: Sequence[str | Path], *, log: Path, cwd: Path = ROOT) -> Finished:
    """Run a program whose failure ends the benchmark, with the end of what it printed."""
    finished = run(command, log=log, cwd=cwd)
    if finished.status != 0:
        stop(f"{' '.join(map(str, command))} ended with status {finished.status}", log)
    return finished


def stop(message: str, log: Path) -> None:
    """End the benchmark with a message and the last lines of a log."""
    tail = log.read_text(errors="backslashreplace").splitlines()[-15:]
    sys.exit("\n".join([message, f"the end of {log}:", *tail]))


def drain(data_dir: Path, database: str, *, log: Path, env: Mapping[str, str] | None = None) -> Finished:
    """Run ``stockgrip drain`` on a data folder, with the defaults and without anybody's config.yaml.

    Args:
        data_dir: the folder that holds ``live_feeds/``.
        database: URL of the database.
        log: the file that gets what it prints.
        env: further settings.

    Returns:
        What it took. Status 1 (something was rejected) is the caller's to judge; a higher one ends the benchmark.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    program = Path(sys.executable).with_name("stockgrip")  # the one installed beside this Python
    settings = {"STOCKGRIP_DATA_DIR": str(data_dir), "STOCKGRIP_DATABASE__URL": database, **(env or {})}
    finished = run([program, "drain"], log=log, cwd=data_dir, env=settings)
    if finished.status not in {0, 1}:
        stop(f"stockgrip drain ended with status {finished.status}", log)
    return finished


@contextmanager
def workspace(keep: Path | None = None) -> Iterator[Path]:
    """A folder for one run under `BUILD`, gone afterwards; or the caller's own new folder, which stays."""
    if keep is not None:
        keep.mkdir(parents=True)
        yield keep.resolve()
        return
    BUILD.mkdir(exist_ok=True)
    with TemporaryDirectory(dir=BUILD, prefix="run-") as folder:
        yield Path(folder)
