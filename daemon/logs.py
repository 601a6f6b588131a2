"""The log: one JSON object a line on stderr, or coloured text on a terminal; it never blocks and never raises.

Use ``emit(Event.DELIVERY_LOADED, rows_in=3)`` inside ``with bound(delivery=7, file=name):``. The events are in
``daemon/events.py``, what an operator does about each in ``docs/logs.md``.

A line goes: contextvars → ``_arrange`` (order of keys) → ``_fitted`` (printable, JSON-safe, at most 40 KB) → ``_Writer``
(a bounded queue and a thread of its own, so that a reader who stalls or dies costs lines, counted, and never time).
Until ``configure`` is called, lines go to the standard library's logger ``stockgrip``, as a library's should.

Signal handlers do not log: they set a flag, and the main loop logs. (A line logged from a finalizer that happens to run
inside a logging call is safe: the queue's lock is re-entrant.)
"""

from __future__ import annotations

import atexit
import json
import logging
import math
import numbers
import os
import re
import select
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from collections.abc import Set as AbstractSet
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from functools import lru_cache
from queue import SimpleQueue
from typing import Any, cast

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, WrappedLogger

from daemon.events import Event

MAX_LINE_BYTES = 40_000
MAX_QUEUED_LINES, MAX_QUEUED_BYTES = 10_000, 8 << 20
LEVELS = ("debug", "info", "warning", "error")
FORMATS = ("auto", "json", "console")

_HEAD = ("timestamp", "level", "event", "delivery", "file")
_LINES_A_WRITE = 100
_TEXT_LIMITS = (30_000, 6_000, 1_500, 240, 60)  # characters of a text; tried in turn until the line fits
_MAX_DEPTH, _INT64 = 8, 1 << 63

# What must not reach a terminal or a JSON parser raw: C0 and C1 controls, DEL, line and paragraph separators, marks that
# reorder text on the screen, and surrogates (os.fsdecode makes them of bytes that are not UTF-8).
_UNSAFE = "\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ud800-\udfff"
_UNSAFE_IN_TEXT = re.compile(f"[{_UNSAFE}]")
_UNSAFE_IN_LINE = re.compile(f"[{_UNSAFE}\t\n]")
_URL_PASSWORD = re.compile(r"(://[^\s:/@]{0,128}:)[^\s\"']{1,256}@")
_PASSWORD = re.compile(
    r"(passw(?:or)?d['\"]?\s{0,3}[=:]\s{0,3})('[^']*'|\"[^\"]*\"|[^\s\"'&,]+)", re.IGNORECASE
)


def display_name(name: str | bytes | os.PathLike[str]) -> str:
    r"""Make a file name fit to be read: UTF-8-safe, on one line, every character visible.

    Args:
        name: a file name or path, as ``os.fsdecode`` or ``os.fsencode`` gives it.

    Returns:
        The name; bytes that are not UTF-8 stand as ``\xNN``, what a screen does not show as ``\n``, ``\x1b``, ``\u200b``.
        Doing it twice changes nothing more. It is for people: it does not open the file.
    """
    text = name.decode("utf-8", "surrogateescape") if isinstance(name, bytes) else os.fspath(name)
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(char: str) -> str:
    if "\udc80" <= char <= "\udcff":  # an undecodable byte, as os.fsdecode keeps it
        return f"\\x{os.fsencode(char)[0]:02x}"
    return char.encode("unicode_escape").decode("ascii")


def _cut(text: str, limit: int) -> str:
    """Keep both ends: the end of a traceback says more than its middle."""
    half = limit // 2
    left_out = len(text) - 2 * half
    return text if left_out <= 0 else f"{text[:half]}…[{left_out} characters cut]…{text[-half:]}"


@lru_cache(maxsize=1_000)  # the same few names come again and again
def _key(key: str) -> str:
    return _cut(_UNSAFE_IN_LINE.sub(lambda m: _escaped(m[0]), key), 60)


