"""Tables of the page: wide on a screen, a paragraph a row on a telephone."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from daemon.report.html import Child, Html, el


@dataclass(frozen=True, slots=True)
class Column:
    """A column.

    Attributes:
        title: its heading, and on a telephone the word beside its cells.
        kind: ``n`` numbers, ``name`` names that may be broken, ``keep`` short words, ``plain`` needs no word beside it;
            classes of the style.
    """

    title: str
    kind: str = ""


def table(
    columns: Sequence[Column],
    rows: Iterable[Sequence[Child]],
    foot: Sequence[Child] | None = None,
    *,
    kind: str = "",
) -> Html:
    """A table.

    Args:
        columns: in order; the first says what a row is about.
        rows: cells in the order of the columns.
        foot: a row of sums.
        kind: a class of the style: ``even`` for tables whose columns stand below each other's.
    """
    head = el("tr", (el("th", each.title, class_=each.kind or None, scope="col") for each in columns))
    return el(
        "table",
        el("thead", head),
        el("tbody", (_row(columns, row) for row in rows)),
        el("tfoot", _row(columns, foot)) if foot is not None else None,
        class_=f"stack {kind}".strip(),
    )


def _row(columns: Sequence[Column], cells: Sequence[Child]) -> Html:
    return el(
        "tr",
        (
            el(
                "td",
                cell,
                class_=" ".join(filter(None, (column.kind, "" if n else "first"))) or None,
                data_l=column.title if n and "plain" not in column.kind else None,
            )
            for n, (column, cell) in enumerate(zip(columns, cells, strict=True))
        ),
    )


def more(count: int, shown: int, what: str = "") -> Html | None:
    """That there are more than are shown."""
    left = count - shown
    return el("p", f"and {left:,} more{f' {what}' if what else ''}", class_="note") if left > 0 else None
