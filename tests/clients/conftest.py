"""The slow part runs with `make faults` (SGTEST_FAULTS=1); everything else passes it by, visibly."""

import os
from pathlib import Path

import pytest

pytest.register_assert_rewrite("clients.campaign", "clients.servers", "clients.ways", "e2e.harness")

from clients import table  # noqa: E402

ALL = os.environ.get("SGTEST_FAULTS") == "1"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents and item.get_closest_marker("faults") and not ALL:
            item.add_marker(pytest.mark.skip(reason="takes long: run `make faults`"))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if lines := table.lines():
        terminalreporter.section("clients: seconds from the client's end until its file was loaded")
        for line in lines:
            terminalreporter.write_line(line)
