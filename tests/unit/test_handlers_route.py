"""A name to its one feed and its slot, or a refusal that says why."""

# ruff: noqa: PT017, RUF001  (either answer may be right; digits of other scripts)

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon.settings import Settings
from handlers.errors import FileError
from handlers.reasons import FileReason
from handlers.route import Route, route

PATTERNS = {name: feed.patterns for name, feed in dict(Settings().feeds).items()}


def refusal(name, patterns=PATTERNS):
    with pytest.raises(FileError) as caught:
        route(name, patterns)
    assert caught.value.reason is FileReason.UNROUTABLE
    assert caught.value.remedy
    return caught.value.message


@pytest.mark.parametrize("feed", ["sales", "inventory", "demand"])
@pytest.mark.parametrize(("extension", "compression"), [(".csv", ""), (".csv.gz", "gz"), (".csv.zst", "zst")])
def test_the_names_of_the_contract(feed, extension, compression):
    slot = f"{feed}:2021-01-02:"
    assert route(f"{feed}_data_20210102{extension}", PATTERNS) == Route(feed, slot, compression)
    assert route(f"{feed}_data_20210102_north{extension}", PATTERNS) == Route(
        feed, slot + "north", compression
    )


@pytest.mark.parametrize(
    "suffix",
    [
        "a b",
        "ünïcödé",
        "$(touch pwned)",
        "%s%n",
        "';DROP TABLE x;--",
        "🚀",
        "{0}",
        "`x`",
        "*",
        "..",
        "x.csv",
        "-",
        "_",
        "日本",
    ],
)
def test_any_printable_suffix_is_a_source_of_its_own(suffix):
    assert route(f"sales_data_20210102_{suffix}.csv", PATTERNS).slot == f"sales:2021-01-02:{suffix}"


@pytest.mark.parametrize(
    "name",
    [
        "sales.csv", "sales_data.csv", "sales_data_.csv", "sales_data_210105.csv", "sales_data_202101020.csv", "xsales_data_20210102.csv",
        "-sales_data_20210102.csv", " sales_data_20210102.csv", "sales_data_20210102-copy.csv", "sales_data_20210102 (1).csv",
        "sales_data_20210102_.csv", "salesforce_export.csv", "returns_data_20210102.csv", "sales_data_20210102", "sales_data_20210102.txt",
        "sales_data_20210102.csv.zip", "sales_data_20210102.gz", "sales_data_20210102.CSV", "sales_data_20210102.csv ", "sales_data_20210102.csv.gz.zst",
        ".csv", "", "csv", "sales_data_20210102.csv.csv",
    ],
)  # fmt: skip
def test_other_names_are_refused(name):
    message = refusal(name)
    assert ".csv" in message


@pytest.mark.parametrize(
    "day", ["20210230", "20210229", "20211301", "20210001", "20210100", "20210431", "00000101"]
)
def test_impossible_days_are_refused(day):
    assert day in refusal(f"sales_data_{day}.csv")


@pytest.mark.parametrize("digits", ["２０２１０１０２", "٢٠٢١٠١٠٢", "2021010２"])
def test_digits_of_other_scripts_are_no_date(digits):
    refusal(f"sales_data_{digits}.csv")


@pytest.mark.parametrize("shape", [r"\d{9}", r"\d{7}", r".{8}", r"\d{4}-\d\d-\d\d"])
def test_what_a_pattern_calls_a_date_must_be_one(shape):
    """A slot is never guessed from digits that are no YYYYMMDD."""
    for digits in ("202101021", "2021010", "2021+1+2", "2021 1 2", "2021-01-02"):
        refusal(f"x_{digits}.csv", {"sales": [rf"x_(?P<date>{shape})"]})


@pytest.mark.parametrize("character", ["\n", "\r", "\t", "\0", "\x1b", "\x7f", "\x85", "\udcff"])
def test_control_characters_and_bytes_that_are_no_text(character):
    message = refusal(f"sales_data_20210102_{character}.csv")
    assert character not in message


def test_a_name_of_two_feeds_is_refused_and_both_are_named():
    message = refusal("a_1.csv", {"sales": ["a_.*"], "demand": [r".*_1", "b"], "inventory": ["c"]})
    assert "demand and sales both own the name" in message
    assert "a_.*" in message


def test_two_patterns_of_one_feed_are_one_owner_and_the_first_makes_the_slot():
    patterns = {"sales": [r"a_(?P<date>\d{8})", r"a_.*"]}
    assert route("a_20210102.csv", patterns).slot == "sales:2021-01-02:"
    assert route("a_x.csv", patterns).slot is None


def test_a_pattern_without_a_date_only_adds():
    assert route("till.csv.gz", {"sales": ["till"]}) == Route("sales", None, "gz")


def test_an_optional_date_that_is_not_there_is_no_slot():
    assert route("x.csv", {"sales": [r"x(?:_(?P<date>\d{8}))?"]}).slot is None


def test_patterns_are_anchored():
    refusal("xa.csv", {"sales": ["a"]})
    refusal("ax.csv", {"sales": ["a"]})
    refusal("ab.csv", {"sales": ["a|ab.csv"]})


def test_an_empty_list_switches_a_feed_off():
    off = {**PATTERNS, "sales": ()}
    assert "no feed owns the name" in refusal("sales_data_20210102.csv", off)
    assert route("demand_data_20210102.csv", off).feed == "demand"
    refusal("sales_data_20210102.csv", {})


def test_the_refusal_names_the_patterns():
    message = refusal("notes.csv")
    assert all(f"{feed}: {patterns[0]}" in message for feed, patterns in PATTERNS.items())


@given(st.text(max_size=30), st.sampled_from([".csv", ".csv.gz", ".csv.zst", ""]))
@settings(max_examples=200, deadline=None)
def test_any_name_has_one_owner_or_is_refused(stem, extension):
    for name in (stem + extension, f"sales_data_20210102_{stem}{extension}"):
        try:
            found = route(name, PATTERNS)
        except FileError as error:
            assert error.reason is FileReason.UNROUTABLE
            error.message.encode()
        else:
            assert found.feed == "sales"
            assert found.slot == f"sales:2021-01-02:{stem}"
