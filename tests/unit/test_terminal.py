"""Terminal manners of every command: widths, colours, pipes, encodings, mistakes, Ctrl-C.

A new command must be added to ``USES``. Where a process of its own adds something (a terminal, a broken pipe, a locale, a
signal), some commands are run as one, and all of them with SGTEST_SOAK=1; the rest is called in this process.
"""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len
from support.files import SALES, csv_bytes, drop
from support.process import clean_environment, command, run_cli

from daemon import logs
from daemon.cli import cli
from daemon.logs import display_name
from handlers import HANDLERS

program = sys.modules["daemon.cli.main"]
Call = Callable[..., "subprocess.CompletedProcess[str]"]

ODD = "sales_\u202e\x1b[31m_語.csv"  # reorders and colours what follows, and is no name of a feed
PARTIAL = "sales_data_20250215_truncated_row.csv"
# plausible uses of each command, on the site below; those with --json are tried with it, too
USES: dict[str, list[list[str]]] = {
    "run": [],  # see test_run_…
    "drain": [[]],
    "status": [[]],
    "explain": [[PARTIAL], [ODD]],
    "log": [["--most", "0"]],
    "quality": [[], ["explain", "completeness"]],
    "features": [["PER-0001"], ["--export", "features.csv"], ["P"]],
    "alerts": [[], ["list", "--all"], ["show", "1"], ["silences"], ["ack", "999"]],
    "check": [[f"data/processed/{PARTIAL}", ODD]],
    "workflow": [[], ["run"], ["status"], ["schedule", "02:30"]],
    "report": [[], ["--day", "2025-06-30"]],
    "retention": [[], ["--dry-run"]],
    "backup": [[], ["--list"]],
    "restore": [["--yes", "missing.db"]],
    "doctor": [[]],
    "selftest": [[]],
    "sample": [["--days", "1", "--products", "3", "elsewhere"]],
    "completion": [["bash"]],
    "retry": [["--all-refused"], ["999"]],
    "unload": [["--yes", "1"], ["--yes", "999"]],
    "rebuild": [["--verify"], ["--into", "sqlite:///copy.db"]],
}
EACH = [(name, *use) for name, uses in USES.items() for use in uses]
TABLES = [
    use
    for use in EACH
    if use[0] in ("log", "status", "explain", "check", "doctor", "quality", "alerts", "features")
]
SGR = re.compile(r"\x1b\[[0-9;]*m")
CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
LOOKS = ("log", "status", "explain", "check", "doctor", "completion", "quality", "alerts")
IN_PROCESS = [use for use in EACH if use[0] != "drain"]  # that one takes the signals of the whole process
BAD_NEWS = ("Traceback", "Exception ignored", "UnicodeEncodeError")


def some(of: list[tuple[str, ...]], *commands: str) -> list[Any]:
    """The first use of some commands; the others take minutes."""
    soak = [pytest.mark.soak]
    if os.environ.get("SGTEST_SOAK") != "1":
        soak.append(pytest.mark.skip(reason="minutes long: run `make soak`"))
    first = [next(use for use in of if use[0] == name) for name in commands]
    return [*first, *(pytest.param(use, marks=soak) for use in of if use not in first)]


def environment(**more: str) -> dict[str, str]:
    """A terminal's, without what this one says about colours and widths."""
    env = clean_environment(TERM="xterm-256color", LC_ALL="C.UTF-8")
    for name in ("NO_COLOR", "COLUMNS", "LINES", "FORCE_COLOR", "CLICOLOR_FORCE", "TTY_COMPATIBLE"):
        env.pop(name, None)
    return env | more


