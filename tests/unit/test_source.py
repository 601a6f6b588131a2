"""Bytes to blocks: damaged, hostile and odd files are refused or read right, never read wrong."""

# ruff: noqa: PT017  (either answer may be right)

import codecs
import gzip
import hashlib
import os
import random
import resource
import socket
import zlib
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from daemon import source
from daemon.source import Limits, blocks, choose_codec, fingerprint, open_regular
from daemon.time_limit import TimeLimit
from handlers.errors import FileError
from handlers.reasons import FileReason

LIMITS = Limits(1 << 30, 1 << 30, 200)
TEXT = "date,product_id\n" + "".join(
    f"2021-01-{k % 28 + 1:02},Käse-{k * 7919 % 1000}€😀\n" for k in range(60)
)
DATA = TEXT.encode()
PACK = {
    "": lambda data: data,
    "gz": lambda data: gzip.compress(data, mtime=0),
    "zst": lambda data: zstandard.ZstdCompressor(write_checksum=True).compress(data),
}


@pytest.fixture
def put(tmp_path):
    """Writes a file and opens it."""
    opened = []

    def put(data):
        path = tmp_path / f"file{len(opened)}"
        path.write_bytes(data)
        opened.append(os.open(path, os.O_RDONLY))
        return opened[-1]

    yield put
    for fd in opened:
        os.close(fd)


class InMemory:
    """A file that lies in memory, for the many that a property test reads."""

    def __init__(self, data):
        self.data = data

    def __enter__(self):
        self.fd = os.memfd_create("file")
        os.write(self.fd, self.data)
        return self.fd

    def __exit__(self, *_):
        os.close(self.fd)


def read(fd, compression="", named=None, limits=LIMITS):
    codec = choose_codec(fd, compression, named, limits)
    return b"".join(blocks(fd, compression, codec, limits))


@pytest.mark.parametrize("compression", PACK)
def test_reading_ends_between_two_blocks_when_its_time_is_over(put, compression):
    limits = Limits(1 << 30, 1 << 30, 200, TimeLimit(60))
    fd = put(PACK[compression](DATA))
    assert read(fd, compression, None, limits) == DATA  # it does not count before it is started
    over = replace(limits, time=replace(limits.time.started(), until=0.0))
    with pytest.raises(FileError, match="abandoned after 1 minutes, while it was read") as caught:
        read(fd, compression, None, over)
    assert caught.value.reason is FileReason.TOO_SLOW


def read_bytes(data, compression="", named=None, limits=LIMITS):
    """The text, or the reason of its refusal."""
    with InMemory(data) as fd:
        try:
            return read(fd, compression, named, limits)
        except FileError as error:
            assert error.message.strip()
            return error.reason


@pytest.fixture
def cut_at(monkeypatch):
    """Makes chunks of plain files so small."""
    original = source._unpack

    def cut_at(size):
        monkeypatch.setattr(
            source,
            "_unpack",
            lambda fd, compression, limits, chunk=size, end=None: original(
                fd, compression, limits, chunk, end
            ),
        )

    return cut_at


# -- text


@pytest.mark.parametrize("compression", PACK)
@pytest.mark.parametrize(
    "encode",
    [
        lambda text: text.encode(),
        lambda text: codecs.BOM_UTF8 + text.encode(),
        lambda text: codecs.BOM_UTF16_LE + text.encode("utf-16-le"),
        lambda text: codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    ],
    ids=["utf-8", "utf-8-mark", "utf-16-le", "utf-16-be"],
)
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_same_text_in_every_form(put, compression, encode, end):
    assert read(put(PACK[compression](encode(TEXT.replace("\n", end)))), compression) == DATA


def test_characters_and_line_ends_cut_at_every_border(put, cut_at):
    text = "ab\r\nä€😀\r\r\n\r\n\n\rKäse\r"
    right = text.replace("\r\n", "\n").replace("\r", "\n").encode()
    for data in (
        text.encode(),
        codecs.BOM_UTF8 + text.encode(),
        codecs.BOM_UTF16_BE + text.encode("utf-16-be"),
    ):
        fd = put(data)
        for size in range(3, len(data) + 1):
            cut_at(size)
            assert read(fd) == right, size


