"""The wire format of Protocol Buffers, as much of it as reading takes: a message is a list of numbered fields."""

from collections.abc import Iterator
from typing import Any

from parzc_core.errors import BadInput

# Kinds of a field; 3 and 4 are groups, which nobody writes any more.
VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5


def fields(message: bytes) -> Iterator[tuple[int, int, Any]]:
    """(number, kind, value) of every field in the order of the message, known or not.

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
