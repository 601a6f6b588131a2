"""Findings as text for a person."""

from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import groupby

import click

from daemon.doctor.finding import STATES, Finding
from daemon.terminal import printable, wrapped

_COLOURS = {"ok": "green", "warn": "yellow", "fail": "red", "skip": "bright_black"}


def report(findings: Sequence[Finding], columns: int, *, colour: bool) -> Iterator[str]:
    """Lines by area, each with its state, and below what is not well the remedy; the sum stands last.

    Args:
        findings: in the order in which to print them.
        columns: the width. Commands are not broken, so that they can be copied.
        colour: whether to colour the states.
    """
    names = max((len(finding.name) for finding in findings), default=0)
    for area, group in groupby(findings, key=lambda finding: finding.area):
        yield click.style(area, bold=True) if colour else area
        for finding in _without_twins(list(group)):
            yield from _lines(finding, names, columns, colour=colour)
        yield ""
    yield from wrapped(_sum(findings), columns)


def _without_twins(findings: list[Finding]) -> Iterator[Finding]:
    """What is skipped for one reason is one line: a database that is down has fifteen."""
    seen: set[str] = set()
    for finding in findings:
        if finding.state != "skip":
            yield finding
        elif finding.said not in seen:
            seen.add(finding.said)
            same = [f.name for f in findings if f.state == "skip" and f.said == finding.said]
            also = f" (also: {', '.join(same[1:])})" if len(same) > 1 else ""
            yield Finding(finding.area, finding.name, "skip", finding.said + also, "", "")


def _lines(finding: Finding, names: int, columns: int, *, colour: bool) -> Iterator[str]:
    indent = " " * (2 + 4 + 2 + names + 2)
    first = f"  {finding.state:<4}  {finding.name:<{names}}  "
    lines = [
        line
        for part in finding.said.splitlines()
        for line in wrapped(printable(part.strip()), columns, indent)
    ]
    lines[0] = first + lines[0][len(indent) :]
    if colour:
        mark = click.style(f"{finding.state:<4}", fg=_COLOURS[finding.state], bold=finding.state == "fail")
        lines[0] = f"  {mark}{lines[0][6:]}"
    yield from lines
    if finding.remedy:
        yield from wrapped(printable(finding.remedy), columns, f"{indent}→ ")
    if finding.command:
        yield f"{indent}  {printable(finding.command)}"


def _sum(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.state for finding in findings)
    words = {"ok": "ok", "warn": "to look at (warn)", "fail": "wrong (fail)", "skip": "not looked at (skip)"}
    return ", ".join(f"{counts[state]} {words[state]}" for state in STATES if counts[state])
