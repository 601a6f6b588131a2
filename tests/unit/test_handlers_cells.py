"""Blocks and records at their edges: long lines, bare quotes, marks, and that three ways of reading agree."""

# ruff: noqa: PT017  (either answer may be right)

import csv
import io
import os
import random
import signal
import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon import source
from handlers import SALES, cells
from handlers.cells import boundary, split
from handlers.errors import FileError
from handlers.header import read_header
from handlers.reasons import FileReason

NAMES = ["date", "product_id", "channel", "quantity_sold", "revenue"]
HEADER = read_header(",".join(NAMES), SALES)
ROW = b"2021-01-02,P1,pos,1,1.00\n"


def rows_of(block, header=HEADER, first_line=2):
    """[(line, cells)] and [(line, number of cells)]"""
    found = split(block, first_line, header)
    columns = [found.columns[name].to_pylist() for name in NAMES]
    assert all(len(column) == len(found.lines) for column in columns)
    return list(zip(found.lines.tolist(), zip(*columns, strict=True), strict=True)), [
        (r.line, r.cells) for r in found.ragged
    ]


@pytest.mark.parametrize("size", [1 << 20, 2_000_001, 3_000_001, 5_000_003])
@pytest.mark.parametrize("before", [b"", ROW, ROW * 40_000])
@pytest.mark.parametrize("after", [b"", ROW, b"\n\n"])
def test_a_line_of_any_length_anywhere_in_a_block(size, before, after):
    block = before + b"2021-01-02," + b"x" * size + b",pos,1,1\n" + after
    rows, ragged = rows_of(block)
    assert len(rows) == block.count(b"pos")
    assert rows[before.count(b"\n")][1][1] == "x" * size
    assert not ragged


@pytest.mark.parametrize("ragged_row", [b"2021-01-02,P1\n", b"2021-01-02,P1,pos,1,1,\n", b"x\n", b'"a\nb"\n'])
def test_ragged_rows_in_a_large_block_keep_their_lines(ragged_row):
    block = ROW * 30_000 + ragged_row + ROW * 30_000 + ragged_row
    rows, ragged = rows_of(block)
    height = ragged_row.count(b"\n")
    assert [line for line, _ in ragged] == [30_002, 60_002 + height]
    assert [line for line, _ in rows] == [*range(2, 30_002), *range(30_002 + height, 60_002 + height)]


@pytest.mark.parametrize("quote", ["", '"'])
def test_a_mark_inside_of_the_file_is_text_wherever_a_block_begins(quote):
    row = f"\ufeff2021-01-02,{quote}P1{quote},pos,1,1\n".encode()
    for block in (row, ROW + row, row + ROW):
        rows, _ = rows_of(block)
        assert [cells[0] for _, cells in rows] == [line.split(",")[0] for line in block.decode().splitlines()]


@given(
    st.binary(max_size=60).map(lambda b: bytes(b'"",\n;ab \x00'[byte % 9] for byte in b)),
    st.sampled_from(",;"),
)
@settings(max_examples=500, deadline=None)
def test_a_boundary_is_where_a_record_ends_and_the_last_one(data, delimiter):
    """Every record before it is one of the whole text's, and nothing after it could have been cut off."""
    text = data.decode()
    right, line = {0}, 0
    lines = io.StringIO(text, newline="").readlines()
    reader = csv.reader(iter(lines), delimiter=delimiter, strict=True)
    try:
        for _ in reader:
            line = reader.line_num
            if lines[line - 1].endswith("\n"):
                right.add(sum(map(len, lines[:line])))
    except csv.Error as error:
        broken = "unexpected end" not in str(error)
    else:
        broken = False
    try:
        cut = boundary(data, delimiter, 2)
    except FileError as error:
        assert broken
        assert error.reason is FileReason.UNBALANCED_QUOTES
    else:
        # behind text after a closing quote nothing is a record: the next look finds it
        assert cut in right
        assert broken or cut == max(right)


@given(
    st.lists(
        st.lists(st.text(st.sampled_from(list('a"\n,; é')), max_size=5), min_size=5, max_size=5), max_size=8
    )
)
@settings(max_examples=200, deadline=None)
def test_the_three_ways_give_the_same_cells(table):
    """Written by the csv module (regular quotes), and read by pyarrow and by the csv module."""
    out = io.StringIO(newline="")
    csv.writer(out, lineterminator="\n", quoting=csv.QUOTE_ALL).writerows(table)
    block = out.getvalue().encode()
    if not block:
        return
    rows, ragged = rows_of(block)
    assert ([list(values) for _, values in rows], ragged) == (table, [])
    slow, _ = cells._by_csv(block, len(table), HEADER)
    assert [slow[name].to_pylist() for name in NAMES] == [list(column) for column in zip(*table, strict=True)]
    literal = block + b'2021-01-02,5" pipe,pos,1,1\n'  # the whole block goes by the csv module
    assert rows_of(literal)[0][:-1] == rows
    assert rows_of(literal)[0][-1][1][1] == '5" pipe'


