"""What the rules say about a file, the slow and obvious way: one row and one cell at a time.

Written from the rules, not from the code: the csv module in strict mode, Decimal and datetime. Where the rules
leave room, more than one answer is right: a reader must give one of them.
"""

# ruff: noqa: PLR0911  (each return is one rule)

import codecs
import csv
import io
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from zoneinfo import ZoneInfo

DELIMITERS = (",", ";", "\t", "|")
ACCEPTED = ""  # as one of the answers: the cell is fine

# kind of a column, then what it needs; `*` before the name: required
FEEDS = {
    "sales": {
        "*date": ("date",),
        "*product_id": ("text", 64),
        "*channel": ("word", "online pos marketplace wholesale"),
        "*quantity_sold": ("integer", 1),
        "*revenue": ("decimal", 4, None, None),
        "customer_segment": ("word", "premium regular budget", "regular"),
        "promotion_code": ("text", None),
        "fulfillment_method": ("word", "warehouse store_pickup dropship", "warehouse"),
        "location": ("text", None),
        "transaction_id": ("text", None),
    },
    "inventory": {
        "*date": ("date",),
        "*product_id": ("text", 64),
        "*location": ("text", None),
        "*stock_level": ("integer", 0),
        "reserved_stock": ("integer", 0, 0),
        "in_transit": ("integer", 0, 0),
        "supplier_id": ("text", None),
        "last_reorder_date": ("date",),
    },
    "demand": {
        "*date": ("date",),
        "*product_id": ("text", 64),
        "*external_demand": ("word", "high medium low"),
        "market_trend": ("decimal", None, Decimal(-1), Decimal(1)),
        "competitor_price": ("decimal", None, Decimal(0), None),
        "weather_factor": ("word", "hot cold rainy normal", "normal"),
        "event_impact": ("word", "promotion holiday none", "none"),
        "social_sentiment": ("decimal", None, Decimal(-1), Decimal(1)),
    },
    "products": {
        "date": ("date", "of the file"),
        "*product_id": ("text", 64),
        "name": ("text", None),
        "category": ("text", None),
        "unit_cost": ("decimal", 4, Decimal(0), None),
        "selling_price": ("decimal", 4, Decimal(0), None),
        "lead_time_days": ("decimal", None, Decimal(0), Decimal(36500)),
        "lead_time_std_days": ("decimal", None, Decimal(0), Decimal(36500)),
        "shelf_life_days": ("integer", 0),
        "min_order_quantity": ("integer", 0),
        "max_order_quantity": ("integer", 0),
        "pack_size": ("integer", 1),
        "supplier_id": ("text", None),
    },
}
DATE = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})(?:[T ](\d{2}):(\d{2}):(\d{2})(?:\.(\d+))?(?:(Z)|([+-])(\d{2}):?(\d{2}))?)?",
    re.ASCII,
)


@dataclass
class Row:
    """A row of a file: what it is, or why it may be refused."""

    line: int
    raw: str
    values: dict[str, object] = field(default_factory=dict)
    answers: set[tuple[str, str]] = field(default_factory=set)  # (column, reason); ("", ACCEPTED): it is fine

    @property
    def may_be_accepted(self) -> bool:
        return not self.answers or ("", ACCEPTED) in self.answers


@dataclass
class Reading:
    """A file as the rules see it; with refusals, nothing else counts."""

    refusals: set[str] = field(default_factory=set)
    delimiter: str = ""
    rows: list[Row] = field(default_factory=list)


def read(
    data: bytes, feed: str, now: datetime, zone: ZoneInfo, named: str | None = None, *, returns: bool = False
) -> Reading:
    """Reads an unpacked file; the verdict over its rejects is ``verdict``."""
    try:
        text = decode(data, named)
    except UnicodeError as error:
        before = data[: error.start] if isinstance(error, UnicodeDecodeError) else data
        # who reads from the top may see another fault first
        earlier = _read_text(before.decode("utf-8-sig", "ignore"), feed, now, zone, returns=returns).refusals
        return Reading({"encoding"} | earlier)
    return _read_text(text, feed, now, zone, returns=returns)


def decode(data: bytes, named: str | None) -> str:
    if data.startswith((codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)):
        raise UnicodeError("UTF-32")
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        if named is None or data.startswith(codecs.BOM_UTF8):
            raise
        return data.decode(named)


def _read_text(text: str, feed: str, now: datetime, zone: ZoneInfo, *, returns: bool) -> Reading:
    if not text.strip():
        return Reading({"empty", "missing_column"} if text else {"empty"})
    also = {"nul_tail"} if text.endswith("\0") else set()
    required = {name[1:] for name in FEEDS[feed] if name.startswith("*")}
    broken = set()
    for delimiter in DELIMITERS:
        try:
            first = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))
        except csv.Error:
            broken.add(delimiter)
            continue
        names = [name.strip().lower() for name in first]
        if required <= set(names):
            break
    else:
        return Reading(also | {"missing_column"} | ({"unbalanced_quotes"} if broken else set()))
    named = [name for name in names if name]
    if len(named) > len(set(named)):
        return Reading(also | {"duplicate_column"})
    reading = Reading(also, delimiter)
    try:
        for line, raw, cells in records(text, delimiter):
            if line > 1 and raw.strip():
                reading.rows.append(judge_row(line, raw, cells, names, feed, now, zone, returns=returns))
    except csv.Error:
        return Reading(also | {"unbalanced_quotes"})
    return reading


