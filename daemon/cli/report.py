"""``report``: the report of a day."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import click

from daemon.cli.shared import json_option, opened, say

_EARLIEST = date(2000, 1, 1)  # older rows are never loaded


@click.command()
@click.option(
    "--day", type=click.DateTime(["%Y-%m-%d"]), help="The business day [default: the newest with data]."
)
@json_option("Print the report as JSON, with the paths of the files.")
@click.pass_obj
def report(config: Path | None, day: datetime | None, as_json: bool) -> int:
    """Write the report of a day into reports/: a page for people, and the same as JSON.

    Files, rejects, quality with trend, unusual figures, stock-outs, missing files and alerts. Safe while the daemon runs;
    a report that is there already is replaced.
    """
    from daemon.report import make_report  # noqa: PLC0415

    with opened(config) as (settings, store):
        chosen = day.date() if day else None
        today = datetime.now(UTC).astimezone(ZoneInfo(settings.timezone)).date()
        if chosen is not None and not _EARLIEST <= chosen <= today:
            raise click.BadParameter(
                f"{chosen} has no data: it must be from {_EARLIEST} to {today}, which is today in {settings.timezone}",
                param_hint="--day",
            )
        made = make_report(settings, store, chosen)
    paths = {"json_path": str(made.json_path), "html_path": str(made.html_path)}
    say({**made.facts, **paths}, _text, as_json=as_json)
    return 0


def _text(found: dict[str, Any]) -> str:
    from daemon.terminal import fitted, printable  # noqa: PLC0415

    told = found["headline"]
    lines = [f"{found['weekday']} {found['day']}: {told['text']}", *told["more"]]
    lines += [found["html_path"], found["json_path"]]
    return fitted("\n".join(map(printable, lines)))
