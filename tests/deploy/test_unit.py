"""The files of deploy/ are sound: what systemd, the shell and their critics say, and a dry run that changes nothing."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
import yaml

from daemon.config import load_settings

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
SCRIPTS = ["install.sh", "wheels.sh", "stockgrip", "deb/build.sh"]
UNITS = [
    "stockgrip.service",
    "stockgrip-failed@.service",
    "stockgrip-litestream.service",
    "stockgrip-workflow.service",
    "stockgrip-workflow.timer",
    "var-lib-stockgrip-dev-log.mount",
]
CONFINED = ["stockgrip.service", "stockgrip-litestream.service"]

with_systemd = pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed"
)


def run(*command: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=120, **options)  # type: ignore[call-overload, no-any-return]


@pytest.fixture
def units(tmp_path: Path) -> list[Path]:
    """The units, with programs that are on this host: ours is not."""
    made = []
    for name in UNITS:
        unit = (DEPLOY / name).read_text("utf-8")
        path = tmp_path / name.replace("@.", "@some.")
        path.write_text(re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit, flags=re.MULTILINE))
        made.append(path)
    return made


@with_systemd
def test_systemd_finds_nothing_wrong(units: list[Path]) -> None:
    done = run("systemd-analyze", "verify", "--man=no", *units)
    about_them = [line for line in done.stderr.splitlines() if "stockgrip" in line]
    assert (done.returncode, about_them) == (0, [])


@with_systemd
@pytest.mark.parametrize("unit", CONFINED)
def test_the_service_is_confined(units: list[Path], unit: str) -> None:
    found = run("systemd-analyze", "security", "--help").stdout
    if "--threshold" not in found:
        pytest.skip("this systemd cannot judge a file")
    done = run(
        "systemd-analyze",
        "security",
        "--offline=true",
        "--threshold=12",
        "--no-pager",
        units[UNITS.index(unit)],
    )
    assert done.returncode == 0, done.stdout.splitlines()[-1:]


def test_the_copy_of_each_commit_is_of_our_database_and_to_where_the_unit_may_write() -> None:
    """Litestream itself is not asked: it is another program, and nobody has to have it."""
    found = yaml.safe_load((DEPLOY / "litestream.yml").read_text("utf-8"))
    [database] = found["dbs"]
    settings = load_settings(DEPLOY / "config.yaml")
    assert f"sqlite:///{database['path']}" == settings.database_url
    unit = (DEPLOY / "stockgrip-litestream.service").read_text("utf-8")
    assert f"ReadWritePaths={settings.data_dir} -{database['replica']['path']}" in unit
    package = (DEPLOY / "deb" / "build.sh").read_text("utf-8")
    assert '"$deploy"/*.service' not in package  # an example is not to be a unit that is there


def test_the_service_says_what_the_program_needs() -> None:
    unit = (DEPLOY / "stockgrip.service").read_text("utf-8")
    for line in (
        "Type=notify",
        "ExecStart=/opt/stockgrip/current/bin/stockgrip --config /etc/stockgrip/config.yaml run",
        "ExecReload=/bin/kill -HUP $MAINPID",
        "WatchdogSec=10",
        "Restart=always",
        "AmbientCapabilities=CAP_LEASE",
        "LogRateLimitIntervalSec=30s",
        "LogRateLimitBurst=200000",
    ):
        assert f"\n{line}\n" in unit


@pytest.mark.parametrize("script", SCRIPTS)
def test_the_shell_can_read_it(script: str) -> None:
    shell = "sh" if "#!/bin/sh" in (DEPLOY / script).read_text("utf-8")[:20] else "bash"
    assert run(shell, "-n", DEPLOY / script).stderr == ""


@pytest.mark.skipif(not shutil.which("shellcheck"), reason="shellcheck is not installed")
def test_shellcheck_finds_nothing_wrong() -> None:
    assert run("shellcheck", *(DEPLOY / script for script in SCRIPTS)).stdout == ""


def test_a_dry_run_says_what_it_would_do_and_changes_nothing(tmp_path: Path) -> None:
    """A wrong step would be told: nothing that could change a file can be found on the path."""
    tools = tmp_path / "bin"
    tools.mkdir()
    harmless = (
        "env",
        "bash",
        "dirname",
        "basename",
        "readlink",
        "cmp",
        "cat",
        "grep",
        "sed",
        "head",
        "find",
        "sort",
    )
    for name in (
        *harmless,
        "xargs",
        "sha256sum",
        "cut",
        "dpkg-query",
        "getent",
        "awk",
        "id",
        "tr",
        "paste",
        "sshd",
    ):
        if found := shutil.which(name, path=f"{os.defpath}:/usr/sbin"):
            (tools / name).symlink_to(found)
    for options in ([], ["--uninstall", "--purge"]):
        done = run(
            DEPLOY / "install.sh",
            "--dry-run",
            "--no-apt",
            *options,
            env={"PATH": str(tools), "PYTHON": "/none"},
        )
        if "these packages are missing" in done.stderr:
            continue  # nothing could be told
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        assert options or "would write: /etc/systemd/system/stockgrip.service" in done.stdout
        assert "command not found" not in done.stdout


def test_wrong_options_are_named() -> None:
    for options, said in (
        (["--frobnicate"], "unknown option: --frobnicate"),
        (["--wheels", "/nowhere"], "--wheels needs a folder that is there; got: /nowhere"),
        (["--purge"], "--purge goes with --uninstall only"),
        (["--ready-seconds", "soon"], "--ready-seconds needs a number of seconds; got: soon"),
    ):
        done = run(DEPLOY / "install.sh", "--dry-run", *options)
        assert (done.returncode, said in done.stderr) == (1, True), done.stderr


def test_a_release_is_named_after_its_version_and_its_content() -> None:
    found = run(DEPLOY / "wheels.sh", "--id").stdout.strip()
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert re.fullmatch(rf"{re.escape(version)}-[0-9a-f]{{10}}", found)


def test_the_servers_configuration_is_valid() -> None:
    settings = load_settings(DEPLOY / "config.yaml", {})
    assert str(settings.data_dir) == "/var/lib/stockgrip/data"
    folders = (DEPLOY / "tmpfiles.conf").read_text("utf-8")
    assert re.search(
        r"^d /var/lib/stockgrip/data/live_feeds +2770 stockgrip stockgrip-senders$", folders, re.MULTILINE
    )


@pytest.mark.skipif(not Path("/usr/sbin/sshd").exists(), reason="sshd is not installed")
def test_sshd_accepts_its_part(tmp_path: Path) -> None:
    (tmp_path / "key").unlink(missing_ok=True)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "key")
    config = tmp_path / "sshd_config"
    config.write_text(f"HostKey {tmp_path}/key\nInclude {DEPLOY}/sshd.conf\n")
    done = run("/usr/sbin/sshd", "-t", "-f", config)
    assert "Bad configuration" not in done.stderr
    assert "line" not in done.stderr, done.stderr
