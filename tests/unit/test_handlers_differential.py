"""Any bytes give the rows, rejects and refusals that the slow reference gives, wherever the chunks are cut.

``SGTEST_EXAMPLES=20000`` hunts for longer, with new examples each time.
"""

# ruff: noqa: PT017, RUF001  (either answer may be right; digits of other scripts)

import os
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest
import reference
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from daemon import reading, source
from handlers import HANDLERS, SALES
from handlers.cells import split
from handlers.check import check
from handlers.columns import Context
from handlers.errors import FileError
from handlers.sales import accepting_returns
from handlers.verdict import Tolerance, judge

NOW = datetime(2026, 3, 1, 12, 30)
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata")
FEEDS = {feed.name: feed for feed in HANDLERS}
LIMITS = source.Limits(1 << 30, 1 << 30, 200)
EXAMPLES = int(os.environ.get("SGTEST_EXAMPLES", "0"))


def property_test(examples):
    return settings(
        max_examples=EXAMPLES or examples,
        derandomize=not EXAMPLES,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    )


def ours(data, feed, zone, chunk, named=None):
    """(delimiter, accepted rows, rejects) as the program reads a file that lies in memory, in chunks of a size."""
    original = source._unpack

    def small(fd, compression, limits, chunk=chunk, end=None):
        return original(fd, compression, limits, chunk, end)

    fd = os.memfd_create("file")
    source._unpack = small
    try:
        os.write(fd, data)
        codec = source.choose_codec(fd, "", named, LIMITS)
        chunks = source.blocks(fd, "", codec, LIMITS)
        header, rest, line = reading._header(chunks, feed)
        rows, rejects = [], []
        for at, block in source.records(recut(rest, chunk), header.delimiter, line):
            checked = check(split(block, at, header), feed, Context(NOW, ZoneInfo(zone)))
            rows += checked.rows.to_pylist()
            rejects += checked.rejects
        return header.delimiter, rows, rejects
    finally:
        source._unpack = original
        os.close(fd)


def recut(chunks, size):
    """The same bytes, cut small: finding the header puts the first chunks together."""
    for chunk in chunks:
        yield from (chunk[k : k + size] for k in range(0, len(chunk), size))


def assert_same(data, name, zone="UTC", chunk=1 << 20, named=None, *, returns=False):
    feed = accepting_returns(SALES) if returns else FEEDS[name]
    right = reference.read(data, name, NOW, ZoneInfo(zone), named, returns=returns)
    try:
        delimiter, rows, rejects = ours(data, feed, zone, chunk, named)
    except FileError as error:
        assert error.reason.value in right.refusals, f"{error.reason}: {error}; right: {right}"
        return
    assert not right.refusals, f"loaded; right: {right.refusals}"
    assert delimiter == right.delimiter
    assert sorted([row["line"] for row in rows] + [r.line for r in rejects]) == [
        row.line for row in right.rows
    ]
    by_line = {row.line: row for row in right.rows}
    for row in rows:
        expected = by_line[row["line"]]
        assert expected.may_be_accepted, f"accepted {row}; right: {expected}"
        if not expected.answers:
            assert_same_values(row, expected.values)
    for reject in rejects:
        expected = by_line[reject.line]
        assert (reject.column, reject.reason.value) in expected.answers, f"{reject}; right: {expected}"
        assert reject.raw == expected.raw.replace("\r\n", "\n").replace("\r", "\n").rstrip("\n")
        assert reject.column in reject.message
        assert all(ord(c) >= 32 for c in reject.message)
    assert [r.line for r in rejects] == sorted(r.line for r in rejects)
    assert_same_verdict(len(rows), [r.reason.value for r in rejects])


def assert_same_values(row, expected):
    for name, value in expected.items():
        if isinstance(value, reference.Decimal):
            assert row[name] == float(value), f"{name}: {row[name]!r} is not {value}"
        else:
            assert (type(row[name]), row[name]) == (type(value), value), name


def assert_same_verdict(accepted, reasons):
    try:
        judge(accepted, {reason: reasons.count(reason) for reason in reasons}, Tolerance(10, 0.1))
        found = None
    except FileError as error:
        found = error.reason.value
    assert found == reference.verdict(accepted, len(reasons))


# -- files that look like files of a feed, with everything that may go wrong in them

