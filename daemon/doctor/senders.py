"""Senders: whether they may deliver, and whether we may read what they delivered."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from daemon.doctor.finding import Check, NotLooked, Remark, fail, ok, warn
from daemon.doctor.site import Site
from daemon.doctor.words import group_name, listed, quoted, us, user_name
from daemon.inbox.access import closed, reader_of
from daemon.outbox import due, outbox_of

AREA = "folders"


def _senders(site: Site) -> Iterator[Remark]:
    inbox = site.present(site.folders.inbox)
    status = inbox.stat()
    mode, group = status.st_mode, group_name(status.st_gid)
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        yield warn(
            f"every user of this host may drop, replace and remove files ({stat.filemode(mode)})",
            "Leave it to the group of the senders:",
            f"chmod 2770 {quoted(inbox)}",
        )
    elif not mode & (stat.S_IWGRP | stat.S_IWOTH):
        yield _closed(site, status)
    elif mode & stat.S_IWGRP and not mode & stat.S_ISGID:
        yield warn(
            f"files get the group of their sender, not {group} ({stat.filemode(mode)}): they may be unreadable for us",
            "Let the folder pass its group on:",
            f"chmod g+s {quoted(inbox)}",
        )
    else:
        yield ok(f"members of group {group} may drop files, which get that group")
    yield from _way_in(inbox, status.st_gid)


def _closed(site: Site, status: os.stat_result) -> Remark:
    """Only its owner may drop files. Nobody is ever to be put into root's group."""
    inbox, said = site.folders.inbox, f"only {user_name(status.st_uid)} may drop files"
    said = f"{said} ({stat.filemode(status.st_mode)})"
    group, place = group_name(status.st_gid), quoted(inbox)
    if status.st_gid:
        return warn(
            said,
            f"If senders have accounts of their own, put them into group {group}, and:",
            f"chmod 2770 {place}; sudo usermod -aG {group} SENDER",
        )
    ours = site.folders.work.stat().st_gid if site.folders.work in site.there else 0
    make, group = ("", group_name(ours)) if ours else ("sudo groupadd senders; ", "senders")
    return warn(
        said,
        f"If senders have accounts of their own, give the folder to group {group}, put them into it, and:",
        f"{make}sudo chgrp {group} {place}; sudo chmod 2770 {place}; sudo usermod -aG {group} SENDER",
    )


def _way_in(inbox: Path, gid: int) -> Iterator[Remark]:
    """Folders above, which senders must pass through."""
    if not inbox.stat().st_mode & (stat.S_IWGRP | stat.S_IWOTH):
        return
    for folder in inbox.resolve().parents:
        status = folder.stat()
        by_group = status.st_gid == gid and status.st_mode & stat.S_IXGRP
        if not by_group and not status.st_mode & stat.S_IXOTH:
            yield warn(
                f"members of group {group_name(gid)} cannot pass through {folder} ({stat.filemode(status.st_mode)})",
                "Let them through, if they do not come by a way of their own (chroot, bind mount):",
                f"sudo chgrp {group_name(gid)} {quoted(folder)}; sudo chmod g+x {quoted(folder)}",
            )


def _files(site: Site) -> Iterator[Remark]:
    """Files that were dropped and cannot be read."""
    inbox = site.present(site.folders.inbox)
    with os.scandir(inbox) as entries:
        files = [e.name for e in entries if e.is_file(follow_symlinks=False)]
    user = reader_of(site.folders.work)
    unreadable = closed(inbox, files, user)
    if not unreadable:
        yield ok("every file in live_feeds is readable")
        return
    yield fail(
        f"{user_name(user)} may not read {listed(unreadable)}",
        "They stay there until they can be read. Let the sender upload with mode 0640 (docs/senders.md), and now:",
        f"sudo chmod g+r {quoted(*(inbox / name for name in unreadable[:5]))}",
    )


def _outbox(site: Site) -> Iterator[Remark]:
    """Whether senders can be told, and can read it."""
    if not site.settings.outbox.enabled:
        raise NotLooked("senders are not told what became of their files: outbox.enabled is false")
    place = outbox_of(site.folders)
    try:
        status = place.lstat()
    except FileNotFoundError:
        yield ok("the daemon makes it with the first file")
        return
    closed_to_us = not os.access(place, os.W_OK | os.X_OK)
    if not stat.S_ISDIR(status.st_mode) or closed_to_us:
        yield fail(
            f"acknowledgements cannot be written: {place} is {'closed to us' if closed_to_us else 'no folder'}",
            "Give the daemon a folder of its own there, which the senders' group may read:",
            f"sudo install -d -o {us()} -g {group_name(site.folders.inbox.stat().st_gid)} -m 2750 {quoted(place)}",
        )
        return
    waiting = len(due(site.folders))
    if waiting:
        yield warn(
            f"{waiting:,} acknowledgements could not be written yet",
            "They are tried again each minute. See why (acknowledgement_failed in the log):",
            "journalctl -u stockgrip -n 200 -o cat",
        )
    elif not status.st_mode & (stat.S_IRGRP | stat.S_IROTH):
        yield warn(
            f"senders may not read {place.name} ({stat.filemode(status.st_mode)})",
            "Let their group read it:",
            f"sudo chgrp {group_name(site.folders.inbox.stat().st_gid)} {quoted(place)}; sudo chmod 2750 {quoted(place)}",
        )
    else:
        yield ok("senders can read what became of their files")


def _sftp_log(site: Site) -> Iterator[Remark]:
    """Whether what sshd says of uploads can be followed."""
    log = site.settings.settle.sftp_log
    if log is None:
        raise NotLooked("what sshd says of uploads is not followed: settle.sftp_log is null")
    try:
        os.close(os.open(log, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))
    except FileNotFoundError:
        yield warn(
            f"{log} is not there: a broken upload is not known as one",
            "A syslog daemon makes it with the first upload, if it is told to (docs/senders.md).",
        )
    except OSError as error:
        yield fail(
            f"{us()} may not read {log}: {error.strerror}",
            "Let the daemon's group read it, and tell the syslog daemon to make it so (docs/senders.md):",
            f"sudo chgrp {group_name(os.getegid())} {quoted(log)}; sudo chmod 0640 {quoted(log)}",
        )
    else:
        yield ok(f"{log} can be read")


CHECKS = (
    Check(
        AREA,
        "senders",
        "Mode and group of `live_feeds` and of the folders above it",
        "`chmod 2770`, and put the senders into its group",
        _senders,
    ),
    Check(
        AREA,
        "files",
        "Whether the daemon's user can read each file in `live_feeds`",
        "`chmod g+r`; let the sender upload with mode 0640",
        _files,
    ),
    Check(
        AREA,
        "outbox",
        "Whether acknowledgements can be written, and read by senders, if `outbox.enabled`",
        "Make `outbox` below `data_dir`: the daemon's, with the senders' group and mode 2750",
        _outbox,
    ),
    Check(
        AREA,
        "sftp log",
        "Whether the log of `settle.sftp_log` is there and can be read",
        "Tell the syslog daemon to write it, for the daemon's group to read",
        _sftp_log,
    ),
)
