"""How files are found and when they count as complete: one daemon, real inotify, real uploads."""

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.together import SMALL
from e2e.harness import Place, Process, put, sales, until
from e2e.host import need_root

QUIET, GRACE = 0.4, 1.5
SFTP_SERVER = Path("/usr/lib/openssh/sftp-server")
SCAN_NEVER = "3600"  # so that what is seen is seen by events


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory, _databases) -> Iterator[tuple[Place, Process]]:
    """A daemon for all tests of this module; each uses names of its own."""
    folder = tmp_path_factory.mktemp("watched")
    with Place(folder, _databases.sqlite(folder)) as place:
        settle = {
            "settle__quiet_seconds": QUIET,
            "settle__grace_seconds": GRACE,
            "settle__scan_seconds": SCAN_NEVER,
        }
        yield place, place.run(**settle)


def _rows(place: Place, marker: str) -> int:
    return place.scalar(f"SELECT COUNT(*) FROM live_sales_data WHERE product_id LIKE '{marker}-%'")


def _since(begun: float) -> float:
    return time.monotonic() - begun


# ---- ways in which a whole file comes


def test_renamed_in(watched: tuple[Place, Process]) -> None:
    place, _ = watched
    begun = time.monotonic()
    put(place.inbox, "sales_data_20250301_renamed.csv", sales("RENAMED"))
    place.wait_loaded("sales_data_20250301_renamed.csv")
    assert QUIET <= _since(begun) < QUIET + 5


def test_hard_link_and_unlink(watched: tuple[Place, Process]) -> None:
    """OpenSSH's plain `rename`: the kernel says only that a file was created."""
    place, _ = watched
    temporary = place.inbox / "sales_data_20250301_linked.csv.filepart"
    temporary.write_bytes(sales("LINKED"))
    os.link(temporary, place.inbox / "sales_data_20250301_linked.csv")
    temporary.unlink()
    place.wait_loaded("sales_data_20250301_linked.csv")
    assert _rows(place, "LINKED") == 3


def test_temporary_name_waits_for_its_rename(watched: tuple[Place, Process]) -> None:
    place, daemon = watched
    names = [".hidden.csv", "sales_data_20250301_t.csv.part", "sales_data_20250301_t.csv.filepart", "~$x.csv"]
    for name in names:
        (place.inbox / name).write_bytes(sales("TEMPORARY"))
    put(place.inbox, "sales_data_20250301_sentinel.csv", sales("SENTINEL"))
    place.wait_loaded("sales_data_20250301_sentinel.csv")  # came later and is through
    assert set(names) <= set(place.waiting())
    assert not daemon.said("delivery_seen", file=names[1])
    (place.inbox / names[1]).rename(place.inbox / "sales_data_20250301_t.csv")
    place.wait_loaded("sales_data_20250301_t.csv")
    for name in (names[0], *names[2:]):
        (place.inbox / name).unlink()


def test_burst_of_three_hundred(watched: tuple[Place, Process]) -> None:
    place, _ = watched
    names = [f"sales_data_20250302_burst-{n}.csv" for n in range(300)]
    for n, name in enumerate(names):
        put(place.inbox, name, sales(f"BURST-{n}", 1))
    until(lambda: _rows(place, "BURST") == 300, 60)
    until(lambda: not place.claimed() and not place.waiting(), 10)


# ---- ways in which it comes bit by bit


def test_slow_copy_is_not_taken_while_open(watched: tuple[Place, Process]) -> None:
    """Also when the pauses are longer than the quiet period, and each part ends in a whole line."""
    place, daemon = watched
    name = "sales_data_20250301_slow.csv"
    header, *lines = sales("SLOW", 4).splitlines(keepends=True)
    with (place.inbox / name).open("wb", buffering=0) as writer:
        writer.write(header + lines[0])
        for line in lines[1:]:
            time.sleep(QUIET * 1.5)
            writer.write(line)
        assert place.waiting() == [name], "taken while somebody was writing it"
        assert daemon.said("delivery_waiting", file=name, reason="open_for_writing")
        time.sleep(QUIET * 1.5)
        assert place.waiting() == [name]
        closed = time.monotonic()
    place.wait_loaded(name)
    assert _since(closed) < QUIET + 3
    assert _rows(place, "SLOW") == 4


