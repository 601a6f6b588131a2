"""The first line: its delimiter, its names, and why it is none."""

import pytest

from handlers import DEMAND, HANDLERS, INVENTORY, SALES
from handlers.errors import FileError
from handlers.header import DELIMITERS, read_header
from handlers.reasons import FileReason

REQUIRED = ("date", "product_id", "channel", "quantity_sold", "revenue")


def refusal(line, feed=SALES):
    with pytest.raises(FileError) as caught:
        read_header(line, feed)
    return caught.value


@pytest.mark.parametrize("delimiter", DELIMITERS)
@pytest.mark.parametrize("feed", HANDLERS, ids=lambda f: f.name)
def test_every_delimiter_and_every_column(feed, delimiter):
    names = [column.name for column in feed.columns]
    header = read_header(delimiter.join(reversed(names)), feed)
    assert header.delimiter == delimiter
    assert header.names == tuple(reversed(names))
    assert header.positions == {name: k for k, name in enumerate(reversed(names))}
    assert header.unknown == ()


@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_names_match_in_any_case_trimmed_and_quoted(delimiter):
    pad = " " if delimiter == "\t" else "\t"
    written = [
        f" {REQUIRED[0].upper()} ",
        f'"{REQUIRED[1].title()}"',
        f'" {REQUIRED[2]} "',
        f"{pad}{REQUIRED[3]}",
        "\u00a0Revenue",
    ]
    header = read_header(delimiter.join(written), SALES)
    assert header.positions == {name: k for k, name in enumerate(REQUIRED)}
    assert header.unknown == ()


@pytest.mark.parametrize("other", DELIMITERS)
@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_delimiters_inside_of_a_name_do_not_mislead(delimiter, other):
    name = other.join("abcdefghijk")
    header = read_header(delimiter.join([*REQUIRED, f'"{name}"']), SALES)
    assert header.delimiter == delimiter
    assert header.unknown == (name,)


@pytest.mark.parametrize("change", [str.lower, str.upper, str.title])
def test_the_delimiter_is_that_of_the_known_names_not_the_most_frequent(change):
    header = read_header(";".join([*map(change, REQUIRED), "a,b,c,d,e,f,g,h"]), SALES)
    assert (header.delimiter, header.unknown) == (";", ("a,b,c,d,e,f,g,h",))


def test_unknown_columns_are_named_as_they_stand_and_keep_their_place():
    header = read_header("Till, date,product_id,channel,#1,quantity_sold,revenue,", SALES)
    assert header.unknown == ("Till", "#1", "")
    assert header.positions["revenue"] == 6


@pytest.mark.parametrize("missing", REQUIRED)
def test_a_required_column_that_lacks_is_named(missing):
    error = refusal(",".join(name for name in REQUIRED if name != missing))
    assert error.reason is FileReason.MISSING_COLUMN
    assert f"lacks '{missing}'" in error.message
    assert all(name in error.message for name in REQUIRED), "what is required"


def test_an_inventory_without_location():
    assert "lacks 'location'" in refusal("date,product_id,stock_level", INVENTORY).message
    assert "lacks 'external_demand'" in refusal("date,product_id", DEMAND).message


@pytest.mark.parametrize(
    "line",
    ["", " ", "2021-01-02,P1,online,1,9.99", "sep=,", "Sales of January", "<html>", '{"a": 1}', "\ufeffdate product_id", "PK\x03\x04", "\0" * 9,
     '"date,product_id,channel,quantity_sold,revenue"'],
)  # fmt: skip
def test_a_first_line_that_is_no_header(line):
    error = refusal(line)
    assert error.reason is FileReason.MISSING_COLUMN
    assert "the first line is no header of the sales feed" in error.message
    assert all(ord(c) >= 32 for c in error.message)


@pytest.mark.parametrize(
    "twice", ["revenue", "REVENUE", " Revenue ", '"revenue"', "location,Location", "note,NOTE"]
)
def test_a_name_twice_is_refused(twice):
    error = refusal(",".join(REQUIRED) + "," + twice)
    assert error.reason is FileReason.DUPLICATE_COLUMN
    assert f"'{twice.strip(' ' + chr(34)).split(',')[0].lower()}'" in error.message


def test_blank_names_are_no_name_twice():
    assert read_header(",".join(REQUIRED) + ",,", SALES).unknown == ("", "")


@pytest.mark.parametrize("broken", ['"note', '"note"x', '"note" ', '"no"te"'])
@pytest.mark.parametrize("delimiter", DELIMITERS)
def test_broken_quotes_in_a_name_are_refused(delimiter, broken):
    error = refusal(delimiter.join([*REQUIRED, broken]))
    assert error.reason in (FileReason.UNBALANCED_QUOTES, FileReason.MISSING_COLUMN)
    error = refusal(delimiter.join([broken, *REQUIRED]))
    assert error.reason in (FileReason.UNBALANCED_QUOTES, FileReason.MISSING_COLUMN)


def test_a_quote_inside_of_a_bare_name_is_part_of_it():
    assert read_header(",".join(REQUIRED) + ',size 5"', SALES).unknown == ('size 5"',)


def test_a_header_of_thousands_of_names():
    header = read_header(",".join([*REQUIRED, *(f"x{k}" for k in range(5_000))]), SALES)
    assert len(header.unknown) == 5_000
    message = refusal(",".join(f"x{k}" * 100 for k in range(5_000))).message
    assert len(message) < 1_000
    assert "and 4995 more" in message
