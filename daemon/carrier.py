"""Carries files from the inbox to their end, one after the other.

A bad file is a file's fault and is refused. Whatever is the world's fault is tried again for a while, and then intake
pauses: the file stays claimed, nothing is blamed on it, and work goes on by itself when the world is well again.
"""

import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from daemon import claims, together
from daemon.claims import Claim
from daemon.errors import OutcomeUnknown, TransientError
from daemon.events import Event
from daemon.faults import world
from daemon.files import Folders
from daemon.hands import finish_unloads
from daemon.inbox import Inbox
from daemon.ingest import StillWritten, ingest
from daemon.logs import bound, display_name, emit
from daemon.outcomes import Outcome
from daemon.patience import Patience
from daemon.reading import Rules
from daemon.store import Store, is_worlds_fault
from daemon.summary import Summary
from daemon.together import Done, Item
from daemon.vitals import Phase
from handlers.errors import FileError
from handlers.reasons import FileReason


@dataclass(frozen=True, slots=True)
class _Run:
    """Small files that may be loaded in one transaction, or one that is to be ingested alone, and the seconds that reading each took."""

    items: Sequence[Item]
    seconds: float


@dataclass(frozen=True, slots=True)
class _Loading:
    """A run, and what becomes of it; None: it is not loaded together."""

    run: _Run
    result: Future[list[Done]] | None