@pytest.fixture(scope="module")
def _built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small shop's site: loaded, partial, refused and duplicate deliveries, and an odd name."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "config.yaml").write_text("data_dir: data\nsettle: {quiet_seconds: 0, grace_seconds: 0}\n")
    arguments = ("--days", "2", "--products", "4", "--corrupt")
    assert run_cli("sample", *arguments, env=environment(), cwd=folder).returncode == 0
    inbox = folder / "data" / "live_feeds"
    for place in (folder, inbox):
        drop(place, ODD, b"nonsense\n")
    assert run_cli("drain", env=environment(), cwd=folder).returncode == 1
    partial = next((folder / "data" / "processed").rglob(PARTIAL))
    shutil.copy(partial, folder / "data" / "processed" / PARTIAL)
    return folder


@pytest.fixture
def site(_built: Path, tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of it, to be changed; for a command that changes nothing, itself."""
    use = request.node.callspec.params.get("use") if hasattr(request.node, "callspec") else None
    if use and use[0] in LOOKS:
        return _built
    return shutil.copytree(_built, tmp_path / "site")


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """The program in this process: quick, and all but a process of its own."""

    def called(*arguments: str, cwd: Path, **more: str) -> "subprocess.CompletedProcess[str]":
        wanted = environment(**more)
        for name in os.environ.keys() - wanted.keys():
            monkeypatch.delenv(name)
        for name, value in wanted.items():
            monkeypatch.setenv(name, value)
        monkeypatch.chdir(cwd)
        monkeypatch.setattr(sys, "argv", ["stockgrip", *arguments])
        capsys.readouterr()
        status = program._run()
        logs.shutdown()
        shown = capsys.readouterr()
        return subprocess.CompletedProcess(
            arguments, status if isinstance(status, int) else 0, shown.out, shown.err
        )

    return called


@contextlib.contextmanager
def on_terminal(
    *arguments: str, cwd: Path, columns: int = 80, **more: str
) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The program on a terminal of its own, and the end where a person sits."""
    person, screen = pty.openpty()
    try:
        fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", 50, columns, 0, 0))
        with subprocess.Popen(
            command(*arguments),
            env=environment(**more),
            cwd=cwd,
            stdin=screen,
            stdout=screen,
            stderr=screen,
            start_new_session=True,
            preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),  # noqa: PLW1509  (so that Ctrl-C reaches it)
        ) as process:
            os.close(screen)
            try:
                yield process, person
            finally:
                process.kill()
    finally:
        os.close(person)


def read_until(person: int, wanted: str | None = None, seconds: float = 60) -> str:
    """What is shown, until something is, or until the program ends."""
    shown, deadline = b"", time.monotonic() + seconds
    while wanted is None or wanted not in shown.decode(errors="replace"):
        ready, _, _ = select.select([person], [], [], max(0.0, deadline - time.monotonic()))
        assert ready, shown
        try:
            part = os.read(person, 65536)
        except OSError:  # EIO: nobody has the terminal open any more
            break
        if not part:
            break
        shown += part
    return shown.decode().replace("\r\n", "\n")


def interrupted(process: subprocess.Popen[bytes], person: int) -> tuple[int, str]:
    """Ctrl-C until it ends, as a person does: one that comes just before a read begins is seen only after it."""
    text = ""
    while process.poll() is None:
        os.write(person, b"\x03")
        with contextlib.suppress(AssertionError):
            text += read_until(person, seconds=1)
    return process.wait(), text


def shown_on_terminal(*arguments: str, cwd: Path, columns: int, **more: str) -> tuple[int, str]:
    """The exit status, and all that was shown."""
    with on_terminal(*arguments, cwd=cwd, columns=columns, **more) as (process, person):
        text = read_until(person)
        return process.wait(60), text


def is_whole(line: str) -> bool:
    """Lines that are not wrapped: errors, commands to be copied, and the script for a shell."""
    return line.startswith(("stockgrip: ", "Nothing was lost")) or bool(
        re.match(r" +(mv|ls|stockgrip|sudo|chmod|sysctl|df) ", line)
    )


