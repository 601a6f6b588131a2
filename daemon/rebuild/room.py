"""A folder for a while: removed at the end, and by the next one if its owner died."""

import contextlib
import fcntl
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

_PREFIX = "rebuild-"
_YOUNG = 60.0  # seconds: a folder is made before it is locked


@contextlib.contextmanager
def room(parent: Path) -> Iterator[Path]:
    """A new folder below ``parent``, which must be there.

    Raises:
        OSError: it cannot be made.
    """
    _clear(parent)
    # named before it is made, so that a signal in between leaves nothing
    folder = parent / f"{_PREFIX}{secrets.token_hex(8)}"
    lock: int | None = None
    try:
        folder.mkdir(mode=0o700)
        lock = _open(folder)
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def _clear(parent: Path) -> None:
    """Removes what dead processes left."""
    for left in parent.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # another's, or going away just now
            if time.time() - left.stat().st_mtime < _YOUNG:
                continue
            lock = _open(left)
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(left)
            finally:
                os.close(lock)


def _open(folder: Path) -> int:
    return os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
