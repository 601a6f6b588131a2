"""Small files on their way together: while some are written, those before are filed away, and the next are taken and read.

The database's work is done in a thread, one thing after the other; it lets go of the interpreter most of the time. Whatever
fails there is tried again file by file, with all the patience there is.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import ParamSpec, TypeVar

from daemon import claims, together
from daemon.claims import Batch, Claim
from daemon.errors import OutcomeUnknown, TransientError
from daemon.events import Event
from daemon.faults import world
from daemon.logs import emit
from daemon.porter import Porter
from daemon.together import Done, Item
from daemon.vitals import Phase

_P = ParamSpec("_P")
_T = TypeVar("_T")


class BrokenOff(TransientError):  # noqa: N818  (named by what is so)
    """The daemon was asked to stop while the world was unwell: what is in hand is let go."""


@dataclass(frozen=True, slots=True)
class Run:
    """Small files that may be loaded in one transaction, or one that is to be ingested alone.

    Attributes:
        items: the files, in the order of arrival.
        seconds: what reading each took.
    """

    items: Sequence[Item]
    seconds: float

    @property
    def is_alone(self) -> bool:
        """Whether it is one file that is to be ingested alone."""
        return self.items[0].clean is None


@dataclass(frozen=True, slots=True)
class _Loading:
    """A run that is being written, in the thread, or is about to be; None: nothing is to be done meanwhile so far."""

    run: Run
    result: Future[list[Done]] | None = None


@dataclass(frozen=True, slots=True)
class _Filing:
    """Files that lie in the archive, which the database is being told, in the thread, or is to be."""

    done: Sequence[Done]
    paths: Mapping[int, str]
    result: Future[None] | None


@dataclass(slots=True)
class Convoy:
    """Brings small files to their end, a run after the other.

    Attributes:
        porter: who does what is to be done file by file.
    """

    porter: Porter
    _taken: dict[str, Claim] = field(default_factory=dict)  # the claims in hand, by id
    _loading: _Loading | None = None
    _filing: _Filing | None = None
    _writer: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "load"))

    def read(self, names: Sequence[str], *, patient: bool) -> Iterator[Run]:
        """Takes and reads small files, but for those that changed since they were found complete.

        Args:
            names: of the files, in the order in which they came.
            patient: whether to wait for an unwell world.

        Raises:
            TransientError: the world did not get well, and nobody is to wait for it.
        """
        self._start()
        begun, porter = time.monotonic(), self.porter
        mine: list[Claim] = []
        batch = Batch(porter.folders) if len(names) > 1 else None
        try:
            for name in names:
                if not porter.inbox.is_unchanged(name):
                    continue
                claim = porter.take(name, patient=patient, batch=batch)
                if claim is not None:
                    self.hold(claim)
                    mine.append(claim)
        finally:
            if batch:
                batch.leave()
        if batch:
            self._put_on_disk(mine, patient=patient)
        yield from self._runs(mine, begun)

    def hold(self, claim: Claim) -> None:
        """Answers for a claim from now on, until its file has come to its end."""
        self._taken[claim.id] = claim

    def drop(self, claim: Claim) -> None:
        """Ends a claim whose file has come to its end."""
        del self._taken[claim.id]
        self.porter.drop(claim)

    def read_claimed(self, some: Sequence[Claim]) -> Iterator[Run]:
        """Reads small files that an earlier process had claimed, in the order in which it took them, or one of any kind.

        Args:
            some: all of them held.
        """
        self._start()
        yield from self._runs(some, time.monotonic())

    def _runs(self, mine: Sequence[Claim], begun: float) -> Iterator[Run]:
        with self.porter.patience.heart.busy(Phase.DELIVERING):
            items = together.read_together(mine, self.porter.rules)
        each = (time.monotonic() - begun) / max(1, len(items))
        for some in together.runs(items):
            yield Run(some, each)

    def send(self, run: Run, *, patient: bool) -> Iterator[str]:
        """Begins to load a run, and yields the names of files that have come to their end meanwhile.

        Args:
            run: of ``read``.
            patient: whether to wait for an unwell world.

        Raises:
            TransientError: the world did not get well, and nobody is to wait for it.
            BrokenOff: it did not get well until the daemon was asked to stop.
        """
        before, done = self._loading, self._loaded()
        if run.is_alone or (before and len(done) < len(before.run.items)):
            yield from self._end(before, done, patient=patient)
            before, done = None, []
        if run.is_alone:
            yield from self._carry(run.items, patient=patient)
            return
        self._loading = _Loading(run)
        if done:
            self._start()
        yield from self._filed(patient=patient)
        if done:
            yield from self._file(done, patient=patient)

    def finish(self, *, patient: bool) -> Iterator[str]:
        """Brings all files in hand to their end, and yields their names. Raises as ``send`` does."""
        yield from self._end(self._loading, self._loaded(), patient=patient)

    def let_go(self) -> None:
        """After an error: what is not in the database goes back into the inbox; the rest is recovered at the next start."""
        if self._loading is not None and self._loading.result is not None:
            self._loaded()
        self._loading = None
        if self._filing is not None and self._filing.result is not None:
            self._filing.result.exception()
        self._filing = None
        for claim in self._taken.values():
            self.porter.let_go(claim)
        self._taken.clear()

    # ---- one run

    def _start(self) -> None:
        """There is something to do while the run is written."""
        if self._loading is not None and self._loading.result is None:
            self._loading = replace(self._loading, result=self._submit(self._load, self._loading.run))

    def _submit(self, work: Callable[_P, _T], *about: _P.args, **named: _P.kwargs) -> Future[_T] | None:
        """Has something done in the thread; None if no thread can be started: then it is done in its turn."""
        try:
            return self._writer.submit(work, *about, **named)
        except RuntimeError:
            # the other one has it in its queue, and would do it as soon as it has a thread
            self._writer = ThreadPoolExecutor(1, "load")
            return None

    def _load(self, run: Run) -> list[Done]:
        return together.load_run(run.items, self.porter.rules, self.porter.store, run.seconds)

    def _loaded(self) -> list[Done]:
        """Those of the run in hand that are loaded, the first ones of it; none, if that failed."""
        loading, self._loading = self._loading, None
        if loading is None:
            return []
        try:
            with self.porter.patience.heart.busy(Phase.DELIVERING):
                done = self._load(loading.run) if loading.result is None else loading.result.result()
        except Exception as error:  # noqa: BLE001  (whose fault it is, each file tells by itself)
            if isinstance(error, OutcomeUnknown):
                self.porter.unsure.update(item.claim.id for item in loading.run.items)
            _say_retried(error)
            return []
        together.say_loaded(done)
        self.porter.told.update(each.claim.id for each in done)
        return done

    def _end(self, loading: _Loading | None, done: list[Done], *, patient: bool) -> Iterator[str]:
        """Brings a run of which some are loaded to its end, and what came before it."""
        yield from self._filed(patient=patient)
        left = list(loading.run.items) if loading else []
        while loading and left:
            if done:
                yield from self._file(done, patient=patient)
                yield from self._filed(patient=patient)
            yield from self._carry(left[len(done) : len(done) + 1], patient=patient)
            left = left[len(done) + 1 :]
            if left:
                self._loading = _Loading(Run(left, loading.run.seconds))
                done = self._loaded()

    def _carry(self, items: Sequence[Item | Done], *, patient: bool) -> Iterator[str]:
        """Brings files to their end one by one."""
        for item in items:
            del self._taken[item.claim.id]
            self.porter.carry_through(item.claim, patient=patient)
            yield item.claim.name
            if self.porter.is_broken_off:
                raise BrokenOff

    def _file(self, done: Sequence[Done], *, patient: bool) -> Iterator[str]:
        """Moves loaded files into the archive; yields the names of those that were to be ended alone."""
        porter = self.porter
        try:
            with porter.patience.heart.busy(Phase.DELIVERING):
                paths = together.place(done, porter.folders)
        except Exception as error:  # noqa: BLE001  (as above)
            _say_retried(error)
            yield from self._carry(done, patient=patient)
        else:
            is_writing = self._loading is not None  # two at a time would wait for each other
            result = self._submit(porter.store.filed_all, paths) if is_writing else None
            self._filing = _Filing(done, paths, result)

    def _filed(self, *, patient: bool) -> Iterator[str]:
        """Ends the claims of files that lie in the archive, and yields their names."""
        filing, self._filing = self._filing, None
        if filing is None:
            return
        porter = self.porter
        try:
            with porter.patience.heart.busy(Phase.DELIVERING):
                if filing.result is None:
                    porter.store.filed_all(filing.paths)
                else:
                    filing.result.result()
                together.say_filed(filing.done, filing.paths, porter.rules, porter.store, porter.folders)
        except Exception as error:  # noqa: BLE001  (as above)
            _say_retried(error)
            yield from self._carry(filing.done, patient=patient)
            return
        for each in filing.done:
            porter.summary.count(each.outcome)
            self.drop(each.claim)
            yield each.claim.name

    def _put_on_disk(self, some: Sequence[Claim], *, patient: bool) -> None:
        def sync() -> None:
            with world():
                claims.sync_all(self.porter.folders, some)

        if patient:
            self.porter.patience.when_well(sync)
        else:
            sync()


def _say_retried(error: Exception) -> None:
    emit(Event.STEP_RETRIED, step="together", attempt=1, wait_seconds=0.0, error=str(error)[:500])
