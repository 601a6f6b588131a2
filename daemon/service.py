"""The loop: look, take what is complete, and bring what follows from it up to date.

The carrier (``carrier.py``) brings each file to its end; the patience (``patience.py``) meets a world that is not well.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime

from daemon import memory, outbox
from daemon.after.steps import AfterSteps
from daemon.alerts.courier import Courier, courier_of
from daemon.carrier import Carrier
from daemon.errors import ConfigError, TransientError
from daemon.events import Event
from daemon.faults import world
from daemon.files import Folders, Rights
from daemon.filesystems import raise_if_apart
from daemon.flag import Flag
from daemon.health import Health
from daemon.heart import Heart, longest_work
from daemon.inbox import Inbox
from daemon.inbox.evidence import Expectations
from daemon.logs import configure, emit
from daemon.notify import Notifier
from daemon.patience import Patience
from daemon.porter import Porter
from daemon.reading import Rules
from daemon.settings import Settings
from daemon.store import Store
from daemon.store.bands import Bands
from daemon.summary import Summary
from daemon.vitals import Phase, Vitals
from daemon.watch import Watcher

_FLUSH_SECONDS = 20.0  # for letters at the end of a drain; what is left goes out with the next one
_HEADWAY = 0.015  # seconds before a look at which nothing more is begun: about what a step does between two statements
_REST = 0.5  # seconds between two goes at what follows: a stream of files has it done for all of them, and few are met by it
_TICK = 60.0  # seconds between two looks at what time alone brings about
_CLOCK_TOLERANCE = 5.0  # seconds that the wall clock may move against the steady one between two looks
_FIXED = ("data_dir", "database")  # settings that no reload changes


@dataclass(slots=True)
class Service:
    """The daemon's work on one data folder and one database.

    Attributes:
        settings: in force.
        store: the database.
        reload: reads the settings anew; None: a request to reload is answered with a line in the log.
        on_reload: called with new settings when they are in force.
        stop, wake: set from outside, also by signals.
        vitals: what the loop is at.
        summary: what became of the files so far.
    """

    settings: Settings
    store: Store
    reload: Callable[[], Settings] | None = None
    on_reload: Callable[[Settings], None] = lambda _settings: None
    stop: Flag = field(default_factory=Flag)
    wake: Flag = field(default_factory=Flag)
    stop_reason: str = ""
    scan_wanted: bool = False
    reload_wanted: bool = False
    summary: Summary = field(default_factory=Summary)
    vitals: Vitals = field(default_factory=Vitals)
    notifier: Notifier = field(default_factory=Notifier)
    _rights: Rights | None = None
    _next_tick: float = 0.0
    _rests_until: float = 0.0
    _followed: int = 0  # deliveries, when nothing more followed
    _tidied_after: int = 0
    folders: Folders = field(init=False)
    inbox: Inbox = field(init=False)
    after: AfterSteps = field(init=False)
    courier: Courier = field(init=False)
    heart: Heart = field(init=False)
    health: Health = field(init=False)
    patience: Patience = field(init=False)
    porter: Porter = field(init=False)
    carrier: Carrier = field(init=False)

    def __post_init__(self) -> None:
        self.folders = Folders(self.settings.data_dir)
        self.heart = Heart(self.vitals, self.notifier, self._is_well, self._status)
        self.health = Health(self.settings, self.vitals, lambda: self.courier.is_well())  # noqa: PLW0108  (a reload brings another)
        self._build()

    def _build(self) -> None:
        """What is made of the settings: at the start, and after a reload."""
        self.vitals.longest_work = longest_work(self.settings)
        expected = Expectations(self.settings, Bands(self.store).of)
        self.inbox = Inbox(self.folders.inbox, self.settings.settle, expected=expected)
        self.after = AfterSteps(self.store, self.settings)
        self.courier = courier_of(self.settings)
        self.patience = Patience(self.settings.retry, self.stop, self.heart, self.courier.pause)
        rules = Rules.of(self.settings)
        self.porter = Porter(rules, self.store, self.folders, self.inbox, self.patience, self.summary)
        self.carrier = Carrier(self.porter)

    # ---- asked from outside

    def request_stop(self, reason: str = "asked") -> None:
        """Finish the delivery in hand, then end. Safe in a signal handler."""
        self.stop_reason = reason
        self.stop.set()
        self.wake.set()

    def request_scan(self) -> None:
        """Look through the whole inbox soon. Safe in a signal handler."""
        self.scan_wanted = True
        self.wake.set()

    def request_reload(self) -> None:
        """Read the configuration anew, after the delivery in hand. Safe in a signal handler."""
        self.reload_wanted = True
        self.wake.set()

    def close(self) -> None:
        """Gives the flags' pipes back."""
        self.stop.close()
        self.wake.close()

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
            self.carrier.recover(patient=False)
            self.inbox.scan()
            mine = set(self.inbox.waiting)
            while mine and not self.stop.is_set():
                ready = (name for name in self.inbox.ready() if name in mine)
                for name in self.carrier.deliver_all(ready, patient=False, enough=self.stop.is_set):
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

    def run(self) -> Summary:
        """Works until ``request_stop``."""
        begun = time.monotonic()
        if self.notifier.lacking:
            emit(Event.NOTIFY_UNAVAILABLE, remedy="install the extra: stockgrip-live[systemd]")
        self.health.start()
        try:
            self._run(begun)
        finally:
            self.health.stop()
        return self.summary

    def _run(self, begun: float) -> None:
        self.patience.when_well(self.folders.make)
        while not self.stop.is_set():
            watcher = Watcher(self.folders.inbox, self.settings.settle, self.wake)
            watcher.start()
            self.courier.start()
            try:
                self._begin()
                if self.vitals.ready_at is None and not self.stop.is_set():
                    self._say_ready(begun)
                self.notifier.ready(self._status())
                self._loop(watcher)
            finally:
                watcher.stop()
                self.courier.stop()
            if self.reload_wanted and not self.stop.is_set():
                self._reload()

    def _begin(self) -> None:
        """What a process that died left behind, and what waits."""
        self._recover()
        self._scan()

    def _recover(self) -> None:
        """As soon as the database says what it knows of what was left behind."""
        self.patience.when_well(lambda: self.carrier.recover(patient=True))

    def _say_ready(self, begun: float) -> None:
        self.vitals.ready_at = time.monotonic()
        seconds = round(self.vitals.ready_at - begun, 3)
        emit(Event.DAEMON_READY, startup_seconds=seconds, waiting=len(self.inbox.waiting))

    def _loop(self, watcher: Watcher) -> None:
        """Goes round until asked to stop or to reload."""
        last_scan = time.monotonic()
        offset = time.time() - time.monotonic()
        while not self.stop.is_set() and not self.reload_wanted:
            for _name in self.carrier.deliver_all(self._ready(), patient=True, enough=self.stop.is_set):
                pass
            look_at = time.monotonic() + self._until_look(watcher, last_scan)
            again_at = self._follow_up(look_at)
            self._note(watcher)
            until = min(look_at, again_at)
            self.heart.wait(self.wake, min(until - time.monotonic(), self.after.next_try()), Phase.IDLE)
            self.wake.clear()
            self._look(watcher)
            offset = _notice_clock(offset)
            missed = watcher.tend()  # before the scan: what comes after it is seen by the new watch
            overdue = time.monotonic() - last_scan >= watcher.scan_seconds
            if missed or overdue or self.scan_wanted:
                # before the scan: a request that comes meanwhile is for the next one
                self.scan_wanted = False
                if self.porter.left_behind:
                    self.porter.left_behind = False
                    self._recover()
                self._scan()
                last_scan = time.monotonic()
        if self.stop.is_set():
            self.vitals.turn(Phase.STOPPING)
            self.notifier.stopping()

    def _until_look(self, watcher: Watcher, last_scan: float) -> float:
        """Seconds until a file may be ready, a scan is due or the watcher wants to be tended."""
        until_scan = max(0.0, last_scan + watcher.scan_seconds - time.monotonic())
        until_ready = self.inbox.next_look()
        return min(until_scan, watcher.next_turn(), until_scan if until_ready is None else until_ready)

    def _follow_up(self, until: float) -> float:
        """What follows the deliveries, as long as no file waits for us and nothing is to be looked at.

        Returns:
            When to come again for files that were loaded while it rested; infinite if there are none.
        """
        now = time.monotonic()
        rests = now < self._rests_until
        last = until - min(_HEADWAY, (until - now) / 2)

        def enough() -> bool:
            self.heart.beat(Phase.FOLLOWING)
            return self.stop.is_set() or self.wake.is_set() or time.monotonic() >= last

        with self.heart.busy(Phase.FOLLOWING):
            if not rests:
                self.after.run(enough)
                if not enough() and self._followed != self.summary.deliveries:
                    self._followed = self.summary.deliveries
                    self._rests_until = time.monotonic() + _REST
            if time.monotonic() >= self._next_tick:
                self._next_tick = time.monotonic() + _TICK
                self.after.tick(datetime.now(UTC))
                outbox.tend(self.store, self.folders, self.settings.outbox)
                if self._tidied_after != self.summary.deliveries:
                    self._tidied_after = self.summary.deliveries
                    self.store.rest()
                    memory.give_back()
        is_behind = self._followed != self.summary.deliveries
        return self._rests_until if rests and is_behind else math.inf

    # ---- the configuration, anew

    def _reload(self) -> None:
        """Takes new settings on, if they are right and no more than a reload can change; else keeps the old ones."""
        self.reload_wanted = False
        self.notifier.reloading()
        try:
            new = self._new_settings()
        except ConfigError as error:
            emit(Event.RELOAD_REFUSED, error=str(error), remedy="correct the configuration and reload again")
        else:
            configure(new.log.level, new.log.format)
            emit(Event.CONFIG_RELOADED, changed=_different(new, self.settings))
            self.settings = new
            self.health.reload(new)
            self.on_reload(new)
        self._build()

    def _new_settings(self) -> Settings:
        if self.reload is None:
            raise ConfigError("this process cannot read its configuration again")
        new = self.reload()
        fixed = [name for name in _different(new, self.settings) if name in _FIXED]
        if fixed:
            raise ConfigError(f"{' and '.join(fixed)} cannot change while the daemon runs: restart it")
        return new

    # ---- what others see of us

    def _note(self, watcher: Watcher) -> None:
        self.vitals.held = len(self.inbox.held)
        self.vitals.waiting = len(self.inbox.waiting) + self.vitals.held
        self.vitals.oldest_waiting = self.inbox.oldest_since()
        self.vitals.canary_seconds = watcher.latency_seconds

    def _is_well(self) -> bool:
        """Whether our threads are alive; notes whether the database answers, which no restart can mend."""
        if self.vitals.phase is Phase.IDLE:
            try:
                self.store.ping()
            except TransientError:
                self.vitals.database_at = None
            else:
                self.vitals.database_at = time.monotonic()
        return self.courier.is_well()

    def _status(self) -> str:
        """One line for `systemctl status`."""
        counts = self.summary
        done = f"{counts.loaded} loaded, {counts.partial} partial, {counts.duplicate} duplicate, {counts.refused} refused"
        doing = f"paused: {self.vitals.paused_why}" if self.vitals.paused else str(self.vitals.phase)
        return f"{doing}; {len(self.inbox.waiting)} waiting; since the start {done}"

    # ---- the inbox

    def _ready(self) -> Iterator[str]:
        try:
            yield from self.inbox.ready()
        except OSError:
            self.scan_wanted = True

    def _look(self, watcher: Watcher) -> None:
        """Looks at what came and what waits. Where the folder cannot be looked into, the scan says so and waits."""
        try:
            self.inbox.look(watcher.hints(), watcher.renamed(), watcher.looks())
            self.inbox.look(list(self.inbox.waiting))
        except OSError:
            self.scan_wanted = True

    def _scan(self) -> None:
        """A full look. A missing folder is made again, as it was; one that is mounted elsewhere is waited for."""
        begun = time.monotonic()
        try:
            self.inbox.scan()
            self._rights = Rights.of(self.folders.inbox)
        except (FileNotFoundError, NotADirectoryError) as error:
            self._find_again(error)
            return
        except OSError:  # it is there, but cannot be looked into
            self.patience.when_well(self._look_again)
            return
        self.vitals.scanned_at = time.monotonic()
        self.vitals.scan_seconds = self.vitals.scanned_at - begun
        try:
            raise_if_apart(self.folders.inbox, self.folders.work)
        except TransientError as error:
            self.patience.when_well(self._look_again, error)

    def _find_again(self, error: OSError) -> None:
        begun = time.monotonic()
        path = self.folders.inbox
        emit(Event.INBOX_MISSING, path=str(path), error=error.strerror or str(error))
        rights = self.patience.when_well(self._look_again)
        if rights is not None:
            seconds = round(time.monotonic() - begun, 3)
            emit(Event.INBOX_BACK, path=str(path), missing_seconds=seconds, mode=f"{rights.mode:04o}")

    def _look_again(self) -> Rights:
        try:
            self.folders.make(self._rights)
        except ConfigError as error:  # the mounts changed while we run: they may change back
            raise TransientError(str(error)) from error
        raise_if_apart(self.folders.inbox, self.folders.work)
        self.inbox.scan()
        return Rights.of(self.folders.inbox)


def _different(new: Settings, old: Settings) -> list[str]:
    """The names of the sections that differ."""
    return sorted(name for name in type(new).model_fields if getattr(new, name) != getattr(old, name))


def _notice_clock(offset: float) -> float:
    now = time.time() - time.monotonic()
    if abs(now - offset) > _CLOCK_TOLERANCE:
        emit(Event.CLOCK_JUMPED, jump_seconds=round(now - offset, 1))
    return now