class _Plain:
    """Turns any value into what JSON and a terminal can show, within limits; never raises."""

    def __init__(self, limit: int, *, one_line: bool) -> None:
        # At the last limit 24 names and 24 texts of 60 characters stay, 12 bytes each at most: that always fits.
        self._limit = limit
        self._max_fields = 24 + limit // 300
        self._max_values = limit // 60  # inside one field
        self._left = 0
        self._unsafe = _UNSAFE_IN_LINE if one_line else _UNSAFE_IN_TEXT

    def line(self, fields: Mapping[str, Any]) -> dict[str, Any]:
        """A whole line; each field has its own allowance, so a large one cannot push out another."""
        result: dict[str, Any] = {}
        for number, (key, value) in enumerate(fields.items()):
            if number == self._max_fields:
                result["trimmed"] = f"{len(fields) - number} more fields"
                break
            self._left = self._max_values
            multiline = key == "exception" and isinstance(value, str)
            result[_key(key)] = self._text(value, _UNSAFE_IN_TEXT) if multiline else self._value(value, 0)
        return result

    def _text(self, text: str, unsafe: re.Pattern[str] | None = None) -> str:
        if ":" in text or "=" in text:
            text = _PASSWORD.sub(r"\1***", _URL_PASSWORD.sub(r"\1***@", text))
        text = _cut(text, self._limit)
        return text if text.isprintable() else (unsafe or self._unsafe).sub(lambda m: _escaped(m[0]), text)

    def _value(self, value: object, depth: int) -> Any:
        self._left -= 1
        try:
            return self._convert(value, depth)
        except Exception as error:  # noqa: BLE001  # a foreign __str__ or __iter__ may raise anything; a log call may not
            return self._text(f"<{type(value).__name__} that cannot be shown: {type(error).__name__}>")

    def _convert(self, value: object, depth: int) -> Any:  # noqa: PLR0911  # one line a kind
        match value:
            case None | bool():
                return value
            case int() | numbers.Integral():  # numpy's too
                whole = int(value)
                # str() raises for a huge one, hex() does not
                return whole if -_INT64 <= whole < _INT64 else self._text(hex(whole))
            case float() | numbers.Real():
                real = float(value)
                return real if math.isfinite(real) else str(real)
            case bytes() | bytearray():
                return self._text(value[: self._limit + 1].decode("utf-8", "surrogateescape"))
            case datetime() | date() | time():
                return self._text(value.isoformat())
            case BaseException():
                return self._text(f"{type(value).__name__}: {value}")
            case (
                Mapping() | list() | tuple() | AbstractSet()
            ):  # a set in its own order: the items may not compare
                return self._collection(value, depth + 1)
            case _:  # str, Path, Decimal, UUID, …: as they print themselves
                return self._text(str(value))

    def _collection(self, values: Collection[Any], depth: int) -> dict[str, Any] | list[Any]:
        pairs = values.items() if isinstance(values, Mapping) else (("", value) for value in values)
        shown: list[tuple[str, Any]] = []
        for key, value in pairs:
            if self._left <= 0 or depth > _MAX_DEPTH:
                shown.append(("…", f"… {len(values) - len(shown)} more"))
                break
            shown.append((_key(str(key)), self._value(value, depth)))
        return dict(shown) if isinstance(values, Mapping) else [value for _, value in shown]


_Render = Callable[[WrappedLogger, str, EventDict], str]


def _arrange(_logger: WrappedLogger, level: str, event_dict: EventDict) -> EventDict:
    """Put the keys in the order in which they are read; nothing can take the place of the first ones."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    line: dict[str, Any] = {"timestamp": now.replace("+00:00", "Z"), "level": level}
    line.update((key, event_dict[key]) for key in _HEAD[2:] if key in event_dict)
    exception = event_dict.pop("exception", None)
    line.update((key, value) for key, value in event_dict.items() if key not in _HEAD)
    return line if exception is None else {**line, "exception": exception}


def _fitted(dump: Callable[[EventDict], str], *, one_line: bool) -> _Render:
    """The last processor: the line's text, made printable and cut to size."""

    def render(_logger: WrappedLogger, _level: str, event_dict: EventDict) -> str:
        for limit in _TEXT_LIMITS:
            text = dump(_Plain(limit, one_line=one_line).line(event_dict))
            if len(text.encode()) < MAX_LINE_BYTES:
                break
        return text

    return render


