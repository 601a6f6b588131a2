"""The report of a day: its figures are those of the rows, its page is whole, harmless and alone; on both databases."""

import json
import re
import threading
from collections import Counter
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from conftest import make_settings
from sqlalchemy import Connection, insert
from support.files import INVENTORY, PRODUCTS, SALES, csv_bytes, drop

from daemon.report import Report, make_report
from daemon.service import Service
from daemon.store import Store, runs
from daemon.store.quality import record
from daemon.store.schema import DAILY, TOTALS
from daemon.workflow.daily import daily
from handlers.quality.result import TOLD_BY, Metric, Result, Status

DAY = date(2025, 7, 1)  # a Tuesday
NOW = datetime(2025, 7, 2, 6, tzinfo=UTC)
HOSTILE = "<script>alert('1')</script>\u202e&\""
SQLITE = pytest.mark.parametrize("database_kind", ["sqlite"])  # where the database makes no difference
VOID = {"meta", "br"}


def sale(day: date, product: str, units: object, revenue: object, place: str = "here") -> str:
    return f"{day},{product},pos,{units},{revenue},,,,{place}"


def stock(product: str, level: int) -> str:
    return f"{DAY},{product},here,{level},0,0,,"


@pytest.fixture
def site(service: Callable[..., Service]) -> Service:
    """Six Tuesdays of sales, and a day on which much went wrong."""
    made = service()
    inbox = made.folders.inbox
    for week in range(1, 6):
        day = DAY - timedelta(weeks=week)
        rows = [sale(day, product, 10 + week, 100 + week) for product in "ABC"]
        drop(inbox, f"sales_data_{day:%Y%m%d}.csv", csv_bytes(SALES, rows))
    row = "B,Bread,food,1,2,9,1,3,1,99,1,me"
    drop(inbox, f"products_{DAY - timedelta(60):%Y%m%d}.csv", csv_bytes(PRODUCTS, [row]))
    made.drain()
    good = [sale(DAY, product, 4, 40.25) for product in "ABC"]
    many = [sale(DAY, f"P{n}", 1, 2) for n in range(40)]
    bad = [sale(DAY, "A", HOSTILE.replace('"', ""), 1), sale(DAY, "B", "x", 1), sale(DAY, "C", 1, "y")]
    drop(inbox, f"sales_data_{DAY:%Y%m%d}.csv", csv_bytes(SALES, [*good, *many, *bad]))
    drop(
        inbox,
        f"sales_data_{DAY:%Y%m%d}_<img src=x>.csv",
        csv_bytes(SALES, [*[sale(DAY, f"Q{n}", 2, 3) for n in range(20)], bad[1]]),
    )
    drop(inbox, f"sales_data_{DAY:%Y%m%d}_broken.csv", b"nonsense\n1\n")
    levels = [stock("A", 0), stock("B", 10), stock("C", 5000), stock("<b>&", 0)]
    drop(inbox, f"inventory_data_{DAY:%Y%m%d}.csv", csv_bytes(INVENTORY, levels))
    made.drain()
    drop(
        inbox,
        f"sales_data_{DAY - timedelta(7):%Y%m%d}.csv",
        csv_bytes(
            SALES,
            [
                sale(DAY - timedelta(7), "A", 11, 101),
                sale(DAY - timedelta(7), "B", 11, 101),
                sale(DAY - timedelta(7), "C", 99, 101),
            ],
        ),
    )
    made.drain()
    return made