def test_opened_and_closed_again_and_again(watched: tuple[Place, Process]) -> None:
    """A sender that appends: each write begins the quiet period anew."""
    place, _ = watched
    name = "sales_data_20250301_appended.csv"
    header, *lines = sales("APPENDED", 6).splitlines(keepends=True)
    (place.inbox / name).write_bytes(header)
    for line in lines:
        time.sleep(QUIET / 2)
        with (place.inbox / name).open("ab") as writer:
            writer.write(line)
    place.wait_loaded(name)
    assert _rows(place, "APPENDED") == 6


@pytest.mark.parametrize(("tail", "reason"), [(b"", "no_final_newline"), (b"\0" * 512, "nul_tail")])
def test_cut_file_waits_the_grace_period(watched: tuple[Place, Process], tail: bytes, reason: str) -> None:
    place, daemon = watched
    name, marker = f"sales_data_20250301_{reason}.csv", reason.upper().replace("_", "")
    whole = sales(marker, 5)
    begun = time.monotonic()
    (place.inbox / name).write_bytes(whole[:-9] + tail)
    daemon.wait_said("delivery_waiting", file=name, reason=reason)
    (place.inbox / name).write_bytes(whole)  # the sender goes on within the grace period
    place.wait_loaded(name)
    assert _since(begun) >= QUIET
    assert _rows(place, marker) == 5


def test_cut_file_is_taken_after_the_grace_period(watched: tuple[Place, Process]) -> None:
    """A missing last newline is no fault; a NUL tail is."""
    place, daemon = watched
    begun = time.monotonic()
    put(place.inbox, "sales_data_20250301_bare.csv", sales("BARE", 2)[:-1])
    put(place.inbox, "sales_data_20250301_nul.csv", sales("NUL", 2) + b"\0" * 100)
    place.wait_loaded("sales_data_20250301_bare.csv")
    assert _since(begun) >= GRACE
    assert _rows(place, "BARE") == 2
    refused = daemon.wait_said("delivery_refused", file="sales_data_20250301_nul.csv")
    assert refused["code"] == "nul_tail"
    assert _since(begun) < GRACE + 5


