"""Published numbers of 725 DARTS cells: NAS-Bench-301's surrogate accuracy and twelve network-level scores (automl/NASLib).

They are of networks of WIDTH channels and DEPTH cells on CIFAR-10. Accuracy is the surrogate's prediction of validation
accuracy, not a training's (Zela et al., ICLR 2022). Networks there have no affine parameters in the BatchNorm of a cell's
operations, so that `params` is smaller than that of ours by exactly these, and `flops` (in millions of multiply-adds) differs.
"""

import ast
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

import pandas as pd

from parzc_core.errors import BadInput, LabelsMissing, is_whole, real
from parzc_core.files import fetch, json_files, registry
from parzc_core.files.json_files import brief, shown

FILE = "nasbench301/zc_nasbench301.json"
SPACE = "nds_darts"
DATASETS = ("cifar10",)
WIDTH, DEPTH, NODES = 32, 8, 4
SCORES = (
    *("params", "flops", "epe_nas", "fisher", "grad_norm", "grasp"),
    *("jacov", "l2_norm", "nwot", "plain", "snip", "synflow"),
)
LONGEST = 1000  # characters of a cell as the file writes it; it has about 150
OPERATIONS = (  # in the order of the file's numbers
    *("max_pool_3x3", "avg_pool_3x3", "skip_connect"),
    *("sep_conv_3x3", "sep_conv_5x5", "dil_conv_3x3", "dil_conv_5x5"),
)


def published() -> pd.DataFrame:
    """725 rows, indexed by architecture string of nds_darts: column accuracy (percent), then SCORES as published.

    params in millions, flops in millions. A score of -1e8, which stands for NaN there, is NaN. `attrs["provenance"]`: source,
    version, licence. Raises LabelsMissing; CorruptDownload if the file is not the published one; BadInput if it cannot be read.
    """
    file, path = registry.entry(FILE), fetch.locate(FILE)
    if path is None:
        raise LabelsMissing(missing_text(SPACE, "val", FILE))
    table = _read(path, str(file.sha256)).copy()
    table.attrs["provenance"] = {
        "source": "surrogate",
        "version": "NAS-Bench-301 by NASLib, not a training",
        "licence": file.licence,
    }
    return table


def missing_text(dataset: str, split: str, what: str) -> str:
    """The text of LabelsMissing, see labels.py."""
    if split != "val":
        return f"no {split} accuracy of nb301 was published; there is the surrogate's validation accuracy"
    return f"no {FILE} in PARZC_DATA or in the cache; get it with `{fetch.COMMAND}`"


def _accuracies(dataset: str, split: str) -> pd.DataFrame:
    table = published()
    found = table[["accuracy"]].rename(columns={"accuracy": split})
    found.attrs["provenance"] = dict(table.attrs["provenance"])
    return found


SOURCES: dict[str, dict[str, Callable[[str, str], pd.DataFrame]]] = {"val": {"surrogate": _accuracies}, "test": {}}


@lru_cache(maxsize=1)
def _read(path: Path, sha256: str) -> pd.DataFrame:
    return read(path)


def read(path: Path) -> pd.DataFrame:
    """The table of a file in that format, see `published`. Raises BadInput."""
    try:
        cells: dict[str, dict[str, Any]] = json_files.load(path)["cifar10"]
        rows = {
            architecture(key): {
                "accuracy": real("val_accuracy", cell["val_accuracy"]),
                **{name: real(name, cell[name]["score"]) for name in SCORES},
            }
            for key, cell in cells.items()
        }
    except (BadInput, AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise BadInput(
            f"{Path(path).name} cannot be read ({type(error).__name__}: {brief(error, 200)}); expected cells under "
            f"'cifar10' as in {FILE} of {registry.entry(FILE).source}"
        ) from None
    if not rows:
        raise BadInput(f"{Path(path).name} holds no cell; expected some under 'cifar10'")
    if len(rows) != len(cells):
        raise BadInput(f"{Path(path).name} holds the same cell more than once; expected different ones")
    table = pd.DataFrame.from_dict(rows, orient="index").rename_axis("arch")
    if len(wrong := table.index[~table["accuracy"].between(0, 100)]):
        raise BadInput(
            f"{Path(path).name} has the accuracy {table['accuracy'][wrong[0]]} of {brief(wrong[0])}; expected a percentage"
        )
    return table.where(table != -1e8)


def architecture(compact: str, width: int = WIDTH, depth: int = DEPTH) -> str:
    """Architecture string of a cell written as there, "[[(node read, operation), ...], [...]]" for normal and reduction.

    Operations are numbered as OPERATIONS; all four nodes are joined. Raises BadInput.
    """
    from parzc_core.spaces.nds import genotype as nds_genotype  # with torch, which a look at other labels does not need

    try:
        normal, reduction = ast.literal_eval(compact[:LONGEST])
        cells = [[(_operation(code), source) for source, code in cell] for cell in (normal, reduction)]
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise BadInput(
            f"got the cell {shown(compact)} ({brief(error)}); expected [[(node read, operation), ...], [...]] with eight pairs "
            "each"
        ) from None
    concat = list(range(2, 2 + NODES))
    genotype = {"normal": cells[0], "normal_concat": concat, "reduce": cells[1], "reduce_concat": concat}
    return str(nds_genotype.from_genotype(nds_genotype.FAMILIES[SPACE], genotype, width, depth))


def _operation(code: Any) -> str:
    if not is_whole(code) or not 0 <= code < len(OPERATIONS):
        raise ValueError(f"operation {shown(code)} is not in 0 to {len(OPERATIONS) - 1}")
    return OPERATIONS[code]
