"""Letters into the log: a line for each alert that is told, and for each that has ended."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from daemon.alerts.sending import Sent
from daemon.events import Event
from daemon.logs import emit


def send(facts: Mapping[str, Any]) -> Sent:
    """Writes the lines of a letter.

    Args:
        facts: what it tells.
    """
    for alert in facts["alerts"]:
        what = {name: alert[name] for name in ("rule", "severity", "feed", "scope", "day", "summary")}
        whose = {"delivery": alert["delivery"]["id"]} if alert["delivery"] else {}
        if alert["state"] == "resolved":
            begun, ended = (datetime.fromisoformat(alert[name]) for name in ("first_at", "resolved_at"))
            seconds = round((ended - begun).total_seconds())
            emit(Event.ALERT_RESOLVED, alert=alert["id"], lasted_seconds=seconds, **what, **whose)
        else:
            again = alert["state"] == "repeat"
            emit(Event.ALERT_FIRING, alert=alert["id"], again=again, **what, **whose)
    return Sent()
