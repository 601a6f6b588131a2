"""What the ways of sending have in common: what came of a try, and a deadline that no server can stretch."""

import contextlib
import queue
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from daemon.errors import TransientError


class NotSent(TransientError):  # noqa: N818  (named by what is so)
    """The letter could not be sent: it is kept and tried again."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of a try in which the server took the letter.

    Attributes:
        done: recipients that need no further try.
        refused: those of them that the server does not know, with its words.
        later: those that it put off, with its words.
    """

    done: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)
    later: Mapping[str, str] = field(default_factory=dict)


class Deadline:
    """Cuts a connection when its time is over.

    A timeout of a socket is for each of its steps: a server that says a byte a second never meets it. So somebody else
    watches the clock, and shuts the connection down from outside; whoever waits for it then gets an error at once.
    """

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._watched: list[socket.socket] = []
        self._timer = threading.Timer(seconds, self.expire)
        self._timer.daemon = True
        self._timer.name = "letter-deadline"
        self.expired = False

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self._timer.cancel()
        with self._lock:
            for each in self._watched:
                each.close()
            self._watched.clear()

    def left(self) -> float:
        """Seconds; never less than a moment, for a timeout of 0 means another thing."""
        return max(0.001, self._end - time.monotonic())

    def expire(self) -> None:
        """Cuts what is watched, now."""
        with self._lock:
            self.expired = True
            for each in self._watched:
                _shut(each)

    def watch(self, connection: socket.socket) -> None:
        """Watches a connection, also after TLS was put over it: that takes the socket, but not its copy."""
        with self._lock:
            copy = connection.dup()
            self._watched.append(copy)
            if self.expired:
                _shut(copy)

    def connect(self, host: str, port: int, timeout: float) -> socket.socket:
        """A connection that is watched.

        Args:
            host: a name or an address.
            port: its port.
            timeout: seconds for each step.

        Raises:
            OSError: no address of the host answers.
        """
        failure: OSError = TimeoutError("the name server does not answer in time")
        for family, kind, protocol, _, address in self._resolved(host, port):
            connection = socket.socket(family, kind, protocol)
            try:
                connection.settimeout(min(timeout, self.left()))
                self.watch(connection)
                connection.connect(address)
            except OSError as error:
                connection.close()
                failure = error
            else:
                connection.settimeout(timeout)
                return connection
        raise failure

    def _resolved(self, host: str, port: int) -> list[Any]:
        """The host's addresses. Asking for them cannot be cut, so a thread asks that may be left behind."""
        answers: queue.SimpleQueue[list[Any] | OSError] = queue.SimpleQueue()

        def ask() -> None:
            try:
                answers.put(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
            except (OSError, UnicodeError) as error:
                answers.put(error if isinstance(error, OSError) else OSError("the host's name is none"))

        threading.Thread(target=ask, name="letter-resolve", daemon=True).start()
        try:
            answer = answers.get(timeout=self.left())
        except queue.Empty:
            return []
        if isinstance(answer, OSError):
            raise answer
        return answer


def _shut(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):  # it is not connected, or not any more
        connection.shutdown(socket.SHUT_RDWR)


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """What checks a server's certificate and name.

    Raises:
        NotSent: the file with certificates cannot be used.
    """
    try:
        return ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except OSError as error:  # ssl.SSLError is one
        raise NotSent(f"ca_file {ca_file}: cannot be used ({error.strerror or error})") from None


def in_words(error: BaseException, deadline: Deadline) -> str:
    """Why a connection failed."""
    if deadline.expired:
        return "it was cut: the server took too long for the letter as a whole"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {error.verify_message}; see ca_file"
    if isinstance(error, ssl.SSLError):
        return (
            f"TLS failed ({error.reason or 'no reason given'}); is the port one for TLS, and security right?"
        )
    if isinstance(error, TimeoutError):
        return "it does not answer in time"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
