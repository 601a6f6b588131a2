"""Ways to spoil a good file: each takes its rows, does one thing to them and says what must become of the result.

The codes are those of the loader: whole-file reasons for what is refused, row reasons for what is loaded in part.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import date

from daemon.sample.archives import gzip_stored
from daemon.sample.files import HEADERS, Feed

ROWS = 40  # of a file, where not said otherwise
_FEW = 8  # so few that rejecting all of them is below the limit of 10: the reason is then no_valid_rows alone
_BOMB_MIB = 100

Row = tuple[str, ...]
Edits = Mapping[int, Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class Sheet:
    """Rows of a good file, to be spoilt."""

    feed: Feed
    day: date
    rows: tuple[Row, ...]

    @property
    def columns(self) -> Row:
        """Names of the columns, in order."""
        return tuple(HEADERS[self.feed].split(","))

    def few(self) -> "Sheet":
        """The first rows only."""
        return Sheet(self.feed, self.day, self.rows[:_FEW])

    def edit(self, edits: Edits) -> "Sheet":
        """Replace cells: {row index: {column name: text}}."""
        rows = list(self.rows)
        for index, cells in edits.items():
            rows[index] = tuple(
                cells.get(name, old) for name, old in zip(self.columns, rows[index], strict=True)
            )
        return Sheet(self.feed, self.day, tuple(rows))

    def edit_all(self, column: str, change: Callable[[str], str]) -> "Sheet":
        """Change one cell of every row."""
        at = self.columns.index(column)
        return self.edit({i: {column: change(row[at])} for i, row in enumerate(self.rows)})

    def text(self, delimiter: str = ",", end: str = "\n", header: Row | None = None) -> str:
        """The file as text. Cells are not quoted: who needs quotes puts them into the cells."""
        return "".join(delimiter.join(row) + end for row in (header or self.columns, *self.rows))


@dataclass(frozen=True, slots=True)
class Spoilt:
    """Content of a file and what must become of it: like `SampleFile`, without the name."""

    content: bytes
    rows: int = 0
    refused: tuple[str, ...] = ()
    rejects: tuple[tuple[int, str], ...] = ()  # (physical line, reason), ascending


def loaded(sheet: Sheet, content: str | bytes, rejects: Mapping[int, str] | None = None) -> Spoilt:
    """A file that loads, but for the rows in `rejects`: {row index: reason}. Each row has one line."""
    raw = content.encode() if isinstance(content, str) else content
    lines = tuple((index + 2, reason) for index, reason in sorted((rejects or {}).items()))
    return Spoilt(raw, len(sheet.rows), rejects=lines)


def refused(content: str | bytes, *reasons: str) -> Spoilt:
    """A file that is refused as a whole, for one of `reasons`."""
    return Spoilt(content.encode() if isinstance(content, str) else content, refused=reasons)


def edited(sheet: Sheet, edits: Edits, reasons: str | Mapping[int, str]) -> Spoilt:
    """A file in which each edited row is rejected."""
    by_row = dict.fromkeys(edits, reasons) if isinstance(reasons, str) else reasons
    return loaded(sheet, sheet.edit(edits).text(), by_row)


# -- encodings


def umlauts(sheet: Sheet) -> str:
    """The file as text, with letters outside of ASCII in two rows."""
    return sheet.edit({3: {"location": "Köln"}, 17: {"location": "Zürich"}}).text()


def utf16_without_mark(sheet: Sheet) -> Spoilt:
    """UTF-16 that does not say so: valid UTF-8 with a NUL after each letter."""
    return refused(sheet.text().encode("utf-16-le"), "encoding", "missing_column", "nul_tail")


def cut_in_character(sheet: Sheet) -> Spoilt:
    """The transfer ended between the two bytes of a letter."""
    text = sheet.edit({ROWS - 1: {"location": "Köln"}}).text().encode()
    return refused(text[: text.index("ö".encode()) + 1], "encoding")


# -- dialects


def decimal_comma(sheet: Sheet) -> Spoilt:
    """What a spreadsheet saves where the comma is the decimal sign."""
    few = sheet.few().edit_all("revenue", lambda text: text.replace(".", ","))
    return refused(few.text(delimiter=";"), "no_valid_rows", "bad_decimal")


def quoted(sheet: Sheet) -> Spoilt:
    """Every cell in quotes."""
    rows = tuple(tuple(f'"{cell}"' for cell in row) for row in sheet.rows)
    return loaded(
        sheet, Sheet(sheet.feed, sheet.day, rows).text(header=tuple(f'"{c}"' for c in sheet.columns))
    )


def quoted_newlines(sheet: Sheet) -> Spoilt:
    """Line breaks inside of quoted cells, which rejects have to count as lines."""
    edits = {5: {"promotion_code": '"TWO\nLINES"'}, 20: {"promotion_code": '"THREE\n\nLINES"'}}
    # The first row with a line break pushes all rows after it one line down.
    rejects = ((7, "control_character"), (23, "control_character"))
    return Spoilt(sheet.edit(edits).text().encode(), len(sheet.rows), rejects=rejects)


def blank_lines(sheet: Sheet) -> Spoilt:
    """Empty lines, which are no rows."""
    lines = sheet.text().splitlines(keepends=True)
    return loaded(sheet, "".join([*lines[:7], "\n", *lines[7:30], "  \n", *lines[30:], "\n"]))


# -- quotes, NUL and control characters


def unbalanced_quote(sheet: Sheet) -> Spoilt:
    """A quote that is never closed."""
    return refused(sheet.edit({11: {"promotion_code": '"SPRING'}}).text(), "unbalanced_quotes")


def control(text: str) -> Callable[[Sheet], Spoilt]:
    """A control character in an optional cell of one row."""
    return lambda sheet: edited(sheet, {9: {"promotion_code": text}}, "control_character")


# -- shape


def truncated_row(sheet: Sheet) -> Spoilt:
    """The last row is cut in the middle."""
    text = sheet.text()
    last = ",".join(sheet.rows[-1])
    return loaded(sheet, text[: text.rindex(last) + len(last) // 2], {len(sheet.rows) - 1: "column_count"})


def missing_column(sheet: Sheet) -> Spoilt:
    """The fourth column, a required one, is not there."""
    rows = tuple(row[:3] + row[4:] for row in sheet.rows)
    return refused(
        Sheet(sheet.feed, sheet.day, rows).text(header=sheet.columns[:3] + sheet.columns[4:]),
        "missing_column",
    )


def extra_column(sheet: Sheet) -> Spoilt:
    """A column the loader does not know."""
    rows = tuple((*row, f"C{i % 3}") for i, row in enumerate(sheet.rows))
    return loaded(sheet, Sheet(sheet.feed, sheet.day, rows).text(header=(*sheet.columns, "cashier")))


def reordered_columns(sheet: Sheet) -> Spoilt:
    """Columns in another order, names in capitals with blanks around them."""
    rows = tuple(row[::-1] for row in sheet.rows)
    header = tuple(f" {name.upper()} " for name in reversed(sheet.columns))
    return loaded(sheet, Sheet(sheet.feed, sheet.day, rows).text(header=header))


def duplicate_header(sheet: Sheet) -> Spoilt:
    """A column name twice, if capitals and blanks are disregarded."""
    return refused(sheet.text(header=(*sheet.columns[:-1], " Date ")), "duplicate_column")


def no_header(sheet: Sheet) -> Spoilt:
    """Rows from the first line on."""
    return refused(sheet.text().split("\n", 1)[1], "missing_column")


def header_again(sheet: Sheet) -> Spoilt:
    """Two files glued together: the header stands in the middle again."""
    rows = (*sheet.rows[:25], sheet.columns, *sheet.rows[25:])
    joined = Sheet(sheet.feed, sheet.day, rows)
    return loaded(joined, joined.text(), {25: "bad_date"})


# -- rows


def all_rows_bad(sheet: Sheet) -> Spoilt:
    """No row is valid."""
    return refused(
        sheet.few().edit_all("quantity_sold", lambda _: "many").text(), "no_valid_rows", "bad_integer"
    )


def bad_quantities(count: int) -> Edits:
    """Edits that make `count` rows invalid."""
    return {3 * i: {"quantity_sold": "n/a"} for i in range(count)}


def one_of_each_reason(sheet: Sheet) -> Spoilt:
    """Ten rows with a fault each, no two alike; as many as a file of this size may have."""
    edits = {
        2: ({"product_id": ""}, "missing_value"),
        5: ({"date": "yesterday"}, "bad_date"),
        8: ({"date": "1999-12-31T10:00:00"}, "date_out_of_range"),
        11: ({"quantity_sold": "1e5"}, "bad_integer"),
        14: ({"revenue": '"12,50"'}, "bad_decimal"),
        17: ({"quantity_sold": "0"}, "out_of_range"),
        20: ({"channel": "telephone"}, "bad_enum"),
        23: ({"product_id": "X" * 65}, "too_long"),
        26: ({"promotion_code": "BELL\x07"}, "control_character"),
    }
    spoilt = sheet.edit({row: cells for row, (cells, _) in edits.items()})
    short = 29
    rows = tuple(row[:-2] if i == short else row for i, row in enumerate(spoilt.rows))
    reasons = {row: reason for row, (_, reason) in edits.items()} | {short: "column_count"}
    return loaded(sheet, Sheet(sheet.feed, sheet.day, rows).text(), reasons)


def day_first(sheet: Sheet) -> Spoilt:
    """Dates as 30/06/2025, which no one should have to guess."""
    few = sheet.few().edit_all("date", lambda text: f"{text[8:10]}/{text[5:7]}/{text[:4]}{text[10:]}")
    return refused(few.text(), "no_valid_rows", "bad_date")


def date_forms(sheet: Sheet) -> Spoilt:
    """Dates in each of the accepted forms."""
    day = sheet.day.isoformat()
    forms = (day, f"{day} 10:30:00", f"{day}T10:30:00.250", f"{day}T10:30:00Z", f"{day}T10:30:00+02:00")
    return loaded(sheet, sheet.edit({i: {"date": form} for i, form in enumerate(forms)}).text())


def reserved_over_stock(sheet: Sheet) -> Spoilt:
    """More reserved than there is."""
    edits = {i: {"stock_level": "3", "reserved_stock": "4"} for i in (4, 19)}
    return edited(sheet, edits, "reserved_over_stock")


def reorder_after_date(sheet: Sheet) -> Spoilt:
    """Reordered in the future."""
    late = f"{sheet.day.replace(year=sheet.day.year + 1, day=1).isoformat()}T00:00:00"
    return edited(sheet, {7: {"last_reorder_date": late}}, "reorder_after_date")


def duplicate_keys(column: str, text: str) -> Callable[[Sheet], Spoilt]:
    """Two rows come again at the end with another value: the last one wins."""

    def build(sheet: Sheet) -> Spoilt:
        again = Sheet(sheet.feed, sheet.day, (sheet.rows[3], sheet.rows[12])).edit_all(column, lambda _: text)
        longer = Sheet(sheet.feed, sheet.day, sheet.rows + again.rows)
        return loaded(longer, longer.text(), {3: "duplicate_key", 12: "duplicate_key"})

    return build


def identical_sales(sheet: Sheet) -> Spoilt:
    """The same sale three times: three customers."""
    longer = Sheet(sheet.feed, sheet.day, (*sheet.rows, sheet.rows[6], sheet.rows[6]))
    return loaded(longer, longer.text())


def numbers(cells: Mapping[int, Mapping[str, str]], reason: str) -> Callable[[Sheet], Spoilt]:
    """Rows with a bad cell each, all of them rejected for `reason`."""
    return lambda sheet: edited(sheet, cells, reason)


# -- archives


def wrong_checksum(sheet: Sheet) -> Spoilt:
    """A gzip file with a changed bit in its checksum."""
    good = gzip_stored(sheet.text().encode())
    return refused(good[:-8] + bytes([good[-8] ^ 0xFF]) + good[-7:], "gzip_corrupt")


def long_number(sheet: Sheet) -> bytes:
    """The start of a file whose last cell is to go on for ever."""
    return (sheet.few().text() + ",".join(sheet.rows[0][:4]) + ",12.0").encode()


# -- not a feed at all

HTML = (
    "<!DOCTYPE html>\n<html><head><title>503 Service Unavailable</title></head>\n"
    "<body><h1>Service Unavailable</h1>\n<p>The server is busy, please try again later.</p></body></html>\n"
)
