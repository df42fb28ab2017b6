"""Published labels of Vision Transformers: the files of ViT-Bench (Wei et al., Auto-Prox, AAAI 2024).

Test accuracy of 100 + 100 AutoFormer-Tiny and 100 PiT architectures. Each was trained on CIFAR-100, Flowers and Chaoyang, for 300
epochs by the released settings, "base" (alone) and "distilled" (taught by a convolutional network); one run each. AutoFormer has
also a column "supernet": ImageNet accuracy with the weights of a trained supernet, 100 architectures. The ground truth of the
paper's Table 5, 1,000 subnets judged by the ImageNet supernet, is not published. There is no validation accuracy.

The networks of "base" and "distilled" divide the embedding among the heads and have no relative positions (see
`spaces.vit.autoformer.build`); those of "supernet" are AutoFormer's own.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from parzc_core.errors import BadInput, CorruptDownload, LabelsMissing, UnknownName, real
from parzc_core.files import fetch, registry

FOLDER = "vitbench"
FILES = {"autoformer": ("gt_autoformer", "gt_autoformer_2"), "pit": ("gt_pit",)}
DATASETS = {"autoformer": ("cifar100", "flowers", "chaoyang", "imagenet"), "pit": ("cifar100", "flowers", "chaoyang")}
ARCHITECTURES = 100  # in each file
EPOCHS = 300

_PREFIX = {"cifar100": "c100", "flowers": "flower", "chaoyang": "chaoyang"}
_SUFFIX = {"base": "base_acc", "distilled": "kd_acc"}
_SUPERNET = "imagenet_super_acc"
_EMPTY = "that file has no value in it: its architectures were trained with distillation only"
# file, column -> why it is refused
UNUSABLE = MappingProxyType(
    {
        ("gt_autoformer_2", _SUPERNET): (
            "its values do not belong to the architectures beside them: in gt_autoformer the embedding dimension fixes them "
            "within 1.0 points (192: 74.6-75.4, 216: 74.9-75.5, 240: 70.7-71.7), here each dimension has values from 70.8 to 75.5"
        ),
        **{("gt_autoformer_2", f"{prefix}_base_acc"): _EMPTY for prefix in _PREFIX.values()},
    }
)


def missing_text(space: str, dataset: str, split: str, what: str) -> str:
    """The text of LabelsMissing. what: the sources or files that were looked for."""
    if split == "val":
        return (
            f"ViT-Bench has no validation accuracy of {space} {dataset}, only test accuracy: ask for the split 'test'"
        )
    return (
        f"no {split} accuracy of {space} {dataset} on this machine: looked for {what} in PARZC_DATA and in the cache; "
        f"get it with `{fetch.COMMAND}`"
    )


def column(file: str, name: str) -> pd.Series:
    """One column of a file, in percent, indexed by architecture string in the file's order.

    file: "gt_autoformer", "gt_autoformer_2" or "gt_pit". name: of the file's own columns, such as "c100_kd_acc".
    Raises UnknownName; BadInput with the reason where the column cannot be used; LabelsMissing; CorruptDownload.
    """
    spaces = {known: space for space, names in FILES.items() for known in names}
    if file not in spaces:
        raise UnknownName.of("file of ViT-Bench", file, spaces)
    table = _read(spaces[file], file)
    if name not in table:
        raise UnknownName.of(f"column of {file}", name, table.columns)
    if (file, name) in UNUSABLE:
        raise BadInput(
            f"column {name} of {file} is not to be used: {UNUSABLE[file, name]}; take another file or column"
        )
    return table[name].copy()


def _accuracy(space: str, source: str, dataset: str, split: str) -> pd.DataFrame:
    """All files of the space that have usable values of this source, one after another."""
    if (dataset == "imagenet") != (source == "supernet"):
        other = "'supernet'" if dataset == "imagenet" else "'base' or 'distilled'"
        raise LabelsMissing(f"ViT-Bench has no {source} accuracy of {space} {dataset}; ask for the source {other}")
    name = _SUPERNET if source == "supernet" else f"{_PREFIX[dataset]}_{_SUFFIX[source]}"
    files = [file for file in FILES[space] if (file, name) not in UNUSABLE]
    table = pd.concat([column(file, name) for file in files]).to_frame("test")
    table.attrs["provenance"] = {
        "source": source,
        "version": f"ViT-Bench {' and '.join(files)}",
        "epochs": "supernet weights, not trained alone" if source == "supernet" else EPOCHS,
        "licence": "Apache-2.0",
    }
    return table


def _no_validation(space: str, dataset: str, split: str) -> pd.DataFrame:
    raise LabelsMissing(missing_text(space, dataset, split, ""))


def sources(space: str) -> dict[str, dict[str, Callable[[str, str], pd.DataFrame]]]:
    """Split -> source -> function of data set and split, for labels.py."""
    names = ("base", "distilled", "supernet") if "imagenet" in DATASETS[space] else ("base", "distilled")
    return {
        "val": {"vitbench": partial(_no_validation, space)},
        "test": {name: partial(_accuracy, space, name) for name in names},
    }


def _read(space: str, file: str) -> pd.DataFrame:
    pinned = registry.entry(f"{FOLDER}/{file}.pth")
    path = fetch.locate(pinned.name)
    if path is None:
        raise LabelsMissing(missing_text(space, "/".join(DATASETS[space]), "test", pinned.name))
    return _table(space, path, str(pinned.sha256))


@lru_cache(maxsize=8)
def _table(space: str, path: Path, sha256: str) -> pd.DataFrame:
    """float64, a row an architecture, the file's columns; remembered by the verified checksum."""
    import torch  # a look at other labels does not need it

    return table_of(space, torch.load(path, weights_only=True), path.name)


def table_of(space: str, rows: Any, what: str) -> pd.DataFrame:
    """The table of a file's content, a list of {"arch": {...}, column: percent or None}. Raises CorruptDownload."""
    from parzc_core.spaces.vit import autoformer, pit

    from_labels: Callable[[Any], Any] = {"autoformer": autoformer.from_labels, "pit": pit.from_labels}[space]
    try:
        index = pd.Index([str(from_labels(row["arch"])) for row in rows], name="arch")
        values = [{k: None if v is None else real(k, v) for k, v in row.items() if k != "arch"} for row in rows]
        table = pd.DataFrame(values, index=index, dtype=float)
    except (BadInput, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CorruptDownload(
            f"{what} does not hold ViT-Bench's {space} architectures ({error}); get it again"
        ) from error
    if len(table) != ARCHITECTURES or not table.index.is_unique:
        raise CorruptDownload(
            f"{what} has {len(table)} rows of {table.index.nunique()} architectures; expected {ARCHITECTURES} different ones"
        )
    known = table.to_numpy()
    if ((known < 0) | (known > 100)).any():
        raise CorruptDownload(f"{what} has accuracies outside 0 to 100 percent; get it again")
    return table
