"""A site for a while: folders and a database of its own, below the site's ``.work/`` or the system's temporary folder."""

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from daemon.files import Folders
from daemon.rebuild.room import room
from daemon.settings import DatabaseSettings, RetrySettings, Settings, SettleSettings, quoted
from daemon.store.backups import is_sqlite
from daemon.store.scratch_database import NoScratchDatabase, scratch_database


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


@contextlib.contextmanager
def database(settings: Settings, folder: Path, *, keep: bool) -> Iterator[tuple[str, str]]:
    """A database of its own, of the site's kind if it can be had; removed at the end.

    Args:
        settings: of the site.
        folder: the scratch folder, for one of SQLite.
        keep: leave it there.

    Yields:
        Its URL, and a remark for a person: "" if there is nothing to say.
    """
    own = f"sqlite:///{quoted(folder / 'scratch.db')}"
    if is_sqlite(settings.database_url):
        yield own, ""
        return
    with contextlib.ExitStack() as stack:
        try:
            url, name = stack.enter_context(scratch_database(settings.database_url, keep=keep))
            remark = f"its database is {name}, on the configured server" if keep else ""
        except NoScratchDatabase as error:
            url = own
            remark = f"SQLite was tried, not the configured PostgreSQL: {error}"
        yield url, remark


def settings_in(folder: Path, timezone: str, url: str) -> Settings:
    """The program's defaults on a scratch site: nobody is told anything, and nothing waits for slow senders.

    Args:
        folder: where it lies.
        timezone: the business time zone.
        url: of its database.
    """
    return Settings(
        data_dir=folder / "data",
        timezone=timezone,
        database=DatabaseSettings(url=url),
        settle=SettleSettings(quiet_seconds=0, grace_seconds=0, ready_on="close", watch="poll"),
        retry=RetrySettings(attempts=1, initial_seconds=0.01, max_seconds=0.1),
    )
