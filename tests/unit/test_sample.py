"""The sample market is deterministic, keeps the rules of the feeds, and its books balance to the unit."""

import csv
import gzip
import hashlib
import io
import os
import re
import subprocess
import sys
import zlib
from collections import Counter, defaultdict
from datetime import date, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from statistics import median

import pytest
import zstandard

from daemon.sample import DEFAULT_LAST_DAY, SampleFile, generate, generate_corrupt, write_samples
from daemon.sample.files import HEADERS
from daemon.sample.seasons import calendar_factors, easter, is_black_friday_week, is_closed

DAYS, PRODUCTS, STORES = 56, 40, 3
ROUTABLE = re.compile(r"(sales_data|inventory_data|demand_data|products)_(\d{8})(_\w+)?\.csv(\.gz|\.zst)?")

# Of `generate(3, 12, seed=42)` and of all corrupted files with seed 42. A change of these is a change that users see.
PINNED_GOOD = "8af4729b6b619d37fbad81a83d8bada27310495a46fca77ecc1d9586367e95a6"
PINNED_CORRUPT = "5b03735c21a1f1090952a8c64a7107699544ce12b48ec6bd824d38fefc3800e8"


def digest(files):
    total = hashlib.sha256()
    for file in files:
        total.update(f"{file.name}\0{len(file.content)}\0".encode() + file.content)
    return total.hexdigest()


def rows_of(file: SampleFile) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(file.content.decode("ascii"), newline="")))


def by_day(feeds, feed):
    """The files of one feed: {day: rows}."""
    return {day: rows for (name, day), rows in feeds.items() if name == feed}


@pytest.fixture(scope="module")
def feeds():
    """All good files: {(feed, day): rows}."""
    found = {}
    for file in generate(DAYS, PRODUCTS, seed=7):
        feed, day = re.fullmatch(r"([a-z]+)(?:_data)?_(\d{8})\.csv", file.name).groups()
        found[feed, date.fromisoformat(day)] = rows_of(file)
    return found


@pytest.fixture(scope="module")
def corrupt():
    return {file.kind: file for file in generate_corrupt(42)}


# -- determinism


def test_same_arguments_give_pinned_bytes():
    assert digest(generate(3, 12, seed=42)) == PINNED_GOOD
    assert digest(generate_corrupt(42)) == PINNED_CORRUPT


def test_same_arguments_give_same_bytes_twice():
    assert digest(generate(4, 20, seed=1)) == digest(generate(4, 20, seed=1))


def test_other_seed_gives_other_market():
    assert digest(generate(2, 20, seed=1)) != digest(generate(2, 20, seed=2))


def test_bytes_do_not_depend_on_environment(tmp_path):
    """Another process in another time zone, with another hash seed, writes the same files."""
    write_samples(tmp_path / "here", days=2, products=8, seed=3)
    code = "import sys; from pathlib import Path; from daemon.sample import write_samples; "
    code += "write_samples(Path(sys.argv[1]), days=2, products=8, seed=3)"
    environment = os.environ | {"TZ": "Asia/Tokyo", "PYTHONHASHSEED": "1", "LC_ALL": "C"}
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "there")], env=environment, check=True)
    here, there = ({p.name: p.read_bytes() for p in (tmp_path / d).iterdir()} for d in ("here", "there"))
    assert here == there
    assert len(here) == 7


# -- names and shape


def test_each_day_has_a_file_of_each_feed_under_its_name(feeds):
    days = [DEFAULT_LAST_DAY - timedelta(days=i) for i in reversed(range(DAYS))]
    daily = [(feed, day) for day in days for feed in ("sales", "inventory", "demand")]
    assert list(feeds) == [("products", days[0]), *daily]


