"""What a check is, and what it says."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from daemon.doctor.site import Site

State = Literal["ok", "warn", "fail", "skip"]
STATES: tuple[State, ...] = ("ok", "warn", "fail", "skip")


class NotLooked(Exception):  # noqa: N818  (named by what is so)
    """A check has nothing to look at; the message says why. Without one it does not concern this site."""


@dataclass(frozen=True, slots=True)
class Remark:
    """What a check found in one place.

    Attributes:
        state: ``ok``; ``warn``: it works, but look at it; ``fail``: it does not work, or loses data; ``skip``.
        said: what was found.
        remedy: what to do, as a sentence.
        command: the command that does it, to be copied.
    """

    state: State
    said: str
    remedy: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that is looked at.

    Attributes:
        area: the heading that it stands under.
        name: short, and its own.
        looks: what it looks at, for docs/doctor.md.
        remedy: what to do when it warns or fails, for docs/doctor.md.
        look: looks, and says one thing or several.
    """

    area: str
    name: str
    looks: str
    remedy: str
    look: Callable[["Site"], Iterable[Remark]]


@dataclass(frozen=True, slots=True)
class Finding:
    """A remark with the check that made it."""

    area: str
    name: str
    state: State
    said: str
    remedy: str
    command: str


def ok(said: str) -> Remark:
    """All is well."""
    return Remark("ok", said)


def warn(said: str, remedy: str, command: str = "") -> Remark:
    """It works, but somebody should look at it."""
    return Remark("warn", said, remedy, command)


def fail(said: str, remedy: str, command: str = "") -> Remark:
    """It does not work, or data may be lost."""
    return Remark("fail", said, remedy, command)


def skip(said: str) -> Remark:
    """It could not be told, and nothing is wrong with that."""
    return Remark("skip", said)


def examined(check: Check, site: "Site") -> list[Finding]:
    """Does a check. One that breaks is a finding itself, so that the others are still done."""
    remarks: list[Remark] = []
    try:
        for remark in check.look(site):
            remarks.append(remark)  # noqa: PERF402  (what was said before it breaks stays)
    except NotLooked as why:
        if str(why):
            remarks.append(skip(str(why)))
    except PermissionError as error:  # said with its remedy by the check of the rights
        remarks.append(skip(f"may not be looked at: {error.filename or error}"))
    except FileNotFoundError as error:
        remarks.append(skip(f"went away meanwhile: {error.filename or error}"))
    except Exception as error:  # noqa: BLE001  (see above)
        said = f"could not be looked at: {type(error).__name__}: {error}"
        remarks.append(
            fail(said, "Look at it by hand; if nothing is wrong there, it is a defect of this check.")
        )
    return [Finding(check.area, check.name, r.state, r.said, r.remedy, r.command) for r in remarks]
