"""Letters by HTTP: a POST of JSON, signed, and taken for delivered when the answer is 2xx."""

import hashlib
import hmac
import http.client
import json
import socket
import time
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any
from urllib.parse import quote, urlsplit

from daemon.alert_settings import WebhookSettings
from daemon.alerts.secret import read_secret
from daemon.alerts.sending import Deadline, NotSent, Sent, in_words, trusting
from handlers.alerts.letter import compose

_PATH = "/%:@!$&'()*+,;=~-._?"
_ANSWER = 4096  # bytes that are read of one
_WELL, _REDIRECTS = range(200, 300), range(300, 400)


def body_of(facts: Mapping[str, Any]) -> bytes:
    """The JSON of a letter: what is known, with ``subject`` and ``text`` in words (chat programs show ``text``)."""
    letter = compose(facts)
    return json.dumps({**facts, "subject": letter.subject, "text": letter.text}, ensure_ascii=True).encode()


def signature(key: str, timestamp: str, body: bytes) -> str:
    """What ``X-Stockgrip-Signature`` says: HMAC-SHA-256 of the timestamp, a dot, and the body."""
    return "sha256=" + hmac.new(key.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def send(facts: Mapping[str, Any], webhook: WebhookSettings, deadline: Deadline) -> Sent:
    """Posts a letter.

    Args:
        facts: what it tells.
        webhook: where to.
        deadline: cuts the connection.

    Raises:
        NotSent: the answer was none, or not 2xx. The message holds neither the URL, which may be a secret, nor the key.
    """
    parts = urlsplit(str(webhook.url))
    where = f"webhook at {parts.hostname}"
    body = body_of(facts)
    key = read_secret(webhook.secret_env, webhook.secret_file, webhook.secret_credential)
    connection = _Connection(webhook, deadline)
    target = quote(parts.path or "/", safe=_PATH) + (
        f"?{quote(parts.query, safe=_PATH)}" if parts.query else ""
    )
    try:
        connection.request("POST", target, body, _headers(facts, key, body))
        answer = connection.getresponse()
        answer.read(_ANSWER)
    except (OSError, http.client.HTTPException) as error:
        raise NotSent(f"{where}: {in_words(error, deadline)}") from None
    finally:
        connection.close()
    if answer.status in _REDIRECTS:
        raise NotSent(
            f"{where}: it answers {answer.status}, a redirect, which is not followed: correct the url"
        )
    if answer.status not in _WELL:
        raise NotSent(f"{where}: it answers {answer.status}")
    return Sent()


def _headers(facts: Mapping[str, Any], key: str | None, body: bytes) -> dict[str, str]:
    timestamp = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": f"stockgrip-live/{version('stockgrip-live')}",
        "Idempotency-Key": facts["letter"],
        "X-Stockgrip-Timestamp": timestamp,
    }
    return headers if key is None else {**headers, "X-Stockgrip-Signature": signature(key, timestamp, body)}


class _Connection(http.client.HTTPConnection):
    """A connection that the deadline watches, with TLS if the URL asks for it."""

    def __init__(self, webhook: WebhookSettings, deadline: Deadline) -> None:
        parts = urlsplit(str(webhook.url))
        self._context = trusting(webhook.ca_file) if parts.scheme == "https" else None
        self._deadline, self._seconds = deadline, webhook.timeout_seconds
        if self._context:
            self.default_port = http.client.HTTPS_PORT
        super().__init__(parts.hostname or "", parts.port)

    def connect(self) -> None:
        connection: socket.socket = self._deadline.connect(self.host, self.port, self._seconds)
        self.sock = (
            self._context.wrap_socket(connection, server_hostname=self.host) if self._context else connection
        )