GOOD = {
    "date": [
        "2021-01-02",
        "2021-01-02T03:04:05",
        "2024-02-29 23:59:59",
        "2021-03-28T01:30:00Z",
        "2021-10-31T02:59:59.5+01:00",
    ],
    "text": [
        "P1",
        "P 2",
        "Käse",
        "日本",
        "0007",
        "5,5",
        'say "hi"',
        "a;b|c",
        "NULL",
        "x" * 64,
        "1e5",
        "true",
        "\ufeffP",
    ],
    "word": [
        "online",
        "POS",
        "Marketplace",
        "high",
        "LOW",
        "premium",
        "dropship",
        "none",
        "normal",
        "holiday",
        "warehouse",
    ],
    "integer": ["1", "2", "10", "007", "2147483647"],
    "decimal": ["1", "0.5", "12.3456", "99999999999", "0.0001", "-1", "1.0", "0"],
}
BAD = [
    "", " ", "  ", "\u00a0", "\u3000", "\u0085", "\u2028", "\u200b", "\x1c", "a\0b", "\0", "a\x1fb", "\x7f", "a\tb", "a\nb", "a\r\nb", "a\rb",
    '"', '""', 'a"b', '"a', 'a"', ' "a"', '"a"b', '"a" ', "'a'", "\\", '\\"', ",", ";", "|", "\t", "x" * 65, "\U0001f600" * 64, "e\u0301",
    "0", "-0", "-1", "+1", "1.0", "1.", ".5", "1e5", "1,5", "1 000", "1_000", "$5", "٣", "NaN", "Infinity", "-inf", "0x1F", "2147483648",
    "9" * 30, "9" * 400, "1.00000", "100000000000", "1.0001", "-1.0001", "0.0000", "--1",
    "2021-02-29", "2021-13-01", "2021-00-10", "2021-01-32", "0000-01-01", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "1999-12-31T23:59:59",
    "2000-01-01T00:00:00", "2000-01-01T00:00:00+14:00", "2026-03-02T12:30:00", "2026-03-02T12:30:01", "2021-01-02T24:00:00", "2021-01-02T23:60:00",
    "2021-01-02T23:59:60", "2021-1-2", "02.01.2021", "2021-01-02T03:04", "2021-01-02Z", "2021-01-02T03:04:05+24:00", "2021-01-02T03:04:05+0530",
    "2021-01-02T03:04:05.1234567", "2021-01-02T03:04:05.1234567890", "2021-01-02t03:04:05z", "２０２１-01-02", "20210102", "onlINE ", "ONLİNE",
]  # fmt: skip
WILD = st.text(st.sampled_from(list(' \t\n\r\0"",;|aA1.-é\u00a0\u2028\ufeff\U0001f600\x1c\x0b')), max_size=6)


def cell(kind):
    good = st.sampled_from(GOOD[kind])
    return st.one_of(good, good, good, good, good, good, st.sampled_from(BAD), WILD)


@st.composite
def written(draw, text, delimiter):
    """A cell as it may stand in a file: quoted where it must be, or where it need not, or not where it must."""
    quoted = '"' + text.replace('"', '""') + '"'
    must = any(c in text for c in f'"\n\r{delimiter}')
    how = draw(st.integers(0, 19))
    if how == 0:
        return text
    return quoted if must or how < 4 else text