@given(
    st.lists(
        st.sampled_from(["a", "é", "€", "😀", "\r", "\n", "\r\n", "\0", "\ufeff", "\u2028"]), max_size=12
    ),
    st.integers(1, 8),
)
@settings(max_examples=300, deadline=None)
def test_line_ends_become_newlines_wherever_the_chunks_are_cut(parts, size):
    data = "".join(parts).encode()
    chunks = [data[k : k + size] for k in range(0, len(data), size)]
    checked = source._as_utf8(iter(chunks), "utf-8")
    found = list(source._with_newlines(checked))
    assert b"".join(found) == data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    for chunk in found:
        chunk.decode()


BAD_UTF8 = [b"\xff", b"\xc3", b"\xe2\x82", b"\xf0\x9f\x98", b"\x80", b"\xc0\xaf", b"\xed\xa0\x80", b"\xed\xa0\xbd\xed\xb8\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\x80\x80\x80\x80\x80", b"K\xe4se"]  # fmt: skip


@pytest.mark.parametrize("bad", BAD_UTF8, ids=bytes.hex)
@pytest.mark.parametrize("after", [b"", b"x\n", "é\n".encode()])
def test_bytes_that_are_no_utf8_are_refused_with_their_line(put, cut_at, bad, after):
    data = b"date\n" + "ä\n".encode() + bad + after
    for size in (1, 2, 3, 5, 100):
        cut_at(size)
        with pytest.raises(FileError) as caught:
            list(blocks(put(data), "", "utf-8", LIMITS))
        assert caught.value.reason is FileReason.ENCODING
        assert caught.value.message.startswith("line 3 is not UTF-8 (byte 0x")


def test_utf16_that_breaks_off_or_has_half_a_pair(put):
    data = codecs.BOM_UTF16_LE + "date\nx😀".encode("utf-16-le")
    for broken in (data[:-1], data[:-2], data[:-3], data + b"\0\xd8", data + b"\0\xdc\x41\0"):
        with pytest.raises(FileError) as caught:
            read(put(broken))
        assert caught.value.reason is FileReason.ENCODING


@pytest.mark.parametrize("mark", [codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE])
def test_utf32_is_refused_by_name(put, mark):
    with pytest.raises(FileError, match="UTF-32") as caught:
        read(put(mark + b"\0\0\0a"))
    assert caught.value.reason is FileReason.ENCODING


@pytest.mark.parametrize("compression", PACK)
@pytest.mark.parametrize("named", [None, "cp1252", "utf-16"])
@pytest.mark.parametrize("data", [DATA, codecs.BOM_UTF8 + DATA, codecs.BOM_UTF16_LE + TEXT.encode("utf-16-le")], ids=["utf-8", "mark", "utf-16"])  # fmt: skip
def test_the_named_codec_never_takes_what_is_unicode(put, compression, named, data):
    assert read(put(PACK[compression](data)), compression, named) == DATA


@pytest.mark.parametrize("compression", PACK)
def test_the_named_codec_is_for_what_is_not_unicode(put, compression):
    data = "date\r\nKäse für 5 €\r\n".encode("cp1252")
    fd = put(PACK[compression](data))
    assert choose_codec(fd, compression, "cp1252", LIMITS) == "cp1252"
    assert read(fd, compression, "cp1252") == "date\nKäse für 5 €\n".encode()
    with pytest.raises(FileError) as caught:
        read(fd, compression)
    assert caught.value.reason is FileReason.ENCODING
    late = b"a" * 300_000 + "ä".encode("cp1252")
    assert read(put(PACK[compression](late)), compression, "cp1252") == b"a" * 300_000 + "ä".encode()


def test_a_byte_that_the_named_codec_lacks_refuses_the_file(put):
    fd = put(b"date\nK\xe4se\n\x81\n")
    with pytest.raises(FileError, match=r"line 3 is not CP1252 \(byte 0x81\)") as caught:
        read(fd, "", "cp1252")
    assert caught.value.reason is FileReason.ENCODING


@pytest.mark.parametrize("codec", ["shift_jis", "gb18030", "euc_kr", "utf-16-le", "iso2022_jp"])
def test_codecs_of_several_bytes_are_cut_anywhere(put, cut_at, codec):
    text = {"euc_kr": "date\n김치 만두\n", "shift_jis": "date\n日本語\n", "iso2022_jp": "date\n日本語\n"}.get(
        codec, "date\n日本 ä\n"
    )
    fd = put(text.encode(codec))
    for size in range(1, 12):
        cut_at(size)
        assert b"".join(blocks(fd, "", codec, LIMITS)) == text.encode()


