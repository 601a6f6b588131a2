"""The kinds of broken and odd files, each with what a correct loader must say about it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date

from daemon.sample import damage
from daemon.sample.archives import gzip_bomb, gzip_stored, zstd_bomb, zstd_stored
from daemon.sample.damage import ROWS, Sheet, Spoilt
from daemon.sample.files import HEADERS, Feed, SampleFile, file_name, render
from daemon.sample.market import simulate

_BOMB_MIB = 100


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to be odd or broken. `name` is the file name, with the day for %; empty: the feed's own and the kind."""

    kind: str
    build: Callable[[Sheet], Spoilt]
    feed: Feed = "sales"
    extension: str = "csv"
    name: str = ""

    def file(self, sheet: Sheet) -> SampleFile:
        """The file made from the good rows in `sheet`."""
        spoilt = self.build(sheet)
        lines = tuple(line for line, _ in spoilt.rejects)
        reasons = spoilt.refused or tuple(sorted({reason for _, reason in spoilt.rejects}))
        name = f"{sheet.day:{self.name}}" if self.name else ""
        return SampleFile(
            name=name or file_name(self.feed, sheet.day, f"_{self.kind}", self.extension),
            content=spoilt.content,
            rows=spoilt.rows,
            kind=self.kind,
            status="failed" if spoilt.refused else "partial" if lines else "success",
            reasons=reasons,
            reject_lines=lines,
        )


