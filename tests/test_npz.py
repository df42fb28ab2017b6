"""Files of arrays that say what they are."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parzc_core.errors import BadInput
from parzc_core.npz import Format, joined, parted, read_arrays, write_arrays
from parzc_core.paths import ROOT
from parzc_core.runs.shipped import FORMAT as SCORES
from parzc_core.training import FORMAT as RANKER

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


def test_any_edit_of_a_file_is_noticed_and_a_file_without_a_checksum_is_damaged(tmp_path: Path) -> None:
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
    for without in ({**about, "sha256": None}, {name: value for name, value in about.items() if name != "sha256"}):
        with pytest.raises(BadInput, match=r"kept\.npz is damaged: .*…, it has none; make them with: other$"):
            read_arrays(write_arrays(path, {**kept, "about": np.array(json.dumps(without))}), OTHER)
    with pytest.raises(BadInput, match="a has the dtype complex128; expected numbers"):
        read_arrays(write_arrays(path, joined(OTHER, {}, {"a": np.array([1j])})), OTHER)


@pytest.mark.parametrize("path", sorted((ROOT / "results" / "rankers").glob("*.npz")), ids=lambda path: path.stem)
def test_a_committed_file_is_read_and_an_edit_of_it_is_noticed(path: Path, tmp_path: Path) -> None:
    form = SCORES if path.stem.endswith("_scores") else RANKER
    _, arrays = read_arrays(path, form)
    with np.load(path) as file:
        kept = {name: file[name] for name in file.files}
    name = next(name for name, array in arrays.items() if array.dtype.kind == "f" and array.size)
    changed = kept[name].copy()
    changed.flat[0] += 1
    with pytest.raises(BadInput, match="is damaged: its sha256 is"):
        read_arrays(write_arrays(tmp_path / path.name, {**kept, name: changed}), form)


def test_a_checksum_does_not_depend_on_the_order_and_texts_and_truths_are_kept(tmp_path: Path) -> None:
    arrays = {"b": np.array(["x", "é"]), "a": np.array([True, False]), "c": np.array([2.5], dtype=np.float32)}
    kept = joined(OTHER, {"seed": 0, "cells": {"y": [1], "x": None}}, arrays)
    said = json.loads(str(kept["about"]))
    turned = {"about": np.array(json.dumps(dict(reversed(said.items())))), **dict(reversed(list(arrays.items())))}
    for content in (kept, turned):
        about, found = read_arrays(write_arrays(tmp_path / "kept.npz", content), OTHER)
        assert about == {"format": "other", "version": 3, "seed": 0, "cells": {"y": [1], "x": None}}
        assert all(np.array_equal(found[name], array) for name, array in arrays.items())
    for name, other in (("a", "aa"), ("c", "d")):  # the same arrays in the same order
        renamed = {other if key == name else key: array for key, array in kept.items()}
        with pytest.raises(BadInput, match="is damaged: its sha256 is"):
            parted(renamed, "inside", OTHER)


@pytest.mark.parametrize("version", [2, 4, "3", None])
def test_an_older_and_a_newer_version_are_refused(version: Any) -> None:
    with pytest.raises(BadInput, match=f"has version {version!r} of the format; this parzc reads version 3"):
        parted(joined(Format("other", version, "other arrays", ""), {}, ARRAYS), "inside", OTHER)


def test_compressed_files_are_smaller(tmp_path: Path) -> None:
    content = joined(PLAIN, {}, {"zeros": np.zeros(10_000)})
    sizes = [write_arrays(tmp_path / "a.npz", content, compressed).stat().st_size for compressed in (True, False)]
    assert sizes[0] < 8_000 < 80_000 < sizes[1]
