"""Proving and moving: ``rebuild``. The site's database is only read."""

import signal
import sys
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import click

from daemon.cli.shared import EXIT_REFUSED, json_option, say, settings_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from daemon.settings import Settings


@click.command()
@click.option("--verify", "verifying", is_flag=True, help="Replay processed/ and compare every table.")
@click.option("--into", metavar="URL", help="Copy the database to URL, and compare every table.")
@click.option(
    "--scratch",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    metavar="DIR",
    help="With --verify: where the scratch database lies meanwhile [default: .work/].",
)
@click.option("--dry-run", is_flag=True, help="With --into: only say how much there is to copy.")
@json_option()
@click.pass_obj
def rebuild(
    config: Path | None, verifying: bool, into: str | None, scratch: Path | None, dry_run: bool, as_json: bool
) -> int:
    """Prove the database by a replay of processed/, or move it.

    --verify loads the filed files once more, into a scratch database, and compares it with the real one. --into
    copies the site's database to another place, from SQLite to PostgreSQL or back; broken off, it goes on where it
    was. Both are safe while the daemon runs, and only read the site's database.
    """
    if verifying == (into is not None):
        raise click.UsageError("say --verify, or --into URL")
    if scratch is not None and not verifying:
        raise click.UsageError("--scratch goes with --verify")
    if dry_run and verifying:
        raise click.UsageError("--dry-run goes with --into")
    from daemon import logs  # noqa: PLC0415

    url = None if into is None else _absolute(into)
    settings = settings_of(config)
    logs.configure("error", settings.log.format)
    signal.signal(signal.SIGTERM, _end)
    if url is None:
        return _verify(settings, scratch, as_json=as_json)
    return _move(settings, url, dry_run=dry_run, as_json=as_json)


def _verify(settings: "Settings", scratch: Path | None, *, as_json: bool) -> int:
    from daemon.rebuild.text import verification_text  # noqa: PLC0415
    from daemon.rebuild.verify import verify  # noqa: PLC0415

    found = verify(settings, scratch, _bars)
    say(found.as_dict() if as_json else found, verification_text, as_json=as_json)
    return 0 if found.is_equal else EXIT_REFUSED


def _move(settings: "Settings", url: str, *, dry_run: bool, as_json: bool) -> int:
    from daemon.rebuild.move import move, plan  # noqa: PLC0415
    from daemon.rebuild.text import move_text  # noqa: PLC0415
    from daemon.store.copying import CannotCopy  # noqa: PLC0415

    try:
        found = plan(settings, url) if dry_run else move(settings, url, _bars)
    except CannotCopy as error:
        raise click.ClickException(str(error)) from error
    say(found.as_dict() if as_json else found, move_text, as_json=as_json)
    return 0 if found.is_exact else EXIT_REFUSED


def _bars(of: str) -> "AbstractContextManager[Callable[[int, int], None]]":
    from daemon.render import progress_bar  # noqa: PLC0415

    return progress_bar(enabled=sys.stderr.isatty(), of=of)


def _absolute(url: str) -> str:
    """A database's URL as the settings would have it; a relative path is meant from the current folder."""
    from pydantic import ValidationError  # noqa: PLC0415

    from daemon.settings import SQLITE, DatabaseSettings, quoted  # noqa: PLC0415

    try:
        checked = DatabaseSettings(url=url).url or ""
    except ValidationError as error:
        message = error.errors(include_url=False, include_input=False)[0]["msg"]
        raise click.BadParameter(message.removeprefix("Value error, "), param_hint="--into") from None
    if checked.startswith(SQLITE) and not checked.startswith(f"{SQLITE}/"):
        return f"{SQLITE}{quoted(Path.cwd())}/{checked.removeprefix(SQLITE)}"
    return checked


def _end(_number: int, _frame: Any) -> NoReturn:
    """Ends as Ctrl-C does, so that what is only for a while is removed."""
    raise SystemExit(128 + signal.SIGTERM)
