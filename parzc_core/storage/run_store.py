"""The store of trained runs: one line of a jsonl file a run, under the hash of its configuration.

A killed or repeated experiment asks the store first and computes only what is missing.
"""

import dataclasses
import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from parzc_core.errors import BadInput
from parzc_core.files import json_files
from parzc_core.storage.lock import beside, locked

_COMPARED = 200  # bytes before those not read yet, a line's checksum among them


def plain(value: Any) -> Any:
    """What json does not know, in its own terms: numpy numbers and arrays, paths, dataclasses. Raises BadInput."""
    if isinstance(value, np.generic | np.ndarray):
        return value.tolist()
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Path):
        return str(value)
    raise BadInput(
        f"got a {type(value).__name__} ({value!r}); expected what JSON can hold: numbers, text, lists, dicts"
    )


class RunStore:
    """Trained runs in a jsonl file, one line `{"key", "config", "result", "sha256"}` each; sha256 is of key and result.

    Several processes may append at once. A torn last line (a killed writer) is ignored, and closed off by the next
    writer, so no earlier line is ever touched. Of a configuration stored twice the last line counts.
    Every line is verified as it is read: half a line, a key that is not the configuration's, a result that is not its
    checksum's. Such a line is named in a warning and its run is not stored, so that it is computed anew. Lines of earlier
    versions have no checksum; two of them with different results (seconds aside) count for none. Behind a line that has one, a
    line without counts for none: its checksum was removed.

        store = RunStore(folder / "runs.jsonl")
        result = store.get(config) or store.put(config, train(config))
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._records: dict[str, dict[str, Any]] = {}
        self._offset = self._lines = 0  # bytes and number of whole lines read so far
        self._last = b""  # their end
        self._checksums = False  # whether a line that was read has one
        self.faults: dict[int, str] = {}  # {number of a line, from 1: why it is not used}

    @staticmethod
    def key(config: Mapping[str, Any]) -> str:
        """sha256 (hex) of the canonical JSON of a configuration: keys sorted, no spaces.

        1 and 1.0 differ, a tuple is a list. Raises BadInput if a name is not text, or a value is NaN or not JSON.
        """
        if not isinstance(config, Mapping) or not all(isinstance(name, str) for name in config):
            raise BadInput(f"got the configuration {config!r}; expected a dict with text as keys")
        try:
            text = json.dumps(dict(config), sort_keys=True, separators=(",", ":"), allow_nan=False, default=plain)
        except (TypeError, ValueError, RecursionError) as error:
            raise BadInput(f"the configuration {json_files.shown(config, 300)} has no canonical JSON: {error}") from None
        return hashlib.sha256(text.encode()).hexdigest()

    def get(self, config: Mapping[str, Any]) -> dict[str, Any] | None:
        """The result stored for this configuration, or None. Sees what other processes have appended since."""
        key = self.key(config)
        self._refresh()
        return self._records[key]["result"] if key in self._records else None

    def put(self, config: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
        """Appends a result, on disk before this returns; returns it as `get` will. Raises BadInput as `key` does."""
        if not isinstance(result, Mapping):
            raise BadInput(f"got the result {json_files.shown(result)}; expected a dict")
        record = {"key": self.key(config), "config": dict(config), "result": dict(result)}
        try:
            record = json_files.loads(json.dumps(record, default=plain), f"a run of {self.path}")  # as it will be read
        except RecursionError:
            raise BadInput(f"a run of {self.path} is nested too deeply to be stored") from None
        except BadInput:
            raise
        except (TypeError, ValueError) as error:
            raise BadInput(f"a run of {self.path} cannot be stored: {error}") from None
        line = json.dumps({**record, "sha256": _checksum(record)}) + "\n"
        with locked(beside(self.path)), open(self.path, "ab+") as file:
            end = file.seek(0, os.SEEK_END)
            if end and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
                line = "\n" + line  # close off a torn line, lest it swallow this one
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
        return record["result"]

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Inside, no other process computes runs for a store in this folder: waits for one that does. Ends with the process."""
        with locked(self.path.parent / ".lock"):
            yield

    def __len__(self) -> int:
        """Number of configurations with a result."""
        self._refresh()
        return len(self._records)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Every stored run as a dict with key, config and result, in the order of their first line."""
        self._refresh()
        return iter(list(self._records.values()))

    def _refresh(self) -> None:
        """Reads the whole lines that were appended since the last time."""
        try:
            with open(self.path, "rb") as file:
                file.seek(max(0, self._offset - _COMPARED))
                if file.read(min(self._offset, _COMPARED)) != self._last:  # another file by now: start over
                    self._start_over()
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            self._start_over()
            return
        end = data.rfind(b"\n") + 1
        self._offset += end
        self._last = (self._last + data[:end])[-_COMPARED:]
        found: dict[int, str] = {}
        for line in data[:end].split(b"\n")[:-1]:
            self._lines += 1
            try:
                if line.strip():
                    self._take(json_files.loads(line, "it"))
            except (BadInput, KeyError, TypeError) as error:
                found[self._lines] = str(error) if isinstance(error, BadInput) else "it lacks key, config or result"
        if found:
            self.faults |= found
            named = "; ".join(f"line {number}: {why}" for number, why in list(found.items())[:3])
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            warnings.warn(f"{self.path}: not used, so that it is computed anew: {named}{more}", stacklevel=3)

    def _start_over(self) -> None:
        self._records, self._offset, self._last, self._lines, self._checksums, self.faults = {}, 0, b"", 0, False, {}

    def _take(self, record: dict[str, Any]) -> None:
        """Keep the record of a line. Raises BadInput, KeyError, TypeError for what is none."""
        key, config, result, unchecked = record["key"], record["config"], record["result"], "sha256" not in record
        if not isinstance(config, dict) or not isinstance(result, dict):
            raise BadInput("its config or result is no JSON object")
        if self.key(config) != key:
            raise BadInput("its key is not that of its config: it was edited")
        self._checksums |= not unchecked
        if not unchecked and record["sha256"] != _checksum(record):
            raise BadInput("its sha256 is not that of its result: it was edited")
        before = self._records.get(key)
        if before is None and unchecked and self._checksums:
            raise BadInput("it lacks the sha256 that a line before it has: it was edited")
        if before is not None and unchecked:
            if _without_seconds(before["result"]) != _without_seconds(result):
                if "sha256" not in before:
                    del self._records[key]
                raise BadInput("its run is stored before with another result")
            if "sha256" in before:
                return
        self._records[key] = record


def _checksum(record: Mapping[str, Any]) -> str:
    """sha256 (hex) of the canonical JSON of a line's key and result."""
    text = json.dumps({name: record[name] for name in ("key", "result")}, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _without_seconds(result: dict[str, Any]) -> str:
    """What must be equal where a run is stored twice, as text: NaN equals NaN there."""
    return json.dumps({name: value for name, value in result.items() if name != "seconds"}, sort_keys=True)
