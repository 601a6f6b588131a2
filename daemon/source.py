"""A file's bytes, read safely: regular files only, unpacked within limits, decoded strictly, cut at records.

Nothing here guesses: a byte that does not belong to the encoding refuses the file.
"""

import codecs
import errno
import hashlib
import os
import stat
import zlib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

import numpy as np
import zstandard

from daemon.time_limit import TimeLimit
from handlers.cells import boundary
from handlers.errors import FileError
from handlers.reasons import FileReason

CHUNK = 4 << 20  # bytes of text per block: about 65 000 sales rows
_RECORD_LIMIT = 16 << 20  # a longer line is no row of any feed
_RATIO_FROM = 16 << 20  # small files may pack well; judged from here on
_LONGEST_MARK = 4
_NEWLINE = ord("\n")
_UTF32_MARKS = (codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE)

Stamp: TypeAlias = tuple[int, int, int, int, int]
"""What changes when a file does."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a file may be.

    Attributes:
        file_bytes: as it lies on disk.
        unpacked_bytes: after decompression.
        ratio: unpacked / packed.
        time: from its first byte to its commit.
    """

    file_bytes: int
    unpacked_bytes: int
    ratio: int
    time: TimeLimit = field(default_factory=TimeLimit)


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """A file's identity and content, to tell whether it changed under our hands."""

    sha256: str
    size: int
    stamp: Stamp


def open_regular(path: Path) -> int:
    """A descriptor of a regular file; never follows a link, never waits for a pipe.

    Raises:
        FileError: ``unreadable``: the process may not read it.
        OSError: anything else.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    try:
        fd = os.open(path, flags)
    except PermissionError as error:
        raise FileError(FileReason.UNREADABLE, f"the file cannot be opened: {error.strerror}") from error
    if not stat.S_ISREG(os.fstat(fd).st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "not a regular file")
    return fd


@dataclass(frozen=True, slots=True)
class Look:
    """What a file was at a moment.

    Attributes:
        stamp: of its status.
        at: monotonic seconds when that was known.
    """

    stamp: Stamp
    at: float


def stamp(status: os.stat_result) -> Stamp:
    """What changes when a file does."""
    return (status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def fingerprint(fd: int) -> Fingerprint:
    """Hashes a whole file from its start."""
    before = os.fstat(fd)
    digest = hashlib.sha256()
    offset = 0
    while data := os.pread(fd, 1 << 20, offset):
        digest.update(data)
        offset += len(data)
    return Fingerprint(digest.hexdigest(), offset, stamp(before))


def prefixes(fd: int, sizes: Collection[int]) -> dict[int, str]:
    """The SHA-256 of a file's first bytes, for each of some sizes."""
    digest, offset, found = hashlib.sha256(), 0, {}
    for size in sorted(sizes):
        while offset < size and (data := os.pread(fd, min(1 << 20, size - offset), offset)):
            digest.update(data)
            offset += len(data)
        found[size] = digest.hexdigest()
    return found


def lines_before(fd: int, end: int, codec: str, limits: Limits) -> int | None:
    """How many physical lines of a plain file its first ``end`` bytes are; None if they end within a line."""
    before, after = os.pread(fd, 2, max(0, end - 2)), os.pread(fd, 2, end)
    whole = before.endswith((b"\n", b"\r", b"\n\0", b"\r\0"))
    if not whole and not after.startswith((b"\n", b"\r", b"\0\n", b"\0\r")):
        return None
    count = sum(chunk.count(b"\n") for chunk in blocks(fd, "", codec, limits, end))
    return count if whole else count + 1


def blocks(fd: int, compression: str, codec: str, limits: Limits, end: int | None = None) -> Iterator[bytes]:
    r"""The file's text as UTF-8 with ``\\n`` line ends, in chunks cut anywhere.

    Args:
        fd: an open file; it is read from its start.
        compression: "", "gz" or "zst".
        codec: from ``choose_codec``.
        limits: of the unpacked size.
        end: of a plain file, read only so many bytes.

    Raises:
        FileError: ``encoding``, ``gzip_corrupt``, ``gzip_too_big``, ``nul_tail`` or ``too_slow``.
    """
    unpacked = _unpack(fd, compression, limits, end=end)
    last = b""
    try:
        for chunk in _with_newlines(_decode(unpacked, codec)):
            last = chunk
            yield chunk
    except FileError:
        for _rest in unpacked if compression else ():
            pass  # damage in a compressed file shows at its end, and explains the rest
        raise
    if last.endswith(b"\0"):
        raise FileError(FileReason.NUL_TAIL, "the file ends in NUL bytes")


