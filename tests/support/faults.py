"""Trouble made on purpose: at the n-th SQL statement, at the n-th step on disk."""

import contextlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event


class Crash(BaseException):  # it is no error: nothing may catch it
    """The process dies here."""


class Injected(Exception):  # noqa: N818
    """The fault that a test put in."""


@dataclass
class Statements:
    """The SQL statements that went to a database."""

    said: list[str]

    def __len__(self) -> int:
        return len(self.said)


@contextlib.contextmanager
def statements(engine: Engine, fail_at: int = 0) -> Iterator[Statements]:
    """Notes the statements, and raises at the n-th (1 is the first)."""
    noted = Statements([])

    def before(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        noted.said.append(statement)
        if len(noted) == fail_at:
            raise Injected(statement)

    event.listen(engine, "before_cursor_execute", before)
    try:
        yield noted
    finally:
        event.remove(engine, "before_cursor_execute", before)


STEPS = (
    ("os", "rename"),
    ("os", "fsync"),
    ("os", "rmdir"),
    ("os", "mkdir"),
    ("os", "unlink"),
    ("daemon.files", "_rename"),
    ("daemon.store.store.Store", "commit"),
    ("daemon.store.store.Store", "commit_together"),
    ("daemon.store.store.Store", "refuse"),
    ("daemon.store.store.Store", "filed"),
    ("daemon.store.store.Store", "filed_all"),
)


@contextlib.contextmanager
def crash_at(step: int, when: str) -> Iterator[list[str]]:
    """Dies before or after the n-th step that changes the disk or the database; yields the steps done."""
    done: list[str] = []

    def guarded(name: str, work: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **named: Any) -> Any:
            done.append(name)
            mine = len(done) == step
            if mine and when == "before":
                raise Crash(name)
            result = work(*arguments, **named)
            if mine:
                raise Crash(name)
            return result

        return run

    with pytest.MonkeyPatch.context() as patch:
        for place, name in STEPS:
            target = f"{place}.{name}"
            patch.setattr(target, guarded(target, _resolve(place, name)))
        yield done


def _resolve(place: str, name: str) -> Callable[..., Any]:
    from pkgutil import resolve_name  # noqa: PLC0415

    found: Callable[..., Any] = getattr(resolve_name(place), name)
    return found


def release_locks(folder: Path) -> None:
    """Closes what this process has open below a folder, as its death would."""
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            if folder in Path(f"/proc/self/fd/{number}").readlink().parents:
                os.close(int(number))
