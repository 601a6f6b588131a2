"""The list of log events: well formed, documented, and the only way by which the daemon logs."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from daemon.events import Event

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs" / "logs.md"
RESERVED = {"timestamp", "level", "event", "delivery", "file", "exception", "trimmed"}
RESERVED |= {"exc_info", "stack_info", "self", "method_name"}  # structlog's own
LEVELS = ("debug", "info", "warning", "error")
METHODS = {*LEVELS, "critical", "exception", "warn", "fatal", "log", "msg"}


@pytest.mark.parametrize("event", Event)
def test_event_is_well_formed(event: Event) -> None:
    assert event == event.name.lower(), "member and name say the same"
    assert re.fullmatch(r"[a-z]+(_[a-z]+)+", event), "noun_verb_past"
    assert event.level in LEVELS
    assert re.fullmatch(r"[A-Z][^|\n]*\.", event.meaning), "one sentence that fits a table cell"
    assert len(set(event.fields)) == len(event.fields)
    assert all(field.isidentifier() for field in event.fields)
    assert not RESERVED & set(event.fields), "these keys have a meaning on every line"


# --- docs ------------------------------------------------------------------------------------------------------------


def documented() -> dict[str, tuple[str, str, str]]:
    """Each event in docs/logs.md: level, meaning and fields as they are written there."""
    table = DOCS.read_text("utf-8").partition("## Events")[2]
    rows = [
        [cell.strip() for cell in line.split("|")[1:-1]]
        for line in table.splitlines()
        if line.startswith("| `")
    ]
    assert all(len(row) == 5 and row[4] for row in rows), "every row says what to do"
    assert len({row[0] for row in rows}) == len(rows), "no event twice"
    return {row[0].strip("`"): (row[1], row[2], row[3]) for row in rows}


def test_docs_list_exactly_the_events() -> None:
    expected = {str(e): (e.level, e.meaning, ", ".join(f"`{field}`" for field in e.fields)) for e in Event}
    found = documented()
    missing = [
        f"| `{name}` | {' | '.join(expected[name])} | WHAT TO DO |" for name in expected.keys() - found.keys()
    ]
    assert not missing, "add to docs/logs.md:\n" + "\n".join(missing)
    assert not found.keys() - expected.keys(), "in docs/logs.md, but no event"
    for name, row in expected.items():
        assert found[name] == row, f"docs/logs.md and daemon/events.py differ about {name}"


def test_example_line_in_docs_is_true() -> None:
    line = json.loads(re.findall(r"```json\n(.*?)\n```", DOCS.read_text("utf-8"), re.DOTALL)[0])
    event = Event(line["event"])
    assert line["level"] == event.level
    assert set(line) - {"timestamp", "level", "event", "delivery", "file"} <= set(event.fields)


def shell_lines() -> list[str]:
    blocks = re.findall(r"```sh\n(.*?)\n```", DOCS.read_text("utf-8"), re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


SAMPLE = [
    "Traceback (most recent call last): not JSON, and to be skipped",
    *(
        json.dumps(
            {"timestamp": "2026-01-06T07:15:02.118Z", "delivery": 412, "file": "sales_data_20260105.csv"}
            | line
        )
        for line in (
            {
                "level": "info",
                "event": "delivery_loaded",
                "feed": "sales",
                "rows_in": 5,
                "rows_loaded": 5,
                "seconds": 1.5,
            },
            {"level": "error", "event": "delivery_refused", "code": "empty_file", "remedy": "send it again"},
            {"level": "error", "event": "intake_paused", "reason": "database"},
            {"level": "error", "event": "delivery_failed", "exception": "Traceback\n  boom"},
        )
    ),
]


@pytest.mark.parametrize("command", shell_lines())
def test_each_command_in_docs_runs(command: str) -> None:
    if shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    reader, _, program = command.partition(" | ")
    assert reader.startswith("journalctl -u stockgrip -o cat")
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {program}"],
        input="\n".join(SAMPLE),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.strip(), "it finds something in a log where there is something to find"
    assert "not JSON" not in done.stdout


# --- the sources -------------------------------------------------------------------------------------------------------


def complaints(source: str) -> Iterator[str]:
    """Each logging call in a source text that bypasses or contradicts the list of events."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [node.module or ""]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
            )
            if any(name.partition(".")[0] in {"logging", "structlog"} for name in names):
                yield f"line {node.lineno}: only daemon/logs.py imports logging or structlog"
        if isinstance(node, ast.Call) and (method := logging_method(node.func)):
            yield from (f"line {node.lineno}: {text}" for text in call_complaints(node, method))


