"""SIGKILL at moments that chance chooses, near those that matter; shared by the short loop here and the long one in soak."""

import random
import time
from collections.abc import Callable
from pathlib import Path

from e2e.harness import Place, Process
from e2e.host import FolderEvents
from e2e.mix import Mix

MOST_WAITING = 25  # files; a slow machine would only pile them up
PATIENCE = 6.0  # seconds for a moment to come; after that it is killed all the same

Moment = Callable[[Place, Process, random.Random], None]


def after_start(place: Place, process: Process, rng: random.Random) -> None:
    """Whenever."""
    time.sleep(rng.uniform(0, 1.5))


def _on_event(folder_of: Callable[[Place], Path], mask: int, most: float) -> Moment:
    def moment(place: Place, process: Process, rng: random.Random) -> None:
        events = FolderEvents(folder_of(place), mask)
        deadline = time.monotonic() + PATIENCE
        for _ in range(rng.randint(1, 6)):  # which of the files
            events.wait(max(0.0, deadline - time.monotonic()))
            events.take()
            if not process.alive:
                break
        events.close()
        time.sleep(rng.uniform(0, most))

    return moment


def at_commit(place: Place, process: Process, rng: random.Random) -> None:
    """As soon as another connection sees a new row of the ledger: after COMMIT, before the move."""
    before, more = place.scalar("SELECT COUNT(*) FROM data_ingestion_log"), rng.randint(1, 6)
    deadline = time.monotonic() + PATIENCE
    with place.engine.connect() as connection:
        connection.exec_driver_sql("SELECT 1")
    while time.monotonic() < deadline and process.alive:
        if place.scalar("SELECT COUNT(*) FROM data_ingestion_log") >= before + more:
            break
        time.sleep(0.001)
    time.sleep(rng.choice([0, 0, rng.uniform(0, 0.003)]))


MOMENTS = {
    "whenever": after_start,
    "after the claim is made": _on_event(lambda place: place.work, FolderEvents.CREATE, 0.002),
    "after the rename out of the inbox": _on_event(lambda place: place.inbox, FolderEvents.MOVED_FROM, 0.03),
    "around COMMIT": at_commit,
    "around the move": _on_event(
        lambda place: place.data / "errors", FolderEvents.CREATE | FolderEvents.MOVED_TO, 0.002
    ),
    "when a claim is dropped": _on_event(lambda place: place.work, FolderEvents.DELETE, 0.002),
}


def kill_loop(place: Place, kills: int, seed: int, *, large_every: int = 0) -> dict[str, int]:
    """Drops files, starts the program, kills it; again and again; then drains and checks everything.

    Returns:
        How often each moment was chosen, and under `unfinished` how many kills left work behind.
    """
    rng = random.Random(seed)
    mix = Mix(rng)
    tally = dict.fromkeys((*MOMENTS, "unfinished"), 0)
    for number in range(kills):
        if len(place.waiting()) < MOST_WAITING:
            mix.drop(place, large=bool(large_every) and number % large_every == large_every - 1)
        process = place.start(rng.choice(["run", "drain"]), log__level="info")
        name = list(MOMENTS)[number % len(MOMENTS)]
        MOMENTS[name](place, process, rng)
        process.kill()
        tally[name] += 1
        tally["unfinished"] += bool(place.waiting() or place.claimed())
    place.drain(1, seconds=300)
    mix.check(place)
    return tally
