"""Loading files from Python, with the daemon's own steps."""

import os
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from daemon import claims, source
from daemon.after.steps import AfterSteps
from daemon.claims import Claim
from daemon.config import load_settings
from daemon.errors import TransientError
from daemon.files import Folders
from daemon.ingest import ingest
from daemon.outcomes import Loaded, Outcome
from daemon.reading import Rules
from daemon.service import Service
from daemon.settings import Settings
from daemon.store import Store
from handlers.errors import FileError
from handlers.route import EXTENSIONS, route
from stockgrip.results import DrainResult, FileResult, RowError

_MOST_ERRORS = 1_000  # all of them are in the table rejected_rows


def chosen(config: Path | str | None, settings: Settings | None) -> Settings:
    """The settings meant by the two arguments that every class of this package takes.

    Raises:
        ValueError: both are given.
        ConfigError: the configuration is wrong.
    """
    if settings is None:
        return load_settings(None if config is None else Path(config))
    if config is not None:
        raise ValueError(
            "config and settings are both given; settings are what a config file is read into: give one"
        )
    return settings


def known_feed(data_type: str, rules: Rules) -> str:
    """The feed's name, if there is such a feed.

    Raises:
        ValueError: there is none; the message names those there are.
    """
    if data_type not in rules.feeds:
        raise ValueError(f"data_type is {data_type!r}; the feeds are {', '.join(rules.feeds)}")
    return data_type


def owning(rules: Rules, name: str, feed: str) -> Rules:
    """The same rules, where ``feed`` owns a file name that its patterns do not know: without a slot, it appends."""
    extension = next((e for e in reversed(EXTENSIONS) if name.endswith(e)), "")
    literally = re.escape(name.removesuffix(extension))
    return replace(rules, patterns={feed: (*rules.patterns[feed], literally)})


