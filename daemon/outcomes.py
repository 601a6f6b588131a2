"""A delivery and what became of it: plain frozen values, matched with ``match`` and ``assert_never``."""

from dataclasses import dataclass, field
from datetime import datetime

from handlers.reasons import FileReason


@dataclass(frozen=True, slots=True)
class Arrival:
    """How a file came to be taken; nothing is known of one that a dead process had claimed.

    Attributes:
        seen_at: when it was first seen in the inbox, UTC.
        waited: why it was not taken at once, in the order in which it showed.
        evidence: what told that it was complete: ``quiet``, ``lease``, ``rename``, ``marker``, ``manifest``.
    """

    seen_at: datetime | None = None
    waited: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Delivery:
    """One file as it arrived.

    Attributes:
        claim: the name of its folder under ``.work/``; tells a retry from a second delivery.
        name: the file's name, printable.
        arrived: when it was claimed, UTC.
        sha256: of its bytes; None if they could not be read.
        size: in bytes.
        feed: the owner of its name; None if there is none.
        slot: what it speaks for; None if it appends.
        attempts: how often it was begun.
        arrival: how it came to be taken.
        fixes: the delivery whose rejects it corrects.
        extends: the delivery whose bytes it begins with.
        retry_of: the delivery that brought the same bytes and was refused, or taken out again.
        looked_upto: the latest delivery without a slot that it was compared with.
        raw_name: the file's own name, percent-encoded, where it is not fit for an archive.
        id: in a replay, its first one; else the database gives the next.
    """

    claim: str
    name: str
    arrived: datetime
    sha256: str | None = None
    size: int | None = None
    feed: str | None = None
    slot: str | None = None
    attempts: int = 1
    arrival: Arrival = Arrival()
    fixes: int | None = None
    extends: int | None = None
    retry_of: int | None = None
    looked_upto: int | None = None
    raw_name: str | None = None
    id: int | None = None


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a file was written, for the ledger and for its rejects file.

    Attributes:
        encoding: the codec that read it.
        delimiter: between cells.
        header: its names.
        unknown: names that are no columns of the feed.
    """

    encoding: str
    delimiter: str
    header: tuple[str, ...] = ()
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Counts:
    """Rows of a delivery; ``read`` is always the sum of the others.

    Attributes:
        read: data rows in the file.
        loaded: rows stored.
        rejected: rows refused, each with its reason.
        duplicate: rows that another delivery had brought already, with the same values.
    """

    read: int = 0
    loaded: int = 0
    rejected: int = 0
    duplicate: int = 0

    def __post_init__(self) -> None:
        if self.read != self.loaded + self.rejected + self.duplicate:
            raise AssertionError(f"rows do not add up: {self}")


@dataclass(frozen=True, slots=True)
class Loaded:
    """Its valid rows are stored; ``counts.rejected`` of them were refused."""

    delivery_id: int
    counts: Counts
    superseded: int | None = None

    @property
    def partial(self) -> bool:
        """Whether rows were refused."""
        return self.counts.rejected > 0


@dataclass(frozen=True, slots=True)
class Duplicate:
    """The same bytes were loaded before, by delivery ``of``."""

    delivery_id: int
    of: int


@dataclass(frozen=True, slots=True)
class Refused:
    """Nothing of it is stored; the file goes to ``errors/``."""

    delivery_id: int
    reason: FileReason
    message: str
    counts: Counts = field(default_factory=Counts)


Outcome = Loaded | Duplicate | Refused