KINDS: tuple[Kind, ...] = (
    Kind("utf8_text", lambda s: damage.loaded(s, damage.umlauts(s))),
    Kind("utf8_bom", lambda s: damage.loaded(s, s.text().encode("utf-8-sig"))),
    Kind("utf16_bom", lambda s: damage.loaded(s, b"\xff\xfe" + damage.umlauts(s).encode("utf-16-le"))),
    Kind("utf16_without_mark", damage.utf16_without_mark),
    Kind("cp1252", lambda s: damage.refused(damage.umlauts(s).encode("cp1252"), "encoding")),
    Kind("cut_in_character", damage.cut_in_character),
    Kind("semicolon", lambda s: damage.loaded(s, s.text(delimiter=";"))),
    Kind("semicolon_decimal_comma", damage.decimal_comma),
    Kind("tab", lambda s: damage.loaded(s, s.text(delimiter="\t")), feed="inventory"),
    Kind("pipe", lambda s: damage.loaded(s, s.text(delimiter="|")), feed="demand"),
    Kind("crlf", lambda s: damage.loaded(s, s.text(end="\r\n"))),
    Kind("no_final_newline", lambda s: damage.loaded(s, s.text().removesuffix("\n"))),
    Kind("blank_lines", damage.blank_lines),
    Kind("quoted", damage.quoted),
    Kind("quoted_newlines", damage.quoted_newlines),
    Kind("unbalanced_quote", damage.unbalanced_quote),
    Kind("nul_tail", lambda s: damage.refused(s.text().encode() + b"\x00" * 4096, "nul_tail")),
    Kind("nul_in_cell", damage.control("SPR\x00ING")),
    Kind("terminal_escape", damage.control("\x1b[31mRED\x1b[0m")),
    Kind("truncated_row", damage.truncated_row),
    Kind("duplicate_header", damage.duplicate_header),
    Kind("missing_column", damage.missing_column),
    Kind("missing_stock_level", damage.missing_column, feed="inventory"),
    Kind("extra_column", damage.extra_column),
    Kind("reordered_columns", damage.reordered_columns, feed="inventory"),
    Kind("no_header", damage.no_header),
    Kind("header_again", damage.header_again),
    Kind("empty", lambda _: damage.refused(b"", "empty")),
    Kind("header_only", lambda s: damage.refused(HEADERS[s.feed] + "\n", "empty"), feed="demand"),
    Kind("all_rows_bad", damage.all_rows_bad),
    Kind(
        "too_many_rejects",
        lambda s: damage.refused(s.edit(damage.bad_quantities(11)).text(), "too_many_rejects"),
    ),
    Kind("rejects_at_limit", lambda s: damage.edited(s, damage.bad_quantities(10), "bad_integer")),
    Kind("one_of_each_reason", damage.one_of_each_reason),
    Kind("day_first_dates", damage.day_first),
    Kind("date_forms", damage.date_forms),
    Kind(
        "far_future", damage.numbers({8: {"date": "2999-01-01T00:00:00"}}, "date_out_of_range"), feed="demand"
    ),
    Kind(
        "thousands_separators",
        damage.numbers(
            {i: {"revenue": text} for i, text in ((4, '"1,234.50"'), (13, "1 234.50"), (22, "1'234.50"))},
            "bad_decimal",
        ),
    ),
    Kind(
        "not_numbers",
        damage.numbers(
            {i: {"revenue": text} for i, text in ((1, "NaN"), (10, "inf"), (19, "€12.50"), (28, "-"))},
            "bad_decimal",
        ),
    ),
    Kind(
        "float_integers",
        damage.numbers({6: {"quantity_sold": "12.0"}, 15: {"quantity_sold": "1e5"}}, "bad_integer"),
    ),
    Kind(
        "negative_sales",
        damage.numbers({i: {"quantity_sold": "-2", "revenue": "-9.98"} for i in (5, 30)}, "out_of_range"),
    ),
    Kind(
        "trend_out_of_range",
        damage.numbers({i: {"market_trend": "1.5"} for i in (0, 39)}, "out_of_range"),
        feed="demand",
    ),
    Kind(
        "unknown_words",
        damage.numbers({2: {"external_demand": "huge"}, 33: {"weather_factor": "windy"}}, "bad_enum"),
        feed="demand",
    ),
    Kind("reserved_over_stock", damage.reserved_over_stock, feed="inventory"),
    Kind("reorder_after_date", damage.reorder_after_date, feed="inventory"),
    Kind("duplicate_keys", damage.duplicate_keys("stock_level", "999999"), feed="inventory"),
    Kind("duplicate_products", damage.duplicate_keys("social_sentiment", "0.99"), feed="demand"),
    Kind("identical_sales", damage.identical_sales),
    Kind("spreadsheet_formula", lambda s: damage.loaded(s, s.edit({3: {"promotion_code": "=1+1"}}).text())),
    Kind("gzip", lambda s: damage.loaded(s, gzip_stored(s.text().encode())), extension="csv.gz"),
    Kind(
        "gzip_truncated",
        lambda s: damage.refused(gzip_stored(s.text().encode())[:-700], "gzip_corrupt"),
        extension="csv.gz",
    ),
    Kind("gzip_wrong_checksum", damage.wrong_checksum, extension="csv.gz"),
    Kind(
        "gzip_bomb",
        lambda s: damage.refused(gzip_bomb(damage.long_number(s), _BOMB_MIB), "gzip_too_big"),
        extension="csv.gz",
    ),
    Kind("gzip_named_csv", lambda s: damage.refused(gzip_stored(s.text().encode()), "encoding")),
    Kind("csv_named_gzip", lambda s: damage.refused(s.text(), "gzip_corrupt"), extension="csv.gz"),
    Kind(
        "zstd",
        lambda s: damage.loaded(s, zstd_stored(s.text().encode())),
        feed="inventory",
        extension="csv.zst",
    ),
    Kind(
        "zstd_truncated",
        lambda s: damage.refused(zstd_stored(s.text().encode())[:-700], "gzip_corrupt"),
        extension="csv.zst",
    ),
    Kind(
        "zstd_bomb",
        lambda s: damage.refused(zstd_bomb(damage.long_number(s), _BOMB_MIB), "gzip_too_big"),
        extension="csv.zst",
    ),
    Kind("html_error_page", lambda _: damage.refused(damage.HTML, "missing_column")),
    Kind(
        "json",
        lambda s: damage.refused(
            f'{{"error": "no data for {s.day}"}}\n', "missing_column", "empty", "unbalanced_quotes"
        ),
    ),
    Kind(
        "unroutable",
        lambda s: damage.refused(s.text(), "unroutable"),
        name="sales_export_%Y%m%d_unroutable.csv",
    ),
    Kind(
        "impossible_day",
        lambda s: damage.refused(s.text(), "unroutable"),
        name="sales_data_%Y0230_impossible_day.csv",
    ),
    Kind("other_extension", lambda s: damage.refused(s.text(), "unroutable"), extension="txt"),
)


def corrupt_files(seed: int, last_day: date) -> Iterator[SampleFile]:
    """Yield one file of each kind, one kind a day, ending with `last_day`; the rows are those of a small market."""
    days = simulate(len(KINDS), products=50, seed=(seed, 1), last_day=last_day, stores=3)
    for kind, day in zip(KINDS, days, strict=True):
        rows = render(kind.feed, day)
        spread = rows[:: len(rows) // ROWS][:ROWS]
        yield kind.file(Sheet(kind.feed, day.day, tuple(tuple(row.split(",")) for row in spread)))
