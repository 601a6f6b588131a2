"""Which files came under their name by a rename or a link, in one piece, as far as looks into the folder can tell.

An inode that had a temporary name, or another one, has been renamed. Its number alone is no proof: the system gives that
of a removed file to the next one at once. So the size and the time of the last change must be the same, or, for a file
that has grown since it was seen under its temporary name, the time of its birth.
"""

import ctypes
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

_AT_FDCWD = -100
_AT_SYMLINK_NOFOLLOW = 0x100
_STATX_BTIME = 0x800
_BIRTH = slice(80, 92)  # in struct statx: seconds (8 bytes) and nanoseconds (4)
_statx = getattr(ctypes.CDLL(None, use_errno=True), "statx", None)


def birth_of(path: Path) -> bytes | None:
    """When a file was made, as the kernel writes it; None if the filesystem does not know."""
    if _statx is None:
        return None
    found = ctypes.create_string_buffer(256)
    if _statx(_AT_FDCWD, os.fsencode(path), _AT_SYMLINK_NOFOLLOW, _STATX_BTIME, found) != 0:
        return None
    known = int.from_bytes(found.raw[:4], sys.byteorder)
    return found.raw[_BIRTH] if known & _STATX_BTIME else None


@dataclass(slots=True)
class _Trace:
    """An inode as it was last seen, and under which name."""

    name: str
    size: int
    changed: int
    birth: bytes | None
    round: int


@dataclass(slots=True)
class Renames:
    """A memory of the names that inodes of a folder had."""

    folder: Path
    _known: dict[tuple[int, int], _Trace] = field(default_factory=dict)
    _round: int = 0

    def note(self, name: str, status: os.stat_result, *, temporary: bool = False) -> None:
        """Remembers a file that was looked at."""
        key = (status.st_dev, status.st_ino)
        trace = self._known.get(key)
        birth = trace.birth if trace and trace.name == name else None
        if temporary and birth is None:
            birth = birth_of(self.folder / name)
        self._known[key] = _Trace(name, status.st_size, status.st_mtime_ns, birth, self._round)

    def had_another_name(self, name: str, status: os.stat_result) -> bool:
        """Whether a file had another name when it was looked at before."""
        trace = self._known.get((status.st_dev, status.st_ino))
        if trace is None or trace.name == name:
            return False
        if (trace.size, trace.changed) == (status.st_size, status.st_mtime_ns):
            return True
        return trace.birth is not None and trace.birth == birth_of(self.folder / name)

    def forget_old(self) -> None:
        """Call after a whole scan: what was not met in it is gone."""
        self._known = {key: trace for key, trace in self._known.items() if trace.round == self._round}
        self._round += 1
