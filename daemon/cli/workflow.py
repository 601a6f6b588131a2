"""``workflow``: what is left to do at a day's end."""

import json
from pathlib import Path
from typing import Any

import click

from daemon.cli.shared import EXIT_REFUSED, json_option, opened, say, settings_of

_JSON = "stockgrip.workflow.json"


@click.group(invoke_without_command=True, subcommand_metavar="[run|status|schedule]")
@json_option()
@click.pass_context
def workflow(context: click.Context, as_json: bool) -> int:
    """Do what is left at a day's end: load what waits, close the day, check quality, copy the database, report.

    The daemon does it by itself at `workflow.at`. Without a further word it shows the last run.
    """
    context.meta[_JSON] = as_json
    return 0 if context.invoked_subcommand is not None else _status(context.obj)


@workflow.command()
@json_option("Print the result as JSON.")
@click.pass_context
def run(context: click.Context, as_json: bool) -> int:
    """Run all steps now. Safe to do again, and while the daemon runs; one run at a time.

    Exit status 1 if a step failed; the others are done all the same.
    """
    from daemon import logs  # noqa: PLC0415
    from daemon.store import Store  # noqa: PLC0415
    from daemon.workflow.daily import daily  # noqa: PLC0415

    settings = settings_of(context.obj)
    logs.configure("error", settings.log.format)
    busy = settings.database.busy_timeout_seconds
    store = Store.open(settings.database_url, busy_timeout_seconds=busy)
    try:
        done = daily(settings, store).run()
    finally:
        store.close()
    say(done, _text, as_json=as_json or context.meta[_JSON])
    return 0 if done["status"] == "ok" else EXIT_REFUSED


@workflow.command()
@json_option()
@click.pass_context
def status(context: click.Context, as_json: bool) -> int:
    """Show the last run, and when the daemon does the next. Exit status 1 if a step of it failed."""
    context.meta[_JSON] |= as_json
    return _status(context.obj)


@workflow.command()
@click.argument("time")
@json_option()
@click.pass_context
def schedule(context: click.Context, time: str, as_json: bool) -> int:
    """Say how to have it run every day at TIME, such as 02:00, and when that is next."""
    from daemon.workflow.schedule import next_run  # noqa: PLC0415
    from daemon.workflow_settings import clock_time  # noqa: PLC0415

    settings = settings_of(context.obj)
    try:
        clock_time(time)
    except ValueError as error:
        raise click.BadParameter(str(error), param_hint="TIME") from error
    chosen = settings.model_copy(update={"workflow": settings.workflow.model_copy(update={"at": time})})
    upcoming = next_run(chosen)
    found = {
        "scheduled_at": time,
        "next_run": upcoming.isoformat() if upcoming else None,
        "config": str(context.obj or "config.yaml"),
    }
    say(found, _schedule_text, as_json=as_json or context.meta[_JSON])
    return 0


def _status(config: Path | None) -> int:
    from daemon.workflow.schedule import next_run  # noqa: PLC0415
    from daemon.workflow.status import status_of  # noqa: PLC0415

    with opened(config) as (settings, store):
        found = status_of(settings, store, next_run(settings))
    say(found, _status_text, as_json=click.get_current_context().meta[_JSON])
    last = found["last_run"]
    return EXIT_REFUSED if last is not None and last["status"] in ("failed", "died") else 0


def _schedule_text(found: dict[str, Any]) -> str:
    from daemon.terminal import fitted  # noqa: PLC0415

    return fitted(
        f'write into {found["config"]}:\n\nworkflow:\n  at: "{found["scheduled_at"]}"\n\n'
        f"then `systemctl reload stockgrip`; the next run is {found['next_run']}"
    )


def _text(done: dict[str, Any]) -> str:
    from daemon.terminal import fitted  # noqa: PLC0415

    lines = [f"run {done['id']} of {done['day']}: {done['status']}"]
    lines += [_step(step) for step in done["steps"]]
    return fitted("\n".join(lines))


def _step(step: dict[str, Any]) -> str:
    said = step["error"] or ", ".join(
        f"{name.replace('_', ' ')} {_value(value)}" for name, value in step["details"].items()
    )
    return f"  {step['status']:<8}{step['name']:<15}{step['seconds']:>8.1f} s  {said}"


def _value(value: object) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _status_text(found: dict[str, Any]) -> str:
    from daemon.terminal import fitted  # noqa: PLC0415

    last = found["last_run"]
    lines = [_text(last) if last else "it has not run yet"]
    lines.append(f"next run: {found['next_run'] or 'never by itself (workflow.at is null)'}")
    return fitted("\n".join(lines))
