"""Installing, upgrading and removing, on a host of its own."""

from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("deploy.box")

from deploy.box import ROOT, Box, booted, cannot, collect_wheels  # noqa: E402


@pytest.fixture(scope="session")
def wheels() -> Path:
    """The packages of this source."""
    if why := cannot():
        pytest.skip(why)
    return collect_wheels(ROOT / "build" / "wheels")


@pytest.fixture
def box(wheels: Path) -> Iterator[Box]:
    """A host on which nothing of ours is installed."""
    with booted(wheels) as made:
        yield made
