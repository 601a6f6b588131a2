"""The command line, ``stockgrip``: ``main.py`` has the group and the way out, the other modules a few commands each."""

from daemon.cli.main import cli, main

__all__ = ["cli", "main"]
