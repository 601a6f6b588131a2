"""The store: what the daemon asks of a database, each call one transaction."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, text

from daemon.errors import OutcomeUnknown
from daemon.outcomes import Counts, Delivery, Dialect, Duplicate, Outcome, Refused
from daemon.store import alerts, ledger, quality
from daemon.store.bulk import manners_of
from daemon.store.commit import load
from daemon.store.engine import IMMEDIATE, create_database, existing_database, translated
from daemon.store.giving_way import giving_way
from daemon.store.ledger import Known
from daemon.store.staging import Stage, staging
from daemon.store.together import Clean, load_together
from daemon.store.unload import Done, unload
from daemon.store.watched import watched, watched_of
from daemon.time_limit import TimeLimit
from handlers.errors import FileError
from handlers.feed import Feed
from handlers.quality.result import DEFAULTS, Thresholds

_Answer = TypeVar("_Answer")


class Store:
    """A database that is up to date.

    Every method raises ``DatabaseUnavailable`` when the database cannot be reached, is locked or has no room.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine

    @classmethod
    def open(cls, url: str, *, busy_timeout_seconds: float = 10.0) -> "Store":
        """Connects, and migrates the tables if need be."""
        return cls(create_database(url, busy_timeout_seconds=busy_timeout_seconds))

    @classmethod
    def look(cls, url: str, *, busy_timeout_seconds: float = 10.0) -> "Store":
        """Connects, for one who only looks: nothing is made or migrated. Where there is no database yet, it is empty.

        Raises:
            ConfigError: the tables are not those that this program needs.
        """
        return cls(existing_database(url, busy_timeout_seconds=busy_timeout_seconds))

    @property
    def is_made(self) -> bool:
        """Whether there is a database; false of the empty one that ``look`` takes in its place."""
        return str(self.engine.url) != "sqlite://"

    def close(self) -> None:
        """Lets go of the connections."""
        self.engine.dispose()

    def rest(self) -> None:
        """Lets go of connections that nobody uses, and of their caches."""
        self.engine.dispose()

    def settle(self) -> None:
        """Copies what was committed into SQLite's database file, so that no commit has to: a hundredth of a second now and then.

        By itself it happens once in 8 000 pages, some three hundred small files, and a file's commit waited for it a tenth of a second.
        """
        if self.engine.dialect.name == "sqlite":
            with translated(), self.engine.connect() as connection:
                driver: Any = connection.connection.driver_connection
                driver.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()

    def ping(self) -> None:
        """Raises if the database does not answer."""
        with self._reading() as connection:
            connection.execute(text("SELECT 1"))

    def outcome_of(self, claim: str) -> Outcome | None:
        """What the ledger says of a claim: a crash, or a connection lost during COMMIT, leaves that open."""
        with self._reading() as connection:
            return ledger.outcome_of(connection, claim)

    def unfiled(self, claims: str) -> list[str]:
        """The claims that begin so, and of which it is not known where their file lies, in the order in which they were loaded."""
        with self._reading() as connection:
            return ledger.unfiled(connection, claims)

    def filed_among(self, claims: str) -> list[int]:
        """The deliveries whose claims begin so, and of which it is known where their file lies, in the order in which they were loaded."""
        with self._reading() as connection:
            return ledger.filed_among(connection, claims)

    def known(self, sha256: str, slot: str | None = None) -> Known:
        """What became of these bytes before; with a slot, what became of them in it."""
        with self._reading() as connection:
            return ledger.known(connection, sha256, slot)

    def is_free(self, slot: str) -> bool:
        """Whether no delivery fills a slot."""
        with self._reading() as connection:
            return ledger.current_of(connection, slot) is None

    def rejects_at(self, rejects_path: str) -> Mapping[str, Any] | None:
        """The latest delivery whose rejects were written to a place below the data folder."""
        with self._reading() as connection:
            return ledger.rejects_at(connection, rejects_path)

    def fixes_of(self, delivery_id: int) -> list[int]:
        """The deliveries that corrected rejects of one."""
        with self._reading() as connection:
            return ledger.fixes_of(connection, delivery_id)

    def last_appended(self, feed: str) -> int:
        """The latest delivery of a feed without a slot that is loaded; none: 0."""
        with self._reading() as connection:
            return ledger.last_appended(connection, feed)

    def appended(self, feed: str, name: str, below: int) -> list[tuple[int, int, str]]:
        """Id, bytes and SHA-256 of the latest deliveries without a slot that are smaller than ``below`` bytes.

        Those with the same file name are looked for further back.
        """
        with self._reading() as connection:
            return ledger.appended(connection, feed, name, below, most=1_000)

    @contextmanager
    def stage(
        self, feed: Feed, scratch: Path | None = None, limit: TimeLimit | None = None
    ) -> Iterator[Stage]:
        """Room for a delivery's rows until it is committed or given up.

        Raises:
            FileError: ``too_slow``: the limit is over.
        """
        with translated(), self.engine.connect() as connection:
            connection.execution_options(begin="DEFERRED")
            try:
                with (
                    staging(connection, manners_of(connection), feed, scratch) as stage,
                    watched(connection, limit or TimeLimit()),
                ):
                    try:
                        yield stage
                    finally:
                        stage.halt()  # before the limit is lifted: SQLite's driver would wait for the thread, and it for the driver
            finally:
                connection.rollback()

    def commit(
        self,
        delivery: Delivery,
        stage: Stage,
        dialect: Dialect,
        seconds: float,
        least_share: float = 0.5,
        thresholds: Thresholds = DEFAULTS,
        *,
        old_transactions: bool = False,
    ) -> Outcome:
        """The one transaction of a delivery (see ``commit.py``).

        Raises:
            FileError: ``shrunk``, ``rows_removed``, ``old_transactions`` or ``too_slow``; nothing was changed.
            OutcomeUnknown: the answer to COMMIT did not come.
        """
        watch = watched_of(stage.connection)
        with translated():
            with watch.limit.waiting():
                stage.begin()
            with watch.told():
                watch.limit.doing = "its rows were loaded"
                outcome = load(
                    stage,
                    delivery,
                    dialect,
                    seconds,
                    least_share,
                    thresholds,
                    old_transactions=old_transactions,
                )
                watch.lift()
            with translated(OutcomeUnknown):
                stage.connection.commit()
            return outcome

    def commit_together(
        self,
        feed: Feed,
        some: Sequence[Clean],
        seconds: float,
        thresholds: Thresholds = DEFAULTS,
        limit: TimeLimit | None = None,
    ) -> list[dict[str, Any]]:
        """Loads the first of some small deliveries in one transaction (see ``together.py``).

        Returns:
            The rows of the ledger of those that are loaded: the next one is to be loaded alone.

        Raises:
            FileError: their sums are too large to be added up at once, or ``too_slow``; nothing was changed.
            OutcomeUnknown: the answer to COMMIT did not come.
        """
        with translated(), self.engine.connect() as connection:
            connection.execution_options(begin="DEFERRED")
            manners = manners_of(connection)
            with watched(connection, limit or TimeLimit()) as watch:
                with translated(), watch.limit.waiting():
                    manners.begin(connection)
                watch.limit.doing = "its rows were loaded"
                loaded = load_together(connection, manners, feed, some, seconds, thresholds)
                watch.lift()
            with translated(OutcomeUnknown):
                connection.commit()
            return loaded

    def refuse(
        self,
        delivery: Delivery,
        error: FileError,
        *,
        dialect: Dialect | None = None,
        read: int = 0,
        details: Mapping[str, Any] | None = None,
        seconds: float = 0.0,
        thresholds: Thresholds = DEFAULTS,
    ) -> Refused:
        """Notes that nothing of a file was loaded, and why."""
        counts = Counts(read=read, rejected=read)
        explained = {"reason": error.reason.value, "message": error.message, "remedy": error.remedy}
        with self._writing() as connection:
            delivery_id = ledger.record(
                connection,
                delivery,
                status="failed",
                counts=counts,
                dialect=dialect,
                details={**explained, **(details or {})},
                seconds=seconds,
            )
            alerts.on_refused(connection, delivery_id, delivery.arrived)
            quality.accuracy_of_delivery(connection, delivery_id, delivery.arrived, thresholds)
        return Refused(delivery_id, error.reason, error.message, counts)

    def duplicate(self, delivery: Delivery, of: int, seconds: float = 0.0) -> Duplicate:
        """Notes that a file's bytes were loaded before."""
        with self._writing() as connection:
            return ledger.record_duplicate(connection, delivery, of, seconds)

    def filed(self, delivery_id: int, archive_path: str, rejects_path: str | None = None) -> None:
        """Notes where a delivery's file lies now, and where its rejects, if they were written."""
        with self._writing() as connection:
            ledger.filed(connection, delivery_id, archive_path, datetime.now(UTC), rejects_path)

    def filed_all(self, paths: Mapping[int, str]) -> None:
        """Notes where the files of some deliveries lie now."""
        with self._writing() as connection:
            ledger.filed_all(connection, paths, datetime.now(UTC))

    def unload(self, delivery_id: int, why: str) -> Done:
        """Takes a delivery out again (see ``unload.py``), in one transaction.

        Raises:
            CannotUnload: nothing of it is loaded, or a later delivery builds on it.
            OutcomeUnknown: the answer to COMMIT did not come.
        """
        with translated(), self.engine.connect() as connection:
            connection.execution_options(begin="DEFERRED")
            manners = manners_of(connection)
            manners.begin(connection)
            done = unload(connection, manners, delivery_id, datetime.now(UTC), why)
            with translated(OutcomeUnknown):
                connection.commit()
            return done

    def unloaded_unfiled(self) -> list[Mapping[str, Any]]:
        """Deliveries that were taken out and whose files are still where they were."""
        with self._reading() as connection:
            return ledger.unloaded_unfiled(connection)

    def refused(self) -> list[Mapping[str, Any]]:
        """Every delivery that was refused, in the order of arrival."""
        with self._reading() as connection:
            return ledger.refused(connection)

    def last_filed_at(self, archive_path: str) -> int | None:
        """The latest delivery whose file was filed at a place below the data folder."""
        with self._reading() as connection:
            return ledger.last_filed_at(connection, archive_path)

    def force(self, delivery_id: int, *, forced: bool = True) -> None:
        """Lets a refused file in when its bytes come again, however much it shrinks or lacks; or takes that back."""
        with self._writing() as connection:
            ledger.force(connection, delivery_id, datetime.now(UTC) if forced else None)

    def delivery(self, delivery_id: int) -> Mapping[str, Any] | None:
        """A delivery's row of the ledger."""
        with self._reading() as connection:
            return ledger.row_of(connection, delivery_id)

    def rejects(self, delivery_id: int, also_fixed_by: int | None = None) -> Iterator[Mapping[str, Any]]:
        """A delivery's rejects that are still open, in the order of the file, read some at a time.

        Args:
            delivery_id: whose.
            also_fixed_by: those that this delivery corrected, too.
        """
        line = 0
        while True:
            with self._reading() as connection:
                some = ledger.rejects_of(connection, delivery_id, line, 5_000, also_fixed_by)
            yield from some
            if not some:
                return
            line = some[-1]["line"]

    def ask(self, question: Callable[[Connection], _Answer]) -> _Answer:
        """The answer to one of the questions of ``daemon.store.history``, read in one transaction."""
        with self._reading() as connection:
            return question(connection)

    def change(
        self, work: Callable[[Connection], _Answer], gives_way: Callable[[], bool] | None = None
    ) -> _Answer:
        """What ``work`` returns, done in one writing transaction that no other process's ``change`` overlaps.

        Args:
            work: what is done.
            gives_way: asked before each statement, and on SQLite also within one, whether to break off.

        Raises:
            GaveWay: ``gives_way`` said so; nothing was changed.
        """
        with self._writing() as connection, giving_way(connection, gives_way):
            manners_of(connection).take_turns(connection)
            return work(connection)

    def by_feed(self, since: datetime) -> list[dict[str, Any]]:
        """Figures of each feed for ``stockgrip status``."""
        with self._reading() as connection:
            return ledger.by_feed(connection, since)

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        with translated(), self.engine.connect() as connection:
            yield connection.execution_options(begin="DEFERRED")

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        with translated(), self.engine.connect() as connection:
            connection.execution_options(**IMMEDIATE)
            with connection.begin():
                yield connection
