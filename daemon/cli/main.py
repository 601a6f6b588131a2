"""The group of commands, and the one way out: an error is one sentence with its remedy, never a traceback."""

import contextlib
import gc
import os
import signal
import sys
import types
import warnings
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import click

from daemon.cli.alerts import alerts
from daemon.cli.backup import backup, restore
from daemon.cli.doctor import doctor
from daemon.cli.features import features
from daemon.cli.hands import retry, unload
from daemon.cli.look import check, status
from daemon.cli.manners import Commands, complain, mistake, prepare_streams, silence_output
from daemon.cli.quality import quality
from daemon.cli.rebuild import rebuild
from daemon.cli.report import report
from daemon.cli.retention import retention
from daemon.cli.run import drain, run
from daemon.cli.sample import sample
from daemon.cli.selftest import selftest
from daemon.cli.shared import EXIT_CONFIG, EXIT_UNAVAILABLE
from daemon.cli.story import completion, explain, log
from daemon.cli.workflow import workflow


def main() -> NoReturn:
    """Runs a command and exits with its status: an error is one sentence, never a traceback."""
    gc.set_threshold(20_000)  # what a start imports stays: a tenth of its time went into looking at it
    try:
        status = _run()
    except KeyboardInterrupt:
        status = 128 + signal.SIGINT
    with contextlib.suppress(Exception, KeyboardInterrupt):
        from daemon import logs  # noqa: PLC0415

        logs.shutdown()
    gc.freeze()  # nor is it looked at in the end: that took as long
    sys.exit(status if isinstance(status, int) else 0)


def _run() -> Any:
    """Runs a command; its status, once what went wrong is said."""
    prepare_streams()
    if "_STOCKGRIP_COMPLETE" not in os.environ:  # Tab must not wait for it
        _make_arrow_small()
    from daemon.errors import ConfigError, TransientError  # noqa: PLC0415
    from daemon.faults import PASSING  # noqa: PLC0415

    try:
        status = cli.main(standalone_mode=False, prog_name="stockgrip")
    except click.exceptions.Abort:
        status = 128 + signal.SIGINT
    except click.ClickException as error:
        _complain(mistake(error))
        status = error.exit_code
    except ConfigError as error:
        _complain(str(error))
        status = EXIT_CONFIG
    except TransientError as error:
        _complain(
            f"{error}\nNothing was lost: what is not loaded and filed yet is in live_feeds/ or .work/ and is taken up next time."
        )
        status = EXIT_UNAVAILABLE
    except OSError as error:
        if error.errno not in PASSING:
            raise
        silence_output()
        place = f" ({error.filename})" if error.filename else ""
        _complain(
            f"{error.strerror}{place}: check the path, its permissions and the free space, then try again"
        )
        status = EXIT_UNAVAILABLE
    return status


def _make_arrow_small() -> None:
    """Lets Arrow give memory back soon, and spares every start 0.4 s and 45 MB: pyarrow imports pandas at the first array, to recognise its types.

    Nothing in the process uses pandas; the Python API, which does, does not come this way.
    """
    import pyarrow as pa  # noqa: PLC0415

    # the others keep more of what is free: after a file of a million rows the peak is 380 to 440 MB, with this one 310;
    # to give back all at once costs a tenth of the time of a large file
    if "jemalloc" in pa.supported_memory_backends():
        pa.set_memory_pool(pa.jemalloc_memory_pool())
        pa.jemalloc_set_decay_ms(1000)
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
    complain(message)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
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


for command in (
    run,
    drain,
    status,
    explain,
    log,
    quality,
    features,
    alerts,
    check,
    retry,
    unload,
    workflow,
    report,
    retention,
    backup,
    restore,
    rebuild,
    doctor,
    selftest,
    sample,
    completion,
):
    cli.add_command(command)
