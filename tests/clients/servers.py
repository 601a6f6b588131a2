"""An SSH server and a Samba server on loopback, with users, keys and configuration of their own; nothing of it stays.

As root: a user for the daemon, one for the sender in the group of senders, and the chroot that is installed
(``deploy/sshd.conf``). Else everything is one's own, without a chroot.
"""

import contextlib
import itertools
import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from e2e.harness import Place, until

ROOT = Path(__file__).parents[2]
SSHD = shutil.which("sshd") or "/usr/sbin/sshd"
SMBD = shutil.which("smbd") or "/usr/sbin/smbd"
IS_ROOT = os.geteuid() == 0
_PREFIX = "sgtest"
_numbers = itertools.count(1)
_LAYOUT = "/etc/ssh/stockgrip-senders", "/var/lib/stockgrip", "stockgrip-senders"  # in deploy/sshd.conf


@dataclass(frozen=True)
class User:
    """An account of this host."""

    name: str
    uid: int
    gid: int


@dataclass(frozen=True)
class Grounds:
    """Where a test works.

    Attributes:
        folder: all that is made lies here.
        place: the data folder, its database and its daemon.
        daemon: as whom the daemon runs.
        sender: as whom clients come in.
        inbox: what the sender calls the inbox.
    """

    folder: Path
    place: Place
    daemon: User
    sender: User
    inbox: str

    def wrap(self, *, lease: bool = True) -> tuple[str, ...]:
        """What starts the daemon as its user, with the one capability that the installed unit gives it."""
        if not IS_ROOT:
            return ()
        may = ("--inh-caps", "+lease", "--ambient-caps", "+lease") if lease else ()
        who = ("--reuid", str(self.daemon.uid), "--regid", str(self.daemon.gid), "--init-groups")
        return ("setpriv", *who, *may, "--")


def need(program: str, package: str) -> str:
    """A program's path; skips without it."""
    found = shutil.which(program) or shutil.which(program, path="/usr/sbin:/usr/lib/openssh")
    if found is None:
        pytest.skip(f"{program} is not installed; run: apt-get install --no-install-recommends {package}")
    return found


@contextlib.contextmanager
def grounds(url_in: Callable[[Path], str]) -> Iterator[Grounds]:
    """A data folder as it is installed, below a path that is root's alone, as a chroot must be.

    Args:
        url_in: makes a database in a folder.
    """
    need("sshd", "openssh-server")
    folder = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}-", dir="/var/lib" if IS_ROOT else None))
    folder.chmod(0o755)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, folder, ignore_errors=True)
        daemon, sender = stack.enter_context(_users()) if IS_ROOT else (_me(), _me())
        place = stack.enter_context(Place(folder, url_in(folder)))
        if IS_ROOT:
            _lay_out(place, daemon, sender)
            for name in ("live_feeds", "outbox"):
                (folder / name).symlink_to(f"data/{name}")
        inbox = "live_feeds" if IS_ROOT else str(place.inbox)
        yield Grounds(folder, place, daemon, sender, inbox)


def _lay_out(place: Place, daemon: User, sender: User) -> None:
    """Owners and modes as deploy/tmpfiles.conf gives them."""
    (place.data / "outbox").mkdir()
    for path in (place.data, *place.data.iterdir(), *place.folder.glob("*.db")):
        os.chown(path, daemon.uid, daemon.gid)
    os.chown(place.data, daemon.uid, sender.gid)
    place.data.chmod(0o710)
    for path, mode in ((place.inbox, 0o2770), (place.data / "outbox", 0o2750)):
        os.chown(path, daemon.uid, sender.gid)
        path.chmod(mode)
    database = place.folder / "db"  # SQLite makes files beside it
    database.mkdir()
    os.chown(database, daemon.uid, daemon.gid)
    for path in place.folder.glob("*.db"):
        path.rename(database / path.name)
        place.url = f"sqlite:///{database / path.name}"


@contextlib.contextmanager
def _users() -> Iterator[tuple[User, User]]:
    """A user for the daemon, and one in the group of senders, to which the daemon belongs, too."""
    need("useradd", "passwd")
    for entry in pwd.getpwall():  # of a run that was killed
        stale = re.fullmatch(rf"{_PREFIX}(\d+)-\d+[ds]", entry.pw_name)
        if stale and not Path(f"/proc/{stale[1]}").exists():
            _remove_user(entry.pw_name)
    number = next(_numbers)
    names = [f"{_PREFIX}{os.getpid()}-{number}{kind}" for kind in "ds"]
    try:
        for name in reversed(names):
            also = ["-G", names[1]] if name == names[0] else []
            # no password at all is no locked account, which sshd would refuse
            command = ["useradd", "-r", "-M", "-U", *also, "-d", "/", "-s", "/bin/sh", "-p", "*", name]
            done = _in_turn(command)
            if done.returncode:
                pytest.skip(f"users cannot be made here: {done.stderr.decode().strip()}")
        found = [pwd.getpwnam(name) for name in names]
        yield tuple(User(entry.pw_name, entry.pw_uid, entry.pw_gid) for entry in found)
    finally:
        for name in names:
            _remove_user(name)


