"""The settings of the health endpoint: whether and where it answers."""

import os
import re
from ipaddress import ip_address
from typing import Annotated, Final

from pydantic import AfterValidator, Field

from daemon.section import Section

_ADDRESS: Final = re.compile(
    r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)]|(?P<host>[A-Za-z0-9.-]{1,253})):(?P<port>\d{1,5})"
)
_LAST_PORT: Final = 65_535
_SHAPE: Final = "must be an address and a port, such as 127.0.0.1:9464 or [::1]:9464"


def address_of(listen: str) -> tuple[str, int]:
    """Host and port of an address as it stands in the settings; an IPv6 address without its brackets.

    Raises:
        ValueError: it is none.
    """
    match = _ADDRESS.fullmatch(listen)
    if match is None or not 0 < int(match["port"]) <= _LAST_PORT:
        raise ValueError(_SHAPE)
    host = match["v6"] or match["host"]
    if match["v6"] or re.fullmatch(r"[\d.]+", host):
        try:
            ip_address(host)
        except ValueError:
            raise ValueError(_SHAPE) from None
    return host, int(match["port"])


def in_words(error: OSError) -> str:
    """What is wrong with an address, without what Python adds to it."""
    if error.errno is not None and error.errno > 0:  # those of name services are negative
        return os.strerror(error.errno)
    return error.strerror or str(error)


def _checked(listen: str) -> str:
    address_of(listen)
    return listen


class HealthSettings(Section):
    """Where others may ask how the daemon is."""

    listen: Annotated[str, AfterValidator(_checked)] | None = Field(
        default=None,
        description="Address and port that `/healthz`, `/readyz` and `/metrics` answer on, such as `127.0.0.1:9464`; there is "
        "no password, so let it be one of this host; null answers nowhere",
    )
