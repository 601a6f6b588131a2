"""How commands behave on a terminal and in a pipe: encodings, colours, width, a reader that goes away, mistakes."""

import os
import shutil
import sys
from typing import Any

import click

from daemon.terminal import may_colour, printable

_NARROW = 52  # click's help is never narrower than 50 by itself


class Commands(click.Group):
    """A group of commands with good manners."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Colours only where they are wanted; the help as narrow as the terminal."""
        columns = shutil.get_terminal_size().columns
        if columns < _NARROW:
            extra.setdefault("terminal_width", max(columns - 1, 20))
        if not may_colour():
            extra.setdefault("color", False)
        return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """Ends quietly, and well, when nobody reads the output any more."""
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            silence_output()
            return 0


def prepare_streams() -> None:
    """Makes every character printable in any locale: what its encoding lacks is escaped."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)  # a closed one is None
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def silence_output() -> None:
    """Sends what is still to be written to nowhere: at the end the interpreter would fail on it again, and say so."""
    try:
        number = sys.stdout.fileno()
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, number)
        os.close(nowhere)
    except (AttributeError, OSError, ValueError):
        return


def complain(message: str) -> None:
    """Says what is wrong, on standard error; on a closed one nothing can be said."""
    text = "\n".join(printable(line) for line in message.split("\n"))
    head = click.style("stockgrip: ", fg="red", bold=True)
    try:
        click.echo(head + text, err=True, color=None if may_colour() else False)
    except OSError:
        return


def mistake(error: click.ClickException) -> str:
    """A mistake on the command line, and where to read how it is done."""
    text = error.format_message().strip()
    if not isinstance(error, click.UsageError):
        return text
    path = error.ctx.command_path if error.ctx else "stockgrip"
    return f"{text if text.endswith(('.', '?', '!')) else f'{text}.'} See {path} --help"