@st.composite
def files(draw):
    """(bytes, feed, delimiter)"""
    name = draw(st.sampled_from(sorted(FEEDS)))
    kinds = reference.FEEDS[name]
    delimiter = draw(st.sampled_from(reference.DELIMITERS))
    names = [n for n in kinds if n.startswith("*") or draw(st.booleans())]
    names += draw(
        st.lists(
            st.sampled_from(["note", "", "a,b", 'size "', "x;y", "note2", "*date"]), max_size=2, unique=True
        )
    )
    names = draw(st.permutations(names))
    if draw(st.integers(0, 29)) == 0:
        names = names[1:]
    ends = draw(st.sampled_from([["\n"], ["\r\n"], ["\r"], ["\n", "\r\n", "\r"]]))
    head = [n.removeprefix("*") for n in names]
    if draw(st.booleans()):
        head = [
            draw(st.sampled_from([n, n.upper(), f" {n}\t" if delimiter != "\t" else n, n.title()]))
            for n in head
        ]
    lines = [[draw(written(n, delimiter)) for n in head]]
    for _ in range(draw(st.integers(0, 7))):
        row = [draw(cell(kinds[n][0] if n in kinds else "text")) for n in names]
        row = [draw(written(text, delimiter)) for text in row]
        ragged = draw(st.integers(0, 29))
        if ragged == 0:
            row = row[:-1]
        elif ragged == 1:
            row = [*row, ""]
        elif ragged == 2:
            row = [
                draw(st.sampled_from(["", " ", "\t\t", "\u00a0", "\u2003 ", "\x1c", "\ufeff", '""', "\0"]))
            ]
        lines.append(row)
    text = "".join(delimiter.join(line) + draw(st.sampled_from(ends)) for line in lines)
    top = draw(st.integers(0, 49))
    text = ["\n", " \n", "sep=,\n"][top] + text if top < 3 else text
    tail = draw(st.integers(0, 29))
    if tail < 6:
        text = text.rstrip("\r\n")
    elif tail == 6:
        text += "\0" * 3
    elif tail == 7:
        text += '"'
    return encoded(text, draw(st.integers(0, 19))), name


def encoded(text, how):
    if how == 0:
        return ("\ufeff" + text).encode("utf-16-le")
    if how == 1:
        return ("\ufeff" + text).encode("utf-16-be")
    if how == 2:
        return text.encode("cp1252", "replace")
    if how < 6:
        return ("\ufeff" + text).encode()
    return text.encode()


# a chunk of fewer bytes than a mark has comes from no file
CHUNKS = st.one_of(st.integers(3, 40), st.sampled_from([64, 100, 1 << 20]))


@property_test(200)
@given(files(), st.sampled_from(ZONES), CHUNKS, st.sampled_from([None, "cp1252"]), st.booleans())
def test_a_file_is_read_as_the_rules_say(file, zone, chunk, named, returns):
    data, name = file
    assert_same(data, name, zone, chunk, named, returns=returns and name == "sales")


GOOD_FILE = (
    "date,product_id,channel,quantity_sold,revenue,location,promotion_code\r\n"
    '2021-01-02T03:04:05Z,P1,online,1,9.99,"Süd, 2",\r\n'
    '2021-01-02,"P""2""",pos,3,12.5,Köln,"two\nlines"\r\n'
    "2021-01-03 10:00:00+02:00,P3,wholesale,10,100.0001,,SALE\r\n"
).encode()
SPLICES = [b'"', b'""', b",", b"\n", b"\r", b"\0", b";", b"|", b"\t", b" ", b"\xff", b"\xc3", b"\xef\xbb\xbf", b"\xff\xfe", b"-", b"0", b"\n\n", b'"\n', b"\xe2\x80\xa8", b""]  # fmt: skip


@st.composite
def mutations(draw):
    data = GOOD_FILE
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(data)))
        gone = draw(st.sampled_from([0, 0, 1, 1, 2, 30]))
        data = (
            data[:at] + draw(st.one_of(st.sampled_from(SPLICES), st.binary(max_size=4))) + data[at + gone :]
        )
    return data


@property_test(250)
@given(mutations(), CHUNKS, st.sampled_from([None, "cp1252"]))
def test_a_damaged_file_is_read_as_the_rules_say(data, chunk, named):
    assert_same(data, "sales", "Europe/Berlin", chunk, named)


@property_test(100)
@given(st.binary(max_size=80), st.sampled_from(sorted(FEEDS)), CHUNKS)
def test_noise_is_refused(data, name, chunk):
    assert_same(data, name, "UTC", chunk)


def test_a_good_file_is_read_alike_in_chunks_of_every_size():
    for chunk in range(3, len(GOOD_FILE) + 2):
        assert_same(GOOD_FILE, "sales", "Europe/Berlin", chunk, "cp1252" if chunk % 2 else None)


