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
        TransientError: the disk is full, a folder is read-only or away, there is no memory left, …
    """
    try:
        yield
    except OSError as error:
        if error.errno in PASSING:
            place = f" ({error.filename})" if error.filename else ""
            raise TransientError(f"{error.strerror}{place}") from error
        raise
    except Exception as error:
        why = _lacking(error)
        if why:
            raise TransientError(why) from error
        raise


def _lacking(error: Exception) -> str:
    """What a host, or a limit of the process, does not grant, as far as an error without a number tells; else ""."""
    said = (str(error).splitlines() or [""])[0][:300]
    if isinstance(error, MemoryError):
        return f"not enough memory: {said}" if said else "not enough memory"
    if isinstance(error, RuntimeError) and "can't start new thread" in said:
        return "not enough memory, or too many threads: no thread can be started"
    # some libraries are loaded when they are first needed; without memory, or with too many open files, they cannot be
    if isinstance(error, ImportError) or "[Driver Manager] Could not load" in said:
        return f"a library cannot be loaded (too little memory, too many open files, a broken installation): {said}"
    return ""
