"""Puts what was measured into docs/performance.md: tables between its marks, pictures beside it.

    python -m benchmarks.page

Only what stands in build/bench/ is replaced; the rest of the page stays as it is.
"""

import re
import shutil
from pathlib import Path

from benchmarks import measure, results

PAGE = measure.ROOT / "docs" / "performance.md"
PICTURES = PAGE.with_suffix("")
MARKS = re.compile(r"(<!-- begin (?P<name>[\w-]+): .*? -->\n).*?(<!-- end (?P=name) -->)", re.DOTALL)


def measured(name: str) -> str | None:
    """The tables of a benchmark as they fit below the page's headings."""
    found = results.OUT / f"{name}.md"
    if not found.exists():
        return None
    text = found.read_text("utf-8").partition("\n")[2].strip()
    return re.sub(r"^## (.*)$", r"**\1**", text, flags=re.MULTILINE)


def main() -> None:
    """Rewrite the page."""
    taken = []

    def put(place: re.Match[str]) -> str:
        text = measured(place["name"])
        if text is None:
            return place[0]
        taken.append(place["name"])
        return f"{place[1]}\n{text}\n\n{place[3]}"

    PAGE.write_text(MARKS.sub(put, PAGE.read_text("utf-8")), "utf-8")
    PICTURES.mkdir(exist_ok=True)
    for picture in re.findall(r"\(performance/(\S+\.png)\)", PAGE.read_text("utf-8")):
        if (results.OUT / picture).exists():
            shutil.copyfile(results.OUT / picture, PICTURES / picture)
    print(f"{PAGE.relative_to(Path.cwd())}: {', '.join(taken) or 'nothing measured'}")


if __name__ == "__main__":
    main()