def must_be_well(done: subprocess.CompletedProcess[str]) -> None:
    for text in (done.stdout or "", done.stderr or ""):
        for bad in BAD_NEWS:
            assert bad not in text, text


def names(value: tuple[str, ...]) -> str:
    return display_name(" ".join(value))


def test_every_command_is_tried() -> None:
    assert USES.keys() == cli.commands.keys()


# ---- pipes


@pytest.mark.parametrize("use", some(EACH, "log"), ids=names)
def test_no_colours_and_no_cropping_in_a_pipe(site: Path, use: tuple[str, ...]) -> None:
    plain_in_a_pipe(run_cli(*use, env=environment(), cwd=site), use)


@pytest.mark.parametrize("use", IN_PROCESS, ids=names)
def test_no_colours_and_no_cropping_where_it_is_no_terminal(
    site: Path, call: Call, use: tuple[str, ...]
) -> None:
    plain_in_a_pipe(call(*use, cwd=site), use)


def plain_in_a_pipe(done: "subprocess.CompletedProcess[str]", use: tuple[str, ...]) -> None:
    must_be_well(done)
    assert done.returncode in (0, 1)
    assert not CONTROL.search(done.stdout + done.stderr)
    assert done.stdout or done.stderr
    if use[0] != "completion":
        assert "\x1b" not in done.stdout
        assert "\u202e" not in done.stdout


@pytest.mark.parametrize("use", EACH, ids=names)
def test_json_is_json(site: Path, call: Call, use: tuple[str, ...]) -> None:
    if not any("--json" in parameter.opts for parameter in cli.commands[use[0]].params):
        assert use[0] in ("sample", "completion"), "every command that tells something has --json"
        return
    if use in IN_PROCESS:
        done = call(use[0], "--json", *use[1:], cwd=site)
    else:
        done = run_cli(use[0], "--json", *use[1:], env=environment(PYTHONIOENCODING="ascii"), cwd=site)
    must_be_well(done)
    if done.returncode == 0 or done.stdout:
        for line in done.stdout.splitlines() if use[0] == "log" else [done.stdout]:
            json.loads(line)
    assert done.stdout.isascii()


@pytest.mark.parametrize("use", some(EACH, "log", "explain", "doctor", "sample"), ids=names)
def test_a_reader_that_is_gone(site: Path, use: tuple[str, ...]) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            command(*use),
            env=environment(),
            cwd=site,
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        os.close(writer)
    must_be_well(done)
    assert "roken pipe" not in done.stderr
    assert done.returncode in (
        (0,) if use[0] in ("log", "status", "explain", "completion", "sample") else (0, 1)
    )


