"""Host: what the kernel grants. Where a daemon runs that we may see, its own rights are shown, not ours."""

import os
import stat
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from daemon.doctor.finding import Check, NotLooked, Remark, fail, ok, warn
from daemon.doctor.site import Site
from daemon.doctor.trial import take_lease
from daemon.doctor.words import size, us, user_name
from daemon.errors import ConfigError

AREA = "host"
_FEW_INSTANCES, _FEW_FILES, _LEAST_FILES = 8, 256, 64
_HIDDEN = "cannot be told: only root and the daemon's own user may see it"
_LITTLE_MEMORY, _LEAST_MEMORY = (
    512 << 20,
    192 << 20,
)  # the daemon has about 160 MB, and a large file takes as much again
_LITTLE_SPACE = 4 << 30
_BY_HAND = (
    "Without it only quiet tells that a file is complete; raise settle.quiet_seconds, or give the right:"
)


def _daemon(site: Site) -> Iterator[Remark]:
    """A watch on the inbox is proof; none is proof of nothing."""
    inbox = site.present(site.folders.inbox)
    if site.daemon is not None:
        yield ok(f"{site.processes.name(site.daemon)} watches live_feeds")
    elif site.settings.settle.watch == "poll":
        raise NotLooked("cannot be told: with settle.watch: poll a daemon leaves no mark")
    elif os.geteuid() not in (0, inbox.stat().st_uid):
        raise NotLooked(_HIDDEN)
    else:
        yield warn(
            "no process of this host watches live_feeds",
            "If none should run (cron, a container), all is well. Else start it:",
            "sudo systemctl start stockgrip",
        )


def _inotify(site: Site) -> Iterator[Remark]:
    processes = site.processes
    instances = processes.number("fs/inotify/max_user_instances")
    watches = processes.number("fs/inotify/max_user_watches")
    if instances is None or watches is None:
        raise NotLooked("this kernel shows no limits of inotify")
    uid = _uid(site)
    mine = [w for w in processes.watching if w.uid == uid]
    used, watched = len(mine), sum(len(w.inodes) for w in mine)
    said = f"{user_name(uid)} uses {used} of {instances:,} instances and {watched:,} of {watches:,} watches"
    if os.geteuid() not in (0, uid):
        said = f"{instances:,} instances and {watches:,} watches for each user"
    most = Counter(processes.name(w.pid) for w in mine).most_common(1)
    who = f" (most: {most[0][0]})" if most else ""
    command = "echo fs.inotify.max_user_instances=1024 | sudo tee /etc/sysctl.d/60-inotify.conf; sudo sysctl --system"
    if used >= instances:
        yield warn(f"{said}{who}: none is left, and another daemon would poll", "Raise the limit:", command)
    elif used + _FEW_INSTANCES > instances:
        yield warn(f"{said}{who}", "Raise the limit:", command)
    elif watched + 1 >= watches:
        command = command.replace("instances=1024", "watches=524288")
        yield warn(f"{said}{who}: none is left, and another daemon would poll", "Raise the limit:", command)
    else:
        yield ok(said)


def _uid(site: Site) -> int:
    """The user that the daemon runs as: the owner of the inbox, as far as one can tell."""
    if isinstance(site.loaded, ConfigError) or site.folders.inbox not in site.there:
        return os.geteuid()
    return site.folders.inbox.stat().st_uid


def _lease(site: Site) -> Iterator[Remark]:
    if site.processes.number("fs/leases-enable") == 0:
        yield warn(
            "the kernel gives no leases (fs.leases-enable is 0)",
            "Only quiet tells that a file is complete then; raise settle.quiet_seconds, or:",
            "echo fs.leases-enable=1 | sudo tee /etc/sysctl.d/60-leases.conf; sudo sysctl --system",
        )
        return
    error = site.tried.lease
    if error is not None:
        kind = site.mount_of(site.folders.work).kind
        yield warn(
            f"{kind} gives no lease on a file of our own: {error}",
            "Only quiet tells that a file is complete there; raise settle.quiet_seconds.",
        )
    else:
        seconds = site.processes.number("fs/lease-break-time")
        held = f" (a writer would wait {seconds} s at most)" if seconds else ""
        yield ok(f"tried: our own files{held}")


def _foreign_lease(site: Site) -> Iterator[Remark]:
    """On files of senders, who are other users."""
    pid = site.daemon
    if pid is not None:
        may = site.processes.may_lease(pid)
        who = site.processes.name(pid)
    elif _uid(site) != os.geteuid():
        raise NotLooked(
            _HIDDEN if os.geteuid() else "cannot be told: no daemon is seen, and root may do everything"
        )
    else:
        may, who = _tried(site), us()
        may = site.processes.may_lease() if may is None else may
    if may is None:
        raise NotLooked("this kernel does not show the rights of a process")
    if may:
        yield ok(f"{who} may tell whether another user still writes a file")
        return
    yield warn(
        f"{who} may not take a lease on a file of another user (CAP_LEASE)",
        f"{_BY_HAND} the service has it from its unit (AmbientCapabilities=CAP_LEASE); a start by hand, as root:",
        "setpriv --reuid=stockgrip --regid=stockgrip --init-groups --inh-caps=+lease --ambient-caps=+lease stockgrip run",
    )


