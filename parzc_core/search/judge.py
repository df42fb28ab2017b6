"""What the found architectures are reported with. No search gets a Judge: it reads test accuracy, once, when all have ended."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from parzc_core import labels
from parzc_core.errors import BadInput, LabelsMissing
from parzc_core.labels.nb201 import DATASETS

RESNET = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"  # its cell in NAS-Bench-201


class Judge:
    """Accuracy after full training of every architecture of a space on every data set, validation ("val") and test ("test").

    missing: why there is no test accuracy of a data set, by data set; empty where all is at hand. notes: by data set and split,
    which labels judge.
    """

    def __init__(self, space: str = "nb201") -> None:
        self.missing: dict[str, str] = {}
        self.notes: dict[tuple[str, str], str] = {}
        self._accuracy: dict[tuple[str, str], pd.Series] = {}
        for dataset in DATASETS:
            self._read(dataset, "val", labels.accuracy(space, dataset, "val"))
            try:
                self._read(dataset, "test", labels.accuracy(space, dataset, "test", "best"))
            except LabelsMissing as missing:
                self.missing[dataset] = str(missing)

    def _read(self, dataset: str, split: str, accuracy: pd.Series) -> None:
        provenance = accuracy.attrs["provenance"]
        self._accuracy[dataset, split] = accuracy
        self.notes[dataset, split] = f"{provenance['source']}, {provenance['version']}"

    def has(self, dataset: str, split: str) -> bool:
        """Whether these labels are at hand."""
        return (dataset, split) in self._accuracy

    def accuracy(self, archs: Sequence[str], dataset: str, split: str) -> np.ndarray:
        """float64[n], percent. Raises BadInput where these labels are not at hand."""
        return self._of(dataset, split).loc[list(archs)].to_numpy()

    def best(self, dataset: str, split: str) -> float:
        """The highest accuracy in the space, percent: the row "Optimal", whose columns are different architectures."""
        return float(self._of(dataset, split).max())

    def _of(self, dataset: str, split: str) -> pd.Series:
        if not self.has(dataset, split):
            known = ", ".join(f"{name} {part}" for name, part in self._accuracy)
            raise BadInput(f"no {split} accuracy of {dataset} to judge by; there is: {known}")
        return self._accuracy[dataset, split]
