"""The loop: look, take what is complete, ingest it, one after the other.

A bad file is a file's fault and is refused. Whatever is the world's fault is tried again for a while, and then intake
pauses: the file stays claimed, nothing is blamed on it, and work goes on by itself when the world is well again.
"""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TypeVar

from tenacity import RetryCallState, RetryError, Retrying, retry_if_exception, stop_any
from tenacity import stop_after_attempt as after_attempts
from tenacity import wait_exponential_jitter as exponential
from tenacity.stop import stop_base

from daemon import claims
from daemon.after.steps import AfterSteps
from daemon.alerts.courier import Courier, courier_of
from daemon.claims import Claim
from daemon.errors import ConfigError, DatabaseUnavailable, OutcomeUnknown, TransientError
from daemon.events import Event
from daemon.faults import world
from daemon.files import Folders, Rights
from daemon.filesystems import raise_if_apart
from daemon.flag import Flag
from daemon.hands import finish_unloads
from daemon.inbox import Inbox
from daemon.inbox.evidence import Expectations
from daemon.ingest import StillWritten, ingest
from daemon.logs import bound, display_name, emit
from daemon.outcomes import Outcome
from daemon.reading import Rules
from daemon.settings import Settings
from daemon.store import Store, is_worlds_fault
from daemon.store.bands import Bands
from daemon.summary import Summary
from daemon.watch import Watcher
from handlers.errors import FileError
from handlers.reasons import FileReason

_T = TypeVar("_T")
_REMEDY = {
    "database": "`stockgrip doctor` says what is wrong (whether the database answers, is locked, has room); work resumes by itself",
    "host": "`stockgrip doctor` says what is wrong (disk space, permissions, mounts of the data folder); work resumes by itself",
}
_FLUSH_SECONDS = 20.0  # for letters at the end of a drain; what is left goes out with the next one
_TICK = 60.0  # seconds between two looks at what time alone brings about
_CLOCK_TOLERANCE = 5.0  # seconds that the wall clock may move against the steady one between two looks


class _WhenAsked(stop_base):
    """Ends the retries when the daemon is to stop."""

    def __init__(self, flag: Flag) -> None:
        self._flag = flag

    def __call__(self, retry_state: RetryCallState) -> bool:  # noqa: ARG002
        return self._flag.is_set()


