"""Minutes long: `make soak` (SGTEST_SOAK=1) runs them, everything else passes them by, visibly."""

import os
from pathlib import Path

import pytest

pytest.register_assert_rewrite("e2e.harness", "e2e.kills", "e2e.mix", "e2e.syscalls")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = Path(__file__).parent
    for item in items:
        if here in item.path.parents:
            item.add_marker(pytest.mark.soak)
            if os.environ.get("SGTEST_SOAK") != "1":
                item.add_marker(pytest.mark.skip(reason="minutes long: run `make soak`"))
