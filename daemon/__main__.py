"""``python -m daemon``: the same as ``stockgrip``."""

from daemon.cli import main

main()