def _renderer(*, console: bool, colors: bool) -> _Render:
    if not console:
        return _fitted(lambda line: json.dumps(line, ensure_ascii=False, allow_nan=False), one_line=False)
    plain = structlog.dev.plain_traceback  # rich's would show local variables, and with them data
    text = structlog.dev.ConsoleRenderer(colors=colors, sort_keys=False, exception_formatter=plain)
    return _fitted(lambda line: text(None, "", line), one_line=True)


class _Writer:
    """Writes lines to a file descriptor from its own thread; drops and counts what does not fit into its queue."""

    def __init__(self, fd: int, report: Callable[[int], str]) -> None:
        try:
            # Our own copy: were fd 2 closed and its number given to the database file, the log would be written into it.
            self._fd = os.dup(fd)
        except OSError:
            self._fd = -1  # closed from the start: every write fails and is counted
        self._report = report
        self._lock = threading.RLock()
        self._wake: SimpleQueue[None] = SimpleQueue()  # its put() is re-entrant, an Event's set() is not
        self._pending: list[bytes] = []
        self._lines = self._bytes = 0  # not yet written
        self._dropped = 0  # lines lost since the last report
        self._closing = self._abandoned = False
        self._torn = False  # the last thing written was a part of a line
        self._thread = threading.Thread(target=self._run, name="log-writer", daemon=True)
        self._thread.start()

    def put(self, text: str) -> None:
        """Queue a line, or drop it; returns at once."""
        line = text.encode() + b"\n"
        with self._lock:
            full = self._lines >= MAX_QUEUED_LINES or self._bytes + len(line) > MAX_QUEUED_BYTES
            if full or self._closing:
                self._dropped += 1
                return
            if not self._pending:
                self._wake.put(None)
            self._pending.append(line)
            self._lines += 1
            self._bytes += len(line)

    debug = info = warning = error = critical = put  # what structlog calls

    def close(self, timeout: float) -> None:
        """Write what is queued, for ``timeout`` seconds at most, and end."""
        self._closing = True
        self._wake.put(None)
        self._thread.join(timeout)
        self._abandoned = True

    def _run(self) -> None:
        closing = False
        while not closing and not self._abandoned:
            self._wake.get()
            closing = self._closing
            with self._lock:
                batch, self._pending = self._pending, []
            flowing = self._write_batch(batch)
            lost = self._dropped
            if flowing and lost and self._write([self._report(lost).encode() + b"\n"]):
                with self._lock:
                    self._dropped -= lost
        if self._fd >= 0:
            os.close(self._fd)

    def _write_batch(self, batch: list[bytes]) -> bool:
        """Write many lines a call: one a call would wait for the interpreter lock each time. False if any was lost."""
        lost = 0
        for start in range(0, len(batch), _LINES_A_WRITE):
            lines = batch[start : start + _LINES_A_WRITE]
            failed = len(lines) - self._write(lines)
            with self._lock:
                self._lines -= len(lines)
                self._bytes -= sum(map(len, lines))
                self._dropped += failed
            lost += failed
        return lost == 0

    def _write(self, lines: list[bytes]) -> int:
        """Write these lines; returns how many were written whole."""
        if self._torn:
            lines = [b"\n" + lines[0], *lines[1:]]
        left = memoryview(b"".join(lines))
        size = len(left)
        while left and not self._abandoned:
            try:
                left = left[os.write(self._fd, left) :]
            except BlockingIOError:
                waiter = select.poll()
                waiter.register(self._fd, select.POLLOUT)
                waiter.poll(200)  # milliseconds
            except OSError:  # EPIPE, EBADF, ENOSPC, EIO: these are lost; the next ones try again
                break
        whole, written = 0, size - len(left)
        if written:
            while whole < len(lines) and written >= len(lines[whole]):
                written -= len(lines[whole])
                whole += 1
            self._torn = written > 0
        return whole