@pytest.mark.parametrize("use", some([use for use in TABLES if use[0] != "doctor"], "log"), ids=names)
def test_a_full_disk_and_a_closed_output(site: Path, use: tuple[str, ...]) -> None:
    for redirection, statuses in ((">/dev/full", (69,)), (">&-", (0, 1)), (">&- 2>&-", (0, 1))):
        line = f'exec "$@" {redirection}'
        done = subprocess.run(
            ["bash", "-c", line, "sh", *command(*use)],
            env=environment(),
            cwd=site,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        must_be_well(done)
        assert done.returncode in statuses, (redirection, done.stderr)
        assert done.stderr.count("\n") <= 1


ODDLY_ENCODED = [
    ("explain", ODD),
    ("log", "--most", "0"),
    ("status",),
    ("check", ODD),
    ("no", ODD),
]


@pytest.mark.parametrize(
    "locale", [{"LC_ALL": "C"}, {"PYTHONIOENCODING": "ascii"}, {"PYTHONIOENCODING": "latin-1"}], ids=str
)
@pytest.mark.parametrize("use", some(ODDLY_ENCODED, "explain"), ids=names)
def test_any_locale(site: Path, locale: dict[str, str], use: tuple[str, ...]) -> None:
    done = subprocess.run(
        command(*use), env=environment(**locale), cwd=site, capture_output=True, timeout=60, check=False
    )
    text = (done.stdout + done.stderr).decode("latin-1")
    assert not any(bad in text for bad in BAD_NEWS), text
    assert done.stdout or done.stderr


# ---- terminals


PLAIN: dict[int, dict[str, str]] = {60: {}, 80: {"NO_COLOR": "1"}, 120: {"TERM": "dumb"}}


@pytest.mark.parametrize("use", some(EACH, "drain", "log", "explain", "doctor", "rebuild"), ids=names)
def test_what_is_shown_on_a_terminal_fits(site: Path, use: tuple[str, ...]) -> None:
    fits(*shown_on_terminal(*use, cwd=site, columns=60), use, 60)


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("use", some(TABLES, "log"), ids=names)
def test_what_is_shown_on_a_terminal_without_colours_fits(
    site: Path, use: tuple[str, ...], columns: int
) -> None:
    fits(*shown_on_terminal(*use, cwd=site, columns=columns, **PLAIN[columns]), use, columns)


@pytest.mark.parametrize("columns", [60, 80, 120])
@pytest.mark.parametrize("use", IN_PROCESS, ids=names)
def test_what_is_shown_fits(site: Path, call: Call, use: tuple[str, ...], columns: int) -> None:
    if use[0] == "selftest" and columns > min(PLAIN) and os.environ.get("SGTEST_SOAK") != "1":
        pytest.skip("five seconds each; the narrowest is tried: run `make soak` for all")
    done = call(*use, cwd=site, COLUMNS=str(columns), NO_COLOR="1")
    fits(done.returncode, done.stdout + done.stderr, use, columns, plain=True)


def fits(status: int, text: str, use: tuple[str, ...], columns: int, *, plain: bool = False) -> None:
    plain = plain or bool(PLAIN[columns])
    assert status in (0, 1)
    assert not any(bad in text for bad in BAD_NEWS), text
    assert "\u202e" not in text
    assert "\x1b[31m_" not in text
    if plain:
        assert not SGR.search(text), repr(text)
    elif use[0] in ("log", "explain"):
        assert SGR.search(text), repr(text)
    if use[0] != "completion":
        lines = [line for part in CONTROL.sub("", text).split("\n") for line in part.split("\r")]
        long = [line for line in lines if cell_len(line) > columns and not is_whole(line)]
        assert long == []


@pytest.mark.parametrize("name", [None, *sorted(cli.commands)])
def test_help_fits(tmp_path: Path, call: Call, name: str | None) -> None:
    for columns in (40, 60, 80):
        done = call(*([name] if name else []), "--help", COLUMNS=str(columns), cwd=tmp_path)
        assert done.returncode == 0
        # click never breaks a word: an option with its choices, a path
        long = [line for line in done.stdout.splitlines() if len(line) > columns and " " in line.strip()]
        if columns >= 60:
            assert [line for line in long if "stockgrip completion" not in line] == []


def test_narrow_tables_are_readable(site: Path, call: Call) -> None:
    for use in (("log", "--most", "5"), ("status",), ("explain", PARTIAL)):
        done = call(*use, cwd=site, COLUMNS="40", NO_COLOR="1")
        assert done.returncode == 0
        long = [line for line in done.stdout.split("\n") if cell_len(line) > 40 and not is_whole(line)]
        assert long == []
    listed = call("log", "--json", "--most", "5", cwd=site).stdout
    text = call("log", "--most", "5", cwd=site, COLUMNS="40", NO_COLOR="1").stdout
    for line in listed.splitlines():
        assert re.search(rf"^{json.loads(line)['id']} ", text, re.MULTILINE)


# ---- mistakes


@pytest.mark.parametrize("name", sorted(cli.commands))
def test_an_unknown_option(tmp_path: Path, call: Call, name: str) -> None:
    done = call(name, "--jsn", cwd=tmp_path)
    must_be_well(done)
    assert done.returncode == 2
    assert done.stdout == ""
    assert re.fullmatch(rf"stockgrip: No such option '--jsn'\..* See stockgrip {name} --help\n", done.stderr)
    if any("--json" in parameter.opts for parameter in cli.commands[name].params):
        assert "id you mean" in done.stderr
        assert "'--json'" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["lgo"], "No such command 'lgo'. Did you mean 'log'?"),
        (["explain"], "Missing argument"),
        (["explain", "sales_data_20250215_truncated_rwo.csv"], f"did you mean {PARTIAL}?"),
        (["explain", "99999"], "there is no delivery 99999; the last one is"),
        (
            ["log", "--feed", "slaes"],
            "'slaes' is not one of 'sales', 'inventory', 'demand', 'products', 'none'",
        ),
        (["log", "--status", "bad"], "'bad' is not one of 'success', 'partial'"),
        (
            ["log", "--since", "gestern"],
            "write it as 2026-11-23, 2026-11-23T10:00, 15m, 2h, 3d, today, yesterday",
        ),
        (["log", "--until", "2026-02-30"], "write it as"),
        (["log", "--most", "-1"], "--most"),
        (["check", "nowhere.csv"], "Path 'nowhere.csv' does not exist."),
        (
            ["check", "--with", "99999", "config.yaml"],
            "there is no delivery 99999; `stockgrip log` lists them",
        ),
        (["completion", "tcsh"], "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
        (["\x1b[31m\u202e"], "No such command"),
        (["explain", "\x1b[31m\u202e"], r"nothing is known of \x1b[31m\u202e"),
        (["--config", "nowhere.yaml", "log"], "nowhere.yaml: cannot be read"),
        (["--config", ".", "log"], "is a directory"),
    ],
    ids=lambda value: names(tuple(value)) if isinstance(value, list) else "",
)
def test_a_mistake_is_one_sentence(site: Path, call: Call, arguments: list[str], says: str) -> None:
    done = call(*arguments, cwd=site)
    must_be_well(done)
    assert done.returncode in (1, 2, 78)
    assert done.stdout == ""
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("stockgrip: ")
    assert "\x1b" not in done.stderr


