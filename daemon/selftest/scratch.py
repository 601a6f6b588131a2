"""A site for a while: folders and a database of its own, below the site's ``.work/`` or the system's temporary folder."""

import contextlib
import os
import secrets
import tempfile
from collections.abc import Iterator
from pathlib import Path

from daemon.files import Folders
from daemon.rebuild.room import room
from daemon.settings import DatabaseSettings, RetrySettings, Settings, SettleSettings, quoted


@contextlib.contextmanager
def scratch(settings: Settings, *, keep: bool) -> Iterator[Path]:
    """A new folder; removed at the end, and by the next one if its owner died.

    Args:
        settings: of the site, on whose filesystem it is if that can be written.
        keep: leave it there.
    """
    parent = _parent(Folders(settings.data_dir).work)
    if keep:
        folder = parent / f"selftest-{secrets.token_hex(4)}"
        folder.mkdir(mode=0o700)
        yield folder
        return
    with room(parent) as folder:
        yield folder


def _parent(work: Path) -> Path:
    return work if os.access(work, os.W_OK | os.X_OK) else Path(tempfile.gettempdir())


def settings_in(folder: Path, timezone: str) -> Settings:
    """The program's defaults on a scratch site: nobody is told anything, and nothing waits for slow senders.

    Args:
        folder: where it lies.
        timezone: the business time zone.
    """
    return Settings(
        data_dir=folder / "data",
        timezone=timezone,
        database=DatabaseSettings(url=f"sqlite:///{quoted(folder / 'scratch.db')}"),
        settle=SettleSettings(quiet_seconds=0, grace_seconds=0, ready_on="close", watch="poll"),
        retry=RetrySettings(attempts=1, initial_seconds=0.01, max_seconds=0.1),
    )
