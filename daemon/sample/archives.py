"""Archives written by hand, byte for byte.

Compressors may change their output from one version to the next, and sample files must not. What is needed here is
simple: contents stored as they are, and bombs (a tail of one byte repeated a hundred million times).
"""

import struct
import zlib

_GZIP_HEADER = b"\x1f\x8b\x08\x00" + b"\x00" * 4 + b"\x00\xff"  # deflate, no name, no time, unknown system
_STORED_MAX = 0xFFFF
_MATCH = 258  # the longest repetition of deflate
_ZSTD_BLOCK = 128 * 1024
_RAW, _REPEATED = 0, 1


def gzip_stored(content: bytes) -> bytes:
    """`content` as a gzip file, uncompressed."""
    return _gzip(_stored_blocks(content, last=True), zlib.crc32(content), len(content))


def gzip_bomb(head: bytes, mebibytes: int) -> bytes:
    """`head`, its last byte repeated `mebibytes` times 2**20, as a gzip file of about a thousandth of the size."""
    repeats = (mebibytes << 20) // _MATCH
    crc = zlib.crc32(head)
    left, chunk = repeats * _MATCH, head[-1:] * (1 << 20)
    while left:
        piece = chunk[:left]
        crc = zlib.crc32(piece, crc)
        left -= len(piece)
    blocks = _stored_blocks(head, last=False) + _repeat_block(repeats)
    return _gzip(blocks, crc, len(head) + repeats * _MATCH)


def zstd_stored(content: bytes) -> bytes:
    """`content` as a zstd file, uncompressed."""
    blocks = [content[i : i + _ZSTD_BLOCK] for i in range(0, len(content), _ZSTD_BLOCK)]
    return _zstd_header(len(content)) + b"".join(
        _zstd_block(_RAW, len(block), i == len(blocks) - 1) + block for i, block in enumerate(blocks)
    )


def zstd_bomb(head: bytes, mebibytes: int) -> bytes:
    """`head`, its last byte repeated `mebibytes` times 2**20, as a zstd file of a few kilobytes."""
    count = (mebibytes << 20) // _ZSTD_BLOCK
    body = b"".join(_zstd_block(_REPEATED, _ZSTD_BLOCK, i == count - 1) + head[-1:] for i in range(count))
    size = len(head) + count * _ZSTD_BLOCK
    return _zstd_header(size) + _zstd_block(_RAW, len(head), last=False) + head + body


def _gzip(blocks: bytes, crc: int, size: int) -> bytes:
    return _GZIP_HEADER + blocks + struct.pack("<II", crc, size & 0xFFFFFFFF)


def _stored_blocks(content: bytes, *, last: bool) -> bytes:
    """Deflate blocks of type 0 (RFC 1951, 3.2.4)."""
    pieces = [content[i : i + _STORED_MAX] for i in range(0, len(content), _STORED_MAX)]
    return b"".join(
        struct.pack("<BHH", last and i == len(pieces) - 1, len(piece), len(piece) ^ 0xFFFF) + piece
        for i, piece in enumerate(pieces)
    )


def _repeat_block(repeats: int) -> bytes:
    """Last deflate block, of type 2 (RFC 1951, 3.2.7): the byte before it, `repeats` times 258 more.

    Its code has two symbols, 256 (end, bit 0) and 285 (repeat 258 bytes, bit 1), and one distance (1, bit 0).
    """

    def number(value: int, bits: int) -> str:
        return f"{value:0{bits}b}"[::-1]

    # The code lengths are themselves coded: bit 0 is "length 1", bit 1 and seven more are "11 + n zeros".
    one, zeros = "0", "1"
    order = (16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1)
    bits = [
        number(1, 1) + number(2, 2),  # last block, dynamic codes
        number(286 - 257, 5) + number(1 - 1, 5) + number(len(order) - 4, 4),
        *(number(symbol in {18, 1}, 3) for symbol in order),
        zeros + number(138 - 11, 7) + zeros + number(118 - 11, 7) + one,  # 0 to 255 unused, then 256
        zeros + number(28 - 11, 7) + one,  # 257 to 284 unused, then 285
        one,  # the distance
        "10" * repeats + "0",
    ]
    stream = "".join(bits)
    return int(stream[::-1], 2).to_bytes((len(stream) + 7) // 8, "little")


def _zstd_header(size: int) -> bytes:
    """Magic number and frame header: one segment, size in four bytes, no checksum (RFC 8878, 3.1.1)."""
    return struct.pack("<IBI", 0xFD2FB528, 0xA0, size)


def _zstd_block(kind: int, size: int, last: bool) -> bytes:
    return struct.pack("<I", last | kind << 1 | size << 3)[:3]