def test_good_files_are_plain_csv_with_all_columns_and_counted_rows():
    for file in generate(2, 5, seed=0, last_day=date(2024, 2, 29)):
        lines = file.content.decode("ascii").split("\n")
        assert lines[0] == HEADERS[file.name.split("_")[0]]
        assert lines[-1] == ""
        assert b"\r" not in file.content
        assert file.rows == len(lines) - 2
        assert (file.kind, file.status, file.reasons, file.rejects) == ("good", "success", (), 0)


def test_product_ids_look_like_the_first_ones(feeds):
    ids = [row["product_id"] for row in feeds["demand", DEFAULT_LAST_DAY]]
    assert ids[:2] == ["PER-0001", "FOO-0002"]
    assert len(set(ids)) == PRODUCTS
    assert all(re.fullmatch(r"[A-Z]{3}-\d{4}", i) for i in ids)
    assert len({i[:3] for i in ids}) >= 5


def test_inventory_has_each_product_at_each_location_at_midnight(feeds):
    for day, rows in by_day(feeds, "inventory").items():
        assert len({(r["product_id"], r["location"]) for r in rows}) == len(rows) == PRODUCTS * (1 + STORES)
        assert {r["date"] for r in rows} == {f"{day}T00:00:00"}
    assert {r["location"] for r in rows} == {"warehouse_a", "store_01", "store_02", "store_03"}


# -- rules of the feeds


def test_sales_keep_the_rules(feeds):
    for day, rows in by_day(feeds, "sales").items():
        assert [r["date"] for r in rows] == sorted(r["date"] for r in rows)
        for r in rows:
            assert datetime.fromisoformat(r["date"]).date() == day
            assert r["channel"] in {"online", "pos", "marketplace", "wholesale"}
            assert re.fullmatch(r"[1-9]\d*", r["quantity_sold"])
            assert re.fullmatch(r"\d+\.\d{2}(\d{2})?", r["revenue"])
            assert Decimal(r["revenue"]) > 0
            assert r["customer_segment"] in {"premium", "regular", "budget", ""}
            assert re.fullmatch(r"([A-Z]+\d\d)?", r["promotion_code"])
            assert r["fulfillment_method"] in {"warehouse", "store_pickup", "dropship"}
            assert (r["channel"] == "pos") <= (r["location"] != "warehouse_a")


def test_inventory_keeps_the_rules(feeds):
    for day, rows in by_day(feeds, "inventory").items():
        for r in rows:
            assert 0 <= int(r["reserved_stock"]) <= int(r["stock_level"])
            assert int(r["in_transit"]) >= 0
            assert re.fullmatch(r"SUP\d{3}", r["supplier_id"])
            assert not r["last_reorder_date"] or datetime.fromisoformat(r["last_reorder_date"]).date() <= day


def test_demand_keeps_the_rules(feeds):
    for day, rows in by_day(feeds, "demand").items():
        for r in rows:
            assert r["date"] == f"{day}T00:00:00"
            assert r["external_demand"] in {"high", "medium", "low"}
            assert -1 <= Decimal(r["market_trend"]) <= 1
            assert -1 <= Decimal(r["social_sentiment"]) <= 1
            assert not r["competitor_price"] or Decimal(r["competitor_price"]) > 0
            assert r["weather_factor"] in {"hot", "cold", "rainy", "normal"}
            assert r["event_impact"] in {"promotion", "holiday", "none"}


def test_the_catalogue_speaks_of_what_is_sold(feeds):
    """Who buys at the cheapest price, and with the largest discount, still pays more than the supplier gets."""
    ((_, rows),) = by_day(feeds, "products").items()
    supplier = {r["product_id"]: r["supplier_id"] for r in feeds["inventory", DEFAULT_LAST_DAY]}
    assert {r["product_id"]: r["supplier_id"] for r in rows} == supplier
    price = {r["product_id"]: Decimal(r["selling_price"]) for r in rows}
    for r in rows:
        assert 0 < Decimal(r["unit_cost"]) < Decimal("0.7") * price[r["product_id"]]
        assert 2 < Decimal(r["lead_time_days"]) < 9
        assert 0 < Decimal(r["lead_time_std_days"]) < 3
        assert r["pack_size"] == r["min_order_quantity"] in {"4", "6", "12"}
    for day_rows in by_day(feeds, "sales").values():
        for r in day_rows:
            if r["channel"] == "pos" and not r["promotion_code"]:
                assert Decimal(r["revenue"]) == int(r["quantity_sold"]) * price[r["product_id"]]


