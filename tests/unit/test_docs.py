"""The documentation says what the program does: commands, feeds, tables, reasons, links, and the unit file."""

import contextlib
import inspect
import re
import shutil
import subprocess
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite

from daemon.cli import cli
from daemon.cli import shared as commands
from daemon.store.derived import DERIVED
from daemon.store.schema import LIVE, METADATA, SHADOWED
from handlers import HANDLERS
from handlers.columns import Column, Decimal, Integer, LocalTime, OfFile, Text, Words
from handlers.feed import Feed
from handlers.reasons import FileReason, RowReason
from stockgrip import CSVIngestionPipeline, CSVValidator, DrainResult, FileResult, Validation

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CHANGELOG.md",
    *sorted(ROOT.glob("docs/**/*.md")),
    *sorted(ROOT.glob("deploy/*.md")),
]


def page(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def table(text: str, heading: str) -> list[tuple[str, ...]]:
    """The cells of the first table below a heading."""
    lines = text.splitlines()
    begin = next((n for n, line in enumerate(lines) if re.fullmatch(rf"#+ {re.escape(heading)}", line)), None)
    assert begin is not None, f"there is no heading {heading!r}"
    rows = []
    for line in lines[begin + 1 :]:
        if line.startswith("#") or (rows and not line.startswith("|")):
            break
        if line.startswith("|"):
            rows.append(tuple(cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]))
    assert rows, f"there is no table below {heading!r}"
    return rows[2:]


def compare(name: str, found: list[tuple[str, ...]], expected: list[tuple[str, ...]]) -> None:
    """Equal, or the lines to paste."""
    wanted = "\n".join("| " + " | ".join(row) + " |" for row in expected)
    assert found == expected, f"{name} should have:\n{wanted}"


# ---- feeds and reasons


def kind_in_words(column: Column) -> str:
    match column.kind:
        case Text(longest=longest):
            return f"text, at most {longest} characters"
        case Words(words=words):
            return "one of " + ", ".join(f"`{word}`" for word in words)
        case Integer(low=low):
            return f"integer, {low} or more"
        case Decimal(places=places, low=low, high=high, above_low=above):
            bound = (
                f"more than {low:g}"
                if above
                else f"from {low:g} to {high:g}"
                if high == 1
                else f"{low:g} or more"
            )
            return f"decimal, {bound}" + (f", at most {places} decimals" if places < 15 else "")
        case LocalTime():
            return "date or time"
        case _:
            raise AssertionError(column.kind)


def when_empty(column: Column) -> str:
    if column.required:
        return "the row is rejected"
    if isinstance(column.default, OfFile):
        return column.default.value
    return "no value" if column.default is None else f"`{column.default}`"


@pytest.mark.parametrize("feed", HANDLERS, ids=lambda feed: feed.name)
def test_feeds_lists_each_column(feed: Feed) -> None:
    expected = [
        (f"`{c.name}`", "required" if c.required else "optional", kind_in_words(c), when_empty(c))
        for c in feed.columns
    ]
    compare("docs/feeds.md", table(page("feeds.md"), feed.name), expected)


@pytest.mark.parametrize(
    ("heading", "reasons"), [("Whole files", FileReason), ("Rows", RowReason)], ids=["files", "rows"]
)
def test_reasons_lists_each_code(heading: str, reasons: type[FileReason] | type[RowReason]) -> None:
    expected = [(f"`{r.value}`", r.meaning, r.remedy) for r in reasons]
    compare("docs/reasons.md", table(page("reasons.md"), heading), expected)


# ---- tables


TABLES = [table for table in METADATA.sorted_tables if table not in SHADOWED.values()]


@pytest.mark.parametrize("described", [*TABLES, *DERIVED.tables.values()], ids=lambda each: str(each.name))
def test_tables_lists_each_column_with_its_types(described: Table) -> None:
    expected = []
    for column in described.columns:
        types = dict.fromkeys(column.type.compile(d.dialect()) for d in (sqlite, postgresql))
        expected.append((f"`{column.name}`", " / ".join(types), "yes" if column.nullable else "no"))
    found = table(page("tables.md"), described.name)
    compare("docs/tables.md", [row[:3] for row in found], expected)
    assert all(row[3] for row in found), "each column has a meaning"


