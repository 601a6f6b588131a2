"""What sshd's log says of uploads: a file whose connection broke was closed by force, and so is known to be cut.

The lines are those of ``internal-sftp -l VERBOSE`` (or INFO), as a syslog daemon writes them::

    internal-sftp[1970]: forced close "/live_feeds/sales_data_20260105.csv" bytes read 0 written 261120

A name in them is its sender's, so that it may hold anything but the end of a line: what stands before the first quotation
mark is the server's own.
"""

import errno
import os
import re
import stat
from dataclasses import dataclass, field
from pathlib import Path

from daemon.events import Event
from daemon.logs import display_name, emit

_SAYS = re.compile(
    rb'[^"]*?\binternal-sftp\[\d+\]: (?:'
    rb'(?P<how>forced close|close) "(?P<closed>.*)" bytes read \d+ written (?P<written>\d+)'
    rb'|open "(?P<opened>.*)" flags [A-Z,]*WRITE[A-Z,]* mode \d+)\s*'
)
_OCTAL = re.compile(rb"\\([0-3][0-7]{2})")
_MOST = 4 << 20  # bytes read at once; what is beyond is read at the next look
_LONGEST = 1 << 16  # bytes of a line
_FLAGS = os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC
_REMEDY = "let the daemon's user read the file, see docs/senders.md; meanwhile uploads are judged by the files alone"


@dataclass(slots=True)
class SftpLog:
    """Follows a log, from its end at the first look on; when it is rotated, with the beginning of the new one.

    Attributes:
        path: of the log.
        folder: the inbox's name, which is the last folder in the names that the log has.
    """

    path: Path
    folder: str
    _inode: tuple[int, int] | None = None
    _offset: int = 0
    _rest: bytes = b""
    _said: str = ""
    _cut: set[bytes] = field(default_factory=set)

    def broken_off(self) -> set[str]:
        """The files whose upload broke off since the last look, and that were not opened for writing since."""
        self._cut.clear()
        try:
            self._read()
        except OSError as error:
            self._complain(error.strerror or str(error))
        else:
            self._said = ""
        return {os.fsdecode(name) for name in self._cut}

    def _read(self) -> None:
        fd = os.open(self.path, _FLAGS)
        try:
            status = os.fstat(fd)
            if not stat.S_ISREG(status.st_mode):
                raise OSError(errno.EINVAL, "it is no regular file")
            inode = (status.st_dev, status.st_ino)
            if self._inode is None:
                self._offset = status.st_size  # what is older speaks of files that may be others by now
            elif self._inode != inode or status.st_size < self._offset:
                self._offset, self._rest = 0, b""
            self._inode = inode
            new = os.pread(fd, _MOST, self._offset)
        finally:
            os.close(fd)
        self._offset += len(new)
        *lines, rest = (self._rest + new).split(b"\n")
        self._rest = rest[-_LONGEST:]
        for line in lines:
            self._take(line)

    def _take(self, line: bytes) -> None:
        found = _SAYS.fullmatch(line)
        if found is None:
            return
        path = _OCTAL.sub(lambda octal: bytes([int(octal[1], 8)]), found["opened"] or found["closed"] or b"")
        folder, _, name = path.rpartition(b"/")
        if folder.rpartition(b"/")[2] != os.fsencode(self.folder):
            return
        if found["how"] == b"forced close" and int(found["written"]):
            self._cut.add(name)
        elif found["how"] != b"forced close":
            self._cut.discard(name)

    def _complain(self, error: str) -> None:
        """Once, until it can be read."""
        if self._said != error:
            self._said = error
            emit(Event.SFTP_LOG_FAILED, path=display_name(self.path), error=error, remedy=_REMEDY)
