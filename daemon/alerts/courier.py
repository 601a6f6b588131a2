"""The courier: makes letters of the notices that wait, and brings them to people.

It is a thread of its own, so that no mail server, however dead or slow, delays a delivery.

Each round: what lasts is told again; notices become letters, in one transaction; each letter is claimed (a lease in its
row, so that of two processes one sends it), sent, and noted as sent. A crash between the last two sends it once more with
the same Message-ID, which mail programs show once; nothing ever sends the same news under another.
"""

import random
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from daemon.alerts.channels import seconds_of, send, send_test
from daemon.alerts.pause import PauseWatch
from daemon.alerts.sending import Deadline, Sent
from daemon.errors import TransientError
from daemon.events import Event
from daemon.logs import emit
from daemon.settings import Settings
from daemon.store import Store, letters
from daemon.store.alerts import due_repeats, take_turns
from daemon.store.letter_facts import Origin, facts_of
from daemon.store.letters import Letter
from handlers.alerts.choice import Policy

ROUND = 2.0  # seconds between two looks
_FIRST_WAIT, _LONGEST_WAIT = 10.0, 3600.0
_REST = 60.0  # seconds at the most that a channel which failed is left alone by new letters
_REPEATS = 60.0  # seconds between two looks for what lasts
_MARGIN = timedelta(seconds=30)  # a lease outlasts the deadline by this much
_OLD = timedelta(days=7)


def wait_after(attempts: int) -> float:
    """Seconds until a letter is tried again: about twice as long each time, an hour at most."""
    longest = min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(attempts, 20))
    return longest * random.uniform(0.5, 1)  # noqa: S311  (jitter)


