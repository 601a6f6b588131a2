"""A mix of files as a retailer's day brings them, and what must have become of them in the end, worked out on its own."""

import hashlib
import random
from collections import Counter
from dataclasses import dataclass, field

from support.dump import Row, dump
from support.files import DEMAND, INVENTORY, SALES, SALES_WITH_TRANSACTION, csv_bytes
from support.oracle import Oracle, label

from e2e.harness import Place, put

# Good rows of each of these stand before the bad ones; all are refused by row.
BAD_SALES = (
    "2025-03-01T10:00:00,{},online,0,5.00,regular,,warehouse,shop-1",
    "2025-03-01T10:00:00,{},carrier pigeon,1,5.00,regular,,warehouse,shop-1",
    "2025-03-01T10:00:00,{},online,1,NaN,regular,,warehouse,shop-1",
    "31.12.2024,{},online,1,5.00,regular,,warehouse,shop-1",
)


def sha(content: bytes) -> str:
    """The hash that the ledger keeps."""
    return hashlib.sha256(content).hexdigest()


@dataclass
class Mix:
    """Drops files and keeps account of them.

    Files are loaded in the order in which they are dropped: one process works at a time, and takes up first what
    the one before it had in hand.
    """

    rng: random.Random
    oracle: Oracle = field(default_factory=Oracle)
    dropped: list[bytes] = field(default_factory=list)
    good: set[bytes] = field(default_factory=set)
    bad: set[bytes] = field(default_factory=set)
    rejects: dict[str, set[int]] = field(default_factory=dict)
    partial: set[bytes] = field(default_factory=set)
    _slots: dict[str, str] = field(default_factory=dict)
    _twins: list[bytes] = field(default_factory=list)
    _number: int = 0

    def drop(self, place: Place, *, large: bool = False) -> None:
        """Drops about ten files, of all fates."""
        if large:
            self._good(place, self._name("sales"), self._sales(120_000))
        for _ in range(self.rng.randint(2, 3)):
            self._good(place, self._name("sales"), self._sales(self.rng.randint(1, 40)))
        self._good(
            place, self._name("sales"), self._transactions(70_000 if large else self.rng.randint(1, 20))
        )
        self._partial(place)
        self._good(place, self._name("inventory"), self._inventory())
        self._good(place, self._name("demand"), self._demand())
        self._twin(place)
        self._correction(place)
        self._refused(place)

    def drop_three(self, place: Place) -> dict[str, str]:
        """Drops one file to be loaded, one to be loaded in part and one to be refused: names and statuses."""
        first = self._number + 1
        self._good(place, self._name("sales"), self._sales(5))
        self._partial(place)
        self.bad.add(refused := f"date,product_id\n2025-03-01,{self._number}\n".encode())
        self._put(place, name := self._name("sales"), refused)
        names = [f"sales_data_202503{1 + n % 28:02d}_{n:06d}.csv" for n in (first, first + 1)]
        return dict(zip([*names, name], ("success", "partial", "failed"), strict=True))

    def check(self, place: Place) -> None:
        """Holds the tables, the ledger and the folders against the account."""
        place.assert_clean()
        self._check_tables(place)
        self._check_ledger(place)
        self._check_folders(place)

    # ---- what is dropped

    def _name(self, feed: str) -> str:
        self._number += 1
        return f"{feed}_data_202503{1 + self._number % 28:02d}_{self._number:06d}.csv"

    def _put(self, place: Place, name: str, content: bytes) -> None:
        put(place.inbox, name, content)
        self.dropped.append(content)

    def _good(self, place: Place, name: str, content: bytes, rejected: tuple[int, ...] = ()) -> None:
        self._put(place, name, content)
        if content in self.good:
            return
        self.good.add(content)
        self.oracle.load(name, content, rejected)
        self._slots[name] = label(name, content)
        if rejected:
            self.partial.add(content)
            self.rejects[self._slots[name]] = set(rejected)
        elif b"again" not in content:
            self._twins.append(content)

    def _sales(self, rows: int, more: str = "") -> bytes:
        lines = []
        for n in range(rows):
            product = f"M{self._number:06d}-{n}{more}" if n % 3 else f"P{self.rng.randrange(20)}"
            channel = self.rng.choice(["online", "pos", "marketplace", "wholesale"])
            money = f"{self.rng.randrange(1, 90_000)}.{self.rng.randrange(10_000):04d}"
            promotion = self.rng.choice(["", "", "SPRING"])
            day = self.rng.randint(1, 28)
            shop = self.rng.choice(["", "shop-1", "shop-2"])
            lines.append(
                f"2025-03-{day:02d}T10:{n % 60:02d}:00,{product},{channel},{self.rng.randint(1, 9)},{money},regular,"
                f"{promotion},warehouse,{shop}"
            )
        return csv_bytes(SALES, lines)

    def _transactions(self, rows: int) -> bytes:
        """Rows with an exact key; some were in an earlier file already, some come twice in this one."""
        lines = []
        for n in range(rows):
            old = rows < 100 and self.rng.random() < 0.2
            transaction = f"T{self.rng.randrange(50)}" if old else f"T{self._number:06d}-{n // 2}"
            product = f"P{self.rng.randrange(5)}"
            lines.append(
                f"2025-03-02T12:00:00,{product},pos,1,{1 + n % 50}.50,regular,,warehouse,,{transaction}"
            )
        return csv_bytes(SALES_WITH_TRANSACTION, lines)

    def _partial(self, place: Place) -> None:
        rows = self._sales(self.rng.randint(5, 15))
        bad = [
            self.rng.choice(BAD_SALES).format(f"X{self._number}-{n}") for n in range(self.rng.randint(1, 4))
        ]
        first = rows.count(b"\n") + 1
        content = rows + "".join(f"{line}\n" for line in bad).encode()
        self._good(place, self._name("sales"), content, tuple(range(first, first + len(bad))))

    def _inventory(self) -> bytes:
        keys = {(self.rng.randrange(10), self.rng.randrange(3), self.rng.randrange(6)) for _ in range(12)}
        lines = [
            f"2025-03-05T{hour:02d}:00:00,P{product},shop-{shop},{self._number},{self.rng.randint(0, 1)},3,sup,"
            for product, shop, hour in sorted(keys)
            if self._number > 0
        ]
        return csv_bytes(INVENTORY, lines)

    def _demand(self) -> bytes:
        keys = {(self.rng.randrange(10), self.rng.randrange(6)) for _ in range(8)}
        lines = [
            f"2025-03-05T{hour:02d}:00:00,P{product},{self.rng.choice(['high', 'medium', 'low'])},"
            f"{self.rng.randint(-100, 100) / 100:.2f},{self._number}.5,normal,none,"
            for product, hour in sorted(keys)
        ]
        return csv_bytes(DEMAND, lines)

    def _twin(self, place: Place) -> None:
        """Bytes that were delivered before, under another name."""
        self._put(place, self._name("sales"), self.rng.choice(self._twins[-30:]))

    def _correction(self, place: Place) -> None:
        """A delivery for a slot, and later others for the same, whole or with rejects."""
        free = [f"sales_data_20250401_again-{n}.csv" for n in range(4)]
        free = [name for name in free if not (place.inbox / name).exists()]
        if not free:
            return
        name = self.rng.choice(free)
        self._number += 1
        rows = self._sales(12, "-again")
        if self.rng.random() < 0.3:
            line = rows.count(b"\n") + 1
            self._good(place, name, rows + f"{BAD_SALES[0].format('again')}\n".encode(), (line,))
        else:
            self._good(place, name, rows + b"2025-04-01,again,pos,1,1,regular,,,\n")

    def _refused(self, place: Place) -> None:
        name, content = self._name("sales"), f"date,product_id\n2025-03-01,{self._number}\n".encode()
        if self.rng.random() < 0.3 and self.bad:
            content = self.rng.choice(sorted(self.bad))
        elif self.rng.random() < 0.3:
            name = f"nobodys_{self._number}.csv"
        self.bad.add(content)
        self._put(place, name, content)

    # ---- what is held against it

    def _check_tables(self, place: Place) -> None:
        found = dump(place.engine, by_name=True, ledger=False)
        rejected = {(row["delivery"], row["line"]) for row in found.pop("rejected_rows")}
        assert rejected == {(delivery, line) for delivery, lines in self.rejects.items() for line in lines}
        for table, rows in self.oracle.tables().items():
            _same(table, found[table], rows)

    def _check_ledger(self, place: Place) -> None:
        ledger = place.ledger()
        for row in ledger:
            parts = row["records_successful"] + row["records_failed"] + row["records_duplicate"]
            assert row["records_processed"] == parts, row
        sent = Counter(sha(content) for content in self.dropped)
        expected: Counter[tuple[str, str]] = Counter()
        for content in self.good:
            expected[sha(content), "partial" if content in self.partial else "success"] = 1
            if sent[sha(content)] > 1:
                expected[sha(content), "duplicate"] = sent[sha(content)] - 1
        for content in self.bad:
            expected[sha(content), "failed"] = sent[sha(content)]
        assert Counter((row["sha256"], row["status"]) for row in ledger) == expected
        current = {
            row["file_name"]: row["sha256"] for row in ledger if row["status"] in ("success", "partial")
        }
        for row in ledger:
            stands = row["status"] in ("success", "partial") and row["sha256"] == current[row["file_name"]]
            assert (row["superseded_by"] is None) == (stands or row["status"] in ("duplicate", "failed")), row
            assert sha((place.data / row["archive_path"]).read_bytes()) == row["sha256"], row

    def _check_folders(self, place: Place) -> None:
        for folder, belongs in ((place.processed, self.good), (place.errors, self.bad)):
            found = Counter(sha(path.read_bytes()) for path in place.archived(folder))
            assert found == Counter(sha(content) for content in self.dropped if content in belongs), folder
        beside = Counter(
            path.suffixes[-2] for path in place.errors.iterdir() if path not in place.archived(place.errors)
        )
        assert beside[".rejects"] == len(self.partial)
        assert beside[".reason"] == sum(content in self.bad for content in self.dropped)
        leftovers = list(place.data.rglob(".*.tmp"))
        assert leftovers == []


def _same(what: str, found: list[Row], expected: list[Row]) -> None:
    """Compares rows that are many: the first differences tell enough."""
    if found == expected:
        return
    have, want = (Counter(repr(sorted(row.items())) for row in rows) for rows in (found, expected))
    surplus, missing = list((have - want).elements()), list((want - have).elements())
    raise AssertionError(
        f"{what}: {len(surplus)} rows too many, {len(missing)} are missing; the first:\n"
        f"too many {surplus[:3]}\nmissing {missing[:3]}"
    )
