"""The thread that answers. Whatever becomes of it, the work goes on: it only looks."""

import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from daemon.events import Event
from daemon.health_settings import address_of, in_words
from daemon.logs import emit, observe, unobserve
from daemon.settings import Settings
from daemon.vitals import Vitals

if TYPE_CHECKING:
    import uvicorn

    from daemon.health.answers import Answers, Heard

RETRY = 5.0  # seconds until a port that is taken is tried again
_MOST_HEARD = 100_000  # events that are not counted yet: they are counted each second
_MOST_CONNECTIONS = (
    64  # whoever leaves more open leaks them: the files that the daemon may open are not theirs
)
_ENDING = 2.0  # seconds
_REMEDY = "find who has it (`ss -ltnp`), or set another health.listen and reload"
_COUNTED = frozenset(
    {
        *(Event.DELIVERY_LOADED, Event.DELIVERY_PARTIAL, Event.DELIVERY_DUPLICATE),
        *(Event.STEP_TIMED, Event.INTAKE_RESUMED, Event.INBOX_BACK),
        *(event for event in Event if event.level in ("warning", "error")),
    }
)


@dataclass(slots=True)
class Health:
    """Answers over HTTP how the daemon is, if the settings say where.

    Attributes:
        settings: of the daemon.
        vitals: of its loop.
        threads_well: whether the loop's helpers live; called in our thread.
    """

    settings: Settings
    vitals: Vitals
    threads_well: Callable[[], bool] = lambda: True
    _heard: "Heard" = field(default_factory=lambda: deque(maxlen=_MOST_HEARD))
    _answers: "Answers | None" = None
    _thread: threading.Thread | None = None
    _stop: threading.Event = field(default_factory=threading.Event)
    _server: "uvicorn.Server | None" = None
    _cause: str = ""

    # ---- called by the loop

    def start(self) -> None:
        """Begins to count, and to answer as soon as it can; returns at once."""
        if self.settings.health.listen is None or self._thread is not None:
            return
        unobserve(self._hear)
        observe(self._hear)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, args=(self._stop,), name="health", daemon=True)
        self._thread.start()

    def reload(self, settings: Settings) -> None:
        """Takes new settings on; what was counted stays."""
        moved = settings.health != self.settings.health
        if moved:
            self._end()
        self.settings = settings
        if moved:
            self._cause = ""
            self.start()

    def stop(self) -> None:
        """Answers no more, and counts no more; what is on its way is given a moment."""
        self._end()
        unobserve(self._hear)

    def _end(self) -> None:
        self._stop.set()
        server = self._server
        if server is not None:
            server.should_exit = True
        if self._thread is not None:
            self._thread.join(_ENDING)
            self._thread = None

    def _hear(self, event: Event, fields: Mapping[str, Any]) -> None:
        """Notes an event, in whichever thread: no lock, no wait."""
        if event in _COUNTED:
            self._heard.append((time.monotonic(), event, fields))

    # ---- the thread

    def _run(self, stop: threading.Event) -> None:
        while not stop.is_set():
            try:
                self._serve(stop)
            except OSError as error:
                self._say_unavailable(in_words(error))
            except Exception as error:  # noqa: BLE001  (whatever is wrong here is tried again; the work goes on)
                self._say_unavailable(f"{type(error).__name__}: {error}", exc_info=error)
            stop.wait(RETRY)
            if self._answers is not None:
                self._answers.count()  # so that what was heard does not pile up

    def _say_unavailable(self, why: str, **more: Any) -> None:
        if why != self._cause:
            self._cause = why
            listen = self.settings.health.listen
            emit(
                Event.HEALTH_UNAVAILABLE,
                listen=listen,
                error=why,
                remedy=_REMEDY,
                retry_seconds=RETRY,
                **more,
            )

    def _serve(self, stop: threading.Event) -> None:
        """Answers until it is to stop.

        Raises:
            OSError: the port cannot be had.
        """
        import uvicorn  # noqa: PLC0415  (this thread alone pays for it)

        from daemon.health.answers import Answers  # noqa: PLC0415

        listen = self.settings.health.listen or ""
        host, port = address_of(listen)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        answers = self._answers = self._answers or Answers(self.vitals, self.threads_well, self._heard)
        with socket.create_server((host, port), family=family, backlog=32) as listener:
            config = uvicorn.Config(
                answers.app(lambda: self.settings),
                loop="asyncio",
                http="h11",
                ws="none",
                lifespan="off",
                log_config=None,
                log_level="error",  # its warnings are about requests that are none
                access_log=False,
                server_header=False,
                proxy_headers=False,
                timeout_keep_alive=30,
                timeout_graceful_shutdown=1,
                timeout_notify=1,
                callback_notify=lambda: self._tend(stop),
            )
            self._server = uvicorn.Server(config)
            emit(Event.HEALTH_LISTENING, listen=listen)
            self._cause = ""
            try:
                self._server.run(sockets=[listener])
            finally:
                self._server = None

    async def _tend(self, stop: threading.Event) -> None:
        """Once a second: counts, and keeps the house."""
        server, answers = self._server, self._answers
        if server is None or answers is None:
            return
        answers.count()
        if stop.is_set():
            server.should_exit = True
        connections = list(server.server_state.connections)
        if len(connections) > _MOST_CONNECTIONS:
            for connection in connections:
                if connection.transport is not None:
                    connection.transport.abort()
