"""Published labels of NAS-Bench-101 (Ying et al., ICML 2019): CIFAR-10 accuracy after 108 epochs, three runs of each cell.

All sources hold the same runs, and their rows are in the order of the cells' hashes:
    "compact" (PARZC_DATA) and "cached-metrics" (pinned downloads): each cell's mean test accuracy and its parameters;
    "tfrecord" (PARZC_DATA): the benchmark's own file, with validation accuracy and the single runs.
"""

import gzip
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from parzc_core.errors import BadInput, CorruptDownload, LabelsMissing
from parzc_core.files import fetch, pickles, registry
from parzc_core.files.json_files import brief
from parzc_core.labels import nb101_runs
from parzc_core.npz import DAMAGED_NPZ

DATASETS = ("cifar10",)
_RUNS = ["run1", "run2", "run3"]
_COMPACT_CODES = np.array([0, 1, 2, -1, -2, -3], dtype=np.int8)  # of its operations 0 to 4, and of -1: no vertex


def missing_text(dataset: str, split: str, what: str) -> str:
    """The text of LabelsMissing. what: the sources or files that were looked for."""
    text = f"no {split} accuracy of nb101 {dataset} on this machine: looked for {what} in PARZC_DATA and in the cache; "
    if split == "test":
        return f"{text}get cached-metrics with `{fetch.COMMAND}`; the other sources hold the same means"
    return (
        f"{text}only {registry.NB101_TFRECORD} has it, and no download of that is pinned: put it into the folder that "
        "PARZC_DATA names (`parzc data status` says where it comes from)"
    )


def parameters() -> pd.Series:
    """Published trainable parameters in millions (1e6), indexed by architecture, in the order of the cells' hashes.

    Raises LabelsMissing; CorruptDownload; BadInput if a file of the user is not the benchmark's.
    """
    for read in (_compact_parameters, _cached_parameters, _tfrecord_parameters):
        try:
            return read().rename("nb101 parameters").copy()
        except LabelsMissing:
            continue
    raise LabelsMissing(f"no parameters of nb101 on this machine; get them with `{fetch.COMMAND}`")


def _from_compact(dataset: str, split: str) -> pd.DataFrame:
    file, path = _located(registry.NB101_COMPACT, split)
    return _provenance(_compact(path, str(file.sha256))[["test"]].copy(), "compact", file.licence)


def _from_cached_metrics(dataset: str, split: str) -> pd.DataFrame:
    file, path = _located("nasbench101/accuracies.pkl.gz", split)
    table = pd.DataFrame({"test": 100 * _metrics(path, str(file.sha256), "accuracy")})
    return _provenance(table, "cached-metrics", file.licence)


def _from_tfrecord(dataset: str, split: str) -> pd.DataFrame:
    file, runs = _tfrecord(split)
    accuracies = {"val": runs.validation, "test": runs.test}[split]
    return _provenance(pd.DataFrame(100 * accuracies, index=_index(), columns=_RUNS), "tfrecord", file.licence)


SOURCES: dict[str, dict[str, Callable[[str, str], pd.DataFrame]]] = {
    "val": {"tfrecord": _from_tfrecord},
    "test": {"compact": _from_compact, "cached-metrics": _from_cached_metrics, "tfrecord": _from_tfrecord},
}


def _provenance(table: pd.DataFrame, source: str, licence: str) -> pd.DataFrame:
    facts = {"source": source, "version": "NAS-Bench-101", "epochs": nb101_runs.EPOCHS, "licence": licence}
    table.attrs["provenance"] = facts
    return table


def _compact_parameters() -> pd.Series:
    file, path = _located(registry.NB101_COMPACT)
    return _compact(path, str(file.sha256))["params"]


def _cached_parameters() -> pd.Series:
    file, path = _located("nasbench101/params.pkl.gz")
    return _metrics(path, str(file.sha256), "params")


def _tfrecord_parameters() -> pd.Series:
    return pd.Series(_tfrecord()[1].parameters / 1e6, index=_index())


def _located(name: str, split: str = "test") -> tuple[registry.LabelFile, Path]:
    path = fetch.locate(name)
    if path is None:
        raise LabelsMissing(missing_text(DATASETS[0], split, name))
    return registry.entry(name), path


def _tfrecord(split: str = "test") -> tuple[registry.LabelFile, nb101_runs.Runs]:
    file, path = _located(registry.NB101_TFRECORD, split)
    state = path.stat()
    return file, _runs(path, state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=1)
def _compact(path: Path, sha256: str) -> pd.DataFrame:
    """Columns test (percent) and params (millions). Its cells are the benchmark's representatives; a test sees to that."""
    from parzc_core.spaces import nb101_cells

    try:
        with np.load(path, allow_pickle=False) as file:
            index = nb101_cells.arch_strings(file["adjacency"], _COMPACT_CODES[file["ops"]])
            columns = {"test": 100 * file["test_acc_108_mean"], "params": file["params_M"]}
    except DAMAGED_NPZ as error:
        raise BadInput(f"{path.name} cannot be read ({type(error).__name__}: {brief(error)}); get it again") from None
    return pd.DataFrame(columns, index=pd.Index(index, name="arch"))


@lru_cache(maxsize=2)
def _metrics(path: Path, sha256: str, column: str) -> pd.Series:
    """A column of a file of cached metrics: row i is the cell of the i-th hash."""
    table = pickles.loads_table(gzip.decompress(path.read_bytes()), path.name)
    index = _index()
    if not np.array_equal(table["index"], np.arange(len(index))):
        raise CorruptDownload(f"{path.name} numbers other cells than 0 to {len(index) - 1:,}; get it again")
    return pd.Series(table[column], index=index)


@lru_cache(maxsize=1)
def _runs(path: Path, size: int, modified: int) -> nb101_runs.Runs:
    from parzc_core.spaces import nb101_cells

    return nb101_runs.runs(path, nb101_cells.all_cells().hashes)


@lru_cache(maxsize=1)
def _index() -> pd.Index:
    """The architectures in the order of the cells' hashes."""
    from parzc_core.spaces import nb101_cells  # with torch, which a look at other labels does not need

    cells = nb101_cells.all_cells()
    return pd.Index(nb101_cells.arch_strings(cells.matrices, cells.operations), name="arch")