def test_overwritten_after_it_was_complete(sqlite_place: Place) -> None:
    """It settled, but its turn comes only later: what lies there by then counts, and has to settle anew."""
    place, quiet = sqlite_place, 2.0
    first, second = "sales_data_20250301_1.csv", "sales_data_20250301_2.csv"
    put(place.inbox, first, sales("FIRST", 3_000))  # too large to be taken together with another
    put(place.inbox, second, sales("SECOND", 10))
    assert (place.inbox / first).stat().st_size > SMALL
    other = sqlite3.connect(place.url.removeprefix("sqlite:///"), isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    daemon = place.run(settle__quiet_seconds=quiet, database__busy_timeout_seconds="0.1", retry__attempts="1")
    daemon.wait_said("intake_paused")
    whole = sales("SECOND", 12)
    # an upload that broke off behind a whole line …
    (place.inbox / second).write_bytes(b"".join(whole.splitlines(keepends=True)[:5]))
    broken_off = time.monotonic()
    other.execute("ROLLBACK")
    other.close()
    place.wait_loaded(first)
    if (
        until(lambda: _since(broken_off) > quiet - 0.5 or daemon.said("delivery_claimed", file=second))
        is True
    ):
        (place.inbox / second).write_bytes(whole)  # … and is begun again
    place.wait_loaded(second)
    assert _rows(place, "SECOND") == 12, "half a file was taken, without a quiet period"
    assert daemon.stop() == 0


# ---- SFTP


def _sftp(*commands: str, kill_when: Path | None = None) -> int:
    """An upload by the real client and the real server, without a network; killed once a file has bytes."""
    if not SFTP_SERVER.exists() or shutil.which("sftp") is None:
        pytest.skip(
            "sftp is not installed; run: apt-get install --no-install-recommends openssh-client openssh-sftp-server"
        )
    limit = ["-l", "4000"] if kill_when else []  # kilobits a second
    client = subprocess.Popen(
        ["sftp", *limit, "-b", "-", "-D", str(SFTP_SERVER)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    assert client.stdin is not None
    client.stdin.write("".join(f"{command}\n" for command in commands).encode())
    if kill_when is None:
        client.stdin.close()
        return client.wait(30)
    client.stdin.flush()
    until(lambda: kill_when.exists() and kill_when.stat().st_size > 100_000, 10)
    client.kill()
    client.stdin.close()
    return client.wait(10)


@pytest.mark.parametrize("rename", [False, True])
def test_sftp_upload(watched: tuple[Place, Process], tmp_path: Path, rename: bool) -> None:
    place, _ = watched
    name, marker = f"sales_data_20250301_sftp{rename:d}.csv", f"SFTP{rename:d}"
    source = tmp_path / name
    source.write_bytes(sales(marker, 500))
    target = place.inbox / name
    commands = [f"put -p {source} {target}"]
    if rename:
        commands = [f"put {source} {target}.part", f"rename {target}.part {target}"]
    assert _sftp(*commands) == 0
    place.wait_loaded(name)
    assert _rows(place, marker) == 500


def test_killed_sftp_upload_and_its_resume(watched: tuple[Place, Process], tmp_path: Path) -> None:
    place, daemon = watched
    name = "sales_data_20250301_resumed.csv"
    source, target = tmp_path / name, place.inbox / name
    content = sales("RESUMED", 20_000, products=50)
    source.write_bytes(content)
    _sftp(f"put {source} {target}", kill_when=target)
    half = target.stat().st_size
    assert 0 < half < len(content)
    if not target.read_bytes().endswith(b"\n"):
        daemon.wait_said("delivery_waiting", file=name)
    assert _sftp(f"reput {source} {target}") == 0
    place.wait_loaded(name)
    assert _rows(place, "RESUMED") == 20_000
    assert [row["status"] for row in place.ledger(name)] == ["success"]


# ---- what is no delivery


def test_what_is_no_file_is_left_alone(watched: tuple[Place, Process], tmp_path: Path) -> None:
    place, daemon = watched
    secret = tmp_path / "secret.csv"
    secret.write_bytes(sales("SECRET"))
    entries = {
        kind: place.inbox / f"sales_data_20250301_{kind}.csv"
        for kind in ("symlink", "fifo", "socket", "folder")
    }
    entries["symlink"].symlink_to(secret)
    os.mkfifo(entries["fifo"])
    entries["folder"].mkdir()
    (entries["folder"] / "sales_data_20250301_inside.csv").write_bytes(sales("INSIDE"))
    with socket.socket(socket.AF_UNIX) as listener:
        os.chdir(place.inbox)  # a socket's path must be short
        try:
            listener.bind(entries["socket"].name)
        finally:
            os.chdir("/")
        for kind, path in entries.items():
            daemon.wait_said("entry_ignored", file=path.name, kind=kind)
        for _ in range(2):
            os.kill(daemon.pid, signal.SIGUSR1)
            put(place.inbox, "sales_data_20250301_after.csv", sales(f"AFTER{_}"))
            until(lambda n=_: _rows(place, f"AFTER{n}") == 3)
    for kind, path in entries.items():
        assert len(daemon.said("entry_ignored", file=path.name)) == 1, f"{kind}: said once"
        assert os.path.lexists(path)
    assert _rows(place, "SECRET") == _rows(place, "INSIDE") == 0
    shutil.rmtree(entries.pop("folder"))
    for path in entries.values():
        path.unlink()


def test_unreadable_file_waits_until_it_can_be_read(sqlite_place: Place) -> None:
    """As nobody: root may read everything."""
    need_root("a process is started as another user")
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed; run: apt-get install util-linux")
    place = sqlite_place
    subprocess.run(["chmod", "-R", "a+rwX", place.folder], check=True)
    os.chown(place.work, 65534, 65534)
    for parent in place.folder.parents:
        if parent.stat().st_mode & 0o005 != 0o005 and parent != Path("/"):
            parent.chmod(parent.stat().st_mode | 0o005)
    # a rename into .work needs no right to read: it must not be taken for that
    closed, manifested = "sales_data_20250301_closed.csv", "sales_data_20250301_manifested.csv"
    (place.inbox / closed).write_bytes(sales("CLOSED"))
    (place.inbox / closed).chmod(0o600)
    manifest = place.inbox / f"{manifested}.manifest.json"
    manifest.write_text('{"rows": 3}')
    manifest.chmod(0o600)
    put(place.inbox, manifested, sales("MANIFESTED"))
    put(place.inbox, "sales_data_20250301_open.csv", sales("OPEN"))
    daemon = place.run(wrap=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--"))
    said = daemon.wait_said("delivery_unreadable", file=closed)
    assert (said["mode"], said["uid"]) == ("0600", 0)
    said = daemon.wait_said("delivery_unreadable", file=manifested)
    assert said["path"] == str(manifest)
    place.wait_loaded("sales_data_20250301_open.csv")
    status = place.start("status", "--json")
    assert status.end() == 0
    assert status.result()["unreadable"] == [closed, manifest.name], "also when root asks"
    explained = place.start("explain", closed, "--json")
    assert explained.end() == 0
    told = json.loads(explained.out.read_text())["waiting"]
    assert told["why"] == ["unreadable"], told
    assert "chmod g+r" in told["next"][0]["command"]
    assert place.ledger(closed) == place.ledger(manifested) == []
    for _ in range(3):
        daemon.popen.send_signal(signal.SIGUSR1)  # looked at again, and nothing more is said of it
        put(place.inbox, f"sales_data_20250301_more{_}.csv", sales(f"MORE{_}"))
        place.wait_loaded(f"sales_data_20250301_more{_}.csv")
    assert len(daemon.said("delivery_unreadable")) == 2
    (place.inbox / closed).chmod(0o644)
    manifest.chmod(0o644)
    place.wait_loaded(closed, manifested, seconds=5)
    assert place.ledger(closed)[0]["waited"] == "unreadable"
    assert daemon.stop() == 0
    place.assert_clean()


# ---- the folder itself


def test_there_before_the_start(sqlite_place: Place) -> None:
    put(sqlite_place.inbox, "sales_data_20250301_a.csv", sales("A"))
    daemon = sqlite_place.run(settle__scan_seconds=SCAN_NEVER)
    sqlite_place.wait_loaded("sales_data_20250301_a.csv")
    assert daemon.stop() == 0


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_inbox_made_anew(sqlite_place: Place, tmp_path: Path, how: str) -> None:
    """It is noticed, watched again, and what lies in it by then is found."""
    place = sqlite_place
    daemon = place.run(settle__scan_seconds="1")
    put(place.inbox, "sales_data_20250301_a.csv", sales("A"))
    place.wait_loaded("sales_data_20250301_a.csv")
    if how == "removed":
        place.inbox.rmdir()
        daemon.wait_said("inbox_back")
    else:
        place.inbox.rename(tmp_path / "elsewhere")
        place.inbox.mkdir(exist_ok=True)
    daemon.wait_said("watcher_rebuilt")
    put(place.inbox, "sales_data_20250301_b.csv", sales("B"))
    place.wait_loaded("sales_data_20250301_b.csv")
    until(lambda: len(daemon.said("watcher_rebuilt")) == 1)
    if how == "replaced":
        put(tmp_path / "elsewhere", "sales_data_20250301_c.csv", sales("C"))
    put(place.inbox, "sales_data_20250301_d.csv", sales("D"))
    place.wait_loaded("sales_data_20250301_d.csv")
    assert daemon.stop() == 0
    assert _rows(place, "C") == 0


def test_scan_on_request(sqlite_place: Place) -> None:
    """No events, a scan in an hour: SIGUSR1 finds it."""
    place = sqlite_place
    daemon = place.run(settle__watch="poll", settle__poll_seconds=SCAN_NEVER)
    put(place.inbox, "sales_data_20250301_a.csv", sales("A"))
    time.sleep(0.5)
    assert place.waiting() == ["sales_data_20250301_a.csv"]
    daemon.popen.send_signal(signal.SIGUSR1)
    place.wait_loaded("sales_data_20250301_a.csv", seconds=10)
    assert daemon.stop() == 0


def test_ready_on_close_takes_it_at_once(sqlite_place: Place) -> None:
    place = sqlite_place
    daemon = place.run(settle__ready_on="close", settle__quiet_seconds=30, settle__grace_seconds=60)
    put(place.inbox, "sales_data_20250301_a.csv", sales("A"))
    place.wait_loaded("sales_data_20250301_a.csv", seconds=5)
    name = "sales_data_20250301_b.csv"
    header, *lines = sales("B", 3).splitlines(keepends=True)
    with (place.inbox / name).open("wb", buffering=0) as writer:
        for line in (header, *lines):
            writer.write(line)
            time.sleep(0.15)
        assert name in place.waiting()
    place.wait_loaded(name, seconds=5)
    assert _rows(place, "B") == 3
    # cut off: this one has to wait
    (place.inbox / "sales_data_20250301_c.csv").write_bytes(sales("C")[:-5])
    daemon.wait_said("delivery_waiting", file="sales_data_20250301_c.csv", reason="no_final_newline")
    put(place.inbox, "sales_data_20250301_d.csv", sales("D"))
    place.wait_loaded("sales_data_20250301_d.csv", seconds=5)
    assert place.waiting() == ["sales_data_20250301_c.csv"]
    assert daemon.stop() == 0