@pytest.mark.parametrize("mark", [codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE])
def test_a_mark_that_comes_in_pieces(mark, put):
    codec = {codecs.BOM_UTF8: "utf-8", codecs.BOM_UTF16_LE: "utf-16-le", codecs.BOM_UTF16_BE: "utf-16-be"}[
        mark
    ]
    data = mark + TEXT.encode(codec)
    for cut in (1, 2, 3, 4):
        packed = gzip.compress(data[:cut]) + gzip.compress(b"") + gzip.compress(data[cut:])
        assert read(put(packed), "gz") == DATA, cut
        frame = zstandard.ZstdCompressor(write_checksum=True)
        assert read(put(frame.compress(data[:cut]) + frame.compress(data[cut:])), "zst") == DATA, cut


def test_only_the_first_mark_is_one(put):
    assert (
        read(put(codecs.BOM_UTF8 * 2 + b"a\n" + codecs.BOM_UTF8))
        == codecs.BOM_UTF8 + b"a\n" + codecs.BOM_UTF8
    )
    assert read(put(gzip.compress(codecs.BOM_UTF8 + b"a\n") * 2), "gz") == b"a\n" + codecs.BOM_UTF8 + b"a\n"


@pytest.mark.parametrize("tail", [b"\0", b"\0" * 5000, b"x\0", b"\r\0"])
@pytest.mark.parametrize("size", [1, 2, 7, 1 << 20])
def test_a_tail_of_nul_bytes_is_refused(put, cut_at, tail, size):
    cut_at(size)
    with pytest.raises(FileError) as caught:
        read(put(b"date\nx\n" + tail))
    assert caught.value.reason is FileReason.NUL_TAIL


def test_nul_bytes_elsewhere_are_text(put):
    assert read(put(b"da\0te\n\0\n")) == b"da\0te\n\0\n"
    assert read(put(b"\0\r")) == b"\0\n"


def test_no_bytes_are_no_text(put):
    assert read(put(b"")) == b""
    assert read(put(codecs.BOM_UTF8)) == b""
    assert read(put(codecs.BOM_UTF16_LE)) == b""
    assert read(put(gzip.compress(b"")), "gz") == b""


# -- compressed files


@pytest.mark.parametrize("compression", ["gz", "zst"])
def test_cut_off_at_every_byte(compression):
    packed = PACK[compression](DATA)
    for end in range(len(packed)):
        assert read_bytes(packed[:end], compression) is FileReason.GZIP_CORRUPT, end


