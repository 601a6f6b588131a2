"""A host of its own: systemd boots in a container over a copy-on-write view of this machine's files."""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCE, WHEELS, VENV = "/srv/source", "/srv/wheels", "/srv/venv"  # where the container finds them
_UNWANTED = ("smbd", "nmbd", "samba-ad-dc", "postgresql", "networking", "exim4", "cron")
_PACKAGES = ("systemd-container", "python3-systemd", "python3-venv", "openssh-server", "openssh-client")


@dataclass(frozen=True)
class Box:
    """A container that runs."""

    leader: int  # the process that is number 1 inside

    def run(self, *command: str, check: bool = True, timeout: float = 120) -> str:
        """Runs a command inside; what it printed on both streams."""
        done = subprocess.run(
            [
                "nsenter",
                "-t",
                str(self.leader),
                "-a",
                "env",
                "-i",
                f"PATH={os.defpath}:/usr/sbin:/sbin",
                *command,
            ],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )
        assert not check or done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}"
        return done.stdout.strip()

    def shell(self, script: str, *, check: bool = True, timeout: float = 120) -> str:
        """Runs a script of bash inside."""
        return self.run("bash", "-c", script, check=check, timeout=timeout)

    def install(self, *options: str, check: bool = True) -> str:
        """Runs install.sh inside, as an operator does."""
        return self.run(f"{SOURCE}/deploy/install.sh", "--wheels", WHEELS, *options, check=check, timeout=300)

    def show(self, name: str, unit: str = "stockgrip.service") -> str:
        """A property of a unit."""
        return self.run("systemctl", "show", "-P", name, unit)

    def exists(self, path: str) -> bool:
        """Whether something is there."""
        return self.run("bash", "-c", 'test -e "$0" -o -L "$0" && echo yes || echo no', path) == "yes"


def until(true: Callable[[], object], seconds: float, what: str, every: float = 0.02) -> float:
    """Waits for something, and says how long it took."""
    begun = time.monotonic()
    while not true():
        assert time.monotonic() - begun < seconds, f"not within {seconds:g} s: {what}"
        time.sleep(every)
    return time.monotonic() - begun


def collect_wheels(folder: Path) -> Path:
    """The wheels of this source; kept in build/, so that only what changed is made anew."""
    done = subprocess.run(
        [ROOT / "deploy" / "wheels.sh", folder], check=False, capture_output=True, text=True, timeout=600
    )
    if done.returncode:
        pytest.skip(f"wheels cannot be collected: {done.stderr.strip().splitlines()[-1:]}")
    return folder


def cannot() -> str | None:
    """Why no container can be had here."""
    if os.geteuid() != 0:
        return "needs root"
    if not shutil.which("systemd-nspawn"):
        return "systemd-nspawn is not there (apt-get install systemd-container)"
    for name in _PACKAGES:
        done = subprocess.run(
            ["dpkg-query", "-W", "-f", "${db:Status-Abbrev}", name],
            check=False,
            capture_output=True,
            text=True,
        )
        if not done.stdout.startswith("ii"):
            return f"needs the package {name}, which the container has from this host"
    return None


@contextlib.contextmanager
def booted(wheels: Path) -> Iterator[Box]:
    """Boots a container; it and all that was written in it are gone afterwards."""
    if why := cannot():
        pytest.skip(why)
    base = Path(tempfile.mkdtemp(prefix="stockgrip-box-"))
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, base, ignore_errors=True)
        _mount(stack, "tmpfs", "size=6g", base)
        for name in ("upper", "work", "root"):
            (base / name).mkdir()
        root = base / "root"
        _mount(stack, "overlay", f"lowerdir=/,upperdir={base}/upper,workdir={base}/work", root)
        for name in _UNWANTED:
            link = root / "etc/systemd/system" / f"{name}.service"
            link.unlink(missing_ok=True)
            link.symlink_to("/dev/null")
        binds = {ROOT: SOURCE, wheels: WHEELS, Path(sys.prefix): VENV}
        command = [
            "systemd-nspawn",
            "--boot",
            f"--directory={root}",
            f"--machine=stockgrip-{os.getpid()}",
            "--private-network",
        ]
        command += [
            "--register=no",
            "--keep-unit",
            "--link-journal=no",
            "--resolv-conf=off",
            "--console=read-only",
        ]
        command += [f"--bind-ro={here}:{there}" for here, there in binds.items()]
        output = stack.enter_context((base / "console").open("w+b"))
        container = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True
        )
        stack.callback(_end, container)
        yield Box(_leader(container, base / "console"))


def _mount(stack: contextlib.ExitStack, kind: str, options: str, place: Path) -> None:
    done = subprocess.run(
        ["mount", "-t", kind, "-o", options, kind, place], check=False, capture_output=True, text=True
    )
    if done.returncode:
        pytest.skip(f"{kind} cannot be mounted here: {done.stderr.strip()}")
    stack.callback(subprocess.run, ["umount", "--lazy", place], check=True)


def _leader(container: subprocess.Popen[bytes], console: Path) -> int:
    children = Path(f"/proc/{container.pid}/task/{container.pid}/children")
    for _ in range(300):
        if container.poll() is not None:
            pytest.skip(f"no container boots here: {console.read_text(errors='replace').strip()[-300:]}")
        for leader in children.read_text().split():
            done = subprocess.run(
                ["nsenter", "-t", leader, "-a", "systemctl", "is-system-running"],
                check=False,
                capture_output=True,
                text=True,
            )
            if done.stdout.strip() in ("running", "degraded"):
                return int(leader)
        time.sleep(0.1)
    pytest.skip(f"the container is not up after 30 s: {console.read_text(errors='replace').strip()[-300:]}")


def _end(container: subprocess.Popen[bytes]) -> None:
    container.terminate()
    try:
        container.wait(20)
    except subprocess.TimeoutExpired:
        container.kill()
        container.wait()
