"""What commands print for a person."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from daemon.logs import display_name

NOT_THERE = "not there"  # what a status says of an inbox that does not exist


def drain_table(summary: Any) -> dict[str, int]:
    """The figures of a drain."""
    return {
        "deliveries": summary.deliveries,
        "loaded": summary.loaded,
        "partial": summary.partial,
        "duplicate": summary.duplicate,
        "refused": summary.refused,
        "rows_loaded": summary.rows_loaded,
        "rows_rejected": summary.rows_rejected,
    }


@contextlib.contextmanager
def progress_bar(*, enabled: bool, of: str = "files") -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, if that is a terminal; ``of`` says what is counted."""
    if not enabled:
        yield lambda _done, _total: None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn  # noqa: PLC0415

    from daemon.terminal import may_colour  # noqa: PLC0415

    console = Console(stderr=True, color_system="auto" if may_colour() else None)
    with Progress(BarColumn(), MofNCompleteColumn(), of, TimeRemainingColumn(), console=console) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def verdict_text(verdict: Any, columns: int | None = None) -> str:
    """A dry run's verdict as lines.

    Args:
        verdict: what ``daemon.dry_run`` found.
        columns: the width; as wide as the terminal if it is not given.
    """
    from daemon import terminal  # noqa: PLC0415

    status = verdict.status
    if verdict.duplicate_of is not None:
        name = f" ({verdict.duplicate_name})" if verdict.duplicate_name else ""
        status = f"duplicate of delivery {verdict.duplicate_of}{name}"
    said = [("", f"{display_name(verdict.file)}: {status}")]
    said += [("  ", line) for line in _judgement(verdict)]
    if verdict.steps_back:
        said.append(
            ("  ", f"rows of other deliveries with the same keys, which step back: {verdict.steps_back:,}")
        )
    if verdict.difference:
        found = verdict.difference
        relation = "corrects" if verdict.beside is None else "beside"
        said.append(
            ("  ", f"{relation} delivery {found.delivery_id} ({found.old_rows:,} rows): {found.rows}")
        )
        said += [("    ", line) for line in map(_printable, found.lines())]
    said += [("  ", f"line {r['line']}: {r['message']} ({r['reason']})") for r in verdict.rejects]
    if verdict.rejected > len(verdict.rejects):
        said.append(("  ", f"… and {verdict.rejected - len(verdict.rejects):,} more (--most 0 shows all)"))
    room = columns or terminal.width()
    return "\n".join(
        line
        for indent, text in said
        for line in terminal.wrapped(_printable(text), room, first=indent, rest=f"{indent}  ")
    )


def _judgement(verdict: Any) -> Iterator[str]:
    """What a dry run says of the file alone."""
    from daemon.terminal import slot_name  # noqa: PLC0415

    if verdict.feed:
        yield f"feed {verdict.feed}, slot {slot_name(verdict.slot)}"
    if verdict.dialect:
        delimiter = {"\t": "tab"}.get(verdict.dialect.delimiter, verdict.dialect.delimiter)
        yield f"{verdict.dialect.encoding}, delimiter {delimiter}"
        if verdict.dialect.unknown:
            yield f"columns that the feed does not know, not loaded: {', '.join(verdict.dialect.unknown[:20])}"
    if verdict.reason:
        yield f"{verdict.reason.value}: {verdict.message}"
        yield verdict.remedy
    if verdict.fixes is not None:
        yield f"corrected rejects of delivery {verdict.fixes}: good rows join it"
    if verdict.extends is not None:
        yield f"begins with the bytes of delivery {verdict.extends}: only what follows is loaded"
    if verdict.rows or verdict.rejected or verdict.known:
        known = f", {verdict.known:,} loaded before" if verdict.known else ""
        rows = f"{verdict.rows:,} rows{' to load' if verdict.duplicate_of is None else ''}"
        yield f"{rows}, {verdict.rejected:,} rejects{known}"


def _printable(line: str) -> str:
    return display_name(line)


