"""Names in the archive: whatever senders choose, nothing is overwritten and nothing stops the work."""

from pathlib import Path

from e2e.harness import Place, put, sales
from e2e.mix import sha

NAME = "sales_data_20250301_a.csv"


def _contents(folder: Path) -> set[bytes]:
    return {path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_name_that_looks_like_one_of_ours(sqlite_place: Place) -> None:
    """A name with a number is what a second file of a name would get."""
    place = sqlite_place
    first, clash = sales("A"), sales("B")
    put(place.inbox, NAME, first)
    place.drain(0)
    put(place.inbox, "sales_data_20250301_a.3.csv", clash)
    place.drain(0)
    put(place.inbox, NAME, first)
    assert place.drain(0).result()["duplicate"] == 1
    place.assert_clean()
    kept = [path.read_bytes() for path in place.archived(place.processed)]
    assert sorted(map(sha, kept)) == sorted(map(sha, [first, first, clash]))
    assert place.drain(0).said("delivery_recovered") == []


def test_rejects_of_an_earlier_delivery_stay(sqlite_place: Place) -> None:
    """The archive was cleared; the rejects were not yet looked at."""
    place = sqlite_place
    put(place.inbox, NAME, sales("A", bad=1))
    place.drain(1)
    for path in place.archived(place.processed):
        path.unlink()
    put(place.inbox, NAME, sales("B", bad=1))
    place.drain(1)
    rejects = b"".join(_contents(place.errors))
    assert b"A-bad-0" in rejects
    assert b"B-bad-0" in rejects


def test_refused_again_under_the_same_name(sqlite_place: Place) -> None:
    place = sqlite_place
    for n in range(3):
        put(place.inbox, NAME, b"date,product_id\n2025-03-01,%d\n" % n)
        place.drain(1)
    assert len(place.archived(place.errors)) == 3
    assert len(list(place.errors.glob("*.reason.txt"))) == 3
