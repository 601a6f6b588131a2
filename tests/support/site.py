"""A site on which everything has happened that can happen to a delivery."""

import csv
import gzip
import io
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import zstandard
from conftest import Databases, make_settings, serving
from sqlalchemy import select

from daemon import hands
from daemon.service import Service
from daemon.store import Store
from daemon.store.schema import DELIVERIES
from support.dump import dump
from support.files import DEMAND, INVENTORY, PRODUCTS, SALES, SALES_WITH_TRANSACTION, csv_bytes, drop, tree

APPENDS = {"sales": {"patterns": [r"sales_data_(?P<date>\d{8})(?:_(?P<suffix>\w+))?", "till_log"]}}
"""Patterns with a feed that appends: `till_log.csv` has no date."""

_GOOD = [f"2025-06-01T09:0{n}:00,A-{n},online,{n + 1},{n}.99,premium,SUMMER,,store_01" for n in range(6)]
_BAD = [
    "2025-06-01,A-1,shop,1,1.00,,,,",
    "2025-06-01,A-1,online,1.5,1.00,,,,",
    "2025-06-01,=A,online,x,1.00,,,,",
]
Row = dict[str, Any]


class Site:
    """Drops files and does what operators do.

    Attributes:
        service: the daemon's work on it.
    """

    def __init__(self, service: Service) -> None:
        self.service = service

    @property
    def url(self) -> str:
        """Of its database."""
        return self.service.settings.database_url

    def ledger(self) -> list[Row]:
        """All rows of the ledger."""
        with self.service.store.engine.connect() as connection:
            rows = connection.execute(select(DELIVERIES).order_by(DELIVERIES.c.id)).mappings()
            return [dict(row) for row in rows]

    def deliver(self, name: str, content: bytes) -> Row:
        """Drops a file and loads it; its row of the ledger."""
        drop(self.service.folders.inbox, name, content)
        self.service.drain()
        row = self.ledger()[-1]
        assert row["file_name"] == name
        return row

    def fix(self, row: Row, **cells: dict[str, str]) -> Row:
        """Corrects cells of a delivery's rejects, by line such as `line_7`, and drops those rows."""
        path = self.service.folders.data_dir / self.ledger()[row["id"] - 1]["rejects_path"]
        rows = {f"line_{r['reject_line']}": r for r in csv.DictReader(io.StringIO(path.read_text()))}
        out = io.StringIO(newline="")
        writer = csv.DictWriter(out, next(iter(rows.values())).keys(), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows[line] | change for line, change in cells.items())
        path.unlink()
        return self.deliver(path.name, out.getvalue().encode())

    def unload(self, row: Row) -> None:
        """Takes a delivery out."""
        hands.unload(row["id"], "by mistake", self.service.store, self.service.folders)

    def force(self, row: Row) -> Row:
        """Lets a refused delivery in; its new row."""
        hands.retry(row, self.service.store, self.service.folders, force=True)
        self.service.drain()
        return self.ledger()[-1]

    def everything(self) -> tuple[Any, Any]:
        """All tables, and all files."""
        return dump(self.service.store.engine), tree(self.service.folders.data_dir)


@contextmanager
def site_at(data: Path, url: str) -> Iterator[Site]:
    """The site in a folder and a database; in the end nobody is connected to that."""
    store = Store.open(url)
    try:
        with serving(make_settings(data, url, feeds=APPENDS), store) as service:
            yield Site(service)
    finally:
        store.close()


class Sites:
    """Copies of one site for each kind of database, which takes its seconds to make and is made when it is asked for."""

    def __init__(
        self, databases: Databases, folder: Path, filled: "Callable[[Site], None] | None" = None
    ) -> None:
        self._databases = databases
        self._folder = folder
        self._fill = filled or fill
        self._originals: dict[str, tuple[Path, str]] = {}

    @contextmanager
    def copy(self, kind: str, folder: Path) -> Iterator[Site]:
        """A site of its own in a folder."""
        original, database = self._original(kind)
        data = shutil.copytree(original, folder / "data", symlinks=True)
        with site_at(data, self._databases.make(kind, folder, database)) as site:
            yield site

    @contextmanager
    def to_read(self, kind: str, folder: Path) -> Iterator[Site]:
        """A site for several tests, none of which may change anything."""
        with self.copy(kind, folder) as site:
            self._databases.keep(site.url)
            before = site.everything()
            yield site
            assert site.everything() == before, "a test changed the site that is only to be read"

    def _original(self, kind: str) -> tuple[Path, str]:
        if kind not in self._originals:
            folder = Path(mkdtemp(prefix=kind, dir=self._folder))
            url = self._databases.make(kind, folder)
            self._databases.keep(url)
            with site_at(folder / "data", url) as site:
                self._fill(site)
            self._originals[kind] = folder / "data", url
        return self._originals[kind]


