"""What several commands need: exit statuses, settings, the store, the service."""

import contextlib
import gc
import json
import signal
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from daemon.settings import Settings
    from daemon.store import Store

EXIT_REFUSED, EXIT_USAGE, EXIT_UNAVAILABLE, EXIT_CONFIG = 1, 2, 69, 78
_USUAL = gc.get_threshold()

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Words(click.ParamType[str]):
    """A text that a database takes: bytes that are not UTF-8 are refused."""

    name = "text"

    def convert(self, value: str, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """The same."""
        if not value.isprintable() and any("\ud800" <= char <= "\udfff" for char in value):
            self.fail(f"{value!a} is not written in UTF-8", param, ctx)
        return value


def json_option(text: str = "Print it as JSON.") -> Callable[[_Command], _Command]:
    """``--json``, as ``as_json``."""
    return click.option("--json", "as_json", is_flag=True, help=text)


def settings_of(config: Path | None) -> "Settings":
    """The settings in force."""
    from daemon.config import load_settings  # noqa: PLC0415

    return load_settings(config)


def say(found: Any, text: Callable[[Any], str], *, as_json: bool) -> None:
    """Prints what was found, for a script or for a person."""
    click.echo(json.dumps(found, ensure_ascii=True) if as_json else text(found))


@contextlib.contextmanager
def opened(config: Path | None, *, changing: bool = False) -> Iterator[tuple["Settings", "Store"]]:
    """Settings and store, for commands that look or lend a hand while the daemon may run; they log only errors.

    Args:
        config: the configuration file.
        changing: the command writes, so it may make and migrate the tables, and then says so in the log.
    """
    from daemon import logs  # noqa: PLC0415
    from daemon.store import Store  # noqa: PLC0415

    settings = settings_of(config)
    logs.configure(settings.log.level if changing else "error", settings.log.format)
    connect = Store.open if changing else Store.look
    store = connect(settings.database_url, busy_timeout_seconds=settings.database.busy_timeout_seconds)
    logs.configure("error", settings.log.format)
    try:
        yield settings, store
    finally:
        store.close()


@contextlib.contextmanager
def serving(config: Path | None, *, quiet: bool = False) -> Iterator[Any]:
    """The service, with logs configured, signals caught and the database open."""
    from daemon import hooks, logs  # noqa: PLC0415
    from daemon.backup import before_migration  # noqa: PLC0415
    from daemon.events import Event  # noqa: PLC0415
    from daemon.files import Folders  # noqa: PLC0415
    from daemon.presence import present  # noqa: PLC0415
    from daemon.service import Service  # noqa: PLC0415
    from daemon.store import Store  # noqa: PLC0415

    settings = settings_of(config)
    logs.configure("error" if quiet else settings.log.level, settings.log.format)
    hooks.install()
    logs.emit(
        Event.DAEMON_STARTED,
        version=version("stockgrip-live"),
        config=str(config or "config.yaml"),
        data_dir=str(settings.data_dir),
        database=settings.safe_database_url,
    )
    before_migration(settings)
    store = Store.open(settings.database_url, busy_timeout_seconds=settings.database.busy_timeout_seconds)
    service = Service(settings, store, reload=lambda: settings_of(config))

    def ask_to_stop(number: int, _frame: object) -> None:
        service.request_stop(signal.Signals(number).name)

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask_to_stop)
    signal.signal(signal.SIGUSR1, lambda _number, _frame: service.request_scan())
    signal.signal(signal.SIGHUP, lambda _number, _frame: service.request_reload())
    gc.freeze()  # what is there by now stays; from here on garbage is collected as ever
    gc.set_threshold(*_USUAL)
    try:
        with present(Folders(settings.data_dir)):
            yield service
    finally:
        service.close()
        store.close()