def _tried(site: Site) -> bool | None:
    """Whether a lease was granted on another user's file that lies in the inbox; None if there is none."""
    if isinstance(site.loaded, ConfigError) or site.folders.inbox not in site.there:
        return None
    for file in _of_others(site.folders.inbox):
        try:
            take_lease(file)
        except BlockingIOError:
            return True  # somebody writes it just now: that is the answer that the lease is for
        except PermissionError:
            if os.access(file, os.R_OK):
                return False
        except OSError:
            continue
        else:
            return True
    return None


def _of_others(inbox: Path) -> Iterator[Path]:
    for name in sorted(os.listdir(inbox))[:200]:  # noqa: PTH208  (names may be no UTF-8)
        file = inbox / name
        try:
            status = file.lstat()
        except OSError:
            continue
        if stat.S_ISREG(status.st_mode) and status.st_uid != os.geteuid():
            yield file


def _open_files(site: Site) -> Iterator[Remark]:
    pid = site.daemon
    limit = site.processes.open_files(pid) if pid is not None else None
    who = site.processes.name(pid) if pid is not None and limit is not None else "a process of this shell"
    limit = site.processes.open_files() if limit is None else limit
    if limit is None:
        yield ok(f"{who} may open as many as it likes")
    elif limit < _LEAST_FILES:
        yield fail(f"{who} may open {limit}: too few to work", _MORE_FILES, "ulimit -n 1024")
    elif limit < _FEW_FILES:
        yield warn(f"{who} may open {limit}", _MORE_FILES, "ulimit -n 1024")
    else:
        yield ok(f"{who} may open {limit:,}")


def _memory(site: Site) -> Iterator[Remark]:
    processes, pid = site.processes, site.daemon
    who = "a process of this shell" if pid is None else processes.name(pid)
    group = processes.memory() if pid is None else processes.memory(pid)
    space = processes.address_space() if pid is None else processes.address_space(pid)
    if group is not None and group < _LITTLE_MEMORY:
        state = fail if group < _LEAST_MEMORY else warn
        yield state(
            f"{who} may use {size(group)} of memory, and is ended by the kernel above it",
            "Raise it: MemoryMax=1G in the unit ([Service]), or the container's limit.",
        )
    if space is not None and space < _LITTLE_SPACE:
        yield warn(
            f"{who} may address {size(space)} (ulimit -v), and libraries and threads take {size(_LITTLE_SPACE // 2)} of it",
            "Take the limit away, in the shell before the start (or LimitAS= in the unit), and limit memory by MemoryMax=:",
            "ulimit -v unlimited",
        )
    if (group is None or group >= _LITTLE_MEMORY) and (space is None or space >= _LITTLE_SPACE):
        most = "as much memory as there is" if group is None else f"{size(group)} of memory"
        yield ok(f"{who} may use {most}")


_MORE_FILES = "Raise it: LimitNOFILE=1024 in the unit ([Service]), or in the shell before the start:"

CHECKS = (
    Check(
        AREA,
        "daemon",
        "Whether a process watches `live_feeds` (by its inotify watch; seen by root and the daemon's own user only)",
        "`sudo systemctl start stockgrip`",
        _daemon,
    ),
    Check(
        AREA,
        "inotify",
        "`fs.inotify.max_user_instances` and `max_user_watches`, and how many the daemon's user has in use",
        "Raise them in `/etc/sysctl.d/`",
        _inotify,
    ),
    Check(
        AREA,
        "lease",
        "`fs.leases-enable`; tried: a lease on a file of our own in the data folder",
        "Raise `settle.quiet_seconds`: only quiet tells there that a file is complete",
        _lease,
    ),
    Check(
        AREA,
        "senders' files",
        "A lease on other users' files: the daemon's capability CAP_LEASE; tried on files that wait",
        "`AmbientCapabilities=CAP_LEASE` in the unit, or raise `settle.quiet_seconds`",
        _foreign_lease,
    ),
    Check(
        AREA,
        "open files",
        "How many files the daemon (else: this shell) may open; warns below 256, fails below 64",
        "`LimitNOFILE=1024` in the unit",
        _open_files,
    ),
    Check(
        AREA,
        "memory",
        "How much memory the daemon (else: this shell) may use: its control group (warns below 512 MiB, fails below 192 MiB), its address space (warns below 4 GiB)",
        "`MemoryMax=1G` in the unit; no `ulimit -v`",
        _memory,
    ),
)
