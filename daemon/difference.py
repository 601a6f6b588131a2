"""What a correction changes in its slot, row by row and in sums: plain values, as the ledger keeps them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Literal, TypeAlias

Kind: TypeAlias = Literal["added", "removed", "changed"]
KINDS: tuple[Kind, ...] = ("added", "removed", "changed")


@dataclass(frozen=True, slots=True)
class Total:
    """The sum of a column over all rows, before and after: exact.

    Attributes:
        column: its name.
        old: over the rows that are replaced; whole units have no decimals, money has them.
        new: over the rows that replace them.
    """

    column: str
    old: Decimal
    new: Decimal

    @property
    def delta(self) -> Decimal:
        """What is added."""
        return self.new - self.old


@dataclass(frozen=True, slots=True)
class Example:
    """One of the rows that differ.

    Attributes:
        kind: what happens to it.
        old_line: its line in the file that is replaced; None if it is added.
        new_line: its line in the file that replaces it; None if it is removed.
        row: cells by column: those that every row has, or, of a changed row, those by which it was recognised.
        more: other cells of a row that was added or removed, if they say something.
        changed: columns with the cell before and after; None is an empty cell.
    """

    kind: Kind
    old_line: int | None
    new_line: int | None
    row: Mapping[str, str]
    more: Mapping[str, str] = field(default_factory=dict)
    changed: Mapping[str, tuple[str | None, str | None]] = field(default_factory=dict)

    def line(self) -> str:
        """All of it on one line."""
        line = self.new_line if self.new_line is not None else self.old_line
        was = f" (was {self.old_line})" if self.kind == "changed" and self.old_line != line else ""
        cells = ", ".join((*self.row.values(), *(f"{name} {text}" for name, text in self.more.items())))
        changes = ", ".join(
            f"{column} {_cell(before)} → {_cell(after)}" for column, (before, after) in self.changed.items()
        )
        return f"{self.kind:7}  line {line}{was}: {cells}{': ' if changes else ''}{changes}"


@dataclass(frozen=True, slots=True)
class Difference:
    """The rows of a file beside the rows that it replaces.

    Attributes:
        delivery_id: whose rows are replaced.
        old_rows: how many those are.
        new_rows: how many replace them.
        added: rows without an old one; this and the next three are None if there are too many rows to compare.
        removed: old rows without a new one.
        changed: rows that have an old one, with other values.
        same: rows that have an old one with the same values.
        totals: of each column that can be added up exactly.
        examples: a few of each kind, in the order of their lines.
    """

    delivery_id: int
    old_rows: int
    new_rows: int
    added: int | None = None
    removed: int | None = None
    changed: int | None = None
    same: int | None = None
    totals: tuple[Total, ...] = ()
    examples: tuple[Example, ...] = ()

    @property
    def rows(self) -> str:
        """What happens to the rows, in words."""
        if self.added is None:
            return f"{self.old_rows:,} → {self.new_rows:,} rows, too many to compare one by one"
        return f"{self.added:,} added, {self.removed:,} removed, {self.changed:,} changed, {self.same:,} as before"

    def sentence(self) -> str:
        """All of it on one line, but for the examples."""
        sums = (
            f"{t.column} {shown(t.old)} → {shown(t.new)} ({shown(t.delta, sign=True)})" for t in self.totals
        )
        return "; ".join((self.rows, *sums))

    def lines(self) -> list[str]:
        """Sums and examples, a line each; ``rows`` is the headline."""
        broad = max((len(total.column) for total in self.totals), default=0)
        sums = [
            f"{t.column:{broad}}  {shown(t.old)} → {shown(t.new)}  ({shown(t.delta, sign=True)})"
            for t in self.totals
        ]
        return [*sums, *(example.line() for example in self.examples)]

    def as_dict(self) -> dict[str, Any]:
        """As JSON holds it: for ``--json`` and the ledger. Money is text, so that it stays exact."""
        return {
            "delivery": self.delivery_id,
            "old_rows": self.old_rows,
            "new_rows": self.new_rows,
            "added": self.added,
            "removed": self.removed,
            "changed": self.changed,
            "same": self.same,
            "totals": {
                t.column: {"old": _plain(t.old), "new": _plain(t.new), "delta": _plain(t.delta)}
                for t in self.totals
            },
            "examples": [
                {
                    "kind": e.kind,
                    "old_line": e.old_line,
                    "new_line": e.new_line,
                    "row": dict(e.row),
                    "more": dict(e.more),
                    "changed": {column: list(cells) for column, cells in e.changed.items()},
                }
                for e in self.examples
            ],
        }

    @classmethod
    def from_dict(cls, found: Mapping[str, Any]) -> "Difference":
        """What ``as_dict`` was made of."""
        return cls(
            delivery_id=found["delivery"],
            old_rows=found["old_rows"],
            new_rows=found["new_rows"],
            added=found["added"],
            removed=found["removed"],
            changed=found["changed"],
            same=found["same"],
            totals=tuple(
                Total(column, Decimal(sums["old"]), Decimal(sums["new"]))
                for column, sums in found["totals"].items()
            ),
            examples=tuple(
                Example(
                    e["kind"],
                    e["old_line"],
                    e["new_line"],
                    e["row"],
                    e["more"],
                    {column: (before, after) for column, (before, after) in e["changed"].items()},
                )
                for e in found["examples"]
            ),
        )


def money(amount: Decimal) -> Decimal:
    """An amount with two decimals, or with as many more as it needs, up to four."""
    cents = amount.quantize(Decimal("0.01"))
    return cents if cents == amount else amount.quantize(Decimal("0.0001")).normalize()


def shown(amount: Decimal, *, sign: bool = False) -> str:
    """An amount as a person reads it, with thousands separators."""
    return f"{amount:{'+' if sign and amount else ''},f}"


def _cell(text: str | None) -> str:
    return "(empty)" if text is None else text


def _plain(amount: Decimal) -> int | str:
    return int(amount) if amount.as_tuple().exponent == 0 else f"{amount:f}"
