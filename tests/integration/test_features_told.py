"""Looking at features: a product's, all of them as a file, and from Python."""

import math
import sys
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from support.files import INVENTORY, SALES, csv_bytes
from support.loading import ARRIVED, load
from support.process import clean_environment

from daemon import cli, logs
from daemon.after.features import advance, move_on
from daemon.feature_export import export
from daemon.feature_view import NoFeatures, look, text
from daemon.settings import Settings
from daemon.store import get_session
from daemon.store.feature_view import EXPORTED
from daemon.store.product_days import history_of
from handlers.features import CATALOGUE, features_of
from stockgrip import LiveFeatureEngineer

assert cli  # the package, which hides its module
program = sys.modules["daemon.cli.main"]
LAST = date(2025, 6, 30)
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.fixture
def shop(store):
    """Three products; a day that came late, and one that is not worked in yet."""

    def bring(name, header, *rows):
        load(store, name, csv_bytes(header, rows))

    early = LAST - timedelta(9)
    bring("sales_data_20250621.csv", SALES, *(f"{early},P-{n},pos,{n},{n},,,,s1" for n in (1, 2)))
    up_to_date(store)
    bring("sales_data_20250630.csv", SALES, f"{LAST},P-1,online,4,10,,PROMO,,s1")
    bring("inventory_data_20250630.csv", INVENTORY, f"{LAST},P-1,s1,14,4,,,")
    up_to_date(store)
    bring("sales_data_20250629.csv", SALES, f"{LAST - timedelta(1)},=Q,pos,7,7,,,,s1")
    return store


def up_to_date(store):
    while advance(store, Settings()) or move_on(store, Settings()):
        pass


def seen(shop, product="P-1", **asked):
    return look(shop, product, **{"as_of": None, "known_by": None, "zone": BERLIN, "fresh_days": 1} | asked)


def test_the_newest_row_and_how_far_behind_they_are(shop):
    told = seen(shop)
    assert (told["as_of"], told["data_day"], told["stored"], told["behind"]) == (
        str(LAST),
        str(LAST),
        True,
        1,
    )
    assert told["known_at"] == "2025-07-01T14:00:00+02:00"
    assert told["features"]["on_hand"]["value"] == 14
    assert told["features"]["mean_units_28"]["value"] == 0.5
    assert list(told["features"]) == [feature.name for feature in CATALOGUE]


def test_it_fits_the_terminal(shop, monkeypatch):
    told = seen(shop)
    for columns in (20, 40, 80, 200):
        monkeypatch.setenv("COLUMNS", str(columns))
        lines = text(told).splitlines()
        assert max(map(len, lines)) <= columns
        assert [line for line in lines if line.startswith("  on_hand") and (columns < 40 or "14" in line)]


def test_a_day_in_the_past_is_what_was_known_then_or_computed_with_what_is_known_now(shop):
    kept = seen(shop, as_of=LAST - timedelta(9))
    assert (kept["stored"], kept["features"]["mean_units_7"]["value"]) == (True, 1)
    computed = seen(shop, as_of=LAST - timedelta(8))
    assert (computed["stored"], computed["features"]["mean_units_7"]["value"]) == (False, 0.5)
    assert "computed now" in text(computed)
    assert "known at 2025-07-01 14:00+02:00" in text(kept)


BEFORE = datetime(2025, 6, 1, tzinfo=UTC)
EXPLAINED = (
    ({"product": "p-3"}, "no product p-3 is known; did you mean P-"),
    ({"product": "P-1\x1b"}, r"no product P-1\\x1b is known"),
    ({"product": "=Q"}, "not computed yet"),
    ({"as_of": LAST + timedelta(1)}, "after the newest day with data, 2025-06-30"),
    ({"known_by": BEFORE}, "kept that were known by 2025-06-01"),
    ({"as_of": LAST, "known_by": BEFORE}, "were computed at 2025-07-01"),
)


def test_what_cannot_be_told_is_explained(shop):
    for asked, says in EXPLAINED:
        with pytest.raises(NoFeatures, match=says):
            seen(shop, **asked)


HOSTILE = {
    "P-1 --as-of 0001-01-01": (2, "is no time"),  # in UTC it is before all calendars
    "P-1 --as-of 0001-01-02": (2, "is before all data"),
    "P-1 --as-of 1900-01-01": (0, ""),
    "P-1 --as-of 9999-12-31": (1, "is after the newest day with data"),
    "P-1 --known-by 0001-01-02": (1, "are kept that were known by"),
    "P-1 --as-of 9999-12-31T23:59:59-12:00": (2, "is no time"),
    "P-\udcff": (2, "is not written in UTF-8"),
    f"--export {'x' * 300}.csv": (1, "cannot be written: File name too long"),
    "--export nowhere/x.csv": (69, "No such file or directory"),
}


