"""docs/performance.md holds what the benchmarks wrote, and says how to measure it again."""

import re
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
from support.process import clean_environment

from benchmarks import page, results

TEXT = page.PAGE.read_text("utf-8")
MARKS = re.findall(r"<!-- begin ([\w-]+): (.*?) -->\n(.*?)<!-- end \1 -->", TEXT, re.DOTALL)


@pytest.mark.parametrize(("name", "command", "found"), MARKS, ids=[name for name, _, _ in MARKS])
def test_each_figure_has_its_command(name, command, found):
    module = re.match(r"python -m (benchmarks\.\w+)", command)
    assert module is None or find_spec(module[1]) is not None
    assert module is not None or command.startswith("make bench")
    assert re.search(r"^\| .+\d", found, re.MULTILINE), f"run: {command}; then: python -m benchmarks.page"
    assert "missing:" not in found


def test_every_benchmark_of_bench_all_is_on_the_page():
    makefile = Path(results.measure.ROOT, "Makefile").read_text()
    recipe = makefile.partition("\nbench-all:")[2].partition("\n\n")[0]
    lines = re.findall(r"-m benchmarks\.(\w+)(?:.*--name (\S+))?", recipe)
    assert {named or module for module, named in lines} == {name for name, _, _ in MARKS}


def test_loading_finds_a_server_of_its_own():
    """From the root of the project, as `make bench` runs it."""
    begin = "from benchmarks.load import postgresql\nwith postgresql(True, None) as url: print(url)"
    run = subprocess.run(
        [sys.executable, "-c", begin],
        cwd=results.measure.ROOT,
        env=clean_environment(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    if run.stdout == "None\n":
        pytest.skip(run.stderr)
    assert run.stdout.startswith("postgresql://"), run.stderr
