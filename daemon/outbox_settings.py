"""The settings of acknowledgements: whether a sender is told what became of its file."""

from pydantic import Field

from daemon.section import Section


class OutboxSettings(Section):
    """What senders are told in ``outbox/``."""

    enabled: bool = Field(
        default=False,
        description="Write for each delivery into outbox/ what became of it: `<name>.ack.json`, and `<name>.nack.csv` for "
        "rejected rows",
    )
    days: int = Field(
        default=30, ge=1, le=3660, description="Acknowledgements older than so many days are removed"
    )


NO_OUTBOX = OutboxSettings()
