"""``backup`` and ``restore``."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from daemon.cli.shared import json_option, say, settings_of

if TYPE_CHECKING:
    from daemon.backup import Backup, Restored


@click.command()
@click.option("--list", "listing", is_flag=True, help="Show the backups that are there.")
@json_option()
@click.pass_obj
def backup(config: Path | None, listing: bool, as_json: bool) -> int:
    """Copy the database while it is in use, and read the copy back.

    The newest `backup.keep` copies are kept. Safe while the daemon runs.
    """
    from dataclasses import asdict  # noqa: PLC0415

    from daemon import logs  # noqa: PLC0415
    from daemon.backup import CannotBackUp, backups, make_backup  # noqa: PLC0415
    from daemon.render import progress_bar  # noqa: PLC0415

    settings = settings_of(config)
    logs.configure("error", settings.log.format)
    try:
        if listing:
            found = backups(settings)
            say([asdict(each) for each in found] if as_json else found, _list_text, as_json=as_json)
            return 0
        with progress_bar(enabled=sys.stderr.isatty(), of="pages") as progress:
            made = make_backup(settings, progress)
    except CannotBackUp as error:
        raise click.ClickException(str(error)) from error
    say(asdict(made) if as_json else made, _text, as_json=as_json)
    return 0


@click.command()
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--redeliver", is_flag=True, help="Move files that came after the backup into live_feeds/ again."
)
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option()
@click.pass_obj
def restore(config: Path | None, file: Path, redeliver: bool, yes: bool, as_json: bool) -> int:
    """Make the database what a backup holds. The daemon must be stopped.

    The backup is read from its beginning to its end first, and the database as it was is kept beside it. Files that came
    after the backup are unknown to it: they are named, and --redeliver has them loaded again by the next start.
    """
    from dataclasses import asdict  # noqa: PLC0415

    from daemon import logs  # noqa: PLC0415
    from daemon.backup import CannotBackUp  # noqa: PLC0415
    from daemon.backup import restore as put_back  # noqa: PLC0415

    settings = settings_of(config)
    logs.configure("error", settings.log.format)
    if not yes and not as_json and sys.stdin.isatty():
        click.confirm(f"make {settings.safe_database_url} what {file} holds?", abort=True, err=True)
    try:
        done = put_back(settings, file, redeliver=redeliver)
    except CannotBackUp as error:
        raise click.ClickException(str(error)) from error
    say(asdict(done) if as_json else done, _restored_text, as_json=as_json)
    return 0


def _text(made: "Backup") -> str:
    from daemon.terminal import fitted  # noqa: PLC0415

    rows = made.rows
    known = ("data_ingestion_log", "live_sales_data", "live_inventory_updates", "live_demand_signals")
    said = ", ".join(f"{table} {rows[table]:,}" for table in known if table in rows)
    return fitted(f"{made.file}\n{made.size:,} bytes, read back and found whole\nrows: {said}")


def _list_text(found: "list[Backup]") -> str:
    from daemon.terminal import fitted  # noqa: PLC0415

    if not found:
        return "there is no backup yet; `stockgrip backup` makes one"
    return fitted(
        "\n".join(
            f"{each.taken_at}  {each.size:>15,} bytes  {each.rows.get('data_ingestion_log', 0):>9,} deliveries  {each.file}"
            for each in found
        )
    )


def _restored_text(done: "Restored") -> str:
    from daemon.terminal import fitted  # noqa: PLC0415

    lines: list[Any] = [
        f"the database is what {done.backup.file} holds ({done.backup.taken_at or 'time not known'})"
    ]
    if done.before:
        lines.append(f"as it was it lies in {done.before}")
    if not done.unknown:
        lines.append("no file came after the backup")
    elif done.delivered_again:
        lines.append(f"{len(done.delivered_again)} files that came after it are in live_feeds/ again:")
        lines += [f"  {name}" for name in done.delivered_again]
    else:
        lines.append(f"{len(done.unknown)} files came after it, and are not in the database now:")
        lines += [f"  {name}" for name in done.unknown]
        lines.append("`stockgrip restore FILE --redeliver` has them loaded again")
    return fitted("\n".join(lines))