def test_hostile_values_are_answered_by_a_sentence(shop, database_url, tmp_path, monkeypatch, capsys):
    wanted = {"STOCKGRIP_DATABASE__URL": database_url, "STOCKGRIP_TIMEZONE": "Europe/Berlin"}
    for name, value in clean_environment(**wanted).items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    for words, (expected, says) in HOSTILE.items():
        monkeypatch.setattr(sys, "argv", ["stockgrip", "features", *words.split(" ")])
        status = program._run()
        logs.shutdown()
        error = capsys.readouterr().err
        assert (status, says in error) == (expected, True), error
    assert list(tmp_path.glob("*.csv")) == []


def test_nothing_is_loaded(store):
    with pytest.raises(NoFeatures, match="nothing is loaded yet"):
        seen(store)


def test_all_products_as_a_file(shop, tmp_path):
    for target in (tmp_path / "features.parquet", tmp_path / "features.csv"):
        target.write_text("old")
        done = export(shop, target, None, 1)
        assert (done["products"], done["behind"], done["stored"]) == (2, 1, True)
        found = pq.read_table(target) if target.suffix == ".parquet" else pacsv.read_csv(target)
        assert found.column_names == EXPORTED.names
        assert found["product_id"].to_pylist() == ["P-1", "P-2"]
        assert found["mean_units_28"].to_pylist() == [0.5, 0.2]
        assert found["on_hand"].to_pylist() == [14, None]
    typed = pq.read_table(tmp_path / "features.parquet")
    assert typed.schema.equals(EXPORTED)
    assert typed["known_at"][0].as_py() == ARRIVED
    assert len(list(tmp_path.glob("*features*"))) == 2


def test_a_past_day_of_all_products_as_a_file(shop, tmp_path, monkeypatch):
    monkeypatch.setattr("daemon.feature_export._COMPUTED", 1)
    monkeypatch.setattr("daemon.feature_export._STORED", 1)
    target = tmp_path / "features.parquet"
    assert not export(shop, target, LAST - timedelta(8), 1)["stored"]
    assert pq.read_table(target)["mean_units_7"].to_pylist() == [0.5, 1.0]
    assert export(shop, target, LAST - timedelta(9), 1)["stored"]
    assert pq.read_table(target)["mean_units_7"].to_pylist() == [1.0, 2.0]


def test_no_file_of_a_day_that_has_not_come(shop, tmp_path):
    with pytest.raises(NoFeatures, match="after the newest day with data, 2025-06-30"):
        export(shop, tmp_path / "features.csv", LAST + timedelta(1), 1)
    assert list(tmp_path.glob("*features*")) == []


def test_an_export_that_fails_leaves_what_was_there(shop, tmp_path):
    target = tmp_path / "features.parquet"
    target.write_text("old")

    def fail(done, total):
        raise OSError(done, total)

    with pytest.raises(OSError, match="2"):
        export(shop, target, None, 1, fail)
    assert target.read_text() == "old"
    assert list(tmp_path.glob(".*")) == []


def test_from_python_a_window_of_the_catalogue_is_the_catalogues(shop):
    with shop.engine.connect() as connection:
        columns = features_of(history_of(connection, ["P-1"], LAST)).columns
    with get_session(shop.engine) as session:
        engineer = LiveFeatureEngineer(session, settings=Settings())
        found = engineer.create_comprehensive_feature_set("P-1", lookback_days=28)
        assert engineer.calculate_demand_velocity_features("P-1", 400)["mean_units"] == 0.5
        assert not session.in_transaction()
        for wrong, days, says in (
            ("P-9", 30, "not known; known are such as P-1"),
            ("P-1", 0, "from 1 to 3660"),
        ):
            with pytest.raises(ValueError, match=says):
                engineer.calculate_market_sentiment_features(wrong, days)
    for name, value in found.items():
        same = columns[name] if name in columns else columns[f"{name}_28"]
        assert value == same[0] or (math.isnan(value) and math.isnan(same[0])), name
    missing = {f.name for f in CATALOGUE} - found.keys() - {f"{name}_28" for name in found}
    assert missing == {
        *("mean_units_7", "mean_units_90", "std_units_90", "cv_90", "demand_class"),
        *(f"{name}_7" for name in ("trend_mean", "trend_std", "sentiment_mean", "sentiment_std")),
        "demand_level_index_7",
    }
