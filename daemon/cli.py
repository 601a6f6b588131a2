"""The command line: ``stockgrip``."""

import contextlib
import json
import signal
import sys
import time
import types
import warnings
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import click

EXIT_REFUSED, EXIT_USAGE, EXIT_UNAVAILABLE, EXIT_CONFIG = 1, 2, 69, 78


def main() -> NoReturn:
    """Runs a command and exits with its status: an error is one sentence, never a traceback."""
    _keep_pandas_out()
    from daemon.errors import ConfigError, TransientError  # noqa: PLC0415

    try:
        status = cli.main(standalone_mode=False)
    except click.exceptions.Abort:
        status = 130
    except click.ClickException as error:
        error.show()
        status = error.exit_code
    except ConfigError as error:
        _complain(str(error))
        status = EXIT_CONFIG
    except TransientError as error:
        _complain(
            f"{error}\nNothing was lost: what is not loaded and filed yet is in live_feeds/ or .work/ and is taken up next time."
        )
        status = EXIT_UNAVAILABLE
    except BrokenPipeError:
        status = 0
    with contextlib.suppress(Exception):
        from daemon import logs  # noqa: PLC0415

        logs.shutdown()
    sys.exit(status if isinstance(status, int) else 0)


def _keep_pandas_out() -> None:
    """Spares every start 0.4 s and 45 MB: pyarrow imports pandas at the first array, to recognise its types.

    Nothing in the process uses pandas; the Python API, which does, does not come this way.
    """
    import pyarrow as pa  # noqa: PLC0415

    if "pandas" in sys.modules:
        return
    absent = types.ModuleType("pandas")
    absent.__version__ = "0"  # type: ignore[attr-defined]  # too old for pyarrow, which then does without
    sys.modules["pandas"] = absent
    try:
        with warnings.catch_warnings(action="ignore"):
            pa.array([0])
    finally:
        del sys.modules["pandas"]


def _complain(message: str) -> None:
    from daemon import logs  # noqa: PLC0415

    logs.shutdown()  # what is said last shall stand last
    click.secho("stockgrip: ", fg="red", bold=True, nl=False, err=True)
    click.echo(message, err=True)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Configuration file [default: config.yaml in the current folder, if there is one].",
)
@click.version_option(version("stockgrip-live"), prog_name="stockgrip")
@click.pass_context
def cli(context: click.Context, config: Path | None) -> None:
    """Load retail CSV feeds, exactly once.

    Files dropped into live_feeds/ are checked row by row, loaded into SQLite or PostgreSQL, and filed under processed/
    or errors/.

    Exit status: 0 fine, 1 something was refused or rejected, 2 usage, 69 database or host unavailable,
    78 configuration.
    """
    context.obj = config


@contextlib.contextmanager
def _service(config: Path | None, *, quiet: bool = False) -> Iterator[Any]:
    """The service, with logs configured, signals caught and the database open."""
    from daemon import hooks, logs  # noqa: PLC0415
    from daemon.config import load_settings  # noqa: PLC0415
    from daemon.events import Event  # noqa: PLC0415
    from daemon.service import Service  # noqa: PLC0415
    from daemon.store import Store  # noqa: PLC0415

    settings = load_settings(config)
    logs.configure("error" if quiet else settings.log.level, settings.log.format)
    hooks.install()
    logs.emit(
        Event.DAEMON_STARTED,
        version=version("stockgrip-live"),
        config=str(config or "config.yaml"),
        data_dir=str(settings.data_dir),
        database=settings.safe_database_url,
    )
    store = Store.open(settings.database_url, busy_timeout_seconds=settings.database.busy_timeout_seconds)
    service = Service(settings, store)

    def ask_to_stop(number: int, _frame: object) -> None:
        service.request_stop(signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_stop)
    signal.signal(signal.SIGUSR1, lambda _number, _frame: service.request_scan())
    try:
        yield service
    finally:
        service.close()
        store.close()


