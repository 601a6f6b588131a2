"""handlers/ opens nothing and reads no clock."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import handlers

FOLDER = Path(handlers.__file__).parent
MODULES = sorted(FOLDER.rglob("*.py"))
IMPURE = {
    "asyncio", "builtins", "concurrent", "ctypes", "fcntl", "glob", "http", "importlib", "locale", "logging", "mmap", "multiprocessing", "os",
    "pathlib", "platform", "random", "secrets", "shutil", "signal", "socket", "sqlite3", "subprocess", "sys", "tempfile", "threading", "time",
    "urllib", "uuid", "daemon", "stockgrip", "sqlalchemy", "structlog", "tenacity", "watchdog", "pydantic", "adbc_driver_sqlite", "psycopg",
}  # fmt: skip
IMPURE_CALLS = {
    "open",
    "input",
    "print",
    "exec",
    "eval",
    "__import__",
    "now",
    "today",
    "utcnow",
    "time",
    "getenv",
}


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_module_imports_what_has_effects(path):
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = [node.module or ""]
        assert not IMPURE & {name.partition(".")[0] for name in names}, f"{path.name}:{node.lineno}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_no_module_asks_the_clock_or_opens_a_file(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            called = node.func
            name = (
                called.id
                if isinstance(called, ast.Name)
                else called.attr
                if isinstance(called, ast.Attribute)
                else ""
            )
            assert name not in IMPURE_CALLS, f"{path.name}:{node.lineno} calls {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_modules_are_short(path):
    assert len(path.read_text().splitlines()) < 400


AUDIT = """
import sys
import csv, io, re, unicodedata, dataclasses, enum, datetime, zoneinfo, typing, collections.abc
import numpy, pandas, pyarrow, pyarrow.compute, pyarrow.csv  # pyarrow loads pandas when it first meets an array of objects
zone = zoneinfo.ZoneInfo("Europe/Berlin")
seen = []
def hook(event, args):
    if event.startswith(("socket.", "subprocess.", "os.", "shutil.", "sqlite3.", "urllib.", "http.", "ctypes.", "tempfile.")):
        seen.append((event, str(args)[:200]))
    elif event == "open" and not str(args[0]).endswith((".py", ".pyc")) and "__pycache__" not in str(args[0]):
        seen.append((event, str(args)[:200]))
sys.addaudithook(hook)
import handlers
from handlers.cells import split
from handlers.check import check
from handlers.columns import Context
from handlers.header import read_header
from handlers.route import route
listing = [e for e in seen if e[0] not in ("os.listdir", "os.scandir")]  # the import system looks into the folder
assert not listing, listing
seen.clear()
context = Context(datetime.datetime(2026, 3, 1), zone)
for feed in handlers.HANDLERS:
    names = [column.name for column in feed.columns]
    header = read_header(",".join(names), feed)
    rows = ",".join("2021-01-02T03:04:05Z" for _ in names) + "\\n" + ",".join('"x\\ny"' for _ in names) + "\\n"
    check(split(rows.encode(), 2, header), feed, context)
route("sales_data_20210102.csv", {"sales": ["sales_data_(?P<date>[0-9]{8})"]})
assert not seen, seen
print("pure")
"""


def test_importing_and_using_handlers_opens_nothing():
    done = subprocess.run(
        [sys.executable, "-c", AUDIT],
        cwd=FOLDER.parent,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "pure\n", done.stderr
