"""What may lie in the inbox that is no file, or no file like the others; and names that nobody should choose."""

import os
import shutil
import socket
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from e2e.harness import sales, until

from faults.trial import Trial, names_of

FIRST, SECOND, THIRD = names_of(3)
_LOADED = {
    "right to left": "sales_data_20250301_\u202egpj.\u05d0\u05d1\u05d2.csv",
    "every sort of letter": "sales_data_20250301_\N{PILE OF POO} ' \" $(touch x) `id` ; & | \\ %s {}.csv",
    "255 bytes": "sales_data_20250301_" + "\u00e9" * 115 + "x.csv",
}
_REFUSED = {
    "newline": "sales_data_20250301_a\nb.csv",
    "ANSI": "sales_data_20250301_\x1b[2J\x1b[31mred\x1b]0;title\x07.csv",
    "not UTF-8": os.fsdecode(b"sales_data_20250301_\xff\xfe\xe9.csv"),
    "255 bytes, not UTF-8": os.fsdecode(b"sales_data_20250301_" + b"\xe9" * 231 + b".csv"),
}


@contextmanager
def _listening(path: Path) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as listener:
        here = Path.cwd()
        os.chdir(path.parent)  # a socket's path must be short
        try:
            listener.bind(path.name)
        finally:
            os.chdir(here)
        yield


