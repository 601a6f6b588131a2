"""What sshd says of uploads: which of them broke off, whatever their names are, also across a rotation of the log."""

import os
from pathlib import Path

import pytest

from daemon.events import Event
from daemon.inbox import Inbox, folder, sftp_log
from daemon.inbox.sftp_log import SftpLog
from daemon.settings import SettleSettings

NAME = "sales_data_20250301.csv"
WHO = "Nov 23 13:07:28 shop internal-sftp[19701]: "
CUT = f'forced close "/live_feeds/{NAME}" bytes read 0 written 261120'


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "sftp.log"
    file.touch()
    return file


def say(log: Path, *lines: str) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.writelines(f"{WHO}{line}\n" for line in lines)


def test_what_broke_off_since_the_last_look(log):
    say(log, CUT)
    seen = SftpLog(log, "live_feeds")
    assert seen.broken_off() == set(), "what is older may speak of another file"
    say(log, "session opened for local user shop7 from [127.0.0.1]", CUT)
    assert seen.broken_off() == {NAME}
    assert seen.broken_off() == set()


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        ([CUT.replace("/live_feeds/", "live_feeds/")], {NAME}),
        ([CUT.replace("/live_feeds/", "/srv/x/live_feeds/")], {NAME}),
        ([CUT, f'open "/live_feeds/{NAME}" flags WRITE,APPEND,CREATE mode 0644'], set()),
        ([CUT, f'close "/live_feeds/{NAME}" bytes read 0 written 5'], set()),
        ([CUT, f'open "/live_feeds/{NAME}" flags READ mode 0666'], {NAME}),
        ([CUT.replace("written 261120", "written 0")], set()),  # it was being fetched
        ([CUT.replace("live_feeds", "outbox")], set()),
        ([CUT.replace("forced close", "close")], set()),
        ([r'forced close "/live_feeds/\303\244 b"q.csv" bytes read 0 written 7'], {'ä b"q.csv'}),
        ([r'forced close "/live_feeds/\377.csv" bytes read 0 written 7'], {os.fsdecode(b"\xff.csv")}),
        # names that would like to be lines
        ([f'stat name "/live_feeds/x {WHO}{CUT}"'], set()),
        ([f'open "/live_feeds/internal-sftp[1]: {CUT}" flags WRITE,CREATE mode 0644'], set()),
        ([f'realpath "internal-sftp[1]: forced close "/live_feeds/{NAME}" bytes read 0 written 1'], set()),
    ],
)
def test_lines(log, lines, names):
    seen = SftpLog(log, "live_feeds")
    seen.broken_off()
    say(log, *lines)
    assert seen.broken_off() == names


def test_rotated_cut_short_and_half_written(log):
    seen = SftpLog(log, "live_feeds")
    seen.broken_off()
    say(log, CUT.replace(NAME, "a.csv"))
    assert seen.broken_off() == {"a.csv"}
    log.rename(log.with_suffix(".1"))
    say(log, CUT.replace(NAME, "b.csv"))
    assert seen.broken_off() == {"b.csv"}
    os.truncate(log, 0)
    assert seen.broken_off() == set()
    say(log, CUT.replace(NAME, "c.csv"))
    assert seen.broken_off() == {"c.csv"}
    with log.open("a") as file:
        file.write(f"{WHO}{CUT}"[:60])
        file.flush()
        assert seen.broken_off() == set()
        file.write(f"{WHO}{CUT}"[60:] + "\n")
    assert seen.broken_off() == {NAME}


def test_a_log_that_cannot_be_read_is_said_once(log, monkeypatch):
    said = []
    monkeypatch.setattr(sftp_log, "emit", lambda event, **fields: said.append((event, fields["error"])))
    log.unlink()
    seen = SftpLog(log, "live_feeds")
    assert [seen.broken_off() for _ in range(3)] == [set()] * 3
    assert said == [(Event.SFTP_LOG_FAILED, "No such file or directory")]
    log.mkdir()
    seen.broken_off()
    assert said[1:] == [(Event.SFTP_LOG_FAILED, "it is no regular file")]
    log.rmdir()
    log.touch()
    seen.broken_off()
    say(log, CUT)
    assert seen.broken_off() == {NAME}


def test_a_cut_file_waits_for_its_sender_until_it_changes(log, tmp_path, monkeypatch):
    """Also one that was cut right behind a line, which nothing else could tell."""
    said, now = [], [0.0]
    monkeypatch.setattr(folder, "emit", lambda event, **fields: said.append((event, fields.get("reason"))))
    inbox = tmp_path / "live_feeds"
    inbox.mkdir()
    settle = SettleSettings(quiet_seconds=2, grace_seconds=10, sftp_log=log)
    here = Inbox(inbox, settle, clock=lambda: now[0])
    assert list(here.ready()) == []
    (inbox / NAME).write_bytes(b"header\nrow\n")
    here.scan()
    say(log, CUT)

    def after(seconds: float) -> list[str]:
        now[0] += seconds
        here.scan()
        return list(here.ready())

    assert after(3) == after(20) == after(600) == []
    assert said[1:] == [(Event.DELIVERY_WAITING, "broken_off")]
    assert here.held == {NAME: "broken_off"}
    (inbox / NAME).chmod(0o600)
    assert after(20) == after(20) == [], "a chmod brings no bytes"
    with (inbox / NAME).open("ab") as file:
        file.write(b"row\n")
    assert after(0) == []
    assert after(3) == [NAME]
