"""The Python API: the same outcomes, files and rows as the daemon's, on a real SQLite file."""

import json
import sqlite3
from pathlib import Path

import pandas as pd
import pytest
from sqlalchemy import text

import stockgrip
from daemon.errors import TransientError
from daemon.settings import DatabaseSettings, FeedsSettings, SalesFeedSettings, SettleSettings
from handlers import HANDLERS
from stockgrip import (
    CSVIngestionPipeline,
    CSVValidator,
    DatabaseUnavailable,
    Settings,
    create_database,
    get_session,
    load_settings,
)

SALES = "date,product_id,channel,quantity_sold,revenue\n"
GOOD = "2025-01-15T09:30:00,PER-0001,online,2,19.98\n"
BAD = "2025-01-15T09:31:00,PER-0002,online,2.0,19.98\n"
ERROR_KEYS = {"line", "column", "value", "reason", "message"}


@pytest.fixture
def settings(tmp_path):
    return Settings(data_dir=tmp_path / "data", settle=SettleSettings(quiet_seconds=0.05, grace_seconds=0.1))


@pytest.fixture
def pipeline(settings):
    with CSVIngestionPipeline(settings=settings) as pipeline:
        yield pipeline


@pytest.fixture
def inbox(settings):
    folder = settings.data_dir / "live_feeds"
    folder.mkdir(parents=True)
    return folder


def written(folder: Path, name: str, content: str) -> Path:
    path = folder / name
    path.write_text(content)
    return path


def left_in_work(settings) -> list[Path]:
    return list((settings.data_dir / ".work").iterdir())


def rows(settings, sql: str) -> list[tuple]:
    connection = sqlite3.connect(settings.data_dir / "stockgrip.db")
    found = connection.execute(sql).fetchall()
    connection.close()
    return found


