"""One interface for predictors that rank architectures: what they are given, what they give."""

from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import numpy as np
import torch

from parzc_core.errors import BadInput
from parzc_core.ranker import Inputs
from parzc_core.spaces import space as space_named

Scores = np.ndarray | tuple[np.ndarray, np.ndarray]
Read = TypeVar("Read", contravariant=True)


@dataclass(frozen=True)
class Kinds:
    """How a space numbers the nodes of its graphs (`spaces.Graph`).

    choices: operations to choose from, numbered from 0; the input is numbered `choices`, the output `choices + 1`.
    total: all kinds of node. none: number of the operation that lets nothing pass, if there is one.
    """

    choices: int
    total: int
    none: int | None = None

    def __post_init__(self) -> None:
        if (
            self.choices < 1
            or self.total < self.choices + 2
            or not (self.none is None or 0 <= self.none < self.choices)
        ):
            raise BadInput(f"got {self}; expected at least one choice, two kinds more in total, and none below choices")

    @classmethod
    def of(cls, space: Any) -> "Kinds":
        """Those of a space, or of the one of that name; without GRAPH_KINDS no node is an empty place. Raises UnknownName."""
        module = space_named(space) if isinstance(space, str) else space
        operations = tuple(module.OPERATIONS)
        none = operations.index("none") if "none" in operations else None
        return cls(len(operations), getattr(module, "GRAPH_KINDS", len(operations) + 2), none)

    @property
    def input(self) -> int:
        """Number of the input node."""
        return self.choices

    @property
    def output(self) -> int:
        """Number of the output node."""
        return self.choices + 1

    @property
    def real(self) -> int:
        """Kinds of node that are no empty place: the choices, the input and the output."""
        return self.choices + 2

    def passing(self, operations: Any) -> Any:
        """Whether each operation (array or tensor) lets anything pass."""
        return operations != self.none

    def one_hot(self, operations: torch.Tensor) -> torch.Tensor:
        """float32[n, N, real] of operations int64[n, N]; an empty place is all zeros."""
        return (operations.unsqueeze(-1) == torch.arange(self.real, device=operations.device)).float()  # F.one_hot knows no vmap

    def check(self, inputs: Inputs, nodes: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """adjacency float32[n, N, N] and operations int64[n, N] of the inputs. nodes: N to expect. Raises BadInput."""
        if not isinstance(inputs, Inputs):
            raise BadInput(f"got {type(inputs).__name__}; expected Inputs with adjacency and operations (`Space.graph`)")
        adjacency, operations = inputs.adjacency, inputs.operations
        if adjacency is None or operations is None:
            raise BadInput("got inputs without a graph; expected Inputs with adjacency and operations (`Space.graph`)")
        fits = adjacency.ndim == 3 and adjacency.shape == (*operations.shape, operations.shape[-1])
        if not fits or not len(adjacency) or nodes not in (None, adjacency.shape[1]):
            expected = "N" if nodes is None else nodes
            raise BadInput(
                f"got adjacency and operations of shape {adjacency.shape} and {operations.shape}; "
                f"expected [n, {expected}, {expected}] and [n, {expected}], n at least 1"
            )
        if operations.min() < 0 or operations.max() >= self.total:
            raise BadInput(
                f"got operations from {operations.min()} to {operations.max()}; expected 0 to {self.total - 1}, "
                "as the space numbers them"
            )
        return np.asarray(adjacency, dtype=np.float32), np.asarray(operations, dtype=np.int64)

    def tensors(self, inputs: Inputs, nodes: int | None = None) -> tuple[torch.Tensor, torch.Tensor]:
        """What `check` gives, as tensors. They are copies: the arrays of labelled data are read-only."""
        adjacency, operations = self.check(inputs, nodes)
        return torch.tensor(adjacency), torch.tensor(operations)

    def without_none(self, adjacency: Any, operations: Any) -> Any:
        """adjacency [n, N, N] (array or tensor) without the edges into and out of nodes that let nothing pass."""
        if self.none is None:
            return adjacency
        passes = self.passing(operations)
        return adjacency * passes[:, :, None] * passes[:, None, :]


def on_edges(operations: torch.Tensor, edges: tuple[tuple[int, int], ...]) -> torch.Tensor:
    """int64[n, E]: the operations of a graph whose nodes are the input, the E edges of the cell, and the output.

    Raises BadInput for graphs of another number of nodes.
    """
    if operations.shape[1] != len(edges) + 2:
        raise BadInput(
            f"got graphs of {operations.shape[1]} nodes; expected {len(edges) + 2}: the input, {len(edges)} edges, the output"
        )
    return operations[:, 1:-1]


class Predictor(Protocol[Read]):
    """Learns from the accuracy of some architectures and scores others; constructed from its configuration.

    Read: what it reads of architectures, `Inputs` where that is the graphs alone; it has a length and takes [rows].

    has_spread: whether `predict` with samples > 0 gives a spread.
    """

    @property
    def has_spread(self) -> bool: ...

    def fit(self, inputs: Read, accuracy: np.ndarray, seed: int, unlabelled: Read | None = None) -> "Predictor[Read]":
        """Learn, and return itself. The same arguments give the same predictor; the caller's random state is left alone.

        inputs: n architectures; accuracy: float[n], percent; but for NN-Former only its z-score or order is used. unlabelled:
        architectures of the space without accuracy, which only some methods use. Raises BadInput.
        """

    def predict(self, inputs: Read, samples: int = 0) -> Scores:
        """Scores float64[n], higher meaning better. samples > 0: (mean [n], spread [n]) over that many draws.

        A predictor whose spread is exact takes any positive number for it. Raises BadInput: shapes, not fitted, no spread.
        """
