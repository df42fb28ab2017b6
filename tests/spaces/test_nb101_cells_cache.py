"""NAS-Bench-101's cells are enumerated once and kept; what is damaged or wrong is noticed."""

import numpy as np
import pytest

from parzc_core import paths
from parzc_core.errors import ParzcError
from parzc_core.spaces import nb101_cells


@pytest.fixture
def small(monkeypatch, tmp_path):
    """all_cells as if the benchmark were the cells of up to four vertices: its calls of the enumeration, as a list."""
    arrays = nb101_cells._enumerated(4, 9, False)
    calls: list[tuple] = []
    monkeypatch.setenv("PARZC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(nb101_cells, "COUNT", 91)
    monkeypatch.setattr(nb101_cells, "CACHE_SHA256", nb101_cells._digest(arrays))
    monkeypatch.setattr(nb101_cells, "_enumerated", lambda *got: calls.append(got) or arrays)
    nb101_cells.all_cells.cache_clear()
    yield calls
    nb101_cells.all_cells.cache_clear()


def test_cells_are_enumerated_once_and_kept(small):
    first = nb101_cells.all_cells()
    assert nb101_cells.all_cells() is first
    nb101_cells.all_cells.cache_clear()
    again = nb101_cells.all_cells()
    assert small == [(7, 9, True)]
    assert again is not first
    for name in ("hashes", "matrices", "operations", "vertices"):
        assert np.array_equal(getattr(first, name), getattr(again, name))
        assert not getattr(first, name).flags.writeable
    assert [path.name for path in paths.cache_folder().iterdir()] == ["nb101_cells.npz"]


def other_cells(content: bytes, path) -> None:
    arrays = dict(np.load(path))
    arrays["labellings"] = arrays["labellings"][::-1]
    np.savez(path, **arrays)


DAMAGE = {
    "cut short": lambda content, path: path.write_bytes(content[: len(content) // 2]),
    "empty": lambda content, path: path.write_bytes(b""),
    "one byte altered": lambda content, path: path.write_bytes(
        content[:400] + bytes([content[400] ^ 1]) + content[401:]
    ),
    "text": lambda content, path: path.write_text("not an archive"),
    "an array": lambda content, path: np.save(path.open("wb"), np.arange(5)),
    "fewer arrays": lambda content, path: np.savez(path, hashes=np.load(path)["hashes"]),
    "other cells": other_cells,
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_cache_is_written_anew(small, damage):
    hashes = nb101_cells.all_cells().hashes
    path = paths.cache_folder() / nb101_cells.CACHE_NAME
    content = path.read_bytes()
    damage(content, path)
    assert path.read_bytes() != content
    nb101_cells.all_cells.cache_clear()
    assert np.array_equal(nb101_cells.all_cells().hashes, hashes)
    assert len(small) == 2
    nb101_cells.all_cells.cache_clear()
    nb101_cells.all_cells()
    assert len(small) == 2  # the file is whole again


def test_a_cache_folder_that_cannot_be_written_costs_only_a_warning(small, tmp_path):
    (tmp_path / "cache").write_text("a file where the folder should be")
    with pytest.warns(UserWarning, match="cannot be kept"):
        assert len(nb101_cells.all_cells().hashes) == 91


@pytest.mark.parametrize("fault", ["a cell missing", "another cell"])
def test_a_wrong_enumeration_is_an_error_and_is_not_kept(small, monkeypatch, fault):
    arrays = dict(nb101_cells._enumerated())
    if fault == "a cell missing":
        arrays = {name: array[1:] for name, array in arrays.items()}
    else:
        arrays["numbers"] = arrays["numbers"] ^ 1
    monkeypatch.setattr(nb101_cells, "_enumerated", lambda *_: arrays)
    with pytest.raises(ParzcError, match="not the benchmark's 91"):
        nb101_cells.all_cells()
    assert not paths.cache_folder().exists()