def status_text(picture: dict[str, Any]) -> str:
    """The picture of ``stockgrip status`` as a table."""
    from daemon import terminal  # noqa: PLC0415
    from handlers.alerts.rules import Severity  # noqa: PLC0415

    headings = ("feed", "last delivery", "status", "at (UTC)", "waiting", "errors/", "rows today")
    rows = []
    begin = 0 if terminal.width() >= 100 else len("2026-")  # noqa: PLR2004  (the name needs the room more)
    for feed in picture["feeds"]:
        last = feed["last"] or {}
        counts = (
            "?" if feed[name] is None else f"{feed[name]:,}"
            for name in ("waiting", "in_errors", "rows_today")
        )
        at = last.get("at", "-")[begin:16].replace("T", " ")
        rows.append((feed["feed"], _printable(last.get("file", "-")), last.get("status", "-"), at, *counts))
    database = picture["database"]
    state = "up" if database["made"] else "not there yet: the first run or drain makes it"
    if not database["up"]:
        state = f"unavailable: {database['error']}"
    lines = [
        "",
        f"inbox     {picture['inbox']}{_trouble(picture['inbox_error'])}",
        f"database  {database['url']} ({state})",
    ]
    if picture["unfinished"]:
        lines.append(f"claimed   {picture['unfinished']} files in work")
    if picture["ignored"]:
        lines.append(f"ignored   {', '.join(picture['ignored'])} (no regular files)")
    if picture["unreadable"]:
        lines.append(
            f"closed    {', '.join(picture['unreadable'])} (may not be read: chmod g+r, and it is loaded)"
        )
    if behind := _behind(picture["due"]):
        lines.append(f"due       {behind} (the daemon does it when no file waits, or `stockgrip drain`)")
    if firing := picture["firing"]:
        firing_text = ", ".join(
            f"{firing[severity]:,} {severity}" for severity in Severity if severity in firing
        )
        lines.append(f"alerts    {firing_text} (`stockgrip alerts` lists them)")
    lines += _untold(picture["unsent"])
    lines += _of_daemon(picture["daemon"])
    below = (terminal.fitted(_printable(line)) for line in lines)
    return "\n".join((terminal.table(headings, rows, "last delivery", headings[4:]), *below))


def _untold(unsent: Mapping[str, Any] | None) -> Iterator[str]:
    """The line about what nobody has been told yet."""
    found = unsent or {"notices": 0, "letters": {}}
    letters, notices = found["letters"], found["notices"]
    parts = [
        f"{count:,} letter{'s' * (count != 1)} by {channel}" for channel, count in sorted(letters.items())
    ]
    if notices:
        news = "1 piece of news waits" if notices == 1 else f"{notices:,} pieces of news wait"
        parts.append(f"{news} for the next letter or the daily digest")
    if parts:
        yield f"unsent    {'; '.join(parts)}"


def _of_daemon(daemon: Mapping[str, Any] | None) -> Iterator[str]:
    """The line about what the daemon says of itself."""
    if daemon is None:
        return
    if daemon["ready"] is None:
        yield f"daemon    {daemon['error']}"
    elif daemon["ready"]:
        yield f"daemon    ready ({daemon['phase']})"
    else:
        yield f"daemon    not ready: {'; '.join(reason['message'] for reason in daemon['reasons'])}"


def _behind(due: Mapping[str, int] | None) -> str:
    """What of features and quality is to be done."""
    found = due or {}
    parts = (("products", "features of {:,} products"), ("days", "quality of {:,} days"))
    return ", ".join(text.format(found[name]) for name, text in parts if found.get(name))


def _trouble(error: str | None) -> str:
    if error is None:
        return ""
    return f" ({error})" if error == NOT_THERE else f" ({error}: `stockgrip doctor` tells more)"


def retried_text(found: dict[str, Any]) -> str:
    """What ``stockgrip retry`` did."""
    from daemon import terminal  # noqa: PLC0415

    lines = []
    for each in found["retried"]:
        forced = ", and will not be held back for that again" if each["forced"] else ""
        was = "taken out" if each["reason"] == "unloaded" else f"refused: {each['reason']}"
        lines.append(
            f"{_printable(each['file'])}: back in live_feeds/ (delivery {each['delivery_id']} was {was}{forced})"
        )
    lines += [_printable(message) for message in found["failed"]]
    return terminal.fitted("\n".join(lines)) or "nothing that was refused lies in errors/"


def unload_question(row: Mapping[str, Any]) -> str:
    """What ``stockgrip unload`` asks."""
    return (
        f"Take out delivery {row['id']} ({_printable(row['file_name'])}, {row['records_successful']:,} rows)?"
    )


def unloaded_text(found: list[dict[str, Any]]) -> str:
    """What ``stockgrip unload`` did."""
    from daemon import terminal  # noqa: PLC0415

    lines = []
    for each in found:
        place = f"its file is {_printable(each['path'])}" if each["path"] else "its file is nowhere any more"
        lines.append(
            f"delivery {each['delivery_id']} ({_printable(each['file'])}, {each['rows']:,} rows) is taken out; {place}"
        )
        lines += [f"  delivery {older} counts again" for older in each["back"]]
    return terminal.fitted("\n".join(lines))
