"""Run a program and say what it took: wall seconds, processor seconds and peak memory, as the kernel counted them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
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
        cpu_seconds: what the processors worked for it, in its own code and in the kernel.
        work_seconds: of the wall time, what the work took without the program's start; None if it does not say.
        after: what came after the end of the time that counts, seconds from the same beginning.
    """

    seconds: float
    peak_mb: float
    status: int
    cpu_seconds: float = 0.0
    work_seconds: float | None = None
    after: Mapping[str, float] = field(default_factory=dict)


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
    told, tell = os.pipe()
    launcher = [sys.executable, "-I", "-S", str(ROOT / "benchmarks" / "launch.py"), str(tell)]
    try:
        with log.open("wb") as output:
            launched = subprocess.Popen(
                [*launcher, *map(str, command)],
                cwd=cwd,
                env={**os.environ, **(env or {})},
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                pass_fds=[tell],
                process_group=0,
            )
            try:
                launched.wait()
            except BaseException:  # nobody waits any more: end the program too, not only who waits for it
                os.killpg(launched.pid, signal.SIGKILL)
                launched.wait()
                raise
        if launched.returncode != 0:
            stop(f"{command[0]} could not be started", log)
        return Finished(**json.loads(os.read(told, 4096)))
    finally:
        os.close(told)
        os.close(tell)


def must_run(
    command: Sequence[str | Path], *, log: Path, cwd: Path = ROOT, env: Mapping[str, str] | None = None
) -> Finished:
    """Run a program whose failure ends the benchmark, with the end of what it printed."""
    finished = run(command, log=log, cwd=cwd, env=env)
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