@cli.command()
@click.pass_obj
def run(config: Path | None) -> int:
    """Watch live_feeds/ and load what comes, until SIGTERM or Ctrl-C.

    The delivery in hand is finished before the daemon ends. SIGUSR1 makes it look through the whole folder at once.
    """
    from daemon.events import Event  # noqa: PLC0415
    from daemon.logs import emit  # noqa: PLC0415

    with _service(config) as service:
        begun = time.monotonic()
        summary = service.run()
        emit(
            Event.DAEMON_STOPPED,
            reason=service.stop_reason,
            deliveries=summary.deliveries,
            uptime_seconds=round(time.monotonic() - begun, 1),
        )
    return 0


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
@click.pass_obj
def drain(config: Path | None, as_json: bool) -> int:
    """Load what waits in live_feeds/ now, then end.

    For cron and for first loads. Waits until the files there are complete (see `settle` in config.yaml).
    """
    from daemon.render import drain_table, progress_bar  # noqa: PLC0415

    terminal = sys.stderr.isatty()
    with _service(config, quiet=terminal) as service, progress_bar(enabled=terminal) as progress:
        summary = service.drain(progress)
    click.echo(json.dumps(drain_table(summary)) if as_json else _lines(drain_table(summary)))
    return 0 if summary.all_well else EXIT_REFUSED


def _lines(figures: dict[str, Any]) -> str:
    return "  ".join(f"{name.replace('_', ' ')} {value:,}" for name, value in figures.items())


@cli.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print the verdicts as JSON.")
@click.option("--most", default=20, show_default=True, help="Rejects shown per file; 0 for all.")
@click.pass_obj
def check(config: Path | None, files: tuple[Path, ...], as_json: bool, most: int) -> int:
    """Say what would become of FILES, without loading or moving anything."""
    from daemon.config import load_settings  # noqa: PLC0415
    from daemon.dry_run import dry_run  # noqa: PLC0415
    from daemon.ingest import Rules  # noqa: PLC0415
    from daemon.render import verdict_text  # noqa: PLC0415

    rules = Rules.of(load_settings(config))
    verdicts = [dry_run(path, rules, most) for path in files]
    if as_json:
        click.echo(json.dumps([verdict.as_dict() for verdict in verdicts], ensure_ascii=True))
    else:
        for verdict in verdicts:
            click.echo(verdict_text(verdict))
    return 0 if all(verdict.all_well for verdict in verdicts) else EXIT_REFUSED


@cli.command()
@click.option("--json", "as_json", is_flag=True, help="Print it as JSON.")
@click.pass_obj
def status(config: Path | None, as_json: bool) -> int:
    """Show, per feed: the last delivery, what waits, what was refused, rows of today; and the database."""
    from daemon.config import load_settings  # noqa: PLC0415
    from daemon.render import status_text  # noqa: PLC0415
    from daemon.status import picture  # noqa: PLC0415

    found = picture(load_settings(config))
    click.echo(json.dumps(found) if as_json else status_text(found))
    return 0 if found["database"]["up"] else EXIT_UNAVAILABLE


@cli.command()
@click.option("--days", default=30, show_default=True, type=click.IntRange(min=1), help="Business days.")
@click.option("--products", default=50, show_default=True, type=click.IntRange(min=1), help="Products.")
@click.option(
    "--seed", default=42, show_default=True, type=click.IntRange(min=0), help="Same seed, same bytes."
)
@click.option("--last-day", type=click.DateTime(["%Y-%m-%d"]), help="The last business day.")
@click.option("--corrupt", is_flag=True, help="Add files that are broken in many ways.")
@click.argument("directory", required=False, type=click.Path(path_type=Path, file_okay=False))
@click.pass_obj
def sample(
    config: Path | None,
    days: int,
    products: int,
    seed: int,
    last_day: Any,
    corrupt: bool,
    directory: Path | None,
) -> int:
    """Write realistic sample files for all feeds into DIRECTORY [default: live_feeds/]."""
    from daemon.render import progress_bar  # noqa: PLC0415
    from daemon.sample import DEFAULT_LAST_DAY, write_samples  # noqa: PLC0415

    if directory is None:
        from daemon.config import load_settings  # noqa: PLC0415
        from daemon.files import Folders  # noqa: PLC0415

        directory = Folders(load_settings(config).data_dir).inbox
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
    click.echo(f"{len(written)} files written to {directory}")
    return 0