def records(chunks: Iterator[bytes], delimiter: str, first_line: int) -> Iterator[tuple[int, bytes]]:
    """Blocks of whole records with the physical line on which each begins.

    Raises:
        FileError: ``unbalanced_quotes`` or ``too_large`` (one endless line).
    """
    line, rest = first_line, b""
    for chunk in chunks:
        data = rest + chunk
        cut = boundary(data, delimiter, line)
        block, rest = data[:cut], data[cut:]
        if block:
            yield line, block
            line += _newlines(block)
        if len(rest) > _RECORD_LIMIT:
            _refuse_endless(rest, line)
    if rest:
        yield line, rest


def _newlines(data: bytes) -> int:
    """How many lines end in it; numpy counts three times as fast as ``bytes.count``."""
    return int(np.count_nonzero(np.frombuffer(data, np.uint8) == _NEWLINE))


def _refuse_endless(rest: bytes, line: int) -> None:
    limit = f"{_RECORD_LIMIT >> 20} MiB"
    if b'"' in rest:
        raise FileError(
            FileReason.UNBALANCED_QUOTES,
            f"the row that begins on line {line} has a quoted cell that does not end within {limit}",
        )
    raise FileError(FileReason.TOO_LARGE, f"line {line} is longer than {limit}")


def choose_codec(fd: int, compression: str, named: str | None, limits: Limits) -> str:
    """UTF-8 (with or without a mark), UTF-16 with a mark, or else the codec that the feed's config names.

    Raises:
        FileError: ``encoding`` (UTF-32), ``gzip_corrupt`` or ``gzip_too_big``.
    """
    head = b""
    for chunk in _unpack(fd, compression, limits, chunk=1 << 16):
        head += chunk
        if len(head) >= _LONGEST_MARK:
            break
    if head.startswith(_UTF32_MARKS):
        raise FileError(FileReason.ENCODING, "the file is UTF-32; UTF-8 and UTF-16 with a mark are read")
    if head.startswith(codecs.BOM_UTF8):
        return "utf-8-sig"
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "utf-16"
    if named is None:
        return "utf-8"
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        for chunk in _unpack(fd, compression, limits):
            decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeDecodeError:
        return named
    return "utf-8"


