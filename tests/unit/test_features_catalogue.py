"""The catalogue is whole, the page says the same, and the version is raised when values change."""

import ast
import hashlib
import math
import re
from datetime import date, timedelta
from pathlib import Path

import pytest
from features_rows import Level, Product, Sale, Signal, history_of

import handlers.features
from handlers.features import (
    CATALOGUE,
    FEATURES,
    VERSION,
    channels,
    dates,
    features_of,
    intermittency,
    price_promo,
    signals,
    stock,
    velocity,
)
from handlers.features.catalogue import TITLES, columns, page
from handlers.sales import CHANNELS

FOLDER = Path(handlers.features.__file__).parent
MODULES = sorted(FOLDER.glob("*.py"))
PAGE = FOLDER.parents[1] / "docs" / "features.md"

FINGERPRINTS = {
    "1": "c30d44d6af10834e",
}


def shop():
    """Products of several kinds; the same figures on every machine."""
    as_of = date(2024, 5, 19)
    products = []
    for kind, age in enumerate([300, 300, 70, 20, 3, 0]):
        known = None if kind == 5 else as_of - timedelta(age)
        product = Product(f"P{kind}", known, [], [], [], 2.5, 4.0, 6.0, 1.5, 3.9)
        for n in range(min(age + 1, 190) if known else 0):
            day, noise = as_of - timedelta(n), (n * 7919 + kind * 104_729) % 1009
            if noise % (kind + 1) == 0:
                units = 1 + noise % 11
                returned = int(noise % 17 == 0)
                revenue = units * (30_000 + noise) - returned * 30_000
                channel = CHANNELS[noise % 4]
                product.sales.append(Sale(day, channel, units, returned, revenue, units // 3, 2))
            if kind != 2 or n % 7 == 0:
                product.levels.append(Level(day, noise % 2, max(0, noise % 40 - 9), noise % 5, noise % 13))
            trend = noise * 1000 % 1_000_000
            product.signals.append(
                Signal(day, 2, noise % 3 - 1, 1, trend, trend**2 // 10**6, 1, -trend, trend**2 // 10**6)
            )
        products.append(product)
    return history_of(as_of, products)


def there(values):
    """Without no value."""
    return [v for v in values.tolist() if not (v is None or (isinstance(v, float) and math.isnan(v)))]


def told(value):
    """To nine digits."""
    return f"{value + 0.0:.9g}" if isinstance(value, float) else str(value)


def fingerprint():
    """Of names, windows, types, and of values to nine digits."""
    digest = hashlib.sha256()
    found = features_of(shop()).columns
    for feature in CATALOGUE:
        values = [told(value) for value in found[feature.name].tolist()]
        digest.update(f"{feature.name} {feature.windows} {feature.dtype} {values}\n".encode())
    return digest.hexdigest()[:16]


def test_the_version_is_raised_when_values_change():
    assert FINGERPRINTS.get(VERSION) == fingerprint(), (
        f"features have other values, names, windows or types than in version {VERSION}: raise VERSION in "
        f"handlers/features/catalogue.py, say in CHANGELOG.md what changed, and add {fingerprint()!r} under the new "
        "version here (a version that has been released keeps its own)"
    )
    assert list(FINGERPRINTS) == [str(n) for n in range(1, len(FINGERPRINTS) + 1)]


def test_the_fingerprint_sees_each_feature():
    """Some product has a value for it, and they are not all the same."""
    found = features_of(shop()).columns
    for feature in CATALOGUE:
        assert there(found[feature.name]), feature.name
        if feature.theme != "calendar":
            assert len({told(v) for v in found[feature.name].tolist()}) > 1, feature.name


def test_the_page_is_that_of_the_catalogue():
    if PAGE.read_text("utf-8") != page():
        wanted = Path("build/features.md")
        wanted.parent.mkdir(exist_ok=True)
        wanted.write_text(page(), "utf-8")
        pytest.fail("docs/features.md is not what the catalogue says: copy build/features.md there")


def test_each_feature_stands_on_the_page_once():
    rows = re.findall(r"^\| `(\w+)` \|(.*)\|$", PAGE.read_text("utf-8"), re.MULTILINE)
    assert [name for name, _ in rows] == list(FEATURES)
    for name, cells in rows:
        assert cells.count("|") == 5, f"{name}: a cell has a |"


def test_names_are_good_columns():
    names = [feature.name for feature in CATALOGUE]
    assert len(set(names)) == len(names)
    for name in names:
        assert re.fullmatch(r"[a-z][a-z0-9_]{1,40}", name), name
    assert not {"product_id", "as_of", "catalogue_version", "known_at"} & set(names)


def test_declarations_are_whole():
    for feature in CATALOGUE:
        for text in (feature.formula, feature.unit, feature.meaning, feature.no_data):
            assert text, feature.name
            assert text == text.strip(), feature.name
            assert "\n" not in text, feature.name
            assert "{" not in text, feature.name
        assert list(feature.windows) == sorted(feature.windows)
        assert not feature.meaning.endswith(".")
    assert [name for theme in TITLES for name in columns(theme)] == list(FEATURES), "themes are in one piece"


@pytest.mark.parametrize(
    "theme",
    [velocity, intermittency, price_promo, channels, stock, signals, dates],
    ids=lambda m: m.__name__.rpartition(".")[2],
)
def test_themes_compute_what_they_declare(theme):
    assert set(theme.compute(shop())) == {feature.name for feature in theme.FEATURES}


def test_values_are_of_the_declared_type():
    found = features_of(shop()).columns
    assert list(found) == list(FEATURES)
    for name, values in found.items():
        match FEATURES[name].dtype:
            case "integer":
                assert all(v == int(v) for v in there(values)), name
            case "flag":
                assert set(there(values)) <= {0.0, 1.0}, name
            case "text":
                assert all(isinstance(v, str) for v in there(values)), name
            case "float":
                assert values.dtype == "float64", name


# ---- pure, and readable


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_modules_import_numbers_only(path):
    allowed = {
        "numpy",
        "pyarrow",
        "handlers",
        "collections",
        "dataclasses",
        "datetime",
        "itertools",
        "math",
        "types",
        "typing",
    }
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        assert {name.partition(".")[0] for name in names} <= allowed, path.name
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name | ast.Attribute):
            called = node.func.id if isinstance(node.func, ast.Name) else node.func.attr
            assert called not in {"open", "print", "now", "today", "utcnow", "time"}, path.name


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_modules_are_short(path):
    assert len(path.read_text("utf-8").splitlines()) < 300
