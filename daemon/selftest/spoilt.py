"""Ways to spoil a file whose outcome is known: which lines are rejected for what, or that the whole file is refused."""

import csv
import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

Reject = tuple[int, str, str]  # line, column, reason


@dataclass(frozen=True, slots=True)
class Delivery:
    """A file to deliver, and what must become of it.

    Attributes:
        name: as delivered.
        text: its content, before it is packed if the name says so.
        status: in the ledger.
        rejects: line, column and reason of each rejected row.
        reason: why the whole file is refused; empty if it is not.
    """

    name: str
    text: str
    status: str = "success"
    rejects: tuple[Reject, ...] = ()
    reason: str = ""

    @property
    def lines(self) -> frozenset[int]:
        """The rejected lines."""
        return frozenset(line for line, _, _ in self.rejects)


_BAD: Mapping[str, tuple[str, str]] = {
    "quantity_sold": ("many", "bad_integer"),
    "revenue": ("12,50", "bad_decimal"),
    "date": ("yesterday", "bad_date"),
    "channel": ("telephone", "bad_enum"),
    "product_id": ("", "missing_value"),
}


def bad_cells_and_cut(name: str, text: str) -> Delivery:
    """A sales file with a bad cell in each of five rows, and the last row cut off in its middle."""
    header, *rows = csv.reader(io.StringIO(text))
    rejects = []
    for at, (column, (cell, reason)) in zip(
        range(1, len(rows), len(rows) // len(_BAD)), _BAD.items(), strict=False
    ):
        rows[at][header.index(column)] = cell
        rejects.append((at + 2, column, reason))
    rows[-1] = rows[-1][:3]
    rejects.append((len(rows) + 1, "", "column_count"))
    return Delivery(name, written(header, rows).removesuffix("\n"), "partial", tuple(rejects))


def keys_twice(name: str, text: str) -> Delivery:
    """An inventory file in which two rows come again at the end, with far more stock: the last ones count."""
    header, *rows = csv.reader(io.StringIO(text))
    chosen = (0, len(rows) // 2)
    again = [list(rows[at]) for at in chosen]
    for row in again:
        row[header.index("stock_level")] = "99999"
    rejects = tuple((at + 2, "product_id", "duplicate_key") for at in chosen)
    return Delivery(name, written(header, rows + again), "partial", rejects)


def wrong_header(name: str, text: str) -> Delivery:
    """A file whose second column, a required one, has another name."""
    first, _, rest = text.partition("\n")
    columns = first.split(",")
    columns[1] = "article"
    return Delivery(name, f"{','.join(columns)}\n{rest}", "failed", reason="missing_column")


def without_place(text: str) -> str:
    """A sales file without the rows of the place that has most of them."""
    header, *rows = csv.reader(io.StringIO(text))
    at = header.index("location")
    most, _ = Counter(row[at] for row in rows).most_common(1)[0]
    return written(header, [row for row in rows if row[at] != most])


def corrected(name: str, text: str) -> Delivery:
    """A sales file delivered anew: of its first row one unit more was sold, and its last row was a mistake."""
    header, *rows = csv.reader(io.StringIO(text))
    at = header.index("quantity_sold")
    rows[0][at] = str(int(rows[0][at]) + 1)
    return Delivery(name, written(header, rows[:-1]))


def hundredfold(name: str, text: str) -> Delivery:
    """A sales file in which all revenue is cents instead of whole money."""
    header, *rows = csv.reader(io.StringIO(text))
    at = header.index("revenue")
    for row in rows:
        whole, _, cents = row[at].partition(".")
        row[at] = f"{whole}{cents[:2].ljust(2, '0')}.{cents[2:] or '0'}"
    return Delivery(name, written(header, rows))


def joined(texts: list[str]) -> str:
    """Several files of the same columns as one."""
    header = texts[0].partition("\n")[0]
    return header + "\n" + "".join(text.partition("\n")[2] for text in texts)


def written(header: list[str], rows: list[list[str]]) -> str:
    """A file as text."""
    to = io.StringIO()
    csv.writer(to, lineterminator="\n").writerows([header, *rows])
    return to.getvalue()