def test_what_is_no_file(sqlite_trial: Trial, tmp_path: Path) -> None:
    """Left alone, said once each; nobody waits for a pipe, opens a device or follows a link."""
    trial, inbox = sqlite_trial, sqlite_trial.place.inbox
    secret = tmp_path / "secret.csv"
    secret.write_bytes(sales("SECRET"))
    paths = {
        kind: inbox / f"sales_data_20250302_{kind.replace(' ', '-')}.csv"
        for kind in (
            "fifo",
            "socket",
            "character device",
            "block device",
            "symlink",
            "dangling",
            "to folder",
            "folder",
        )
    }
    daemon = trial.run(settle__scan_seconds=0.5)
    os.mkfifo(paths["fifo"])
    os.mknod(paths["character device"], stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero, which never ends
    os.mknod(paths["block device"], stat.S_IFBLK | 0o600, os.makedev(7, 250))
    paths["symlink"].symlink_to(secret)
    paths["dangling"].symlink_to(tmp_path / "nothing")
    paths["to folder"].symlink_to(tmp_path)
    paths["folder"].mkdir()
    (paths["folder"] / "sales_data_20250301_inside.csv").write_bytes(sales("INSIDE"))
    with _listening(paths["socket"]):
        for path in paths.values():
            daemon.wait_said("entry_ignored", file=path.name)
        trial.over()
        trial.send(FIRST)
        trial.wait_recovered(5)
        daemon.wait_said("delivery_loaded", file=FIRST)
        time.sleep(1.2)  # two more looks
        for path in paths.values():
            assert len(daemon.said("entry_ignored", file=path.name)) == 1
            assert os.path.lexists(path)
    assert secret.exists()
    shutil.rmtree(paths.pop("folder"))
    for path in paths.values():
        path.unlink()
    trial.finish()


def _sparse(path: Path, size: int) -> None:
    with path.with_name(f".{path.name}").open("wb") as file:
        file.truncate(size)
    path.with_name(f".{path.name}").rename(path)


def test_ten_gigabytes_of_nothing(sqlite_trial: Trial) -> None:
    """Above `limits.max_file_bytes`: refused without being read, and it takes no room and no time."""
    trial, place = sqlite_trial, sqlite_trial.place
    daemon = trial.run(settle__grace_seconds=0.5)
    huge = "sales_data_20250302_huge.csv"
    _sparse(place.inbox / huge, 10 << 30)
    begun = time.monotonic()
    refused = daemon.wait_said("delivery_refused", file=huge)
    assert time.monotonic() - begun < 5
    assert refused["code"] == "too_large"
    assert "max_file_bytes" in refused["reason"]
    trial.over()
    trial.send(FIRST)
    trial.wait_recovered(5)
    assert daemon.stop() == 0
    assert place.loaded(FIRST)
    assert sorted(path.name for path in place.errors.iterdir()) == [huge, f"{huge}.reason.txt"]
    status = (place.errors / huge).stat()
    assert (status.st_size, status.st_blocks * 512 < 1 << 20) == (10 << 30, True)


@pytest.mark.faults
def test_ten_gigabytes_of_nothing_that_are_allowed(sqlite_trial: Trial) -> None:
    """Read once, in little memory, and refused for what it is."""
    trial, place = sqlite_trial, sqlite_trial.place
    daemon = trial.run(limits__max_file_bytes=20 << 30, settle__grace_seconds=0.5)
    huge = "sales_data_20250302_huge.csv"
    _sparse(place.inbox / huge, 10 << 30)
    refused = daemon.wait_said("delivery_refused", 120, file=huge)
    assert refused["code"] != "internal_error"
    peak = next(
        int(line.split()[1])
        for line in Path(f"/proc/{daemon.pid}/status").read_text().splitlines()
        if line.startswith("VmHWM:")
    )
    assert peak < 600_000, f"{peak} kB"
    trial.over()
    trial.send(FIRST)
    trial.wait_recovered()
    assert daemon.stop() == 0


@pytest.mark.faults
def test_file_that_the_daemon_may_not_read(sqlite_trial: Trial) -> None:
    """Mode 000: it stays where it is, the others are loaded, and it is loaded as soon as its mode is mended."""
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv is not installed; run: apt-get install util-linux")
    trial, inbox = sqlite_trial, sqlite_trial.place.inbox
    less = "-dac_override,-dac_read_search"  # root like any other user
    daemon = trial.run(wrap=("setpriv", f"--bounding-set={less}", f"--inh-caps={less}", "--"))
    closed = inbox / f".{FIRST}"
    closed.write_bytes(trial.content(FIRST))
    closed.chmod(0)
    closed.rename(inbox / FIRST)
    trial.send(SECOND)
    trial.place.wait_loaded(SECOND)
    daemon.wait_said("delivery_unreadable")
    assert trial.place.waiting() == [FIRST]
    (inbox / FIRST).chmod(0o640)
    trial.over()
    trial.wait_recovered()
    trial.finish()


def test_names_that_nobody_should_choose(sqlite_trial: Trial) -> None:
    """Loaded, or refused for the name and kept whole; never in the way of a log line, a shell or the archive."""
    trial, place = sqlite_trial, sqlite_trial.place
    daemon = trial.run()
    sent = {}
    for number, (what, name) in enumerate({**_LOADED, **_REFUSED}.items()):
        sent[what] = sales(f"ODD{number}")
        (place.inbox / ".upload").write_bytes(sent[what])
        (place.inbox / ".upload").rename(place.inbox / name)
    until(lambda: sum(bool(row["archive_path"]) for row in place.ledger()) == len(sent), 20, daemon.tail)
    trial.send(FIRST)
    place.wait_loaded(FIRST, seconds=5)
    assert daemon.stop() == 0
    place.assert_clean()
    by_bytes = {(place.data / row["archive_path"]).read_bytes(): row for row in place.ledger()}
    for what, content in sent.items():
        row = by_bytes[content]
        archived = Path(row["archive_path"]).name
        assert archived.isprintable(), what
        assert row["status"] == ("success" if what in _LOADED else "failed"), what
        if what in _REFUSED:
            assert row["error_details"] is not None
            assert (place.errors / f"{archived}.reason.txt").exists(), what
    assert {line["code"] for line in daemon.said("delivery_refused")} == {"unroutable"}
    assert place.scalar("SELECT COUNT(*) FROM live_sales_data") == 3 * len(_LOADED) + 5
    assert all(byte >= 0x20 or byte == 0x0A for byte in daemon.log.read_bytes())
