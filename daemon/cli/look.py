"""Looking: ``status`` and ``check``. Nothing is changed."""

import json
import os
from pathlib import Path

import click

from daemon.cli.shared import EXIT_REFUSED, EXIT_UNAVAILABLE, json_option, say, settings_of


@click.command()
@json_option()
@click.pass_obj
def status(config: Path | None, as_json: bool) -> int:
    """Show, per feed: the last delivery, what waits, what lies refused in errors/, rows of today; and the database."""
    from daemon.render import NOT_THERE, status_text  # noqa: PLC0415
    from daemon.status import picture  # noqa: PLC0415

    found = picture(settings_of(config))
    say(found, status_text, as_json=as_json)
    unreadable = found["inbox_error"] not in (None, NOT_THERE)
    return EXIT_UNAVAILABLE if unreadable or not found["database"]["up"] else 0


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@json_option("Print the verdicts as JSON.")
@click.option("--most", default=20, show_default=True, help="Rejects shown per file; 0 for all.")
@click.option(
    "--with", "delivery", metavar="ID", type=int, help="Compare with this delivery, whatever the file's slot."
)
@click.pass_obj
def check(
    config: Path | None, files: tuple[Path, ...], as_json: bool, most: int, delivery: int | None
) -> int:
    """Say what would become of FILES, without loading or moving anything.

    A file that corrects a delivery is compared with it row by row.
    """
    from daemon.dry_run import CannotCompare, beside_database, dry_run  # noqa: PLC0415
    from daemon.reading import Rules  # noqa: PLC0415
    from daemon.render import verdict_text  # noqa: PLC0415

    for path in files:
        if not os.path.lexists(path):  # its name alone is not judged: that would look as if the file had been
            raise click.UsageError(f"Path '{path}' does not exist.", click.get_current_context())
    settings = settings_of(config)
    rules = Rules.of(settings)
    with beside_database(settings) as beside:
        try:
            chosen = beside if delivery is None else beside.and_with(delivery)
            verdicts = [dry_run(path, rules, most, chosen) for path in files]
        except CannotCompare as error:
            raise click.ClickException(str(error)) from error
    if as_json:
        click.echo(json.dumps([verdict.as_dict() for verdict in verdicts], ensure_ascii=True))
    else:
        for verdict in verdicts:
            click.echo(verdict_text(verdict))
        for why in dict.fromkeys(v.not_compared for v in verdicts if v.not_compared):
            click.echo(f"Not compared with the database: {why}.")
    return 0 if all(verdict.all_well for verdict in verdicts) else EXIT_REFUSED