def logging_method(func: ast.expr) -> str | None:
    """``emit``, or the level of ``log.info``, ``self._logger.info``, ``get_logger().info`` …; None if it is neither."""
    name = func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
    if name == "emit":
        return "emit"
    if (
        isinstance(func, ast.Attribute)
        and name in METHODS
        and re.search(r"log(s|ger)?\b", ast.unparse(func.value))
    ):
        return name
    return None


def call_complaints(call: ast.Call, method: str) -> Iterator[str]:
    if method not in {"emit", *LEVELS}:
        yield f"use emit(Event.…) or a method named as its level, not {method}()"
        return
    first = call.args[0] if call.args else None
    if not isinstance(first, ast.Name | ast.Attribute | ast.IfExp) or len(call.args) != 1:
        yield "log a member of Event and keyword fields, no text"
        return
    if not (isinstance(first, ast.Attribute) and ast.unparse(first.value).endswith("Event")):
        if method != "emit":
            yield "log a member of Event; an event in a variable goes to emit(), whose type is checked"
        return
    event = Event[first.attr]
    if method not in {"emit", event.level}:
        yield f"{event} is an event of level {event.level}, not {method}"
    unknown = {word.arg for word in call.keywords if word.arg} - {
        *event.fields,
        "delivery",
        "file",
        "exc_info",
    }
    if unknown:
        yield f"{event} has no field {', '.join(sorted(unknown))}: add it to daemon/events.py and docs/logs.md"


SOURCES = sorted(
    p for p in (ROOT / "daemon").rglob("*.py") if p.relative_to(ROOT).as_posix() != "daemon/logs.py"
)


@pytest.mark.parametrize("path", SOURCES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_source_logs_only_listed_events(path: Path) -> None:
    assert list(complaints(path.read_text("utf-8"))) == []


@pytest.mark.parametrize(
    ("source", "complaint"),
    [
        ("log.info('file loaded')", "no text"),
        ("self._logger.warning(f'{x} failed')", "no text"),
        ("logs.get_logger().error('a' + b)", "no text"),
        ("log.info(Event.DELIVERY_LOADED, 3)", "no text"),
        ("emit('file_loaded', rows_in=3)", "no text"),
        ("logs.emit(Event.DELIVERY_LOADED, rows=3)", "no field rows"),
        ("log.debug(Event.DELIVERY_LOADED)", "level info"),
        ("log.exception(Event.DELIVERY_FAILED)", "not exception()"),
        ("log.error(message)", "goes to emit()"),
        ("import logging", "imports logging"),
        ("from structlog.stdlib import get_logger", "imports logging"),
    ],
)
def test_bypassing_the_list_is_found(source: str, complaint: str) -> None:
    assert complaint in " ".join(complaints(source))


@pytest.mark.parametrize(
    "source",
    [
        "emit(Event.DELIVERY_LOADED, rows_in=3, seconds=1.0)",
        "logs.emit(events.Event.DELIVERY_FAILED, exc_info=True)",
        "log.error(Event.DELIVERY_FAILED, exc_info=error)",
        "emit(event, **fields)",
        "math.log('x'); parser.error('x'); catalog_rows.info()",
    ],
)
def test_right_calls_pass(source: str) -> None:
    assert list(complaints(source)) == []


def test_each_event_is_said_somewhere() -> None:
    sources = [path for path in (ROOT / "daemon").rglob("*.py") if path.name != "events.py"]
    said = "\n".join(path.read_text() for path in sources)
    assert [event.name for event in Event if f"Event.{event.name}" not in said] == []
