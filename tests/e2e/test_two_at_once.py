"""Two processes on one folder and one database: each file has one winner."""

import random
from collections import Counter

from e2e.harness import Place, put, sales, until
from e2e.mix import sha

FILES = 60


def _drop(place: Place) -> dict[str, bytes]:
    """Good files, a few of them with rejects, a few refused."""
    files = {}
    for n in range(FILES):
        content = sales(f"F{n}", 5, bad=n % 10 == 3)
        if n % 10 == 7:
            content = b"date,product_id\n2025-03-01,%d\n" % n
        files[f"sales_data_20250301_{n:03d}.csv"] = content
    names = list(files)
    random.Random(1).shuffle(names)
    for name in names:
        put(place.inbox, name, files[name])
    return files


def _check(place: Place, files: dict[str, bytes]) -> None:
    place.assert_clean()
    ledger = place.ledger()
    assert Counter(row["file_name"] for row in ledger) == Counter(dict.fromkeys(files, 1))
    assert Counter(row["status"] for row in ledger) == {"success": 48, "partial": 6, "failed": 6}
    products = Counter(row[0] for row in place.rows("SELECT product_id FROM live_sales_data"))
    assert products == Counter(f"F{n}-{m}" for n in range(FILES) if n % 10 != 7 for m in range(5))
    assert place.scalar("SELECT SUM(rows) FROM sales_daily") == 54 * 5
    kept = [*place.archived(place.processed), *place.archived(place.errors)]
    assert Counter(sha(path.read_bytes()) for path in kept) == Counter(map(sha, files.values()))


def test_two_drains(place: Place) -> None:
    files = _drop(place)
    both = [place.start("drain", "--json"), place.start("drain", "--json")]
    statuses = [process.end() for process in both]
    assert set(statuses) <= {0, 1}, [process.tail() for process in both]
    assert 1 in statuses
    assert sum(process.result()["deliveries"] for process in both) == FILES
    _check(place, files)


def test_two_daemons(place: Place) -> None:
    both = [place.run(), place.run()]
    files = _drop(place)
    until(
        lambda: (
            place.scalar("SELECT COUNT(*) FROM data_ingestion_log WHERE archive_path IS NOT NULL") == FILES
        ),
        60,
    )
    assert [process.stop() for process in both] == [0, 0]
    winners = [len(process.said("delivery_claimed")) for process in both]
    assert sum(winners) == FILES
    assert min(winners) > 0, "one of the two did nothing: no proof"
    _check(place, files)


def test_one_daemon_gone_the_other_goes_on(sqlite_place: Place) -> None:
    """What a killed daemon had in hand is taken up at the next start; the other never notices."""
    place = sqlite_place
    first, second = place.run(), place.run()
    files = _drop(place)
    first.wait_said("delivery_claimed")
    first.kill()
    until(lambda: not place.waiting(), 60)
    assert second.stop() == 0
    place.drain()
    _check(place, files)
