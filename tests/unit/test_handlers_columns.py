"""Each kind of column: what it takes, what it refuses and how it says so."""

from datetime import datetime
from decimal import Decimal as Exact
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from handlers import DEMAND, INVENTORY, SALES
from handlers.columns import Context, Decimal, Integer, LocalTime, Text, Words
from handlers.reasons import RowReason
from handlers.sales import MONEY_SCALE

CONTEXT = Context(datetime(2026, 3, 1, 12, 30), ZoneInfo("UTC"))


def convert(kind, *texts):
    """[value or (reason, sentence)] for each text."""
    values, problems = kind.convert(pa.array(texts, pa.string()), CONTEXT)
    assert values.type == kind.arrow_type
    found = values.to_pylist()
    for problem in problems:
        for k in np.flatnonzero(problem.mask):
            assert found[k] is None, "a refused text has no value and one reason"
            found[k] = (problem.reason, problem.say(texts[k]))
    return found


def reason(kind, text):
    found = convert(kind, text)[0]
    return found[0] if isinstance(found, tuple) else None


# -- integers


@pytest.mark.parametrize(
    ("text", "value"), [("1", 1), ("2147483647", 2**31 - 1), ("007", 7), ("000000000000000001", 1)]
)
def test_integers_are_read(text, value):
    assert convert(Integer(low=1), text) == [value]


@given(st.integers(-(2**31), 2**31))
@example(2**31 - 1)
@example(2**31)
@example(0)
def test_integers_within_the_bounds_and_no_others(number):
    found = convert(Integer(low=0), str(number))[0]
    if 0 <= number < 2**31:
        assert found == number
    else:
        assert found == (RowReason.OUT_OF_RANGE, "is not between 0 and 2147483647")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("12.0", "has decimals"),
        ("12.", "has decimals"),
        ("1e5", "is written with an exponent"),
        ("1E5", "is written with an exponent"),
        ("1.5e3", "is written with an exponent"),
        ("1,000", "has a comma"),
        ("1 000", "has a thousands separator"),
        ("1\u00a0000", "has a thousands separator"),
        ("1'000", "has a thousands separator"),
        ("1_000", "has a thousands separator"),
        ("$5", "has a currency or percent sign"),
        ("5%", "has a currency or percent sign"),
        ("+5", "has a plus sign"),
        ("NaN", "is not a finite number"),
        ("-Infinity", "is not a finite number"),
        ("inf", "is not a finite number"),
        ("0x1F", "is not a number"),
        ("five", "is not a number"),
        ("٣", "is not a number"),
        ("\uff15", "is not a number"),
        ("--5", "is not a number"),
        ("5-", "is not a number"),
        ("-", "is not a number"),
        ("²", "is not a number"),
    ],
)
def test_no_integer_and_why(text, said):
    code, sentence = convert(Integer(low=1), text)[0]
    assert code is RowReason.BAD_INTEGER
    assert sentence.startswith(said), sentence
    assert sentence.endswith("an integer is written with digits only")


@pytest.mark.parametrize("text", ["9" * 19, "9" * 400, "-" + "9" * 30, "9223372036854775808"])
def test_integers_too_long_for_the_machine_are_out_of_range(text):
    assert reason(Integer(low=0), text) is RowReason.OUT_OF_RANGE


# -- decimals


REVENUE = SALES.column("revenue").kind
PRICE = DEMAND.column("competitor_price").kind
SIGNAL = DEMAND.column("market_trend").kind


@given(st.lists(st.integers(1, 99_999_999_999 * 10_000), min_size=1, max_size=60))
@example([1, 99_999_999_999 * 10_000, 99_999_999_998 * 10_000 + 9_999, 2**53 // 10 + 1])
@settings(max_examples=100, deadline=None)
def test_money_comes_back_exactly_as_integers_of_a_ten_thousandth(ten_thousandths):
    texts = [f"{n // 10_000}.{n % 10_000:04}" for n in ten_thousandths]
    values = convert(REVENUE, *texts)
    assert values == [float(text) for text in texts]
    assert [Exact(int(n)) for n in np.rint(np.array(values) * MONEY_SCALE)] == [
        Exact(t) * MONEY_SCALE for t in texts
    ]


def test_money_near_every_power_of_two_is_exact():
    near = [2**k + d for k in range(50) for d in range(-40, 41) if 0 < 2**k + d <= 99_999_999_999 * 10_000]
    texts = [f"{n // 10_000}.{n % 10_000:04}" for n in near]
    values = np.array(convert(REVENUE, *texts))
    assert np.rint(values * MONEY_SCALE).astype(np.int64).tolist() == near


@pytest.mark.parametrize(
    ("text", "value"),
    [("1", 1.0), ("1.5", 1.5), ("0.0001", 0.0001), ("00012.50", 12.5), ("99999999999", 99999999999.0)],
)
def test_decimals_are_read(text, value):
    assert convert(REVENUE, text) == [value]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("1.00001", "has more than 4 decimals"),
        ("1.00000", "has more than 4 decimals"),
        (".5", "lacks digits beside the full stop"),
        ("5.", "lacks digits beside the full stop"),
        ("-.5", "lacks digits beside the full stop"),
        ("1,50", "has a comma"),
        ("1,234.50", "has a comma"),
        ("1.234,50", "has a comma"),
        ("€1.50", "has a currency or percent sign"),
        ("1.50 €", "has a currency or percent sign"),
        ("£1", "has a currency or percent sign"),
        ("1e5", "is written with an exponent"),
        ("1.5E-3", "is written with an exponent"),
        ("NaN", "is not a finite number"),
        ("nan", "is not a finite number"),
        ("Infinity", "is not a finite number"),
        ("-inf", "is not a finite number"),
        ("+1.5", "has a plus sign"),
        ("1 234.50", "has a thousands separator"),
        ("1'234.50", "has a thousands separator"),
        ("1.2.3", "is not a number"),
        ("(1.50)", "is not a number"),
        ("abc", "is not a number"),
        ("\uff11.5", "is not a number"),
    ],
)
def test_no_decimal_and_why(text, said):
    code, sentence = convert(REVENUE, text)[0]
    assert code is RowReason.BAD_DECIMAL
    assert sentence.startswith(said), sentence
    assert sentence.endswith("a decimal is written 1234.56")


