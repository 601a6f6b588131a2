"""Filed files that were compressed later: zstd files that say, in a frame of their own at the front, what they hold.

The frame is one that every zstd program passes over. It has the SHA-256 of the file as it was delivered: whatever the
ledger says, or an older copy of it, what we compressed is told apart from what a sender had compressed, and from what was damaged.
"""

import contextlib
import hashlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import zstandard

from daemon.errors import TransientError
from daemon.files import rename, sha256_of, sync_folder

ENDING = ".zst"
_NAME = b"stockgrip"
_FRAME = (0x184D2A5B).to_bytes(4, "little") + (len(_NAME) + 32).to_bytes(4, "little") + _NAME
_HEAD = len(_FRAME) + 32
_CHUNK = 1 << 20


class Damaged(TransientError):  # noqa: N818  (named by what is so)
    """A compressed file does not hold what it says."""


def packed_sha256(path: Path) -> str | None:
    """The SHA-256 of the file that was delivered, as one that we compressed says it; None if we did not."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return None
    return head[len(_FRAME) :].hex() if len(head) == _HEAD and head.startswith(_FRAME) else None


def unpacked(path: Path) -> Iterator[bytes]:
    """What a file that we compressed holds, in pieces.

    Raises:
        Damaged: it cannot be read to its end.
        OSError: anything else.
    """
    with path.open("rb") as file:
        file.seek(_HEAD)
        try:
            with zstandard.ZstdDecompressor().stream_reader(file) as text:
                while chunk := text.read(_CHUNK):
                    yield chunk
        except zstandard.ZstdError as error:
            raise Damaged(f"{path}: the Zstandard data are damaged: {error}") from error


def delivered_sha256(path: Path) -> str | None:
    """The SHA-256 of what was delivered: of a file's bytes, or of what it holds if we compressed it; None: unreadable."""
    if packed_sha256(path) is None:
        return sha256_of(path)
    digest = hashlib.sha256()
    try:
        for chunk in unpacked(path):
            digest.update(chunk)
    except (Damaged, OSError):
        return None
    return digest.hexdigest()


def packed_names(path: str, delivery_id: int) -> tuple[str, str]:
    """Under which names a file is compressed: the second if the first is another's."""
    return f"{path}{ENDING}", f"{path}.{delivery_id}{ENDING}"


def plain_name(path: str, delivery_id: int) -> str:
    """The name that a file had before it was compressed."""
    for ending in (f".{delivery_id}{ENDING}", ENDING):
        if path.endswith(ending):
            return path.removesuffix(ending)
    return path


def companions_name(data_dir: Path, path: str, delivery_id: int) -> Path | None:
    """The name beside which a filed file's companions lie: its first one; None if they may be another file's.

    Args:
        data_dir: the data folder.
        path: where the ledger says the file lies.
        delivery_id: whose it is.
    """
    plain = plain_name(path, delivery_id)
    if path != plain and (path == packed_names(plain, delivery_id)[1] or os.path.lexists(data_dir / plain)):
        return None
    return data_dir / plain


def place_of(data_dir: Path, path: str, delivery_id: int) -> str:
    """Where a filed file lies now, relative to the data folder.

    The ledger may be older than what was done to the file, after a restore of the database.

    Args:
        data_dir: the data folder.
        path: where the ledger says it lies.
        delivery_id: whose it is.
    """
    if path.startswith("processed/") and not os.path.lexists(data_dir / path):
        for other in (*packed_names(path, delivery_id), plain_name(path, delivery_id)):
            if packed_sha256(data_dir / other) is not None or (other != path and _is_plain(data_dir, other)):
                return other
    return path


def _is_plain(data_dir: Path, path: str) -> bool:
    return not path.endswith(ENDING) and os.path.lexists(data_dir / path)


def pack(source: Path, target: Path, sha256: str) -> bool:
    """Compresses a file beside itself, and reads the result back; the file itself stays.

    Args:
        source: the file.
        target: has the result in the end, whole and on disk, or is not there.
        sha256: of the file as it was delivered.

    Returns:
        Whether it was done; not if the file has other bytes than it had.

    Raises:
        FileExistsError: something else has the name.
        Damaged: what was written is not what was read.
        OSError: anything else, such as no room.
    """
    temporary = target.with_name(f".{target.name[:200]}.tmp")
    digest = hashlib.sha256()
    try:
        with source.open("rb") as plain, temporary.open("wb") as packed:
            status = os.fstat(plain.fileno())
            packed.write(_FRAME + bytes.fromhex(sha256))
            compressor = zstandard.ZstdCompressor(level=9, write_checksum=True)
            with compressor.stream_writer(packed, size=status.st_size, closefd=False) as writer:
                while chunk := plain.read(_CHUNK):
                    digest.update(chunk)
                    writer.write(chunk)
            packed.flush()
            os.fchmod(packed.fileno(), status.st_mode & 0o777)
            os.utime(packed.fileno(), ns=(status.st_atime_ns, status.st_mtime_ns))
            os.fsync(packed.fileno())
        if digest.hexdigest() != sha256:
            return False
        if delivered_sha256(temporary) != sha256:
            raise Damaged(f"{temporary}: what was written is not what was read; the file itself stays")
        rename(temporary, target)
        sync_folder(target.parent)
    except zstandard.ZstdError as error:  # the file changed its size meanwhile
        raise Damaged(f"{source} cannot be compressed: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return True


def unpack(source: Path, target: Path) -> None:
    """Writes what a file that we compressed holds, with its time, into a new file; the compressed one stays.

    Raises:
        FileExistsError: something else has the name.
        Damaged: it does not hold what it says.
        OSError: anything else, such as no room.
    """
    temporary = target.with_name(f".{target.name[:200]}.tmp")
    digest = hashlib.sha256()
    try:
        with temporary.open("wb") as plain:
            for chunk in unpacked(source):
                digest.update(chunk)
                plain.write(chunk)
            plain.flush()
            os.fchmod(plain.fileno(), source.stat().st_mode & 0o777)
            os.fsync(plain.fileno())
        if digest.hexdigest() != packed_sha256(source):
            raise Damaged(f"{source} does not hold what it says; it was damaged since it was compressed")
        shutil.copystat(source, temporary)
        rename(temporary, target)
        sync_folder(target.parent)
    finally:
        temporary.unlink(missing_ok=True)


def laid_open(data_dir: Path, path: str, delivery_id: int, sha256: str) -> Path | None:
    """A filed file as it was delivered, to be moved: one that we compressed is unpacked in its place first.

    Safe to call again after a crash at any point: until the end the file is there in one form or the other.

    Args:
        data_dir: the data folder.
        path: where the ledger says it lies.
        delivery_id: whose it is.
        sha256: of its bytes.

    Returns:
        Where it lies; None if it is not there as it was.
    """
    plain = plain_name(path, delivery_id)
    opened = (data_dir / plain).with_name(f".{delivery_id}.unpacked")
    if sha256_of(data_dir / path) == sha256:
        return data_dir / path
    for name in dict.fromkeys((path, *packed_names(plain, delivery_id))):
        place = data_dir / name
        if packed_sha256(place) == sha256 and delivered_sha256(place) == sha256:
            with contextlib.suppress(FileExistsError):
                unpack(place, opened)
            if sha256_of(opened) == sha256:
                place.unlink()
                sync_folder(place.parent)
                return opened
    return next((p for p in (opened, data_dir / plain) if sha256_of(p) == sha256), None)
