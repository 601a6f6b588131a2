"""Sample feeds: a small retail market, simulated day by day, and broken files of many kinds.

The same arguments give the same bytes, on any day and any machine (for one version of numpy's distributions).
"""

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from itertools import chain
from pathlib import Path

from daemon.sample.corrupt import KINDS, corrupt_files
from daemon.sample.files import FEEDS, SampleFile, deliver, sample_files
from daemon.sample.market import WARM_UP_DAYS, simulate

__all__ = ["DEFAULT_LAST_DAY", "SampleFile", "generate", "generate_corrupt", "write_samples"]

# Not today: the same seed must give the same bytes tomorrow.
DEFAULT_LAST_DAY = date(2025, 6, 30)

_EARLIEST = date(2000, 1, 1)  # older dates are rejected by the loader
# Between broken and good days, so that no 90-day window sees both and no stock balance spans them.
_GAP_DAYS = 91


def generate(
    days: int, products: int, seed: int, last_day: date = DEFAULT_LAST_DAY, stores: int = 3
) -> Iterator[SampleFile]:
    """Yield the files of all feeds for `days` days ending with `last_day`, the oldest day first.

    A day without any sale, as a market of a few products has, gives no sales file: loaders refuse empty ones.
    The catalogue does not change: there is one products file, of the first day.

    The inventory file of a day holds the stock at its end, so that per product and location
    stock = stock of the day before - sales + receipts, with 0 <= receipts <= in_transit of the day before.

    Raises:
        ValueError: an argument out of its range.
    """
    _check(days, products, seed, last_day, stores, extra_days=0)
    market = simulate(days, products, seed, last_day, stores)
    return chain.from_iterable(sample_files(day, first=not number) for number, day in enumerate(market))


def generate_corrupt(seed: int, last_day: date = DEFAULT_LAST_DAY) -> Iterator[SampleFile]:
    """Yield one file of each corrupted or odd kind, one kind a day, ending with `last_day`.

    Raises:
        ValueError: an argument out of its range.
    """
    _check(len(KINDS), 1, seed, last_day, 1, extra_days=0)
    return corrupt_files(seed, last_day)


def write_samples(
    directory: Path,
    *,
    days: int = 30,
    products: int = 50,
    seed: int = 42,
    last_day: date = DEFAULT_LAST_DAY,
    corrupt: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Write sample files into `directory`, which is made if need be, and return their paths in the order written.

    Each file is written under a temporary name and renamed, so that a daemon may watch the folder meanwhile.

    Args:
        directory: where the files go; files of the same names are replaced.
        days: days of good files, ending with `last_day`.
        products: size of the catalogue.
        seed: chooses the market; 0 or more.
        last_day: the last day there is data for.
        corrupt: write the corrupted files too, on days of their own long before the good ones.
        progress: called with (files written, files in all) after each file; at the end both are equal.

    Raises:
        ValueError: an argument out of its range.
        OSError: the folder cannot be written.
    """
    _check(days, products, seed, last_day, 1, extra_days=_GAP_DAYS + len(KINDS) if corrupt else 0)
    files = generate(days, products, seed, last_day)
    total = days * len(FEEDS) + 1  # the catalogue
    if corrupt:
        files = chain(files, generate_corrupt(seed, last_day - timedelta(days=days + _GAP_DAYS)))
        total += len(KINDS)
    directory.mkdir(parents=True, exist_ok=True)
    written = []
    for file in files:
        written.append(deliver(directory, file))
        if progress is not None:
            progress(len(written), total)
    if progress is not None and len(written) < total:  # days without sales
        progress(len(written), len(written))
    return written


def _check(days: int, products: int, seed: int, last_day: date, stores: int, *, extra_days: int) -> None:
    """Refuse what cannot be simulated, before anything is written."""
    for name, value, least in (
        ("days", days, 1),
        ("products", products, 1),
        ("seed", seed, 0),
        ("stores", stores, 1),
    ):
        if value < least:
            raise ValueError(f"{name} is {value}: it must be {least} or more")
    longest = (last_day - _EARLIEST).days + 1 - extra_days - WARM_UP_DAYS
    if days > longest:
        raise ValueError(
            f"days is {days}: at most {longest} fit between {_EARLIEST} and {last_day}; take fewer, or a later last day"
        )