class _LibraryHandler(logging.Handler):
    """Brings what libraries and Python's warnings say into the same stream."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            message: object = record.getMessage()
        except Exception:  # noqa: BLE001  # a library's wrong format string is no reason to lose the message
            message = [record.msg, record.args]
        level = logging.ERROR if record.levelno >= logging.ERROR else logging.WARNING
        fields = {"logger": record.name, "message": message, "exc_info": record.exc_info}
        get_logger().log(level, Event.LIBRARY_WARNED, **fields)


_handler = _LibraryHandler(logging.WARNING)
_silence = (
    logging.NullHandler()
)  # what a library adds, so that it is silent unless the application wants to hear it
_writers: list[_Writer] = []  # the one in use, if any
_Observer = Callable[[Event, Mapping[str, Any]], None]
_observers: tuple[_Observer, ...] = ()


def emit(event: Event, /, **fields: Any) -> None:
    """Log an event at its own level.

    Args:
        event: what happened.
        fields: the fields listed for it in ``daemon.events``, of any type; ``exc_info=True`` or ``exc_info=error`` adds
            the traceback.
    """
    getattr(get_logger(), event.level)(event, **fields)
    for tell in _observers:
        tell(event, fields)


def observe(tell: _Observer) -> None:
    """From now on ``tell`` hears of every event that is emitted, of whatever level, in whichever thread.

    Args:
        tell: given the event and its fields; it must return at once, and must not raise.
    """
    global _observers  # noqa: PLW0603  (a tuple that is replaced: emit needs no lock to go through it)
    _observers = (*_observers, tell)


def unobserve(tell: _Observer) -> None:
    """From now on it hears of nothing."""
    global _observers  # noqa: PLW0603
    _observers = tuple(one for one in _observers if one != tell)


def get_logger() -> FilteringBoundLogger:
    """The structlog logger, for ``log.info(Event.…)``; may be called at import, before ``configure``."""
    if not structlog.is_configured():
        _configure_library()
    return cast("FilteringBoundLogger", structlog.get_logger())


@contextmanager
def bound(*, delivery: object = None, file: str | bytes | os.PathLike[str] | None = None) -> Iterator[None]:
    """Put a delivery's id and file name (made printable here) on every line logged inside, in this thread."""
    context: dict[str, object] = {} if delivery is None else {"delivery": delivery}
    if file is not None:
        context["file"] = display_name(file)
    with structlog.contextvars.bound_contextvars(**context):
        yield


def configure(level: str, fmt: str, stream_fd: int = 2) -> None:
    """Send the log of this process to a file descriptor, and with it what libraries say at WARNING and above.

    Args:
        level: the lowest level to write: debug, info, warning or error, in any case.
        fmt: ``json``, ``console``, or ``auto``: console on a terminal, else JSON. Colours appear on a terminal only, and
            not with ``NO_COLOR`` set or ``TERM=dumb``.
        stream_fd: where to; it is duplicated, so closing it later does not matter.

    Raises:
        ValueError: an unknown level or format.
    """
    for what, value, allowed in (("level", level.lower(), LEVELS), ("format", fmt, FORMATS)):
        if value not in allowed:
            raise ValueError(f"log {what} {value!r} is unknown: use one of {', '.join(allowed)}")
    shutdown()
    tty = os.isatty(stream_fd)
    colors = tty and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
    render = _renderer(console=fmt == "console" or (fmt == "auto" and tty), colors=colors)

    def report(lines: int) -> str:
        event = Event.LOG_LINES_DROPPED
        for tell in _observers:
            tell(event, {"lines": lines})
        return render(None, event.level, _arrange(None, event.level, {"event": event, "lines": lines}))

    writer = _Writer(stream_fd, report)
    _writers.append(writer)
    _use(render, level.lower(), writer)
    logging.getLogger().addHandler(_handler)
    logging.captureWarnings(True)
    atexit.register(shutdown)


def shutdown(timeout: float = 2.0) -> None:
    """Write what is queued and stop; what a stalled reader does not take in ``timeout`` seconds is lost.

    It also runs at exit, and may be called twice. Afterwards lines go where they went before ``configure``.
    """
    if _writers:
        atexit.unregister(shutdown)
        logging.captureWarnings(False)
        logging.getLogger().removeHandler(_handler)
        _configure_library()
        _writers.pop().close(timeout)


def _configure_library() -> None:
    library = logging.getLogger("stockgrip")
    library.addHandler(_silence)
    _use(_renderer(console=False, colors=False), "debug", library)


def _use(render: _Render, level: str, target: WrappedLogger) -> None:
    merge, format_exception = structlog.contextvars.merge_contextvars, structlog.processors.format_exc_info
    structlog.configure(
        processors=[merge, format_exception, _arrange, render],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: target,
        cache_logger_on_first_use=False,  # module-level loggers follow configure() and shutdown()
    )
