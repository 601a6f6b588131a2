"""docs/faults.md says what an operator sees in the words of the log."""

import re
from pathlib import Path

from daemon.events import Event

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
_ALSO = {"fuser", "unroutable", "too_large", "too_slow"}


def test_each_event_that_the_page_names_is_one() -> None:
    rows = [line.split("|") for line in PAGE.read_text("utf-8").splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 20
    named = {word for row in rows for word in re.findall(r"`([a-z_]+)`", row[3])}
    assert named - _ALSO <= {str(event) for event in Event}
    assert len(named) > 15
