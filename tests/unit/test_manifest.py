"""Manifests: how they are read, what is refused and how it is said, and figures that are exact."""

import hashlib
import json
import random
import re
import subprocess
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from handlers import DEMAND, SALES
from handlers.cells import split
from handlers.errors import FileError
from handlers.header import read_header
from handlers.manifest import (
    KEYS,
    Tally,
    belongs_to,
    check_bytes,
    check_rows,
    parse,
    tally_for,
)
from handlers.reasons import FileReason

NAME = "sales_data_20250301.csv"
HEX = hashlib.sha256(b"x").hexdigest()
OTHER = hashlib.sha256(b"y").hexdigest()


def sums(text: str | bytes, name: str = NAME) -> str | None:
    return parse(f"{name}.sha256", text if isinstance(text, bytes) else text.encode()).sha256


def figures(**keys):
    return parse(f"{NAME}.manifest.json", json.dumps(keys).encode())


def refusal(call, *arguments) -> FileError:
    with pytest.raises(FileError) as caught:
        call(*arguments)
    return caught.value


@pytest.mark.parametrize(
    ("name", "file"),
    [
        ("x.csv.done", "x.csv"),
        ("x.csv.ok", "x.csv"),
        ("x.csv.sha256", "x.csv"),
        ("x.csv.manifest.json", "x.csv"),
        ("x.csv.gz.done", "x.csv.gz"),
        ("x.csv.zst.sha256", "x.csv.zst"),
        ("x.csv.rejects.csv.done", "x.csv.rejects.csv"),
        ("x.done", None),
        ("x.csv", None),
        ("x.csv.DONE", None),
        ("x.csv.done.csv", None),
        ("x.txt.sha256", None),
        (".done", None),
    ],
)
def test_companions_are_known_by_their_names(name, file):
    assert belongs_to(name) == file


@pytest.mark.parametrize(
    "text",
    [
        f"{HEX}  {NAME}\n",
        f"{HEX} *{NAME}\n",
        f"{HEX}\n",
        HEX,
        HEX.upper(),
        f"SHA256 ({NAME}) = {HEX}\n",
        f"{HEX}  ./out/{NAME}\n",
        f"{HEX} *C:\\out\\{NAME}\r\n",
        f"{OTHER}  other.csv\n{HEX}  {NAME}\n",
        f"\n\n{HEX}  {NAME}\n\n",
        f"\ufeff{HEX}  {NAME}\n",
        f"{HEX}  {NAME}\r\n".encode("utf-16"),
    ],
)
def test_sums_are_read_in_each_usual_form(text):
    assert sums(text) == HEX


def test_sums_as_the_tools_write_them(tmp_path):
    names = [NAME, "sales data größe.csv.gz"]
    for name in names:
        (tmp_path / name).write_bytes(name.encode())
        for options in ([], ["--binary"], ["--tag"]):
            done = subprocess.run(
                ["sha256sum", *options, name], cwd=tmp_path, check=True, capture_output=True
            )
            assert sums(done.stdout, name) == hashlib.sha256(name.encode()).hexdigest()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty"),
        (" \n\0", "it is empty"),
        (HEX[:-1], "line 1 is "),
        (f"{HEX}  {NAME}\nnonsense\n", "line 2 is nonsense"),
        (f"{HEX} {NAME}\n", "allowed are `<64 hex digits>  sales_data_20250301.csv` as sha256sum writes it"),
        (f"{OTHER}  {NAME}.tmp\n", f"it tells the SHA-256 of {NAME}.tmp, none of {NAME}"),
        (f"{HEX}\n{OTHER}\n", "line 1 is "),
        (hashlib.md5(b"x").hexdigest(), "allowed are"),
        ("x" * 2_000_000, "more than 1,048,576 bytes"),
        (b"\xe4\xf6", "line 1 is "),
    ],
)
def test_other_sums_are_refused_with_what_was_found(text, said):
    error = refusal(sums, text)
    assert error.reason is FileReason.BAD_MANIFEST
    assert error.message.startswith(f"{NAME}.sha256 cannot be read: ")
    assert said in error.message
    assert len(error.message) < 500


def test_figures_are_read_exactly():
    content = (
        f'{{"rows": 812, "sha256": "{HEX.upper()}", "size": 99,'
        ' "totals": {"revenue": "1234.50", "Quantity_Sold": 812, "x": 0.10}}'
    )
    manifest = parse(f"{NAME}.manifest.json", content.encode())
    assert (manifest.rows, manifest.sha256, manifest.size) == (812, HEX, 99)
    assert manifest.totals == {
        "revenue": Decimal("1234.50"),
        "quantity_sold": Decimal(812),
        "x": Decimal("0.10"),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[]", "one or more of rows, sha256, size, totals"),
        ("{}", "one or more of rows, sha256, size, totals"),
        ('{"rows": 1', "no valid JSON"),
        ('{"rows": 1, "rows": 2}', "a key stands twice"),
        ('{"row": 1}', "unknown key row; known are rows, sha256, size, totals"),
        ('{"rows": "812"}', "rows is 812; it must be a whole number"),
        ('{"rows": -1}', "rows is -1"),
        ('{"rows": true}', "rows is True"),
        ('{"rows": 1.5}', "rows is 1.5"),
        ('{"size": 1e3}', "size is 1e3"),
        (f'{{"sha256": "{HEX[:-1]}"}}', "it must be 64 hex digits"),
        ('{"totals": [1]}', 'it must be like {"revenue": "1234.50"}'),
        ('{"totals": {"revenue": "1.234,50"}}', "the total of revenue is 1.234,50"),
        ('{"totals": {"revenue": NaN}}', "the total of revenue is NaN"),
        ('{"totals": {"revenue": 1e999999999}}', "1e999999999"),
        ('{"totals": {"revenue": true}}', "is True"),
        ('{"totals": {"revenue": null}}', "is None"),
        ('{"rows": ' + "1" * 5000 + "}", "no valid JSON"),
        ("[" * 100_000, "no valid JSON"),
    ],
)
def test_other_figures_are_refused_with_what_is_allowed(text, said):
    error = refusal(parse, f"{NAME}.manifest.json", text.encode())
    assert error.reason is FileReason.BAD_MANIFEST
    assert said in error.message
    assert len(error.message) < 500