UNWELL: Mapping[str, dict[str, str]] = {
    "database": {"STOCKGRIP_DATABASE__URL": "postgresql://nobody@127.0.0.1:1/nothing"},
    "folder": {"STOCKGRIP_DATA_DIR": "/proc/nowhere"},
    "file": {"STOCKGRIP_DATA_DIR": "config.yaml"},
    "setting": {"STOCKGRIP_LOG__LEVEL": "loud"},
}


@pytest.mark.parametrize(
    ("what", "name"),
    # without its folder `run` waits for it: see tests/e2e
    [
        (what, name)
        for what in UNWELL
        for name in sorted(cli.commands)
        if name != "run" or what in ("database", "setting")
    ],
)
def test_a_world_that_is_unwell(site: Path, call: Call, name: str, what: str) -> None:
    use = next((use for use in EACH if use[0] == name), (name,))
    unwell = {**UNWELL[what], "STOCKGRIP_RETRY__ATTEMPTS": "1"}
    if use in IN_PROCESS or what == "setting":
        done = call(*use, cwd=site, **unwell)
    else:
        done = run_cli(*use, env=environment(**unwell), cwd=site)
    must_be_well(done)
    assert done.returncode in (0, 1, 69, 78)
    looks = name in ("log", "explain")
    if looks and what == "folder":
        assert done.returncode == (name == "explain"), "nothing has come yet, and nothing is made"
    elif looks or name in ("run", "drain", "unload", "retry"):
        assert done.returncode == (78 if what == "setting" else 69)
        assert "stockgrip: " in done.stderr


