"""docs/runbook.md is its own source: its commands are run on a real site, and their real output is put below them.

    .venv/bin/python tests/support/runbook.py           says whether the page is what the program prints
    .venv/bin/python tests/support/runbook.py --write   writes the page anew; then read `git diff docs/runbook.md`

How the page is written:

- Each `##` heading with a console block below it is a morning, on a new site: a folder, a database, a journal.
- A ```console block holds what the operator types, after `$ `, and below each command what it printed.
- An HTML comment that begins with `behind the scene` holds what others do: lines of bash, and these:
  `@at TIME` the story's clock; `@daemon` starts `stockgrip run`; `@wait EVENT` waits for such a line of its log that
  came since the last wait; `@taken` for the end of a delivery; `@root` only root can play the rest of this morning
  (others skip it).
- All of it runs in the data folder. `$SENDER` is a folder of the sender's, with a day of sample files in `day/`.

What differs from run to run gets a stand-in, in `Scribe.fair`, and nowhere else.
"""

import argparse
import difflib
import grp
import json
import os
import pwd
import re
import secrets
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
PAGE = ROOT / "docs" / "runbook.md"
NEEDS = ("bash", "jq")  # beyond Python
SHOWN = "/srv/stockgrip"  # what the site's folder is called on the page
SHOWN_USER = ("loader", "loaders")  # what nobody and nogroup are called there
# Quiet is short because nobody wants to wait for a page; grace is long so that a slow host does not end it.
CONFIG = "data_dir: .\ntimezone: UTC\nsettle:\n  quiet_seconds: 0.3\n  grace_seconds: 120\n"
SAMPLE = "--days 1 --products 40 --seed 42 --last-day 2025-06-30"
_PIECE = re.compile(
    r"^```console\n(?P<shown>.*?)^```$|^<!-- behind the scene\n(?P<hidden>.*?)^-->$", re.MULTILINE | re.DOTALL
)
_MORNING = re.compile(r"^(?=## )", re.MULTILINE)
TAKEN = ("delivery_loaded", "delivery_partial", "delivery_duplicate", "delivery_refused", "delivery_held")
_WAIT = 90.0  # seconds, at most


class Arrived(NamedTuple):
    """A delivery as the ledger has it."""

    id: int
    feed: str | None
    at: datetime


@dataclass
class Scribe:
    """Puts stand-ins where two runs differ. Each is as long as what it stands for, so that lines break alike."""

    folder: str
    arrivals: Callable[[], list[Arrived]]
    acts: list[tuple[datetime, datetime]] = field(
        default_factory=list
    )  # when an act began; its time in the story

    def act(self, at: str) -> None:
        """What happens from now on bears this time."""
        time.sleep(1.01 - time.time() % 1)  # times are printed in whole seconds: two acts never share one
        self.acts.append(
            (datetime.now(UTC).replace(microsecond=0), datetime.fromisoformat(at).replace(tzinfo=UTC))
        )

    def _told(self, at: datetime) -> datetime:
        begun = [story for real, story in self.acts if real <= at]
        return begun[-1] if begun else self.acts[0][1]

    def fair(self, text: str) -> str:
        """The text as it stands on the page."""
        today = datetime.now(UTC)
        date = rf"(?<![\d-])(?P<date>(?:{today:%Y}-)?{today:%m-%d})"
        minute = r"(?P<gap> )(?P<clock>\d\d:\d\d)(?!:)"

        def moment(found: re.Match[str]) -> str:
            names = found.groupdict("")
            clock = names["clock"]
            at = datetime.fromisoformat(f"{today:%Y-%m-%d}T{clock or '00:00:00'}+00:00")
            if names.get("row"):  # of a delivery: its arrival is known to the second
                at = next((each.at for each in self.arrivals() if str(each.id) == names["row"]), at)
            elif names.get("feed"):
                at = [each.at for each in self.arrivals() if each.feed == names["feed"]][-1]
            at = self._told(at)
            day = f"{at:%Y-%m-%d}"[-len(names["date"]) :] if names["date"] else ""
            return f"{names.get('head', '')}{day}{names['gap']}{at:%H:%M:%S}"[: len(found[0])]

        text = text.replace(self.folder, SHOWN)
        text = re.sub(
            rf"^(?P<head> *(?P<row>\d+)  ){date}{minute}", moment, text, flags=re.MULTILINE
        )  # log, explain
        text = re.sub(
            rf"^(?P<head>(?P<feed>\w+) .*?){date}{minute}", moment, text, flags=re.MULTILINE
        )  # status
        text = re.sub(rf"{date}(?P<gap>[T ])(?P<clock>\d\d:\d\d:\d\d)", moment, text)
        text = re.sub(rf"{date}(?P<gap>)(?P<clock>)(?=, UTC)", moment, text)
        text = re.sub(
            r"^(?P<date>)(?P<gap>  )(?P<clock>\d\d:\d\d:\d\d)(?=  )", moment, text, flags=re.MULTILINE
        )
        text = re.sub(r"(?<=:\d\d)\.\d+(?=Z)", ".000", text)
        text = text.replace(f"processed/{today:%Y/%m}/", self._month)
        text = re.sub(r"\bin \d+\.\d\d s\b", "in 0.02 s", text)
        text = re.sub(r'("delivery": ?")[0-9a-f]{16}"', r'\g<1>5a1e0c77d2b94f63"', text)
        for ours, shown in zip(_program_user(), SHOWN_USER, strict=True):
            text = re.sub(rf"\b{ours}\b", shown, text)
        return text

    @property
    def _month(self) -> str:
        return f"processed/{self.acts[-1][1]:%Y/%m}/"

    def real(self, command: str) -> str:
        """A command of the page as it is typed here."""
        for ours, shown in zip(_program_user(), SHOWN_USER, strict=True):
            command = re.sub(rf"\b{shown}\b", ours, command)
        return command.replace(self._month, f"processed/{datetime.now(UTC):%Y/%m}/")


