"""Who works on a data folder: each process shares a lock for as long as it does, so that a restore can be alone.

It keeps no second daemon out (docs/adr/0010), and the kernel gives it back when a process dies.
"""

import contextlib
import fcntl
import os
from collections.abc import Iterator

from daemon.errors import ConfigError
from daemon.files import Folders

_NAME = "present.lock"


@contextlib.contextmanager
def present(folders: Folders) -> Iterator[None]:
    """We work on the folder."""
    with _held(folders, fcntl.LOCK_SH):
        yield


@contextlib.contextmanager
def alone(folders: Folders) -> Iterator[None]:
    """Nobody but us does.

    Raises:
        ConfigError: somebody does.
    """
    with _held(folders, fcntl.LOCK_EX | fcntl.LOCK_NB):
        yield


@contextlib.contextmanager
def _held(folders: Folders, how: int) -> Iterator[None]:
    folders.work.mkdir(parents=True, exist_ok=True)
    fd = os.open(folders.work / _NAME, os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC, 0o660)
    try:
        try:
            fcntl.flock(fd, how)
        except BlockingIOError:
            raise ConfigError(
                f"a daemon or a drain works on {folders.data_dir}: stop it first (systemctl stop stockgrip)"
            ) from None
        yield
    finally:
        os.close(fd)