@pytest.mark.parametrize("name", ['size "', 'size 5"', 'a"b"c"', '"a ""b"" c"', '"two\nlines"', '"a,b"'])
@pytest.mark.parametrize("chunk", [16, 1 << 20])
def test_a_quote_in_a_header_name_does_not_swallow_rows(name, chunk):
    """In a bare name a quote is a character, however many quoted cells follow."""
    first = "date,product_id,channel,quantity_sold,revenue,promotion_code," + name
    rows = '2021-01-02,P1,pos,1,1,"a, b",\n2021-01-02,P2,pos,1,1,"a\nb",x\n2021-01-02,"P3",pos,1,1,c,"x"\n'
    assert_same(f"{first}\n{rows}".encode(), "sales", chunk=chunk)


def test_a_good_file_cut_off_anywhere():
    for end in range(len(GOOD_FILE)):
        assert_same(GOOD_FILE[:end], "sales", "Europe/Berlin", 7)


def test_a_good_file_with_any_byte_replaced_by_a_quote_or_a_line_end():
    for at in range(len(GOOD_FILE)):
        byte = b'"' if at % 3 else b"\n"
        assert_same(GOOD_FILE[:at] + byte + GOOD_FILE[at + 1 :], "sales", "UTC", 16)


# -- the documented codes, one file each

HEAD = "date,product_id,channel,quantity_sold,revenue"
FINE = "2021-01-02,P1,pos,1,9.99"
REFUSED = {
    "": "empty",
    " \n\t\n": "empty",
    HEAD: "empty",
    HEAD + "\n\n \n": "empty",
    FINE: "missing_column",
    "\n" + HEAD + "\n" + FINE: "missing_column",
    "Sales of January\n" + HEAD + "\n" + FINE: "missing_column",
    "<html><body>502</body></html>": "missing_column",
    "date,product_id,channel,quantity_sold\n2021-01-02,P1,pos,1": "missing_column",
    HEAD + ",REVENUE\n" + FINE + ",1": "duplicate_column",
    HEAD + "\n" + FINE + '\n2021-01-02,"P1,pos,1,1\n' + FINE: "unbalanced_quotes",
    HEAD + "\n" + FINE + '\n2021-01-02,"P"1,pos,1,1\n' + FINE: "unbalanced_quotes",
    HEAD + "\n" + FINE + "\n\0\0\0\0": "nul_tail",
    HEAD + "\n" + FINE.replace("9.99", "x"): "no_valid_rows",
    HEAD + "\n" + "P1\n" * 3: "no_valid_rows",
    HEAD.replace(",", ";") + "\n2021-01-02;P1;pos;1;9,99": "no_valid_rows",
    HEAD + "\n" + (FINE + "\n") * 9 + "x\n" * 11: "too_many_rejects",
}


def refusal_of(data, chunk=1 << 20):
    try:
        _, rows, rejects = ours(data, SALES, "UTC", chunk)
        judge(len(rows), {"": len(rejects)} if rejects else {}, Tolerance(10, 0.1))
    except FileError as error:
        return error.reason.value
    return None


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("text", "reason"), REFUSED.items(), ids=[f"{r}-{k}" for k, r in enumerate(REFUSED.values())]
)
def test_a_whole_file_is_refused_with_its_code(text, reason, end):
    text = text.replace("\n", end)
    for data in (text.encode(), ("\ufeff" + text).encode(), ("\ufeff" + text).encode("utf-16-be")):
        assert [refusal_of(data), refusal_of(data, 7)] == [reason, reason]


@pytest.mark.parametrize(
    "data",
    [
        HEAD.encode("utf-16-le"), HEAD.encode("utf-16-be"), ("\ufeff" + HEAD).encode("utf-32-le"), f"{HEAD}\n{FINE}\nKäse".encode("cp1252"),
        f"{HEAD}\n{FINE}\nK".encode() + "ä".encode()[:1], f"{HEAD}\n{FINE},".encode() + b"\xed\xa0\xbd\xed\xb8\x80", b"PK\x03\x04\x14\0\x06\0\xff\xfe\n",
    ],
    ids=["utf-16-le", "utf-16-be", "utf-32", "cp1252", "cut", "surrogates", "zip"],
)  # fmt: skip
def test_bytes_of_another_encoding_load_nothing(data):
    assert refusal_of(data) in ("encoding", "missing_column", "nul_tail")


def test_a_good_file_is_not_refused():
    assert refusal_of(f"{HEAD}\n{FINE}".encode()) is None
    assert refusal_of((HEAD + "\n" + (FINE + "\n") * 10 + "x\n" * 10).encode()) is None
