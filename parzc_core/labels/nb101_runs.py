"""NAS-Bench-101's own table, nasbench_only108.tfrecord: every run of every cell, read without TensorFlow.

A record is a JSON list: hash of the cell, epochs, adjacency ("0100..."), operations, and the measurements of one run in
base64: the protocol buffer `ModelMetrics` of google-research/nasbench, nasbench/lib/model_metrics.proto. The last of its
evaluations is that of the trained network.
"""

import base64
import io
import json
import math
import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
from tqdm import tqdm

from parzc_core import paths
from parzc_core.errors import BadInput, CorruptDownload
from parzc_core.files import tfrecord
from parzc_core.files.json_files import brief, shown
from parzc_core.npz import DAMAGED_NPZ

_ORIGINAL = "nasbench_only108.tfrecord (google-research/nasbench, about 0.5 GB)"
EPOCHS = 108
RUNS = 3
# Field numbers of the two messages.
_EVALUATION, _PARAMETERS = 1, 2
_SECONDS, _VALIDATION, _TEST = 2, 4, 5
_DOUBLE = struct.Struct("<d")
_STEP = 1000  # records between two movements of the bar


@dataclass(frozen=True, eq=False)
class Runs:
    """What the three runs of n cells came to after 108 epochs; a cell's runs are in the order of the file.

    validation, test: float64[n, 3], accuracy as a fraction. seconds: float64[n, 3], training time on the benchmark's
    TPU, without evaluation. parameters: int64[n], trainable ones.
    """

    validation: np.ndarray
    test: np.ndarray
    seconds: np.ndarray
    parameters: np.ndarray


def runs(path: Path, hashes: Sequence[str] | np.ndarray) -> Runs:
    """`read`, done once for a state of the file (its size and time) and these cells, then kept in the cache folder."""
    path = Path(path)
    state = path.stat()
    key = np.array([state.st_size, state.st_mtime_ns, zlib.crc32("".join(hashes).encode())])
    kept = paths.cache_folder() / "nasbench101" / f"{path.stem}.npz"
    names = [field.name for field in fields(Runs)]
    try:
        with np.load(kept) as arrays:
            if np.array_equal(arrays["key"], key):
                return Runs(**{name: arrays[name] for name in names})
    except DAMAGED_NPZ:  # none yet, or a damaged one: it is made anew
        pass
    table = read(path, hashes)
    buffer = io.BytesIO()
    np.savez(buffer, key=key, **{name: getattr(table, name) for name in names})
    paths.write_whole(kept, buffer.getvalue())
    return table


def read(path: Path, hashes: Sequence[str] | np.ndarray) -> Runs:
    """Parse a file, record by record, in the memory that its table takes; a progress bar is shown on a terminal.

    hashes: those of the cells in the file, which give the order of the rows. Runs of other lengths than 108 epochs are
    skipped. Raises CorruptDownload if the file is damaged, truncated or lacks runs; BadInput, naming record and byte
    offset, if a whole record is not one of NAS-Bench-101.
    """
    path = Path(path)
    rows = {str(name): row for row, name in enumerate(hashes)}
    values = np.full((3, len(rows), RUNS), np.nan)
    parameters, counts = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows), dtype=np.int64)
    number = behind = 0
    with tqdm(total=path.stat().st_size, unit="B", unit_scale=True, desc=path.name, disable=None) as bar:
        for number, offset, data in tfrecord.records(path):
            try:
                run = _run(data)
                if run is not None:
                    name, parameter_count, *measured = run
                    row = _row(rows, counts, name)
                    if counts[row] and parameters[row] != parameter_count:
                        raise BadInput(
                            f"{parameter_count:,} parameters of cell {name}, {parameters[row]:,} in its other run"
                        )
                    parameters[row] = parameter_count
                    values[:, row, counts[row]] = measured
                    counts[row] += 1
            except BadInput as error:
                place = tfrecord.where(path, number, offset)
                advice = f"it is no table of NAS-Bench-101: replace it by {_ORIGINAL}"
                raise BadInput(f"{place}: {error}; {advice}") from None
            if number % _STEP == 0:
                bar.update(offset - behind)
                behind = offset
        bar.update(path.stat().st_size - behind)
    if (short := counts < RUNS).any():
        raise CorruptDownload(
            f"{path.name} ends early: after {number:,} whole records {short.sum():,} of {len(rows):,} cells have fewer than "
            f"{RUNS} runs of {EPOCHS} epochs; get the whole of {_ORIGINAL}"
        )
    validation, test, seconds = values
    return Runs(validation, test, seconds, parameters)


def _row(rows: dict[str, int], counts: np.ndarray, name: str) -> int:
    row = rows.get(name)
    if row is None:
        raise BadInput(f"no cell of the space has the hash {shown(name)}")
    if counts[row] == RUNS:
        raise BadInput(f"a run more than {RUNS} of cell {brief(name)}")
    return row


def _run(data: bytes) -> tuple[str, int, float, float, float] | None:
    """(hash, parameters, validation accuracy, test accuracy, seconds) of a record; None if it is of other epochs."""
    try:
        record = json.loads(data)
    except (ValueError, RecursionError):  # no JSON, or no UTF-8
        raise BadInput(f"got {data[:40]!r}; expected a JSON list") from None
    kinds = [type(part) for part in record] if isinstance(record, list) else []
    if len(kinds) != 5 or (kinds[0], kinds[1], kinds[4]) != (str, int, str):
        raise BadInput(f"got {shown(record)}; expected a list [hash, epochs, adjacency, operations, measurements]")
    name, epochs, _, _, measured = record
    if epochs != EPOCHS:
        return None
    try:
        message = base64.b64decode(measured)
    except ValueError as error:  # binascii's, or characters beyond ASCII
        raise BadInput(f"its measurements are not in base64 ({error})") from None
    last, count = b"", None
    for number, kind, value in tfrecord.fields(message):
        if number == _EVALUATION and kind == tfrecord.BYTES:
            last = value
        elif number == _PARAMETERS and kind == tfrecord.VARINT:
            count = value
    if count is None or not 0 < count < 2**31:
        raise BadInput(f"got {count} trainable parameters of cell {brief(name)}; expected a positive number")
    found: dict[int, float] = {}
    for number, kind, value in tfrecord.fields(last):
        if kind == tfrecord.EIGHT_BYTES:
            (found[number],) = _DOUBLE.unpack(value)
    validation, test, seconds = (found.get(number, math.nan) for number in (_VALIDATION, _TEST, _SECONDS))
    if not (0 <= validation <= 1 and 0 <= test <= 1 and 0 <= seconds < math.inf):
        raise BadInput(
            f"the last evaluation of cell {brief(name)} has validation accuracy {validation}, test accuracy {test} and "
            f"{seconds} seconds (nan: absent); expected two fractions and a time"
        )
    return name, count, validation, test, seconds
