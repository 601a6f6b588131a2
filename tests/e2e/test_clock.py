"""The system clock is set while the daemon runs: settling goes by a steady clock of its own."""

import os
import time
from pathlib import Path

import pytest
import time_machine

from daemon.inbox import Inbox
from daemon.settings import SettleSettings
from e2e.harness import Place, put, sales

LIBRARIES = [
    *Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"),
    *Path("/usr/lib").glob("faketime/libfaketimeMT.so.1"),
]


def test_clock_set_during_a_run(sqlite_place: Place) -> None:
    if not LIBRARIES:
        pytest.skip("libfaketime is not installed; run: apt-get install --no-install-recommends faketime")
    place, quiet = sqlite_place, 1.0
    offset = place.folder / "clock"
    offset.write_text("+0")
    daemon = place.run(
        settle__quiet_seconds=quiet,
        settle__watch="poll",
        settle__poll_seconds=0.3,
        LD_PRELOAD=str(LIBRARIES[0]),
        FAKETIME_TIMESTAMP_FILE=str(offset),
        FAKETIME_NO_CACHE="1",
        FAKETIME_DONT_FAKE_MONOTONIC="1",
        NO_FAKE_STAT="1",
    )
    for n, jump in enumerate(["-3d", "+20h"]):
        before, after = f"sales_data_20250301_before-{n}.csv", f"sales_data_20250301_after-{n}.csv"
        begun = time.monotonic()
        put(place.inbox, before, sales(f"BEFORE{n}"))
        daemon.wait_said("delivery_seen", file=before)
        aside = place.folder / "clock.new"
        aside.write_text(jump)
        aside.replace(offset)
        place.wait_loaded(before, seconds=10)
        assert quiet <= time.monotonic() - begun < quiet + 20, "the jump made it hurry or wait"
        begun = time.monotonic()
        put(place.inbox, after, sales(f"AFTER{n}"))
        place.wait_loaded(after, seconds=10)
        assert quiet <= time.monotonic() - begun < quiet + 20
        assert len(daemon.said("clock_jumped")) == n + 1
    assert daemon.stop() == 0
    place.assert_clean()


@pytest.mark.parametrize("days", [-400, 400])
def test_settling_does_not_look_at_the_wall_clock(tmp_path: Path, days: int) -> None:
    """Nor at what a sender says the file's time is (rsync -a, sftp -p)."""
    steady = [100.0]
    inbox = Inbox(tmp_path, SettleSettings(quiet_seconds=2, grace_seconds=10), clock=lambda: steady[0])
    (tmp_path / "sales_data_20250301.csv").write_bytes(sales("A"))
    os.utime(tmp_path / "sales_data_20250301.csv", (0, 0))
    with time_machine.travel(time.time(), tick=False) as wall:
        inbox.scan()
        wall.shift(days * 86_400)
        inbox.scan()
        assert list(inbox.ready()) == []
        steady[0] += 1.9
        inbox.scan()
        assert list(inbox.ready()) == []
        steady[0] += 0.2
        inbox.scan()
        assert list(inbox.ready()) == ["sales_data_20250301.csv"]
