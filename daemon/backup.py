"""Backups: a verified copy of the database beside a note of what it holds, the oldest ones removed; and the way back.

After a restore the ledger does not know the files that came since the backup. They lie in ``processed/`` and ``errors/``:
they are found, and can be delivered again.
"""

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from daemon import packing
from daemon.errors import ConfigError
from daemon.events import Event
from daemon.files import REASON_ENDING, Folders, move, sha256_of
from daemon.logs import emit
from daemon.presence import alone
from daemon.settings import Settings
from daemon.store import Store
from daemon.store.backups import (
    CannotBackUp,
    Progress,
    contents_of,
    copy_to,
    ending,
    is_sqlite,
    must_be_known,
    put_back,
    size_of,
    sqlite_path,
)
from daemon.store.history import archived_paths, shas
from daemon.store.looking import outdated
from handlers.manifest import ENDINGS

_NOTE = ".json"
_NAME = re.compile(r"stockgrip-\d{8}T\d{6}Z(?:-\d+)?\.(?:db|dump)")
_NUMBERED = re.compile(r"(?P<stem>.+)\.\d+(?:-\d+)?(?P<ending>\.[A-Za-z][^/]*)")  # as the archive names them
_PACKED = re.compile(r"(?P<plain>.+?)(?:\.\d+)?\.zst")  # as retention names them
_SPARE = 1.05  # room for a copy, as a share of the database
_READ = 1 << 20


@dataclass(frozen=True, slots=True)
class Backup:
    """A copy and what it holds.

    Attributes:
        file: the copy.
        taken_at: the moment that it shows, UTC, ISO 8601.
        release: of the program that took it.
        revision: of its tables.
        size: in bytes.
        sha256: of the copy.
        rows: by table.
    """

    file: str
    taken_at: str
    release: str
    revision: str
    size: int
    sha256: str
    rows: dict[str, int]


@dataclass(frozen=True, slots=True)
class Restored:
    """What a restore did.

    Attributes:
        backup: what the database is now.
        before: where the database as it was lies; None: there was none, or on PostgreSQL a backup was made of it.
        unknown: files below the data folder that came after the backup, relative to it.
        delivered_again: names under which they are in the inbox again.
    """

    backup: Backup
    before: str | None
    unknown: tuple[str, ...]
    delivered_again: tuple[str, ...]


def folder_of(settings: Settings) -> Path:
    """Where the copies lie."""
    return settings.backup.folder or settings.data_dir / "backups"


def make_backup(settings: Settings, progress: Progress = lambda _done, _all: None) -> Backup:
    """Copies the database while it is in use, reads the copy back, and removes copies that are too many.

    Raises:
        CannotBackUp: no database, no room, a tool is missing, or the copy is broken; nothing is left of it.
        DatabaseUnavailable: the database does not answer.
    """
    folder = folder_of(settings)
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o750)
        _must_have_room(folder, size_of(settings.database_url))
        with _cleared(folder, ending(settings.database_url)) as part:
            taken = datetime.now(UTC)
            found = copy_to(settings.database_url, part, progress)
            part.chmod(0o640)
            backup = Backup(
                str(_free_name(folder, taken, ending(settings.database_url))),
                taken.isoformat(timespec="microseconds"),
                version("stockgrip-live"),
                found.revision,
                part.stat().st_size,
                _sha256(part),
                found.rows,
            )
            _write_note(backup)
            _sync(part)
            part.rename(backup.file)
            _sync(folder)
    except OSError as error:
        raise CannotBackUp(f"{folder}: {error.strerror or error}") from error
    seconds = round((datetime.now(UTC) - taken).total_seconds(), 3)
    emit(
        Event.BACKUP_MADE,
        path=backup.file,
        size_bytes=backup.size,
        rows=sum(found.rows.values()),
        seconds=seconds,
    )
    _rotate(folder, settings.backup.keep)
    return backup


def backups(settings: Settings) -> list[Backup]:
    """Those that are there, the newest first."""
    return _backups(folder_of(settings))


