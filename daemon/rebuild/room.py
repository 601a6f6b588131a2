"""A folder for a while: removed at the end, and by the next one if its owner died."""

import contextlib
import fcntl
import os
import shutil
import tempfile
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
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
    lock = _open(folder)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
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