def test_an_unreadable_configuration(site: Path, call: Call) -> None:
    (site / "config.yaml").chmod(0)
    if os.access(site / "config.yaml", os.R_OK):
        (site / "config.yaml").unlink()  # root reads everything: something else that cannot be read
        (site / "config.yaml").mkdir()
    done = call("log", cwd=site)
    must_be_well(done)
    assert done.returncode == 78
    assert "cannot be read" in done.stderr


# ---- Ctrl-C


def test_follow_prints_what_comes_and_ends_well(site: Path) -> None:
    with on_terminal("log", "--follow", "--most", "1", cwd=site, NO_COLOR="1") as (process, person):
        read_until(person, "arrived (UTC)")
        drop(site / "data" / "live_feeds", "sales_data_20300101.csv", csv_bytes(SALES, []))
        run_cli("drain", env=environment(), cwd=site)
        assert "sales_data_20300101.csv" in read_until(person, "20300101.csv")
        status, rest = interrupted(process, person)
        assert status == 0
        assert not any(bad in rest for bad in BAD_NEWS)
        assert "Aborted" not in rest


def test_follow_ends_when_nobody_reads(site: Path) -> None:
    with subprocess.Popen(
        command("log", "--follow", "--json", "--most", "1"),
        env=environment(),
        cwd=site,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        try:
            assert process.wait(30) == 0, "although nothing has come that could not be written"
            assert process.stderr.read() == ""
        finally:
            process.kill()


def test_head_is_quiet(site: Path) -> None:
    line = 'set -o pipefail; "$@" | head -1'
    done = subprocess.run(
        ["bash", "-c", line, "sh", *command("log", "--json", "--most", "0")],
        env=environment(),
        cwd=site,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    json.loads(done.stdout)


def test_ctrl_c_stops_a_long_command(site: Path) -> None:
    with on_terminal("sample", "--days", "3650", "elsewhere", cwd=site, TERM="dumb") as (process, person):
        deadline = time.monotonic() + 60
        while not any((site / "elsewhere").glob("*.csv")):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        status, text = interrupted(process, person)
        assert status == 130
        assert not any(bad in text for bad in BAD_NEWS), text


def test_ctrl_c_at_a_question(site: Path) -> None:
    with on_terminal("unload", "1", cwd=site, NO_COLOR="1") as (process, person):
        read_until(person, "?")
        status, text = interrupted(process, person)
        assert status == 130
        assert not any(bad in text for bad in BAD_NEWS), text


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_run_ends_well(site: Path, number: signal.Signals) -> None:
    with on_terminal("run", cwd=site, NO_COLOR="1") as (process, person):
        text = read_until(person, "daemon_ready")
        process.send_signal(number)
        text += read_until(person)
        assert process.wait(60) == 0
        assert not any(bad in text for bad in BAD_NEWS), text
        assert not SGR.search(text)


# ---- completion


def complete(words: str, folder: Path) -> list[str]:
    """What Tab offers in bash."""
    env = environment(
        _STOCKGRIP_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(len(words.split(" ")) - 1)
    )
    done = run_cli(env=env, cwd=folder)
    assert done.stderr == ""
    return [line.partition(",")[2] for line in done.stdout.splitlines()]


def test_completion_offers_what_there_is(tmp_path: Path) -> None:
    assert set(complete("stockgrip ", tmp_path)) == set(cli.commands)
    assert complete("stockgrip log --status p", tmp_path) == ["partial"]
    assert complete("stockgrip log --feed ", tmp_path) == [*(feed.name for feed in HANDLERS), "none"]
    assert list(tmp_path.iterdir()) == [], "Tab makes nothing"


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_sound(tmp_path: Path, call: Call, shell: str) -> None:
    done = call("completion", shell, cwd=tmp_path)
    assert done.returncode == 0
    assert "_STOCKGRIP_COMPLETE" in done.stdout
    if shutil.which(shell):
        subprocess.run([shell, "-n"], input=done.stdout, text=True, check=True, timeout=60)