# -- the books


def test_stock_balances_exactly_per_product_and_location(feeds):
    """Receipts, which no feed has, follow from stock and sales: never negative, never more than was in transit."""
    stock = {
        day: {(r["product_id"], r["location"]): r for r in rows}
        for day, rows in by_day(feeds, "inventory").items()
    }
    received = ordered = lost_days = 0
    for before, day in pairwise(stock):
        sold = Counter()
        for r in feeds["sales", day]:
            sold[r["product_id"], r["location"]] += int(r["quantity_sold"])
        assert sold.keys() <= stock[day].keys()
        for key, now in stock[day].items():
            was = stock[before][key]
            receipts = int(now["stock_level"]) - int(was["stock_level"]) + sold[key]
            assert 0 <= receipts <= int(was["in_transit"])
            order = int(now["in_transit"]) - int(was["in_transit"]) + receipts
            assert order >= 0
            assert (order > 0) == (now["last_reorder_date"] == f"{day}T00:00:00")
            assert now["last_reorder_date"] == was["last_reorder_date"] or order > 0
            received += receipts
            ordered += order
            lost_days += now["stock_level"] == "0"
    assert received > 1000
    assert ordered > 1000
    cells = (DAYS - 1) * PRODUCTS * (1 + STORES)
    assert 0 < lost_days < 0.15 * cells  # stock-outs happen, and are not the rule


# -- demand


def units(rows, channel=None):
    return sum(int(r["quantity_sold"]) for r in rows if channel in {None, r["channel"]})


def test_weekdays_show_in_the_shops(feeds):
    per_weekday = defaultdict(list)
    for day, rows in by_day(feeds, "sales").items():
        if not is_closed(day) and not is_closed(day + timedelta(days=1)):
            per_weekday[day.weekday()].append(units(rows, "pos"))
    mean = {weekday: sum(values) / len(values) for weekday, values in per_weekday.items()}
    assert max(mean, key=mean.get) == 5
    assert mean[5] > 1.5 * mean[1]
    assert mean[6] < mean[1]


def test_wholesale_rests_at_weekends_and_buys_in_packs(feeds):
    for day, rows in by_day(feeds, "sales").items():
        if day.weekday() >= 5 or is_closed(day):
            assert units(rows, "wholesale") == 0
    bought = [
        int(r["quantity_sold"])
        for rows in by_day(feeds, "sales").values()
        for r in rows
        if r["channel"] == "wholesale"
    ]
    assert sum(bought) / len(bought) > 6


def test_shops_are_shut_on_holidays():
    whit_monday = date(2025, 6, 9)
    (sales,) = (f for f in generate(1, 40, seed=5, last_day=whit_monday) if f.name.startswith("sales"))
    assert {r["channel"] for r in rows_of(sales)} == {"online", "marketplace"}
    assert {r["location"] for r in rows_of(sales)} == {"warehouse_a"}


def test_shop_hours(feeds):
    hours = Counter(
        int(r["date"][11:13])
        for rows in by_day(feeds, "sales").values()
        for r in rows
        if r["channel"] == "pos"
    )
    assert min(hours) == 8
    assert max(hours) == 20
    assert hours[17] > 2 * hours[8]


