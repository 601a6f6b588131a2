"""Checking the installed program: ``selftest``."""

import os
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

import click

from daemon.cli.shared import EXIT_REFUSED, json_option, say, settings_of


@click.command()
@json_option("Print the checks as JSON.")
@click.option("--keep", is_flag=True, help="Leave the scratch folder, with its log, for a look.")
@click.pass_obj
def selftest(config: Path | None, as_json: bool, keep: bool) -> int:
    """Check the installed program from end to end, on made-up files.

    They are loaded into a scratch database below .work/, some of them spoilt, and all that comes of them is compared with what
    plain arithmetic makes of their text. The site's database and files are not touched. Exit status 1 if anything differs.
    """
    from daemon import logs  # noqa: PLC0415
    from daemon.render import progress_bar  # noqa: PLC0415
    from daemon.selftest import selftest as check  # noqa: PLC0415
    from daemon.selftest.text import report_text  # noqa: PLC0415

    settings = settings_of(config)
    signal.signal(signal.SIGTERM, _end)

    def log_in(folder: Path) -> None:
        # spoilt files are refused, and the log says so: not to the person who asked for the check
        log = os.open(folder / "selftest.log", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
        logs.configure("info", "json", log)
        os.close(log)

    with progress_bar(enabled=sys.stderr.isatty() and not as_json) as progress:
        report = check(settings, keep=keep, progress=progress, begun=log_in)
    say(report.as_dict() if as_json else report, report_text, as_json=as_json)
    return 0 if report.passed else EXIT_REFUSED


def _end(_number: int, _frame: Any) -> NoReturn:
    """Ends as Ctrl-C does, so that the scratch folder is removed."""
    raise SystemExit(128 + signal.SIGTERM)
