"""The letter that the service has failed, sent by systemd's OnFailure when nothing of the daemon runs any more.

``python -m daemon.last_words --config FILE UNIT``. It needs neither the database nor the daemon, only the configuration.
What cannot be sent is said on stderr, which is the journal.
"""

import argparse
import os
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

KIND = "daemon_failed"


def summary_of(unit: str, environ: Mapping[str, str]) -> str:
    """What happened, as far as systemd tells it in the variables ``MONITOR_…`` (systemd.exec(5))."""
    result = environ.get("MONITOR_SERVICE_RESULT", "")
    code, status = environ.get("MONITOR_EXIT_CODE", ""), environ.get("MONITOR_EXIT_STATUS", "")
    if code == "exited" and status == "78":
        why = "its configuration is wrong (exit status 78)"
    elif code == "exited":
        why = f"it ended with exit status {status}"
    elif code:
        why = f"it was killed by SIG{status}"
    else:
        why = "systemd does not say why"
    if result == "watchdog":
        why += ", because it hung"
    elif result == "start-limit-hit":
        why += ", too often to be started again"
    return f"{unit} has failed and is not running: {why}; `journalctl -u {unit} -n 50` has its last words"


def main(arguments: Sequence[str] | None = None) -> int:
    """Sends the letter by each channel that is configured; 0 if all took it, or there is none."""
    parser = argparse.ArgumentParser(
        prog="daemon.last_words", description="Tell that the service has failed."
    )
    parser.add_argument("--config", type=Path, required=True)
    parser.add_argument("unit")
    asked = parser.parse_args(arguments)
    said = summary_of(asked.unit, os.environ)
    print(said, file=sys.stderr)  # noqa: T201  (the journal, whatever becomes of the letter)

    from daemon.alerts.channels import facts_from_memory, seconds_of, send  # noqa: PLC0415
    from daemon.alerts.sending import Deadline  # noqa: PLC0415
    from daemon.config import load_settings  # noqa: PLC0415
    from daemon.errors import ConfigError, TransientError  # noqa: PLC0415

    try:
        settings = load_settings(asked.config)
    except ConfigError as error:
        print(f"nobody can be told: {error}", file=sys.stderr)  # noqa: T201
        return 1
    facts = facts_from_memory(settings, KIND, datetime.now(UTC), said, severity="critical")
    failed = 0
    for channel in settings.alerts.channels:
        if channel == "log":
            continue  # said above
        try:
            with Deadline(seconds_of(settings, channel)) as deadline:
                send(settings, channel, facts, deadline)
        except TransientError as error:
            print(f"{channel}: {error}", file=sys.stderr)  # noqa: T201
            failed = 1
    return failed


if __name__ == "__main__":
    sys.exit(main())
