"""The program as a process of its own, as an operator starts it."""

import os
import subprocess
import sys
from pathlib import Path


def clean_environment(**more: str) -> dict[str, str]:
    """This environment without settings of the program, and with some of our own."""
    strange = (
        "STOCKGRIP_",
        "PYTHONDONTWRITEBYTECODE",
    )  # a start that compiles everything takes a fifth longer
    kept = {name: value for name, value in os.environ.items() if not name.startswith(strange)}
    return {**kept, "NO_COLOR": "1", **more}


def environment(data_dir: Path, database_url: str, **more: str) -> dict[str, str]:
    """An environment in which the program works on a folder and a database, without waiting for quiet."""
    return clean_environment(
        STOCKGRIP_DATA_DIR=str(data_dir),
        STOCKGRIP_DATABASE__URL=database_url,
        STOCKGRIP_SETTLE__QUIET_SECONDS="0",
        STOCKGRIP_LOG__FORMAT="json",
        **more,
    )


def command(*arguments: str) -> list[str]:
    """The command line that runs `stockgrip ARGUMENTS…` with this interpreter."""
    return [sys.executable, "-m", "daemon", *arguments]


def run_cli(
    *arguments: str, env: dict[str, str], cwd: Path, timeout: float = 60
) -> subprocess.CompletedProcess[str]:
    """Runs `stockgrip ARGUMENTS…` to its end."""
    return subprocess.run(
        command(*arguments), env=env, cwd=cwd, capture_output=True, text=True, timeout=timeout, check=False
    )