def before_migration(settings: Settings) -> None:
    """A copy of the database as the previous release left it, if this one is about to change its tables.

    Raises:
        CannotBackUp: it could not be made; ``backup.before_migration: false`` goes on without.
    """
    if settings.backup.before_migration and outdated(settings.database_url):
        make_backup(settings)


def restore(settings: Settings, file: Path, *, redeliver: bool = False) -> Restored:
    """Makes the database what a backup holds. Files that came since can be delivered again.

    Args:
        settings: of the site.
        file: the backup.
        redeliver: move what came after the backup from processed/ and errors/ into the inbox.

    Raises:
        ConfigError: a daemon works on the data folder.
        CannotBackUp: the file is broken, not of this kind of database, or of a newer release; nothing was changed.
    """
    folders = Folders(settings.data_dir)
    folders.make()
    with alone(folders):
        backup = _checked(file, settings.database_url)
        before = _set_aside(settings)
        try:
            put_back(settings.database_url, file)
        except OSError as error:
            raise CannotBackUp(
                f"{error.filename}: {error.strerror}; the database as it was: {before}"
            ) from error
        store = Store.open(settings.database_url)
        try:
            unknown = _unknown_files(folders, store.ask(archived_paths), store.ask(shas))
        finally:
            store.close()
        again = _deliver_again(folders, unknown) if redeliver else ()
    emit(Event.DATABASE_RESTORED, path=str(file), taken_at=backup.taken_at, unknown_files=len(unknown))
    return Restored(backup, before, tuple(unknown), again)


# ---- the copies


def _must_have_room(folder: Path, size: int) -> None:
    free = shutil.disk_usage(folder).free
    if free < size * _SPARE:
        raise CannotBackUp(f"{folder} has {free:,} bytes free, a copy of the database takes up to {size:,}")


@contextlib.contextmanager
def _cleared(folder: Path, ends: str) -> Iterator[Path]:
    """A name for an unfinished copy; whatever has it afterwards is removed."""
    part = folder / f"unfinished-{os.getpid()}{ends}"
    try:
        yield part
    finally:
        for left in folder.glob(f"{part.name}*"):  # SQLite may have left a journal
            left.unlink(missing_ok=True)


def _free_name(folder: Path, taken: datetime, ends: str) -> Path:
    stem = f"stockgrip-{taken:%Y%m%dT%H%M%SZ}"
    path, number = folder / f"{stem}{ends}", 1
    while path.exists():
        path, number = folder / f"{stem}-{number}{ends}", number + 1
    return path


def _write_note(backup: Backup) -> None:
    note = Path(backup.file + _NOTE)
    note.write_text(json.dumps({**asdict(backup), "file": Path(backup.file).name}, indent=1) + "\n")
    note.chmod(0o640)
    _sync(note)


def _backups(folder: Path) -> list[Backup]:
    found = []
    for path in folder.glob("stockgrip-*"):
        note = Path(f"{path}{_NOTE}")
        if _NAME.fullmatch(path.name) and note.is_file():
            found.append(Backup(**{**_read_note(note), "file": str(path)}))
    return sorted(found, key=lambda backup: backup.taken_at, reverse=True)


def _read_note(note: Path) -> dict[str, Any]:
    try:
        said: dict[str, Any] = json.loads(note.read_text())
    except (OSError, ValueError) as error:
        raise CannotBackUp(f"{note} cannot be read: {error}") from error
    return said


def _rotate(folder: Path, keep: int) -> None:
    for old in _backups(folder)[keep:]:
        Path(old.file).unlink(missing_ok=True)
        Path(old.file + _NOTE).unlink(missing_ok=True)
        emit(Event.BACKUP_REMOVED, path=old.file, taken_at=old.taken_at)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync(path: Path) -> None:
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


# ---- the way back


