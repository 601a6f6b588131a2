"""Deliveries as a table that fits the terminal, for ``stockgrip log``."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import click
from rich.cells import cell_len

from daemon.story.text import coloured_status
from daemon.terminal import UNLIMITED, cropped, padded, printable, width, wrapped

Row = Mapping[str, Any]
_RIGHT = frozenset({"id", "rows", "rejects", "seconds"})
_LEAST = {"arrived": 16, "status": 9}
_STEADY = {"id": 6, "feed": 9, "rows": 9, "rejects": 7, "seconds": 7}  # nobody knows yet what will come
_LEFT_OUT = ("seconds", "feed")  # in this order, where there is no room; the file's name tells the feed
_NAME = 24  # columns that a file's name should have
_LEAST_ROOM = 20
_GAP = "  "


@dataclass(frozen=True, slots=True)
class Listing:
    """A table's form: columns of a width of their own, then the file and a note, which take what is left.

    Attributes:
        columns: name to width, in their order.
        room: for the file and the note; 0 if the terminal is too narrow for a table: then each delivery has some lines.
        names: the width of the column of names.
        total: the terminal's width.
        zone: of the times.
    """

    columns: Mapping[str, int]
    room: int
    names: int
    total: int
    zone: ZoneInfo

    @classmethod
    def of(cls, rows: Sequence[Row], zone: ZoneInfo, *, steady: bool = False) -> "Listing":
        """The form that fits some rows, or with ``steady`` also others that come later."""
        total = width()
        cells = [_cells(row, zone) for row in rows]
        least = _LEAST | (_STEADY if steady else {})
        columns = {
            name: max([cell_len(heading), least.get(name, 0), *(cell_len(each[name]) for each in cells)])
            for name, heading in _headings(zone).items()
        }
        longest = max([len("file"), *(cell_len(printable(row["file_name"])) for row in rows)])
        for name in _LEFT_OUT:
            if _room(columns, total) < min(longest, _NAME):
                del columns[name]
        room = _room(columns, total)
        room = 0 if room < _LEAST_ROOM else room
        return cls(columns, room, min(longest, max(room, 0)), total, zone)

    def head(self) -> str:
        """The headings; nothing where each delivery has lines of its own."""
        if not self.room:
            return click.style(f"times: {self.zone.key}", dim=True)
        headings = _headings(self.zone)
        shown = [padded(headings[name], size, right=name in _RIGHT) for name, size in self.columns.items()]
        beside = [padded("file", self.names), "note"] if self.names + len("  note") <= self.room else ["file"]
        return click.style(_GAP.join([*shown, *beside]), bold=True)

    def line(self, row: Row) -> str:
        """A delivery."""
        cells, name, told = _cells(row, self.zone), printable(row["file_name"]), note(row)
        if not self.room:
            return self._lines(cells, name, told)
        shown = [
            coloured_status(cells[column], padded(cells[column], size))
            if column == "status"
            else padded(cells[column], size, right=column in _RIGHT)
            for column, size in self.columns.items()
        ]
        if not told:
            return _GAP.join([*shown, cropped(name, self.room)])
        if self.total >= UNLIMITED or self.names + len(_GAP) + cell_len(told) <= self.room:
            named = name if self.total >= UNLIMITED else cropped(name, self.names)
            return _GAP.join([*shown, padded(named, max(self.names, cell_len(named))), told])
        indent = " " * (self.total - self.room)
        return "\n".join([_GAP.join([*shown, cropped(name, self.room)]), *wrapped(told, self.total, indent)])

    def _lines(self, cells: Mapping[str, str], name: str, told: str) -> str:
        """For a narrow terminal: the id in front, the rest below each other."""
        begin = f"{cells['id']}{_GAP}{coloured_status(cells['status'])}"
        beside = cell_len(f"{cells['id']}{_GAP}{cells['status']}{_GAP}{cells['arrived']}") <= self.total
        lines = [f"{begin}{_GAP}{cells['arrived']}" if beside else begin]
        rows = f"{cells['rows']} rows" + (f", {cells['rejects']} rejects" if cells["rejects"] != "-" else "")
        for text in (*(() if beside else (cells["arrived"],)), rows, told):
            lines += wrapped(text, self.total, _GAP) if text else []
        lines.insert(1, f"{_GAP}{cropped(name, self.total - len(_GAP))}")
        return "\n".join(lines)


def note(row: Row) -> str:
    """What is to be said of a delivery besides its figures."""
    told = [f"corrects {other}" for other in row["supersedes"]]
    if row["fixes"]:
        told += [
            f"rejects of {row['fixes']}, unchanged"
            if row["status"] == "duplicate"
            else f"fixes {row['fixes']}"
        ]
    elif row["duplicate_of"]:
        told += [f"duplicate of {row['duplicate_of']}"]
    told += [f"extends {row['extends']}"] if row["extends"] else []
    told += [f"retry of {row['retry_of']}"] if row["retry_of"] else []
    told += [str((row["error_details"] or {}).get("reason", ""))] if row["status"] == "failed" else []
    unknown = (row["error_details"] or {}).get("unknown_columns") or []
    if unknown and row["status"] != "failed":
        told += [f"unknown column {unknown[0]}" if len(unknown) == 1 else f"{len(unknown)} unknown columns"]
    told += ["forced"] if row["forced_at"] else []
    told += [f"superseded by {row['superseded_by']}"] if row["superseded_by"] else []
    return printable(", ".join(filter(None, told)))


def _headings(zone: ZoneInfo) -> dict[str, str]:
    return {
        "id": "id",
        "arrived": f"arrived ({zone.key.rpartition('/')[2]})",
        "feed": "feed",
        "status": "status",
        "rows": "rows",
        "rejects": "rejects",
        "seconds": "seconds",
    }


def _cells(row: Row, zone: ZoneInfo) -> dict[str, str]:
    seconds = row["processing_time_seconds"]
    return {
        "id": str(row["id"]),
        "arrived": f"{row['timestamp'].astimezone(zone):%Y-%m-%d %H:%M}",
        "feed": row["file_type"] or "-",
        "status": row["status"],
        "rows": f"{row['records_successful']:,}",
        "rejects": _rejects(row),
        "seconds": "-" if seconds is None else f"{seconds:.2f}",
    }


def _rejects(row: Row) -> str:
    """How many rows are rejected; of a file that was refused as a whole, how many were found to be bad, if any."""
    if row["status"] != "failed":
        return f"{row['records_failed']:,}"
    bad = sum(((row["error_details"] or {}).get("reasons") or {}).values())
    return f"{bad:,}" if bad else "-"


def _room(columns: Mapping[str, int], total: int) -> int:
    """What columns leave for the file and its note."""
    return total - sum(columns.values()) - len(_GAP) * len(columns)
