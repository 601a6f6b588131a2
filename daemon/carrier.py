"""Carries files from the inbox to their end, in the order in which they came; many small ones go together.

What becomes of one file is ``porter.py``'s, what becomes of many small ones ``convoy.py``'s.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from typing import TypeVar

from daemon import claims, together
from daemon.claims import Claim
from daemon.convoy import BrokenOff, Convoy
from daemon.events import Event
from daemon.hands import finish_unloads
from daemon.logs import bound, emit
from daemon.outbox import acknowledge
from daemon.porter import Porter

_T = TypeVar("_T")


@dataclass(slots=True)
class Carrier:
    """Takes, ingests and files away what is complete.

    Attributes:
        porter: of a single file.
        convoy: of small ones.
    """

    porter: Porter
    convoy: Convoy = field(init=False)

    def __post_init__(self) -> None:
        self.convoy = Convoy(self.porter)

    def deliver(self, name: str, *, patient: bool) -> bool:
        """Takes a file from the inbox to its end; False if it changed since it was found complete.

        Raises:
            TransientError: the world did not get well, and nobody is to wait for it.
        """
        if not self.porter.inbox.is_unchanged(name):
            return False
        claim = self.porter.take(name, patient=patient)
        if claim is not None:
            self.porter.carry_through(claim, patient=patient)
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
        yield from self._or_let_go(self._carry_all(names, enough, patient=patient))

    def recover(self, *, patient: bool) -> None:
        """Takes up what a process that died had claimed, or had taken out. Raises as ``deliver_all`` does."""
        finish_unloads(self.porter.store, self.porter.folders)
        for _name in self._or_let_go(self._take_up(patient=patient)):
            pass

    def _or_let_go(self, carried: Iterator[str]) -> Iterator[str]:
        """Lets go of what is in hand when files are carried no further."""
        try:
            yield from carried
        except BrokenOff:
            self.convoy.let_go()
        except (Exception, GeneratorExit):
            self.convoy.let_go()
            raise

    def _carry_all(self, names: Iterable[str], enough: Callable[[], bool], *, patient: bool) -> Iterator[str]:
        convoy = self.convoy
        for some in _groups(names, self._small_size):
            if enough():
                break
            if self._small_size(some[0]) is not None:
                for run in convoy.read(some, patient=patient):
                    yield from convoy.send(run, patient=patient)
            else:
                yield from convoy.finish(patient=patient)
                if self.deliver(some[0], patient=patient):
                    yield some[0]
        yield from convoy.finish(patient=patient)

    def _take_up(self, *, patient: bool) -> Iterator[str]:
        convoy = self.convoy
        with closing(claims.orphans(self.porter.folders, self._unfiled)) as orphans:
            for some in _groups(self._left_behind(orphans), self._small_size_of_claimed):
                for run in convoy.read_claimed(some):
                    yield from convoy.send(run, patient=patient)
            yield from convoy.finish(patient=patient)

    def _left_behind(self, orphans: Iterable[Claim]) -> Iterator[Claim]:
        """Those of the claims that have a file, or had one; the convoy holds them from now on."""
        store, unsure = self.porter.store, self.porter.unsure
        for claim in orphans:
            self.convoy.hold(claim)
            unsure.add(claim.id)  # what is, or may be, in the database is never put back into the inbox
            is_known = store.outcome_of(claim.id) is not None
            if not is_known:
                unsure.discard(claim.id)
            if not is_known and not claim.name:
                self.convoy.drop(claim)  # its process died before the file was in
                continue
            with bound(delivery=claim.id, file=claim.name):
                emit(Event.DELIVERY_RECOVERED, state="claimed" if claim.name else "filed")
            yield claim

    def _unfiled(self, batch: str) -> list[str]:
        """The claims of a batch whose filing the database does not know; the senders of the others are told, if they were not."""
        porter = self.porter
        if porter.rules.outbox.enabled:
            for delivery_id in porter.store.filed_among(batch):
                acknowledge(delivery_id, porter.store, porter.folders, porter.rules.outbox)
        return porter.store.unfiled(batch)

    def _small_size(self, name: str) -> int | None:
        """The bytes of a file that is read together with its neighbours; None if it goes alone."""
        size = self.porter.inbox.size_of(name)
        return size if together.is_small(name, size) else None

    def _small_size_of_claimed(self, claim: Claim) -> int | None:
        if claim.id in self.porter.unsure:
            return None
        try:
            size = claim.path.lstat().st_size
        except OSError:
            return None
        return size if together.is_small(claim.name, size) else None


def _groups(files: Iterable[_T], small_size: Callable[[_T], int | None]) -> Iterator[list[_T]]:
    """Neighbours that are small enough to be read together, or one file."""
    group: list[_T] = []
    total = 0
    for file in files:
        size = small_size(file)
        if group and (
            size is None or len(group) == together.MOST_FILES or total + size > together.MOST_BYTES
        ):
            yield group
            group, total = [], 0
        if size is None:
            yield [file]
        else:
            group.append(file)
            total += size
    if group:
        yield group
