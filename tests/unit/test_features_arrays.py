"""What a history is built from and refuses, and the table of results."""

import math
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest
from features_rows import AS_OF, Level, Product, ago, history_of, of, sold

from handlers.features import CATALOGUE, VERSION, channels, features_of, price_promo, stock, velocity
from handlers.features.build import codes, positions, stock_rows_days


def test_no_product_is_no_problem():
    found = features_of(history_of(AS_OF, []))
    assert all(len(values) == 0 for values in found.columns.values())
    assert found.table().num_rows == 0


def test_a_sale_before_first_seen_is_refused():
    product = sold(1, 1)
    product.first_seen = AS_OF
    with pytest.raises(
        ValueError, match=r"1 products sold before they were first seen, as 'P' before 2025-06-29"
    ):
        history_of(AS_OF, [product])


def test_wrong_shapes_are_refused():
    history = history_of(AS_OF, [sold(1)])
    with pytest.raises(ValueError, match=r"units has the shape \(1, 179\), not \(1, 180\) or more days"):
        replace(history, sales=replace(history.sales, units=history.sales.units[:, 1:]))
    with pytest.raises(ValueError, match=r"last_sale has the shape \(0,\), not \(1,\)"):
        replace(history, last_sale=history.last_sale[:0])
    with pytest.raises(ValueError, match=r"channel_units has the shape \(1, 3, 56\), not \(1, 4, 56\)"):
        replace(history, sales=replace(history.sales, channel_units=history.sales.channel_units[:, 1:]))


def test_other_windows_need_deep_arrays():
    product = sold(*[1] * 100, *[3] * 100)
    product.sales[150].promo_units = 3
    product.levels = [Level(ago(n), 0, 5, 0, 0) for n in (130, 0)]
    history = history_of(AS_OF, [product], deep=200)
    assert velocity.mean_units(history, 200)[0] == 2
    assert price_promo.promo_share(history, 60)[0] == 3 / 180
    assert stock.stockout_days(history, 120)[0] == 0
    assert channels.shares(history, 100, ending=100)[0].tolist() == [0, 1, 0, 0]
    assert velocity.lag(history, 100)[0] == 1
    with pytest.raises(
        ValueError, match=r"a window of 30 days needs deeper arrays than 28 days: build\(deep=...\)"
    ):
        price_promo.promo_share(history_of(AS_OF, [product]), 30)
    with pytest.raises(ValueError, match=r"a window of 201 days needs deeper"):
        velocity.lag(history, 200)


def test_an_agreed_delay_may_be_long():
    product = sold(*[0] * 200)
    product.levels = [Level(ago(95), 0, 5, 0, 0)]
    product.levels.append(Level(ago(101), 1, 7, 0, 0))
    assert of(product, fresh_days=100)["on_hand"] == 5
    assert math.isnan(of(product, fresh_days=94)["on_hand"])
    assert stock_rows_days(100) == 90 + 100
    assert stock_rows_days() == 90 + 27


def test_names_become_numbers():
    assert positions(["pos", "online", "pos"], ["online", "pos"]).tolist() == [1, 0, 1]
    assert positions(pa.array([], pa.string()), ["online"]).tolist() == []
    with pytest.raises(ValueError, match="'web' is not among the 2 names, such as"):
        positions(["pos", "web"], ["online", "pos"])
    assert codes(["a", "b", "a"]).tolist() == [0, 1, 0]


# ---- what comes out


def test_the_table_is_typed_and_has_nulls():
    product = sold(*[0] * 40)
    product.levels = [Level(AS_OF, 0, 7, 0, 0)]
    table = features_of(history_of(AS_OF, [product, Product("Q", None)])).table()
    assert table.column_names == ["product_id", "as_of", "catalogue_version", *(f.name for f in CATALOGUE)]
    types = {"float": pa.float64(), "integer": pa.int64(), "flag": pa.bool_(), "text": pa.string()}
    assert [field.type for field in table.schema][3:] == [types[f.dtype] for f in CATALOGUE]
    first, second = table.to_pylist()
    assert (first["product_id"], first["as_of"], first["catalogue_version"]) == ("P", AS_OF, VERSION)
    assert (first["on_hand"], first["days_of_supply"], first["days_of_supply_infinite"]) == (7, None, True)
    assert (first["demand_class"], second["demand_class"]) == (None, "new")
    assert (first["mean_units_7"], second["mean_units_7"]) == (0.0, None)
    assert not any(
        isinstance(value, float) and math.isnan(value) for row in (first, second) for value in row.values()
    )


def test_no_value_is_ever_infinite():
    product = sold(*[0] * 5, 3, *[0] * 30, unit_cost=0.0, lead_time_days=0.0, lead_time_std_days=0.0)
    product.levels = [Level(ago(n), 0, 0, 0, 0) for n in range(20)]
    product.sales[0].revenue_e4 = 0
    assert not any(np.isinf(value) for name, value in of(product).items() if name != "demand_class")
