"""What to do next about a delivery: sentences, each with its exact command, from the facts of its story."""

import os
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from daemon.files import Folders
from handlers.reasons import FileReason, RowReason

Step = dict[str, str | None]
# the host, a setting or the program is to be changed; the file is right as it is
_AS_IT_IS = (
    FileReason.UNREADABLE,
    FileReason.INTERNAL_ERROR,
    FileReason.TOO_LARGE,
    FileReason.TOO_SLOW,
    FileReason.ENCODING,
    FileReason.GZIP_TOO_BIG,
    FileReason.MANIFEST_MISMATCH,
    FileReason.BAD_MANIFEST,
)
# the file itself cannot be used any more: the sender is to be asked
_NO_WAY_BACK = (
    FileReason.STALE_REJECTS,
    FileReason.ROWS_REMOVED,
    FileReason.NOT_REGULAR,
    FileReason.EMPTY,
    FileReason.NUL_TAIL,
    FileReason.GZIP_CORRUPT,
)
# held for a person: what to look at, and what lets it in
_LET_IN = {
    FileReason.SHRUNK: ("See what it would take away:", "If the smaller file is right:"),
    FileReason.OLD_TRANSACTIONS: ("See how many rows these are:", "If none of them was delivered before:"),
}


def step(text: str, command: str | None = None) -> Step:
    """One thing to do; with a command it ends in a colon."""
    return {"text": text, "command": command}


def place(path: Path, here: Path) -> str:
    """A path as it is written in a shell, from the current folder if it is below."""
    return shlex.quote(os.path.relpath(path, here) if path.is_relative_to(here) else str(path))


def next_steps(story: Mapping[str, Any], folders: Folders, here: Path) -> list[Step]:
    """What to do, in order; one step that begins with "Nothing" if there is nothing to do.

    Args:
        story: the facts, as ``daemon.story.tell`` gathers them.
        folders: the data folder.
        here: the current folder; paths below it are shown from there.

    Returns:
        Steps, each with ``text`` and ``command`` (None: there is none).
    """

    def shown(relative: str) -> str:
        return place(folders.data_dir / relative, here)

    return [*_steps(story, shown), *_leftover(story["places"], shown)]


def _steps(story: Mapping[str, Any], shown: Callable[[str], str]) -> list[Step]:
    if story["superseded_by"]:
        newer = story["superseded_by"][0]["delivery"]
        return [step(f"Nothing: delivery {newer} replaced it:", f"stockgrip explain {newer}")]
    match story["status"]:
        case "duplicate":
            return _duplicate(story)
        case "partial":
            return _partial(story, shown)
        case "failed":
            return _failed(story, shown)
        case "unloaded":
            return _unloaded(story)
        case _:
            return [step("Nothing: it is loaded.")]


def _leftover(places: Mapping[str, Any], shown: Callable[[str], str]) -> list[Step]:
    """A reason file whose file was moved away by hand."""
    if not (places["file"] and is_leftover(places)):
        return []
    return [
        step(
            "The file that says why it was refused is left over; remove it:",
            f"rm {shown(places['reason_file'])}",
        )
    ]


def is_leftover(places: Mapping[str, Any]) -> bool:
    """Whether the reason still lies in ``errors/``, and the file beside which it was put does not."""
    return bool(places["reason_file_is_there"] and not places["file_is_there"])


def _duplicate(story: Mapping[str, Any]) -> list[Step]:
    first = story["duplicate_of"]
    if not first:
        return [step("Nothing: its bytes were loaded before.")]
    key = first[0]["delivery"]
    return [step(f"Nothing: delivery {key} brought the same bytes before:", f"stockgrip explain {key}")]


