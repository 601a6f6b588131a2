"""Which delivery an operator means by a number, a name or a path."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from daemon.files import Folders
from daemon.logs import display_name
from daemon.store import Store
from daemon.story.tell import look_up


def deliveries_of(word: str, store: Store, folders: Folders) -> tuple[list[Mapping[str, Any]], str]:
    """The rows of the ledger that a word stands for, newest first; and, if there are none, a sentence about it."""
    asked = look_up(word, folders, store, Path.cwd())
    rows = [row for key in asked.deliveries if (row := store.delivery(key)) is not None]
    if asked.waiting is not None and not rows:
        return [], f"{display_name(word)} waits in live_feeds/ and is no delivery yet; see: stockgrip explain"
    nearest = (
        f"; did you mean {' or '.join(asked.nearest)}?" if asked.nearest else "; `stockgrip log` lists them"
    )
    return rows, f"no delivery is known as {display_name(word)}{nearest}"
