"""A wire between the program and PostgreSQL that can be cut at a COMMIT."""

import contextlib
import socket
import threading
from dataclasses import dataclass, field
from typing import Literal, Self

from sqlalchemy.engine import make_url

Cut = Literal["before", "after"]


@dataclass
class Proxy:
    """Forwards connections; cuts those that commit a delivery, as often as it is told to.

    Attributes:
        cut: ``before``: the COMMIT never reaches the server; ``after``: it does, and its answer is lost.
        times: how many COMMITs of a delivery to cut.
        cuts: how many were cut.
    """

    url: str
    cut: Cut
    times: int
    cuts: int = 0
    _sockets: list[socket.socket] = field(default_factory=list)
    _muted: set[socket.socket] = field(default_factory=set)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        self._target = make_url(self.url)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._begin(self._accept)
        return self

    def __exit__(self, *_: object) -> None:
        every = (self._listener, *self._sockets)
        self._end(*every)
        for one in every:
            one.close()
        for thread in self._threads:
            thread.join(timeout=5)

    @property
    def through(self) -> str:
        """The URL that leads through here."""
        port = self._listener.getsockname()[1]
        return self._target.set(host="127.0.0.1", port=port).render_as_string(hide_password=False)

    def _begin(self, work, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection((self._target.host or "127.0.0.1", self._target.port or 5432))
            self._sockets += [client, server]
            self._begin(self._to_server, client, server)
            self._begin(self._to_client, server, client)

    def _to_server(self, client: socket.socket, server: socket.socket) -> None:
        loading = False
        with contextlib.suppress(OSError):
            while data := client.recv(1 << 16):
                loading = loading or b"INSERT INTO live_" in data or b"COPY live_" in data
                # psycopg sends COMMIT as a message of its own
                if loading and b"COMMIT\0" in data:
                    loading = False
                    if self.cuts < self.times:
                        self.cuts += 1
                        if self.cut == "before":
                            break
                        self._muted.add(server)
                server.sendall(data)
        self._end(client, server)

    def _to_client(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(1 << 16):
                if server in self._muted:  # this is the answer to COMMIT: it is done
                    break
                client.sendall(data)
        self._end(client, server)

    def _end(self, *sockets: socket.socket) -> None:
        for one in sockets:
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
