"""What was measured, as a table: a line for each client, a column for each thing that was done with it."""

from clients.campaign import Sent

SCENARIOS = ("complete", "slow", "stalled", "resumed", "late")
_found: dict[str, dict[str, Sent]] = {}


def note(scenario: str, sent: dict[str, Sent]) -> None:
    """Keeps what was measured."""
    for way, each in sent.items():
        _found.setdefault(way, {})[scenario] = each


def lines() -> list[str]:
    """The table, if there is anything to tell."""
    if not _found:
        return []
    head = (
        f"| {'client':36} | "
        + " | ".join(f"{name:8}" for name in SCENARIOS)
        + " | cut: what lay there, and when it was taken |"
    )
    return [head, *(_line(way, sent) for way, sent in _found.items())]


def _line(way: str, sent: dict[str, Sent]) -> str:
    cells = [f"{sent[name].seconds or 0:8.1f}" if name in sent else " " * 8 for name in SCENARIOS]
    late = sent.get("late")
    cut = ""
    if late is not None:
        after = f"after {late.taken_after:.1f} s" if late.taken_after is not None else "never"
        cut = f"{', '.join(late.was) or 'nothing'}: {after}"
    return f"| {way:36} | {' | '.join(cells)} | {cut} |"
