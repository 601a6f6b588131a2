"""What lies beside a file and speaks of it: markers and manifests, from their claim to their place in the archive."""

from itertools import count
from pathlib import Path

from daemon import claims
from daemon.claims import Claim
from daemon.files import Folders, move
from daemon.inbox.probe import read_manifest
from handlers.manifest import ENDINGS, MANIFESTS, Manifest

_NOT_WORTH_KEEPING = 64  # bytes; a longer marker is not looked into


def manifests_of(claim: Claim) -> list[Manifest]:
    """What the sender says about a claimed file.

    Raises:
        FileError: ``bad_manifest``.
    """
    names = [name for name in claims.companions(claim) if name.endswith(MANIFESTS)]
    return [read_manifest(claim.companions / name) for name in names]


def file_away(folders: Folders, claim: Claim, archive_path: str) -> None:
    """Moves a filed file's companions beside it; markers, which hold nothing, are removed.

    Safe to call again after a crash or an error at any point.

    Args:
        folders: the data folder.
        claim: the file's claim.
        archive_path: where the file lies now, relative to the data folder.
    """
    target = folders.data_dir / archive_path
    for name in claims.companions(claim):
        source = claim.companions / name
        ending = next(ending for ending in ENDINGS if name.endswith(ending))
        if ending not in MANIFESTS and _is_blank(source):
            source.unlink()
        else:
            _move_to_free_name(source, target, ending)


def move_along(source: Path, target: Path) -> list[Path]:
    """Moves what lies beside a file to beside another place; call it before the file itself is moved.

    A name that is taken there is left alone, and so is the companion.

    Args:
        source: where the file lies, such as ``errors/x.csv``.
        target: where it will lie, such as ``live_feeds/x.csv``.

    Returns:
        The companions' new places.
    """
    moved = []
    for ending in ENDINGS:
        beside = target.with_name(f"{target.name}{ending}")
        try:
            move(source.with_name(f"{source.name}{ending}"), beside)
        except (FileNotFoundError, FileExistsError):
            continue
        moved.append(beside)
    return moved


def _is_blank(marker: Path) -> bool:
    if marker.lstat().st_size > _NOT_WORTH_KEEPING:
        return False
    try:
        return not marker.read_bytes().strip()
    except PermissionError:
        return marker.lstat().st_size == 0


def _move_to_free_name(source: Path, target: Path, ending: str) -> None:
    for number in count(1):
        more = "" if number == 1 else f".{number}"
        try:
            move(source, target.with_name(f"{target.name}{more}{ending}"))
        except FileExistsError:
            continue
        return
