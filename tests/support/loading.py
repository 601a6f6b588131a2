"""Loading files into a store without folders and claims: for tests of what the store does with them."""

import hashlib
import os
import secrets
from datetime import UTC, datetime

from sqlalchemy import Engine, delete, func, select

from daemon.outcomes import Delivery, Dialect, Outcome
from daemon.reading import Kin, Reading, Rules, read_into
from daemon.service import Service
from daemon.settings import Settings
from daemon.store import Store
from daemon.store.schema import DELIVERIES, LIVE, METADATA
from handlers.fixes import fixing
from handlers.route import route

ARRIVED = datetime(2025, 7, 1, 12, tzinfo=UTC)
RULES = Rules.of(Settings())


def load(store: Store, name: str, content: bytes, rules: Rules = RULES, fixes: int | None = None) -> Outcome:
    """Loads a file and says that it is filed away; a correction may have any size.

    Takes and raises what `commit` does.
    """
    outcome = commit(store, name, content, rules, fixes)
    store.filed(outcome.delivery_id, f"processed/2025/07/{name}")
    return outcome


def commit(
    store: Store, name: str, content: bytes, rules: Rules = RULES, fixes: int | None = None
) -> Outcome:
    """Reads, checks and commits a file.

    Args:
        store: the database.
        name: the file's name, of a fix too: that of a file of its feed.
        content: its bytes.
        rules: from the settings.
        fixes: the delivery whose rejects it corrects.

    Raises:
        FileError: it is refused; nothing is noted then.
    """
    where = route(name, rules.patterns)
    delivery = Delivery(
        claim=secrets.token_hex(8),
        name=name,
        arrived=ARRIVED,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        feed=where.feed,
        slot=where.slot,
        fixes=fixes,
    )
    feed = rules.feeds[where.feed] if fixes is None else fixing(rules.feeds[where.feed])
    fd = os.memfd_create("feed")
    try:
        os.write(fd, content)
        with store.stage(feed) as stage:
            reading = Reading()
            read_into(stage, fd, where.compression, rules, ARRIVED, reading, Kin(fixes=fixes), where.day)
            return store.commit(delivery, stage, reading.dialect or Dialect("", ""), 0.0, least_share=0.0)
    finally:
        os.close(fd)


def wipe(engine: Engine) -> None:
    """Empties every table."""
    with engine.begin() as connection:
        for table in reversed(METADATA.sorted_tables):
            connection.execute(delete(table))


def is_whole(made: Service, names: list[str], rows: int) -> None:
    """Each sales file is loaded once, with so many rows, and filed, and nothing is left."""
    with made.store.engine.connect() as connection:
        c = DELIVERIES.c
        found = connection.execute(select(c.file_name, c.status, c.archive_path).order_by(c.id)).all()
        count = connection.execute(select(func.count()).select_from(LIVE["sales"])).scalar_one()
    assert sorted((row.file_name, row.status) for row in found) == [(name, "success") for name in names]
    assert count == rows * len(names)
    assert all((made.folders.data_dir / row.archive_path).is_file() for row in found)
    assert os.listdir(made.folders.work) == os.listdir(made.folders.inbox) == []
