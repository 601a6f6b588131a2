"""``retention``: compress and remove what is old."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from daemon.cli.shared import json_option, opened, say

if TYPE_CHECKING:
    from daemon.retention import Retained


@click.command()
@click.option("--dry-run", is_flag=True, help="Only say what would be compressed and removed.")
@json_option()
@click.pass_obj
def retention(config: Path | None, dry_run: bool, as_json: bool) -> int:
    """Compress and remove what is old, as `retention` in the configuration says.

    The daily workflow does it by itself. Safe while the daemon runs, and to break off.
    """
    from daemon.retention import retain  # noqa: PLC0415

    with opened(config, changing=not dry_run) as (settings, store):
        found = retain(settings, store, dry=dry_run)
    say(found.as_dict() if as_json else found, _text, as_json=as_json)
    return 0


def _text(found: "Retained") -> str:
    from daemon.terminal import fitted, printable  # noqa: PLC0415

    would, files = ("would be " if found.dry else ""), found.files
    freed = "they have" if found.dry else "freed"
    lines = [
        f"files: {files.compressed:,} {would}compressed, {files.removed:,} {would}removed, {freed} {files.bytes_freed:,} bytes"
    ]
    if files.left:
        lines.append("left alone, for they have other bytes than were delivered, or no free name:")
        lines += [f"  {printable(path)}" for path in files.left]
    gone = [f"  {table}: {rows:,}" for table, rows in found.rows.items() if rows]
    lines += (
        [f"rows that {'would be' if found.dry else 'were'} removed:", *gone]
        if gone
        else ["rows: none is old enough"]
    )
    return fitted("\n".join(lines))
