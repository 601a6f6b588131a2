"""Carries one file: claims it, brings it to its end, or back.

A bad file is a file's fault and is refused. Whatever is the world's fault is tried again for a while, and then intake
pauses: the file stays claimed, nothing is blamed on it, and work goes on by itself when the world is well again.
"""

import os
from dataclasses import dataclass, field

from daemon import claims
from daemon.claims import Batch, Claim
from daemon.errors import OutcomeUnknown, TransientError
from daemon.events import Event
from daemon.faults import world
from daemon.files import Folders
from daemon.inbox import Inbox
from daemon.ingest import StillWritten, ingest
from daemon.logs import bound, display_name, emit
from daemon.outcomes import Outcome
from daemon.patience import Patience
from daemon.reading import Rules
from daemon.store import Store, is_worlds_fault
from daemon.summary import Summary
from daemon.vitals import Phase
from handlers.errors import FileError
from handlers.reasons import FileReason


@dataclass(slots=True)
class Porter:
    """Takes a file to its end.

    Attributes:
        rules: from the settings.
        store: the database.
        folders: the data folder.
        inbox: what waits.
        patience: with the world.
        summary: what became of the files.
        left_behind: something stayed claimed, and is to be recovered.
        told: the claims whose outcome stands in the log already.
        unsure: the claims of which nobody knows whether they are in the database.
        is_broken_off: it was asked to stop while the world was unwell, and what was in hand has not come to its end.
    """

    rules: Rules
    store: Store
    folders: Folders
    inbox: Inbox
    patience: Patience
    summary: Summary
    left_behind: bool = False
    told: set[str] = field(default_factory=set)
    unsure: set[str] = field(default_factory=set)
    is_broken_off: bool = False

    def take(self, name: str, *, patient: bool, batch: Batch | None = None) -> Claim | None:
        """Claims a complete file; None if it is not there any more.

        Args:
            name: of the file.
            patient: whether to wait for an unwell world.
            batch: of others that are taken with it; ``claims.sync_all`` is to be called then.

        Raises:
            TransientError: the world is at fault, and nobody is to wait for it.
        """
        claim = self._claim(name, batch, patient=patient)
        self.inbox.forget(name)
        if claim is not None:
            emit(Event.DELIVERY_CLAIMED, delivery=claim.id, file=display_name(name))
        return claim

    def _claim(self, name: str, batch: Batch | None, *, patient: bool) -> Claim | None:
        arrival = self.inbox.arrival(name)

        def take() -> Claim | None:
            with world():
                return claims.take(self.folders, name, arrival, batch=batch)

        if not patient:
            return take()
        try:
            return take()
        except TransientError as error:
            emit(Event.STEP_RETRIED, step="claim", attempt=1, wait_seconds=0.0, error=str(error))
            claim = self.patience.when_well(take)
            self.left_behind |= claim is None  # it is gone, or could not be put back when its claim failed
            return claim

    def carry_through(self, claim: Claim, *, patient: bool) -> None:
        """Brings a claimed file to its end, or back into the inbox.

        Raises:
            TransientError: the world did not get well, and nobody is to wait for it.
        """
        heart = self.patience.heart
        heart.vitals.delivery = claim.id
        try:
            with heart.busy(Phase.DELIVERING):
                outcome = self._with_patience(claim) if patient else self._with_retries(claim)
        except StillWritten:
            self._give_back(claim, "changed")
            return
        except TransientError:
            self.let_go(claim)
            raise
        finally:
            heart.vitals.delivery = ""
        if outcome is not None:
            self.summary.count(outcome)
            self.drop(claim)

    def drop(self, claim: Claim) -> None:
        """Ends a claim whose file has come to its end."""
        claims.drop(claim)
        self.told.discard(claim.id)
        self.unsure.discard(claim.id)

    def let_go(self, claim: Claim) -> None:
        """The world is unwell, and nobody waits for it."""
        if claim.id in self.told or claim.id in self.unsure:
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
            outcome = self.patience.when_well(lambda: self._ingest(claim, attempts), error)
            self.is_broken_off |= outcome is None and self.patience.stop.is_set()
            return outcome

    def _with_retries(self, claim: Claim) -> Outcome | None:
        return self.patience.with_retries(lambda attempt: self._ingest(claim, attempt))

    def _ingest(self, claim: Claim, attempt: int) -> Outcome | None:
        self.patience.heart.again()
        try:
            if self._is_gone(claim):
                emit(Event.DELIVERY_FAILED, delivery=claim.id, step="claim", error="the claimed file is gone")
                self.drop(claim)
                return None
            return ingest(claim, self.rules, self.store, self.folders, attempt, told=self.told)
        except OutcomeUnknown:
            self.unsure.add(claim.id)
            raise
        except TransientError:
            raise
        except Exception as error:
            if is_worlds_fault(error):
                raise TransientError(str(error)) from error
            return self._give_up_on(claim, error, attempt)

    def _is_gone(self, claim: Claim) -> bool:
        """Whether somebody took a claimed file away: it is not there, and it was not filed away either."""
        return (
            bool(claim.name) and not os.path.lexists(claim.path) and self.store.outcome_of(claim.id) is None
        )

    def _give_up_on(self, claim: Claim, error: Exception, attempt: int) -> Outcome | None:
        """A defect of ours: the file is kept in ``errors/``, or else in ``.work/``; the traceback is in the log."""
        with bound(delivery=claim.id, file=claim.name):
            emit(
                Event.DELIVERY_FAILED, step="ingest", error=str(error)[:500], attempts=attempt, exc_info=error
            )
        failure = FileError(FileReason.INTERNAL_ERROR, f"{type(error).__name__}: {str(error)[:300]}")
        try:
            return ingest(claim, self.rules, self.store, self.folders, attempt, failure, self.told)
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
