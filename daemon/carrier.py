"""Carries files from the inbox to their end, in the order in which they came; many small ones go together.

What becomes of one file is ``porter.py``'s, what becomes of many small ones ``convoy.py``'s.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

from daemon import claims, together
from daemon.convoy import BrokenOff, Convoy
from daemon.events import Event
from daemon.hands import finish_unloads
from daemon.logs import bound, emit
from daemon.outbox import acknowledge
from daemon.porter import Porter


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
        convoy = self.convoy
        try:
            for some in self._groups(names):
                if enough():
                    break
                if self._is_small(some[0]):
                    for run in convoy.read(some, patient=patient):
                        yield from convoy.send(run, patient=patient)
                else:
                    yield from convoy.finish(patient=patient)
                    if self.deliver(some[0], patient=patient):
                        yield some[0]
            yield from convoy.finish(patient=patient)
        except BrokenOff:
            convoy.let_go()
        except (Exception, GeneratorExit):
            convoy.let_go()
            raise

    def recover(self, *, patient: bool) -> None:
        """Takes up what a process that died had claimed, or had taken out."""
        porter = self.porter
        finish_unloads(porter.store, porter.folders)
        with closing(claims.orphans(porter.folders, self._unfiled)) as orphans:
            for claim in orphans:
                with bound(delivery=claim.id, file=claim.name):
                    if not claim.name and porter.store.outcome_of(claim.id) is None:
                        claims.drop(claim)  # it died before the file was in
                        continue
                    emit(Event.DELIVERY_RECOVERED, state="claimed" if claim.name else "filed")
                porter.carry_through(claim, patient=patient)
                if porter.is_broken_off:
                    return

    def _unfiled(self, batch: str) -> list[str]:
        """The claims of a batch whose filing the database does not know; the senders of the others are told, if they were not."""
        porter = self.porter
        if porter.rules.outbox.enabled:
            for delivery_id in porter.store.filed_among(batch):
                acknowledge(delivery_id, porter.store, porter.folders, porter.rules.outbox)
        return porter.store.unfiled(batch)

    def _groups(self, names: Iterable[str]) -> Iterator[list[str]]:
        """Neighbours that are small enough to be read together, or one file."""
        group: list[str] = []
        size = 0
        for name in names:
            small, its = self._is_small(name), self.porter.inbox.size_of(name)
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
        return name.endswith(".csv") and self.porter.inbox.size_of(name) <= together.SMALL
