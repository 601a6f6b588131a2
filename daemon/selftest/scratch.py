"""A site for a while: folders and a database of its own, below the site's ``.work/`` or the system's temporary folder."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from daemon.files import Folders
from daemon.rebuild.room import room
from daemon.settings import DatabaseSettings, RetrySettings, Settings, SettleSettings, quoted


@contextlib.contextmanager
def scratch(settings: Settings, *, keep: bool) -> Iterator[Path]:
    """A new folder, removed at the end; below ``.work/`` also by the next one, if its owner died.

    Args:
        settings: of the site, on whose filesystem it is if that can be written.
        keep: leave it there.
    """
    work = Folders(settings.data_dir).work
    ours = os.access(work, os.W_OK | os.X_OK)
    if keep:
        yield Path(tempfile.mkdtemp(prefix="selftest-", dir=work if ours else None))
    elif ours:
        with room(work) as folder:
            yield folder
    else:  # what else lies there is not ours to tidy up
        with tempfile.TemporaryDirectory(
            prefix="stockgrip-selftest-", ignore_cleanup_errors=True
        ) as folder_name:
            yield Path(folder_name)


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
