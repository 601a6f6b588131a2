"""Mail servers for tests: one that takes letters, one that never answers, one that drips."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope

from support.http import free_port

HOST = "127.0.0.1"


@dataclass
class Mailbox:
    """What a mail server took, and how it is to answer.

    Attributes:
        port: where it listens.
        letters: what it took, with the recipients.
        codes: recipients that it does not take, with the answer.
        answer: to a whole letter.
        taken: called when a letter is whole, before the answer.
    """

    port: int
    letters: list[tuple[EmailMessage, list[str]]] = field(default_factory=list)
    codes: dict[str, str] = field(default_factory=dict)
    answer: str = "250 taken"
    taken: Callable[[], None] = lambda: None

    @property
    def subjects(self) -> list[str]:
        """Of what it took."""
        return [str(message["Subject"]) for message, _ in self.letters]

    @property
    def ids(self) -> list[str]:
        """The Message-IDs of what it took."""
        return [str(message["Message-ID"]) for message, _ in self.letters]

    async def handle_RCPT(  # noqa: N802  (aiosmtpd's name)
        self, _server: Any, _session: Any, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        if address in self.codes:
            return self.codes[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Envelope) -> str:  # noqa: N802
        content = envelope.content
        raw = content if isinstance(content, bytes) else str(content).encode()
        message = message_from_bytes(raw, policy=policy.default)
        assert isinstance(message, EmailMessage)
        self.letters.append((message, list(envelope.rcpt_tos)))
        self.taken()
        return self.answer


@contextlib.contextmanager
def mail_server(port: int | None = None, password: str | None = None, **options: Any) -> Iterator[Mailbox]:
    """A mail server on this host; with a password only ``user`` may send.

    Keyword arguments are aiosmtpd's: ``tls_context`` offers STARTTLS, ``ssl_context`` speaks TLS from the first byte.
    """

    def check(_server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        well = (data.login, data.password) == (b"user", str(password).encode())
        return AuthResult(success=well, handled=False)

    box = Mailbox(port or free_port())
    if password is not None:
        tls = "tls_context" in options or "ssl_context" in options
        options |= {
            "authenticator": check,
            "auth_required": True,
            "auth_require_tls": "tls_context" in options,
        }
        assert tls
    controller = Controller(box, hostname=HOST, port=box.port, **options)
    controller.start()
    try:
        yield box
    finally:
        controller.stop()


@contextlib.contextmanager
def stalling_server(drip: bytes = b"") -> Iterator[tuple[int, threading.Event]]:
    """A server that accepts and never answers, or says the same byte again and again; its port, and when somebody came."""
    came, over = threading.Event(), threading.Event()
    with socket.create_server((HOST, 0)) as listening:
        listening.settimeout(0.05)

        def serve() -> None:
            held: list[socket.socket] = []
            while not over.wait(0.02):
                with contextlib.suppress(OSError):
                    held.append(listening.accept()[0])
                    came.set()
                for each in held:
                    with contextlib.suppress(OSError):
                        each.sendall(drip)
            for each in held:
                each.close()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield listening.getsockname()[1], came
        finally:
            over.set()
            thread.join()
