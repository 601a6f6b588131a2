"""What was expected, what was found, and whether that is the same."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

NEAR = 1e-9  # relative: what another order of additions may bring about


@dataclass(frozen=True, slots=True)
class Check:
    """One comparison.

    Attributes:
        name: what was looked at.
        expected: worked out from the text of the files.
        found: what the program made of it.
        ok: both agree.
        hint: where they differ first; empty if they do not.
    """

    name: str
    expected: Any
    found: Any
    ok: bool
    hint: str = ""


@dataclass(slots=True)
class Checks:
    """The comparisons of a part, in their order."""

    made: list[Check] = field(default_factory=list)

    def equal(self, name: str, expected: Any, found: Any, hint: str = "") -> None:
        """Both must be the same."""
        ok = expected == found
        self.made.append(Check(name, expected, found, ok, "" if ok else hint))

    def near(self, name: str, expected: float | None, found: float | None) -> None:
        """Both must be the same number, or both none; the last digits may differ."""
        if expected is None or found is None:
            ok = expected is found
        else:
            ok = math.isclose(expected, found, rel_tol=NEAR, abs_tol=NEAR)
        self.made.append(Check(name, expected, found, ok))

    def so(self, name: str, expected: str, found: Any, *, ok: bool) -> None:
        """Something must be so."""
        self.made.append(Check(name, expected, found, ok))

    def same_rows(
        self, name: str, expected: Mapping[Any, Any], found: Mapping[Any, Any], totals: str
    ) -> None:
        """Tables of rows (or of figures by their key) must be the same to the last cell; `totals` names the figures.

        What is shown are the number of rows and their sums; the hint names the first that differ.
        """
        ok = expected == found
        hint = "" if ok else _difference(expected, found)
        shown = [f"{count_of(rows)} rows{_sums(rows, totals)}" for rows in (expected, found)]
        self.made.append(Check(name, shown[0], shown[1], ok, hint))


def count_of(rows: Mapping[Any, Any]) -> int:
    """How many rows there are: of a count of rows, with those that occur more than once."""
    return sum(n if isinstance(n, int) else 1 for n in rows.values())


def _sums(rows: Mapping[Any, Any], totals: str) -> str:
    names = totals.split()
    if not names:
        return ""
    columns = zip(*(value for value in rows.values() if isinstance(value, Sequence)), strict=True)
    return "".join(f", {name} {sum(column)}" for name, column in zip(names, columns, strict=False))


def _difference(expected: Mapping[Any, Any], found: Mapping[Any, Any]) -> str:
    parts = []
    for word, ours, theirs in (("missing", expected, found), ("too much", found, expected)):
        only = [key for key, value in ours.items() if theirs.get(key) != value]
        if only:
            parts.append(f"{len(only)} {word}, such as {_told(only[0], ours)}")
    return "; ".join(parts)


def _told(key: Any, rows: Mapping[Any, Any]) -> str:
    cells = " ".join(str(cell) for cell in key if cell is not None) if isinstance(key, tuple) else str(key)
    value = rows[key]
    return cells if isinstance(value, int) else f"{cells}: {' '.join(map(str, value))}"
