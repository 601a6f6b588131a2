"""What a benchmark found, as JSON and as a Markdown page in ``build/bench/``, and on the screen."""

import json
import os
import platform
import resource
import sqlite3
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import measure

OUT = measure.BUILD / "bench"
PLOTTER = OUT / "env" / "bin" / "python"
"""The environment that has matplotlib and the peers: `make bench` makes it."""


@dataclass
class Table:
    """A table of texts: the first column words, the others figures."""

    title: str
    head: Sequence[str]
    rows: list[tuple[str, ...]] = field(default_factory=list)

    def add(self, *cells: object) -> None:
        """One more row."""
        self.rows.append(tuple(map(str, cells)))

    def markdown(self) -> str:
        """As GitHub shows it."""
        rule = ["---", *["---:"] * (len(self.head) - 1)]
        lines = [self.head, rule, *self.rows]
        return f"## {self.title}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)

    def show(self) -> None:
        """On the screen."""
        from rich import box  # noqa: PLC0415  (a small process measures small processes)
        from rich.console import Console  # noqa: PLC0415
        from rich.table import Table as Drawn  # noqa: PLC0415

        drawn = Drawn(title=self.title, title_justify="left", box=box.SIMPLE_HEAD)
        for number, name in enumerate(self.head):
            drawn.add_column(name, justify="right" if number else "left")
        for row in self.rows:
            drawn.add_row(*row)
        Console(width=None if sys.stdout.isatty() else 160).print(drawn)


def spread(values: Sequence[float], digits: int = 2) -> tuple[str, str]:
    """The median and the range, as texts."""
    low, high = min(values), max(values)
    return f"{statistics.median(values):,.{digits}f}", f"{low:,.{digits}f} - {high:,.{digits}f}"


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of all does not exceed."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


def _worked() -> tuple[float, float]:
    """Processor seconds so far: of everything that runs, and of this process with its children that ended."""
    user, nice, system, _idle, _wait, irq, soft, stolen = map(
        int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]
    )
    everything = (user + nice + system + irq + soft + stolen) / os.sysconf("SC_CLK_TCK")
    mine = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return everything, sum(used.ru_utime + used.ru_stime for used in mine)


_BEGAN = (time.monotonic(), *_worked())


def machine() -> dict[str, Any]:
    """The machine in general words, and which share of it others used since this process began.

    A PostgreSQL server counts among the others: it is no child of ours.
    """
    system = platform.freedesktop_os_release().get("PRETTY_NAME", platform.system())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    everything, mine = _worked()
    cores = len(os.sched_getaffinity(0))
    theirs = (everything - _BEGAN[1]) - (mine - _BEGAN[2])
    return {
        "cores": cores,
        "memory_gib": round(memory),
        "system": system,
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "others_percent": max(0, round(100 * theirs / cores / max(0.01, time.monotonic() - _BEGAN[0]))),
    }


def machine_line(found: dict[str, Any]) -> str:
    """The machine as a sentence."""
    return (
        f"{found['cores']} cores, {found['memory_gib']} GiB, {found['system']}, Python {found['python']},"
        f" SQLite {found['sqlite']}; meanwhile others used {found['others_percent']} % of the processors."
    )


def write(
    name: str, found: dict[str, Any], tables: Sequence[Table], *, note: str = "", plot: str = ""
) -> None:
    """Writes ``NAME.json`` and ``NAME.md``, shows the tables, and draws ``NAME.png`` if asked.

    Args:
        name: of the benchmark.
        found: every single run, so that other figures can be made of them later.
        tables: what a reader wants to see.
        note: a sentence for the page.
        plot: the picture of ``benchmarks.plot`` to draw of it; "": none.
    """
    OUT.mkdir(parents=True, exist_ok=True)
    raw = OUT / f"{name}.json"
    about = machine()
    raw.write_text(json.dumps({"machine": about, **found}, indent=1) + "\n")
    lines = [machine_line(about), note] if note else [machine_line(about)]
    pages = [f"# {name}\n", " ".join(lines) + "\n", *(table.markdown() for table in tables if table.rows)]
    raw.with_suffix(".md").write_text("\n".join(pages))
    for table in tables:
        if table.rows:
            table.show()
    print(f"{raw.with_suffix('.md')}, {raw.name}")
    if plot:
        draw(raw, plot)


def draw(raw: Path, picture_of: str) -> None:
    """Draws a result beside its JSON, if matplotlib is there."""
    picture = raw.with_suffix(".png")
    if not PLOTTER.exists():
        print("no plot: matplotlib is in the environment that `make bench-tools` makes")
        return
    measure.must_run(
        [PLOTTER, "-m", "benchmarks.plot", picture_of, raw, picture], log=raw.with_suffix(".plot.log")
    )
    raw.with_suffix(".plot.log").unlink()
    print(picture)


@contextmanager
def progress(what: str, total: int) -> Iterator[Callable[..., None]]:
    """A bar on a terminal; call what it yields after each step, with the name of the next one if it has one."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn  # noqa: PLC0415

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task(what, total=total)

        def advance(doing: str = "", steps: int = 1) -> None:
            bar.update(task, advance=steps, description=f"{what}: {doing}" if doing else what)

        yield advance
