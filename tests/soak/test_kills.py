"""SIGKILL, hundreds of times, and at every system call that moves or commits something."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.hands import CASES, walk
from e2e.harness import Place
from e2e.kills import MOMENTS, kill_loop
from e2e.syscalls import calls_of, killed_and_resumed, need_strace, new_mix, traced, worth_dying_at

KILLS = 210


@pytest.fixture
def place(tmp_path: Path, database_url: str) -> Iterator[Place]:
    made = Place(tmp_path, database_url)
    yield made
    made.close()


@pytest.mark.timeout(3600)
def test_two_hundred_kills(place: Place) -> None:
    tally = kill_loop(place, kills=KILLS, seed=20250301, large_every=15)
    print(f"{place.url.partition(':')[0]}: {tally}")  # noqa: T201  (the figure is the result)
    assert sum(tally[moment] for moment in MOMENTS) == KILLS
    assert tally["unfinished"] >= KILLS // 3, f"the kills came too late to prove anything: {tally}"


@pytest.mark.timeout(7200)
def test_killed_at_every_system_call(place: Place) -> None:
    need_strace()
    mix, calls = new_mix(3), calls_of(place)
    mix.drop_three(place)
    process, seen = traced(place, calls)
    assert process.popen.returncode == 1, process.tail()
    moments = worth_dying_at(seen)
    reached = sum(killed_and_resumed(place, mix, call, calls) for call in moments)
    print(f"{place.url.partition(':')[0]}: killed at {reached} of {len(moments)} calls")  # noqa: T201
    # the folders of the month are there by now, and SQLite's files are not: a few calls come only the first time
    assert reached >= len(moments) * 0.8
    mix.check(place)


@pytest.mark.timeout(3600)
@pytest.mark.parametrize("what", sorted(CASES))
def test_killed_at_every_call_of_an_operators_command(place: Place, what: str) -> None:
    need_strace()
    reached = walk(place, CASES[what], most=1_000)
    print(f"{place.url.partition(':')[0]}: {what} killed at {reached} calls")  # noqa: T201
    assert reached >= 10
