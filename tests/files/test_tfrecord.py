"""TFRecord framing, its checksums, and the wire format of protocol buffers, against writers made from their definitions."""

import struct
import tracemalloc

import pytest
import tfrecord_files as written
from crc32c import crc32c
from hypothesis import given, settings
from hypothesis import strategies as st

from parzc_core.errors import BadInput, CorruptDownload
from parzc_core.files import tfrecord
from parzc_core.files.tfrecord import masked, records

# Checksums


@pytest.mark.parametrize(
    ("data", "checksum"),
    [
        (b"", 0),
        (b"123456789", 0xE3069283),
        (bytes(32), 0x8A9136AA),  # this and the next ones: RFC 3720, B.4
        (b"\xff" * 32, 0x62A8AB43),
        (bytes(range(32)), 0x46DD794E),
        (bytes(range(31, -1, -1)), 0x113FDB5C),
    ],
)
def test_known_checksums(data, checksum):
    assert crc32c(data) == checksum


@pytest.mark.parametrize(("length", "check"), [(65, 0xABC2A900), (39997, 0x76524651)])
def test_known_checksums_of_lengths(length, check):
    """As TensorFlow's own writers put them into the head of a record."""
    assert masked(crc32c(struct.pack("<Q", length))) == check


@settings(deadline=None)
@given(st.binary(max_size=300))
def test_checksums_by_definition(data):
    assert crc32c(data) == written.crc32c(data)
    assert masked(crc32c(data)) == written.mask(written.crc32c(data))


@pytest.mark.parametrize("length", [4096, 9001])
def test_checksums_of_long_data(length):
    data = bytes(i * i % 251 for i in range(length))
    assert crc32c(data) == written.crc32c(data)


# Framing


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("tfrecord")


@settings(deadline=None, max_examples=50)
@given(contents=st.lists(st.binary(max_size=200), max_size=6))
def test_what_is_written_is_read(folder, contents):
    path = folder / "file.tfrecord"
    frames = [written.frame(data) for data in contents]
    path.write_bytes(b"".join(frames))
    got = list(records(path))
    assert [record.data for record in got] == contents
    assert [record.number for record in got] == list(range(1, len(contents) + 1))
    assert [record.offset for record in got] == [sum(map(len, frames[:i])) for i in range(len(frames))]


CONTENTS = (b"one", b"", b"the third record", b"4" * 40)
WHOLE = b"".join(written.frame(data) for data in CONTENTS)
ENDS = [sum(16 + len(data) for data in CONTENTS[:i]) for i in range(len(CONTENTS) + 1)]


def read(path, content: bytes) -> tuple[list[bytes], str]:
    """Data of the records before the error, and its text."""
    path.write_bytes(content)
    got = []
    try:
        for record in records(path):
            got.append(record.data)
    except CorruptDownload as error:
        return got, str(error)
    return got, ""


def test_a_file_cut_off_anywhere_is_an_error_or_ends_after_a_whole_record(folder):
    for cut in range(len(WHOLE)):
        got, error = read(folder / "cut.tfrecord", WHOLE[:cut])
        before = max(i for i, end in enumerate(ENDS) if end <= cut)
        assert got == list(CONTENTS[:before])
        if cut in ENDS:
            assert error == ""
        else:
            assert f"cut.tfrecord, record {before + 1} at byte offset {ENDS[before]}: " in error
            assert f"the file of {cut} bytes ends" in error
            assert "get it again" in error


def test_a_changed_byte_anywhere_is_an_error_and_the_records_before_it_are_read(folder):
    for place in range(len(WHOLE)):
        changed = bytearray(WHOLE)
        changed[place] ^= 1 << place % 8
        got, error = read(folder / "changed.tfrecord", bytes(changed))
        before = max(i for i, end in enumerate(ENDS) if end <= place)
        assert got == list(CONTENTS[:before])
        assert f"changed.tfrecord, record {before + 1} at byte offset {ENDS[before]}: the checksum of its" in error


def test_a_record_of_unreasonable_length_is_refused_before_it_is_read(folder):
    head = struct.pack("<Q", 2**40)
    got, error = read(folder / "long.tfrecord", head + struct.pack("<I", written.mask(written.crc32c(head))))
    assert got == []
    assert "it has 1,099,511,627,776 bytes; expected at most 1,048,576" in error


def test_any_other_file_is_named(folder):
    assert "it is damaged, truncated or no TFRecord file" in read(folder / "text", b"index,accuracy\n0,91.5\n")[1]


def test_records_are_in_memory_one_at_a_time(folder):
    path = folder / "big.tfrecord"
    frame = written.frame(bytes(4000))
    with open(path, "wb") as file:
        for _ in range(3000):
            file.write(frame)
    tracemalloc.start()
    count = sum(1 for _ in records(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 3000
    assert peak < 1_000_000 < path.stat().st_size / 10


# Protocol buffers

VALUES = st.integers(0, 2**64 - 1) | st.floats(allow_nan=False) | st.binary(max_size=200)


@given(st.lists(st.tuples(st.integers(1, 2**29 - 1), VALUES)))
def test_fields_come_back_in_order(content):
    message = b"".join(written.field(number, value) for number, value in content)
    got = []
    for number, kind, value in tfrecord.fields(message):
        if kind == tfrecord.EIGHT_BYTES:
            (value,) = struct.unpack("<d", value)
        got.append((number, value))
    assert got == content


def test_known_messages():
    """The examples of the format's own documentation."""
    assert list(tfrecord.fields(b"\x08\x96\x01")) == [(1, tfrecord.VARINT, 150)]
    assert list(tfrecord.fields(b"\x12\x07testing")) == [(2, tfrecord.BYTES, b"testing")]
    assert list(tfrecord.fields(b"\x1a\x03\x08\x96\x01")) == [(3, tfrecord.BYTES, b"\x08\x96\x01")]
    assert list(tfrecord.fields(b"\x0d\x01\x02\x03\x04\x10\x05")) == [
        (1, tfrecord.FOUR_BYTES, b"\x01\x02\x03\x04"),
        (2, tfrecord.VARINT, 5),
    ]


@given(st.lists(VALUES, min_size=1, max_size=4))
def test_a_message_cut_off_within_a_field_is_an_error(content):
    parts = [written.field(number, value) for number, value in enumerate(content, start=1)]
    message, ends = b"".join(parts), [len(b"".join(parts[:i])) for i in range(len(parts) + 1)]
    for cut in range(len(message)):
        if cut in ends:
            assert len(list(tfrecord.fields(message[:cut]))) == ends.index(cut)
        else:
            with pytest.raises(BadInput, match=r"ends within field|has no end"):
                list(tfrecord.fields(message[:cut]))


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (b"\x00\x01", "no field has the number 0"),
        (b"\x0b", "field 1 is of kind 3"),
        (b"\x08" + b"\xff" * 10 + b"\x01", "a number has no end"),
        (b"\x08" + b"\xff" * 9 + b"\x02", "more than 64 bits"),
        (b"\x0a" + b"\xff" * 9 + b"\x01", "ends within field 1"),
    ],
)
def test_what_is_no_message(message, error):
    with pytest.raises(BadInput, match=error):
        list(tfrecord.fields(message))


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_fields_or_one_clear_error(data):
    error = "byte"
    try:
        list(tfrecord.fields(data))
    except BadInput as raised:
        error = str(raised)
    assert "byte" in error