class TestProcessCsvFile:
    def test_a_waiting_file_is_loaded_and_filed_as_the_daemon_would(self, pipeline, settings, inbox):
        path = written(inbox, "sales_data_20250115.csv", SALES + GOOD)
        result = pipeline.process_csv_file(path, "sales")
        assert result | {"processing_time_seconds": 0.0} == {
            "status": "success",
            "file_name": "sales_data_20250115.csv",
            "data_type": "sales",
            "records_processed": 1,
            "records_successful": 1,
            "records_failed": 0,
            "records_duplicate": 0,
            "processing_time_seconds": 0.0,
            "delivery_id": 1,
            "archive_path": result["archive_path"],
            "errors": [],
        }
        assert result["processing_time_seconds"] > 0
        assert not path.exists()
        assert (settings.data_dir / result["archive_path"]).read_text() == SALES + GOOD
        assert rows(settings, "SELECT product_id, quantity_sold, revenue FROM live_sales_data") == [
            ("PER-0001", 2, 19.98)
        ]
        assert rows(settings, "SELECT slot FROM data_ingestion_log") == [("sales:2025-01-15:",)]
        assert left_in_work(settings) == []

    def test_a_file_elsewhere_is_copied_in_and_left_alone(self, pipeline, settings, tmp_path):
        path = written(tmp_path, "sales_data_20250115.csv", SALES + GOOD)
        before = path.stat()
        result = pipeline.process_csv_file(str(path), "sales")
        assert result["status"] == "success"
        assert path.read_text() == SALES + GOOD
        assert path.stat().st_mtime_ns == before.st_mtime_ns
        assert (settings.data_dir / result["archive_path"]).read_text() == SALES + GOOD
        assert left_in_work(settings) == []

    def test_the_same_bytes_again_are_a_duplicate(self, pipeline, settings, tmp_path):
        path = written(tmp_path, "sales_data_20250115.csv", SALES + GOOD)
        first = pipeline.process_csv_file(path, "sales")
        again = pipeline.process_csv_file(path, "sales")
        assert (again["status"], again["records_successful"], again["errors"]) == ("duplicate", 0, [])
        assert again["archive_path"] != first["archive_path"]
        assert rows(settings, "SELECT count(*) FROM live_sales_data") == [(1,)]

    def test_rejects_are_listed_with_line_column_value_and_reason(self, pipeline, settings, tmp_path):
        path = written(tmp_path, "sales_data_20250115.csv", SALES + GOOD + BAD + GOOD)
        result = pipeline.process_csv_file(path, "sales")
        assert result["status"] == "partial"
        assert (result["records_processed"], result["records_successful"], result["records_failed"]) == (
            3,
            2,
            1,
        )
        (error,) = result["errors"]
        assert error.keys() == ERROR_KEYS
        assert (error["line"], error["column"], error["value"]) == (3, "quantity_sold", "2.0")
        assert error["reason"] == "bad_integer"
        assert type(error["reason"]) is str
        (beside,) = (settings.data_dir / "errors").iterdir()
        assert GOOD not in beside.read_text()
        assert "PER-0002" in beside.read_text()

    def test_a_refused_file_is_a_result_with_its_reason_first(self, pipeline, settings, tmp_path):
        path = written(tmp_path, "sales_data_20250115.csv", SALES + BAD)
        result = pipeline.process_csv_file(path, "sales")
        assert (result["status"], result["archive_path"]) == ("failed", "errors/sales_data_20250115.csv")
        whole, row = result["errors"]
        assert (whole["line"], whole["reason"]) == (None, "no_valid_rows")
        assert (row["line"], row["reason"]) == (2, "bad_integer")
        assert whole.keys() == row.keys() == ERROR_KEYS
        assert (settings.data_dir / "errors" / "sales_data_20250115.csv.reason.txt").exists()

    def test_every_result_is_json(self, pipeline, tmp_path):
        for number, content in enumerate((SALES + GOOD, SALES + GOOD, SALES + GOOD + BAD, SALES, "")):
            path = written(tmp_path, f"sales_data_2025011{number}.csv", content)
            json.dumps(pipeline.process_csv_file(path, "sales"), allow_nan=False)

    def test_a_name_of_no_feed_is_the_named_feeds_and_appends(self, pipeline, settings, tmp_path):
        path = written(tmp_path, "export (1) [shop].csv", SALES + GOOD)
        result = pipeline.process_csv_file(path, "sales")
        assert (result["status"], result["data_type"]) == ("success", "sales")
        assert rows(settings, "SELECT slot FROM data_ingestion_log") == [(None,)]

    def test_a_name_that_is_no_csv_file_is_refused(self, pipeline, tmp_path):
        path = written(tmp_path, "sales.xlsx", SALES + GOOD)
        result = pipeline.process_csv_file(path, "sales")
        assert (result["status"], result["errors"][0]["reason"]) == ("failed", "unroutable")

    def test_a_day_that_does_not_exist_is_not_taken_for_a_name_without_a_date(self, pipeline, tmp_path):
        path = written(tmp_path, "sales_data_20250230.csv", SALES + GOOD)
        assert pipeline.process_csv_file(path, "sales")["errors"][0]["reason"] == "unroutable"

    def test_the_feed_of_the_name_must_be_the_one_given(self, pipeline, settings, inbox):
        path = written(inbox, "inventory_data_20250115.csv", SALES + GOOD)
        with pytest.raises(ValueError, match=r"'sales'.*inventory_data_20250115\.csv.*'inventory'"):
            pipeline.process_csv_file(path, "sales")
        assert path.exists()
        assert rows(settings, "SELECT count(*) FROM data_ingestion_log") == [(0,)]

    def test_an_unknown_feed_names_the_feeds(self, pipeline, tmp_path):
        with pytest.raises(ValueError, match="'sale'; the feeds are sales, inventory, demand"):
            pipeline.process_csv_file(written(tmp_path, "a.csv", ""), "sale")

    @pytest.mark.parametrize("where", ["elsewhere", "inbox"])
    def test_a_missing_file_leaves_nothing_behind(self, pipeline, settings, inbox, tmp_path, where):
        folder = inbox if where == "inbox" else tmp_path
        with pytest.raises(FileNotFoundError):
            pipeline.process_csv_file(folder / "sales_data_20250115.csv", "sales")
        assert left_in_work(settings) == []

    @pytest.mark.parametrize("where", ["elsewhere", "inbox"])
    def test_a_folder_is_no_file(self, pipeline, settings, inbox, tmp_path, where):
        folder = (inbox if where == "inbox" else tmp_path) / "sales_data_20250115.csv"
        folder.mkdir()
        with pytest.raises(OSError, match="regular file"):
            pipeline.process_csv_file(folder, "sales")
        assert left_in_work(settings) == []

    def test_a_link_in_the_inbox_is_not_followed(self, pipeline, settings, inbox, tmp_path):
        target = written(tmp_path, "secret", SALES + GOOD)
        link = inbox / "sales_data_20250115.csv"
        link.symlink_to(target)
        with pytest.raises(OSError, match=r"[Ss]ymbolic links"):
            pipeline.process_csv_file(link, "sales")
        assert link.is_symlink()
        assert left_in_work(settings) == []

    def test_a_waiting_file_that_is_still_written_goes_back(self, pipeline, settings, inbox):
        path = inbox / "sales_data_20250115.csv"
        with path.open("w") as file:
            file.write(SALES + GOOD)
            file.flush()
            with pytest.raises(TransientError):
                pipeline.process_csv_file(path, "sales")
        assert path.exists()
        assert left_in_work(settings) == []
        assert pipeline.process_csv_file(path, "sales")["status"] == "success"

    @pytest.mark.parametrize("where", ["elsewhere", "inbox"])
    def test_a_locked_database_raises_and_the_file_stays(self, settings, inbox, tmp_path, where):
        impatient = settings.model_copy(update={"database": DatabaseSettings(busy_timeout_seconds=0.05)})
        folder = inbox if where == "inbox" else tmp_path
        path = written(folder, "sales_data_20250115.csv", SALES + GOOD)
        with CSVIngestionPipeline(settings=impatient) as pipeline:
            other = sqlite3.connect(settings.data_dir / "stockgrip.db", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(DatabaseUnavailable):
                pipeline.process_csv_file(path, "sales")
            assert path.read_text() == SALES + GOOD
            assert left_in_work(settings) == []
            other.execute("ROLLBACK")
            other.close()
            assert pipeline.process_csv_file(path, "sales")["status"] == "success"

    def test_if_only_the_move_fails_the_file_is_loaded_once_and_filed_later(self, pipeline, settings, inbox):
        path = written(inbox, "sales_data_20250115.csv", SALES + GOOD)
        (settings.data_dir / "processed").write_text("a file where the folder should be")
        with pytest.raises(OSError, match=r"[Ee]xists|[Nn]ot a directory"):
            pipeline.process_csv_file(path, "sales")
        (settings.data_dir / "processed").unlink()
        assert pipeline.process_daily_files()["loaded"] == 1  # the daemon's recovery, from the ledger
        ((status, archive_path),) = rows(settings, "SELECT status, archive_path FROM data_ingestion_log")
        assert status == "success"
        assert (settings.data_dir / archive_path).read_text() == SALES + GOOD
        assert rows(settings, "SELECT count(*) FROM live_sales_data") == [(1,)]
        assert left_in_work(settings) == []


class TestWhatTheReadmePromises:
    def test_corrected_rejects_join_their_file(self, pipeline, settings, inbox):
        pipeline.process_csv_file(written(inbox, "sales_data_20250115.csv", SALES + GOOD + BAD), "sales")
        (rejects,) = (settings.data_dir / "errors").iterdir()
        frame = pd.read_csv(rejects, dtype=str)
        frame["quantity_sold"] = "2"
        corrected = inbox / rejects.name
        rejects.unlink()
        frame.to_csv(corrected, index=False)
        assert pipeline.process_csv_file(corrected, "sales")["status"] == "success"
        assert rows(settings, "SELECT status FROM data_ingestion_log WHERE id = 1") == [("success",)]
        found = rows(settings, "SELECT product_id, quantity_sold FROM live_sales_data ORDER BY id")
        assert found == [("PER-0001", 2), ("PER-0002", 2)]

    def test_a_corrected_whole_file_under_the_old_name_replaces(self, pipeline, settings, inbox):
        for content in (SALES + GOOD + BAD, SALES + GOOD + BAD.replace("2.0", "2")):
            result = pipeline.process_csv_file(written(inbox, "sales_data_20250115.csv", content), "sales")
        assert result["status"] == "success"
        assert rows(settings, "SELECT count(*) FROM live_sales_data") == [(2,)]
        assert rows(settings, "SELECT superseded_by FROM data_ingestion_log ORDER BY id") == [(2,), (None,)]

    def test_replaced_bytes_are_a_duplicate_unless_they_differ_by_a_blank_line(
        self, pipeline, settings, inbox
    ):
        first, second = SALES + GOOD, SALES + GOOD + GOOD
        statuses = [
            pipeline.process_csv_file(written(inbox, "sales_data_20250115.csv", content), "sales")["status"]
            for content in (first, second, first, first + "\n")
        ]
        assert statuses == ["success", "success", "duplicate", "success"]
        assert rows(settings, "SELECT count(*) FROM live_sales_data") == [(1,)]


class TestProcessDailyFiles:
    def test_everything_that_waits_is_loaded(self, pipeline, settings, inbox):
        written(inbox, "sales_data_20250115.csv", SALES + GOOD)
        written(inbox, "sales_data_20250116.csv", SALES + GOOD + BAD)
        written(inbox, "sales_data_20250117.csv", SALES + BAD)
        written(inbox, "sales_data_20250118.csv", SALES + GOOD)  # the bytes of the first
        result = pipeline.process_daily_files()
        assert result.pop("processing_time_seconds") > 0
        assert result == {
            "status": "partial",
            "deliveries": 4,
            "loaded": 1,
            "partial": 1,
            "duplicate": 1,
            "refused": 1,
            "rows_loaded": 2,
            "rows_rejected": 1,
        }
        assert list(inbox.iterdir()) == []

    def test_nothing_waiting_is_a_success(self, pipeline):
        result = pipeline.process_daily_files()
        assert (result["status"], result["deliveries"]) == ("success", 0)

    def test_nothing_stays_open(self, pipeline):
        pipeline.process_daily_files()
        before = len(list(Path("/proc/self/fd").iterdir()))
        pipeline.process_daily_files()
        assert len(list(Path("/proc/self/fd").iterdir())) == before

    def test_only_refused_files_are_a_failure(self, pipeline, inbox):
        written(inbox, "sales_data_20250117.csv", SALES + BAD)
        assert pipeline.process_daily_files()["status"] == "failed"


class TestConfiguration:
    def test_a_config_file_is_read(self, tmp_path):
        config = written(tmp_path, "other.yaml", "data_dir: there\nsettle: {quiet_seconds: 0.05}\n")
        with CSVIngestionPipeline(config) as pipeline:
            assert pipeline.settings.data_dir == tmp_path / "there"
        assert CSVIngestionPipeline(settings=load_settings(config)).close() is None

    def test_a_config_file_and_settings_contradict(self, tmp_path, settings):
        with pytest.raises(ValueError, match="give one"):
            CSVIngestionPipeline(tmp_path / "config.yaml", settings)

    def test_an_unreachable_database_is_said_at_once(self, tmp_path):
        database = DatabaseSettings(url="postgresql://nobody@127.0.0.1:9/nothing")
        with pytest.raises(DatabaseUnavailable):
            CSVIngestionPipeline(settings=Settings(data_dir=tmp_path, database=database))


class TestTables:
    def test_create_database_and_get_session_read_what_was_loaded(self, pipeline, settings, tmp_path):
        pipeline.process_csv_file(written(tmp_path, "sales_data_20250115.csv", SALES + GOOD), "sales")
        engine = create_database(settings.database_url)
        with get_session(engine) as session:
            assert session.execute(text("SELECT product_id, units FROM sales_daily")).all() == [
                ("PER-0001", 2)
            ]
        engine.dispose()

    def test_every_public_name_exists(self):
        assert all(hasattr(stockgrip, name) for name in stockgrip.__all__)


SALES_FRAME = {
    "date": ["2025-01-15", "2025-01-16"],
    "product_id": ["PER-0001", "PER-0002"],
    "channel": ["online", "POS"],
    "quantity_sold": [1, 2],
    "revenue": [9.99, 19.98],
}


class TestValidateSchema:
    @pytest.fixture
    def validator(self, settings):
        return CSVValidator(settings=settings)

    def test_a_good_frame_is_valid(self, validator):
        frame = pd.DataFrame(SALES_FRAME)
        before = frame.copy()
        assert validator.validate_schema(frame, "sales") == {"valid": True, "errors": [], "warnings": []}
        pd.testing.assert_frame_equal(frame, before)

    def test_times_as_pandas_has_them_are_read(self, validator):
        frame = pd.DataFrame(SALES_FRAME | {"date": pd.to_datetime(["2025-01-15 09:30", "2025-01-16 00:00"])})
        assert validator.validate_schema(frame, "sales")["valid"]

    def test_each_bad_cell_is_named_with_its_line(self, validator):
        frame = pd.DataFrame(SALES_FRAME | {"quantity_sold": [1, -2], "channel": ["fax", "pos"]})
        verdict = validator.validate_schema(frame, "sales")
        assert not verdict["valid"]
        found = {(e["line"], e["column"], e["value"], e["reason"]) for e in verdict["errors"]}
        assert found >= {(2, "channel", "fax", "bad_enum"), (3, "quantity_sold", "-2", "out_of_range")}
        assert all(e.keys() == ERROR_KEYS for e in verdict["errors"])
        assert frame.iloc[2 - 2]["channel"] == "fax"

    def test_integers_that_became_floats_are_errors_as_in_the_file(self, validator):
        frame = pd.DataFrame(SALES_FRAME | {"quantity_sold": [1, None]})
        reasons = {e["reason"] for e in validator.validate_schema(frame, "sales")["errors"]}
        assert {"bad_integer", "missing_value"} <= reasons
        frame["quantity_sold"] = pd.array([1, 2], "Int64")
        assert validator.validate_schema(frame, "sales")["valid"]

    def test_a_missing_column_is_an_error_of_the_whole(self, validator):
        verdict = validator.validate_schema(pd.DataFrame(SALES_FRAME).drop(columns="revenue"), "sales")
        (error,) = verdict["errors"]
        assert (error["line"], error["reason"]) == (None, "missing_column")
        assert "'revenue'" in error["message"]

    def test_an_unknown_column_is_a_warning(self, validator):
        verdict = validator.validate_schema(pd.DataFrame(SALES_FRAME | {"Colour": ["a", "b"]}), "sales")
        assert verdict["valid"]
        (warning,) = verdict["warnings"]
        assert "'Colour'" in warning

    def test_one_reject_in_many_rows_is_still_not_valid(self, validator):
        frame = pd.concat([pd.DataFrame(SALES_FRAME)] * 100)
        frame.iloc[7, frame.columns.get_loc("channel")] = "fax"
        verdict = validator.validate_schema(frame, "sales")
        assert not verdict["valid"]
        assert [e["line"] for e in verdict["errors"]] == [9]

    def test_a_key_twice_is_an_error_for_snapshots(self, validator):
        frame = pd.DataFrame(
            {"date": "2025-01-15", "product_id": "P", "location": "L", "stock_level": [1, 2]}, index=[0, 1]
        )
        errors = validator.validate_schema(frame, "inventory")["errors"]
        assert [(e["line"], e["reason"]) for e in errors] == [(2, "duplicate_key")]

    @pytest.mark.parametrize("feed", [feed.name for feed in HANDLERS])
    @pytest.mark.parametrize("frame", [pd.DataFrame(), pd.DataFrame({"date": []})])
    def test_an_empty_frame_is_no_exception(self, validator, frame, feed):
        assert not validator.validate_schema(frame, feed)["valid"]

    def test_text_that_no_file_can_hold_is_an_error(self, validator):
        frame = pd.DataFrame(SALES_FRAME | {"product_id": pd.Series(["a\ud800", "b"], dtype=object)})
        (error,) = validator.validate_schema(frame, "sales")["errors"]
        assert error["reason"] == "encoding"

    def test_the_settings_count(self, settings):
        frame = pd.DataFrame(SALES_FRAME | {"quantity_sold": [1, -2], "revenue": [9.99, -19.98]})
        accepting = settings.model_copy(
            update={"feeds": FeedsSettings(sales=SalesFeedSettings(returns="accept"))}
        )
        assert not CSVValidator(settings=settings).validate_schema(frame, "sales")["valid"]
        assert CSVValidator(settings=accepting).validate_schema(frame, "sales")["valid"]

    def test_an_unknown_feed_names_the_feeds(self, validator):
        with pytest.raises(ValueError, match="the feeds are"):
            validator.validate_schema(pd.DataFrame(SALES_FRAME), "returns")

    def test_what_is_valid_is_loaded_whole_and_what_is_not_is_not(self, validator, pipeline, tmp_path):
        for number, extra in enumerate(({}, {"channel": ["fax", "pos"]}, {"promotion_code": ["a;b", 'c"d']})):
            frame = pd.DataFrame(SALES_FRAME | extra)
            path = tmp_path / f"sales_data_2025011{number}.csv"
            frame.to_csv(path, index=False)
            loaded = pipeline.process_csv_file(path, "sales")["status"] == "success"
            assert validator.validate_schema(frame, "sales")["valid"] == loaded
