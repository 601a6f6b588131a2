"""Installing, upgrading and removing, on a host of its own."""

import shutil
import subprocess
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


@pytest.fixture(scope="session")
def package() -> Path:
    """The Debian package."""
    if not shutil.which("dpkg-deb"):
        pytest.skip("dpkg-deb is not there")
    done = subprocess.run(
        [ROOT / "deploy" / "deb" / "build.sh"], check=False, capture_output=True, text=True, timeout=600
    )
    if done.returncode:
        pytest.skip(f"the package cannot be built: {done.stderr.strip().splitlines()[-1:]}")
    return Path(done.stdout.splitlines()[-1])
