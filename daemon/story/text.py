"""The story of a delivery for a person: what happened when, the rejects, its relatives, where the file is, what to do."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import click

from daemon.story.next_steps import is_leftover
from daemon.terminal import beginning, printable, slot_name, width, wrapped

_WAITED = {
    "still_changing": "it was still changing",
    "open_for_writing": "a process had it open for writing",
    "no_final_newline": "its last line did not end",
    "nul_tail": "it ended in NUL bytes",
    "temporary_name": "it has a temporary name: it is left alone until it is renamed",
    "no_regular_file": "it is no regular file (a folder, a link, a pipe): it is left alone",
    "unreadable": "it cannot be opened for reading",
    "fewer_rows_than_usual": "it had fewer rows than usual",
    "manifest_unfinished": "its manifest was not finished",
    "no_marker": "its marker was not there",
    "no_manifest": "its manifest was not there",
    "no_rename": "it was not renamed in",
}
_WAITS = {  # the same, of a file that waits now
    "open_for_writing": "a process has it open for writing",
    "no_final_newline": "its last line does not end: the upload may have broken off",
    "nul_tail": "it ends in NUL bytes: the transfer may have broken off",
    "no_marker": "its feed asks for a marker beside it (complete_when), such as NAME.csv.done: that is not there",
    "no_manifest": "its feed asks for a manifest beside it (complete_when), such as NAME.csv.sha256: that is not there",
}
_EVIDENCE = {
    "quiet": "it lay quiet",
    "lease": "no process had it open for writing",
    "rename": "it was renamed in",
    "marker": "its marker came",
    "manifest": "its manifest matched",
}
_COLOURS = {"success": "green", "partial": "yellow", "failed": "red"}
_VALUE = 80  # characters of a cell, or of a raw row, that are shown


def coloured_status(status: str, text: str | None = None) -> str:
    """A status, or a text in its colour; ``click.echo`` takes the colour out where none is wanted."""
    return click.style(
        text or status, fg=_COLOURS.get(status), dim=status in ("duplicate", "unloaded") or None
    )


def story_text(told: Mapping[str, Any]) -> str:
    """What ``daemon.story.tell`` found, as lines that fit the terminal."""
    page = _Page(width(), ZoneInfo(told["timezone"]))
    if told["waiting"]:
        page.waiting(told["waiting"])
    for story in told["deliveries"]:
        page.delivery(story)
    page.older(told["older"])
    return "\n".join(page.lines).rstrip("\n")


class _Page:
    """Lines of text, each within the width."""

    def __init__(self, columns: int, zone: ZoneInfo) -> None:
        self.lines: list[str] = []
        self._columns, self._zone = columns, zone
        self._day = ""

    def _say(self, text: str, first: str = "", rest: str | None = None) -> None:
        self.lines += wrapped(printable(text), self._columns, first, rest)

    def _head(self, text: str) -> None:
        self.lines += ["", click.style(text, bold=True)]

    # ---- one delivery

    def delivery(self, story: Mapping[str, Any]) -> None:
        """All of a delivery."""
        if self.lines:
            self.lines.append("")
        replaced = " (replaced)" if story["superseded_by"] else ""
        self._say(f"delivery {story['delivery']}: {story['file']}")
        self.lines.append(coloured_status(story["status"], story["status"] + replaced))
        self._day = ""
        self._head("What happened")
        for moment, texts in self._events(story):
            self._event(moment, texts)
        self._rejects(story)
        self._difference(story["difference"])
        self._files(story)
        self._head("What to do")
        self._steps(story["next"])

    def _steps(self, steps: Sequence[Mapping[str, str | None]]) -> None:
        """A command stands on a line of its own and is never broken: it is to be copied."""
        for step in steps:
            self._say(step["text"] or "", "  ")
            if step["command"]:
                self.lines.append(f"    {printable(step['command'])}")

    def _event(self, moment: str | None, texts: Sequence[str]) -> None:
        clock = "        "
        if moment is not None:
            at = datetime.fromisoformat(moment)
            if f"{at:%Y-%m-%d}" != self._day:
                self._day = f"{at:%Y-%m-%d}"
                zone = f" ({self._zone.key} in brackets)" if self._offset(at) else ""
                self._say(f"{self._day}, UTC{zone}", "  ")
            clock = f"{at:%H:%M:%S}{self._local(at)}"
        for text in texts:
            self._say(text, f"  {clock}  ")
            clock = " " * len(clock)

    def _offset(self, at: datetime) -> timedelta | None:
        return at.astimezone(self._zone).utcoffset()

    def _local(self, at: datetime) -> str:
        if not self._offset(at):
            return ""
        local = at.astimezone(self._zone)
        days = (local.date() - at.date()).days
        return f" ({local:%H:%M}{f' {days:+d} day' if days else ''})"

    def _events(self, story: Mapping[str, Any]) -> Iterator[tuple[str | None, list[str]]]:
        """What happened, in the order of time; what has no time of its own stands where it belongs."""
        if story["seen"]:
            yield story["seen"], ["seen in live_feeds/", *_complete(story)]
        texts = [f"claimed{_tries(story['attempts'])}"]
        texts += [] if story["seen"] else list(_complete(story))
        yield story["claimed"], [*texts, *_reading(story), *_outcome(story)]
        later = [(story["filed"], [f"filed to {story['places']['file']}"] if story["places"]["file"] else [])]
        later += [(fix["claimed"], [_fixed(fix)]) for fix in story["fixed_by"]]
        later += [(d["claimed"], [f"the same bytes came again: {_who(d)}"]) for d in story["duplicates"]]
        later += [(d["claimed"], [f"tried again: {_who(d)}"]) for d in story["retried_by"]]
        later += [(d["claimed"], [f"extended by {_who(d)}"]) for d in story["extended_by"]]
        later += [(d["claimed"], [f"replaced by {_who(d)}"]) for d in story["superseded_by"]]
        later.append((story["forced"], ["stockgrip retry --force: let it in when it comes again"]))
        why = f' ("{story["unloaded_why"]}")' if story["unloaded_why"] else ""
        later.append((story["rows_removed"], ["its rows of old days were removed (retention.data_days)"]))
        later.append((story["rejects_removed"], ["its rejected rows were removed (retention.rejects_days)"]))
        later.append((story["file_removed"], ["its file was removed (retention.files_days)"]))
        later.append((story["unloaded"], [f"unloaded{why}: its rows and rejects are out of the database"]))
        dated = [(moment, texts) for moment, texts in later if moment and texts]
        yield from sorted(dated, key=lambda pair: datetime.fromisoformat(pair[0]))

    def _rejects(self, story: Mapping[str, Any]) -> None:
        if not story["rejects"]:
            return
        total = sum(group["count"] for group in story["rejects"])
        loaded = story["status"] in ("success", "partial")
        self._head(f"Rejects: {_counted(total, story['rejects_open']) if loaded else f'{total:,}'}")
        for group in story["rejects"]:
            count = _counted(group["count"], group["open"]) if loaded else f"{group['count']:,}"
            meaning = f": {group['meaning']}" if group["meaning"] else ""
            self._say(f"{group['reason']} ({count}){meaning}", "  ")
            for reject in group["examples"]:
                by = f"; fixed by delivery {reject['fixed_by']}" if reject["fixed_by"] else ""
                cell = f", {reject['column']} {_short(reject['value'])!r}" if reject["column"] else ""
                self._say(f"line {reject['line']}{cell}: {reject['message']}{by}", "    ", "      ")
                if reject["raw"]:
                    row = printable(f"row: {_short(reject['raw'])}")
                    self.lines.append(f"      {beginning(row, self._columns - len('      '))}")
            left = group["count"] - len(group["examples"])
            if left > 0:
                self.lines.append(f"    … and {left:,} more")
            if group["remedy"]:
                self._say(group["remedy"], "    → ")

    def _difference(self, difference: Mapping[str, Any] | None) -> None:
        """What a correction that is held would change."""
        if not difference:
            return
        from daemon.difference import Difference  # noqa: PLC0415

        found = Difference.from_dict(difference)
        self._head(f"What it would change of delivery {found.delivery_id}")
        self._say(found.rows, "  ")
        for line in map(printable, found.lines()):
            self._say(line, "    ", "      ")

    def _files(self, story: Mapping[str, Any]) -> None:
        self._head("Where it is")
        places, told = story["places"], False
        all_fixed = bool(story["rejects"]) and not story["rejects_open"]
        for what, path, there, needed in (
            ("", places["file"], places["file_is_there"], True),
            ("rejects: ", places["rejects_file"], places["rejects_file_is_there"], not all_fixed),
            ("reason: ", places["reason_file"], places["reason_file_is_there"], True),
        ):
            if path and (there or needed):
                said = "" if there else " (not there any more)"
                if what == "reason: " and is_leftover(places):
                    said = " (left over: the file beside which it was put is not there)"
                self._say(f"{what}{path}{said}", "  ")
                told = True
        for path in (places["in_inbox"], places["in_work"]):
            if path:
                self._say(f"a file of this name lies at {path} now", "  ")
                told = True
        if not told:
            self.lines.append("  not filed yet")

    # ---- the others

    def older(self, deliveries: Sequence[Mapping[str, Any]]) -> None:
        """The earlier deliveries of a name, a line each."""
        if not deliveries:
            return
        self._head(f"Earlier ones of this name: {len(deliveries)} (--all tells them in full)")
        for each in deliveries:
            at = datetime.fromisoformat(each["claimed"])
            became = f", {each['rows_loaded']:,} rows loaded, {each['rows_rejected']:,} rejects"
            if each["status"] == "failed":
                became = f" ({each['reason']})" if each["reason"] else ""
            replaced = f", superseded by {each['superseded_by']}" if each["superseded_by"] else ""
            self._say(
                f"{each['delivery']}  {at:%Y-%m-%d %H:%M} UTC  {each['status']}{became}{replaced}",
                "  ",
                "    ",
            )

    def waiting(self, found: Mapping[str, Any]) -> None:
        """A file in the inbox."""
        self._say(f"live_feeds/{found['file']}: waiting")
        if found["size_bytes"] is not None:
            changed = datetime.fromisoformat(found["changed"])
            self._say(
                f"{found['size_bytes']:,} bytes, last changed {changed:%Y-%m-%d %H:%M:%S} UTC{self._local(changed)}",
                "  ",
            )
        if found["companion_of"]:
            self._say(f"it speaks of {found['companion_of']}, and is taken with it", "  ")
        if found["fixes"]:
            self._say(f"it corrects rejects of delivery {found['fixes']}", "  ")
        elif found["feed"]:
            self._say(f"feed {found['feed']}, slot {slot_name(found['slot'])}", "  ")
        if found["unroutable"]:
            self._say(f"it will be refused: {found['unroutable']}", "  ")
        if found["would_supersede"]:
            self._say(f"it would replace delivery {found['would_supersede']} of the same slot", "  ")
        if found["same_bytes_as"]:
            self._say(
                f"delivery {found['same_bytes_as']} loaded the same bytes: it would be a duplicate", "  "
            )
        for why in found["why"]:
            self._say(f"it waits: {_WAITS.get(why) or _WAITED.get(why, why)}", "  ")
        if not found["why"] and not found["companion_of"]:
            self._say(
                "one look finds nothing that holds it up; the daemon takes it when it has lain still for"
                " settle.quiet_seconds, and after the files before it",
                "  ",
            )
        self._head("What to do")
        self._steps(found["next"])


def _complete(story: Mapping[str, Any]) -> Iterator[str]:
    waited = [_WAITED.get(code, code) for code in story["waited"]]
    if waited:
        yield f"had to wait: {', '.join(waited)}"
    evidence = [_EVIDENCE.get(code, code) for code in story["evidence"]]
    if evidence:
        yield f"complete: {', '.join(evidence)}"


def _reading(story: Mapping[str, Any]) -> Iterator[str]:
    """How it was taken and read."""
    if story["sha256"]:
        yield f"{story['size_bytes']:,} bytes, SHA-256 {story['sha256'][:12]}…"
    if story["feed"]:
        yield f"feed {story['feed']}, slot {slot_name(story['slot'])}"
    elif story["reason"] != "unroutable":
        yield "no feed was looked for"
    if story["encoding"]:
        delimiter = {"\t": "tab", None: "?"}.get(story["delimiter"], story["delimiter"])
        yield f"{story['encoding']}, delimiter {delimiter}"
    if story["unknown_columns"]:
        yield f"columns that the feed does not know, not loaded: {', '.join(story['unknown_columns'])}"
    for name, text in (
        ("retry_of", "the same bytes as {}, again"),
        ("fixes", "corrects rejects of {}"),
        ("extends", "begins with the bytes of {}: only what follows is loaded"),
        ("supersedes", "replaces {}"),
    ):
        for other in story[name]:
            yield text.format(_who(other))


def _outcome(story: Mapping[str, Any]) -> Iterator[str]:
    rows = story["rows"]
    took = f", in {story['seconds']:.2f} s" if story["seconds"] is not None else ""
    if story["status"] == "duplicate":
        first = story["duplicate_of"]
        yield f"duplicate: the same bytes as {_who(first[0])}" if first else "duplicate"
        return
    if (
        rows["read"] and story["status"] == "failed"
    ):  # that all of them count as rejected is for the sums to agree
        yield f"{rows['read']:,} rows read, none loaded{took}"
    elif rows["read"]:
        open_now = " still" if story["fixed_by"] and rows["rejected"] else ""
        yield (
            f"{rows['read']:,} rows read: {rows['loaded']:,} loaded, {rows['rejected']:,}{open_now} rejected,"
            f" {rows['duplicate']:,} duplicate{took}"
        )
    if story["rows_set_aside"]:
        yield (
            f"{story['rows_set_aside']:,} of them came too late: the figures of their days stay as they are, for the rows behind"
            " those were removed (retention.data_days)"
        )
    if story["fixes"]:
        yield f"fixed {story['rejects_fixed_there']:,} rejects of delivery {story['fixes'][0]['delivery']}"
    if story["reason"]:
        held = "held" if story["reason"] == "shrunk" else "refused"
        yield f"{held}, {story['reason']}: {story['message']}"


def _counted(count: int, still_open: int) -> str:
    """A number of rejects, and how many of them nobody has fixed."""
    if still_open in (0, count):
        return f"{count:,}, {'all ' if count > 1 else ''}{'open' if still_open else 'fixed'}"
    return f"{count:,}, {still_open:,} of them open"


def _tries(attempts: int) -> str:
    return f" (try {attempts})" if attempts > 1 else ""


def _fixed(fix: Mapping[str, Any]) -> str:
    if fix["status"] == "duplicate":
        return f"its rejects file came back unchanged: {_who(fix)}"
    return f"{fix['rejects_fixed']:,} rejects fixed by {_who(fix)}"


def _who(other: Mapping[str, Any]) -> str:
    return f"delivery {other['delivery']} ({other['file']}, {other['status']})"


def _short(text: str) -> str:
    text = text.strip("\r\n")
    return text if len(text) <= _VALUE else f"{text[:_VALUE]}…"