@dataclass(slots=True)
class Carrier:
    """Takes, ingests and files away what is complete.

    Attributes:
        rules: from the settings.
        store: the database.
        folders: the data folder.
        inbox: what waits.
        patience: with the world.
        summary: what became of the files.
        left_behind: something stayed claimed, and is to be recovered.
    """

    rules: Rules
    store: Store
    folders: Folders
    inbox: Inbox
    patience: Patience
    summary: Summary
    left_behind: bool = False
    _told: set[str] = field(default_factory=set)
    _unsure: set[str] = field(default_factory=set)
    _pool: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "load"))

    def deliver(self, name: str, *, patient: bool) -> bool:
        """Takes a file from the inbox to its end; False if it changed since it was found complete.

        Raises:
            TransientError: the world did not get well, and nobody is to wait for it.
        """
        if not self.inbox.is_unchanged(name):
            return False
        claim = self._take(name, patient=patient)
        self.inbox.forget(name)
        if claim is not None:
            emit(Event.DELIVERY_CLAIMED, delivery=claim.id, file=display_name(name))
            self._carry_through(claim, patient=patient)
        return True

    def deliver_all(
        self, names: Iterable[str], *, patient: bool, enough: Callable[[], bool]
    ) -> Iterator[str]:
        """Takes files to their end, small ones together, and yields the names of those that are; others changed meanwhile.

        Args:
            names: of complete files, in the order in which they came.
            patient: whether to wait for an unwell world.
            enough: whether to stop after the files in hand.

        Raises:
            TransientError: the world did not get well, and nobody is to wait for it.
        """
        taken: dict[str, Claim] = {}
        loading: _Loading | None = None
        try:
            for work in self._works(names, taken, patient=patient, enough=enough):
                if loading is not None:
                    yield from self._end(loading, taken, patient=patient)
                    loading = None
                if isinstance(work, str):
                    if self.deliver(work, patient=patient):
                        yield work
                else:
                    loading = self._begin(work)
            if loading is not None:
                yield from self._end(loading, taken, patient=patient)
        except (Exception, GeneratorExit):
            if loading is not None:
                self._loaded(loading)
            for claim in taken.values():
                self._let_go(claim)
            raise

    def recover(self, *, patient: bool) -> None:
        """Takes up what a process that died had claimed, or had taken out."""
        finish_unloads(self.store, self.folders)
        for claim in claims.orphans(self.folders):
            with bound(delivery=claim.id, file=claim.name):
                if not claim.name and self.store.outcome_of(claim.id) is None:
                    claims.drop(claim)  # it died before the file was in
                    continue
                emit(Event.DELIVERY_RECOVERED, state="claimed" if claim.name else "filed")
            self._carry_through(claim, patient=patient)

    # ---- small files together

    def _groups(self, names: Iterable[str]) -> Iterator[list[str]]:
        """Neighbours that are small enough to be read together, or one file."""
        group: list[str] = []
        size = 0
        for name in names:
            small, its = self._is_small(name), self.inbox.size_of(name)
            if group and not (
                small and len(group) < together.MOST_FILES and size + its <= together.MOST_BYTES
            ):
                yield group
                group, size = [], 0
            group.append(name)
            size += its
            if not small:
                yield group
                group, size = [], 0
        if group:
            yield group

    def _is_small(self, name: str) -> bool:
        return name.endswith(".csv") and self.inbox.size_of(name) <= together.SMALL

    def _works(
        self, names: Iterable[str], taken: dict[str, Claim], *, patient: bool, enough: Callable[[], bool]
    ) -> Iterator["str | _Run"]:
        """What is to be done one after the other: a file by itself, or small ones that were taken and read together.

        Args:
            names: of complete files.
            taken: the claims of small files are put in.
            patient: whether to wait for an unwell world.
            enough: whether to stop.
        """
        for some in self._groups(names):
            if enough():
                return
            if self._is_small(some[0]):
                yield from self._read_together(some, taken, patient=patient)
            else:
                yield some[0]

    def _read_together(
        self, names: Sequence[str], taken: dict[str, Claim], *, patient: bool
    ) -> Iterator["_Run"]:
        """Takes and reads small files, but for those that changed since they were found complete."""
        begun = time.monotonic()
        mine: list[Claim] = []
        for name in names:
            if not self.inbox.is_unchanged(name):
                continue
            claim = self._take(name, patient=patient, sync=False)
            self.inbox.forget(name)
            if claim is not None:
                mine.append(claim)
                taken[claim.id] = claim
                emit(Event.DELIVERY_CLAIMED, delivery=claim.id, file=display_name(name))
        self._put_on_disk(mine, patient=patient)
        with self.patience.heart.busy(Phase.DELIVERING):
            items = together.read_together(mine, self.rules)
        each = (time.monotonic() - begun) / max(1, len(items))
        for run in together.runs(items):
            yield _Run(run, each)

    def _put_on_disk(self, some: Sequence[Claim], *, patient: bool) -> None:
        def sync() -> None:
            with world():
                claims.sync_all(self.folders, some)

        if patient:
            self.patience.when_well(sync)
        else:
            sync()

    def _begin(self, run: "_Run") -> "_Loading":
        """Begins to load a run in a thread: meanwhile the next files are taken and read."""
        if run.items[0].clean is None:
            return _Loading(run, None)
        return _Loading(
            run, self._pool.submit(together.load_run, run.items, self.rules, self.store, run.seconds)
        )

    def _end(self, loading: "_Loading", taken: dict[str, Claim], *, patient: bool) -> Iterator[str]:
        """Brings the files of a run to their end, each of which is taken out of ``taken``, and yields their names."""
        left = list(loading.run.items)
        done = self._loaded(loading)
        while True:
            alone = [item.claim for item in left[len(done) : len(done) + 1]]
            for claim in (*self._file_run(done, taken), *alone):
                del taken[claim.id]
                self._carry_through(claim, patient=patient)
            yield from (item.claim.name for item in left[: len(done) + 1])
            left = left[len(done) + 1 :]
            if not left:
                return
            done = self._loaded(self._begin(_Run(left, loading.run.seconds)))

    def _loaded(self, loading: "_Loading") -> list[Done]:
        """Those that were loaded together; what failed is tried again alone, with all the patience there is."""
        if loading.result is None:
            return []
        try:
            with self.patience.heart.busy(Phase.DELIVERING):
                done = loading.result.result()
        except Exception as error:  # noqa: BLE001  (whose fault it is, each file tells by itself)
            if isinstance(error, OutcomeUnknown):
                self._unsure.update(item.claim.id for item in loading.run.items)
            emit(Event.STEP_RETRIED, step="together", attempt=1, wait_seconds=0.0, error=str(error)[:500])
            return []
        self._told.update(each.claim.id for each in done)
        return done

    def _file_run(self, done: Sequence[Done], taken: dict[str, Claim]) -> list[Claim]:
        """Files away what was loaded together; those that are left to be filed alone."""
        if not done:
            return []
        try:
            with self.patience.heart.busy(Phase.DELIVERING):
                together.file_run(done, self.rules, self.store, self.folders)
        except Exception as error:  # noqa: BLE001  (as above)
            emit(Event.STEP_RETRIED, step="together", attempt=1, wait_seconds=0.0, error=str(error)[:500])
            return [each.claim for each in done]
        for each in done:
            self.summary.count(each.outcome)
            del taken[each.claim.id]
            self._drop(each.claim)
        return []

    # ---- one delivery

    def _take(self, name: str, *, patient: bool, sync: bool = True) -> Claim | None:
        arrival = self.inbox.arrival(name)

        def take() -> Claim | None:
            with world():
                return claims.take(self.folders, name, arrival, sync=sync)

        if not patient:
            return take()
        try:
            return take()
        except TransientError as error:
            emit(Event.STEP_RETRIED, step="claim", attempt=1, wait_seconds=0.0, error=str(error))
            claim = self.patience.when_well(take)
            self.left_behind |= claim is None  # it is gone, or could not be put back when its claim failed
            return claim

    def _carry_through(self, claim: Claim, *, patient: bool) -> None:
        """Brings a claimed file to its end, or back into the inbox.

        Raises:
            TransientError: the world did not get well, and nobody is to wait for it.
        """
        if claim.name and not os.path.lexists(claim.path) and self.store.outcome_of(claim.id) is None:
            emit(Event.DELIVERY_FAILED, delivery=claim.id, step="claim", error="the claimed file is gone")
            claims.drop(claim)
            return
        heart = self.patience.heart
        heart.vitals.delivery = claim.id
        try:
            with heart.busy(Phase.DELIVERING):
                outcome = self._with_patience(claim) if patient else self._with_retries(claim)
        except StillWritten:
            self._give_back(claim, "changed")
            return
        except TransientError:
            self._let_go(claim)
            raise
        finally:
            heart.vitals.delivery = ""
        if outcome is not None:
            self.summary.count(outcome)
            self._drop(claim)

    def _drop(self, claim: Claim) -> None:
        claims.drop(claim)
        self._told.discard(claim.id)
        self._unsure.discard(claim.id)

    def _let_go(self, claim: Claim) -> None:
        """The world is unwell, and nobody waits for it."""
        if claim.id in self._told or claim.id in self._unsure:
            # it is, or may be, in the database: the next start reads that and files it away
            claims.abandon(claim)
        else:
            self._give_back(claim, "unavailable")

    def _give_back(self, claim: Claim, reason: str) -> None:
        """Puts a file back into the inbox; if that fails it stays claimed, to be recovered later."""
        file = display_name(claim.name)
        try:
            if claims.release(self.folders, claim):
                emit(Event.DELIVERY_RELEASED, delivery=claim.id, file=file, reason=reason)
                return
            emit(Event.DELIVERY_WAITING, delivery=claim.id, file=file, reason="name_taken")
        except OSError as error:
            emit(Event.DELIVERY_FAILED, delivery=claim.id, file=file, step="release", error=str(error))
            claims.abandon(claim)
        self.left_behind = True

    def _with_patience(self, claim: Claim) -> Outcome | None:
        try:
            return self._with_retries(claim)
        except StillWritten:
            raise
        except TransientError as error:
            attempts = self.patience.retry.attempts
            return self.patience.when_well(lambda: self._ingest(claim, attempts), error)

    def _with_retries(self, claim: Claim) -> Outcome | None:
        return self.patience.with_retries(lambda attempt: self._ingest(claim, attempt))

    def _ingest(self, claim: Claim, attempt: int) -> Outcome | None:
        self.patience.heart.again()
        try:
            return ingest(claim, self.rules, self.store, self.folders, attempt, told=self._told)
        except OutcomeUnknown:
            self._unsure.add(claim.id)
            raise
        except TransientError:
            raise
        except Exception as error:
            if is_worlds_fault(error):
                raise TransientError(str(error)) from error
            return self._give_up_on(claim, error, attempt)

    def _give_up_on(self, claim: Claim, error: Exception, attempt: int) -> Outcome | None:
        """A defect of ours: the file is kept in ``errors/``, or else in ``.work/``; the traceback is in the log."""
        with bound(delivery=claim.id, file=claim.name):
            emit(
                Event.DELIVERY_FAILED, step="ingest", error=str(error)[:500], attempts=attempt, exc_info=error
            )
        failure = FileError(FileReason.INTERNAL_ERROR, f"{type(error).__name__}: {str(error)[:300]}")
        try:
            return ingest(claim, self.rules, self.store, self.folders, attempt, failure, self._told)
        except TransientError:
            raise
        except Exception as again:  # noqa: BLE001  (see above)
            emit(
                Event.DELIVERY_FAILED,
                delivery=claim.id,
                step="refuse",
                error=str(again)[:500],
                exc_info=again,
            )
            claims.abandon(claim)
            return None
