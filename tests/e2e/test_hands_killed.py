"""A fix, an unload and a forced retry, killed where it matters: each ends as if nothing had happened."""

import pytest

from e2e.hands import CASES, walk
from e2e.harness import Place
from e2e.syscalls import need_strace


@pytest.mark.parametrize("what", sorted(CASES))
def test_killed_while_an_operator_lends_a_hand(sqlite_place: Place, what: str) -> None:
    need_strace()
    assert walk(sqlite_place, CASES[what], most=4) >= 3
