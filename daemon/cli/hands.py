"""Lending a hand: ``retry`` and ``unload``. Both are safe while the daemon runs."""

import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from daemon.cli.shared import EXIT_REFUSED, json_option, opened, say

if TYPE_CHECKING:
    from daemon.files import Folders
    from daemon.store import Store


@click.command()
@click.argument("deliveries", nargs=-1, metavar="[NAME|ID]...")
@click.option("--all-refused", is_flag=True, help="Everything that was refused and still lies in errors/.")
@click.option(
    "--force",
    is_flag=True,
    help="Let it in although it shrinks its day, has too many rejects, or is not what its manifest says.",
)
@json_option()
@click.pass_obj
def retry(
    config: Path | None, deliveries: tuple[str, ...], all_refused: bool, force: bool, as_json: bool
) -> int:
    """Put refused files back into live_feeds/, from errors/.

    A file is named by its delivery's number, its name or its path. What was refused stays in the ledger; the new try is
    a delivery of its own.
    """
    from daemon import render  # noqa: PLC0415
    from daemon.files import Folders  # noqa: PLC0415
    from daemon.hands import CannotRetry  # noqa: PLC0415
    from daemon.hands import retry as put_back  # noqa: PLC0415

    if bool(deliveries) == all_refused:
        raise click.UsageError("name the files by number, name or path, or say --all-refused")
    done: list[dict[str, Any]] = []
    failed: list[str] = []
    with opened(config, changing=True) as (settings, store):
        folders = Folders(settings.data_dir)
        for row in _refused(deliveries, store, folders, failed):
            try:
                done.append(asdict(put_back(row, store, folders, force=force)))
            except CannotRetry as error:
                failed.append(str(error))
    say({"retried": done, "failed": failed}, render.retried_text, as_json=as_json)
    return EXIT_REFUSED if failed else 0


def _refused(
    deliveries: tuple[str, ...], store: "Store", folders: "Folders", failed: list[str]
) -> Iterator[Mapping[str, Any]]:
    """The rows that are meant; what is not known is added to ``failed``."""
    from daemon.hands import can_be_retried  # noqa: PLC0415
    from daemon.status import in_errors  # noqa: PLC0415
    from daemon.story.which import deliveries_of  # noqa: PLC0415

    if not deliveries:
        yield from in_errors(store, folders)
        return
    for word in deliveries:
        rows, unknown = deliveries_of(word, store, folders)
        if not rows:
            failed.append(unknown)
            continue
        yield next((row for row in rows if can_be_retried(row, store, folders)), rows[0])


@click.command()
@click.argument("delivery", metavar="NAME|ID")
@click.option("--why", default="", help="Kept in the ledger, and written beside the file.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@json_option()
@click.pass_obj
def unload(config: Path | None, delivery: str, why: str, yes: bool, as_json: bool) -> int:
    """Take a delivery out of the database, as if it had never come.

    Its rows, rejects and aggregates go; a delivery that it had replaced counts again. The file goes from processed/ to
    errors/, from where it can be corrected and dropped again.
    """
    from daemon import render  # noqa: PLC0415
    from daemon.after.steps import AfterSteps  # noqa: PLC0415
    from daemon.files import Folders  # noqa: PLC0415
    from daemon.hands import unload as take_out  # noqa: PLC0415
    from daemon.store.unload import CannotUnload  # noqa: PLC0415
    from daemon.story.which import deliveries_of  # noqa: PLC0415

    with opened(config, changing=True) as (settings, store):
        folders = Folders(settings.data_dir)
        rows, unknown = deliveries_of(delivery, store, folders)
        if not rows:
            raise click.ClickException(unknown)
        # the newest that was loaded, also if it was taken out already: an older one must be named by its number
        row = next((row for row in rows if row["status"] in ("success", "partial", "unloaded")), rows[0])
        if not yes and sys.stdin.isatty():
            click.confirm(render.unload_question(row), abort=True, err=True)
        try:
            done = take_out(row["id"], why, store, folders)
        except CannotUnload as error:
            raise click.ClickException(str(error)) from error
        AfterSteps(store, settings).run()
    say([asdict(each) for each in done], render.unloaded_text, as_json=as_json)
    return 0