BLANK = ["", " ", "\t ", "\u00a0", "\u0085", "\u2003\u3000", "\u2028", "\x0b\x0c", "\x1c"]


@pytest.mark.parametrize("blank", BLANK, ids=ascii)
@pytest.mark.parametrize("bare", [b"", b'2021-01-02,5" pipe,pos,1,1\n'])
def test_a_line_of_white_space_is_no_row(blank, bare):
    """Neither loaded nor rejected, at any place; the lines below keep their numbers."""
    line = f"{blank}\n".encode()
    rows, ragged = rows_of(line + ROW + line + bare + line + ROW + line)
    assert [at for at, _ in rows] == ([3, 5, 7] if bare else [3, 6])
    assert not ragged


@pytest.mark.parametrize("line", ["\u200b", "\ufeff", "\0", '""', '" "', ".", "\x7f", "é"], ids=ascii)
def test_a_line_that_only_looks_blank_is_a_row_of_one_cell(line):
    rows, ragged = rows_of(ROW + f"{line}\n".encode() + ROW)
    assert ([at for at, _ in rows], ragged) == ([2, 4], [(3, 1)])


def read_all(data, chunk):
    chunks = (data[k : k + chunk] for k in range(0, len(data), chunk))
    return [
        row for line, block in source.records(chunks, ",", 2) for row in rows_of(block, first_line=line)[0]
    ]


def test_a_bare_quote_does_not_hold_up_a_large_file():
    """An inch mark in a cell is a character as any other, however long the file goes on."""
    data = ROW * 1_000 + b'2021-01-02,5" pipe,pos,1,1\n' + ROW * 800_000
    assert len(data) > source._RECORD_LIMIT
    chunks = (data[k : k + (4 << 20)] for k in range(0, len(data), 4 << 20))
    total = longest = 0
    for _, block in source.records(chunks, ",", 2):
        total += block.count(b"\n")
        longest = max(longest, len(block))
    assert total == 801_001
    assert longest <= 9 << 20


def test_rows_do_not_depend_on_where_the_chunks_are_cut():
    random.seed(5)
    samples = [ROW, b'2021-01-02,"a,""b""\nc",pos,1,1\n', b'2021-01-02,5" pipe,pos,1,1\n', b"\n", b" \n", b'"","","","",""\n', "2021-01-02,é€😀,pos,1,1\n".encode()]  # fmt: skip
    data = b"".join(random.choice(samples) for _ in range(40))
    whole = read_all(data, len(data))
    assert len(whole) > 20
    for chunk in range(1, 80):
        assert read_all(data, chunk) == whole


@pytest.mark.parametrize(
    ("data", "line", "said"),
    [
        (ROW * 3 + b'2021-01-02,"P,pos,1,1\n' + ROW, 5, "never ends"),
        (ROW * 3 + b'2021-01-02,"P"x,pos,1,1\n' + ROW, 5, "text after the closing quote"),
        (
            ROW + b'2021-01-02,"a\nb",pos,1,1\n' + b'2021-01-02,"P" ,pos,1,1\n',
            5,
            "text after the closing quote",
        ),
        (ROW + b'2021-01-02,P,pos,1,"', 3, "never ends"),
    ],
)
def test_broken_quotes_name_the_line_on_which_the_row_begins(data, line, said):
    for chunk in (7, 30, 1000):
        with pytest.raises(FileError) as caught:
            read_all(data, chunk)
        assert caught.value.reason is FileReason.UNBALANCED_QUOTES
        assert f"line {line} " in caught.value.message
        assert said in caught.value.message


@pytest.mark.parametrize(
    ("start", "reason"), [(b"", FileReason.TOO_LARGE), (b'x,"', FileReason.UNBALANCED_QUOTES)]
)
def test_an_endless_line_is_refused_within_bounded_memory(start, reason):
    given_out = 0

    def endless():
        nonlocal given_out
        yield ROW + start
        while True:
            given_out += 1 << 20
            yield b"x" * (1 << 20)

    with pytest.raises(FileError) as caught:
        list(source.records(endless(), ",", 2))
    assert caught.value.reason is reason
    assert "line 3" in caught.value.message
    assert given_out <= 18 << 20


def test_a_signal_to_end_is_the_programs_to_answer():
    """It comes while a block is being split, as a service's stop does, and the block is split all the same."""
    block, came = ROW * 40_000, []
    before = signal.signal(signal.SIGTERM, lambda *_: came.append(1))
    ended = threading.Event()

    def send():
        while not ended.wait(0.001):
            os.kill(os.getpid(), signal.SIGTERM)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        assert all(len(split(block, 2, HEADER).lines) == 40_000 for _ in range(20))
    finally:
        ended.set()
        sender.join()
        signal.signal(signal.SIGTERM, before)
    assert came
