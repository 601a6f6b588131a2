"""What one look into a file tells: who writes it, how it ends, how many lines it has; and whether a manifest is whole."""

import errno
import fcntl
import os
import signal
from pathlib import Path
from typing import Literal

from handlers.errors import FileError
from handlers.manifest import LONGEST, Manifest, parse
from handlers.reasons import FileReason

Tail = Literal["no_final_newline", "nul_tail"]
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CHUNK = 1 << 20


def open_to_look(path: Path) -> int:
    """A descriptor; never follows a link, never waits for a pipe."""
    return os.open(path, _FLAGS)


def has_writer(fd: int) -> bool | None:
    """Whether a process of this host has the file open for writing; None if that cannot be told.

    A read lease is refused while there is a writer. It is given back at once; should a writer come in between, the
    kernel sends a signal, which is made one that is ignored by default.
    """
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
    except BlockingIOError:
        return True
    except OSError:
        return None
    fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    return False


def tail_of(fd: int, name: str) -> Tail | None:
    """What the end of a plain file lacks; a compressed one tells by itself whether it is whole."""
    if not name.endswith(".csv"):
        return None
    size = os.fstat(fd).st_size
    end = os.pread(fd, 2, max(0, size - 2))
    if end.endswith((b"\n", b"\r")) or end in (b"\n\0", b"\r\0"):  # the latter two: UTF-16
        return None
    return "nul_tail" if end.endswith(b"\0") else "no_final_newline"


def has_lines(fd: int, least: float) -> bool:
    """Whether a file has at least so many line ends; no more of it is read than that takes."""
    lines = offset = 0
    while lines < least:
        chunk = os.pread(fd, _CHUNK, offset)
        if not chunk:
            return False
        lines += chunk.count(b"\n") or chunk.count(b"\r")
        offset += len(chunk)
    return True


def read_manifest(path: Path) -> Manifest:
    """Reads one manifest.

    Raises:
        FileError: ``bad_manifest``: it is none, or may not be read.
        OSError: it is not there, or the world is at fault.
    """
    try:
        fd = open_to_look(path)
    except OSError as error:
        if error.errno not in (errno.EACCES, errno.EPERM, errno.ELOOP, errno.ENXIO):
            raise
        raise FileError(
            FileReason.BAD_MANIFEST, f"{ascii(path.name)[1:-1]} cannot be opened: {error.strerror}"
        ) from error
    try:
        content = b""
        while len(content) <= LONGEST and (more := os.pread(fd, LONGEST, len(content))):
            content += more
    finally:
        os.close(fd)
    return parse(path.name, content)
