"""Loading files into a store without folders and claims: for tests of what the store does with them."""

import hashlib
import os
import secrets
from datetime import UTC, datetime

from sqlalchemy import Engine, delete

from daemon.reading import Reading, Rules, read_into
from daemon.outcomes import Delivery, Dialect, Outcome
from daemon.settings import Settings
from daemon.store import Store
from daemon.store.changes import Changes
from daemon.store.schema import METADATA
from handlers.route import route

ARRIVED = datetime(2025, 7, 1, 12, tzinfo=UTC)
RULES = Rules.of(Settings())


def load(store: Store, name: str, content: bytes, rules: Rules = RULES) -> Outcome:
    """Reads, checks and commits a file.

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
    )
    fd = os.memfd_create("feed")
    try:
        os.write(fd, content)
        with store.stage(rules.feeds[where.feed]) as stage:
            reading = Reading()
            read_into(stage, fd, where.compression, rules, ARRIVED, reading)
            return store.commit(delivery, stage, reading.dialect or Dialect("", ""), 0.0)
    finally:
        os.close(fd)


def retract(store: Store, feed: str, delivery_id: int) -> None:
    """Takes a delivery out again, in one transaction."""
    declared = RULES.feeds[feed]
    with store.stage(declared) as stage:
        stage.manners.begin(stage.connection)
        changes = Changes(stage.connection, stage.manners, declared)
        changes.retract(delivery_id)
        changes.settle()
        stage.connection.commit()


def wipe(engine: Engine) -> None:
    """Empties every table."""
    with engine.begin() as connection:
        for table in reversed(METADATA.sorted_tables):
            connection.execute(delete(table))
