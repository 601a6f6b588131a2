"""Whose fault an operating system's error is."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from daemon.errors import TransientError

PASSING = frozenset(
    {
        errno.ENOSPC,
        errno.EDQUOT,
        errno.EIO,
        errno.EROFS,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOMEM,
        errno.ESTALE,
        errno.EACCES,
        errno.EPERM,
        errno.ENOLCK,
        errno.EAGAIN,
        errno.EBUSY,
        errno.ENODEV,
        errno.ENXIO,
        errno.ENOTCONN,
        errno.EHOSTDOWN,
        errno.ETIMEDOUT,
        errno.ENOENT,
        errno.EEXIST,
        errno.ENOTDIR,
        errno.ELOOP,
        errno.EXDEV,
    }
)
"""What may be wrong with a host and gets well again; a folder that went away may come back, too."""


@contextmanager
def world() -> Iterator[None]:
    """Turns a host's troubles that pass into ``TransientError``.

    Raises:
        TransientError: the disk is full, a folder is read-only or away, …
    """
    try:
        yield
    except OSError as error:
        if error.errno in PASSING:
            place = f" ({error.filename})" if error.filename else ""
            raise TransientError(f"{error.strerror}{place}") from error
        raise
