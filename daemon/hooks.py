"""What ends a thread, or happens where nobody can catch it, said in the log: one JSON line instead of bare text."""

import sys
import threading

from daemon.events import Event
from daemon.logs import emit


def install() -> None:
    """Sets the interpreter's hooks for this process."""
    threading.excepthook = _thread_died
    sys.unraisablehook = _was_not_raised


def _thread_died(args: threading.ExceptHookArgs) -> None:
    name = args.thread.name if args.thread else "a thread"
    error = args.exc_value or args.exc_type()
    emit(Event.LIBRARY_WARNED, logger="threading", message=f"{name} died: {error}", exc_info=error)


def _was_not_raised(args: "sys.UnraisableHookArgs") -> None:
    error = args.exc_value or args.exc_type()
    emit(Event.LIBRARY_WARNED, logger="python", message=f"{args.err_msg}: {error}", exc_info=error)