def fill(site: Site) -> None:
    """Every kind of delivery: partial and fixed, corrected, unloaded, duplicate, refused, forced, extended, shadowed."""
    first = site.deliver("sales_data_20250601.csv", csv_bytes(SALES, [*_GOOD, *_BAD]))
    site.fix(first, line_8={"channel": "pos"}, line_9={"quantity_sold": "two"})
    second = csv_bytes(SALES, _GOOD[:3])
    site.deliver("sales_data_20250602.csv", second)
    site.deliver("sales_data_20250602.csv", csv_bytes(SALES, _GOOD[1:5]))
    assert site.deliver("sales_data_20250602.csv", second)["status"] == "duplicate"
    assert site.deliver("sales_data_20250602.csv", b"nothing\n")["status"] == "failed"

    third = "sales_data_20250603.csv"  # corrected, and the correction taken out again
    site.deliver(third, csv_bytes(SALES, [*_GOOD, _BAD[0]]))
    site.unload(site.deliver(third, csv_bytes(SALES, [*_GOOD, _GOOD[0]])))
    partial = site.deliver(third, csv_bytes(SALES, [*_GOOD[:5], _BAD[1]]))
    site.fix(partial, line_7={"quantity_sold": "7"})

    site.deliver("sales_data_20250604.csv", csv_bytes(SALES, _GOOD))
    held = site.deliver("sales_data_20250604.csv", csv_bytes(SALES, _GOOD[:1]))
    assert site.force(held)["status"] == "success"

    replaced = site.deliver("sales_data_20250607.csv", csv_bytes(SALES, [*_GOOD, _BAD[0], _BAD[2]]))
    site.fix(replaced, line_8={"channel": "online"})
    site.deliver("sales_data_20250607.csv", csv_bytes(SALES, [*_GOOD, _GOOD[0]]))

    log = csv_bytes(SALES, _GOOD[:2])
    site.deliver("till_log.csv", log)
    assert site.deliver("till_log.csv", log + b"\n")["records_duplicate"] == 2
    assert site.deliver("till_log.csv", log + f"{_GOOD[4]}\n{_BAD[2]}\n".encode())["extends"] is not None

    lines = [
        "2025-06-05,A,pos,1,1.00,,,,,T1",
        "2025-06-05,A,pos,2,2.00,,,,,T1",
        "2025-06-05,B,pos,3,3.0001,,,,,T2",
    ]
    site.deliver("sales_data_20250605_a.csv", csv_bytes(SALES_WITH_TRANSACTION, lines))
    site.deliver(
        "sales_data_20250605_b.csv",
        csv_bytes(SALES_WITH_TRANSACTION, [*lines[:2], lines[2].replace("3.0", "4.0")]),
    )
    packed = csv_bytes(SALES, [*_GOOD[:2], "2025-06-06T23:59:59.25,Ä-1,wholesale,1,99999999998.9999,,,,"])
    site.deliver("sales_data_20250606.csv.gz", gzip.compress(packed, mtime=0))

    stock = ["2025-06-01T08:00:00,A-1,s1,10,2,5,SUP1,2025-05-20", "2025-06-01T20:00:00.5,A-1,s1,4,1,0,SUP1,"]
    shops = site.deliver(
        "inventory_data_20250601_a.csv", csv_bytes(INVENTORY, [*stock, "2025-06-01,B,s1,x,,,,"])
    )
    site.deliver(
        "inventory_data_20250601_b.csv",
        csv_bytes(INVENTORY, [stock[1].replace(",4,", ",3,"), "2025-06-01,C,s2,1,,,,"]),
    )
    site.fix(shops, line_4={"stock_level": "9"})
    signals = [
        "2025-06-01T08:00:00,A-1,high,0.25,12.5,hot,holiday,-0.5",
        "2025-06-01T18:00:00,A-1,low,-1,,rainy,none,0.333",
    ]
    site.deliver(
        "demand_data_20250601_a.csv",
        csv_bytes(DEMAND, [*signals, "2025-06-01,z-9,low,0.1,0.30000000000000004,,,"]),
    )
    content = csv_bytes(DEMAND, [signals[0].replace("high", "medium"), "2025-06-02,Z-9,high,,,,,"])
    site.deliver("demand_data_20250602.csv.zst", zstandard.compress(content))

    goods = ["A-1,Ärmel,cloth,1.0001,2.99,4.5,0.1234567890123,,4,8,4,SUP1", "B,,,,,,,30,,,,"]
    offered = site.deliver("products_20250601.csv", csv_bytes(PRODUCTS, [*goods, "C,,,,,,,,5,4,1,"]))
    site.fix(offered, line_4={"max_order_quantity": "50"})
    site.deliver("products_20250601_web.csv", csv_bytes(PRODUCTS, [goods[0].replace("2.99", "3.99")]))
    # the same bytes, of another day
    assert site.deliver("products_20250602.csv", csv_bytes(PRODUCTS, goods))["status"] == "success"
    site.unload(site.deliver("products_20250603.csv", csv_bytes(PRODUCTS, goods)))