def test_figures_that_are_no_text_are_refused():
    assert "no UTF-8 at byte 0" in refusal(parse, f"{NAME}.manifest.json", b"\xff{}").message


def test_each_key_is_known():
    for key in KEYS:
        value = {"totals": {"revenue": 1}, "sha256": HEX}.get(key, 1)
        assert figures(**{key: value})


def test_the_examples_for_senders_are_read():
    page = (Path(__file__).parents[2] / "docs" / "senders.md").read_text("utf-8")
    example, *_ = re.findall(r"```json\n(.*?)```", page, re.DOTALL)
    manifest = parse(f"{NAME}.manifest.json", example.encode())
    assert set(json.loads(example)) == set(KEYS)
    assert manifest.totals == {"revenue": Decimal("1234.50"), "quantity_sold": Decimal(812)}
    line = re.findall(r"```text\n([0-9a-f]{64}  .*?\n)```", page)[0]
    assert sums(line, "sales_data_20260105.csv") == manifest.sha256


# ---- judging


def test_bytes_that_differ_are_refused_with_both_values():
    both = [figures(size=10, sha256=HEX), parse(f"{NAME}.sha256", HEX.encode())]
    check_bytes(both, HEX, 10)
    error = refusal(check_bytes, both, OTHER, 11)
    assert error.reason is FileReason.MANIFEST_MISMATCH
    for part in ("says 10 bytes, the file has 11", f"says SHA-256 {HEX}, the file's is {OTHER}"):
        assert part in error.message
    assert error.message.count(HEX) == 2


def tally(text: str, *wanted: str) -> Tally:
    header, _, body = text.partition("\n")
    found = Tally(wanted)
    found.add(split(body.encode(), 2, read_header(header, SALES)))
    return found


HEADER = "date,product_id,channel,quantity_sold,revenue\n"
ROW = "2025-03-01,P,pos,2,1.10\n"


def test_rows_and_totals_that_agree():
    found = tally(HEADER + ROW * 3 + "\n" + "no date,P,pos, 4 ,+0.05\n", "revenue", "quantity_sold")
    check_rows([figures(rows=4, totals={"revenue": "3.35", "quantity_sold": 10})], found)
    check_rows([figures(totals={"revenue": "3.3500", "quantity_sold": "10.0"})], found)


def test_rows_and_totals_that_differ_are_refused_with_both_values():
    found = tally(HEADER + ROW * 3, "revenue", "quantity_sold")
    error = refusal(
        check_rows, [figures(rows=1234, totals={"revenue": "1234.50", "quantity_sold": 6})], found
    )
    assert error.reason is FileReason.MANIFEST_MISMATCH
    assert error.message == (
        f"{NAME}.manifest.json says 1,234 rows, the file has 3 (the header is none); "
        f"{NAME}.manifest.json says revenue adds up to 1,234.50, in the file it is 3.3"
    )


def test_cells_that_are_no_numbers_are_named():
    found = tally(HEADER + ROW + "2025-03-01,P,pos,2,ten\n2025-03-01,P\n2025-03-01,P,pos,2,\n", "revenue")
    assert found.rows == 4
    error = refusal(check_rows, [figures(totals={"revenue": "11.10"})], found)
    assert (
        "in the file it is 1.1 (1 of its cells is no number (the first on line 3); 1 row has" in error.message
    )
    assert "not added" in error.message


def test_a_column_that_the_file_does_not_have():
    found = Tally(["forecasted_demand"])
    found.add(split(ROW.encode(), 2, read_header(HEADER, SALES)))
    error = refusal(check_rows, [figures(totals={"forecasted_demand": "1"})], found)
    assert "the file has no such column" in error.message


def test_totals_only_of_columns_with_numbers():
    assert tally_for([], SALES) is None
    assert tally_for([figures(size=1)], SALES) is None
    assert tally_for([figures(rows=1)], SALES)
    error = refusal(tally_for, [figures(totals={"colour": "1"})], SALES)
    assert "a total of colour; the sales feed can add quantity_sold, revenue" in error.message
    assert refusal(tally_for, [figures(totals={"product_id": "1"})], DEMAND).reason is FileReason.BAD_MANIFEST


@pytest.mark.parametrize("places", [0, 4, 15])
def test_sums_are_exact_over_many_blocks(places):
    rng = random.Random(places)
    texts = [f"{rng.randrange(-(10**14), 10**14)}" for _ in range(2000)]
    if places:
        texts = [f"{text}.{rng.randrange(10**places):0{places}d}" for text in texts]
    found = Tally(["revenue"])
    header = read_header(HEADER, SALES)
    for begin in range(0, 2000, 300):
        block = "".join(f"2025-03-01,P,pos,2,{text}\n" for text in texts[begin : begin + 300])
        found.add(split(block.encode(), 2 + begin, header))
    scaled = sum(int(text.replace(".", "")) for text in texts)
    assert found.total("revenue") == Fraction(scaled, 10**places)
    assert found.rows == 2000
