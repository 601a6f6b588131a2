"""A line between a client and a server: slow, stalled for a while, or cut, as lines are."""

import contextlib
import select
import socket
import threading
import time
from types import TracebackType
from typing import Self

_STEP = 0.02  # seconds


class Line:
    """Forwards TCP connections from a port of its own; what the client says goes at a limited speed.

    Args:
        port: the server's, on loopback.
    """

    def __init__(self, port: int) -> None:
        self._server = ("127.0.0.1", port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.rate = 0  # bytes a second; 0: as fast as it goes
        self.stalled = threading.Event()
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Cuts all connections; what is under way is lost."""
        self._closed.set()
        self._thread.join(5)
        self._listener.close()

    def _listen(self) -> None:
        threads = []
        while not self._closed.is_set():
            if select.select([self._listener], [], [], _STEP)[0]:
                near, _ = self._listener.accept()
                threads.append(threading.Thread(target=self._forward, args=(near,), daemon=True))
                threads[-1].start()
        for thread in threads:
            thread.join(5)

    def _forward(self, near: socket.socket) -> None:
        with near, contextlib.suppress(OSError), socket.create_connection(self._server) as far:
            both = {near: far, far: near}
            while not self._closed.is_set():
                ready = [far] if self.stalled.is_set() else [near, far]
                for side in select.select(ready, [], [], _STEP)[0]:
                    limit = max(512, int(self.rate * _STEP)) if side is near and self.rate else 1 << 16
                    data = side.recv(limit)
                    if not data:
                        return
                    both[side].sendall(data)
                    if side is near and self.rate:
                        time.sleep(len(data) / self.rate)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