@pytest.mark.parametrize("feed", HANDLERS, ids=lambda feed: feed.name)
def test_shadowed_tables_have_the_same_columns_as_documented(feed: Feed) -> None:
    assert SHADOWED[feed.name].columns.keys() == LIVE[feed.name].columns.keys()
    assert f"`{SHADOWED[feed.name].name}`" in page("tables.md")


# ---- the command line


def options_of(command: click.Command) -> list[tuple[str, str]]:
    """What a person may write, with its help; the options that every command has left out."""
    found = []
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            name = parameter.human_readable_name.upper().replace("|", "\\|")  # else a table's cell ends there
            found.append((f"`{name}`", ""))
        elif isinstance(parameter, click.Option):
            found.append((f"`{parameter.opts[-1]}`", parameter.help or ""))
    return found


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_cli_lists_each_command_with_its_options(name: str) -> None:
    text = page("cli.md")
    assert f"## stockgrip {name}\n" in text
    expected = options_of(cli.commands[name])
    if not expected:
        return
    found = table(text, f"stockgrip {name}")
    compare("docs/cli.md", [row[:1] for row in found], [(option,) for option, _ in expected])
    for (option, told, *_), (_, help_text) in zip([(r[0], r[-1]) for r in found], expected, strict=True):
        assert told, f"{option} has a meaning"
        assert help_text.rstrip(".") in told, f"{option}: the page should say {help_text!r}"


def test_cli_lists_the_general_options_and_each_exit_status() -> None:
    text = page("cli.md")
    general = {option for option, _ in options_of(cli)}
    assert general <= {row[0] for row in table(text, "Options of all commands")}
    statuses = {value for name, value in inspect.getmembers(commands) if name.startswith("EXIT_")}
    assert {int(row[0]) for row in table(text, "Exit status")} == {0, *statuses}


CODE = re.compile(r"^```(\w*)\n(.*?)^```$|^    (\S[^\n]*)$|`([^`\n]+)`", re.MULTILINE | re.DOTALL)


def code_lines(text: str) -> list[list[str]]:
    """The words of each line of code, without what a comment, pipe or redirection begins."""
    found = [m for m in CODE.finditer(text) if m[1] in (None, "", "sh", "text")]
    blocks = "\n".join(m[2] or m[3] or m[4] or "" for m in found)
    return [re.split(r" [#|>]", line)[0].split() for line in blocks.splitlines()]


def arguments_of_stockgrip(words: list[str]) -> list[str] | None:
    """What follows the program's name, if the line runs it."""
    for place, word in enumerate(words):
        if word.endswith("/bin/stockgrip") or (word == "stockgrip" and place == 0):
            return words[place + 1 :]
    return None