def records(text: str, delimiter: str):
    """(physical line from 1, the text of the record, its cells)."""
    lines = list(io.StringIO(text, newline=""))
    reader = csv.reader(iter(lines), delimiter=delimiter, strict=True)
    before = 0
    for cells in reader:
        yield before + 1, "".join(lines[before : reader.line_num]), cells
        before = reader.line_num


def verdict(accepted: int, rejected: int) -> str | None:
    """Why the rejects of a file refuse the whole of it, or None."""
    if accepted + rejected == 0:
        return "empty"
    if accepted == 0:
        return "no_valid_rows"
    return "too_many_rejects" if rejected > max(10, Decimal(accepted + rejected) / 10) else None


def judge_row(line, raw, cells, names, feed, now, zone, *, returns) -> Row:
    row = Row(line, raw)
    if len(cells) != len(names):
        row.answers.add(("", "column_count"))
        return row
    row.values["line"] = line
    by_name = dict(zip(names, (cell.strip() for cell in cells), strict=True))
    sure = False  # whether something is wrong beyond doubt
    for declared, kind in FEEDS[feed].items():
        name = declared.removeprefix("*")
        text = by_name.get(name, "")
        if kind == ("date", "of the file"):
            text = text or now.date().isoformat()
        if text:
            value, answers = judge_cell(text, kind, now, zone, returns=returns)
        else:
            value, answers = default(kind), {"missing_value"} if declared.startswith("*") else set()
        row.values[name] = value
        row.answers |= {(name, answer) for answer in answers if answer}
        sure = sure or (bool(answers) and ACCEPTED not in answers)
    if not row.answers:
        row.answers |= {
            (column, reason) for column, reason in between_columns(row.values, feed, returns=returns)
        }
        sure = bool(row.answers)
    if row.answers and not sure:
        row.answers.add(("", ACCEPTED))
    return row


def default(kind):
    return kind[2] if kind[0] in ("word", "integer") and len(kind) > 2 else None


def between_columns(values, feed, *, returns):
    if feed == "inventory":
        if values["reserved_stock"] > values["stock_level"]:
            yield "reserved_stock", "reserved_over_stock"
        if values["last_reorder_date"] is not None and values["last_reorder_date"] > values["date"]:
            yield "last_reorder_date", "reorder_after_date"
    if feed == "products":
        low, high = values["min_order_quantity"], values["max_order_quantity"]
        if low is not None and high is not None and low > high:
            yield "min_order_quantity", "min_over_max"
    if feed == "sales" and returns:
        quantity, revenue = values["quantity_sold"], values["revenue"]
        if not ((quantity > 0 and revenue > 0) or (quantity < 0 and revenue < 0)):
            yield "revenue", "out_of_range"


def judge_cell(text, kind, now, zone, *, returns) -> tuple[object, set[str]]:
    """The value, and the reasons of which one must be given."""
    if any(ord(c) < 32 for c in text):
        return None, {"control_character"}
    match kind:
        case ("text", 64):
            return text, {"too_long"} if len(text) > 64 else set()
        case ("text", None):
            return text, {"too_long", ACCEPTED} if len(text) > 200 else set()  # no limit is stated
        case ("word", words, *_):
            word = text.lower()
            if "\u0130" in text:  # whether its lower case is `i` is a question of the language
                return None, {"bad_enum", ACCEPTED}
            return word, set() if word in words.split() else {"bad_enum"}
        case ("integer", low, *_):
            return judge_integer(text, None if returns and low == 1 else low)
        case ("decimal", places, low, high):
            value, answers = judge_decimal(text, places, low, high)
            if places and low is None and not answers and value <= 0 and not returns:  # revenue
                answers = {"out_of_range"}
            return value, answers
        case ("date", *_):
            return judge_date(text, now, zone)
    raise AssertionError(kind)


def judge_integer(text, low):
    if not re.fullmatch(r"-?[0-9]+", text):
        return None, {"bad_integer"}
    value = int(text)
    if low is not None and value < low:
        return None, {"out_of_range"}
    if abs(value) >= 2**31 or len(text) > 18:  # sizes and leading zeros are left open
        return value, {"out_of_range", ACCEPTED}
    return value, set()


def judge_decimal(text, places, low, high):
    if not re.fullmatch(r"-?[0-9]+(\.[0-9]+)?", text):
        return None, {"bad_decimal"}
    if places is not None and len(text.partition(".")[2]) > places:
        return None, {"bad_decimal"}
    value = Decimal(text)
    if (low is not None and value < low) or (high is not None and value > high):
        return None, {"out_of_range"}
    if abs(value) > 99_999_999_999:  # no bound is stated
        return value, {"out_of_range", ACCEPTED}
    return value, set()


def judge_date(text, now, zone):
    match = DATE.fullmatch(text)
    if not match:
        return None, {"bad_date"}
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    fraction, utc, sign, hours, minutes = match.groups()[6:]
    if year == 0:
        return None, {"bad_date", "date_out_of_range"}
    if fraction and len(fraction) > 9:
        return None, {"bad_date", ACCEPTED}
    if hours and (int(hours) > 23 or int(minutes) > 59):
        return None, {"bad_date"}
    try:
        moment = datetime(year, month, day, hour, minute, second, int(((fraction or "") + "000000")[:6]))
    except ValueError:
        return None, {"bad_date"}
    if utc or sign:
        offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
        try:
            moment = (
                moment.replace(tzinfo=timezone(offset)).astimezone(UTC).astimezone(zone).replace(tzinfo=None)
            )
        except OverflowError:
            return None, {"date_out_of_range"}
    if moment < datetime(2000, 1, 1) or moment > now + timedelta(days=1):
        return None, {"date_out_of_range"}
    return moment.isoformat(" "), set()
