"""The same features from the libraries that people trust, where the definitions are the same.

They live in an environment of their own: some need an older pandas. What is not installed there is skipped.
"""

import sys
from datetime import date, timedelta
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "unit"))

from features_rows import Product, Sale, history_of

from handlers.features import features_of

AS_OF = date(2025, 3, 16)
SERIES = 60
TOLERANCE = 1e-9


def shop():
    """Products with other gaps, sizes and ages; all of them sell."""
    rng = np.random.RandomState(20250316)  # its stream never changes
    products = []
    for n in range(SERIES):
        age = int(rng.choice([3, 20, 60, 89, 90, 179, 180, 250]))
        product = Product(f"P{n}", AS_OF - timedelta(age))
        share = rng.choice([0.05, 0.3, 0.8, 1.0])
        for days in range(age + 1):
            if rng.random_sample() < share or days == 0:
                units = int(rng.randint(1, 12))
                product.sales.append(Sale(AS_OF - timedelta(days), "pos", units, 0, units * 10_000, 0, 1))
        products.append(product)
    return products


PRODUCTS = shop()
FOUND = features_of(history_of(AS_OF, PRODUCTS)).columns


def series(product, window):
    """Daily units over the known days of a window, the oldest first."""
    units = dict.fromkeys((AS_OF - timedelta(n) for n in reversed(range(window))), 0.0)
    units = {day: u for day, u in units.items() if day >= product.first_seen}
    for sale in product.sales:
        if sale.day in units:
            units[sale.day] += sale.units
    return np.array(list(units.values()))


def compare(name, oracle, window, fewest=1):
    """A feature of each product against a function of its series."""
    compared = 0
    for place, product in enumerate(PRODUCTS):
        y = series(product, window)
        if len(y) >= fewest:
            np.testing.assert_allclose(
                FOUND[name][place], oracle(y), rtol=TOLERANCE, atol=TOLERANCE, err_msg=product.name
            )
            compared += 1
    assert compared > SERIES / 3


def test_pandas_rolling_standard_deviation():
    pandas = pytest.importorskip("pandas")
    for window in (28, 90):
        compare(
            f"std_units_{window}",
            lambda y, window=window: pandas.Series(y).rolling(window, min_periods=2).std().iloc[-1],
            window,
            fewest=2,
        )


def test_tsfresh():
    calculators = pytest.importorskip("tsfresh.feature_extraction.feature_calculators")
    for window in (7, 28, 90):
        compare(f"mean_units_{window}", calculators.mean, window)
    compare("zero_share", lambda y: calculators.value_count(y, 0) / len(y), 28)
    compare(
        "slope",
        lambda y: dict(calculators.linear_trend(y, [{"attr": "slope"}]))['attr_"slope"'],
        28,
        fewest=3,
    )
    compare(  # its deviation has ddof 0
        "std_units_28",
        lambda y: calculators.standard_deviation(y) * np.sqrt(len(y) / (len(y) - 1)),
        28,
        fewest=2,
    )


def test_numpy_polynomial():
    compare("acceleration", lambda y: 2 * np.polyfit(np.arange(len(y)), y, 2)[0], 28, fewest=4)


def test_scipy():
    stats = pytest.importorskip("scipy.stats")
    compare("slope", lambda y: stats.linregress(np.arange(len(y)), y).slope, 28, fewest=3)
    compare("cv2", lambda y: stats.variation(y[y > 0], ddof=1) ** 2 if (y > 0).sum() > 1 else np.nan, 90)
    shares = [[FOUND[f"channel_share_{c}"][n] for c in ("online", "pos")] for n in range(SERIES)]
    np.testing.assert_allclose(FOUND["channel_entropy"], [stats.entropy(p) for p in shares], atol=TOLERANCE)


def test_statsmodels_autocorrelation():
    stattools = pytest.importorskip("statsmodels.tsa.stattools")

    def oracle(y):
        if np.ptp(y) == 0:
            return np.nan
        return stattools.acf(y, nlags=7, adjusted=True, fft=False)[7]

    compare("acf7", oracle, 90, fewest=8)


def test_statsforecast():
    models = pytest.importorskip("statsforecast.models")

    def forecast(model):
        return lambda y: model.forecast(y=y.astype(np.float64), h=1)["mean"][0]

    compare("croston_sba", forecast(models.CrostonSBA()), 180)
    compare("tsb", forecast(models.TSB(alpha_d=0.1, alpha_p=0.1)), 180)


def test_featuretools_as_of_sums():
    """Sums over a training window that ends with as-of: as-of's own day is in, the day before the window is not."""
    featuretools = pytest.importorskip("featuretools")
    pandas = pytest.importorskip("pandas")
    rows = [(p.name, pandas.Timestamp(s.day), s.units) for p in PRODUCTS for s in p.sales]
    sales = pandas.DataFrame(rows, columns=["product_id", "day", "units"]).reset_index(names="row")
    entities = featuretools.EntitySet("shop")
    entities.add_dataframe(dataframe_name="sales", dataframe=sales, index="row", time_index="day")
    entities.normalize_dataframe(
        base_dataframe_name="sales",
        new_dataframe_name="products",
        index="product_id",
        make_time_index=True,
    )
    entities.add_last_time_indexes()
    cutoff = pandas.DataFrame(
        {"product_id": [p.name for p in PRODUCTS], "time": pandas.Timestamp(AS_OF + timedelta(1))}
    )
    found = featuretools.dfs(
        entityset=entities,
        target_dataframe_name="products",
        cutoff_time=cutoff,
        training_window="28 days",
        include_cutoff_time=False,
        agg_primitives=["sum"],
        trans_primitives=[],
    )[0]["SUM(sales.units)"]
    for place, product in enumerate(PRODUCTS):
        known = min(28, (AS_OF - product.first_seen).days + 1)
        expected = found.loc[product.name] / known
        assert FOUND["mean_units_28"][place] == pytest.approx(expected, rel=TOLERANCE)
