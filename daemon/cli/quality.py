"""Quality: today's picture, and how a metric's value came about. Nothing is changed."""

import json
from dataclasses import dataclass
from datetime import UTC, date, datetime
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

from daemon.cli.shared import EXIT_REFUSED, json_option, opened, say
from daemon.cli.story import Moment

if TYPE_CHECKING:
    from zoneinfo import ZoneInfo

    from daemon.settings import Settings
    from daemon.store import Store
    from daemon.store.quality_view import Facts


_SCOPES = 6  # that a mistake names


class Known(click.ParamType[str]):
    """One of some names; a mistake names the nearest."""

    def __init__(self, name: str) -> None:
        self.name = name

    def names(self) -> list[str]:
        """All there are; imported only when they are needed."""
        if self.name == "metric":
            from handlers.quality.result import Metric  # noqa: PLC0415

            return [metric.value for metric in Metric]
        from handlers.quality.completeness import UNITS  # noqa: PLC0415

        return list(UNITS)

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """A name; a blank or a hyphen stands for an underscore, and a beginning for the whole."""
        names = self.names()
        meant = value.lower().replace("-", "_").replace(" ", "_")
        begins = [name for name in names if meant and name.startswith(meant)]
        if meant not in names and len(begins) != 1:
            near = get_close_matches(meant, names, n=1, cutoff=0.6)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            self.fail(f"{value!r} is none of the {self.name}s {', '.join(names)}.{hint}", param, ctx)
        return meant if meant in names else begins[0]

    def shell_complete(
        self,
        ctx: click.Context,  # noqa: ARG002
        param: click.Parameter,  # noqa: ARG002
        incomplete: str,
    ) -> list[CompletionItem]:
        """Names that begin so."""
        return [CompletionItem(name) for name in self.names() if name.startswith(incomplete)]


_day = click.option("--day", type=Moment(), help="Of this business day; without it the newest with metrics.")
_feed = click.option("--feed", type=Known("feed"), help="Only of this feed.")


@click.group(invoke_without_command=True, subcommand_metavar="[explain METRIC]")
@_day
@_feed
@json_option()
@click.pass_context
def quality(context: click.Context, day: str | None, feed: str | None, as_json: bool) -> int:
    """Show how good the data of a day are: five metrics for each feed, their trend, and what changed.

    A day is 2026-11-23, today or yesterday. `stockgrip quality explain METRIC` tells how a value came about. Exit status
    1 if a metric fails; warnings alone are 0.
    """
    if context.invoked_subcommand is not None:
        return 0
    from daemon.quality_view.picture import picture  # noqa: PLC0415
    from daemon.quality_view.text import not_measured, picture_text  # noqa: PLC0415

    config: Path | None = context.obj
    with opened(config) as (settings, store):
        asked = _Asked.of(settings, day, feed)
        found = picture(asked.facts(store, settings), asked.feeds, asked.now, asked.zone, config)
    if found["day"] is not None and not found["feeds"]:
        if not as_json:
            raise click.ClickException(not_measured(found))
        click.echo(json.dumps(found, ensure_ascii=True))
        return EXIT_REFUSED
    if not as_json and not settings.quality.enabled:
        click.echo("quality.enabled is false in the configuration: no day is judged", err=True)
    say(found, picture_text, as_json=as_json)
    return EXIT_REFUSED if found["overall_status"] in ("fail", "error") else 0


