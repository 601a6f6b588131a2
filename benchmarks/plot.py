"""Pictures of what the benchmarks found, drawn from their JSON; needs matplotlib (`make bench-tools`).

build/bench/env/bin/python -m benchmarks.plot load build/bench/load.json build/bench/load.png
"""

import json
import statistics
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter

INK, FAINT, OURS, PEER, FLOOR, WARM = "#22303c", "#8a97a3", "#0b7a75", "#9db4c0", "#dfe5e9", "#d1603d"
COLOURS = {"ours": OURS, "peer": PEER, "floor": FLOOR}
SERIES = (OURS, WARM, "#5b6c9d", "#c9a227")
MEASURE = {"sqlite": "import", "postgresql": "copy"}
TIMES = "\N{MULTIPLICATION SIGN}"
TITLES = {"": "Reading alone", "sqlite": "Into SQLite", "postgresql": "Into PostgreSQL"}


def style() -> None:
    """One look for all pictures."""
    plt.rcParams.update(
        {
            "font.family": "DejaVu Sans",
            "font.size": 9.5,
            "text.color": INK,
            "axes.edgecolor": FAINT,
            "axes.labelcolor": INK,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.titlelocation": "left",
            "axes.titleweight": "bold",
            "axes.titlesize": 11,
            "axes.titlepad": 10,
            "axes.grid.axis": "both",
            "grid.color": "#e6eaed",
            "xtick.color": FAINT,
            "ytick.color": FAINT,
            "xtick.labelcolor": INK,
            "ytick.labelcolor": INK,
            "legend.frameon": False,
            "figure.dpi": 150,
            "savefig.bbox": "tight",
            "savefig.facecolor": "white",
        }
    )


def big(number: float, _: object = None) -> str:
    """1 500 000 is 1.5 M."""
    for unit, name in ((1e6, " M"), (1e3, " k")):
        if number >= unit:
            return f"{number / unit:g}{name}"
    return f"{number:g}"


def _seconds(one: dict[str, Any]) -> float:
    return float(one["seconds"])


def load(found: dict[str, Any]) -> None:
    """Rows per second of each way, one panel for each database."""
    ways, runs = found["ways"], found["runs"]
    groups = {
        name: [k for k, way in ways.items() if way["database"] == name and k in runs] for name in TITLES
    }
    groups = {name: keys for name, keys in groups.items() if keys}
    heights = [len(keys) + 0.2 for keys in groups.values()]
    figure, panels = plt.subplots(
        len(groups),
        1,
        figsize=(9, 0.36 * sum(heights) + 0.75 * len(groups) + 0.4),
        height_ratios=heights,
        sharex=True,
        squeeze=False,
    )
    for axes, (name, keys) in zip(panels[:, 0], groups.items(), strict=True):
        pace = {k: ways[k]["rows"] / statistics.median(map(_seconds, runs[k])) for k in keys}
        base = pace.get(MEASURE.get(name, ""))
        for y, key in enumerate(sorted(keys, key=pace.__getitem__)):
            way = ways[key]
            ends = sorted(way["rows"] / _seconds(one) for one in runs[key])
            axes.barh(y, pace[key], height=0.68, color=COLOURS[way["kind"]], zorder=2)
            axes.plot((ends[0], ends[-1]), (y, y), color=INK, linewidth=1.1, alpha=0.65, zorder=3)
            text = f"{big(float(f'{pace[key]:.2g}'))}/s"
            if base and pace[key] != base:
                times = base / pace[key]
                text += f"   {f'{times:.0f}' if times >= 100 else f'{times:.2g}'} {TIMES} the time"
            elif base:
                text += "   the measure"
            axes.text(
                ends[-1] * 1.07,
                y,
                text,
                va="center",
                fontsize=8.5,
                color=OURS if way["kind"] == "ours" else INK,
            )
        labels = [
            ways[k]["label"]
            + (f"  ({big(ways[k]['rows'])} rows)" if ways[k]["rows"] != found["rows"] else "")
            for k in sorted(keys, key=pace.__getitem__)
        ]
        axes.set_yticks(range(len(keys)), labels)
        for tick, key in zip(axes.get_yticklabels(), sorted(keys, key=pace.__getitem__), strict=True):
            if ways[key]["kind"] == "ours":
                tick.set_fontweight("bold")
                tick.set_color(OURS)
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(-0.6, len(keys) - 0.4)
        axes.spines["left"].set_visible(False)
        axes.set_xscale("log")
        axes.grid(axis="x", zorder=0)
        axes.xaxis.set_major_formatter(FuncFormatter(big))
        axes.set_title(TITLES[name])
    panels[-1, 0].set_xlim(left=300, right=2.5e7)
    panels[-1, 0].set_xlabel(
        "rows per second, whole command (floors: without the start), logarithmic; median and range of the rounds"
    )
    figure.suptitle(
        f"One file of {found['rows']:,} sales rows into a database",
        x=0.01,
        ha="left",
        fontsize=13,
        fontweight="bold",
    )
    figure.tight_layout(rect=(0, 0, 1, 0.985))


