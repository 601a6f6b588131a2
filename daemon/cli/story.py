"""What happened: ``explain`` and ``log``; and ``completion``. Nothing is changed."""

import json
import select
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from click.shell_completion import CompletionItem, get_completion_class

from daemon.cli.shared import EXIT_REFUSED, json_option, opened, say

_STATUSES = ("success", "partial", "failed", "duplicate", "unloaded")
_POLL_SECONDS = 1.0


class FeedName(click.ParamType[str]):
    """The name of a feed, or ``none``; the feeds are imported only if one is named."""

    name = "feed"

    def _choice(self) -> click.Choice[str]:
        from handlers import HANDLERS  # noqa: PLC0415

        return click.Choice([*(feed.name for feed in HANDLERS), "none"])

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """One of the names."""
        return self._choice().convert(value, param, ctx)

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Names that begin so."""
        return self._choice().shell_complete(ctx, param, incomplete)


class Moment(click.ParamType[str]):
    """A time, as ``daemon.times`` reads it; read when the business time zone is known."""

    name = "time"


@click.command()
@click.argument("what", metavar="NAME|ID")
@click.option("--all", "every", is_flag=True, help="Tell every delivery of the name in full.")
@json_option()
@click.pass_obj
def explain(config: Path | None, what: str, every: bool, as_json: bool) -> int:
    """Tell all that is known about a delivery, and what to do next.

    NAME is a file's name as it was delivered, or its path in live_feeds/, processed/ or errors/; the path of a rejects
    file or of a reason.txt stands for the delivery it belongs to. ID is a delivery's number, as `stockgrip log` shows it.
    """
    from daemon.story.tell import tell  # noqa: PLC0415
    from daemon.story.text import story_text  # noqa: PLC0415

    with opened(config) as (settings, store):
        told = tell(what, settings, store, Path.cwd(), every=every, config=config)
    if not (told["deliveries"] or told["waiting"]):
        if as_json:
            click.echo(json.dumps(told, ensure_ascii=True))
            return EXIT_REFUSED
        raise click.ClickException(_unknown(told))
    say(told, story_text, as_json=as_json)
    return 0


def _unknown(told: dict[str, Any]) -> str:
    """That nothing is known, and what is like it."""
    query, nearest = told["query"], told["nearest"]
    if query.isdigit():
        last = f"the last one is {nearest[0]}" if nearest else "there are none yet"
        return f"there is no delivery {query}; {last}; `stockgrip log` lists them"
    meant = f"did you mean {' or '.join(nearest)}?" if nearest else "`stockgrip log` lists what came"
    return f"nothing is known of {query}; {meant}"


@click.command()
@click.option("--feed", type=FeedName(), help="Only of this feed; `none`: of no feed.")
@click.option("--status", type=click.Choice(_STATUSES), help="Only with this status.")
@click.option("--since", type=Moment(), help="Only that arrived at this time or later.")
@click.option("--until", type=Moment(), help="Only that arrived before this time.")
@click.option("--name", metavar="GLOB", help="Only files with such a name, as in `sales_*`.")
@click.option(
    "--most",
    default=50,
    show_default=True,
    type=click.IntRange(min=0),
    help="The last so many; 0 for all.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@json_option("Print JSON lines, one for each delivery.")
@click.pass_obj
def log(
    config: Path | None,
    feed: str | None,
    status: str | None,
    since: str | None,
    until: str | None,
    name: str | None,
    most: int,
    follow: bool,
    as_json: bool,
) -> int:
    """List deliveries, the newest last.

    A TIME is 2026-11-23, 2026-11-23T10:00, 15m, 2h or 3d (ago), today or yesterday; in the business time zone unless it
    ends in Z or an offset such as +02:00. With --follow a delivery is printed again when its status changes.
    """
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    from daemon.logs import display_name  # noqa: PLC0415
    from daemon.store import history  # noqa: PLC0415
    from daemon.story.listing import Listing  # noqa: PLC0415
    from daemon.story.moments import NotAMoment, moment  # noqa: PLC0415

    if follow:
        _await_database(config)
    with opened(config) as (settings, store):
        zone, now = ZoneInfo(settings.timezone), datetime.now(UTC)
        try:
            begin = moment(since, zone, now) if since is not None else None
            end = moment(until, zone, now) if until is not None else None
        except NotAMoment as error:
            raise click.UsageError(str(error)) from error
        wanted = history.Wanted(feed, status, begin, end, display_name(name) if name else None)
        last = store.ask(history.last_id)
        rows = store.ask(lambda connection: history.page(connection, wanted, most))
        if as_json:
            show: Callable[[dict[str, Any]], str] = _as_line
        else:
            listing = Listing.of(rows, zone, steady=follow)
            show = listing.line
            if rows or follow:
                click.echo(listing.head())
            else:
                click.echo(_none_found(wanted), err=True)
        for row in rows:
            click.echo(show(row))
        if follow:
            _follow(store, wanted, rows, last, show)
    return 0


def _await_database(config: Path | None) -> None:
    """Waits until there is one to follow, or until nobody reads any more."""
    said = False
    while True:
        with opened(config) as (_, store):
            if store.is_made:
                return
        if not said:
            click.echo("there is no database yet; waiting for the first run or drain to make it", err=True)
            said = True
        if not _is_read(_POLL_SECONDS):
            return


def _none_found(wanted: Any) -> str:
    narrowed = any((wanted.feed, wanted.status, wanted.since, wanted.until, wanted.name))
    return "no delivery is like that" if narrowed else "no delivery has come yet"


def _as_line(row: dict[str, Any]) -> str:
    return json.dumps(row, ensure_ascii=True, default=lambda value: value.isoformat())


def _follow(
    store: Any, wanted: Any, rows: list[dict[str, Any]], last: int, show: Callable[[dict[str, Any]], str]
) -> None:
    """Prints what comes and what changes, until Ctrl-C or until nobody reads any more."""
    from daemon.errors import DatabaseUnavailable  # noqa: PLC0415
    from daemon.story.follow import Follower  # noqa: PLC0415

    well = True
    try:
        follower = Follower(store, wanted, rows, last)
        while _is_read(_POLL_SECONDS):
            try:
                changed = follower.news()
            except DatabaseUnavailable as error:
                if well:
                    click.echo(f"stockgrip: {error}; it is asked again until it does", err=True)
                well = False
                continue
            well = True
            for row in changed:
                click.echo(show(row))
    except KeyboardInterrupt:
        return


def _is_read(seconds: float) -> bool:
    """Waits; False as soon as the reader of our output is gone."""
    try:
        out = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return False
    poll = select.poll()
    poll.register(out, 0)  # nothing but its end
    return not poll.poll(int(seconds * 1000))


@click.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> int:
    r"""Print the script that completes commands and options on Tab.

    \b
    bash:  stockgrip completion bash > ~/.local/share/bash-completion/completions/stockgrip
    zsh:   stockgrip completion zsh > ~/.zfunc/_stockgrip    (with ~/.zfunc in $fpath)
    fish:  stockgrip completion fish > ~/.config/fish/completions/stockgrip.fish

    For all users of bash: /usr/share/bash-completion/completions/stockgrip. It works from the next shell on.
    """
    from daemon.cli.main import cli  # noqa: PLC0415

    kind = get_completion_class(shell)
    if kind is None:
        raise click.ClickException(f"this release knows no completion for {shell}")
    complete = kind(cli, {}, "stockgrip", "_STOCKGRIP_COMPLETE")
    click.echo(complete.source_template % complete.source_vars())  # source() would look for bash first
    return 0