def test_promotions_cut_the_price_and_lift_demand(feeds):
    sold, prices = Counter(), defaultdict(lambda: {"": [], "code": []})
    for day, rows in by_day(feeds, "sales").items():
        for r in rows:
            sold[day, r["product_id"]] += int(r["quantity_sold"])
            if r["channel"] in {"pos", "online"}:
                unit = Decimal(r["revenue"]) / int(r["quantity_sold"])
                prices[r["product_id"]]["code" if r["promotion_code"] else ""].append(
                    (unit, r["promotion_code"])
                )
    promoted, plain = defaultdict(list), defaultdict(list)
    for day, rows in by_day(feeds, "demand").items():
        for r in rows:
            place = promoted if r["event_impact"] == "promotion" else plain
            place[r["product_id"]].append(sold[day, r["product_id"]])
    # Products that are asked for most days; on a few of them the shelf is empty before the promotion ends.
    mean = {i: sum(values) / len(values) for i, values in plain.items()}
    lifts = [sum(v) / len(v) / mean[i] for i, v in promoted.items() if mean.get(i, 0) >= 1]
    assert len(lifts) >= 10
    assert median(lifts) > 1.4
    checked = 0
    for product in prices.values():
        full = {price for price, _ in product[""]}
        assert len(full) <= 1  # without a code the list price, always
        for price, code in product["code"] if full else []:
            percent = 100 - int(code[-2:])
            assert abs(price - max(full) * percent / 100) <= Decimal("0.005")
            checked += 1
    assert checked > 100


def test_promotion_codes_come_only_on_promoted_days(feeds):
    for day, rows in by_day(feeds, "sales").items():
        promoted = {r["product_id"] for r in feeds["demand", day] if r["event_impact"] == "promotion"}
        assert {r["product_id"] for r in rows if r["promotion_code"]} <= promoted


