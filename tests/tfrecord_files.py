"""TFRecord files and records of NAS-Bench-101 written from the definitions of their formats, for the tests of the readers."""

import base64
import json
import struct


def crc32c(data: bytes) -> int:
    """By its definition, bit by bit: division by Castagnoli's polynomial, lowest bit first."""
    state = 0xFFFFFFFF
    for byte in data:
        state ^= byte
        for _ in range(8):
            state = (state >> 1) ^ (0x82F63B78 if state % 2 else 0)
    return state ^ 0xFFFFFFFF


def mask(checksum: int) -> int:
    rotated = f"{checksum:032b}"[-15:] + f"{checksum:032b}"[:-15]
    return (int(rotated, 2) + 0xA282EAD8) % 2**32


def frame(data: bytes) -> bytes:
    length = struct.pack("<Q", len(data))
    return length + struct.pack("<I", mask(crc32c(length))) + data + struct.pack("<I", mask(crc32c(data)))


def varint(value: int) -> bytes:
    """Seven bits a byte, lowest first; the eighth says that more follow."""
    groups = [value >> shift & 127 for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([group | 128 for group in groups[:-1]] + groups[-1:])


def field(number: int, value: int | float | bytes) -> bytes:
    """One field of a protocol buffer: int as a varint, float as a double, bytes with their length."""
    if isinstance(value, float):
        return varint(number << 3 | 1) + struct.pack("<d", value)
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def evaluation(epoch: float, seconds: float, train: float, validation: float, test: float) -> bytes:
    """An EvaluationData, with the path of a checkpoint, which nobody reads."""
    numbers = (epoch, seconds, train, validation, test)
    return b"".join(field(i, float(x)) for i, x in enumerate(numbers, start=1)) + field(6, b"model.ckpt-1")


def metrics(validation: float, test: float, seconds: float, parameters: int) -> bytes:
    """A ModelMetrics: evaluations before, half-way through and after the training; only the last one counts."""
    evaluations = [
        evaluation(0.0, 0.0, 0.1, 0.1, 0.1),
        evaluation(54.0, seconds / 2, 0.8, 0.7, 0.6),
        evaluation(108.0, seconds, 1.0, validation, test),
    ]
    return b"".join(field(1, each) for each in evaluations) + field(2, parameters) + field(3, 1.1 * seconds)


def record(name: str, epochs: int, measured: bytes) -> bytes:
    """The data of one record; adjacency and operations are those of some cell, as nobody reads them."""
    return json.dumps([name, epochs, "0100", "input,output", base64.b64encode(measured).decode()]).encode()
