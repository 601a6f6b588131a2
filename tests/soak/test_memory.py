"""Memory is bounded, whatever the size of a file."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from e2e.harness import Place

from benchmarks import sales_file

MOST = 500 << 20  # bytes of RSS


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("rows", [1_000_000, 10_000_000])
def test_resident_memory(
    tmp_path: Path, database_url: str, rows: int, record_property: Callable[[str, object], None], capsys
) -> None:
    with Place(tmp_path, database_url) as place:
        made = tmp_path / "made.csv"
        sales_file.write(made, rows, seed=1)
        made.rename(place.inbox / "sales_data_20250314.csv")
        drain = place.start("drain", "--json")
        _, status, usage = os.wait4(drain.pid, 0)
        drain.popen.returncode = os.waitstatus_to_exitcode(status)
        peak, seconds = usage.ru_maxrss * 1024, place.ledger()[0]["processing_time_seconds"]
        record_property("peak_rss_mib", peak >> 20)
        with capsys.disabled():
            kind = database_url.partition(":")[0]
            print(f"\n{kind}: {rows:,} rows, peak RSS {peak >> 20} MiB, {seconds:.1f} s")  # noqa: T201
        assert drain.popen.returncode == 0, drain.tail()
        assert place.scalar("SELECT COUNT(*) FROM live_sales_data") == rows
        assert peak <= MOST
