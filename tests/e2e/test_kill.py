"""No row lost, none doubled, whenever the process is killed."""

import random
import time

import pytest

from e2e.harness import Place, put, sales, until
from e2e.kills import kill_loop


@pytest.mark.parametrize("seed", [1])
def test_killed_at_any_moment_each_row_is_there_once(place: Place, seed: int) -> None:
    tally = kill_loop(place, kills=7, seed=seed)
    assert tally["unfinished"] >= 3, f"the kills came too late to prove anything: {tally}"


def test_killed_while_many_small_files_go_through_each_is_loaded_once(place: Place) -> None:
    """Some are being filed away, some written in a thread, some read: three hundreds of files in flight."""
    rng, names = random.Random(5), [f"sales_data_20250301_s{n:03d}.csv" for n in range(700)]
    for n, name in enumerate(names):
        put(place.inbox, name, sales(f"M{n}", rows=2, products=2))
    cut_short = 0
    for _ in range(4):
        before = len(place.waiting())
        process = place.start("drain", log__level="info")
        until(
            lambda now=before, its=process: len(place.waiting()) < now or not its.alive,
            60,  # what the one before left behind comes first
            lambda now=before, its=process: (
                f"fewer than {now} files wait ({len(place.waiting())} do); the log:\n{its.tail()}"
            ),
        )
        time.sleep(rng.uniform(0, 0.25))
        process.kill()
        cut_short += bool(place.claimed())
    assert cut_short >= 2, "the kills came too late to prove anything"
    place.drain(0, seconds=120)
    place.assert_clean()
    rows = place.rows("SELECT file_name, status, archive_path FROM data_ingestion_log")
    assert sorted((name, status) for name, status, _ in rows) == [(name, "success") for name in names]
    assert all((place.data / path).is_file() for _, _, path in rows)
    assert len({path for _, _, path in rows}) == len(names)
    units = sum(1 + n % 4 for n in range(2)) * len(names)
    assert place.rows("SELECT COUNT(*), SUM(quantity_sold) FROM live_sales_data") == [(2 * len(names), units)]
    assert place.rows("SELECT SUM(rows), SUM(units) FROM sales_daily") == [(2 * len(names), units)]
