"""What an operator does, killed at a chosen system call and finished afterwards."""

from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from conftest import make_settings, serving
from sqlalchemy import select
from support.dump import dump

from daemon import hands
from daemon.files import sha256_of
from daemon.service import Service
from daemon.store import Store
from daemon.store.schema import DELIVERIES
from e2e.harness import Place, put, sales
from e2e.syscalls import Call, calls_of, traced, worth_dying_at


@contextmanager
def service_at(place: Place):
    """A service on the place, in this process; its database is let go of at the end."""
    store = Store.open(place.url)
    with serving(make_settings(place.data, place.url), store) as service:
        yield service
    store.close()


def drained(service: Service) -> list[dict[str, Any]]:
    """Loads what waits; the ledger."""
    service.drain()
    with service.store.engine.connect() as connection:
        return [
            dict(row) for row in connection.execute(select(DELIVERIES).order_by(DELIVERIES.c.id)).mappings()
        ]


@dataclass
class Case:
    """One thing that an operator does.

    Attributes:
        prepare: brings the place to the point; gives the command to run.
        finish: does again what the dead command may have left, as an operator would, and checks the end.
    """

    prepare: Callable[[Service, Place, str], tuple[str, ...]]
    finish: Callable[[Service, str], None]


def _fix(service: Service, place: Place, name: str) -> tuple[str, ...]:
    put(place.inbox, name, sales(name[11:19], 4, bad=2))
    service.drain()
    rejects = place.errors / f"{name}.rejects.csv"
    corrected = rejects.read_bytes().replace(b",online,0,", b",online,3,")
    rejects.unlink()
    put(place.inbox, rejects.name, corrected)
    return ("drain",)


def _fixed(service: Service, name: str) -> None:
    rows = {row["file_name"]: row for row in drained(service)}
    first, fix = rows[name], rows[f"{name}.rejects.csv"]
    assert (first["status"], first["records_successful"]) == ("success", 6)
    assert (fix["status"], fix["fixes"], fix["records_successful"]) == ("success", first["id"], 2)
    assert _live(service, first["id"]) == [2, 3, 4, 5, 6, 7]
    assert list(service.folders.errors.glob(f"{name}*")) == []
    _filed_once(service, fix)


def _correct(service: Service, place: Place, name: str) -> tuple[str, ...]:
    put(place.inbox, name, sales(f"{name[11:19]}-old", 4, bad=1))
    service.drain()
    put(place.inbox, name, sales(f"{name[11:19]}-new", 5))
    row = drained(service)[-1]
    return ("unload", str(row["id"]), "--yes")


def _uncorrected(service: Service, name: str) -> None:
    old, new = [row for row in drained(service) if row["file_name"] == name]
    if new["status"] != "unloaded":
        hands.unload(new["id"], "", service.store, service.folders)
    old, new = [row for row in drained(service) if row["file_name"] == name]
    assert (old["status"], old["superseded_by"], new["status"]) == ("partial", None, "unloaded")
    assert _live(service, old["id"]) == [2, 3, 4, 5]
    assert _live(service, new["id"]) == []
    assert new["archive_path"].startswith("errors/")
    _filed_once(service, new)


def _shrink(service: Service, place: Place, name: str) -> tuple[str, ...]:
    put(place.inbox, name, sales(f"{name[11:19]}-old", 8))
    service.drain()
    put(place.inbox, name, sales(f"{name[11:19]}-new", 2))
    return ("retry", "--force", str(drained(service)[-1]["id"]))


def _forced(service: Service, name: str) -> None:
    refused = next(row for row in drained(service) if row["file_name"] == name and row["status"] == "failed")
    if hands.can_be_retried(refused, service.store, service.folders):
        hands.retry(refused, service.store, service.folders, force=True)
    *_, last = [row for row in drained(service) if row["file_name"] == name]
    assert (last["status"], last["records_successful"], last["retry_of"]) == ("success", 2, refused["id"])
    assert _live(service, last["id"]) == [2, 3]
    assert not (service.folders.data_dir / refused["archive_path"]).exists()
    _filed_once(service, last)


CASES = {
    "fix": Case(_fix, _fixed),
    "unload": Case(_correct, _uncorrected),
    "retry": Case(_shrink, _forced),
}


def walk(place: Place, case: Case, most: int) -> int:
    """Does it once to see its system calls, then kills it at some of them; how many were reached."""
    calls = calls_of(place)
    with service_at(place) as service:
        command = case.prepare(service, place, _name(0))
    process, seen = traced(place, calls, command=command)
    assert process.popen.returncode == 0, process.tail()
    with service_at(place) as service:
        case.finish(service, _name(0))
    moments = worth_dying_at(seen)
    step = max(1, len(moments) // most)
    reached = 0
    for number, call in enumerate(moments[::step], 1):
        reached += _killed(place, case, call, calls, _name(number))
    return reached


def _killed(place: Place, case: Case, kill: Call, calls: tuple[str, ...], name: str) -> bool:
    with service_at(place) as service:
        command = case.prepare(service, place, name)
    process, _ = traced(place, calls, kill, command)
    try:
        with service_at(place) as service:
            case.finish(service, name)
    except AssertionError as error:
        raise AssertionError(f"killed at {kill}: {error}") from error
    place.assert_clean()
    return process.popen.returncode < 0


def _name(number: int) -> str:
    return f"sales_data_2025{3 + number // 28:02d}{1 + number % 28:02d}.csv"


def _live(service: Service, delivery_id: int) -> list[int]:
    rows = dump(service.store.engine, ledger=False)["live_sales_data"]
    return sorted(row["line"] for row in rows if row["delivery_id"] == delivery_id)


def _filed_once(service: Service, row: dict[str, Any]) -> None:
    """The file is where the ledger says, and nowhere else."""
    folders = service.folders
    there = [path for folder in (folders.processed, folders.errors) for path in folder.rglob("*.csv")]
    assert [path for path in there if sha256_of(path) == row["sha256"]] == [
        folders.data_dir / row["archive_path"]
    ]
