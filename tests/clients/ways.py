"""The ways in which files come: a client, how it is called, and what lies in the inbox when it is cut off."""

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clients.servers import Grounds

_PARAMIKO = Path(__file__).with_name("by_paramiko.py")
Command = tuple[list[str], str]  # and what is said to it


@dataclass(frozen=True)
class Job:
    """One file to be sent.

    Attributes:
        at: where.
        port: of the server, or of the line to it.
        source: the file.
        resumed: a part of it is there already.
    """

    at: Grounds
    port: int
    source: Path
    resumed: bool = False

    @property
    def target(self) -> str:
        """Its place as the sender calls it."""
        return f"{self.at.inbox}/{self.source.name}"

    @property
    def user(self) -> str:
        """The account."""
        return self.at.sender.name

    @property
    def key(self) -> str:
        """Its key."""
        return str(self.at.folder / "key")

    @property
    def ssh(self) -> list[str]:
        """Options of OpenSSH's programs."""
        options = (
            "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null",
            "LogLevel=ERROR",
            "BatchMode=yes",
        )
        return [word for option in options for word in ("-o", option)] + ["-i", self.key]


@dataclass(frozen=True)
class Way:
    """How a client sends a file.

    Attributes:
        name: of the way, for people.
        server: what it needs: ``sftp`` (confined), ``shell`` or ``smb``.
        program: the client, and the package that has it.
        command: what is called, for a job.
        aside: it writes under another name, so that a cut file is never taken.
    """

    name: str
    server: str
    program: tuple[str, str]
    command: Callable[[Job], Command]
    aside: bool = False

    @property
    def missing(self) -> str | None:
        """What is to be installed."""
        name, package = self.program
        return None if shutil.which(name) else f"{name} is not installed; run: apt-get install {package}"

    def start(self, job: Job) -> subprocess.Popen[bytes]:
        """Begins to send."""
        words, said = self.command(job)
        log = (job.at.folder / f"{job.source.name}.client.log").open("ab")
        with log:
            client = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=job.at.folder)
        assert client.stdin is not None
        client.stdin.write(said.encode())
        client.stdin.close()
        return client


def _sftp(*lines: str) -> Callable[[Job], Command]:
    """OpenSSH's sftp; in the lines `put` becomes `reput` when it is resumed."""

    def command(job: Job) -> Command:
        said = "".join(f"{line}\n" for line in lines).format(source=job.source, target=job.target)
        said = said.replace("put ", "reput ", 1) if job.resumed else said
        return ["sftp", *job.ssh, "-P", str(job.port), "-b", "-", f"{job.user}@127.0.0.1"], said

    return command


def _paramiko(way: str) -> Callable[[Job], Command]:
    def command(job: Job) -> Command:
        manner = f"{way}+" if job.resumed else way
        words = [str(job.port), job.user, job.key, manner, str(job.source), job.target]
        return [sys.executable, "-W", "ignore", str(_PARAMIKO), *words], ""

    return command


def _scp(*options: str) -> Callable[[Job], Command]:
    def command(job: Job) -> Command:
        target = job.target if "-O" not in options else str(job.at.place.inbox / job.source.name)
        words = ["scp", "-q", *options, *job.ssh, "-P", str(job.port), str(job.source)]
        return [*words, f"{job.user}@127.0.0.1:{target}"], ""

    return command


def _lftp(*settings: str) -> Callable[[Job], Command]:
    def command(job: Job) -> Command:
        ssh = " ".join(["ssh", "-a", "-x", *job.ssh, "-p", str(job.port), "-l", job.user])
        again = "-c " if job.resumed else ""
        folder, name = job.target.rsplit("/", 1)
        said = [
            *(f"set {setting}" for setting in ("net:max-retries 1", "xfer:log no", *settings)),
            f'set sftp:connect-program "{ssh}"',
            f"open sftp://{job.user}:@127.0.0.1:{job.port}",
            f"put {again}-O {folder} {job.source} -o {name}",
        ]
        return ["lftp", "--norc", "-c", "; ".join(said)], ""

    return command