@quality.command()
@click.argument("metric", type=Known("metric"))
@_day
@_feed
@click.option(
    "--scope", help="Only of this rule, place, channel or product, as in `rule:unit_price` or `location:447`."
)
@json_option()
@click.pass_context
def explain(
    context: click.Context, metric: str, day: str | None, feed: str | None, scope: str | None, as_json: bool
) -> int:
    """Tell what METRIC means, how its value came about, and what to do.

    METRIC is completeness, accuracy, timeliness, consistency or anomaly_score; its beginning is enough. Exit status 1 if
    nothing is recorded of it.
    """
    from daemon.quality_view.explain import Question, explanation, rows_of, scopes_of  # noqa: PLC0415
    from daemon.quality_view.explain_text import explanation_text  # noqa: PLC0415
    from daemon.store import quality_view as recorded  # noqa: PLC0415
    from handlers.quality.result import Metric, Thresholds  # noqa: PLC0415

    above = context.parent.params if context.parent else {}  # options may stand before `explain`, too
    config: Path | None = context.obj
    with opened(config) as (settings, store):
        asked = _Asked.of(settings, above.get("day") if day is None else day, feed or above.get("feed"))
        facts = asked.facts(store, settings)
        question = Question(Metric(metric), asked.feeds, None, config)
        named = _scopes(scope, scopes_of(question, facts)) if scope is not None else None
        question = Question(Metric(metric), asked.feeds, named, config)
        ids = {row.delivery_id for row in rows_of(question, facts) if row.delivery_id is not None}
        limits = Thresholds(**settings.quality.thresholds.model_dump())
        files = store.ask(lambda connection: recorded.files(connection, ids))
        found = explanation(question, facts, files, limits, asked.now, asked.zone)
    as_json = as_json or bool(above.get("as_json"))
    if not found["results"] and not as_json:
        raise click.ClickException(_nothing_of(found))
    say(found, explanation_text, as_json=as_json)
    return 0 if found["results"] else EXIT_REFUSED


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a command line asks about."""

    feeds: tuple[str, ...]
    day: date | None
    now: datetime
    zone: "ZoneInfo"

    @classmethod
    def of(cls, settings: "Settings", day: str | None, feed: str | None) -> "_Asked":
        from zoneinfo import ZoneInfo  # noqa: PLC0415

        from daemon.quality_view.picture import FEEDS  # noqa: PLC0415
        from daemon.story.moments import NotAMoment, moment  # noqa: PLC0415

        zone, now = ZoneInfo(settings.timezone), datetime.now(UTC)
        try:
            chosen = None if day is None else moment(day, zone, now).astimezone(zone).date()
        except NotAMoment as error:
            raise click.UsageError(str(error)) from error
        return cls(FEEDS if feed is None else (feed,), chosen, now, zone)

    def facts(self, store: "Store", settings: "Settings") -> "Facts":
        from daemon.quality_view.moment import facts_now  # noqa: PLC0415

        return store.ask(lambda connection: facts_now(connection, settings, self.feeds, self.now, self.day))


def _scopes(meant: str, scopes: list[str]) -> list[str]:
    """The scopes that are meant: written out, or by some of their parts (``unit_price``, ``location:447``, ``447``)."""
    wanted = set(meant.split("|"))
    found = [scope for scope in scopes if scope == meant or wanted <= _names_of(scope)]
    if found:
        return [meant] if meant in found else found
    near = get_close_matches(meant, {name for scope in scopes for name in _names_of(scope)}, n=1)
    some = ", ".join(repr(scope) for scope in scopes[:_SCOPES])
    more = f" and {len(scopes) - _SCOPES} more" if len(scopes) > _SCOPES else ""
    hint = f"did you mean {near[0]!r}? " if near else ""
    there = f"recorded are {some}{more}" if scopes else "none is recorded"
    raise click.ClickException(f"nothing is recorded of the scope {meant!r}; {hint}{there}")


def _names_of(scope: str) -> set[str]:
    """A scope's parts, and what each of them is of."""
    parts = scope.split("|")
    return {*parts, *(part.partition(":")[2] for part in parts)} - {""}


def _nothing_of(found: dict[str, Any]) -> str:
    from daemon.quality_view.text import not_measured, nothing_yet  # noqa: PLC0415

    if found["day"] is None:
        return nothing_yet(found["feed"])
    if found["nearest_days"]:
        return not_measured(found)
    whose = f" of {found['feed']}" if found["feed"] else ""
    return f"no {found['metric']}{whose} is recorded for {found['day']}; `stockgrip quality` shows what is"
