"""NAS-Bench-101's own file of runs: a small one in its true format, what is read of it, and what is wrong with others."""

import json
import os

import numpy as np
import pytest
import tfrecord_files as written

from parzc_core import paths
from parzc_core.errors import BadInput, CorruptDownload, LabelsMissing
from parzc_core.files import registry
from parzc_core.labels import accuracy, judged, learned, nb101, nb101_runs, parameters
from parzc_core.labels.nb101_runs import read
from parzc_core.spaces import nb101_cells

CELLS = nb101_cells.enumerate_cells(3)  # the seven cells of up to three vertices stand for all
COUNT = len(CELLS.hashes)
ARCHS = nb101_cells.arch_strings(CELLS.matrices, CELLS.operations)


def value(run: int, row: int) -> dict[str, float]:
    """What run 0, 1 or 2 of a cell measured: multiples of 1/128, so that means are exact."""
    return {"validation": (60 + 8 * run + row) / 128, "test": (50 + 4 * run + row) / 128, "seconds": 100.0 * row + run}


def measured(run: int, row: int) -> bytes:
    return written.metrics(**value(run, row), parameters=1_000_000 + row)


def contents() -> list[bytes]:
    """Three rounds over the cells, in another order each; between them runs of 4 epochs, of which nothing counts."""
    result = []
    for run in range(3):
        for row in np.random.default_rng(run).permutation(COUNT).tolist():
            result.append(written.record(CELLS.hashes[row], 4, written.metrics(1.0, 1.0, 1.0, 7)))
            result.append(written.record(CELLS.hashes[row], 108, measured(run, row)))
    return result


def file_of(records: list[bytes]) -> bytes:
    return b"".join(written.frame(data) for data in records)


def expected(name: str) -> np.ndarray:
    return np.array([[value(run, row)[name] for run in range(3)] for row in range(COUNT)])


