"""What happens on the scratch site: two months of files, then days with everything that goes wrong."""

import gzip
import zoneinfo
from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cached_property
from typing import Any

from daemon.sample import generate
from daemon.selftest import spoilt
from daemon.selftest.book import COLUMNS, TABLES, Book, value
from daemon.selftest.spoilt import Delivery
from daemon.service import Service
from daemon.settings import Settings
from daemon.store import Store
from daemon.store.backups import is_sqlite, sqlite_path
from daemon.store.bare import rows as ask

HISTORY_DAYS = 49  # seven of each weekday
PRODUCTS, STORES, SEED = 16, 2, 7
FEEDS = ("sales", "inventory", "demand")
FILES = len(FEEDS) * 5 + 2  # that are delivered in all

Progress = Callable[[int, int], None]


class Trial:
    """A scratch site, the files that were delivered to it, and the book of what must have come of them.

    Attributes:
        settings: of the scratch site.
        store: its database.
        book: what the tables must hold now.
        delivered: the files so far, in their order.
        after_redelivery: how many rows each feed had when a file had come twice.
    """

    def __init__(self, settings: Settings, store: Store, progress: Progress) -> None:
        self.settings = settings
        self.store = store
        self.book = Book()
        self.delivered: list[Delivery] = []
        self.after_redelivery: dict[str, tuple[int, int]] = {}
        self._progress = progress
        self._done = 0
        self._prepared = False
        yesterday = datetime.now(UTC).astimezone(zoneinfo.ZoneInfo(settings.timezone)).date() - timedelta(
            days=1
        )
        self.days = [yesterday - timedelta(days=back) for back in (2, 1, 0)]
        """The last three days: one that is corrected, one that is spoilt, and one for the daily workflow."""

    @cached_property
    def samples(self) -> dict[str, str]:
        """The text of each sample file by its name."""
        files = generate(HISTORY_DAYS + len(self.days), PRODUCTS, SEED, self.days[-1], STORES)
        return {file.name: file.content.decode() for file in files}

    def ask(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the scratch database says, read by the database's own driver alone."""
        url = self.settings.database_url
        return ask(sqlite_path(url) if is_sqlite(url) else url, sql, values)

    def found(self, feed: str) -> Counter[tuple[Any, ...]]:
        """How often each row of a feed stands in its table."""
        names = COLUMNS[feed]
        rows = self.ask(f"SELECT {', '.join(names)} FROM {TABLES[feed]}")  # noqa: S608  (our own names)
        return Counter(
            tuple(value(name, cell) for name, cell in zip(names, row, strict=True)) for row in rows
        )

    def text(self, feed: str, day: date) -> str:
        """A feed's sample file of a day."""
        return self.samples[name_of(feed, day)]

    def prepare(self) -> None:
        """Has all loaded but the last day: the history, then a day that is corrected and one that is spoilt."""
        if self._prepared:
            return
        first, second, _ = self.days
        sales = name_of("sales", first)
        wrong = spoilt.hundredfold(sales, self.text("sales", first))
        self.drain([*self._history(), wrong, *(self._good(feed, first) for feed in ("inventory", "demand"))])
        self.drain(
            [
                Delivery(sales, wrong.text, "duplicate"),
                spoilt.bad_cells_and_cut(
                    name_of("sales", second), spoilt.without_place(self.text("sales", second))
                ),
                spoilt.keys_twice(name_of("inventory", second), self.text("inventory", second)),
                spoilt.wrong_header(name_of("demand", second), self.text("demand", second)),
            ]
        )
        self.after_redelivery = {
            feed: (self.book.counted(feed).total(), self.found(feed).total()) for feed in FEEDS
        }
        self.drain([spoilt.corrected(sales, self.text("sales", first)), self._good("demand", second)])
        self._prepared = True

    def last_day(self) -> list[Delivery]:
        """The files of the last day, sales packed."""
        day = self.days[-1]
        packed = Delivery(f"{name_of('sales', day)}.gz", self.text("sales", day))
        return [packed, self._good("inventory", day), self._good("demand", day)]

    def drop(self, files: Sequence[Delivery]) -> None:
        """Delivers files as a careful sender does, and enters in the book what must come of them."""
        inbox = self.settings.data_dir / "live_feeds"
        inbox.mkdir(parents=True, exist_ok=True)
        for file in files:
            part = inbox / f".{file.name}.part"
            part.write_bytes(content_of(file))
            part.rename(inbox / file.name)
            self.delivered.append(file)
            if file.status in ("success", "partial"):
                self.book.enter(file.name, file.text, file.lines)

    @property
    def newest(self) -> date:
        """The last day of which a file counts."""
        return max(date.fromisoformat(page.day) for page in self.book.pages.values())

    def progress(self, files: int) -> None:
        """So many files more are done."""
        self._done += files
        self._progress(self._done, FILES)

    def drain(self, files: Sequence[Delivery]) -> None:
        """Delivers files, and has them loaded."""
        self.drop(files)
        service = Service(self.settings, self.store)
        begun = self._done
        try:
            service.drain(lambda done, _known: self._progress(begun + done, FILES))
        finally:
            service.close()
        self.progress(len(files))

    def _history(self) -> list[Delivery]:
        """Two months as one file a feed, and the catalogue."""
        end = self.days[0] - timedelta(days=1)
        days = [end - timedelta(days=back) for back in range(HISTORY_DAYS - 1, -1, -1)]
        files = []
        for feed in FEEDS:
            texts = [self.samples[name] for day in days if (name := name_of(feed, day)) in self.samples]
            files.append(Delivery(f"{feed}_data_{end:%Y%m%d}_history.csv", spoilt.joined(texts)))
        catalogue = f"products_{days[0]:%Y%m%d}.csv"
        return [*files, Delivery(catalogue, self.samples[catalogue])]

    def _good(self, feed: str, day: date) -> Delivery:
        return Delivery(name_of(feed, day), self.text(feed, day))


def name_of(feed: str, day: date) -> str:
    """A feed's file of a day."""
    return f"{feed}_data_{day:%Y%m%d}.csv"


def content_of(file: Delivery) -> bytes:
    """A file's bytes."""
    raw = file.text.encode()
    return gzip.compress(raw, mtime=0) if file.name.endswith(".gz") else raw
