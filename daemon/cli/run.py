"""Loading: ``run`` and ``drain``."""

import json
import sys
import time
from pathlib import Path
from typing import Any

import click

from daemon.cli.shared import EXIT_REFUSED, json_option, serving


@click.command()
@click.pass_obj
def run(config: Path | None) -> int:
    """Watch live_feeds/ and load what comes, until SIGTERM or Ctrl-C.

    The delivery in hand is finished before the daemon ends. SIGUSR1 makes it look through the whole folder at once, SIGHUP
    read its configuration anew: a wrong one is refused and the old one stays in force.
    """
    from daemon.events import Event  # noqa: PLC0415
    from daemon.logs import emit  # noqa: PLC0415
    from daemon.workflow.timetable import timetable  # noqa: PLC0415

    with serving(config) as service, timetable(service):
        begun = time.monotonic()
        summary = service.run()
        emit(
            Event.DAEMON_STOPPED,
            reason=service.stop_reason,
            deliveries=summary.deliveries,
            uptime_seconds=round(time.monotonic() - begun, 1),
        )
    return 0


@click.command()
@json_option("Print the result as JSON.")
@click.pass_obj
def drain(config: Path | None, as_json: bool) -> int:
    """Load what waits in live_feeds/ now, then end.

    For cron and for first loads. Waits until the files there are complete (see `settle` in config.yaml).
    """
    from daemon.render import drain_table, progress_bar  # noqa: PLC0415

    terminal = sys.stderr.isatty()
    with serving(config, quiet=terminal) as service, progress_bar(enabled=terminal) as progress:
        summary = service.drain(progress)
    click.echo(json.dumps(drain_table(summary)) if as_json else _lines(drain_table(summary)))
    return 0 if summary.all_well else EXIT_REFUSED


def _lines(figures: dict[str, Any]) -> str:
    from daemon.terminal import flowed  # noqa: PLC0415

    return flowed(f"{name.replace('_', ' ')} {value:,}" for name, value in figures.items())