@dataclass(slots=True)
class Courier:
    """Sends the letters of one database.

    Attributes:
        settings: of the daemon.
        open_store: opens the courier's own connection; called in its thread.
        clock: now, UTC.
        wait: seconds until the next try, after so many.
        pause: tells when intake pauses.
    """

    settings: Settings
    open_store: Callable[[], Store]
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    wait: Callable[[int], float] = wait_after
    pause: PauseWatch = field(init=False)
    _store: Store | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _thread: threading.Thread | None = None
    _deadline: Deadline | None = None
    _repeats_at: float = 0.0
    _rests: dict[str, float] = field(default_factory=dict)
    _causes: dict[str, str] = field(default_factory=dict)
    _sent: dict[tuple[str, str], tuple[Letter, Sent]] = field(default_factory=dict)
    _old: dict[tuple[str, str], datetime] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.pause = PauseWatch(self.settings)

    # ---- the thread

    def start(self) -> None:
        """Begins."""
        self._thread = threading.Thread(target=self._run, name="courier", daemon=True)
        self._thread.start()

    def stop(self, patience: float = 2.0) -> None:
        """Ends; a letter that is on its way is given a moment, then cut: it stays, and is sent again."""
        self._stop.set()
        if self._thread is None:
            return
        self._thread.join(patience)
        if self._deadline is not None:
            self._deadline.expire()
        self._thread.join(1.0)
        self._thread = None

    def is_well(self) -> bool:
        """Whether its thread lives, if it has one."""
        return self._thread is None or self._thread.is_alive()

    def _run(self) -> None:
        while not self._stop.wait(ROUND):
            self.round()
        self._close()

    def flush(self, seconds: float) -> None:
        """One round that waits for nobody and takes no longer than this; for a process that ends."""
        self.round(at_once=True, seconds=seconds)
        self._close()

    def _close(self) -> None:
        if self._store is not None:
            self._store.close()
            self._store = None

    # ---- a round

    def round(self, *, at_once: bool = False, seconds: float | None = None) -> None:
        """Does all that is due; no error leaves it.

        Args:
            at_once: notices do not wait for others.
            seconds: the longest it may take; None: as long as the deadlines of the letters allow.
        """
        until = None if seconds is None else time.monotonic() + seconds
        try:
            self.pause.tend()
            if self._store is None:
                self._store = self.open_store()
            self._note_sent(self._store)
            self._make(self._store, at_once=at_once)
            for channel in self.settings.alerts.channels:
                while not self._stop.is_set() and self._send_next(self._store, channel, until):
                    pass
            self._causes.pop("", None)
        except Exception as error:  # noqa: BLE001  (a defect here must not end the thread: letters would stop for ever)
            self._say_failed(error)

    def _say_failed(self, error: Exception) -> None:
        cause = f"{type(error).__name__}: {error}"
        if self._causes.get("") != cause:
            self._causes[""] = cause
            passing = isinstance(error, TransientError)
            emit(
                Event.COURIER_FAILED,
                error=cause[:500],
                retry_seconds=ROUND,
                **({} if passing else {"exc_info": error}),
            )

    def _make(self, store: Store, *, at_once: bool) -> None:
        """Notices become letters."""
        alerts, now = self.settings.alerts, self.clock()
        if time.monotonic() >= self._repeats_at:
            self._withdraw(store, now)
            if alerts.channels:
                every = timedelta(hours=alerts.repeat_hours)
                store.change(lambda c: due_repeats(c, now, every))
            self._repeats_at = time.monotonic() + _REPEATS
        if not alerts.channels:
            return
        policy = Policy(now, timedelta(seconds=alerts.group_seconds), self._digest_before(now), 0, at_once)
        most = alerts.letters_an_hour
        found = store.ask(lambda c: letters.choice(c, policy, most))
        self._say_held(found.held_back)
        if not (found.drafts or found.dropped or found.told_before):
            return
        origin = Origin(socket.gethostname(), self.settings.data_dir, self.settings.timezone)

        def write(connection: Any) -> None:
            take_turns(connection)
            chosen = letters.choice(connection, policy, most)
            facts = {
                letters.letter_id(draft.notices): facts_of(connection, draft, origin, now)
                for draft in chosen.drafts
            }
            letters.write(connection, chosen, facts, alerts.channels, now)

        store.change(write)

    def _withdraw(self, store: Store, now: datetime) -> None:
        """Letters that wait for a channel which is switched off wait no longer."""
        channels = self.settings.alerts.channels
        for channel, count in store.change(lambda c: letters.withdraw(c, channels, now)).items():
            emit(Event.LETTERS_WITHDRAWN, channel=channel, letters=count)

    def _digest_before(self, now: datetime) -> datetime:
        """The last time that a digest was due."""
        zone = ZoneInfo(self.settings.timezone)
        hour, minute = map(int, self.settings.alerts.digest_at.split(":"))
        here = now.astimezone(zone)
        due = here.replace(hour=hour, minute=minute, second=0, microsecond=0)
        if due > here:
            due = (here - timedelta(days=1)).replace(hour=hour, minute=minute, second=0, microsecond=0)
        return due.astimezone(UTC)

    def _say_held(self, count: int) -> None:
        if count and "held" not in self._causes:
            self._causes["held"] = ""
            emit(Event.LETTERS_HELD, letters=count, most=self.settings.alerts.letters_an_hour)
        elif not count:
            self._causes.pop("held", None)

    # ---- sending

    def _send_next(self, store: Store, channel: str, until: float | None) -> bool:
        """Sends a letter of a channel; whether to go on with it."""
        now = self.clock()
        if time.monotonic() < self._rests.get(channel, 0.0) or not store.ask(
            lambda c: letters.is_due(c, channel, now)
        ):
            return False
        seconds = seconds_of(self.settings, channel)
        if until is not None:
            seconds = min(seconds, until - time.monotonic())
            if seconds <= 0:
                return False
        letter = store.change(lambda c: letters.claim(c, channel, now, timedelta(seconds=seconds) + _MARGIN))
        if letter is None:
            return False
        try:
            with Deadline(seconds) as deadline:
                self._deadline = deadline
                sent = send(self.settings, channel, letter.facts, deadline, letter.accepted)
        except Exception as error:  # noqa: BLE001  (whatever is wrong with this letter, the others are to go on)
            self._failed(store, letter, error)
            return False
        finally:
            self._deadline = None
        self._sent[letter.id, channel] = (letter, sent)
        self._note_sent(store)
        return True

    def _note_sent(self, store: Store) -> None:
        """Notes what is out. What the database did not take stays in mind, so that this process does not send it again."""
        for key, (letter, sent) in list(self._sent.items()):
            self._note(store, letter, sent)
            del self._sent[key]
            self._say_sent(store, letter, sent)

    def _note(self, store: Store, letter: Letter, sent: Sent) -> None:
        now, said = self.clock(), _listed({**sent.refused, **sent.later})
        if not sent.later:
            store.change(lambda c: letters.sent(c, letter, now, sent.done, said or None))
            return
        again = now + timedelta(seconds=self.wait(letter.attempts))
        store.change(lambda c: letters.failed(c, letter, again, said, sent.done))

    def _say_sent(self, store: Store, letter: Letter, sent: Sent) -> None:
        channel = letter.channel
        self._rests.pop(channel, None)
        self._old.pop((letter.id, channel), None)
        for address, why in sent.refused.items():
            emit(Event.RECIPIENT_REFUSED, letter=letter.id, recipient=address, error=why)
        if self._causes.pop(channel, None) is not None:
            now = self.clock()
            waiting = store.change(lambda c: letters.hasten(c, channel, now))
            emit(Event.LETTERS_FLOWING, channel=channel, letters=waiting)
        facts = letter.facts
        if sent.later:
            emit(
                Event.LETTER_FAILED,
                letter=letter.id,
                channel=channel,
                error=_listed(sent.later),
                attempts=letter.attempts + 1,
            )
        elif channel != "log":
            about = {"kind": facts["kind"], "severity": facts["severity"], "alerts": facts["count"]}
            emit(Event.LETTER_SENT, letter=letter.id, channel=channel, attempts=letter.attempts + 1, **about)

    def _failed(self, store: Store, letter: Letter, error: Exception) -> None:
        expected = isinstance(error, TransientError)
        # of an error that nobody foresaw only the kind: its words may hold what it was working on
        said = str(error) if expected else type(error).__name__
        seconds = self.wait(letter.attempts)
        now = self.clock()
        self._rests[letter.channel] = time.monotonic() + min(seconds, _REST)
        if self._causes.get(letter.channel) != said:
            self._causes[letter.channel] = said
            emit(
                Event.LETTER_FAILED,
                letter=letter.id,
                channel=letter.channel,
                error=said,
                attempts=letter.attempts + 1,
                retry_seconds=round(seconds, 1),
                **({} if expected else {"exc_info": error}),
            )
        self._say_old(letter, said, now)
        store.change(
            lambda c: letters.failed(c, letter, now + timedelta(seconds=seconds), said, letter.accepted)
        )

    def _say_old(self, letter: Letter, said: str, now: datetime) -> None:
        key, age = (letter.id, letter.channel), now - letter.created_at
        if age > _OLD and now - self._old.get(key, letter.created_at) > timedelta(days=1):
            self._old[key] = now
            emit(
                Event.LETTER_DELAYED,
                letter=letter.id,
                channel=letter.channel,
                error=said,
                attempts=letter.attempts + 1,
                waited_days=age.days,
            )


def _listed(said: Mapping[str, str]) -> str:
    return "; ".join(f"{address}: {why}" for address, why in said.items())


def courier_of(settings: Settings) -> Courier:
    """A courier for the database of these settings, with connections of its own."""

    def opened() -> Store:
        busy = settings.database.busy_timeout_seconds
        return Store.open(settings.database_url, busy_timeout_seconds=busy)

    return Courier(settings, opened)


__all__ = ["Courier", "courier_of", "send_test", "wait_after"]
