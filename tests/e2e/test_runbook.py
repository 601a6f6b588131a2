"""docs/runbook.md shows what the program prints: each morning is played again, on a real site with real processes.

If a message has changed: `.venv/bin/python tests/support/runbook.py --write`, then read what it changed.
"""

import difflib
import re
import shutil
from pathlib import Path

import pytest
from support import runbook

PAGE = runbook.PAGE.read_text("utf-8")
MORNINGS = runbook.mornings(PAGE)


@pytest.mark.skipif(not all(map(shutil.which, runbook.NEEDS)), reason=f"needs {' and '.join(runbook.NEEDS)}")
@pytest.mark.parametrize("heading", MORNINGS)
def test_the_page_shows_what_the_program_prints(heading: str) -> None:
    try:
        fresh = runbook.played(MORNINGS[heading])
    except runbook.Skip as skip:
        pytest.skip(str(skip))
    lines = (text.splitlines() for text in (MORNINGS[heading], fresh))
    difference = list(difflib.unified_diff(*lines, "the page", "the program", lineterm=""))
    assert not difference, "\n".join([*difference, "", str(__doc__)])


def test_there_are_five_mornings() -> None:
    assert sorted({heading[0] for heading in MORNINGS}) == ["1", "2", "3", "4", "5"]


def test_each_morning_says_why_it_is_safe_and_when_it_is_solved() -> None:
    for number in "12345":
        told = "".join(text for heading, text in MORNINGS.items() if heading.startswith(number))
        assert "**Solved when**" in told, number
        assert "**Safe because**" in told, number


def test_nothing_of_this_machine_is_on_the_page() -> None:
    assert not re.findall(r"/tmp/\S+|\b(?:root@|nobody:nogroup)\S*", PAGE)
    assert str(Path.home() / "") not in PAGE


def test_times_get_those_of_the_story_and_nothing_is_left_behind() -> None:
    with runbook.a_site() as site:
        site.type("stockgrip sample --days 1 --products 2 live_feeds", may_fail=False)
        site.behind_the_scene(
            "@at 2025-07-01 02:10:04\n@daemon\n@taken\n@taken\n@taken\n@taken\n@at 2025-07-01 07:30:15\n"
        )
        listed = site.scribe.fair(site.type("stockgrip log"))
        assert re.findall(r"^ (\d)  (\S+ \S+)  ", listed, re.MULTILINE) == [
            (number, "2025-07-01 02:10") for number in "1234"
        ]
        told = site.scribe.fair(site.type("stockgrip explain 3"))
        assert "\n  02:10:04  claimed\n" in told
        assert "2025-06-30" in told, "a business date is none of the clock's"
        assert "filed to processed/2025/07/" in told
        daemon, folders = site.daemon, site.folders
        assert daemon is not None
        assert daemon.poll() is None
    assert daemon.poll() == 0
    assert not any(map(Path.exists, folders))
