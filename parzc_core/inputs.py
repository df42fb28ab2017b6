"""What rankers read of architectures: encoded statistics, graphs, or both."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

CHUNK = 2048  # architectures scored at once


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a ranker reads of n architectures; a part that no branch needs may be None.

    statistics: float32[n, D], encoded. adjacency: float32[n, N, N], operations: int64[n, N], of `spaces.Graph`.
    """

    statistics: np.ndarray | None = None
    adjacency: np.ndarray | None = None
    operations: np.ndarray | None = None

    def __len__(self) -> int:
        return len(next(part for part in (self.statistics, self.operations) if part is not None))

    def __getitem__(self, rows: np.ndarray | slice) -> "Inputs":
        """The given architectures."""
        parts = (self.statistics, self.adjacency, self.operations)
        return Inputs(*(None if part is None else part[rows] for part in parts))

    def chunks(self) -> Iterator["Inputs"]:
        """CHUNK architectures after another, so that scoring a whole space needs little memory."""
        return (self[start : start + CHUNK] for start in range(0, len(self), CHUNK))