def test_popularity_is_skewed_and_some_products_sell_rarely(feeds):
    total, active = Counter(), Counter()
    for rows in by_day(feeds, "sales").values():
        for r in rows:
            total[r["product_id"]] += int(r["quantity_sold"])
        active.update({r["product_id"] for r in rows})
    ranked = [count for _, count in total.most_common()]
    assert sum(ranked[: PRODUCTS // 5]) > 0.5 * sum(ranked)
    assert min(active.values()) < DAYS / 4


def test_stronger_signals_go_with_more_sales(feeds):
    """Days of high external demand sell more than days of low one, product by product."""
    sold = Counter((day, r["product_id"]) for day, rows in by_day(feeds, "sales").items() for r in rows)
    seen = defaultdict(lambda: defaultdict(list))
    for day, rows in by_day(feeds, "demand").items():
        for r in rows:
            seen[r["product_id"]][r["external_demand"]].append(sold[day, r["product_id"]])
    both = [levels for levels in seen.values() if {"high", "low"} <= levels.keys()]
    mean = {name: sum(sum(v[name]) / len(v[name]) for v in both) for name in ("high", "low")}
    assert len(both) >= 10
    assert mean["high"] > 1.5 * mean["low"]


@pytest.mark.parametrize(
    ("year", "sunday"), [(2000, (4, 23)), (2019, (4, 21)), (2024, (3, 31)), (2025, (4, 20)), (2038, (4, 25))]
)
def test_easter(year, sunday):
    assert easter(year) == date(year, *sunday)


def test_black_friday_is_after_the_fourth_thursday():
    assert [d for d in range(1, 31) if is_black_friday_week(date(2024, 11, d))] == [29, 30]
    assert is_black_friday_week(date(2024, 12, 2))
    assert [d for d in range(1, 31) if is_black_friday_week(date(2022, 11, d))] == [25, 26, 27, 28]
    assert calendar_factors(date(2022, 11, 25))[0] > 1.5 * calendar_factors(date(2022, 11, 18))[0]


# -- corrupted files


def test_corrupt_kinds_are_many_and_distinct(corrupt):
    good = list(generate(3, 12, seed=42))
    files = [*corrupt.values(), *good]
    assert len(corrupt) >= 25
    assert len({f.name for f in files}) == len(files)
    assert len({f.content for f in files}) == len(files)  # the same bytes twice would be a duplicate
    assert Counter(f.status for f in corrupt.values()).keys() == {"success", "partial", "failed"}


def test_corrupt_files_keep_their_own_days(tmp_path):
    paths = write_samples(tmp_path, days=2, products=5, seed=42, corrupt=True)
    good, broken = paths[:7], paths[7:]
    dated = [m for p in broken if (m := ROUTABLE.fullmatch(p.name))]
    days = [m[2] for m in dated if not m[2].endswith("0230")]
    assert len(set(days)) == len(days) == len(broken) - 3  # unroutable, impossible day, other extension
    assert max(days) < min(ROUTABLE.fullmatch(p.name)[2] for p in good)


def test_expectations_are_consistent(corrupt):
    for file in corrupt.values():
        assert bool(file.reasons) == (file.status != "success"), file.kind
        assert bool(file.reject_lines) == (file.status == "partial"), file.kind
        assert bool(file.rows) == (file.status != "failed"), file.kind
        assert list(file.reject_lines) == sorted(set(file.reject_lines)), file.kind
        assert file.rejects <= max(10, file.rows // 10), file.kind
        unroutable = file.reasons == ("unroutable",)
        assert unroutable or ROUTABLE.fullmatch(file.name), file.kind


ODD_LINE = {  # what can be seen on the lines that must be rejected
    "terminal_escape": "\x1b",
    "nul_in_cell": "\x00",
    "rejects_at_limit": ",n/a,",
    "far_future": "2999-",
    "negative_sales": ",-2,-9.98,",
    "trend_out_of_range": ",1.5,",
    "reserved_over_stock": ",3,4,",
    "header_again": "date,product_id",
    "quoted_newlines": '"T',
}


@pytest.mark.parametrize("kind", ODD_LINE)
def test_reject_lines_point_at_the_odd_lines(corrupt, kind):
    file = corrupt[kind]
    lines = file.content.decode().split("\n")
    odd = [number for number, line in enumerate(lines, 1) if ODD_LINE[kind] in line and number > 1]
    assert odd == list(file.reject_lines)


def test_one_of_each_row_reason(corrupt):
    assert len(corrupt["one_of_each_reason"].reasons) == corrupt["one_of_each_reason"].rejects == 10
    everywhere = {reason for f in corrupt.values() if f.status == "partial" for reason in f.reasons}
    assert everywhere >= {"duplicate_key", "reserved_over_stock", "reorder_after_date"}


def test_duplicate_keys_name_the_earlier_rows(corrupt):
    for kind, width in (("duplicate_keys", 3), ("duplicate_products", 2)):
        lines = corrupt[kind].content.decode().splitlines()
        keys = [tuple(line.split(",")[:width]) for line in lines]
        earlier = [i for i, key in enumerate(keys, 1) if key in keys[i:]]
        assert earlier == list(corrupt[kind].reject_lines)


def test_encodings_are_what_they_claim(corrupt):
    for kind in ("cp1252", "cut_in_character", "gzip_named_csv"):
        with pytest.raises(UnicodeDecodeError):
            corrupt[kind].content.decode()
    assert "Köln" in corrupt["utf16_bom"].content.decode("utf-16")
    assert corrupt["utf8_bom"].content.startswith(b"\xef\xbb\xbfdate,")
    assert corrupt["nul_tail"].content.endswith(b"\n" + b"\x00" * 4096)
    assert corrupt["empty"].content == b""
    assert corrupt["unbalanced_quote"].content.count(b'"') == 1
    assert corrupt["truncated_row"].content.splitlines()[-1].count(b",") < 8


def test_archives_hold_what_they_claim(corrupt):
    for kind in ("gzip", "zstd"):
        raw = corrupt[kind].content
        plain = gzip.decompress(raw) if kind == "gzip" else zstandard.ZstdDecompressor().decompress(raw)
        assert plain.count(b"\n") == corrupt[kind].rows + 1
    with pytest.raises(EOFError):
        gzip.decompress(corrupt["gzip_truncated"].content)
    with pytest.raises(gzip.BadGzipFile, match="CRC"):
        gzip.decompress(corrupt["gzip_wrong_checksum"].content)
    with pytest.raises(gzip.BadGzipFile, match="Not a gzipped"):
        gzip.decompress(corrupt["csv_named_gzip"].content)
    with pytest.raises(zstandard.ZstdError):
        zstandard.ZstdDecompressor().decompress(corrupt["zstd_truncated"].content)


def test_bombs_are_small_and_unpack_to_a_hundred_mebibytes(corrupt):
    bombs = {kind: corrupt[kind].content for kind in ("gzip_bomb", "zstd_bomb")}
    unzip = zlib.decompressobj(wbits=31)
    gzipped = len(unzip.decompress(bombs["gzip_bomb"]))
    assert unzip.eof  # size and checksum are right: only the size gives it away
    zstd = zstandard.ZstdDecompressor().stream_reader(bombs["zstd_bomb"])
    zstded = sum(len(chunk) for chunk in iter(lambda: zstd.read(1 << 20), b""))
    for size, bomb in ((gzipped, bombs["gzip_bomb"]), (zstded, bombs["zstd_bomb"])):
        assert 99 << 20 < size < 101 << 20
        assert len(bomb) < 150_000


# -- writing


def test_writing_renames_into_place_and_reports_progress(tmp_path):
    seen = []
    paths = write_samples(
        tmp_path / "feeds",
        days=2,
        products=5,
        corrupt=True,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert seen == [(i, len(paths)) for i in range(1, len(paths) + 1)]
    assert sorted(p.name for p in (tmp_path / "feeds").iterdir()) == sorted(p.name for p in paths)
    assert [p.read_bytes() for p in paths[:7]] == [f.content for f in generate(2, 5, seed=42)]


def test_a_failed_write_leaves_nothing_under_the_final_name(tmp_path):
    first = next(generate(1, 5, seed=42)).name
    (tmp_path / f".{first}.tmp").mkdir()  # the temporary name cannot be written
    with pytest.raises(IsADirectoryError):
        write_samples(tmp_path, days=1, products=5)
    assert not (tmp_path / first).exists()


def test_a_daemon_sees_only_whole_files(tmp_path):
    """Whatever stands under a final name at any time is complete."""
    expected = {f.name: f.content for f in generate(2, 5, seed=42)}

    def look(_done: int, _total: int) -> None:
        for path in Path(tmp_path).glob("[!.]*"):
            assert path.read_bytes() == expected[path.name]

    assert len(write_samples(tmp_path, days=2, products=5, progress=look)) == 7


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"days": 0}, "days is 0: it must be 1 or more"),
        ({"products": 0}, "products is 0"),
        ({"seed": -1}, "seed is -1: it must be 0 or more"),
        ({"days": 20_000}, "at most 9285 fit between 2000-01-01 and 2025-06-30"),
        ({"days": 9285, "corrupt": True}, "at most 9132 fit"),
    ],
)
def test_impossible_arguments_are_refused_before_anything_is_written(tmp_path, arguments, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        write_samples(tmp_path / "feeds", **arguments)
    assert not (tmp_path / "feeds").exists()


@pytest.mark.parametrize(("days", "products", "stores"), [(1, 1, 1), (3, 1, 5), (2, 300, 2)])
def test_small_and_large_markets(days, products, stores):
    files = list(generate(days, products, seed=9, stores=stores))
    assert files[-2].rows == products * (1 + stores)
    assert files[-1].rows == products
    assert len(files) <= 3 * days + 1


def test_a_day_without_sales_gives_no_sales_file(tmp_path):
    seen = []
    paths = write_samples(tmp_path, days=60, products=1, seed=0, progress=lambda *counts: seen.append(counts))
    assert len(paths) < 181
    assert seen[-1] == (len(paths), len(paths))
    assert all(p.read_bytes().count(b"\n") > 1 for p in paths)