class Page(HTMLParser):
    """Holds a page to its promises: tags close in order, nothing is fetched, nothing runs."""

    def __init__(self, page: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.words: list[str] = []
        self.styles = ""
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in (
            "script",
            "img",
            "link",
            "iframe",
            "object",
            "embed",
        )
        for name, _ in attrs:
            assert name not in ("src", "href", "style", "xlink:href", "action", "background")
            assert not name.startswith("on")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._in("style"):
            self.styles += data
        else:
            self.words.append(data)

    def _in(self, tag: str) -> bool:
        return bool(self.open) and self.open[-1] == tag


def rows(store: Store, sql: str) -> list[Any]:
    return list(store.ask(lambda connection: connection.exec_driver_sql(sql).all()))


def made(site: Service, store: Store, **more: Any) -> Report:
    return make_report(site.settings, store, now=NOW, **more)


def test_the_figures_are_those_of_the_rows(site: Service, store: Store) -> None:
    report = made(site, store)
    facts = json.loads(report.json_path.read_text())
    assert facts == report.facts
    assert (facts["version"], facts["day"], facts["newest_day"]) == (1, "2025-07-01", "2025-07-01")
    sold = rows(store, "SELECT date, quantity_sold, revenue FROM live_sales_data")
    by_day: dict[str, list[float]] = {}
    for at, units, revenue in sold:
        sums = by_day.setdefault(str(at)[:10], [0, 0.0])
        sums[0] += units
        sums[1] += float(revenue)
    units, revenue = by_day.pop("2025-07-01")
    assert (facts["sales"]["units"], facts["sales"]["revenue"]) == (units, pytest.approx(revenue))
    usual = sorted(each[1] for each in by_day.values())[len(by_day) // 2]
    assert (facts["sales"]["usual_revenue"], facts["sales"]["usual_of"]) == (pytest.approx(usual), 5)
    assert facts["sales"]["revenue_change"] == pytest.approx(revenue / usual - 1)

    ledger = rows(
        store,
        "SELECT file_type, status, records_processed, records_successful, records_failed FROM data_ingestion_log"
        " WHERE slot LIKE '%%:2025-07-01:%%'",
    )
    sales = next(feed for feed in facts["files"]["feeds"] if feed["feed"] == "sales")
    own = [row for row in ledger if row[0] == "sales"]
    assert (sales["files"], sales["partial_files"], sales["refused_files"]) == (len(own), 2, 1) == (3, 2, 1)
    names = ("rows_read", "rows_loaded", "rows_rejected")
    assert [sales[name] for name in names] == [sum(row[n] for row in own) for n in (2, 3, 4)]
    assert facts["files"]["of_day"]["count"] == len(ledger) == len(facts["files"]["of_day"]["items"])

    rejected = rows(store, "SELECT reason, delivery_id FROM rejected_rows")
    reasons = facts["rejects"]["by_reason"]["items"]
    assert {one["reason"]: one["rows"] for one in reasons} == Counter(row[0] for row in rejected)
    assert sum(one["rows"] for one in facts["rejects"]["by_sender"]["items"]) == len(rejected)
    assert facts["rejects"]["files"] == len({row[1] for row in rejected}) == 2
    examples = [one["example"] for one in facts["rejects"]["by_sender"]["items"]]
    assert {example["value"] for example in examples} <= {"x", "y", HOSTILE.replace('"', "")}


def test_stock_files_and_the_line_of_the_day(site: Service, store: Store) -> None:
    facts = made(site, store).facts
    out, low = facts["stock"]["out"], facts["stock"]["low"]
    assert [one["product"] for one in out["items"]] == ["A", "<b>&"]
    assert (out["count"], out["selling"], facts["stock"]["products"]) == (2, 1, 64)
    (short,) = low["items"]  # ten left, some two sell a day, and nine days until more can come
    assert (short["product"], short["name"], short["must_last_days"]) == ("B", "Bread", 9.0)
    assert short["days_of_supply"] == pytest.approx(10 / short["units_a_day"])
    (refused,) = facts["files"]["refused"]["items"]
    assert (refused["sender"], refused["mended"], facts["files"]["refused"]["open"]) == ("broken", False, 1)
    headline = facts["headline"]
    assert headline["status"] == "attention"
    assert headline["text"].startswith("1 file refused, ")
    assert headline["text"].endswith("below a usual Tuesday")
    assert (
        headline["more"][-1]
        == "1 product that sold lately is out of stock; 1 product may run out before more can come."
    )

    for content, still in ((b"more nonsense\n1\n", 2), (csv_bytes(SALES, [sale(DAY, "Z", 1, 1)]), 0)):
        drop(site.folders.inbox, f"sales_data_{DAY:%Y%m%d}_broken.csv", content)
        site.drain()
        after = made(site, store).facts["files"]["refused"]
        assert (after["open"], [one["mended"] for one in after["items"]]) == (still, [not still] * 2)


def test_corrected_rows_are_no_rejects(site: Service, store: Store) -> None:
    before = made(site, store).facts["rejects"]["rows"]
    (rejects,) = site.folders.errors.glob(f"sales_data_{DAY:%Y%m%d}.*rejects*")
    header, *lines = rejects.read_bytes().splitlines(keepends=True)
    (one,) = (line for line in lines if b",x," in line)
    rejects.unlink()
    drop(site.folders.inbox, rejects.name, header + one.replace(b",x,", b",1,", 1))
    site.drain()
    facts = made(site, store).facts
    assert facts["rejects"]["rows"] == before - 1 == 3
    assert facts["rejects"]["files"] == 2


def test_files_of_other_days_are_those_that_came_meanwhile(site: Service, store: Store) -> None:
    now = datetime.now(UTC) + timedelta(seconds=1)
    facts = make_report(site.settings, store, now=now).facts
    others = facts["files"]["of_other_days"]
    corrected = next(one for one in others["items"] if one["replaced_by"])
    assert (others["count"], corrected["day"]) == (7, "2025-06-24")
    assert (
        make_report(site.settings, store, DAY - timedelta(7), now=now).facts["files"]["of_day"]["count"] == 2
    )
    assert made(site, store).facts["files"]["of_other_days"]["count"] == 0, "they came later than that moment"


def test_an_unusual_figure_stands_beside_the_weeks_before(
    store: Store, database_url: str, tmp_path: Path
) -> None:
    place = "location:a%7Cb%25|channel:pos"
    figures = {"returned": 0, "revenue_e4": 0, "promo_units": 0, "rows": 7}
    daily_rows, totals = [], []
    for back in range(150, -1, -1):
        day, units = DAY - timedelta(back), 100 if back else 300
        if back == 3:
            continue  # nothing came
        row = {"product_id": "A<b>", "day": day, "location": "a|b%", "channel": "pos", "units": units}
        daily_rows.append(row | figures)
        totals += [
            {
                "feed": "sales",
                "day": day,
                "scope": scope,
                "units": units,
                "value_e4": units * 10_000,
                "rows": 7,
            }
            for scope in ("", place)
        ]

    def write(connection: Connection) -> None:
        connection.execute(insert(TOTALS), totals)
        connection.execute(insert(DAILY["sales"]), daily_rows)
        said = {"counted": 300, "expected": 100.0}
        scopes = ("measure:revenue", f"measure:units|{place}", f"measure:units|{place}|product:A<b>")
        found = [
            Result(Metric.ANOMALY_SCORE, scope, DAY, score, 2.0, Status.WARNING, said | told)
            for scope, score, told in zip(
                scopes, (3.5, 4.0, 5.0), ({}, {TOLD_BY: scopes[0]}, {TOLD_BY: scopes[0]}), strict=True
            )
        ]
        record(connection, found, "sales", NOW, 1)

    store.change(write)
    report = make_report(make_settings(tmp_path / "data", database_url), store, now=NOW)
    items = report.facts["anomalies"]["items"]
    parts = {"location": "a|b%", "channel": "pos"}
    assert [one["of"] for one in items] == [{}, parts | {"product": "A<b>"}, parts], (
        "the whole first, then the worst"
    )
    for one in items:
        assert (one["counted"], one["expected"], one["change"]) == (300, 100, 2)
        days = one["days"]
        assert [each["value"] for each in days] == [*[100] * 24, None, 100, 100, 300]
        assert {each["expected"] for each in days} == {100}
        assert all(
            (each["low"], each["high"]) == (pytest.approx(80, abs=1), pytest.approx(120, abs=1))
            for each in days
        )
    assert report.facts["headline"]["text"].startswith(
        "Unusual figures in sales; sales 3 times those of a usual Tuesday"
    )
    assert "A<b> in a|b% pos" in Page(report.html_path.read_text("utf-8")).words


@SQLITE
def test_the_page_is_whole_harmless_and_alone(site: Service, store: Store) -> None:
    report = made(site, store)
    html = report.html_path.read_text("utf-8")
    page = Page(html)
    told = " ".join(page.words)
    assert report.facts["headline"]["text"] in told
    for hostile in ("<script>alert('1')</script>\\u202e&", "_<img src=x>.csv", "<b>&"):
        assert hostile in told, "it stands there as text, each character visible"
    assert "\u202e" not in html
    assert not re.search(r"url\(|@import|expression|javascript:", page.styles)
    assert 'http-equiv="Content-Security-Policy" content="default-src &#x27;none&#x27;' in html
    assert report.html_path.stat().st_mode & 0o777 == report.json_path.stat().st_mode & 0o777 == 0o640


def test_an_empty_database_has_a_report(store: Store, database_url: str, tmp_path: Any) -> None:
    settings = make_settings(tmp_path / "data", database_url, timezone="Asia/Tokyo")
    report = make_report(settings, store, now=datetime(2025, 7, 1, 16, tzinfo=UTC))
    assert report.day == date(2025, 7, 2), "today, there"
    assert report.html_path.name == "daily_summary_20250702.html"
    assert report.facts["headline"] == {"status": "nothing", "text": "No data yet", "more": []}
    assert report.facts["sales"]["revenue"] is None
    assert "No data yet" in Page(report.html_path.read_text("utf-8")).words


@SQLITE
def test_nobody_sees_half_of_it(site: Service, store: Store) -> None:
    report = made(site, store)
    over = threading.Event()
    failed: list[Exception] = []

    def write() -> None:
        try:
            while not over.is_set():
                made(site, store)
        except Exception as error:  # noqa: BLE001  (told below)
            failed.append(error)

    writers = [threading.Thread(target=write) for _ in range(2)]
    for writer in writers:
        writer.start()
    try:
        for _ in range(60):
            json.loads(report.json_path.read_text())
            assert report.html_path.read_text("utf-8").endswith("</html>\n")
    finally:
        over.set()
        for writer in writers:
            writer.join()
    assert not failed
    report.html_path.unlink()
    report.html_path.mkdir()
    with pytest.raises(OSError, match="directory"):
        made(site, store)
    folder = report.html_path.parent
    assert sorted(path.name for path in folder.iterdir()) == [report.html_path.name, report.json_path.name]


@SQLITE
def test_the_workflow_writes_it_with_what_its_steps_did(site: Service, store: Store) -> None:
    done = daily(site.settings, store).run()
    step = next(step for step in done["steps"] if step["name"] == "report")
    assert (step["status"], step["details"]["day"]) == ("ok", "2025-07-01")
    facts = json.loads((site.folders.reports / "daily_summary_20250701.json").read_text())
    names = [each["name"] for each in done["steps"]]
    assert [each["name"] for each in facts["workflow"]["steps"]] == names[: names.index("report")]
    (run,) = store.ask(runs.newest)
    report = made(
        site, store, run={**run, "steps": [{**run["steps"][0], "status": "failed", "error": "<no>"}]}
    )
    assert report.facts["headline"]["status"] == "attention"
    assert "<no>" in Page(report.html_path.read_text("utf-8")).words
