"""Names in the archive: whatever senders choose, nothing is overwritten and nothing stops the work."""

from e2e.harness import Place, put, sales, until
from e2e.mix import sha

NAME = "sales_data_20250301_a.csv"


def _drop(place: Place, content: bytes, name: str = NAME) -> None:
    """Drops a file and waits until it is filed away."""
    before = len(place.ledger())
    put(place.inbox, name, content)
    until(lambda: [bool(row["archive_path"]) for row in place.ledger()] == [True] * (before + 1))


def test_names_in_the_archive(sqlite_place: Place) -> None:
    place = sqlite_place
    daemon = place.run()
    first, clash = sales("A"), sales("B")
    _drop(place, first)
    # a name with a number is what a further file of a name would get
    _drop(place, clash, "sales_data_20250301_a.3.csv")
    _drop(place, first)
    assert [row["status"] for row in place.ledger()] == ["success", "success", "duplicate"]
    kept = [path.read_bytes() for path in place.archived(place.processed)]
    assert sorted(map(sha, kept)) == sorted(map(sha, [first, first, clash]))

    refused = [b"date,product_id\n2025-03-01,%d\n" % n for n in range(3)]
    for content in refused:
        _drop(place, content)
    assert {path.read_bytes() for path in place.archived(place.errors)} == set(refused)
    assert len(list(place.errors.glob("*.reason.txt"))) == 3

    # the archive was cleared; the rejects were not yet looked at
    _drop(place, sales("C", bad=1))
    for path in place.archived(place.processed):
        path.unlink()
    _drop(place, sales("D", bad=1))
    rejects = b"".join(path.read_bytes() for path in place.errors.glob("*.rejects.csv"))
    assert b"C-bad-0" in rejects
    assert b"D-bad-0" in rejects
    assert daemon.stop() == 0
    place.assert_clean()
    assert place.drain(0).said("delivery_recovered") == []