class CSVIngestionPipeline:
    """Loads CSV files as the daemon does: each exactly once, in one transaction, then filed away.

    Several pipelines, and the daemon, may work on one data folder and database at the same time.
    """

    def __init__(self, config: Path | str | None = None, settings: Settings | None = None) -> None:
        """Opens the database, and makes its tables if they are not there.

        Args:
            config: the configuration file; without it ``config.yaml`` in the current folder, if there is one.
            settings: settings instead of a file.

        Raises:
            ConfigError: the configuration is wrong.
            DatabaseUnavailable: the database cannot be reached or is locked.
        """
        self.settings = chosen(config, settings)
        self._rules = Rules.of(self.settings)
        self._folders = Folders(self.settings.data_dir)
        self._store = Store.open(
            self.settings.database_url, busy_timeout_seconds=self.settings.database.busy_timeout_seconds
        )

    def close(self) -> None:
        """Lets go of the database's connections."""
        self._store.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def process_csv_file(self, file_path: str | Path, data_type: str) -> FileResult:
        """Loads one file now, without waiting for it to settle.

        A file in ``live_feeds/`` is claimed and filed under ``processed/`` or ``errors/``. A file elsewhere is copied
        in and stays where it is.

        Args:
            file_path: a ``.csv``, ``.csv.gz`` or ``.csv.zst`` file.
            data_type: its feed. A name that belongs to no feed is taken as this feed's, without a slot: its rows
                are added and correct nothing.

        Returns:
            What became of it; a file that is refused is a result, not an exception.

        Raises:
            ValueError: there is no such feed, or the file's name belongs to another.
            FileNotFoundError: there is no such file.
            OSError: it is no regular file, or cannot be read.
            TransientError: the world is at fault (a locked database, a full disk), or somebody still writes the
                file; the file is where it was, and may be given again.
        """
        path = Path(file_path)
        rules = self._rules_for(path.name, known_feed(data_type, self._rules))
        self._folders.make()
        claim = self._claim(path)
        try:
            outcome = ingest(claim, rules, self._store, self._folders)
        except BaseException:
            self._give_back(claim, path)
            raise
        claims.drop(claim)
        AfterSteps(self._store, self.settings).run()
        return self._result(outcome)

    def process_daily_files(self) -> DrainResult:
        """Loads what waits in ``live_feeds/`` now, as ``stockgrip drain`` does, and returns when it is done.

        Raises:
            TransientError: the world is at fault and did not get well; what was not loaded is still in
                ``live_feeds/``.
        """
        begun = time.monotonic()
        service = Service(self.settings, self._store)
        try:
            done = service.drain()
        finally:
            service.close()
        return {
            "status": "success"
            if done.all_well
            else "failed"
            if done.refused == done.deliveries
            else "partial",
            "deliveries": done.deliveries,
            "loaded": done.loaded,
            "partial": done.partial,
            "duplicate": done.duplicate,
            "refused": done.refused,
            "rows_loaded": done.rows_loaded,
            "rows_rejected": done.rows_rejected,
            "processing_time_seconds": round(time.monotonic() - begun, 6),
        }

    def _rules_for(self, name: str, data_type: str) -> Rules:
        try:
            owner = route(name, self._rules.patterns).feed
        except FileError:
            return owning(self._rules, name, data_type)
        if owner != data_type:
            raise ValueError(f"data_type is {data_type!r}, but {name!r} is a file of the feed {owner!r}")
        return self._rules

    def _is_waiting(self, path: Path) -> bool:
        return path.parent.resolve() == self._folders.inbox.resolve()

    def _claim(self, path: Path) -> Claim:
        if self._is_waiting(path):
            os.close(source.open_regular(path))  # says what is wrong before anything is moved
            claim = claims.take(self._folders, path.name)
            if claim is None:
                raise FileNotFoundError(f"another process has taken {path}")
            return claim
        before = source.stamp(path.stat())
        if not path.is_file():
            raise OSError(f"{path} is no regular file")
        claim = claims.adopt(self._folders, path)
        if source.stamp(path.stat()) != before:
            self._give_back(claim, path)
            raise TransientError(f"{path} changed while it was copied; try again when its sender is done")
        return claim

    def _give_back(self, claim: Claim, path: Path) -> None:
        """Undoes a claim, unless its outcome is committed: then the file is filed away at the daemon's next start."""
        committed = False
        with suppress(TransientError):
            committed = self._store.outcome_of(claim.id) is not None
        if committed:
            claims.abandon(claim)
        elif self._is_waiting(path):
            claims.release(self._folders, claim)
        else:
            claim.path.unlink(missing_ok=True)
            claims.drop(claim)

    def _result(self, outcome: Outcome) -> FileResult:
        row = self._store.delivery(outcome.delivery_id)
        if row is None:
            raise AssertionError(f"delivery {outcome.delivery_id} is not in the ledger")
        return {
            "status": row["status"],
            "file_name": row["file_name"],
            "data_type": row["file_type"] or "",
            "records_processed": row["records_processed"],
            "records_successful": row["records_successful"],
            "records_failed": row["records_failed"],
            "records_duplicate": row["records_duplicate"],
            "processing_time_seconds": row["processing_time_seconds"],
            "delivery_id": row["id"],
            "archive_path": row["archive_path"],
            "errors": self._errors(outcome, row["error_details"] or {}),
        }

    def _errors(self, outcome: Outcome, details: Mapping[str, Any]) -> list[RowError]:
        if isinstance(outcome, Loaded):
            rejects = islice(self._store.rejects(outcome.delivery_id), _MOST_ERRORS)
            return [row_error({**reject, "column": reject["column_name"]}) for reject in rejects]
        if "reason" not in details:
            return []  # a duplicate
        first = file_error(details["reason"], details["message"])
        return [first, *(row_error(reject) for reject in details.get("first_rejects", []))]


def file_error(reason: str, message: str) -> RowError:
    """What is wrong with a file as a whole."""
    return {"line": None, "column": "", "value": "", "reason": reason, "message": message}


def row_error(reject: Mapping[str, Any]) -> RowError:
    """A reject of the core as the API shows it."""
    return {
        "line": reject["line"],
        "column": reject["column"],
        "value": reject["value"],
        "reason": str(reject["reason"]),
        "message": reject["message"],
    }