@pytest.mark.parametrize("text", ["0", "0.0000", "-0", "-0.0001", "-5", "9" * 400, "99999999999.0001"])
def test_revenue_out_of_range(text):
    code, sentence = convert(REVENUE, text)[0]
    assert code is RowReason.OUT_OF_RANGE
    assert sentence.startswith("must be more than 0 and at most")


def test_the_bounds_of_a_message_are_the_bounds():
    """A person who writes the number that the message allows must be right."""
    sentence = convert(REVENUE, "9" * 15)[0][1]
    allowed = sentence.rpartition(" ")[2].replace(",", "")
    assert convert(REVENUE, allowed) == [float(REVENUE.high)], sentence


@pytest.mark.parametrize(
    "text", ["-1", "1", "0", "-1.0", "1.000", "0.1234567890123456", "0.8519999980926514"]
)
def test_signals_of_any_precision_are_kept_as_doubles(text):
    assert convert(SIGNAL, text) == [float(text)]


@pytest.mark.parametrize("text", ["1.01", "-1.0001", "1.000000001", "2", "-100"])
def test_signals_out_of_range(text):
    assert reason(SIGNAL, text) is RowReason.OUT_OF_RANGE


def test_prices_may_have_more_decimals_than_money_that_is_summed():
    assert convert(PRICE, "19.99999", "0", "0.0") == [19.99999, 0.0, 0.0]
    assert reason(PRICE, "-0.01") is RowReason.OUT_OF_RANGE


@given(st.decimals(-1, 1, allow_nan=False, places=12))
def test_signals_are_the_nearest_doubles(exact):
    text = f"{exact:f}"
    assert convert(SIGNAL, text) == [float(text)]


# -- words and text


@pytest.mark.parametrize("column", [c for f in (SALES, INVENTORY, DEMAND) for c in f.columns if isinstance(c.kind, Words)], ids=lambda c: c.name)  # fmt: skip
def test_words_in_any_case_are_kept_in_lower_case(column):
    words = column.kind.words
    for change in (str, str.upper, str.title, str.swapcase):
        assert convert(column.kind, *map(change, words)) == list(words)
    code, sentence = convert(column.kind, "nonsense")[0]
    assert code is RowReason.BAD_ENUM
    assert all(word in sentence for word in words)
    assert reason(column.kind, words[0][:-1]) is RowReason.BAD_ENUM
    assert reason(column.kind, words[0] + " x") is RowReason.BAD_ENUM
    assert column.default is None or column.default in words


@pytest.mark.parametrize("one", ["x", "ä", "\U0001f600", "\ufeff"])
def test_text_is_measured_in_characters(one):
    assert convert(Text(longest=64), one * 64) == [one * 64]
    code, sentence = convert(Text(longest=64), one * 65)[0]
    assert (code, sentence) == (RowReason.TOO_LONG, "has 65 characters, 64 are allowed")


@pytest.mark.parametrize(
    "text", ["NULL", "NA", "nan", "None", "N/A", "-", "\\N", "true", "1e5", "0007", "=1+1"]
)
def test_text_that_looks_like_something_else_is_text(text):
    assert convert(Text(longest=64), text) == [text]


# -- all of them


KINDS = [
    Text(64),
    Words(("a", "b")),
    Integer(0),
    Integer(-5, 5),
    REVENUE,
    PRICE,
    SIGNAL,
    Decimal(1, -1, 1),
    LocalTime(),
]


@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_no_text_at_all(kind):
    assert convert(kind) == []


@pytest.mark.parametrize("kind", KINDS, ids=repr)
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=40), max_size=6))
@settings(max_examples=60, deadline=None)
def test_any_text_is_a_value_or_has_one_reason(kind, texts):
    for found in convert(kind, *texts):
        assert found is not None