def _partial(story: Mapping[str, Any], shown: Callable[[str], str]) -> list[Step]:
    places = story["places"]
    if story["fixes"]:
        first = story["fixes"][0]["delivery"]
        return [
            step(
                f"Correct what is still wrong in the rejects file of delivery {first}:",
                f"stockgrip explain {first}",
            )
        ]
    if not story["rejects_open"]:
        return [step("Nothing: every reject was fixed.")]
    if places["rejects_file_in_inbox"]:
        return [step("Nothing yet: its rejects file lies in live_feeds/ and is loaded next.")]
    file = places["rejects_file"]
    if not places["rejects_file_is_there"]:
        return [
            step(
                f"Its rejects file{f' {file}' if file else ''} is not there any more: look for the copy that was"
                " corrected, and move it to live_feeds/ under the same name."
            )
        ]
    correct = f"Correct {file} and move it to live_feeds/ under the same name:"
    move = f"mv {shown(file)} {shown('live_feeds')}/"
    if {group["reason"] for group in story["rejects"] if group["open"]} == {RowReason.DUPLICATE_KEY.value}:
        return [
            step("Nothing, if the later rows of the same keys are the right ones."),
            step(f"Else: {correct[0].lower()}{correct[1:]}", move),
        ]
    return [step(correct, move)]


def _failed(story: Mapping[str, Any], shown: Callable[[str], str]) -> list[Step]:
    key, later = story["delivery"], story["retried_by"]
    if later:
        last = later[-1]
        return [
            step(
                f"Look at delivery {last['delivery']}, which tried the same bytes again ({last['status']}):",
                f"stockgrip explain {last['delivery']}",
            )
        ]
    if moved := _moved(story):
        return moved
    if story["forced"]:
        return [step("It is let in when it comes again:", f"stockgrip retry {key}")]
    return _refused(story, shown)


def _refused(story: Mapping[str, Any], shown: Callable[[str], str]) -> list[Step]:
    """What to do about a file that lies in errors/."""
    key, reason, remedy = story["delivery"], story["reason"], story["remedy"] or ""
    path, inbox = shown(story["places"]["file"]), f"{shown('live_feeds')}/"
    # not mv: that leaves the reason file behind
    again, force = f"stockgrip retry {key}", f"stockgrip retry --force {key}"
    if reason in _LET_IN:
        look, let_in = _LET_IN[FileReason(reason)]
        return [step(look, f"stockgrip check {path}"), step(let_in, force)]
    if reason == FileReason.TOO_MANY_REJECTS:
        return [
            step("See every reject:", f"stockgrip check --most 0 {path}"),
            step("Correct it there, then put it back:", again),
            step("Or, to load the good rows as they are:", force),
        ]
    if reason == FileReason.UNROUTABLE:
        rename = "Give it a name that one feed owns (config.yaml has the patterns):"
        steps = [step(rename, f"mv {path} {inbox}NEW_NAME.csv")]
        if story["places"]["reason_file_is_there"]:
            steps.append(
                step("Then remove what lies beside it:", f"rm {shown(story['places']['reason_file'])}")
            )
        return steps
    if reason in _NO_WAY_BACK:
        return [step(remedy)]
    if reason in _AS_IT_IS:
        return [step(remedy), step("Then let it come again:", again)]
    return [
        step(remedy),
        step("See whether it is right now:", f"stockgrip check {path}"),
        step("Then put it back:", again),
    ]


def _unloaded(story: Mapping[str, Any]) -> list[Step]:
    later = story["retried_by"]
    if later:
        last = later[-1]["delivery"]
        return [
            step(f"Look at delivery {last}, which brought the same bytes again:", f"stockgrip explain {last}")
        ]
    return _moved(story) or [step("Nothing. To load it again:", f"stockgrip retry {story['delivery']}")]


def _moved(story: Mapping[str, Any]) -> list[Step]:
    """Where the file went, if it is not where it was filed."""
    places = story["places"]
    if places["in_work"]:
        return [step("Nothing yet: a file of this name is being worked on.")]
    if places["in_inbox"]:
        return [step("Nothing yet: a file of this name lies in live_feeds/ and is taken up next.")]
    if places["file"] is None:
        return [
            step(
                "Nothing yet: its file is still to be moved to errors/, by the daemon or by:",
                "stockgrip drain",
            )
        ]
    if not places["file_is_there"]:
        for later in story["loaded_later"]:
            key, name = later["delivery"], "name" if later["file"] == story["file"] else "slot"
            return [
                step(
                    f"Nothing: delivery {key}, of the same {name}, was loaded after it:",
                    f"stockgrip explain {key}",
                )
            ]
        file = places["file"] or "Its file"
        return [step(f"{file} is not there any more: ask the sender for it if it is still needed.")]
    return []
