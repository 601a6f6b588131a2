"""Processes and the kernel's tables below /proc: who watches a folder, who holds a lock, with what rights.

An ordinary user sees only processes of his own; what could not be seen is never taken for not there.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

CAP_LEASE = 28  # see capabilities(7)


@dataclass(frozen=True, slots=True)
class Watching:
    """An inotify instance of a process.

    Attributes:
        pid: the process.
        uid: whose limits it counts for.
        inodes: what it watches.
    """

    pid: int
    uid: int
    inodes: tuple[int, ...]


@dataclass(frozen=True)
class Processes:
    """A look into ``/proc``, and into the control groups."""

    proc: Path = Path("/proc")
    groups: Path = Path("/sys/fs/cgroup")

    def number(self, name: str) -> int | None:
        """A number of ``/proc/sys``, such as ``fs/leases-enable``; None if there is none."""
        try:
            return int((self.proc / "sys" / name).read_text())
        except (OSError, ValueError):
            return None

    @cached_property
    def watching(self) -> tuple[Watching, ...]:
        """The inotify instances that we may see."""
        return tuple(self._watching())

    def _watching(self) -> Iterator[Watching]:
        for pid, uid, fd in self._descriptors():
            try:
                if os.readlink(self.proc / str(pid) / "fd" / fd) != "anon_inode:inotify":  # noqa: PTH115  (no path)
                    continue
                text = (self.proc / str(pid) / "fdinfo" / fd).read_text()
            except OSError:
                continue
            inodes = re.findall(r"^inotify.* ino:(\w+)", text, re.MULTILINE)
            yield Watching(pid, uid, tuple(int(inode, 16) for inode in inodes))

    def holders(self, file: Path) -> list[int]:
        """The processes that have a file open, without this one, as far as we may see them."""
        try:
            wanted = file.stat()
        except OSError:
            return []
        found = []
        for pid, _, fd in self._descriptors():
            try:
                status = (self.proc / str(pid) / "fd" / fd).stat()
            except OSError:
                continue
            if (status.st_dev, status.st_ino) == (wanted.st_dev, wanted.st_ino) and pid != os.getpid():
                found.append(pid)
        return sorted(set(found))

    def _descriptors(self) -> Iterator[tuple[int, int, str]]:
        for entry in self.proc.iterdir():
            if not entry.name.isdigit():
                continue
            try:
                uid, fds = entry.stat().st_uid, os.listdir(entry / "fd")  # noqa: PTH208  (names only)
            except OSError:
                continue
            yield from ((int(entry.name), uid, fd) for fd in fds)

    @cached_property
    def locked(self) -> frozenset[int] | None:
        """The inodes on which somebody holds a lock of the whole file; None if that cannot be told.

        The devices in that table are not those of ``stat`` on some filesystems, so only inodes are compared.
        """
        try:
            text = (self.proc / "locks").read_text()
        except OSError:
            return None
        return frozenset(int(inode) for inode in re.findall(r"FLOCK .* \w+:\w+:(\d+) ", text))

    def may_lease(self, pid: int | str = "self") -> bool | None:
        """Whether a process has CAP_LEASE; None if that cannot be told."""
        try:
            text = (self.proc / str(pid) / "status").read_text()
        except OSError:
            return None
        found = re.search(r"^CapEff:\s*([0-9a-f]+)$", text, re.MULTILINE)
        return bool(int(found[1], 16) >> CAP_LEASE & 1) if found else None

    def open_files(self, pid: int | str = "self") -> int | None:
        """How many files a process may have open at once; None if that cannot be told or there is no limit."""
        try:
            text = (self.proc / str(pid) / "limits").read_text()
        except OSError:
            return None
        found = re.search(r"^Max open files\s+(\d+)", text, re.MULTILINE)
        return int(found[1]) if found else None

    def address_space(self, pid: int | str = "self") -> int | None:
        """How many bytes a process may address (ulimit -v); None if that cannot be told or there is no limit."""
        try:
            text = (self.proc / str(pid) / "limits").read_text()
        except OSError:
            return None
        found = re.search(r"^Max address space\s+(\d+)", text, re.MULTILINE)
        return int(found[1]) if found else None

    def memory(self, pid: int | str = "self") -> int | None:
        """How many bytes of memory the group of a process may use (MemoryMax=); None if there is no limit, or no cgroup v2."""
        try:
            text = (self.proc / str(pid) / "cgroup").read_text()
        except OSError:
            return None
        found = re.search(r"^0::/(.*)$", text, re.MULTILINE)
        if found is None:
            return None
        limits, folder = [], self.groups / found[1]
        while folder != self.groups.parent:  # the groups that it is in limit it, too
            with contextlib.suppress(OSError, ValueError):  # "max", or none
                limits.append(int((folder / "memory.max").read_text()))
            folder = folder.parent
        return min(limits, default=None)

    def name(self, pid: int) -> str:
        """A process for people, such as ``python3 (123)``."""
        try:
            return f"{(self.proc / str(pid) / 'comm').read_text().strip()} ({pid})"
        except OSError:
            return f"process {pid}"