def _program_user() -> tuple[str, str]:
    """As whom the program runs where only root can play a morning: user and group."""
    user = pwd.getpwnam("nobody")
    return user.pw_name, grp.getgrgid(user.pw_gid).gr_name


class Skip(Exception):  # noqa: N818  (nothing is wrong)
    """This morning cannot be played here."""


class Site:
    """A data folder with a daemon, and who plays on it."""

    def __init__(self, folder: Path, backstage: Path) -> None:
        self.folder, self._backstage = folder, backstage
        self.folders = (folder, backstage)
        self.sender = backstage / "sender"
        self.scribe = Scribe(str(folder), self._arrivals)
        self._journal = backstage / "journal"
        self._read = 0
        self.daemon: subprocess.Popen[bytes] | None = None
        for each in (folder, backstage):
            each.mkdir()
        self._journal.touch()
        (folder / "config.yaml").write_text(CONFIG)
        self._tools()

    def _tools(self) -> None:
        """What an installed site has on its PATH."""
        tools = self._backstage / "bin"
        tools.mkdir()
        program = f'exec $drop {sys.executable} -m daemon "$@"'
        user, group = _program_user()
        drop = f"drop='setpriv --reuid={user} --regid={group} --clear-groups'"
        texts = {
            "stockgrip": f"[ -e {self._backstage}/as-user ] && {drop}\n{program}",
            "sudo": 'exec "$@"',
            "journalctl": f"exec cat {self._journal}",  # systemd keeps the same lines; --since is not looked at
        }
        if shutil.which("sqlite3") is None:
            texts["sqlite3"] = f'exec {sys.executable} {Path(__file__)} --sqlite "$@"'
        for name, text in texts.items():
            (tools / name).write_text(f"#!/bin/bash\n{text}\n")
            (tools / name).chmod(0o755)
        # coverage would make each command half as slow again, and other tests measure them
        kept = {name: text for name, text in os.environ.items() if not name.startswith(("STOCKGRIP_", "COV"))}
        self._env = kept | {
            "PATH": f"{tools}:{os.environ['PATH']}",
            "SENDER": str(self.sender),
            "PYTHONPATH": str(ROOT),
            "COLUMNS": "80",
            "NO_COLOR": "1",
            "LC_ALL": "C.UTF-8",
        }

    def _arrivals(self) -> list[Arrived]:
        with closing(
            sqlite3.connect(f"{(self.folder / 'stockgrip.db').as_uri()}?mode=ro", uri=True)
        ) as ledger:
            rows = ledger.execute(
                "SELECT id, file_type, timestamp FROM data_ingestion_log ORDER BY id"
            ).fetchall()
        return [Arrived(key, feed, datetime.fromisoformat(at).replace(tzinfo=UTC)) for key, feed, at in rows]

    def type(self, command: str, *, may_fail: bool = True) -> str:
        """Runs a command; what it prints."""
        done = subprocess.run(
            ["bash", "-c", command] if may_fail else ["bash", "-euc", command],
            cwd=self.folder,
            env=self._env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            timeout=120,
            check=False,
        )
        if done.returncode and not may_fail:
            raise AssertionError(f"behind the scene: {command}\n{done.stdout}")
        return done.stdout

    def behind_the_scene(self, text: str) -> None:
        """What others do."""
        lines: list[str] = []
        for line in [*text.splitlines(), "@end"]:
            if not line.startswith("@"):
                lines.append(line)
                continue
            if "".join(lines).strip():
                self.type("\n".join(lines), may_fail=False)
            lines = []
            word, *rest = line[1:].split(maxsplit=1)
            self._direct(word, " ".join(rest))

    def _direct(self, word: str, rest: str) -> None:
        if word == "at":
            self.scribe.act(rest)
        elif word == "daemon":
            with self._journal.open("ab") as journal:
                self.daemon = subprocess.Popen(
                    ["stockgrip", "run"], cwd=self.folder, env=self._env, stderr=journal
                )
            self._wait("daemon_ready")
        elif word == "wait":
            self._wait(rest)
        elif word == "taken":
            self._wait(*TAKEN)
            while any(
                each.is_dir() for each in (self.folder / ".work").iterdir()
            ):  # it is said before the file is moved
                time.sleep(0.02)
        elif word == "root":
            if os.geteuid():
                raise Skip("only root can play it")
            (self._backstage / "as-user").touch()
            if not self.type("stockgrip --version").startswith("stockgrip, version"):
                raise Skip(f"only root may read {sys.executable} or what belongs to it")
            for each in (self.folder, *self.folder.iterdir()):
                shutil.chown(each, *_program_user())
        elif word != "end":
            raise AssertionError(f"nobody knows what @{word} means")

    def _wait(self, *events: str) -> None:
        begun = time.monotonic()
        while True:
            text = self._journal.read_text("utf-8")
            lines = text[: text.rfind("\n") + 1].splitlines()
            for number, line in enumerate(lines[self._read :], self._read + 1):
                self._read = number
                if json.loads(line)["event"] in events:
                    return
            if time.monotonic() - begun > _WAIT or (self.daemon and self.daemon.poll() is not None):
                raise AssertionError(f"{' or '.join(events)} did not come; the daemon said:\n{text}")
            time.sleep(0.02)

    def end(self) -> None:
        """Ends the daemon."""
        if self.daemon and self.daemon.poll() is None:
            self.daemon.terminate()
            self.daemon.wait(30)


