"""TFRecord files without TensorFlow: the stream of records, and the protocol buffers that they hold.

    for record in records(path):
        for number, kind, value in fields(record.data): ...

On disk, little-endian: uint64 length, uint32 checksum of these eight bytes, the data, uint32 checksum of the data. The
checksums are CRC-32C (package crc32c), masked. All are checked; a record is in memory only while it is looked at. Own code:
both formats take a page, and an error names the damaged record and its offset.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from crc32c import crc32c

from parzc_core.errors import BadInput, CorruptDownload

_HEAD = struct.Struct("<QI")
_FOOT = struct.Struct("<I")
LONGEST = 1 << 20  # bytes; a longer record is no row of a table of labels
# Kinds of a field of a protocol buffer; 3 and 4 are groups, which nobody writes any more.
VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5


class Record(NamedTuple):
    """number: from 1. offset: of its first byte (of its length) in the file. data: its content."""

    number: int
    offset: int
    data: bytes


def records(path: Path) -> Iterator[Record]:
    """The records of a file in order. A file that ends after a whole record is in order, an empty one too.

    Raises CorruptDownload, naming file, record and byte offset: the file ends within a record, a checksum is wrong, or a
    record is longer than LONGEST.
    """
    path = Path(path)
    size = path.stat().st_size
    with open(path, "rb") as file:
        offset, number = 0, 1
        while head := file.read(_HEAD.size):
            if len(head) < _HEAD.size:
                raise _damaged(path, number, offset, f"the file of {size:,} bytes ends within its length")
            length, check = _HEAD.unpack(head)
            if masked(crc32c(head[:8])) != check:
                raise _damaged(path, number, offset, "the checksum of its length is wrong")
            if length > LONGEST:  # before anything of that size is read
                raise _damaged(path, number, offset, f"it has {length:,} bytes; expected at most {LONGEST:,}")
            body = file.read(length + _FOOT.size)
            if len(body) < length + _FOOT.size:
                end = f"it takes {_HEAD.size + length + _FOOT.size:,} bytes and the file of {size:,} bytes ends before"
                raise _damaged(path, number, offset, end)
            data = body[:length]
            if masked(crc32c(data)) != _FOOT.unpack_from(body, length)[0]:
                raise _damaged(path, number, offset, "the checksum of its data is wrong")
            yield Record(number, offset, data)
            offset += len(head) + len(body)
            number += 1


def where(path: Path, number: int, offset: int) -> str:
    """A record's place, as errors name it."""
    return f"{Path(path).name}, record {number:,} at byte offset {offset:,}"


def _damaged(path: Path, number: int, offset: int, what: str) -> CorruptDownload:
    return CorruptDownload(
        f"{where(path, number, offset)}: {what}; it is damaged, truncated or no TFRecord file: get it again"
    )


def masked(checksum: int) -> int:
    """A checksum as it is stored: rotated right by 15 bits, plus a constant, so that files in files keep good checksums."""
    return (((checksum >> 15) | (checksum << 17)) + 0xA282EAD8) & 0xFFFFFFFF


def fields(message: bytes) -> Iterator[tuple[int, int, Any]]:
    """(number, kind, value) of every field of a protocol buffer, in the order of the message, known or not.

    value: an int in [0, 2^64) of a VARINT, else the raw bytes: a double (little-endian) if EIGHT_BYTES, text or a message
    if BYTES. Raises BadInput if the message ends within a field or has no valid field there.
    """
    position, end = 0, len(message)
    while position < end:
        begin = position
        key, position = _varint(message, position)
        number, kind = key >> 3, key & 7
        if number == 0:
            raise BadInput(f"no field has the number 0 (byte {begin} of a message of {end})")
        if kind == VARINT:
            value, position = _varint(message, position)
            yield number, kind, value
            continue
        if kind == BYTES:
            length, position = _varint(message, position)
        elif kind in (EIGHT_BYTES, FOUR_BYTES):
            length = 8 if kind == EIGHT_BYTES else 4
        else:
            raise BadInput(
                f"field {number} is of kind {kind} (byte {begin} of a message of {end}); expected 0, 1, 2 or 5"
            )
        if position + length > end:
            raise BadInput(f"the message of {end} bytes ends within field {number}, which begins at byte {begin}")
        yield number, kind, message[position : position + length]
        position += length


def _varint(message: bytes, position: int) -> tuple[int, int]:
    """An integer, seven bits a byte, and the position behind it."""
    value = shift = 0
    for byte in message[position : position + 10]:
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            if value >> 64:
                raise BadInput(f"a number of more than 64 bits ends at byte {position} of the message")
            return value, position
        shift += 7
    raise BadInput(f"a number has no end at byte {position} of a message of {len(message)}")
