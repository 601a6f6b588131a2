"""Looking at the host: ``doctor``."""

import json
import os
import sys
from dataclasses import asdict
from pathlib import Path

import click

from daemon.cli.shared import EXIT_REFUSED, json_option


@click.command()
@json_option("Print the findings as JSON.")
@click.option(
    "--deep",
    is_flag=True,
    help="Also read the whole SQLite database and check that it is sound, and try the mail server.",
)
@click.pass_obj
def doctor(config: Path | None, as_json: bool, deep: bool) -> int:
    """Say what is wrong with this host: configuration, folders, filesystem, clock, database.

    Each finding is ok, warn or fail, with what to do about it. Nothing is made or changed but an empty file for a moment,
    below .work/. Exit status 1 if something failed; warnings alone are 0.
    """
    from daemon import logs  # noqa: PLC0415
    from daemon.doctor import Site, examine, is_well  # noqa: PLC0415
    from daemon.doctor.report import report  # noqa: PLC0415
    from daemon.terminal import is_terminal, may_colour, width  # noqa: PLC0415

    logs.configure("error", "auto")  # looking into the inbox says what it sees
    findings = examine(Site(config, os.environ, deep=deep))
    if as_json:
        well = is_well(findings)
        click.echo(json.dumps({"well": well, "findings": [asdict(f) for f in findings]}, ensure_ascii=True))
    else:
        colour = is_terminal(sys.stdout) and may_colour()
        for line in report(findings, width(), colour=colour):
            click.echo(line)
    return 0 if is_well(findings) else EXIT_REFUSED
