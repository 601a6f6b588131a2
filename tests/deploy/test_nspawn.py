"""The service on a host of its own: installed, killed, hung, reloaded, stopped, failed, removed. Minutes long."""

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from deploy.box import ROOT, SOURCE, VENV, Box, until

pytestmark = pytest.mark.faults

DATA = "/var/lib/stockgrip/data"
# what the program has left behind
LEFT = "find /etc /opt /usr /var /run -iname '*stockgrip*' -not -path '/var/log/*' -not -path /run/stockgrip-install.lock"
Record = Callable[[str, object], None]


def is_up(box: Box, than: str = "") -> bool:
    """Whether the program has said that it is ready; not the process of before."""
    found = box.run("systemctl", "show", "-p", "ActiveState", "-p", "MainPID", "stockgrip")
    state = dict(line.split("=") for line in found.splitlines())
    return state["ActiveState"] == "active" and state["MainPID"] not in ("0", than)


def rows(box: Box, table: str = "live_sales_data") -> int:
    """How many rows a table has."""
    python = "/opt/stockgrip/current/bin/python"
    code = f"import sqlite3; print(sqlite3.connect('{DATA}/stockgrip.db').execute('SELECT count(*) FROM {table}').fetchone()[0])"
    return int(box.run(python, "-c", code))


def log(box: Box) -> str:
    """What the program and systemd said."""
    return box.run("journalctl", "-u", "stockgrip", "-o", "cat", "--no-pager")


def sales(number: int, name: str) -> str:
    """A script that drops a file of sales as a sender does: under another name, then renamed."""
    return f"""
      cd {DATA}/live_feeds
      {{ head -n 1 /tmp/sales.csv; tail -n +2 /tmp/sales.csv | head -n 1 | awk '{{ for (n = 0; n < {number}; n++) print }}'; }} > .{name}
      chmod 0640 .{name} && mv .{name} {name}"""


def prepare(box: Box) -> None:
    box.run(
        "bash",
        "-c",
        "/opt/stockgrip/current/bin/stockgrip sample --days 1 /tmp/sample && cp /tmp/sample/sales_data_*.csv /tmp/sales.csv",
    )


def test_from_installing_to_removing(box: Box, record_property: Record) -> None:
    said = box.install()
    assert is_up(box), said
    assert box.install().splitlines()[-1].endswith("is in use, and runs")
    assert box.show("NRestarts") == "0"
    assert "0 waiting" in box.show("StatusText")
    assert box.run("stat", "-c", "%a %U %G", f"{DATA}/live_feeds") == "2770 stockgrip stockgrip-senders"
    prepare(box)

    # a file
    box.shell(sales(3, "sales_data_20260105_a.csv"))
    loading = until(lambda: rows(box) == 3, 20, "the file is loaded")

    # killed: the fastest of some, for this machine may be busy with other things
    back = []
    for _ in range(4):
        died = box.show("MainPID")
        box.run("kill", "-9", died)
        back.append(until(lambda died=died: is_up(box, died), 30, "back after kill -9"))  # type: ignore[misc]
        time.sleep(0.5)
    busy = max(
        1.0, os.getloadavg()[0] / (os.cpu_count() or 1)
    )  # others at work on this machine take their share
    assert min(back) <= 2.0 * busy, (back, busy)

    # hung
    hung = box.show("MainPID")
    box.run("kill", "-STOP", hung)
    restart = until(lambda: is_up(box, hung), 40, "restarted by the watchdog")
    assert restart <= 15, restart
    assert "Failed with result 'watchdog'" in log(box)

    # reloaded: the same process, with the new configuration, and with the old one if the new one is wrong
    same = box.show("MainPID")
    config = "/etc/stockgrip/config.yaml"
    box.shell(f"echo 'settle: {{quiet_seconds: 0.5}}' >> {config} && systemctl reload stockgrip")
    box.shell(f"cp {config} /tmp/good && echo 'nonsense: 1' >> {config} && systemctl reload stockgrip")
    until(lambda: "nonsense" in log(box), 20, "the wrong configuration is told")
    box.shell(f"cat /tmp/good > {config} && systemctl reload stockgrip")
    assert (box.show("MainPID"), is_up(box)) == (same, True)

    # stopped in the midst of a file: it is finished first
    box.shell(sales(300_000, "sales_data_20260106_a.csv"))
    until(lambda: not box.exists(f"{DATA}/live_feeds/sales_data_20260106_a.csv"), 20, "the file is taken")
    begun = time.monotonic()
    box.run("systemctl", "stop", "stockgrip")
    stopping = time.monotonic() - begun
    assert (box.show("Result"), rows(box)) == ("success", 300_003)
    assert box.shell(f"ls -A {DATA}/live_feeds; find {DATA}/.work -type f -name 'sales*'") == ""
    box.run("systemctl", "start", "stockgrip")

    # removed; what is not the program's stays, and installing again takes it up
    box.install("--uninstall")
    for gone in ("/opt/stockgrip", "/usr/local/bin/stockgrip", "/etc/systemd/system/stockgrip.service"):
        assert not box.exists(gone), gone
    assert "could not be found" in box.run("systemctl", "status", "stockgrip", check=False)
    box.install()
    assert (is_up(box), rows(box)) == (True, 300_003)
    box.install("--uninstall", "--purge")
    assert box.shell(LEFT) == ""
    assert box.shell("getent passwd stockgrip; getent group stockgrip stockgrip-senders", check=False) == ""

    record_property("seconds", f"{min(back):.1f}")
    print(  # noqa: T201  (pytest -s shows it)
        f"\nloaded after {loading:.1f} s; kill -9 to ready {min(back):.2f} to {max(back):.2f} s; "
        f"hang to ready {restart:.1f} s; stop in the midst of 300,000 rows {stopping:.1f} s"
    )


