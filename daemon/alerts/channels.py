"""The channels by which letters go out, and a test of them."""

import hashlib
import socket
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

from daemon.alerts.sending import Deadline, Sent
from daemon.errors import TransientError
from daemon.settings import Settings

_LOG_SECONDS = 5.0


def seconds_of(settings: Settings, channel: str) -> float:
    """How long a letter may take by a channel."""
    alerts = settings.alerts
    limits = {"mail": alerts.mail.deadline_seconds, "webhook": alerts.webhook.timeout_seconds}
    return limits.get(channel, _LOG_SECONDS)


def send(
    settings: Settings, channel: str, facts: Mapping[str, Any], deadline: Deadline, done: Sequence[str] = ()
) -> Sent:
    """Sends a letter by a channel.

    Args:
        settings: of the daemon.
        channel: ``mail``, ``webhook`` or ``log``.
        facts: what it tells.
        deadline: cuts the connection.
        done: recipients that need no further try.

    Raises:
        TransientError: it could not be sent, or a password not be read.
    """
    match channel:  # what a channel needs is loaded when it is used: the daemon starts without
        case "mail":
            from daemon.alerts import smtp  # noqa: PLC0415

            return smtp.send(facts, settings.alerts.mail, deadline, done)
        case "webhook":
            from daemon.alerts import webhook  # noqa: PLC0415

            return webhook.send(facts, settings.alerts.webhook, deadline)
        case _:
            from daemon.alerts import logbook  # noqa: PLC0415

            return logbook.send(facts)


def send_test(settings: Settings) -> list[tuple[str, bool, str]]:
    """Sends a letter that says it is a test, by every channel that is switched on.

    Returns:
        For each channel: its name, whether it took the letter, and what it said.
    """
    facts = facts_from_memory(
        settings, "test", datetime.now(UTC), "alerts of Stock GRIP Live come by this way"
    )
    found = []
    for channel in settings.alerts.channels:
        try:
            with Deadline(seconds_of(settings, channel)) as deadline:
                sent = send(settings, channel, facts, deadline)
        except TransientError as error:
            found.append((channel, False, str(error)))
            continue
        trouble = [f"{address}: {why}" for address, why in (*sent.refused.items(), *sent.later.items())]
        found.append((channel, not trouble, "; ".join(trouble) or _taken_by(settings, channel)))
    return found


def _taken_by(settings: Settings, channel: str) -> str:
    if channel == "mail":
        mail = settings.alerts.mail
        return f"taken by {mail.host}:{mail.port} for {', '.join(mail.to)}"
    return "taken" if channel == "webhook" else "written"


def facts_from_memory(
    settings: Settings,
    kind: str,
    begun: datetime,
    summary: str,
    *,
    severity: str = "info",
    ended: datetime | None = None,
    replies_to: Sequence[str] = (),
) -> dict[str, Any]:
    """What a letter tells that is about nothing in the database.

    Args:
        settings: of the daemon.
        kind: of the letter; also its rule.
        begun: when it began.
        summary: what happened.
        severity: of it.
        ended: when it was over; None: it is not.
        replies_to: the letter about its beginning.
    """
    zone = ZoneInfo(settings.timezone)
    first, last = (at.astimezone(zone).isoformat(timespec="seconds") for at in (begun, ended or begun))
    state = "firing" if ended is None else "resolved"
    host = socket.gethostname()
    alert = {
        "id": 0,
        "rule": kind,
        "severity": severity,
        "feed": "",
        "scope": "",
        "times": 1,
        "key": f"{kind}|||",
        "state": state,
        "day": None,
        "details": {},
        "first_at": first,
        "last_at": last,
        "resolved_at": None if ended is None else last,
        "delivery": None,
        "rejects": [],
        "summary": summary,
    }
    return {
        "version": 1,
        "letter": hashlib.sha256(
            f"{kind}|{state}|{host}|{settings.data_dir}|{begun.isoformat()}".encode()
        ).hexdigest()[:32],
        "kind": kind if ended is None else "resolved",
        "severity": severity,
        "feed": None,
        "created_at": last,
        "host": host,
        "data_dir": str(settings.data_dir),
        "timezone": settings.timezone,
        "replies_to": list(replies_to),
        "count": 1,
        "alerts": [alert],
    }
