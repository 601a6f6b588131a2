"""What to do about a result, with the exact command."""

import shlex
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Any

from daemon.quality_view.why import Rejected
from daemon.store.quality_view import Recorded
from handlers.quality.result import Status

_MOST = 3


def steps(
    row: Recorded, rejected: Rejected, day: date | None, config: Path | None = None
) -> list[dict[str, Any]]:
    """Steps, each a text and a command or None.

    Args:
        row: the result.
        rejected: the deliveries of the day of which rows were rejected, the worst first.
        day: the business day.
        config: the configuration file that was named.
    """
    program = f"stockgrip --config {shlex.quote(str(config))}" if config else "stockgrip"
    calm = {
        Status.INSUFFICIENT_HISTORY: "Nothing: it is judged as soon as enough days have come.",
        Status.PENDING: "Nothing yet: it is judged when its deadline has passed.",
        Status.PASS: "Nothing.",
        Status.SKIPPED: "Nothing.",
    }.get(Status(row.status))
    if calm:
        return [_step(calm)]
    if row.status == Status.ERROR:
        return [_step("See what the daemon's log says of it, then look at this host:", f"{program} doctor")]
    if row.metric == "timeliness":
        return [
            _step("See whether a file waits or was refused:", f"{program} status"),
            _step("See what came last:", f"{program} log --feed {row.feed} --most 5"),
            _step("If nothing is there, ask the sender; the delay ends with the next delivery."),
        ]
    mend = _mend(program, rejected) if row.metric == "accuracy" else []
    return mend or [
        _step("See what came for the day:", _came(program, row, day)),
        *_CAUSES[row.metric](program),
    ]


def _mend(program: str, rejected: Rejected) -> list[dict[str, Any]]:
    found = [
        _step(f"Rejects of {file}, and how to mend them:", f"{program} explain {key}")
        for key, file, _, _ in rejected[:_MOST]
    ]
    if len(rejected) > _MOST:
        found.append(_step(f"… and of {len(rejected) - _MOST:,} more files."))
    return found


def _came(program: str, row: Recorded, day: date | None) -> str:
    if day is None:
        return f"{program} log --feed {row.feed}"
    return f"{program} log --feed {row.feed} --name '*{day:%Y%m%d}*'"


def _step(text: str, command: str | None = None) -> dict[str, Any]:
    return {"text": text, "command": command}


_CAUSES: Mapping[str, Callable[[str], list[dict[str, Any]]]] = {
    "completeness": lambda program: [
        _step("See whether files wait or were refused:", f"{program} status"),
        _step("Ask those who are missing to send the day; what comes late is judged anew."),
    ],
    "accuracy": lambda _: [],
    "consistency": lambda _: [
        _step(
            "Compare what breaks the rule with its source. A corrected file of the same name replaces the day."
        )
    ],
    "anomaly_score": lambda _: [
        _step(
            "Look for a cause: a promotion, a closed shop, a holiday. If rows are lost or double, have the file sent again"
            " under the same name: it replaces the day."
        )
    ],
}
