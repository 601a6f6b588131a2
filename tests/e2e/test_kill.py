"""No row lost, none doubled, whenever the process is killed."""

import pytest

from e2e.harness import Place
from e2e.kills import kill_loop


@pytest.mark.parametrize("seed", [1])
def test_killed_at_any_moment_each_row_is_there_once(place: Place, seed: int) -> None:
    tally = kill_loop(place, kills=7, seed=seed)
    assert tally["unfinished"] >= 3, f"the kills came too late to prove anything: {tally}"