@contextmanager
def a_site() -> Iterator[Site]:
    """A new site, gone afterwards. Its folder has a name as long as that on the page: lines break at the same places."""
    name = "/tmp/" + secrets.token_hex(8)[: len(SHOWN) - len("/tmp/")]
    folder, backstage = Path(name), Path(f"{name}-backstage")
    site = None
    try:
        site = Site(folder, backstage)
        yield site
    finally:
        if site is not None:
            site.end()
        for each in (folder, backstage):
            shutil.rmtree(each, ignore_errors=True)


def mornings(page: str) -> dict[str, str]:
    """The page's parts that are played, by heading."""
    parts = {part.split("\n", 1)[0].removeprefix("## "): part for part in _MORNING.split(page)}
    return {heading: part for heading, part in parts.items() if "```console\n" in part}


def played(part: str) -> str:
    """A morning as it is today: the same text with the output of a fresh run.

    Raises:
        Skip: it cannot be played by this user.
    """
    _not_at_midnight()
    with a_site() as site:
        site.behind_the_scene('mkdir -p live_feeds "$SENDER/day"')
        for name, content in _sent().items():
            (site.sender / "day" / name).write_bytes(content)

        def play(piece: re.Match[str]) -> str:
            if piece["hidden"] is not None:
                site.behind_the_scene(piece["hidden"])
                return piece[0]
            return f"```console\n{_typed(piece['shown'], site)}```"

        return _PIECE.sub(play, part)


@cache
def _sent() -> dict[str, bytes]:
    """A day of sample files."""
    with a_site() as site:
        site.type(f"stockgrip sample {SAMPLE} day", may_fail=False)
        return {path.name: path.read_bytes() for path in (site.folder / "day").iterdir()}


def _typed(block: str, site: Site) -> str:
    """A block with fresh output; a command goes on in lines that begin with `> `."""
    lines: list[str] = []
    for command in re.findall(r"^\$ .*(?:\n> .*)*", block, re.MULTILINE):
        output = site.scribe.fair(
            site.type(site.scribe.real(re.sub(r"^(\$|>) ", "", command, flags=re.MULTILINE)))
        )
        lines += [command, *(line.rstrip() for line in output.rstrip("\n").split("\n") if output)]
    return "".join(f"{line}\n" for line in lines)


def _not_at_midnight() -> None:
    """A story that goes over midnight is told differently; this happens on one evening in a thousand runs."""
    now = datetime.now(UTC)
    left = timedelta(days=1) - timedelta(hours=now.hour, minutes=now.minute, seconds=now.second)
    if left < timedelta(seconds=90):
        time.sleep(left.total_seconds() + 1)


def written_anew(page: str) -> str:
    """The whole page with fresh output; three mornings are played at a time."""
    parts = mornings(page)
    with ThreadPoolExecutor(3) as players:
        fresh = {heading: players.submit(played, part) for heading, part in parts.items()}
        for heading, part in parts.items():
            try:
                page = page.replace(part, fresh[heading].result())
            except Skip as skip:
                sys.stderr.write(f"{heading}: left as it is: {skip}\n")
    return page


def _sqlite(database: str, query: str) -> None:
    """What the program sqlite3 prints, where it is not installed."""
    for row in sqlite3.connect(database).execute(query):
        print("|".join(map(str, row)))  # noqa: T201


def main() -> int:
    """Compares or writes."""
    if sys.argv[1:2] == ["--sqlite"]:
        _sqlite(*sys.argv[2:])
        return 0
    parser = argparse.ArgumentParser(description="Plays docs/runbook.md.")
    parser.add_argument(
        "--write", action="store_true", help="write the page; without it only the difference is shown"
    )
    write = parser.parse_args().write
    old = PAGE.read_text("utf-8")
    new = written_anew(old)
    if write:
        PAGE.write_text(new, "utf-8")
    lines = difflib.unified_diff(old.splitlines(), new.splitlines(), "the page", "the program", lineterm="")
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    return int(old != new and not write)


if __name__ == "__main__":
    sys.exit(main())
