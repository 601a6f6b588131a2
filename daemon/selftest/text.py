"""What the check found, for a person."""

from typing import Any

from daemon.selftest.run import Part, Report
from daemon.terminal import fitted, printable

_SHOWN = 10  # failed checks of a part
_LONG = 300  # characters of a value


def report_text(report: Report) -> str:
    """A line for each part, what did not agree below it, and a verdict."""
    lines = [line for part in report.parts for line in _part(part)]
    failed = sum(not check.ok for part in report.parts for check in part.checks)
    count = sum(len(part.checks) for part in report.parts)
    if report.passed:
        kind = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}[report.database]
        lines.append(f"all {count} checks passed in {report.seconds:.1f} s, on {kind}")
    else:
        lines.append(f"{failed} of {count} checks failed: this program must not be trusted with data")
    if report.remark:
        lines.append(printable(report.remark))
    if report.kept is not None:
        lines.append(f"kept: {printable(str(report.kept))} (selftest.log, data/)")
    elif not report.passed:
        lines.append("`stockgrip selftest --keep` leaves the folder with its log for a look")
    return fitted("\n".join(lines))


def _part(part: Part) -> list[str]:
    name = part.name.replace("_", " ")
    failed = [check for check in part.checks if not check.ok]
    verdict = f"FAIL  {len(failed)} of" if failed or not part.checks else "ok   "
    lines = [f"{name:<24}{verdict} {len(part.checks)} checks, {part.seconds:.1f} s"]
    for check in failed[:_SHOWN]:
        lines.append(f"  {check.name}")
        lines.append(f"    expected {_value(check.expected)}")
        lines.append(f"    found    {_value(check.found)}")
        if check.hint:
            lines.append(f"    {_value(check.hint)}")
    if len(failed) > _SHOWN:
        lines.append(f"  … and {len(failed) - _SHOWN} more (--json shows all)")
    return lines


def _value(value: Any) -> str:
    text = printable(value if isinstance(value, str) else "nothing" if value is None else str(value))
    return text if len(text) <= _LONG else f"{text[:_LONG]}…"
