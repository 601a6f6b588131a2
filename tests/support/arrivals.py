"""Files that arrived at a moment, and what the quality engine does about them at another: no clock, no folders."""

import hashlib
import os
import secrets
from datetime import UTC, date, datetime, time, timedelta

from daemon.after import quality
from daemon.outcomes import Delivery, Dialect, Outcome
from daemon.reading import Kin, Reading, Rules, read_into
from daemon.settings import Settings
from daemon.store import Store
from handlers.errors import FileError
from handlers.fixes import fixing
from handlers.route import route

SETTINGS = Settings()
RULES = Rules.of(SETTINGS)


def at(day: date, hour: float) -> datetime:
    return datetime.combine(day, time(), UTC) + timedelta(hours=hour)


def send(
    store: Store,
    name: str,
    content: bytes,
    arrived: datetime,
    fixes: int | None = None,
    header: str | None = None,
) -> Outcome:
    """Loads or refuses a file that arrived at a moment."""
    where = route(name, RULES.patterns)
    delivery = Delivery(
        claim=secrets.token_hex(8),
        name=name,
        arrived=arrived,
        sha256=hashlib.sha256(content).hexdigest(),
        size=len(content),
        feed=where.feed,
        slot=where.slot,
        fixes=fixes,
    )
    feed = RULES.feeds[where.feed]
    fd, reading = os.memfd_create("feed"), Reading()
    try:
        os.write(fd, content)
        with store.stage(feed if fixes is None else fixing(feed)) as stage:
            read_into(stage, fd, where.compression, RULES, arrived, reading, Kin(fixes=fixes))
            outcome = store.commit(delivery, stage, reading.dialect or Dialect("", ""), 0.0, 0.0)
    except FileError as error:
        read = reading.rows + sum(reading.reasons.values())
        return store.refuse(delivery, error, dialect=reading.dialect, read=read, details=reading.details())
    else:
        store.filed(outcome.delivery_id, f"processed/{name}")
        return outcome
    finally:
        os.close(fd)


def judge(store: Store) -> None:
    while quality.judge(store, SETTINGS):
        pass


def watch(store: Store, now: datetime) -> None:
    quality.watch(store, SETTINGS, now)