@dataclass(slots=True)
class Service:
    """The daemon's work on one data folder and one database."""

    settings: Settings
    store: Store
    stop: Flag = field(default_factory=Flag)
    wake: Flag = field(default_factory=Flag)
    stop_reason: str = ""
    scan_wanted: bool = False
    left_behind: bool = False
    summary: Summary = field(default_factory=Summary)
    _told: set[str] = field(default_factory=set)
    _unsure: set[str] = field(default_factory=set)
    _rights: Rights | None = None
    _next_tick: float = 0.0
    folders: Folders = field(init=False)
    inbox: Inbox = field(init=False)
    rules: Rules = field(init=False)
    after: AfterSteps = field(init=False)
    courier: Courier = field(init=False)

    def __post_init__(self) -> None:
        self.folders = Folders(self.settings.data_dir)
        expected = Expectations(self.settings, Bands(self.store).of)
        self.inbox = Inbox(self.folders.inbox, self.settings.settle, expected=expected)
        self.rules = Rules.of(self.settings)
        self.after = AfterSteps(self.store, self.settings)
        self.courier = courier_of(self.settings)

    def request_stop(self, reason: str = "asked") -> None:
        """Finish the delivery in hand, then end. Safe in a signal handler."""
        self.stop_reason = reason
        self.stop.set()
        self.wake.set()

    def close(self) -> None:
        """Gives the flags' pipes back."""
        self.stop.close()
        self.wake.close()

    def request_scan(self) -> None:
        """Look through the whole inbox soon. Safe in a signal handler."""
        self.scan_wanted = True
        self.wake.set()

    # ---- the two ways to run

    def drain(self, progress: Callable[[int, int], None] = lambda _done, _total: None) -> Summary:
        """Processes what waits now, and ends.

        Args:
            progress: called with how many deliveries are done and how many are known.

        Raises:
            TransientError: the world is at fault and did not get well; files are back in the inbox.
        """
        with world():
            self.folders.make()
            self.store.ping()
            self._recover(patient=False)
            self.inbox.scan()
            mine = set(self.inbox.waiting)
            while mine and not self.stop.is_set():
                for name in self.inbox.ready():
                    if self.stop.is_set():
                        break
                    if name in mine and self._deliver(name, patient=False):
                        mine.discard(name)
                        progress(self.summary.deliveries, self.summary.deliveries + len(mine))
                mine &= set(self.inbox.waiting)
                if mine:
                    self.stop.wait(self.inbox.next_look())
                    self.inbox.look(mine)
                    mine &= set(self.inbox.waiting)
        self.after.run(self.stop.is_set)
        self.courier.flush(_FLUSH_SECONDS)
        return self.summary

    def run(self, ready: Callable[[], None] = lambda: None) -> Summary:
        """Works until ``request_stop``."""
        begun = time.monotonic()
        self._when_well(self.folders.make)
        watcher = Watcher(self.folders.inbox, self.settings.settle, self.wake)
        watcher.start()
        self.courier.start()
        try:
            self._recover(patient=True)
            self._scan()
            emit(
                Event.DAEMON_READY,
                startup_seconds=round(time.monotonic() - begun, 3),
                waiting=len(self.inbox.waiting),
            )
            ready()
            self._loop(watcher)
        finally:
            watcher.stop()
            self.courier.stop()
        return self.summary

    def _loop(self, watcher: Watcher) -> None:
        last_scan = time.monotonic()
        offset = time.time() - time.monotonic()
        while not self.stop.is_set():
            for name in self.inbox.ready():
                if self.stop.is_set():
                    return
                self._deliver(name, patient=True)
            self._follow_up()
            until_scan = max(0.0, last_scan + watcher.scan_seconds - time.monotonic())
            self.wake.wait(min(until_scan, watcher.next_turn(), self.inbox.next_look() or until_scan))
            self.wake.clear()
            self.inbox.look(watcher.hints(), watcher.renamed())
            self.inbox.look(list(self.inbox.waiting))
            offset = self._notice_clock(offset)
            missed = watcher.tend()  # before the scan: what comes after it is seen by the new watch
            overdue = time.monotonic() - last_scan >= watcher.scan_seconds
            if missed or overdue or self.scan_wanted:
                # before the scan: a request that comes meanwhile is for the next one
                self.scan_wanted = False
                if self.left_behind:
                    self.left_behind = False
                    self._recover(patient=True)
                self._scan()
                last_scan = time.monotonic()

    def _follow_up(self) -> None:
        """What follows the deliveries, as long as no file waits for us."""
        self.after.run(lambda: self.stop.is_set() or self.wake.is_set())
        if time.monotonic() >= self._next_tick:
            self._next_tick = time.monotonic() + _TICK
            self.after.tick(datetime.now(UTC))

    # ---- one delivery

    def _deliver(self, name: str, *, patient: bool) -> bool:
        """Takes a file from the inbox to its end; False if it changed since it was found complete."""
        if not self.inbox.is_unchanged(name):
            return False
        claim = self._take(name, patient=patient)
        self.inbox.forget(name)
        if claim is not None:
            emit(Event.DELIVERY_CLAIMED, delivery=claim.id, file=display_name(name))
            self._carry_through(claim, patient=patient)
        return True

    def _take(self, name: str, *, patient: bool) -> Claim | None:
        arrival = self.inbox.arrival(name)

        def take() -> Claim | None:
            with world():
                return claims.take(self.folders, name, arrival)

        if not patient:
            return take()
        try:
            return take()
        except TransientError:
            return self._when_well(take)

    def _carry_through(self, claim: Claim, *, patient: bool) -> None:
        """Brings a claimed file to its end, or back into the inbox.

        Raises:
            TransientError: the world did not get well, and nobody is to wait for it.
        """
        if claim.name and not os.path.lexists(claim.path) and self.store.outcome_of(claim.id) is None:
            emit(Event.DELIVERY_FAILED, delivery=claim.id, step="claim", error="the claimed file is gone")
            claims.drop(claim)
            return
        try:
            outcome = self._with_patience(claim) if patient else self._with_retries(claim)
        except StillWritten:
            self._give_back(claim, "changed")
            return
        except TransientError:
            if claim.id in self._told or claim.id in self._unsure:
                claims.abandon(
                    claim
                )  # it is, or may be, in the database: the next start reads that and files it away
            else:
                self._give_back(claim, "unavailable")
            raise
        if outcome is not None:
            self.summary.count(outcome)
            claims.drop(claim)
            self._told.discard(claim.id)
            self._unsure.discard(claim.id)

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
            return self._when_well(lambda: self._ingest(claim, self.settings.retry.attempts), error)

    def _with_retries(self, claim: Claim) -> Outcome | None:
        retry = self.settings.retry

        def say(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            emit(
                Event.STEP_RETRIED,
                step="ingest",
                attempt=state.attempt_number,
                wait_seconds=round(state.upcoming_sleep, 3),
                error=str(error),
            )

        retrying = Retrying(
            retry=retry_if_exception(
                lambda e: isinstance(e, TransientError) and not isinstance(e, StillWritten)
            ),
            stop=stop_any(after_attempts(retry.attempts), _WhenAsked(self.stop)),
            wait=exponential(multiplier=retry.initial_seconds, max=retry.max_seconds),
            sleep=self._sleep,
            before_sleep=say,
            reraise=True,
        )
        try:
            for attempt in retrying:
                with attempt:
                    return self._ingest(claim, attempt.retry_state.attempt_number)
        except RetryError as error:
            raise TransientError(str(error)) from error
        return None

    def _ingest(self, claim: Claim, attempt: int) -> Outcome | None:
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

    def _sleep(self, seconds: float) -> None:
        self.stop.wait(seconds)

    # ---- the world

    def _recover(self, *, patient: bool) -> None:
        """Takes up what a process that died had claimed, or had taken out."""
        finish_unloads(self.store, self.folders)
        for claim in claims.orphans(self.folders):
            with bound(delivery=claim.id, file=claim.name):
                if not claim.name and self.store.outcome_of(claim.id) is None:
                    claims.drop(claim)  # it died before the file was in
                    continue
                emit(Event.DELIVERY_RECOVERED, state="claimed" if claim.name else "filed")
            self._carry_through(claim, patient=patient)

    def _scan(self) -> None:
        """A full look. A missing folder is made again, as it was; one that is mounted elsewhere is waited for."""

        def again() -> Rights:
            try:
                self.folders.make(self._rights)
            except ConfigError as error:  # the mounts changed while we run: they may change back
                raise TransientError(str(error)) from error
            raise_if_apart(self.folders.inbox, self.folders.work)
            self.inbox.scan()
            return Rights.of(self.folders.inbox)

        try:
            self.inbox.scan()
            self._rights = Rights.of(self.folders.inbox)
        except (FileNotFoundError, NotADirectoryError) as error:
            begun = time.monotonic()
            path = self.folders.inbox
            emit(Event.INBOX_MISSING, path=str(path), error=error.strerror or str(error))
            rights = self._when_well(again)
            if rights is not None:
                seconds = round(time.monotonic() - begun, 3)
                emit(Event.INBOX_BACK, path=str(path), missing_seconds=seconds, mode=f"{rights.mode:04o}")
            return
        except OSError:  # it is there, but cannot be looked into
            self._when_well(again)
            return
        try:
            raise_if_apart(self.folders.inbox, self.folders.work)
        except TransientError as error:
            self._when_well(again, error)

    def _when_well(self, work: Callable[[], _T], error: TransientError | None = None) -> _T | None:
        """Does some work as soon as the world lets it, pausing intake meanwhile; None if asked to stop first."""
        begun = time.monotonic()
        paused = ""
        wait = self.settings.retry.initial_seconds
        while True:
            if error is None:
                try:
                    with world():
                        result = work()
                except StillWritten:
                    self._say_resumed(paused, begun)
                    raise
                except TransientError as raised:
                    error = raised
                else:
                    self._say_resumed(paused, begun)
                    return result
            if not paused:
                paused = "database" if isinstance(error, DatabaseUnavailable) else "host"
                emit(Event.INTAKE_PAUSED, reason=paused, error=str(error), remedy=_REMEDY[paused])
                self.courier.pause.begin(paused, str(error))
            error = None
            if self.stop.wait(wait):
                return None
            wait = min(wait * 2, self.settings.retry.max_seconds)

    def _say_resumed(self, paused: str, begun: float) -> None:
        if paused:
            self.courier.pause.end()
            seconds = round(time.monotonic() - begun, 3)
            emit(Event.INTAKE_RESUMED, reason=paused, paused_seconds=seconds)

    def _notice_clock(self, offset: float) -> float:
        now = time.time() - time.monotonic()
        if abs(now - offset) > _CLOCK_TOLERANCE:
            emit(Event.CLOCK_JUMPED, jump_seconds=round(now - offset, 1))
        return now