def parsed(arguments: list[str]) -> None:
    """Lets click read a command line; only what is left out, as in a mention of a command, is allowed."""
    if arguments[:1] == ["--config"]:
        arguments = arguments[2:]
    if not arguments or arguments[0] in ("--version", "--help"):
        return
    name, *rest = arguments
    assert name in cli.commands, f"there is no command stockgrip {name}"
    with contextlib.suppress(click.MissingParameter):
        cli.commands[name].make_context(name, rest).close()


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_commands_that_pages_name_exist(path: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    for words in code_lines(path.read_text("utf-8")):
        arguments = arguments_of_stockgrip(words)
        if arguments is not None:
            parsed(arguments)
        line = " ".join(words)
        for target in re.findall(r"^(?:sudo )?make (?:-C \S+ )?([a-z-]+)", line):
            assert target in targets, line
        for module in re.findall(r"python3? -m ([a-z_.]+)", line):
            assert module in ("venv", "pip") or find_spec(module), line


def test_the_readme_names_commands() -> None:
    """The reading of code above finds something."""
    lines = code_lines((ROOT / "README.md").read_text("utf-8"))
    found = [arguments for words in lines if (arguments := arguments_of_stockgrip(words))]
    assert {arguments[0] for arguments in found} >= {"sample", "run", "status", "check", "drain"}
    assert ["make", "demo"] in lines


# ---- pages


@pytest.mark.parametrize("path", PAGES, ids=lambda p: p.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    text = path.read_text("utf-8")
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+://", target):
            continue
        name, _, anchor = target.partition("#")
        file = (path.parent / name) if name else path
        assert file.exists(), f"{path.name} links {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.MULTILINE)
            anchors = {re.sub(r"[^\w\- ]", "", h.lower()).replace(" ", "-") for h in headings}
            assert anchor in anchors, f"{path.name} links {target}"


@pytest.mark.parametrize("path", sorted(DOCS.glob("*.md")), ids=lambda p: p.name)
def test_readme_leads_to_each_page(path: Path) -> None:
    assert f"docs/{path.name}" in (ROOT / "README.md").read_text("utf-8")


def test_decisions_are_numbered_and_whole() -> None:
    pages = sorted(DOCS.glob("adr/*.md"))
    assert [int(p.name[:4]) for p in pages] == list(range(1, len(pages) + 1))
    for path in pages:
        text = path.read_text("utf-8")
        assert text.startswith(f"# {path.name[:4]} "), path.name
        headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
        assert headings[:3] == ["Context", "Decision", "Consequences"], path.name


def test_changelog_names_this_version() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["version"]
    assert re.search(
        rf"^## \[{re.escape(version)}\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE
    )


def test_glossary_is_used_for_each_status() -> None:
    text = page("glossary.md")
    for word in ("feed", "delivery", "slot", "batch", "reject", "outcome", "ledger", "file away", "as-of"):
        assert f"| {word} |" in text


# ---- the API


@pytest.mark.parametrize("result", [FileResult, DrainResult, Validation], ids=lambda r: r.__name__)
def test_api_lists_each_key(result: type) -> None:
    found = [row[0] for row in table(page("api.md"), result.__name__)]
    assert found == [f"`{key}`" for key in result.__annotations__]


@pytest.mark.parametrize("kind", [CSVIngestionPipeline, CSVValidator], ids=lambda k: k.__name__)
def test_api_names_each_method(kind: type) -> None:
    methods = [name for name, _ in inspect.getmembers(kind, inspect.isfunction) if not name.startswith("_")]
    for method in methods:
        assert f"`{method}(" in page("api.md"), method


def test_the_apis_examples_run(tmp_path: Path) -> None:
    examples = "\n".join(re.findall(r"^```python\n(.*?)^```", page("api.md"), re.MULTILINE | re.DOTALL))
    assert examples
    (tmp_path / "config.yaml").write_text("settle: {quiet_seconds: 0.05}\n")
    subprocess.run(
        [sys.executable, "-m", "daemon", "sample", "--days", "2", "."], cwd=tmp_path, check=True, timeout=60
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", examples],
        cwd=tmp_path,
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert "success" in done.stdout


# ---- around it


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed")
def test_the_unit_file_is_sound(tmp_path: Path) -> None:
    unit = (ROOT / "deploy" / "stockgrip.service").read_text("utf-8")
    assert re.search(r"^ExecStart=/opt/stockgrip/current/bin/stockgrip --config \S+ run$", unit, re.MULTILINE)
    # the program is not installed here; anything else that is wrong is said
    unit = re.sub(r"^ExecStart=\S+", "ExecStart=/bin/true", unit, flags=re.MULTILINE)
    (tmp_path / "stockgrip.service").write_text(unit)
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "stockgrip.service")],
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    about_it = [line for line in done.stderr.splitlines() if "stockgrip" in line]
    assert (done.returncode, about_it) == (0, [])


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_make_explains_itself() -> None:
    done = subprocess.run(["make"], cwd=ROOT, check=True, capture_output=True, text=True, timeout=60)
    for target in ("demo", "test", "soak", "lint", "types", "contracts", "bench", "real", "clean"):
        assert re.search(rf"^  {target} +\S", done.stdout, re.MULTILINE)