@pytest.mark.parametrize("compression", ["gz", "zst"])
def test_every_bit_flipped(compression):
    """A damaged file is refused, or the damage is where it does no harm."""
    packed = PACK[compression](DATA[:700])
    harmless = 0
    for bit in range(len(packed) * 8):
        flipped = bytearray(packed)
        flipped[bit // 8] ^= 1 << bit % 8
        found = read_bytes(bytes(flipped), compression)
        assert found in (DATA[:700], FileReason.GZIP_CORRUPT, FileReason.GZIP_TOO_BIG), bit
        harmless += found == DATA[:700]
    assert harmless < 100, "the time and system of a gzip header"


@pytest.mark.parametrize("compression", ["gz", "zst"])
def test_bytes_lost_doubled_and_added(compression):
    packed = PACK[compression](DATA)
    random.seed(3)
    for _ in range(200):
        at = random.randrange(len(packed))
        for damaged in (
            packed[:at] + packed[at + 1 :],
            packed[:at] + packed[at:][:3] + packed[at:],
            packed[:at] + b"\x7f" + packed[at:],
        ):
            assert read_bytes(damaged, compression) in (DATA, FileReason.GZIP_CORRUPT)


@pytest.mark.parametrize("compression", ["gz", "zst"])
@pytest.mark.parametrize("junk", [b"x", b"trailing junk", b"\x1f", b"\x1f\x8b", b"\x28\xb5\x2f", b"\n"])
def test_bytes_after_the_end_are_refused(compression, junk):
    assert read_bytes(PACK[compression](DATA) + junk, compression) is FileReason.GZIP_CORRUPT


@pytest.mark.parametrize("padding", [1, 7, 512, 1 << 18, (1 << 18) + 1])
def test_zeros_after_a_gzip_member_are_padding(padding):
    zeros = b"\0" * padding
    assert read_bytes(gzip.compress(DATA) + zeros, "gz") == DATA
    assert read_bytes(gzip.compress(DATA) + zeros + gzip.compress(b"x\n") + zeros, "gz") == DATA + b"x\n"
    assert read_bytes(zeros + gzip.compress(DATA), "gz") is FileReason.GZIP_CORRUPT


@pytest.mark.parametrize("compression", ["gz", "zst"])
@pytest.mark.parametrize("sizes", [(0, 1), (1, 0), (0, 0, 5), (1, 1, 1), (50_000, 3, 400_000), (5,) * 3_000])
def test_many_members_are_one_file(compression, sizes):
    random.seed(1)
    text = [random.randbytes(size).hex().encode() for size in sizes]
    packed = b"".join(map(PACK[compression], text))
    assert read_bytes(packed, compression) == b"".join(text)
    assert read_bytes(packed[:-1], compression) is FileReason.GZIP_CORRUPT


def test_a_damaged_last_member_refuses_the_whole(put):
    packed = gzip.compress(DATA) + gzip.compress(DATA)[:-3]
    assert read_bytes(packed, "gz") is FileReason.GZIP_CORRUPT


@pytest.mark.parametrize("compression", ["gz", "zst"])
@pytest.mark.parametrize(
    "data", [b"", b"date,product_id\n", zlib.compress(DATA), b"PK\x03\x04", b"\0" * 100], ids=repr
)
def test_what_is_not_compressed_as_its_name_says(compression, data):
    assert read_bytes(data, compression) is FileReason.GZIP_CORRUPT


def test_compressed_as_the_other(put):
    assert read_bytes(PACK["gz"](DATA), "zst") is FileReason.GZIP_CORRUPT
    assert read_bytes(PACK["zst"](DATA), "gz") is FileReason.GZIP_CORRUPT
    assert read_bytes(PACK["gz"](DATA), "") is FileReason.ENCODING


def test_zstandard_of_all_sorts():
    plain = zstandard.ZstdCompressor(level=19, write_content_size=False).compress(DATA)
    skipped = b"\x50\x2a\x4d\x18" + (5).to_bytes(4, "little") + b"hello"
    assert read_bytes(plain, "zst") == DATA
    assert read_bytes(skipped + plain + skipped, "zst") == DATA
    stream = zstandard.ZstdCompressor(write_checksum=True).compressobj()
    flushed = b"".join(
        stream.compress(DATA[k : k + 9]) + stream.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        for k in range(0, len(DATA), 9)
    )
    assert read_bytes(flushed + stream.flush(), "zst") == DATA
    assert read_bytes(flushed, "zst") is FileReason.GZIP_CORRUPT
    far = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=28, enable_ldm=True)
    )
    assert read_bytes(far.compress(DATA), "zst") in (DATA, FileReason.GZIP_CORRUPT), (
        "small ones need no window"
    )


# -- bombs


def bomb(compression, size, byte=b"x"):
    if compression == "gz":
        packer = zlib.compressobj(9, wbits=31)
    else:
        packer = zstandard.ZstdCompressor(level=3).compressobj()
    piece = byte * (1 << 20)
    return b"".join([*(packer.compress(piece) for _ in range(size >> 20)), packer.flush()])


@pytest.mark.parametrize("compression", ["gz", "zst"])
def test_a_bomb_is_refused_early_by_its_ratio(put, compression):
    packed = bomb(compression, 96 << 20)
    fd = put(packed)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for named in (None, "cp1252"):
        with pytest.raises(FileError, match="more than 200 times") as caught:
            read(fd, compression, named)
        assert caught.value.reason is FileReason.GZIP_TOO_BIG
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown < 128 << 10, "kilobytes"


@pytest.mark.parametrize("compression", ["gz", "zst"])
def test_a_file_within_the_ratio_is_held_to_the_bytes(put, compression):
    packed = PACK[compression](DATA * 10)
    limits = Limits(1 << 30, len(DATA) * 10, 200)
    assert read(put(packed), compression, None, limits) == DATA * 10
    with pytest.raises(FileError, match="unpacks to more than") as caught:
        read(put(packed), compression, None, Limits(1 << 30, len(DATA) * 10 - 1, 200))
    assert caught.value.reason is FileReason.GZIP_TOO_BIG