def _checked(file: Path, url: str) -> Backup:
    """What a backup holds, after its every byte was read."""
    if not file.is_file():
        raise CannotBackUp(f"there is no file {file}; `stockgrip backup --list` shows those that are there")
    note = Path(f"{file}{_NOTE}")
    said = _read_note(note) if note.is_file() else None
    if file.suffix != ending(url):
        put_back(url, file)  # says why not
    if said is not None and said["sha256"] != (digest := _sha256(file)):
        raise CannotBackUp(
            f"{file} is not what was written: SHA-256 {digest}, {note.name} says {said['sha256']}"
        )
    found = contents_of(file)
    must_be_known(found.revision)
    if said is not None and said["rows"] != found.rows:
        raise CannotBackUp(f"{file} does not hold the rows that {note.name} says")
    taken = said["taken_at"] if said else ""
    release = said["release"] if said else ""
    size = file.stat().st_size
    return Backup(str(file), taken, release, found.revision, size, _sha256(file), found.rows)


def _set_aside(settings: Settings) -> str | None:
    """Keeps the database as it is: a restore may be a mistake."""
    url = settings.database_url
    if not is_sqlite(url):
        with contextlib.suppress(CannotBackUp):  # there are no tables, or what is there cannot be read
            return make_backup(settings).file
        return None
    path = sqlite_path(url)
    if not path.exists():
        return None
    kept = path.with_name(f"{path.name}.before-{datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    for leftover in ("", "-wal"):
        part = path.with_name(path.name + leftover)
        if part.exists():
            part.rename(f"{kept}{leftover}")
    return str(kept)


def _unknown_files(folders: Folders, paths: set[str], contents: set[str]) -> list[str]:
    """Files of senders that the ledger has nothing of, in the order in which they were filed.

    Args:
        folders: the data folder.
        paths: where the files of deliveries lie.
        contents: SHA-256 of them.
    """
    found = []
    known = paths | {_plain(path) for path in paths}
    for folder in (folders.processed, folders.errors):
        for path in folder.rglob("*"):
            name = str(path.relative_to(folders.data_dir))
            if path.is_file() and name not in paths and not _is_ours(path, known, contents, folders):
                found.append((path.stat().st_mtime, name))
    return [name for _, name in sorted(found)]


def _plain(path: str) -> str:
    """The name of a file before it was compressed, without one that the archive may have given it then."""
    numbered = _PACKED.fullmatch(path)
    return numbered["plain"] if numbered else path


def _is_ours(path: Path, known: set[str], contents: set[str], folders: Folders) -> bool:
    """Whether the program itself wrote it, or it is the companion of a file that the ledger knows.

    A file may have been compressed since the backup; or not yet be, or be no more, when a kill came between.
    """
    if path.name.endswith((".rejects.csv", REASON_ENDING)) or path.name.startswith("."):
        return True
    if packing.packed_sha256(path) in contents:
        return True
    if str(path.relative_to(folders.data_dir)) in known and sha256_of(path) in contents:
        return True
    return any(
        str(path.with_name(path.name.removesuffix(end)).relative_to(folders.data_dir)) in known
        for end in ENDINGS
        if path.name.endswith(end)
    )


def _opened(packed: Path) -> Path:
    """A file that we compressed as it was delivered, in its place."""
    plain = packed.with_name(_plain(packed.name))
    packing.unpack(packed, plain)
    packed.unlink()
    return plain


def _deliver_again(folders: Folders, unknown: list[str]) -> tuple[str, ...]:
    names = []
    for relative in unknown:
        source = folders.data_dir / relative
        if packing.packed_sha256(source) is not None:
            source = _opened(source)
        plain = _NUMBERED.fullmatch(source.name)
        name = f"{plain['stem']}{plain['ending']}" if plain else source.name
        if (folders.inbox / name).exists():
            name = source.name
        move(source, folders.inbox / name)
        names.append(name)
    return tuple(names)


__all__ = [
    "Backup",
    "CannotBackUp",
    "ConfigError",
    "Restored",
    "backups",
    "before_migration",
    "make_backup",
    "restore",
]
