"""Sample files: ``sample``."""

import sys
from pathlib import Path
from typing import Any

import click

from daemon.cli.shared import json_option, say, settings_of


@click.command()
@click.option("--days", default=30, show_default=True, type=click.IntRange(min=1), help="Business days.")
@click.option("--products", default=50, show_default=True, type=click.IntRange(min=1), help="Products.")
@click.option(
    "--seed", default=42, show_default=True, type=click.IntRange(min=0), help="Same seed, same bytes."
)
@click.option("--last-day", type=click.DateTime(["%Y-%m-%d"]), help="The last business day.")
@click.option("--corrupt", is_flag=True, help="Add files that are broken in many ways.")
@json_option("Print the result as JSON.")
@click.argument("directory", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.pass_obj
def sample(
    config: Path | None,
    days: int,
    products: int,
    seed: int,
    last_day: Any,
    corrupt: bool,
    as_json: bool,
    directory: Path | None,
) -> int:
    """Write realistic sample files for all feeds into DIRECTORY [default: live_feeds/]."""
    from daemon.render import progress_bar  # noqa: PLC0415
    from daemon.sample import DEFAULT_LAST_DAY, write_samples  # noqa: PLC0415

    if directory is None:
        from daemon.files import Folders  # noqa: PLC0415

        directory = Folders(settings_of(config).data_dir).inbox
    with progress_bar(enabled=sys.stderr.isatty()) as progress:
        try:
            written = write_samples(
                directory,
                days=days,
                products=products,
                seed=seed,
                last_day=last_day.date() if last_day else DEFAULT_LAST_DAY,
                corrupt=corrupt,
                progress=progress,
            )
        except ValueError as error:
            raise click.UsageError(str(error)) from error
    say(
        {"files": len(written), "directory": str(directory)},
        lambda found: f"{found['files']} files written to {found['directory']}",
        as_json=as_json,
    )
    return 0