def _rclone(*, aside: bool) -> Callable[[Job], Command]:
    """Its `copyto`; aside: under another name, and then its `moveto`, as versions before 1.63 do not do by themselves."""

    def command(job: Job) -> Command:
        server = (
            f":sftp,host=127.0.0.1,port={job.port},user={job.user},key_file={job.key},"
            "shell_type=none,md5sum_command=none,sha1sum_command=none:"
        )
        rclone = [
            "rclone",
            "--config",
            str(job.at.folder / "rclone.conf"),
            "--retries",
            "1",
            "--low-level-retries",
            "1",
        ]
        target = f"{server}{job.target}"
        if not aside:
            return [*rclone, "copyto", str(job.source), target], ""
        both = [
            [*rclone, "copyto", str(job.source), f"{target}.part"],
            [*rclone, "moveto", f"{target}.part", target],
        ]
        return ["sh", "-c", " && ".join(map(shlex.join, both))], ""

    return command


def _rsync(*options: str) -> Callable[[Job], Command]:
    def command(job: Job) -> Command:
        ssh = " ".join(["ssh", *job.ssh, "-p", str(job.port)])
        target = f"{job.user}@127.0.0.1:{job.at.place.inbox}/{job.source.name}"
        return ["rsync", *options, "-e", ssh, str(job.source), target], ""

    return command


def _smbclient(*lines: str) -> Callable[[Job], Command]:
    def command(job: Job) -> Command:
        # sent anew also when it is resumed: smbclient's `reput` leaves nothing but the rest (4.17)
        said = "; ".join(lines).format(source=job.source, name=job.source.name)
        words = [
            "smbclient",
            "-N",
            "-U",
            "nobody-here%",
            "-p",
            str(job.port),
            "//127.0.0.1/feeds",
            "-c",
            said,
        ]
        return words, ""

    return command


_RSYNC = ("-tp", "--chmod=F640")
_SFTP, _PYTHON = ("sftp", "openssh-client"), (sys.executable, "python3")
WAYS: tuple[Way, ...] = (
    Way("sftp put", "sftp", _SFTP, _sftp("put {source} {target}")),
    Way(
        "sftp put, rename",
        "sftp",
        _SFTP,
        _sftp("put {source} {target}.part", "rename {target}.part {target}"),
        aside=True,
    ),
    Way(
        "sftp put, rename -l (link, unlink)",
        "sftp",
        _SFTP,
        _sftp("put {source} {target}.filepart", "rename -l {target}.filepart {target}"),
        aside=True,
    ),
    Way("paramiko put", "sftp", _PYTHON, _paramiko("plain")),
    Way("paramiko rename (link, unlink)", "sftp", _PYTHON, _paramiko("rename"), aside=True),
    Way("paramiko posix_rename", "sftp", _PYTHON, _paramiko("posix_rename"), aside=True),
    Way("scp -s", "sftp", ("scp", "openssh-client"), _scp("-s")),
    Way("scp -O", "shell", ("scp", "openssh-client"), _scp("-O")),
    Way("lftp put", "sftp", ("lftp", "lftp"), _lftp("xfer:use-temp-file no")),
    Way("lftp put, use-temp-file", "sftp", ("lftp", "lftp"), _lftp("xfer:use-temp-file yes"), aside=True),
    Way("rclone copyto", "sftp", ("rclone", "rclone"), _rclone(aside=False)),
    Way("rclone copyto, moveto", "sftp", ("rclone", "rclone"), _rclone(aside=True), aside=True),
    Way("rsync", "shell", ("rsync", "rsync"), _rsync(*_RSYNC), aside=True),
    Way(
        "rsync --partial-dir",
        "shell",
        ("rsync", "rsync"),
        _rsync(*_RSYNC, "--partial-dir=.rsync-partial"),
        aside=True,
    ),
    Way("rsync --partial", "shell", ("rsync", "rsync"), _rsync(*_RSYNC, "--partial")),
    Way("rsync --inplace", "shell", ("rsync", "rsync"), _rsync(*_RSYNC, "--inplace")),
    Way("smbclient put", "smb", ("smbclient", "smbclient"), _smbclient("put {source} {name}")),
    Way(
        "smbclient put, rename",
        "smb",
        ("smbclient", "smbclient"),
        _smbclient("put {source} {name}.part", "rename {name}.part {name}"),
        aside=True,
    ),
)
FAST = ("sftp put", "sftp put, rename", "paramiko rename (link, unlink)", "paramiko posix_rename")