def _remove_user(name: str) -> None:
    for program in ("userdel", "groupdel"):
        _in_turn([program, name])


def _in_turn(command: list[str]) -> subprocess.CompletedProcess[bytes]:
    """A change of the accounts; somebody else who changes them holds a lock, for which these programs do not wait."""
    for _ in range(50):
        done = subprocess.run(command, capture_output=True, check=False)
        if b"lock" not in done.stderr:
            break
        time.sleep(0.1)
    return done


def _me() -> User:
    entry = pwd.getpwuid(os.geteuid())
    return User(entry.pw_name, entry.pw_uid, entry.pw_gid)


def free_port() -> int:
    """A port that nobody uses."""
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@contextlib.contextmanager
def sshd(at: Grounds, *, confined: bool) -> Iterator[int]:
    """An SSH server; its port.

    Args:
        at: whose sender may come in, by the key ``key``.
        confined: into the chroot with nothing but SFTP, by the installed drop-in; else with a shell.
    """
    key, host_key = at.folder / "key", at.folder / "host_key"
    for path in (key, host_key):
        if not path.exists():
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    port, kind = free_port(), "confined" if confined else "shell"
    drop_in = ""
    if confined and IS_ROOT:
        drop_in = (ROOT / "deploy/sshd.conf").read_text()
        keys = at.folder / "keys"
        keys.mkdir()
        shutil.copy(f"{key}.pub", keys / at.sender.name)
        for installed, ours in zip(_LAYOUT, (str(keys), str(at.folder), at.sender.name), strict=True):
            drop_in = drop_in.replace(installed, ours)
    config = at.folder / f"sshd-{kind}.conf"
    config.write_text(f"""
ListenAddress 127.0.0.1:{port}
HostKey {host_key}
PidFile none
AuthorizedKeysFile {key}.pub
StrictModes no
UsePAM no
PasswordAuthentication no
KbdInteractiveAuthentication no
AllowUsers {at.sender.name}
MaxStartups 200
Subsystem sftp internal-sftp
{drop_in}""")
    if IS_ROOT:
        Path("/run/sshd").mkdir(exist_ok=True)
    log = at.folder / f"sshd-{kind}.log"
    yield from _serving([SSHD, "-D", "-f", str(config), "-E", str(log)], port, log)


@contextlib.contextmanager
def syslog(at: Grounds) -> Iterator[Path]:
    """What a syslog daemon does for the chroot: it listens at its /dev/log, and writes each message into a file."""
    if not IS_ROOT:
        pytest.skip("needs root: without a chroot, sshd's messages go to the host's own log")
    place, log = at.folder / "dev", at.folder / "sftp.log"
    place.mkdir()
    log.touch()
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(place / "log"))
        (place / "log").chmod(0o666)
        listener.settimeout(0.1)
        ends = threading.Event()

        def write() -> None:
            with log.open("ab", buffering=0) as file:
                while not ends.is_set():
                    with contextlib.suppress(TimeoutError):
                        file.write(listener.recv(1 << 16) + b"\n")

        thread = threading.Thread(target=write)
        thread.start()
        try:
            yield log
        finally:
            ends.set()
            thread.join()


@contextlib.contextmanager
def smbd(at: Grounds) -> Iterator[int]:
    """A Samba server with the inbox as its share ``feeds``; its port. Everybody is the sender."""
    need("smbd", "samba")
    if not IS_ROOT:
        pytest.skip("needs root: smbd changes its user")
    port, home = free_port(), at.folder / "samba"
    home.mkdir()
    folders = "\n".join(
        f"{name} = {home}"
        for name in (
            "private dir",
            "lock directory",
            "state directory",
            "cache directory",
            "pid directory",
            "ncalrpc dir",
        )
    )
    (home / "smb.conf").write_text(f"""
[global]
smb ports = {port}
interfaces = lo
bind interfaces only = yes
disable spoolss = yes
smb2 max write = 65536
load printers = no
map to guest = Bad User
guest account = {at.sender.name}
log file = {home}/log
{folders}
[feeds]
path = {at.place.inbox}
guest ok = yes
read only = no
create mask = 0660
force create mode = 0660
""")
    command = [SMBD, "--foreground", "--no-process-group", f"--configfile={home}/smb.conf"]
    yield from _serving(command, port, home / "log")


def _serving(command: list[str], port: int, log: Path) -> Iterator[int]:
    server = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # smbd ends with a signal to its whole process group
    )

    def answers() -> bool:
        assert server.poll() is None, f"{command[0]} ended:\n{log.read_text() if log.exists() else ''}"
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return True
        return False

    try:
        until(answers, 20, f"{command[0]} listens")
        yield port
    finally:
        server.terminate()
        server.wait(10)