def test_a_sender_may_drop_files_and_nothing_else(box: Box) -> None:
    box.install()
    prepare(box)
    box.shell(
        """ssh-keygen -q -t ed25519 -N '' -f /root/box-key
        useradd --gid stockgrip-senders --no-create-home --home-dir / --shell /usr/sbin/nologin shop7
        install -m 0644 /root/box-key.pub /etc/ssh/stockgrip-senders/shop7"""
    )
    until(lambda: box.run("systemctl", "is-active", "ssh", check=False) == "active", 20, "sshd runs")
    options = "-i /root/box-key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o BatchMode=yes"
    put = "put /tmp/sales.csv live_feeds/.x.part\\nrename live_feeds/.x.part live_feeds/sales_data_20260105_shop7.csv"
    box.shell(f"printf '{put}\\n' | sftp -q {options} -b - shop7@127.0.0.1")
    until(lambda: rows(box) > 0, 20, "the upload is loaded")

    for script in (
        "ls data",
        "ls data/processed",
        "put /tmp/sales.csv data/x.csv",
        "put /tmp/sales.csv x.csv",
    ):
        refused = box.shell(f"echo '{script}' | sftp -q {options} -b - shop7@127.0.0.1 2>&1", check=False)
        assert "ermission denied" in refused, (script, refused)
    assert "sftp connections only" in box.shell(f"ssh {options} shop7@127.0.0.1 id", check=False)
    forward = box.shell(f"timeout 10 ssh {options} -W 127.0.0.1:9464 shop7@127.0.0.1", check=False)
    assert "prohibited" in forward or "disabled" in forward, forward
    closed = r'close "/live_feeds/\.x\.part" bytes read 0 written \d+'
    until(
        lambda: re.search(closed, box.run("journalctl", "-t", "internal-sftp", "-o", "cat")),
        10,
        "logged",
        0.2,
    )

    # its account outlives the program: without our drop-in it could do more than drop files
    assert "would be ordinary ones" in box.install("--uninstall")
    assert box.exists("/etc/ssh/sshd_config.d/50-stockgrip.conf")
    until(
        lambda: "currently used" not in box.run("userdel", "shop7", check=False),
        20,
        "its session has ended",
        0.2,
    )
    box.install("--uninstall")
    assert not box.exists("/etc/ssh/sshd_config.d/50-stockgrip.conf")


