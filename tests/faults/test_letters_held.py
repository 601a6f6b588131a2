"""Mail servers that are silent, drip or come back late, and a clock that is set meanwhile: no letter is lost, none twice."""

import time
from pathlib import Path

import pytest
from e2e.harness import Place, put, until
from e2e.test_clock import LIBRARIES
from support.http import free_port
from support.mail import Mailbox, mail_server, stalling_server

from faults.trial import Trial, names_of

pytestmark = pytest.mark.faults

REFUSED = "unknown_20250301.csv"


def _refused(place: Place) -> None:
    """A file that no feed owns: somebody is to be told."""
    put(place.inbox, REFUSED, b"a,b\n1,2\n")


def _told(box: Mailbox, place: Place, within: float) -> float:
    """Waits for the letter about it; how long that took."""
    begun = time.monotonic()
    until(lambda: box.letters, within, lambda: f"a letter; {place.processes[-1].tail()}")
    return time.monotonic() - begun


@pytest.fixture
def silent(sqlite_place: Place, record_property) -> Trial:
    """A trial whose mail server is not there yet."""
    return Trial(sqlite_place, Mailbox(free_port()), record_property)


def _is_well(trial: Trial, box: Mailbox) -> None:
    assert trial.daemon.stop() == 0
    assert len(box.letters) == len(set(box.ids)) == 1, box.subjects
    place = trial.place
    place.assert_clean()
    assert all(place.loaded(name) for name in trial.rows)
    assert place.scalar("SELECT COUNT(*) FROM live_sales_data") == sum(trial.rows.values())
    assert place.scalar("SELECT COUNT(*) FROM letters WHERE sent_at IS NULL AND channel = 'mail'") == 0


@pytest.mark.parametrize("drip", [b"", b"2"], ids=["silent", "dripping"])
def test_mail_server_that_does_not_answer(sqlite_place: Place, record_property, drip: bytes) -> None:
    """Deliveries do not wait for it; its letter goes out when it is well again."""
    with stalling_server(drip) as (port, came):
        trial = Trial(sqlite_place, Mailbox(port), record_property)
        daemon = trial.run(
            alerts__group_seconds=0, alerts__mail__timeout_seconds=2, alerts__mail__deadline_seconds=3
        )
        _refused(sqlite_place)
        assert came.wait(20), "the courier is at the mail server"
        for name in names_of(5):
            begun = time.monotonic()
            trial.send(name)
            sqlite_place.wait_loaded(name)
            assert time.monotonic() - begun < 2
        daemon.wait_said("letter_failed", channel="mail")
    trial.over()
    with mail_server(port) as box:
        _told(box, sqlite_place, 30)
        trial.wait_recovered()
        daemon.wait_said("letters_flowing")
        _is_well(trial, box)
    record_property("letters", 1)


def test_clock_is_set_back_while_letters_wait(silent: Trial) -> None:
    """By three days: what is to be tried again in seconds is not put off for days."""
    if not LIBRARIES:
        pytest.skip("libfaketime is not installed; run: apt-get install --no-install-recommends faketime")
    place, offset = silent.place, silent.place.folder / "clock"
    offset.write_text("+0")
    daemon = silent.run(
        alerts__group_seconds=0,
        settle__watch="poll",
        settle__poll_seconds=0.3,
        LD_PRELOAD=str(LIBRARIES[0]),
        FAKETIME_TIMESTAMP_FILE=str(offset),
        FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
        NO_FAKE_STAT="1",
    )
    silent.send(*names_of(1))
    _refused(place)
    daemon.wait_said("letter_failed", channel="mail")
    _set(offset, "-3d")
    silent.over()
    silent.send(*names_of(1, "g"))
    silent.wait_recovered()
    daemon.wait_said("clock_jumped")
    with mail_server(silent.box.port) as box:
        _told(box, place, 60)
        _is_well(silent, box)


def _set(offset: Path, to: str) -> None:
    aside = offset.with_suffix(".new")
    aside.write_text(to)
    aside.replace(offset)
