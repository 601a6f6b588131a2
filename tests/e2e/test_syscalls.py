"""Killed just before and just after the system calls that matter: the claim, the COMMIT, the move."""

from e2e.harness import Place
from e2e.syscalls import calls_of, decisive, killed_and_resumed, need_strace, new_mix, traced


def test_killed_around_claim_commit_and_move(place: Place) -> None:
    need_strace()
    mix, calls = new_mix(2), calls_of(place)
    mix.drop_three(place)
    process, seen = traced(place, calls)
    assert process.popen.returncode == 1, process.tail()
    for call in decisive(seen):
        assert killed_and_resumed(place, mix, call, calls), f"never came to {call}"
    mix.check(place)
