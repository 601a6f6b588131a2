"""What commands print for a person."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

from daemon.logs import display_name


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
def progress_bar(*, enabled: bool) -> Iterator[Callable[[int, int], None]]:
    """A progress bar on standard error, if that is a terminal."""
    if not enabled:
        yield lambda _done, _total: None
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn  # noqa: PLC0415

    with Progress(
        BarColumn(), MofNCompleteColumn(), "files", TimeRemainingColumn(), console=Console(stderr=True)
    ) as bar:
        task = bar.add_task("", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def verdict_text(verdict: Any) -> str:
    """A dry run's verdict as lines."""
    lines = [f"{display_name(verdict.file)}: {verdict.status}"]
    if verdict.feed:
        lines.append(f"  feed {verdict.feed}, slot {verdict.slot or '(none: it appends)'}")
    if verdict.dialect:
        delimiter = {"\t": "tab"}.get(verdict.dialect.delimiter, verdict.dialect.delimiter)
        lines.append(f"  {verdict.dialect.encoding}, delimiter {delimiter}")
        if verdict.dialect.unknown:
            lines.append(f"  not loaded, unknown columns: {', '.join(verdict.dialect.unknown[:20])}")
    if verdict.reason:
        lines += [f"  {verdict.reason.value}: {verdict.message}", f"  {verdict.reason.remedy}"]
    if verdict.rows or verdict.rejected:
        lines.append(f"  {verdict.rows:,} rows to load, {verdict.rejected:,} rejects")
    lines += [f"  line {r['line']}: {r['message']} ({r['reason']})" for r in verdict.rejects]
    if verdict.rejected > len(verdict.rejects):
        lines.append(f"  … and {verdict.rejected - len(verdict.rejects):,} more (--most 0 shows all)")
    return "\n".join(_printable(line) for line in lines)


def _printable(line: str) -> str:
    return "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in line)


def status_text(picture: dict[str, Any]) -> str:
    """The picture of ``stockgrip status`` as a table."""
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415

    table = Table("feed", box=None, pad_edge=False)
    table.add_column("last delivery", overflow="fold")
    table.add_column("status", no_wrap=True)
    table.add_column("at (UTC)", no_wrap=True)
    for name in ("waiting", "refused", "rows today"):
        table.add_column(name, justify="right")
    for feed in picture["feeds"]:
        last = feed["last"] or {}
        table.add_row(
            feed["feed"],
            _printable(last.get("file", "-")),
            last.get("status", "-"),
            last.get("at", "-")[:16].replace("T", " "),
            f"{feed['waiting']:,}",
            f"{feed['refused']:,}",
            f"{feed['rows_today']:,}",
        )
    console = Console(highlight=False)
    with console.capture() as capture:
        console.print(table)
    database = picture["database"]
    state = "up" if database["up"] else f"unavailable: {database['error']}"
    lines = [
        capture.get().rstrip(),
        "",
        f"inbox     {picture['inbox']}",
        f"database  {database['url']} ({state})",
    ]
    if picture["unfinished"]:
        lines.append(f"claimed   {picture['unfinished']} files in work")
    if picture["ignored"]:
        lines.append(
            f"ignored   {', '.join(_printable(name) for name in picture['ignored'])} (no regular files)"
        )
    return "\n".join(lines)
