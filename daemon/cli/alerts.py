"""Alerts: what is wrong, who looks after it, and what is to be quiet. Safe while the daemon runs."""

import re
import shlex
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from daemon.cli.shared import EXIT_REFUSED, Words, json_option, opened, say

if TYPE_CHECKING:
    from daemon.settings import Settings

_FOR = re.compile(r"([0-9]{1,6})([mhdw])")
_UNITS = {"m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_JSON = "stockgrip.alerts.json"
_MOST = 2**63 - 1  # what both databases take
_ANY, _NO_FEED = "any", "none"


class Number(click.IntRange):
    """The number of an alert or a silence."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """An integer that a database takes."""
        number = super().convert(value, param, ctx)
        if number > _MOST:
            self.fail(
                f"{value} is no number that is ever given; `stockgrip alerts` shows those there are",
                param,
                ctx,
            )
        return number


class _Named(click.ParamType[str]):
    """One of some names; a wrong one is told the nearest. They are imported only if one is given."""

    def names(self) -> Sequence[str]:
        raise NotImplementedError

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """One of the names."""
        names = self.names()
        if value not in names:
            near = get_close_matches(value.lower(), names, n=1, cutoff=0.5)
            meant = f"; did you mean {near[0]}?" if near else "."
            self.fail(f"{value!r} is no {self.name}{meant} Allowed: {', '.join(names)}.", param, ctx)
        return value

    def shell_complete(
        self, ctx: click.Context, param: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        """Names that begin so."""
        del ctx, param
        return [CompletionItem(name) for name in self.names() if name.startswith(incomplete)]


class RuleName(_Named):
    """The name of a rule, or ``any``."""

    name = "rule"

    def names(self) -> Sequence[str]:
        """Those that there are."""
        from handlers.alerts.rules import Rule  # noqa: PLC0415

        return [*(rule.value for rule in Rule), _ANY]


class OwnerName(_Named):
    """The name of a feed, or ``none``."""

    name = "feed"

    def names(self) -> Sequence[str]:
        """Those that there are."""
        from handlers import HANDLERS  # noqa: PLC0415

        return [*(feed.name for feed in HANDLERS), _NO_FEED]


_OF_FEED = click.option("--feed", type=OwnerName(), help="Only of this feed; `none`: of no feed.")
_ALL = click.option("--all", "every", is_flag=True, help="Also the last 100 that are over.")


@click.group(invoke_without_command=True)
@_ALL
@_OF_FEED
@json_option()
@click.pass_context
def alerts(context: click.Context, every: bool, feed: str | None, as_json: bool) -> int:
    """Show what is wrong now; acknowledge it, or keep it quiet for a while.

    Without a command it lists, as `list` does.
    """
    context.meta[_JSON] = as_json
    if context.invoked_subcommand is None:
        return _list(context.obj, every, feed)
    if every or feed:
        raise click.UsageError(f"write the options after `{context.invoked_subcommand}`", context)
    return 0


@alerts.command("list")
@_ALL
@_OF_FEED
@json_option()
@click.pass_context
def list_(context: click.Context, every: bool, feed: str | None, as_json: bool) -> int:
    """List alerts: those that fire first, what nobody acknowledged and the worst at the top."""
    context.meta[_JSON] |= as_json
    return _list(context.obj, every, feed)


def _list(config: Path | None, every: bool, feed: str | None) -> int:
    from daemon.alerts.listing import alerts_text  # noqa: PLC0415
    from daemon.store import alerts_view  # noqa: PLC0415

    now = datetime.now(UTC)
    wanted = alerts_view.Wanted(every, "" if feed == _NO_FEED else feed)
    with opened(config) as (settings, store):
        rows = store.ask(lambda connection: alerts_view.alerts(connection, wanted, now))
    if not rows and not _wants_json():
        click.echo("no alert is like that" if every or feed else "no alert fires", err=True)
        return 0
    _say(rows, lambda found: alerts_text(found, settings.timezone))
    return 0


@alerts.command()
@click.argument("alert", metavar="ID", type=Number(min=1))
@json_option()
@click.pass_context
def show(context: click.Context, alert: int, as_json: bool) -> int:
    """Tell all that is known of an alert, and which command shows more."""
    from daemon.alerts.listing import alert_text  # noqa: PLC0415
    from daemon.store import alerts_view  # noqa: PLC0415
    from handlers.alerts.rules import Rule  # noqa: PLC0415

    context.meta[_JSON] |= as_json
    now = datetime.now(UTC)
    with opened(context.obj) as (settings, store):
        rows = store.ask(lambda c: alerts_view.alerts(c, alerts_view.Wanted(alert_id=alert), now))
        if not rows:
            newest = store.ask(alerts_view.newest_id)
            known = f"the last one is {newest}" if newest else "there are none yet"
            raise click.ClickException(
                f"there is no alert {alert}; {known}; `stockgrip alerts --all` lists them"
            )
        notices = store.ask(lambda c: alerts_view.notices(c, alert))
    row = rows[0]
    told = {
        "alert": row,
        "meaning": Rule(row["rule"]).meaning,
        "notices": notices,
        "next": _next(row, context.obj),
    }
    _say(told, lambda found: alert_text(found, settings.timezone))
    return 0


def _next(row: dict[str, Any], config: Path | None) -> list[str]:
    """The commands that show more; they name the configuration file that was named."""
    from handlers.quality.result import Metric  # noqa: PLC0415

    program = f"stockgrip --config {shlex.quote(str(config))}" if config else "stockgrip"
    more = [f"{program} explain {row['delivery_id']}"] if row["delivery_id"] is not None else []
    metric = Metric.TIMELINESS if row["rule"] == "missing_file" else row["rule"]
    if metric in list(Metric):
        day = f" --day {row['day']}" if row["day"] else ""
        more.append(f"{program} quality explain {metric} --feed {row['feed']}{day}")
    return more


@alerts.command()
@click.argument("ids", nargs=-1, required=True, metavar="ID...", type=Number(min=1))
@click.option("--note", type=Words(), default="", help="Kept with the alerts.")
@json_option()
@click.pass_context
def ack(context: click.Context, ids: tuple[int, ...], note: str, as_json: bool) -> int:
    """Say that somebody looks after alerts: they are not repeated.

    They end by themselves, as any other. One that begins anew, or gets worse, is told again.
    """
    from daemon.alerts.listing import acked_text  # noqa: PLC0415
    from daemon.store import alerts_view  # noqa: PLC0415

    context.meta[_JSON] |= as_json
    now = datetime.now(UTC)
    with opened(context.obj, changing=True) as (_, store):
        done, failed = store.change(lambda c: alerts_view.acknowledge(c, ids, note, now))
    _say({"acked": done, "failed": failed}, acked_text)
    return EXIT_REFUSED if failed else 0


@alerts.command()
@click.option("--rule", type=RuleName(), help="Of this rule; `any`: of each.")
@click.option("--feed", type=OwnerName(), help="Of this feed; `none`: of no feed.")
@click.option("--scope", type=Words(), help="Of this scope, as `stockgrip alerts` shows it.")
@click.option("--for", "duration", metavar="TIME", help="For so long: 30m, 4h, 2d, 1w.")
@click.option("--until", metavar="TIME", help="Until then: 2026-11-23, or 2026-11-23T10:00.")
@click.option("--why", type=Words(), default="", help="For whom it may concern; needed.")
@click.option("--end", metavar="ID", type=Number(min=1), help="End this silence now.")
@json_option()
@click.pass_context
def silence(
    context: click.Context,
    rule: str | None,
    feed: str | None,
    scope: str | None,
    duration: str | None,
    until: str | None,
    why: str,
    end: int | None,
    as_json: bool,
) -> int:
    """Keep alerts quiet for a while: they are listed, but nobody is told.

    What still fires when the silence ends is told then.
    """
    from daemon.alerts.listing import silence_text  # noqa: PLC0415
    from daemon.store import alerts_view  # noqa: PLC0415
    from handlers.alerts.rules import silenced_by  # noqa: PLC0415

    context.meta[_JSON] |= as_json
    now = datetime.now(UTC)
    if end is not None:
        if any((rule, feed, scope, duration, until, why)):
            raise click.UsageError("--end goes with no other option")
        return _end(context.obj, end, now)
    if rule is None and feed is None and scope is None:
        raise click.UsageError(
            "say what is to be quiet: --rule, --feed or --scope; `--rule any` is everything"
        )
    if (duration is None) == (until is None):
        raise click.UsageError("say how long: --for or --until")
    if not why.strip():
        raise click.UsageError("say --why, for whoever wonders about the silence")
    of = {
        "rule": None if rule == _ANY else rule,
        "feed": "" if feed == _NO_FEED else feed,
        "scope": scope,
    }
    with opened(context.obj, changing=True) as (settings, store):
        ends = _moment(duration, until, settings, now)
        row = store.change(lambda c: alerts_view.silence(c, of, ends, why.strip(), now))
        firing = store.ask(lambda c: alerts_view.alerts(c, alerts_view.Wanted(), now))
    quiet = sum(silenced_by(each, [row], now) is not None for each in firing)
    _say({**row, "firing": quiet}, lambda found: silence_text(found, quiet, settings.timezone))
    return 0


def _end(config: Path | None, silence_id: int, now: datetime) -> int:
    from daemon.store import alerts_view  # noqa: PLC0415

    with opened(config, changing=True) as (_, store):
        row, why = store.change(lambda c: alerts_view.end_silence(c, silence_id, now))
    if row is None:
        raise click.ClickException(why)
    _say(row, lambda found: f"silence {found['id']} is ended")
    return 0


def _moment(duration: str | None, until: str | None, settings: "Settings", now: datetime) -> datetime:
    """When a silence ends, UTC."""
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    from daemon.story.moments import NotAMoment, moment  # noqa: PLC0415

    try:
        if duration is not None:
            match = _FOR.fullmatch(duration.strip().lower())
            if match is None:
                raise click.UsageError(f"{duration!r} is no time; write --for as 30m, 4h, 2d or 1w")
            ends = now + timedelta(**{_UNITS[match[2]]: int(match[1])})
        else:
            ends = moment(until or "", ZoneInfo(settings.timezone), now).astimezone(UTC)
    except (NotAMoment, OverflowError) as error:
        how = "--for as 30m, 4h, 2d or 1w" if duration else "--until as 2026-11-23 or 2026-11-23T10:00"
        raise click.UsageError(f"{duration or until!r} is no time; write {how}") from error
    if ends <= now:
        raise click.UsageError(f"{duration or until!r} is not in the future")
    return ends


@alerts.command()
@click.option("--all", "every", is_flag=True, help="Also those that are over.")
@json_option()
@click.pass_context
def silences(context: click.Context, every: bool, as_json: bool) -> int:
    """List what is kept quiet, until when, and why."""
    from daemon.alerts.listing import silences_text  # noqa: PLC0415
    from daemon.store import alerts_view  # noqa: PLC0415

    context.meta[_JSON] |= as_json
    now = datetime.now(UTC)
    with opened(context.obj) as (settings, store):
        rows = store.ask(lambda c: alerts_view.silences(c, now, every=every))
    if not rows and not _wants_json():
        click.echo("there has been no silence yet" if every else "nothing is silenced", err=True)
        return 0
    _say(rows, lambda found: silences_text(found, now, settings.timezone))
    return 0


@alerts.command()
@json_option()
@click.pass_context
def test(context: click.Context, as_json: bool) -> int:
    """Send a test through each channel that is configured, and say what became of it."""
    from daemon import logs  # noqa: PLC0415
    from daemon.alerts.channels import send_test  # noqa: PLC0415
    from daemon.alerts.listing import sent_text  # noqa: PLC0415
    from daemon.cli.shared import settings_of  # noqa: PLC0415

    context.meta[_JSON] |= as_json
    settings = settings_of(context.obj)
    logs.configure("error", settings.log.format)
    found = [{"channel": c, "ok": ok, "message": message} for c, ok, message in send_test(settings)]
    if not found and not _wants_json():
        raise click.ClickException(
            "no channel is configured: nobody is told of alerts; see `alerts` in the configuration"
        )
    _say(found, sent_text)
    return 0 if found and all(each["ok"] for each in found) else EXIT_REFUSED


def _wants_json() -> bool:
    return bool(click.get_current_context().meta[_JSON])


def _say(found: Any, text: Any) -> None:
    """Prints what was found; times and days as ISO 8601."""
    as_json = _wants_json()
    say(_plain(found) if as_json else found, text, as_json=as_json)


def _plain(value: Any) -> Any:
    match value:
        case dict():
            return {name: _plain(each) for name, each in value.items()}
        case list() | tuple():
            return [_plain(each) for each in value]
        case _:
            return value.isoformat() if hasattr(value, "isoformat") else value