def test_the_debian_package_does_the_same(box: Box, package: Path) -> None:
    deb = f"{SOURCE}/{package.relative_to(ROOT)}"
    box.run("dpkg", "--install", deb, timeout=300)
    assert is_up(box)
    assert box.run("dpkg-query", "-W", "-f", "${Status}", "stockgrip-live") == "install ok installed"
    assert box.run("systemctl", "is-enabled", "stockgrip") == "enabled"
    assert "the Debian package stockgrip-live is installed here" in box.install(check=False)
    prepare(box)
    box.shell(sales(3, "sales_data_20260105_a.csv"))
    until(lambda: rows(box) == 3, 20, "the file is loaded")
    box.shell("echo '# mine' >> /etc/stockgrip/config.yaml")
    box.run("dpkg", "--install", "--force-confold", deb, timeout=300)  # as an upgrade
    assert is_up(box)

    box.run("dpkg", "--remove", "stockgrip-live")
    assert not box.exists("/opt/stockgrip")
    assert box.exists(f"{DATA}/stockgrip.db")
    assert "# mine" in box.run("cat", "/etc/stockgrip/config.yaml")
    box.run("dpkg", "--install", "--force-confold", deb, timeout=300)
    assert (is_up(box), rows(box)) == (True, 3)
    box.run("dpkg", "--purge", "stockgrip-live")
    assert box.shell(LEFT) == ""


@pytest.mark.skipif(not shutil.which("lintian"), reason="lintian is not installed")
def test_lintian_finds_no_errors(package: Path) -> None:
    done = subprocess.run(
        ["lintian", "--fail-on", "error", package], check=False, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout


def test_a_release_that_does_not_start_is_taken_back(box: Box) -> None:
    box.install()
    prepare(box)
    box.shell(sales(3, "sales_data_20260105_a.csv"))
    until(lambda: rows(box) == 3, 20, "the file is loaded")
    good = box.run("readlink", "/opt/stockgrip/current")
    box.run(f"{VENV}/bin/python", f"{SOURCE}/tests/deploy/broken.py", "/srv/wheels", "/var/tmp/broken")

    said = box.run(f"{SOURCE}/deploy/install.sh", "--wheels", "/var/tmp/broken", check=False, timeout=300)

    assert "broken on purpose" in said
    assert "did not become ready: going back" in said
    assert "the tables were changed: going back to" in said
    assert "runs again" in said
    assert box.run("readlink", "/opt/stockgrip/current") == good
    assert is_up(box)
    box.shell(sales(2, "sales_data_20260106_a.csv"))
    until(lambda: rows(box) == 5, 20, "the release before loads on")

    # a release that starts, with other tables; and the way back, which its tables forbid
    box.run(
        f"{VENV}/bin/python", f"{SOURCE}/tests/deploy/broken.py", "/srv/wheels", "/var/tmp/newer", "--works"
    )
    said = box.run(f"{SOURCE}/deploy/install.sh", "--wheels", "/var/tmp/newer", timeout=300)
    assert "release 9.9.9-newer runs" in said
    assert box.run("readlink", "/opt/stockgrip/current") == "releases/9.9.9-newer"
    said = box.install("--rollback", check=False)
    assert "cannot read the tables" in said
    assert (is_up(box), rows(box)) == (True, 5)


def test_a_service_that_fails_for_good_sends_a_letter(box: Box) -> None:
    box.install()
    box.shell(
        f"""systemd-run --quiet --unit=mailbox --property=StandardOutput=file:/var/tmp/letters \
          {VENV}/bin/python -u -m aiosmtpd -n -l 127.0.0.1:2525 -c aiosmtpd.handlers.Debugging stdout
        cat >> /etc/stockgrip/config.yaml <<'END'
alerts:
  mail: {{host: 127.0.0.1, port: 2525, security: none, sender: grip@example.org, to: [ops@example.org]}}
END
        install -D /dev/stdin /etc/systemd/system/stockgrip.service.d/soon.conf <<'END'
[Unit]
StartLimitBurst=4
END
        systemctl daemon-reload && systemctl reset-failed stockgrip && systemctl restart stockgrip"""
    )
    until(lambda: "2525" in box.run("ss", "-ltn"), 20, "the mail server listens")
    # a defect: whatever is started ends at once
    box.shell(
        "echo 'raise SystemExit(3)' >> /opt/stockgrip/current/lib/python3*/site-packages/daemon/watch/__init__.py; "
        "kill -9 $(systemctl show -P MainPID stockgrip)"
    )
    until(lambda: box.show("ActiveState") == "failed", 200, "it is given up", 0.5)
    until(lambda: "ops@example.org" in box.run("cat", "/var/tmp/letters"), 60, "a letter comes", 0.2)
    assert box.show("ExecMainStatus") == "3"
    letters = box.run("cat", "/var/tmp/letters")
    assert letters.count("Subject:") == 1
    assert "has failed and is not running" in letters
