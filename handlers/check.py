"""Cells to typed rows and rejects: every row is judged, each refusal names its column, value and reason."""

from dataclasses import dataclass
from functools import partial

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from handlers.cells import Cells
from handlers.columns import Column, Context, OfFile, Problem
from handlers.feed import Feed
from handlers.reasons import RowReason


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that was refused.

    Attributes:
        line: the physical line in the file on which the row begins, from 1.
        column: the column at fault, or "" for the row as a whole.
        value: the cell as it stands in the file (trimmed).
        reason: the stable code.
        message: what is wrong, in a sentence.
        raw: the row as it stands in the file.
    """

    line: int
    column: str
    value: str
    reason: RowReason
    message: str
    raw: str


@dataclass(frozen=True, slots=True)
class Checked:
    """A block after checking.

    Attributes:
        rows: the valid rows: ``line`` and every column of the feed, typed.
        rejects: the others, in the order of their lines.
    """

    rows: pa.RecordBatch
    rejects: list[Reject]


@dataclass(frozen=True, slots=True)
class _Finding:
    """A problem spread over the rows of a block."""

    column: str
    mask: NDArray[np.bool_]
    problem: Problem


def check(cells: Cells, feed: Feed, context: Context) -> Checked:
    """Judges the rows of a block."""
    count = len(cells.lines)
    findings: list[_Finding] = []
    typed: dict[str, pa.Array] = {}
    trimmed: dict[str, pa.DictionaryArray] = {}
    for column in feed.columns:
        if column.name in cells.columns or isinstance(column.default, OfFile):
            found_cells = cells.columns.get(column.name)
            trimmed[column.name] = _empty(count) if found_cells is None else _trim(found_cells)
            values, found = _convert(trimmed[column.name], column, context, controls=cells.controls)
            typed[column.name] = values
            findings += found
        else:
            typed[column.name] = _default(column, count)
    rows = pa.RecordBatch.from_pydict({"line": pa.array(cells.lines), **typed})
    for rule in feed.rules:
        broken = np.asarray(pc.fill_null(rule.broken(rows), False))
        problem = Problem(rule.reason, broken, partial(_say_rule, rule.message))
        findings.append(_Finding(rule.column, broken, problem))
    owner = _first_finding(findings, count)
    bad = owner >= 0
    rejects = [_ragged(r.line, r.cells, r.raw) for r in cells.ragged]
    rejects += [_reject(cells, int(k), findings[owner[k]], trimmed, feed) for k in np.flatnonzero(bad)]
    rejects.sort(key=lambda reject: reject.line)
    return Checked(rows.filter(pa.array(~bad)) if bad.any() else rows, rejects)


def _trim(cells: pa.Array) -> pa.DictionaryArray:
    """A column with its distinct texts trimmed (two of them may then be equal, which does not matter)."""
    coded = cells.dictionary_encode()
    return pa.DictionaryArray.from_arrays(coded.indices, pc.utf8_trim_whitespace(coded.dictionary))


def _empty(count: int) -> pa.DictionaryArray:
    """The cells of a column that the file does not have."""
    return pa.DictionaryArray.from_arrays(np.zeros(count, np.int32), pa.array([""]))


def _convert(
    coded: pa.DictionaryArray, column: Column, context: Context, *, controls: bool
) -> tuple[pa.Array, list[_Finding]]:
    texts, index = coded.dictionary, np.asarray(coded.indices)
    if column.default is OfFile.DAY:  # judged as if it stood in the cell
        texts = pc.if_else(pc.equal(texts, ""), context.day.isoformat(), texts)
    empty = np.asarray(pc.equal(texts, ""))
    problems: list[Problem] = []
    held_back = empty
    if controls:
        control = np.asarray(pc.match_substring_regex(texts, r"[\x00-\x1f]"))
        problems.append(Problem(RowReason.CONTROL_CHARACTER, control, _say_control))
        held_back = empty | control
    if column.required:
        problems.append(Problem(RowReason.MISSING_VALUE, empty, lambda _text: "is empty"))
    if held_back.any():
        kept = np.flatnonzero(~held_back)
        values, found = column.kind.convert(texts.take(pa.array(kept)), context)
        place = np.full(len(texts), -1)
        place[kept] = np.arange(len(kept))
        values = values.take(pa.array(place, pa.int64(), mask=place < 0))
        problems += [
            Problem(p.reason, _spread(p.mask, kept, len(texts)), p.say) for p in found if p.mask.any()
        ]
        if column.default is not None and not isinstance(column.default, OfFile):
            values = pc.if_else(pa.array(empty), pa.scalar(column.default, values.type), values)
    else:
        values, found = column.kind.convert(texts, context)
        problems += found
    findings = [
        _Finding(column.name, problem.mask[index], problem) for problem in problems if problem.mask.any()
    ]
    return values.take(coded.indices), findings


def _spread(mask: NDArray[np.bool_], kept: NDArray[np.int64], count: int) -> NDArray[np.bool_]:
    spread = np.zeros(count, np.bool_)
    spread[kept] = mask
    return spread


def _default(column: Column, count: int) -> pa.Array:
    return pa.repeat(pa.scalar(column.default, column.kind.arrow_type), count)


def _first_finding(findings: list[_Finding], count: int) -> NDArray[np.int64]:
    """For each row the first finding that holds, or -1."""
    owner = np.full(count, -1, np.int64)
    for k, finding in enumerate(findings):
        owner[finding.mask & (owner < 0)] = k
    return owner


def _reject(
    cells: Cells, row: int, finding: _Finding, trimmed: dict[str, pa.DictionaryArray], feed: Feed
) -> Reject:
    value = trimmed[finding.column][row].as_py() if finding.column in trimmed else ""
    said = finding.problem.say(value)
    of_a_rule = any(said == rule.message for rule in feed.rules)
    shown = "" if value == "" or of_a_rule else f" {_quoted(value)}"
    message = said if of_a_rule else f"{finding.column}{shown} {said}"
    return Reject(
        int(cells.lines[row]), finding.column, value, finding.problem.reason, message, cells.raw(row)
    )


def _ragged(line: int, found: int, raw: str) -> Reject:
    message = f"the row has {found} cell{'s' * (found != 1)}, the header has another number"
    return Reject(line, "", "", RowReason.COLUMN_COUNT, message, raw)


def _say_rule(message: str, _text: str) -> str:
    return message


def _say_control(text: str) -> str:
    code = next(ord(c) for c in text if ord(c) < 32)  # noqa: PLR2004
    return f"holds a control character (code {code})"


def _quoted(value: str, most: int = 60) -> str:
    """A value as it may stand in a message: no control characters, not too long."""
    return repr(value if len(value) <= most else value[:most] + "…")
