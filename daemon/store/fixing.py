"""Rows that come back corrected: which of them fit, and what is noted when they have joined their delivery."""

from sqlalchemy import Connection

from daemon.errors import TransientError
from daemon.store import ledger, removed_days
from daemon.store.schema import LINE_BITS, is_of
from daemon.store.staging import Stage
from handlers.errors import FileError
from handlers.fixes import FIXED_LINE
from handlers.reasons import FileReason, RowReason


def must_be_open(connection: Connection, first: int) -> None:
    """The delivery still counts, so that rows may join it.

    Raises:
        FileError: ``stale_rejects``.
    """
    row = ledger.row_of(connection, first) or {}
    if row.get("status") not in ledger.LOADED:
        raise FileError(
            FileReason.STALE_REJECTS,
            f"delivery {first}, which these rows were rejected from, was taken out of the database",
        )
    if row["superseded_by"] is not None:
        raise FileError(
            FileReason.STALE_REJECTS,
            f"delivery {first}, which these rows were rejected from, was replaced by delivery {row['superseded_by']}",
        )
    gone = removed_days.removed_at(row)
    if gone is not None:
        raise FileError(
            FileReason.STALE_REJECTS,
            f"rows of delivery {first} ({row['file_name']}) were removed from the database on {gone}"
            " (retention.data_days), so that nothing can join it any more: drop the corrected rows as a file of their own,"
            " without the columns that begin with reject_, under another name",
        )
    removed = (row["error_details"] or {}).get(ledger.REJECTS_REMOVED)
    if removed is not None:
        raise FileError(
            FileReason.STALE_REJECTS,
            f"the rejected rows of delivery {first} ({row['file_name']}) were removed from the database on {removed[:10]}"
            " (retention.rejects_days), so that their lines are known no more: correct the whole file and drop that",
        )


def leave_out_known(stage: Stage, first: int) -> None:
    """Unstages rows whose rejects were fixed before; they are counted as known."""
    lines = _lines(stage, f"WHERE EXISTS (SELECT 1 {_reject(first)} AND r.fixed_by IS NOT NULL)")
    stage.take_out(lines)
    stage.known += len(lines)


def misfits(stage: Stage, first: int) -> dict[int, tuple[str, RowReason, str]]:
    """Unstages the rows that cannot join delivery ``first``.

    Returns:
        Their lines, each with the column, the reason and a sentence.
    """
    found: dict[int, tuple[str, RowReason, str]] = {}

    def note(lines: list[int], column: str, reason: RowReason, message: str) -> None:
        stage.take_out(lines)
        found.update((line, (column, reason, message)) for line in lines)

    note(
        _lines(stage, f"WHERE NOT EXISTS (SELECT 1 {_reject(first)})"),
        FIXED_LINE,
        RowReason.NO_SUCH_REJECT,
        f"no row of delivery {first} with this line was rejected",
    )
    ranked = f"(SELECT line, ROW_NUMBER() OVER (PARTITION BY {FIXED_LINE} ORDER BY line DESC) AS n FROM {stage.table})"
    note(
        _lines(stage, f"WHERE line IN (SELECT line FROM {ranked} ranked WHERE n > 1)"),
        FIXED_LINE,
        RowReason.NO_SUCH_REJECT,
        "a later row of the file corrects the same line; that one was taken",
    )
    if stage.feed.repeats == "reject":
        note(
            _lines(stage, f"WHERE {_taken(stage, first)}"),
            stage.feed.key[0],
            RowReason.DUPLICATE_KEY,
            f"delivery {first} has loaded another row with the same {', '.join(stage.feed.key)}",
        )
    return found


def must_fit(stage: Stage, first: int) -> None:
    """Nothing happened to the rejects since ``misfits`` looked.

    Raises:
        TransientError: something did; to be tried again.
    """
    fits = f"EXISTS (SELECT 1 {_reject(first)} AND r.fixed_by IS NULL)"
    if stage.feed.repeats == "reject":
        fits += f" AND NOT ({_taken(stage, first)})"
    if len(_lines(stage, f"WHERE {fits}")) != stage.rows:
        raise TransientError(
            f"the rejects of delivery {first} were changed at the same time by another process"
        )


def mark_fixed(stage: Stage, first: int, fix: int) -> None:
    """Notes which rejects of ``first`` the staged rows of ``fix`` correct."""
    begin = first << LINE_BITS
    stage.connection.exec_driver_sql(
        f"UPDATE rejected_rows SET fixed_by = {fix} WHERE id IN (SELECT {begin} + {FIXED_LINE} FROM {stage.table})"
    )


def _reject(first: int) -> str:
    """SQL: the reject r of ``first`` that the staged row s corrects."""
    return f"FROM rejected_rows r WHERE r.id = {first << LINE_BITS} + s.{FIXED_LINE}"


def _taken(stage: Stage, first: int) -> str:
    """SQL: ``first`` has another row with the key of the staged row s."""
    key = " AND ".join(f"o.{name} = s.{name}" for name in stage.feed.key)
    its, table = is_of(first, "o.id"), stage.feed.table
    return " OR ".join(
        f"EXISTS (SELECT 1 FROM {name} o WHERE {key} AND {its})" for name in (table, f"{table}_shadowed")
    )


def _lines(stage: Stage, where: str) -> list[int]:
    found = stage.connection.exec_driver_sql(f"SELECT s.line FROM {stage.table} s {where} ORDER BY s.line")
    return [row[0] for row in found]
