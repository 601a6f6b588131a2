"""Small sales files, such as each till or shop sends: the same seed gives the same bytes."""

import random
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

HEADER = "date,product_id,channel,quantity_sold,revenue,customer_segment,promotion_code,fulfillment_method,location\n"
PRODUCTS = 5_000
FIRST = date(2025, 3, 14)
CHANNELS = ("pos",) * 6 + ("online",) * 3 + ("marketplace",)
SEGMENTS = ("regular",) * 6 + ("premium",) * 3 + ("budget",)
PROMOTIONS = ("",) * 8 + ("WINTER20", "SPRING10")


@dataclass(frozen=True)
class Made:
    """The files, and what must be in the database when they are loaded.

    Attributes:
        files: in a folder of their own.
        rows, units: of all together.
    """

    files: list[Path]
    rows: int
    units: int


def make(
    folder: Path, files: int, rows: int = 100, *, seed: int = 1, days: int = 1, first: date = FIRST
) -> Made:
    """Writes files of sales, each of another shop: ``sales_data_20250314_s00001.csv``.

    Args:
        folder: where they are made; on the filesystem of the inbox, so that they can be renamed into it.
        files: how many.
        rows: in each.
        seed: of chance.
        days: over so many days they are spread, the oldest first.
        first: the first of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = random.Random(seed)
    made: list[Path] = []
    units = 0
    for number in range(files):
        day = first + timedelta(days=number * days // files)
        lines = [HEADER]
        for _ in range(rows):
            product = int(rng.paretovariate(0.3)) % PRODUCTS  # few products sell much, most sell a little
            quantity = 1 + rng.randrange(4)
            cents = quantity * (99 + 37 * product % 2_900)
            units += quantity
            moment = f"{day}T{rng.randrange(24):02d}:{rng.randrange(60):02d}:{rng.randrange(60):02d}"
            lines.append(
                f"{moment},P{product:05d},{rng.choice(CHANNELS)},{quantity},{cents // 100}.{cents % 100:02d},"
                f"{rng.choice(SEGMENTS)},{rng.choice(PROMOTIONS)},warehouse,s{number:05d}\n"
            )
        path = folder / f"sales_data_{day:%Y%m%d}_s{number:05d}.csv"
        path.write_text("".join(lines))
        made.append(path)
    return Made(made, files * rows, units)