@pytest.fixture
def path(tmp_path, monkeypatch):
    """Where the file lies on a machine that has nothing else."""
    monkeypatch.setenv("PARZC_DATA", str(tmp_path))
    monkeypatch.setenv("PARZC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(nb101_cells, "all_cells", lambda: CELLS)
    remembered = (nb101._index, nb101._runs)
    for each in remembered:
        each.cache_clear()
    path = tmp_path / registry.NB101_TFRECORD
    path.parent.mkdir()
    yield path
    for each in remembered:
        each.cache_clear()


def test_every_run_of_108_epochs_is_read_at_its_end(path):
    path.write_bytes(file_of(contents()))
    table = read(path, CELLS.hashes)
    for name in ("validation", "test", "seconds"):
        np.testing.assert_array_equal(getattr(table, name), expected(name))
    assert table.parameters.tolist() == [1_000_000 + row for row in range(COUNT)]


def test_validation_accuracy_is_at_hand_with_it(path):
    path.write_bytes(file_of(contents()))
    val = accuracy("nb101", "CIFAR10", "val")
    assert list(val.index) == ARCHS
    np.testing.assert_array_equal(val, 100 * expected("validation").mean(axis=1))
    provenance = {"source": "tfrecord", "version": "NAS-Bench-101", "epochs": 108, "licence": "Apache-2.0"}
    assert val.attrs["provenance"] == provenance | {"seeds": "mean of a cell's 3 runs"}
    runs = accuracy("nb101", "cifar10", "val", "tfrecord", seeds="all")
    assert list(runs.columns) == ["run1", "run2", "run3"]
    np.testing.assert_array_equal(runs, 100 * expected("validation"))
    assert runs.attrs["provenance"]["seeds"] == "each run"

    series, split, provenance = learned("nb101", "cifar10")
    assert (split, provenance["note"]) == ("val", "learns from validation accuracy (tfrecord, NAS-Bench-101)")
    np.testing.assert_array_equal(series, val)
    truth, split, provenance = judged("nb101", "cifar10")
    assert (split, provenance["note"]) == ("test", "judged on test accuracy (tfrecord, NAS-Bench-101)")
    np.testing.assert_array_equal(truth, 100 * expected("test").mean(axis=1))
    np.testing.assert_array_equal(parameters("nb101"), 1 + np.arange(COUNT) / 1e6)


def test_a_file_is_parsed_once_for_each_state_of_it(path, monkeypatch):
    parsed = []
    monkeypatch.setattr(nb101_runs, "read", lambda *arguments: parsed.append(1) or read(*arguments))

    def best() -> float:
        nb101._runs.cache_clear()
        return accuracy("nb101", "cifar10", "val").max()

    path.write_bytes(file_of(contents()))
    first = best()
    assert (best(), len(parsed)) == (first, 1)
    (kept,) = (paths.cache_folder() / "nasbench101").iterdir()
    whole = kept.read_bytes()
    for damaged in (b"", b"no archive", whole[: len(whole) // 2]):
        kept.write_bytes(damaged)
        assert best() == first
        assert kept.read_bytes() == whole
    assert len(parsed) == 4
    *others, last = contents()
    name = json.loads(last)[0]
    row = CELLS.hashes.tolist().index(name)
    path.write_bytes(file_of([*others, written.record(name, 108, written.metrics(1.0, 1.0, 1.0, 1_000_000 + row))]))
    os.utime(path, (1, 1))
    assert best() != first
    assert len(parsed) == 5


# What is wrong with a file


def test_a_file_that_ends_after_a_whole_record_lacks_runs(path):
    for left in (0, 1, 6 * COUNT - 1):
        path.write_bytes(file_of(contents()[:left]))
        short = COUNT if left < COUNT else 1
        with pytest.raises(CorruptDownload, match=f"ends early: after {left} whole records {short} of {COUNT} cells"):
            read(path, CELLS.hashes)


def test_a_file_that_ends_within_a_record(path):
    path.write_bytes(file_of(contents())[:-1])
    with pytest.raises(CorruptDownload, match=rf"only108\.tfrecord, record {6 * COUNT} at byte offset .*get it again"):
        accuracy("nb101", "cifar10", "val")
    assert not (paths.cache_folder() / "nasbench101").exists()


NAME = CELLS.hashes[0]
LAST = written.evaluation(108.0, 100.0, 1.0, 0.9, 0.8)


def with_last(evaluation: bytes) -> bytes:
    return written.record(NAME, 108, written.field(1, evaluation) + written.field(2, 1_000_000))


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"\x00\xff", r"got b'\\x00\\xff'; expected a JSON list"),
        (b"[1, 2", "expected a JSON list"),
        (b"[" * 100_000, "expected a JSON list"),
        (b'{"hash": 1}', r"expected a list \[hash, epochs"),
        (json.dumps([NAME, 108.0, "", "", ""]).encode(), r"expected a list \[hash, epochs"),
        (json.dumps([NAME, 108, "", ""]).encode(), r"expected a list \[hash, epochs"),
        (json.dumps([NAME, 108, "", "", "abcde"]).encode(), "not in base64"),
        (json.dumps([NAME, 108, "", "", "é"]).encode(), "not in base64"),
        (written.record("0" * 32, 108, measured(0, 0)), "no cell of the space has the hash '000"),
        (written.record(NAME, 108, measured(0, 0)[:-1]), "ends within field 3"),
        (written.record(NAME, 108, b""), "got None trainable parameters"),
        (written.record(NAME, 108, written.field(2, 1_000_000)), "validation accuracy nan"),
        (written.record(NAME, 108, written.field(1, LAST) + written.field(2, 2**63)), "expected a positive number"),
        (
            written.record(NAME, 108, written.field(1, LAST) + written.field(2, 7)),
            "7 parameters of cell .* 1,000,000 in",
        ),
        (with_last(LAST[:30]), "ends within field"),
        (with_last(LAST.replace(written.field(4, 0.9), b"")), "validation accuracy nan, test accuracy 0.8"),
        (with_last(LAST.replace(written.field(5, 0.8), written.field(5, 80.0))), "test accuracy 80.0"),
        (with_last(LAST.replace(written.field(2, 100.0), written.field(2, float("inf")))), "inf seconds"),
    ],
)
def test_a_whole_record_that_is_none_of_the_benchmarks(path, data, error):
    first = written.record(NAME, 108, measured(0, 0))
    path.write_bytes(file_of([first, data]))
    place = rf"nasbench_only108\.tfrecord, record 2 at byte offset {len(written.frame(first))}: "
    with pytest.raises(BadInput, match=f"{place}.*{error}.*replace it by nasbench_only108"):
        read(path, CELLS.hashes)


def test_a_fourth_run_of_a_cell(path):
    path.write_bytes(file_of([*contents(), written.record(NAME, 108, measured(0, 0))]))
    with pytest.raises(BadInput, match=f"record {6 * COUNT + 1} at .*: a run more than 3 of cell {NAME}"):
        read(path, CELLS.hashes)


def test_without_the_file_its_source_says_where_it_would_be(path):
    for split in ("val", "test"):
        with pytest.raises(LabelsMissing, match=f"no {split} accuracy of nb101 cifar10.*nasbench_only108.tfrecord"):
            accuracy("nb101", "cifar10", split, "tfrecord")