def latency(found: dict[str, Any]) -> None:
    """Which share of the files was committed within so many milliseconds."""
    _, axes = plt.subplots(figsize=(8, 4.2))
    for colour, (name, took) in zip(SERIES, found["milliseconds"].items(), strict=False):
        ranked = sorted(took)
        shares = [100 * (n + 1) / len(ranked) for n in range(len(ranked))]
        middle = statistics.median(ranked)
        axes.step(
            ranked, shares, where="post", color=colour, linewidth=2, label=f"{name}: median {middle:.1f} ms"
        )
    axes.axhline(99, color=FAINT, linewidth=0.8, linestyle=":")
    axes.text(axes.get_xlim()[1], 97.5, "99 %", ha="right", va="top", fontsize=8.5, color=FAINT)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda x, _: f"{x:g}" if str(x)[0] in "25" else ""))
    axes.set_ylim(0, 101)
    axes.set_xlabel("milliseconds from the rename into live_feeds/ to the commit, logarithmic")
    axes.set_ylabel("% of the files")
    axes.grid(which="both", zorder=0)
    axes.legend(loc="upper left", bbox_to_anchor=(-0.02, -0.13))
    axes.set_title(f"{found['files']} files of {found['rows']} rows, daemon running")


def _lines(axes: Axes, points: dict[str, dict[str, list[float]]], xs: list[float]) -> None:
    """Medians as lines and ranges as bands; a history of zero stands left of the logarithmic axis."""
    places = list(range(len(xs)))
    for colour, (name, at) in zip(SERIES, points.items(), strict=False):
        taken = [at[str(int(x))] for x in xs if str(int(x)) in at]
        here = [place for place, x in zip(places, xs, strict=True) if str(int(x)) in at]
        axes.fill_between(
            here, [min(t) for t in taken], [max(t) for t in taken], color=colour, alpha=0.15, linewidth=0
        )
        middles = [statistics.median(t) for t in taken]
        axes.plot(here, middles, color=colour, marker="o", markersize=5, linewidth=2, label=name)
        axes.annotate(
            f"{middles[-1]:.3g}",
            (here[-1], middles[-1]),
            xytext=(7, 0),
            textcoords="offset points",
            va="center",
            color=colour,
        )
    axes.set_xticks(places, [big(x) for x in xs])
    axes.set_ylim(bottom=0)
    axes.grid(axis="y", zorder=0)
    axes.legend(loc="best")


def growth(found: dict[str, Any]) -> None:
    """The cost of a file against history, and of a row against the size of its file."""
    _, (left, right) = plt.subplots(1, 2, figsize=(11, 4.2))
    parts = found["history"]["milliseconds"]
    _lines(left, parts, found["history"]["rows"])
    left.set_title(f"A file of {found['history']['file_rows']:,} rows, against history")
    left.set_xlabel("rows in the database before it")
    left.set_ylabel("milliseconds")
    rows = found["size"]["microseconds_a_row"]
    fixed = statistics.median(found["size"]["file_milliseconds"])
    without = {size: [t - 1_000 * fixed / int(size) for t in took] for size, took in rows.items()}
    series = {"to the end of its delivery": rows, f"without the {fixed:.0f} ms that each file costs": without}
    _lines(right, series, found["size"]["rows"])
    right.set_title("A row, against the size of its file")
    right.set_xlabel("rows in the file")
    right.set_ylabel("microseconds a row")
    plt.tight_layout(w_pad=3)


def waiting(found: dict[str, Any]) -> None:
    """What a thousand waiting files cost, against how many wait."""
    _, axes = plt.subplots(figsize=(7, 4))
    _lines(axes, found["milliseconds_a_thousand"], found["files"])
    axes.set_title("Files that wait: the cost of a thousand of them")
    axes.set_xlabel("files waiting in live_feeds/")
    axes.set_ylabel("milliseconds for a thousand files")


def main() -> None:
    """Draw one picture."""
    name, raw, picture = sys.argv[1:]
    style()
    {"load": load, "latency": latency, "growth": growth, "waiting": waiting}[name](
        json.loads(Path(raw).read_text())
    )
    plt.savefig(picture)


if __name__ == "__main__":
    main()
