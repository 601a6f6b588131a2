"""How sizes, spans, users and files are called."""

import grp
import os
import pwd
import shlex
from collections.abc import Sequence
from pathlib import Path

from daemon.logs import display_name

_SHOWN = 5


def span(seconds: float) -> str:
    """A time span in the largest unit that tells enough: ``45 s``, ``12 min``, ``5 h``, ``3 days``."""
    for longest, unit, length in ((120, "s", 1), (7200, "min", 60), (172_800, "h", 3600)):
        if seconds < longest:
            return f"{seconds / length:.0f} {unit}"
    return f"{seconds / 86_400:,.0f} days"


def size(count: float) -> str:
    """Bytes in the largest unit that tells enough, such as ``1.5 GiB``."""
    if count < 1024:  # noqa: PLR2004
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB"):
        count /= 1024
        if count < 1024:  # noqa: PLR2004
            return f"{count:.1f} {unit}"
    return f"{count / 1024:,.1f} TiB"


def listed(names: Sequence[str]) -> str:
    """The first names, printable, and how many more there are."""
    more = f" and {len(names) - _SHOWN:,} more" if len(names) > _SHOWN else ""
    return ", ".join(display_name(name) for name in names[:_SHOWN]) + more


def quoted(*paths: Path) -> str:
    """Paths as a shell takes them; of a name that is no UTF-8, what a person can see of it."""
    return " ".join(shlex.quote(os.fsencode(path).decode("utf-8", "backslashreplace")) for path in paths)


def user_name(uid: int) -> str:
    """A user's name, or his number."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """A group's name, or its number."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def us() -> str:
    """The user that looks."""
    return user_name(os.geteuid())
