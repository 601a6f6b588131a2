"""The runs of the daily workflow: at most one is under way, whichever host it is on."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, insert, select, update

from daemon.store.derived import WORKFLOW_RUNS

_C = WORKFLOW_RUNS.c
_RUNNING = "running"


def begin(
    connection: Connection, day: date, at: datetime, host: str, dead_before: datetime
) -> tuple[int | None, dict[str, Any]]:
    """Begins a run, unless one is under way; call in a transaction that no other overlaps.

    Args:
        connection: of the transaction.
        day: the business day on which it runs.
        at: now, UTC.
        host: whose.
        dead_before: a run whose last heartbeat is older than this has died.

    Returns:
        The number of the run, or None and the run that is under way.
    """
    found = connection.execute(select(WORKFLOW_RUNS).where(_C.status == _RUNNING)).mappings().all()
    for run in found:
        if run["beat_at"] >= dead_before:
            return None, dict(run)
        connection.execute(update(WORKFLOW_RUNS).where(_C.id == run["id"]).values(status="died"))
    made = connection.execute(
        insert(WORKFLOW_RUNS).values(day=day, started_at=at, beat_at=at, host=host, status=_RUNNING, steps=[])
    )
    assert made.inserted_primary_key is not None
    return int(made.inserted_primary_key[0]), {}


def beat(connection: Connection, number: int, at: datetime) -> None:
    """A run is alive."""
    connection.execute(update(WORKFLOW_RUNS).where(_C.id == number).values(beat_at=at))


def note(connection: Connection, number: int, steps: Sequence[dict[str, Any]]) -> None:
    """What a run has done so far."""
    connection.execute(update(WORKFLOW_RUNS).where(_C.id == number).values(steps=list(steps)))


def finish(
    connection: Connection, number: int, status: str, steps: Sequence[dict[str, Any]], at: datetime
) -> None:
    """A run has ended."""
    connection.execute(
        update(WORKFLOW_RUNS)
        .where(_C.id == number)
        .values(status=status, steps=list(steps), beat_at=at, ended_at=at)
    )


def newest(connection: Connection, most: int = 1) -> list[dict[str, Any]]:
    """The last runs, the newest first."""
    rows = connection.execute(select(WORKFLOW_RUNS).order_by(_C.id.desc()).limit(most))
    return [dict(row) for row in rows.mappings()]
