"""Files of arrays that say what they are."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parzc_core.errors import BadInput
from parzc_core.npz import Format, joined, parted, read_arrays, write_arrays

PLAIN = Format("plain", 1, "plain arrays", "make them with: plain")
OTHER = Format("other", 3, "other arrays", "make them with: other")
ARRAYS = {"a": np.array([1.5, np.nan]), "b/c": np.zeros((0, 2), dtype=np.int8)}


@pytest.mark.parametrize("compressed", [True, False])
def test_arrays_and_what_they_are_come_back(tmp_path: Path, compressed: bool) -> None:
    path = write_arrays(tmp_path / "kept.npz", joined(OTHER, {"seed": 0}, ARRAYS), compressed)
    about, arrays = read_arrays(path, PLAIN, OTHER)
    assert about == {"format": "other", "version": 3, "seed": 0}
    assert list(arrays) == list(ARRAYS)
    assert all(arrays[name].tobytes() == array.tobytes() for name, array in ARRAYS.items())
    assert all(arrays[name].dtype == array.dtype for name, array in ARRAYS.items())


def test_another_format_or_version_and_what_is_no_such_file_are_refused(tmp_path: Path) -> None:
    path = write_arrays(tmp_path / "kept.npz", joined(OTHER, {}, ARRAYS))
    with pytest.raises(BadInput, match=r"kept\.npz holds no plain arrays; make them with: plain"):
        read_arrays(path, PLAIN)
    with pytest.raises(BadInput, match=r"inside has version 3 of the format; this parzc reads version 4"):
        parted(joined(OTHER, {}, ARRAYS), "inside", Format("other", 4, "arrays", "make them"))
    for about in ("no JSON", "[]", '{"format": ["other"]}', "[" * 200_000):
        with pytest.raises(BadInput, match="holds no other arrays"):
            parted({"about": np.array(about)}, "inside", OTHER)
    with pytest.raises(BadInput, match="got 3 as a file; expected a path"):
        read_arrays(3, PLAIN)  # type: ignore[arg-type]
    with pytest.raises(BadInput, match=r"cannot write .*kept\.npz"):
        write_arrays(path / "below.npz", ARRAYS)


def test_any_edit_of_a_file_is_noticed_and_files_without_a_checksum_are_read(tmp_path: Path) -> None:
    path = write_arrays(tmp_path / "kept.npz", joined(OTHER, {"seed": 0}, ARRAYS))
    with np.load(path) as file:
        kept = {name: file[name] for name in file.files}
    about = json.loads(str(kept["about"]))
    edits: dict[str, Any] = {
        "value": {"a": np.array([2.5, np.nan])},
        "dtype": {"a": kept["a"].astype(np.float32)},
        "shape": {"a": kept["a"][:, None]},
        "name": {"more": kept["a"]},
        "about": {"about": np.array(json.dumps({**about, "seed": 1}))},
    }
    for edit in edits.values():
        with pytest.raises(BadInput, match=r"kept\.npz is damaged: its sha256 is"):
            read_arrays(write_arrays(path, {**kept, **edit}), OTHER)
    del about["sha256"]
    found, arrays = read_arrays(write_arrays(path, {**kept, "about": np.array(json.dumps(about))}), OTHER)
    assert (found["seed"], list(arrays)) == (0, list(ARRAYS))
    with pytest.raises(BadInput, match="a has the dtype complex128; expected numbers"):
        read_arrays(write_arrays(path, {"about": np.array(json.dumps(about)), "a": np.array([1j])}), OTHER)
