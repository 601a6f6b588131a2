"""What ``stockgrip rebuild`` says to a person."""

from collections.abc import Iterator, Sequence

from daemon.rebuild.move import Move
from daemon.rebuild.replay import Remark
from daemon.rebuild.verify import SHOWN, Verification
from daemon.store.canonical import Value
from daemon.store.compare import Difference
from daemon.terminal import fitted, printable, table

_WIDEST = 80  # characters of a value
_HINT = (
    "The replay works by today's program and settings: if patterns, encodings, limits, the time zone or feeds.sales.returns"
    " were changed since a file came, that shows here, too. `stockgrip explain ID` tells a delivery's story."
)


def verification_text(found: Verification) -> str:
    """The result of ``rebuild --verify``."""
    rows = [
        (t.table, f"{t.rows:,}", f"{t.differences:,} differ" if t.differences else "equal")
        for t in found.tables
    ]
    lines = [table(("table", "rows", "in the replay"), rows, "table", ("rows",)), ""]
    lines += map(fitted, _findings(found))
    lines.append(fitted(_verdict(found)))
    return "\n".join(lines)


def _findings(found: Verification) -> Iterator[str]:
    if found.not_replayed:
        yield "Cannot be replayed; their rows were taken from the database, so that the rest can be compared:"
        yield from _remarks(found.not_replayed)
        yield ""
    if found.rejects_removed:
        yield (
            f"Of {found.rejects_removed:,} deliveries the rejected rows were removed (retention.rejects_days): they are"
            " not compared."
        )
        yield ""
    if found.rows_removed:
        yield (
            f"Of {found.rows_removed:,} deliveries rows were removed (retention.data_days): they are not compared. The daily"
            " figures that they are in are."
        )
        yield ""
    if found.lost:
        yield (
            f"Of {found.lost:,} of those the file is gone, too: nothing proves the figures of days whose rows were removed, nor"
            " the first days in products."
        )
        yield ""
    if found.otherwise:
        yield "Would not be loaded today:"
        yield from _remarks(found.otherwise)
        yield ""
    if found.examples:
        more = f", the first {SHOWN} of {found.differences:,}" if found.differences > SHOWN else ""
        yield f"Differences{more}:"
        yield from (f"  {_difference(each)}" for each in found.examples)
        yield ""
        yield _HINT
        yield ""


def _remarks(remarks: Sequence[Remark]) -> Iterator[str]:
    yield from (f"  delivery {r.delivery} ({printable(r.file)}): {printable(r.why)}" for r in remarks[:SHOWN])
    if len(remarks) > SHOWN:
        yield f"  … and {len(remarks) - SHOWN:,} more (--json shows all)"


def _verdict(found: Verification) -> str:
    count = f"{_deliveries(found.replayed)} replayed"
    if found.is_equal:
        return f"{count}: the database is what their files make of it."
    if not found.differences:
        return f"{count} and nothing differs, but {len(found.not_replayed):,} could not be: their rows prove nothing."
    return f"{count}, and {found.differences:,} values or rows differ."


def _deliveries(count: int) -> str:
    return "1 delivery was" if count == 1 else f"{count:,} deliveries were"


def _difference(found: Difference) -> str:
    where = [found.table]
    if found.delivery is not None:
        where.append(f"delivery {found.delivery}" + (f" ({printable(found.file)})" if found.file else ""))
    if found.line is not None:
        where.append(f"line {found.line}")
    if found.key is not None:
        where.append(" ".join(_cell(value) for value in found.key.values()))
    if found.behind:
        numbers = ", ".join(map(str, found.behind))
        where.append(f"deliver{'ies' if len(found.behind) > 1 else 'y'} {numbers}")
    place = ", ".join(where)
    if found.column is None:
        return f"{place}: only in the {'replay' if found.database is None else 'database'}"
    return f"{place}, {found.column}: {_cell(found.database)} in the database, {_cell(found.replay)} in the replay"


def _cell(value: Value | dict[str, Value]) -> str:
    text = "(none)" if value is None else printable(str(value)) or "(empty)"
    return text if len(text) <= _WIDEST else f"{text[:_WIDEST]}…"


def move_text(found: Move) -> str:
    """The result of ``rebuild --into``."""
    if found.dry:
        plan = [(t.table, f"{t.rows:,}", f"{t.there:,}") for t in found.tables]
        rest = sum(max(0, t.rows - t.there) for t in found.tables)
        shown = table(("table", "rows", "in the target"), plan, "table", ("rows", "in the target"))
        return f"{shown}\n\n" + fitted(
            f"About {rest:,} rows are to be copied to {found.target}. Nothing was done."
        )
    rows = [
        (
            t.table,
            f"{t.rows:,}",
            f"{t.copied or 0:,}",
            f"{t.differences:,} differ" if t.differences else "equal",
        )
        for t in found.tables
    ]
    shown = table(("table", "rows", "copied now", "in the target"), rows, "table", ("rows", "copied now"))
    return "\n".join((shown, "", *map(fitted, _next(found))))


def _next(found: Move) -> Iterator[str]:
    if any(t.differences for t in found.tables):
        yield "The copy is not the same: somebody else writes to the target, or it keeps values otherwise. Do not use it."
    elif found.changed:
        yield (
            f"The copy is whole, but {_deliveries(found.changed)} added or changed meanwhile. Stop the daemon and"
            " run it again: only what changed is copied."
        )
    elif found.followed:
        yield (
            "The copy is whole, but features, quality or alerts changed meanwhile: the daemon was still at work on what"
            " had been delivered. Stop the daemon and run it again: only what changed is copied."
        )
    else:
        yield "The copy is exact. What to do next:"
        yield "  1. If the daemon runs, stop it and run this once more: what came since is copied, too."
        yield f"  2. Set database.url in config.yaml (or STOCKGRIP_DATABASE__URL) to {found.target}"
        yield "  3. Start the daemon. The old database is as it was; let nothing load into it any more."
