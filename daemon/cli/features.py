"""Features: those of a product, or of all in a file. Nothing is changed."""

import json
import sys
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import click

from daemon.cli.shared import Words, json_option, opened, say
from daemon.cli.story import Moment

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo


_OLDEST = date(1900, 1, 1)  # what looks back from here still finds days in the calendar


@click.command()
@click.argument("product", required=False, type=Words())
@click.option("--as-of", type=Moment(), help="Of this business day; without it the newest with data.")
@click.option("--known-by", type=Moment(), help="As they were known at this time.")
@click.option(
    "--export",
    "target",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write those of all products into this .parquet or .csv file.",
)
@json_option()
@click.pass_obj
def features(
    config: Path | None,
    product: str | None,
    as_of: str | None,
    known_by: str | None,
    target: Path | None,
    as_json: bool,
) -> int:
    """Show the features of PRODUCT: what is computed for it each day, with units and meanings.

    A day's features stand still once a newer day has come: --as-of shows what was known then. For a day of which nothing is
    kept they are computed with what is known now.
    """
    if (product is None) == (target is None):
        raise click.UsageError("give a PRODUCT, or --export FILE", click.get_current_context())
    if target is not None and known_by is not None:
        raise click.UsageError("--known-by is for one PRODUCT", click.get_current_context())
    if target is not None:
        return _export(config, target, as_of, as_json=as_json)
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    from daemon.feature_view import NoFeatures, look, text  # noqa: PLC0415

    with opened(config) as (settings, store):
        zone = ZoneInfo(settings.timezone)
        try:
            found = look(
                store,
                product or "",
                as_of=_day(as_of, zone),
                known_by=_moment(known_by, zone),
                zone=zone,
                fresh_days=settings.features.stock_fresh_days,
            )
        except NoFeatures as error:
            raise click.ClickException(str(error)) from None
    say(found, text, as_json=as_json)
    return 0


def _export(config: Path | None, target: Path, as_of: str | None, *, as_json: bool) -> int:
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    from daemon.faults import PASSING  # noqa: PLC0415
    from daemon.feature_export import SUFFIXES, export  # noqa: PLC0415
    from daemon.feature_view import NoFeatures  # noqa: PLC0415
    from daemon.render import progress_bar  # noqa: PLC0415
    from daemon.terminal import fitted, is_terminal, printable  # noqa: PLC0415

    if target.suffix not in SUFFIXES:
        raise click.UsageError(
            f"{target.name!r} must end in {' or '.join(SUFFIXES)}", click.get_current_context()
        )
    with (
        opened(config) as (settings, store),
        progress_bar(enabled=is_terminal(sys.stderr), of="products") as progress,
    ):
        day = _day(as_of, ZoneInfo(settings.timezone))
        try:
            done = export(store, target, day, settings.features.stock_fresh_days, progress)
        except NoFeatures as error:
            raise click.ClickException(str(error)) from None
        except OSError as error:
            if error.errno in PASSING:
                raise
            raise click.ClickException(
                f"{printable(str(target))} cannot be written: {error.strerror}"
            ) from None
    if as_json:
        click.echo(json.dumps(done, ensure_ascii=True))
        return 0
    of = f"as of {day or done['data_day']}" if done["products"] else "nothing is computed yet"
    how = "" if done["stored"] else ", computed with what is known now"
    click.echo(fitted(f"{printable(str(target))}: {done['products']:,} products, {of}{how}"))
    if done["behind"]:
        click.echo(fitted(f"{done['behind']:,} products are behind: their features follow"))
    return 0


def _moment(given: str | None, zone: "ZoneInfo") -> datetime | None:
    if given is None:
        return None
    from daemon.story.moments import NotAMoment, moment  # noqa: PLC0415

    try:
        return moment(given, zone, datetime.now(UTC))
    except NotAMoment as error:
        raise click.UsageError(str(error), click.get_current_context()) from None


def _day(given: str | None, zone: "ZoneInfo") -> date | None:
    found = _moment(given, zone)
    day = None if found is None else found.astimezone(zone).date()
    if day is not None and day < _OLDEST:
        raise click.UsageError(f"{day} is before all data", click.get_current_context())
    return day
