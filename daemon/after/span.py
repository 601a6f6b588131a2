"""What is known of one feed over some days: read once, used for each of the days that are judged."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from itertools import chain

import numpy as np
import numpy.typing as npt

from daemon.after.files import DAY, Files
from daemon.after.terms import Terms
from daemon.store import quality as store
from daemon.store.quality import FIGURES, MEASURES, Packed, Transaction
from daemon.store.totals import parts_of, scope_of
from handlers.quality.anomaly import HISTORY, Ints
from handlers.quality.distributions import Floats
from handlers.quality.result import Metric, Status

_FILES_AFTER = (
    7 * DAY
)  # most deliveries arrive within some days: who is late then is known from the same files


@dataclass
class Span:
    """Totals, scores and files of a feed; arrays are series x days, and each day is there.

    Attributes:
        terms: how the feed is judged.
        first: the first day.
        last: the last day.
        scopes: the name of each series: "" is the chain.
        figures: what came of each measure, and its scores; NaN where there is none. See ``FIGURES``.
        files: those whose slots are of these days.
        statuses: of the completeness of each day that was judged.
        sold: by day and series, its most frequent products and what came of each: see ``products``.
    """

    terms: Terms
    first: date
    last: date
    scopes: list[str]
    figures: dict[str, Floats]
    files: Files
    statuses: dict[date, Status]
    sold: dict[tuple[date, str], tuple[list[str], Floats]] = field(default_factory=dict)
    _keys: dict[date, frozenset[str]] = field(default_factory=dict)

    @classmethod
    def read(cls, connection: Transaction, terms: Terms, days: Sequence[date]) -> "Span":
        """What is known of some days that are to be judged, and of the ``HISTORY`` days before the first of them.

        Args:
            connection: of the transaction.
            terms: how the feed is judged.
            days: in their order; their totals are what the rows say now, those of other days what was judged.
        """
        feed, first, last = terms.feed.name, days[0] - HISTORY * DAY, days[-1]
        kept = store.packed(connection, feed, first, last)
        now = store.totals(connection, feed, days)
        names = {text: list(json.loads(text)) for text in {one.scopes for one in kept}}
        scopes = sorted({"", *(row[1] for row in now), *chain.from_iterable(names.values())})
        place = {scope: n for n, scope in enumerate(scopes)}
        rows = {text: np.array([place[name] for name in some], np.int64) for text, some in names.items()}
        figures = np.zeros((len(FIGURES), len(scopes), (last - first).days + 1))
        figures[len(MEASURES) :] = np.nan
        for one in kept:
            known = np.frombuffer(one.figures).reshape(len(FIGURES), -1)
            figures[:, rows[one.scopes], (one.day - first).days] = known
        for day in days:
            figures[: len(MEASURES), :, (day - first).days] = 0
        for text, scope, *totals in now:
            figures[: len(MEASURES), place[scope], (date.fromisoformat(text) - first).days] = totals
        return cls(
            terms=terms,
            first=first,
            last=last,
            scopes=scopes,
            figures=dict(zip(FIGURES, figures, strict=True)),
            files=Files.read(connection, terms, first, last + _FILES_AFTER),
            statuses=store.statuses(connection, feed, Metric.COMPLETENESS, first, last),
        )

    def keep(self, connection: Transaction, day: date) -> None:
        """Keeps a day as it was judged, for those that follow."""
        at = self.place(day)
        some = np.flatnonzero(self.totals("rows")[:, at])
        figures = np.stack([self.figures[name][some, at] for name in FIGURES])
        scopes = json.dumps([self.scopes[n] for n in some], ensure_ascii=False, separators=(",", ":"))
        store.keep(connection, self.terms.feed.name, Packed(day, scopes, figures.tobytes()))

    # ---- figures

    def totals(self, measure: str) -> Floats:
        """What came, series x days."""
        return self.figures[f"total_{measure}"]

    def z(self, measure: str) -> Floats:
        """Scores, series x days; NaN where there is none."""
        return self.figures[f"z_{measure}"]

    def raw(self, measure: str) -> Floats:
        """Scores before calibration, series x days."""
        return self.figures[f"raw_{measure}"]

    # ---- days

    def place(self, day: date) -> int:
        """The column of a day."""
        return (day - self.first).days

    def has_data(self, day: date) -> bool:
        """Whether any row of a day came."""
        return bool(self.totals("rows")[0, self.place(day)] > 0)

    @cached_property
    def begin(self) -> date | None:
        """The first of the days with data; None if there is none."""
        some = np.flatnonzero(self.totals("rows")[0])
        return self.first + int(some[0]) * DAY if len(some) else None

    # ---- who sent, and what

    def keys(self, day: date) -> frozenset[str]:
        """The units of which something came: places and channels, as fine as rows say them, and sources."""
        if day not in self._keys:
            places = np.flatnonzero(self._present[:, self.place(day)])
            sources = {f"source:{one.source}" for one in self.files.sent(day) if one.counts}
            self._keys[day] = frozenset(self._units[n] for n in places) | sources
        return self._keys[day]

    def parts(self, scope: str) -> dict[str, str]:
        """Column and value of each place or channel that a series is of; of the chain there are none."""
        return parts_of(scope)

    @cached_property
    def single(self) -> list[int]:
        """The series of the chain, which is the first, and of each place and each channel, but not of pairs."""
        return [n for n, scope in enumerate(self.scopes) if len(self.parts(scope)) < 2]  # noqa: PLR2004

    @cached_property
    def _units(self) -> list[str]:
        return [self.scopes[n] for n in self._finest]

    @cached_property
    def _finest(self) -> Ints:
        """The series that are units: pairs of place and channel, and channels, of which some rows may have no place."""
        by = self.terms.totals.by
        units = [n for n, scope in enumerate(self.scopes) if tuple(self.parts(scope)) in (by, by[-1:])]
        return np.array(units, np.int64)

    @cached_property
    def _present(self) -> npt.NDArray[np.bool_]:
        """Which units have rows of their own, units x days."""
        rows = self.totals("rows")[self._finest].copy()
        place = {name: n for n, name in enumerate(self._units)}
        for n, name in enumerate(self._units):
            within = list(self.parts(name).items())[1:]
            whole = place.get(scope_of(within)) if within else None
            if whole is not None:
                rows[whole] -= rows[n]
        return np.asarray(rows > 0)