def plain_text(data: bytes) -> tuple[bytes, str] | None:
    r"""A small file that is UTF-8, with ``\\n`` line ends and without its mark, and its codec; None: it is something else."""
    if data.startswith((*_UTF32_MARKS, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return None
    marked = data.startswith(codecs.BOM_UTF8)
    text = data.removeprefix(codecs.BOM_UTF8)
    try:
        text.decode()
    except UnicodeDecodeError:
        return None
    if b"\r" in text:
        text = text.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return text, "utf-8-sig" if marked else "utf-8"


def _unpack(
    fd: int, compression: str, limits: Limits, chunk: int = CHUNK, end: int | None = None
) -> Iterator[bytes]:
    if compression == "":
        offset = 0
        while data := os.pread(fd, chunk if end is None else min(chunk, end - offset), offset):
            offset += len(data)
            limits.time.check()
            yield data
        return
    packed = os.fstat(fd).st_size
    total = 0
    gathered = bytearray()
    for data in (_gunzip if compression == "gz" else _unzstd)(fd, chunk):
        total += len(data)
        limits.time.check()
        if total > limits.unpacked_bytes:
            raise FileError(
                FileReason.GZIP_TOO_BIG, f"the file unpacks to more than {limits.unpacked_bytes:,} bytes"
            )
        if total > _RATIO_FROM and total > limits.ratio * packed:
            raise FileError(
                FileReason.GZIP_TOO_BIG,
                f"the file of {packed:,} bytes unpacks to more than {limits.ratio} times as much",
            )
        gathered += data
        if len(gathered) >= chunk:
            yield bytes(gathered)
            gathered.clear()
    if gathered:
        yield bytes(gathered)


def _gunzip(fd: int, chunk: int) -> Iterator[bytes]:
    """All members of a gzip file; each is verified by its checksum."""
    member = zlib.decompressobj(wbits=31)
    offset, pending, begun = 0, b"", False
    try:
        while True:
            if not pending:
                pending = os.pread(fd, 1 << 18, offset)
                offset += len(pending)
                if not pending:
                    break
            if member.eof:
                pending = pending.lstrip(b"\0")  # padding after a member is allowed
                if not pending:
                    continue
                member, begun = zlib.decompressobj(wbits=31), False
            begun = True
            data = member.decompress(pending, chunk)
            pending = member.unused_data if member.eof else member.unconsumed_tail
            if data:
                yield data
    except zlib.error as error:
        raise FileError(FileReason.GZIP_CORRUPT, f"the gzip data are damaged: {error}") from error
    if not (begun and member.eof):
        raise FileError(FileReason.GZIP_CORRUPT, "the gzip data end before their end mark")


def _unzstd(fd: int, chunk: int) -> Iterator[bytes]:  # noqa: ARG001
    """All frames of a Zstandard file."""
    frame = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj()
    offset, begun = 0, False
    try:
        # a slice of 1 KiB unpacks to 32 MiB at the most
        while data := os.pread(fd, 1 << 10, offset):
            offset += len(data)
            while data:
                begun = True
                text = frame.decompress(data)
                if text:
                    yield text
                data = b""
                if frame.eof:
                    data = frame.unused_data
                    frame, begun = zstandard.ZstdDecompressor(max_window_size=1 << 27).decompressobj(), False
    except zstandard.ZstdError as error:
        raise FileError(FileReason.GZIP_CORRUPT, f"the Zstandard data are damaged: {error}") from error
    if begun or offset == 0:
        raise FileError(FileReason.GZIP_CORRUPT, "the Zstandard data end before their end mark")


def _decode(chunks: Iterator[bytes], codec: str) -> Iterator[bytes]:
    """UTF-8 bytes, checked; other codecs by way of text."""
    decode = _as_utf8 if codec in ("utf-8", "utf-8-sig") else _by_way_of_text
    line = 1
    try:
        for chunk in decode(chunks, codec):
            line += _newlines(chunk)
            yield chunk
    except UnicodeError as error:
        found = ""
        if isinstance(error, UnicodeDecodeError):
            line += bytes(error.object[: error.start]).count(b"\n")
            found = f" (byte 0x{error.object[error.start]:02X})"
        raise FileError(
            FileReason.ENCODING,
            f"line {line} is not {codec.removesuffix('-sig').upper()}{found}; nothing was loaded",
        ) from error


def _as_utf8(chunks: Iterator[bytes], codec: str) -> Iterator[bytes]:
    """The chunks as they are, cut at whole characters; decoded only to check them."""
    carry, first = b"", codec == "utf-8-sig"
    for chunk in chunks:
        data = carry + chunk
        carry = b""
        if first and len(data) < len(codecs.BOM_UTF8):
            carry = data
            continue
        if first:
            data, first = data.removeprefix(codecs.BOM_UTF8), False
        if not data.isascii():
            cut = _whole_characters(data)
            data, carry = data[:cut], data[cut:]
            data.decode()
        yield data
    carry.decode()


def _by_way_of_text(chunks: Iterator[bytes], codec: str) -> Iterator[bytes]:
    decoder = codecs.getincrementaldecoder(codec)()
    for chunk in chunks:
        yield decoder.decode(chunk).encode()
    yield decoder.decode(b"", final=True).encode()


def _whole_characters(data: bytes) -> int:
    """Where the last whole UTF-8 character of ``data`` ends."""
    for back in range(1, min(4, len(data)) + 1):
        byte = data[-back]
        if byte < 0x80:  # noqa: PLR2004  (ASCII)
            return len(data)
        if byte >= 0xC0:  # noqa: PLR2004  (the first byte of a character)
            length = 2 if byte < 0xE0 else 3 if byte < 0xF0 else 4  # noqa: PLR2004
            return len(data) if back >= length else len(data) - back
    return len(data)


def _with_newlines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """CRLF and CR as LF."""
    held = b""  # a CR whose LF may begin the next chunk
    for chunk in chunks:
        data = held + chunk if held else chunk
        held = b""
        if b"\r" in data:
            if data.endswith(b"\r"):
                data, held = data[:-1], b"\r"
            data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        if data:
            yield data
    if held:
        yield b"\n"
