"""What tests do to the host: small filesystems, folders that nobody may write, the kernel's own events."""

import contextlib
import ctypes
import os
import select
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest


def need_root(why: str) -> None:
    """Skips without root."""
    if os.geteuid() != 0:
        pytest.skip(f"needs root: {why}")


@contextlib.contextmanager
def tmpfs(folder: Path, size: str) -> Iterator[Path]:
    """A small filesystem of its own, mounted on a folder."""
    need_root("a filesystem of its own is mounted")
    folder.mkdir(parents=True, exist_ok=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0755", "tmpfs", folder],
        capture_output=True,
        check=False,
    )
    if mounted.returncode:
        pytest.skip(f"mount is not allowed here: {mounted.stderr.decode().strip()}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def fill(folder: Path, leave: int = 0) -> Path:
    """Takes all the room of a filesystem but some bytes; unlink the file to give it back."""
    ballast = folder / ".ballast"
    with ballast.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            while True:
                file.write(bytes(4096))
        if leave:
            os.truncate(ballast, max(0, file.tell() - leave))
    return ballast


@contextlib.contextmanager
def immutable(folder: Path) -> Iterator[None]:
    """A folder in which nobody, root included, can make or rename anything."""
    need_root("chattr +i")
    done = subprocess.run(["chattr", "+i", folder], capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"chattr +i is not to be had here: {done.stderr.decode().strip()}")
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", folder], check=True)


class FolderEvents:
    """The kernel's own word on when something is made in or moved out of a folder: to act within microseconds."""

    MOVED_FROM, MOVED_TO, CREATE, DELETE = 0x40, 0x80, 0x100, 0x200

    def __init__(self, folder: Path, mask: int) -> None:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        if self._fd < 0 or libc.inotify_add_watch(self._fd, os.fsencode(folder), mask) < 0:
            raise OSError(ctypes.get_errno(), "inotify")

    def wait(self, seconds: float) -> bool:
        """Whether something happened in time."""
        return bool(select.select([self._fd], [], [], seconds)[0])

    def take(self) -> None:
        """Forgets what happened so far."""
        with contextlib.suppress(BlockingIOError):
            os.read(self._fd, 1 << 16)

    def close(self) -> None:
        """Lets go."""
        os.close(self._fd)