@pytest.mark.parametrize("compression", ["gz", "zst"])
def test_small_files_may_pack_as_well_as_they_like(put, compression):
    data = b"a,b\n" * (1 << 20)
    assert read(put(PACK[compression](data)), compression) == data


@pytest.mark.parametrize("compression", ["gz", "zst"])
def test_blocks_of_a_large_file_are_neither_tiny_nor_huge(put, compression):
    """Each block costs a fixed time further on."""
    random.seed(2)
    data = b"".join(
        b"2021-01-02,P%d,%d\n" % (random.randrange(10**6), random.randrange(10**4)) for _ in range(300_000)
    )
    sizes = [len(chunk) for chunk in blocks(put(PACK[compression](data)), compression, "utf-8", LIMITS)]
    assert sum(sizes) == len(data)
    assert max(sizes) <= 33 << 20
    assert sum(sizes) / len(sizes) > 64 << 10


# -- opening


def test_a_regular_file_is_opened_for_reading_only(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"x")
    fd = open_regular(path)
    try:
        assert os.read(fd, 9) == b"x"
        assert not os.get_inheritable(fd)
        with pytest.raises(OSError):
            os.write(fd, b"y")
    finally:
        os.close(fd)


def descriptors():
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "kind", ["link", "dangling", "loop", "folder", "pipe", "socket", "device", "missing"]
)
def test_nothing_else_is_opened_and_nothing_waited_for(tmp_path, kind, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    path, target = tmp_path / "a.csv", tmp_path / "target.csv"
    target.write_bytes(b"secret")
    match kind:
        case "link":
            path.symlink_to(target)
        case "dangling":
            path.symlink_to("nowhere")
        case "loop":
            path.symlink_to(path)
        case "folder":
            path.mkdir()
        case "pipe":
            os.mkfifo(path)
        case "socket":
            with socket.socket(socket.AF_UNIX) as server:
                server.bind("a.csv")
        case "device":
            path = Path("/dev/zero")
    before = descriptors()
    with pytest.raises(OSError):
        open_regular(path)
    assert descriptors() == before, "nothing is left open"


def test_a_file_that_may_not_be_read_is_the_senders_fault(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"x")
    path.chmod(0)
    tmp_path.chmod(0o755)
    root = os.geteuid() == 0
    if root:
        for folder in (tmp_path.parent, tmp_path.parent.parent):
            folder.chmod(0o755)
        os.seteuid(65534)
    try:
        with pytest.raises(FileError) as caught:
            os.close(open_regular(path))
    finally:
        if root:
            os.seteuid(0)
    assert caught.value.reason is FileReason.UNREADABLE
    assert "chmod" in caught.value.remedy


@pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3_000_000])
def test_a_fingerprint_is_of_all_bytes_whatever_was_read_before(put, size):
    data = random.Random(size).randbytes(size)
    fd = put(data)
    os.lseek(fd, size // 2, os.SEEK_SET)
    found = fingerprint(fd)
    assert (found.sha256, found.size) == (hashlib.sha256(data).hexdigest(), size)
    assert found.stamp == source.stamp(os.fstat(fd))


def test_a_stamp_changes_with_the_file(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"one")
    stamps = [source.stamp(path.stat())]
    os.utime(path, ns=(1, 1))  # a sender that restores times
    stamps.append(source.stamp(path.stat()))
    with path.open("ab") as file:
        file.write(b"!")
    stamps.append(source.stamp(path.stat()))
    other = tmp_path / "b"
    other.write_bytes(b"one!")
    os.utime(other, ns=(1, 1))
    other.replace(path)
    stamps.append(source.stamp(path.stat()))
    assert all(a != b for a, b in pairwise(stamps))


def test_a_file_may_be_read_again_and_in_any_position(put):
    fd = put(gzip.compress(DATA))
    os.lseek(fd, 5, os.SEEK_SET)
    assert read(fd, "gz") == read(fd, "gz") == DATA
    assert os.lseek(fd, 0, os.SEEK_CUR) == 5
