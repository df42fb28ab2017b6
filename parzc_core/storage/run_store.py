"""The store of trained runs: one line of a jsonl file a run, under the hash of its configuration.

A killed or repeated experiment asks the store first and computes only what is missing.
"""

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from parzc_core.errors import BadInput
from parzc_core.storage.lock import beside, locked


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
    """Trained runs in a jsonl file, one line `{"key", "config", "result"}` each.

    Several processes may append at once. A torn last line (a killed writer) is ignored, and closed off by the next
    writer, so no earlier line is ever touched. Of a configuration stored twice the last line counts.

        store = RunStore(folder / "runs.jsonl")
        result = store.get(config) or store.put(config, train(config))
    """

    def __init__(self, path: Path) -> None:
        self.path = Path(path)
        self._records: dict[str, dict[str, Any]] = {}
        self._offset = 0  # bytes of whole lines read so far

    @staticmethod
    def key(config: Mapping[str, Any]) -> str:
        """sha256 (hex) of the canonical JSON of a configuration: keys sorted, no spaces.

        1 and 1.0 differ, a tuple is a list. Raises BadInput if a name is not text, or a value is NaN or not JSON.
        """
        if not isinstance(config, Mapping) or not all(isinstance(name, str) for name in config):
            raise BadInput(f"got the configuration {config!r}; expected a dict with text as keys")
        try:
            text = json.dumps(dict(config), sort_keys=True, separators=(",", ":"), allow_nan=False, default=plain)
        except (TypeError, ValueError) as error:
            raise BadInput(f"the configuration {config!r} has no canonical JSON: {error}") from None
        return hashlib.sha256(text.encode()).hexdigest()

    def get(self, config: Mapping[str, Any]) -> dict[str, Any] | None:
        """The result stored for this configuration, or None. Sees what other processes have appended since."""
        key = self.key(config)
        self._refresh()
        return self._records[key]["result"] if key in self._records else None

    def put(self, config: Mapping[str, Any], result: Mapping[str, Any]) -> dict[str, Any]:
        """Appends a result, on disk before this returns; returns it as `get` will. Raises BadInput as `key` does."""
        record = {"key": self.key(config), "config": dict(config), "result": dict(result)}
        line = json.dumps(record, default=plain) + "\n"
        with locked(beside(self.path)), open(self.path, "ab+") as file:
            end = file.seek(0, os.SEEK_END)
            if end and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
                line = "\n" + line  # close off a torn line, lest it swallow this one
            file.write(line.encode())
            file.flush()
            os.fsync(file.fileno())
        return json.loads(line)["result"]

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
                if file.seek(0, os.SEEK_END) < self._offset:  # another file by now: start over
                    self._records, self._offset = {}, 0
                file.seek(self._offset)
                data = file.read()
        except FileNotFoundError:
            self._records, self._offset = {}, 0
            return
        end = data.rfind(b"\n") + 1
        self._offset += end
        for line in data[:end].splitlines():
            try:
                record = json.loads(line)
                self._records[record["key"]] = {name: record[name] for name in ("key", "config", "result")}
            except (ValueError, KeyError, TypeError):
                continue  # what is left of a torn line
