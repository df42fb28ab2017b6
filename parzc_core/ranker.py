"""The ranker and what it reads: MABN alone, or the components of Table 6 (NP, Mixer, BN, MLP) put together (§3.3, A.4)."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import nn

from parzc_core.collector import NodeStatistics
from parzc_core.encoding import PAPER_PROXIES, Encoder
from parzc_core.errors import BadInput, floats, names_of, real, whole
from parzc_core.gcn import NP, NPConfig
from parzc_core.mabn import MABN, MABNConfig, linear

CHUNK = 2048  # architectures scored at once


@dataclass(frozen=True, eq=False)
class Inputs:
    """What a ranker reads of n architectures. A part that its components do not need may be None.

        >>> inputs = Inputs(np.zeros((5, 294), np.float32), np.zeros((5, 6, 6), np.float32), np.zeros((5, 6), np.int64))
        >>> len(inputs[:3])
        3

    statistics: float32[n, D], encoded. adjacency: float32[n, N, N], 1 where node i feeds node j.
    operations: int64[n, N], the kind of each node, from 0.
    """

    statistics: np.ndarray | None = None
    adjacency: np.ndarray | None = None
    operations: np.ndarray | None = None

    def __len__(self) -> int:
        return len(next(part for part in (self.statistics, self.operations) if part is not None))

    def __getitem__(self, rows: np.ndarray | slice) -> "Inputs":
        """The architectures at these rows: positions, a mask or a slice."""
        parts = (self.statistics, self.adjacency, self.operations)
        return Inputs(*(None if part is None else part[rows] for part in parts))

    def chunks(self) -> Iterator["Inputs"]:
        """Parts of CHUNK architectures, so that scoring a whole space needs little memory."""
        return (self[start : start + CHUNK] for start in range(0, len(self), CHUNK))


GRAPH_PARTS = ("NP", "PINAT")
PARTS = (*GRAPH_PARTS, "Mixer", "BN", "MLP")


class GraphBranch(Protocol):
    """A component that reads the graph: a frozen dataclass of its sizes, which builds its network."""

    def build(self, outputs: int) -> nn.Module:
        """A module from adjacency float32[n, N, N] and operations int64[n, N] to an embedding [n, outputs], or scores [n]."""


GRAPH_BRANCHES: dict[str, type] = {}  # by class name; a saved ranker names the one that it needs


def graph_branch(kind: type) -> type:
    """Register a graph branch, so that a ranker with it can be saved and loaded.

        @graph_branch
        @dataclass(frozen=True)
        class MyBranch: ...         # numbers, strings, tuples and such dataclasses as fields; build(outputs)
    """
    GRAPH_BRANCHES[kind.__name__] = kind
    return kind


@dataclass(frozen=True)
class ModelConfig:
    """Components of a ranker and their sizes.

        >>> ModelConfig(("Mixer", "BN"), MABNConfig(input_dim=294)).parts  # MABN
        ('Mixer', 'BN')

    parts: components of Table 6, some of PARTS. ("Mixer", "BN") is MABN; ("Mixer",) has plain linear layers in place of the
        Bayesian ones; ("BN",) is a perceptron of Bayesian layers, ("MLP",) one of plain layers. "NP" and "PINAT" read the
        graph; beside another component the two embeddings are added, and two fully connected layers score the sum (A.4).
    mabn: sizes of what reads the statistics. embedding: length of the two embeddings.
    operations, graph_dropout: kinds of graph node and dropout, for "NP". graph: the branch, for "PINAT"; it is not in this core.
    Raises BadInput: unknown components, MLP beside Mixer or BN, two graph components, a branch without "PINAT" or the reverse.
    """

    parts: tuple[str, ...]
    mabn: MABNConfig
    operations: int = 7
    embedding: int = 64
    graph_dropout: float = 0.05
    graph: GraphBranch | None = None

    def __post_init__(self) -> None:
        parts = names_of("parts", self.parts)
        wrong = len(set(parts)) < len(parts) or any(part not in PARTS for part in parts)
        wrong |= isinstance(self.parts, str) or not parts or ("MLP" in parts and bool({"Mixer", "BN"} & set(parts)))
        if wrong:
            raise BadInput(f"got parts {self.parts}; expected some of {', '.join(PARTS)}, MLP not beside Mixer or BN")
        if set(GRAPH_PARTS) <= set(self.parts) or ("PINAT" in self.parts) != (self.graph is not None):
            raise BadInput(
                f"got parts {self.parts} and graph={self.graph}; expected one of {', '.join(GRAPH_PARTS)} at most, and a graph "
                "branch for PINAT alone"
            )
        if not isinstance(self.mabn, MABNConfig):
            raise BadInput(f"got mabn={self.mabn!r}; expected a MABNConfig")
        whole("operations", self.operations, 1)
        whole("embedding", self.embedding, 2)
        real("graph_dropout", self.graph_dropout, 0, 1)


class Perceptron(nn.Module):
    """Three layers as wide as MABN's projection, Bayesian or plain: float32[n, D] -> [n, outputs], or [n] for one output."""

    def __init__(self, config: MABNConfig):
        super().__init__()
        sizes = (config.input_dim, config.projection, config.projection)
        hidden = [
            layer
            for a, b in itertools.pairwise(sizes)
            for layer in (linear(a, b, config.bayesian), nn.ReLU(), nn.Dropout(config.dropout))
        ]
        self.layers = nn.Sequential(*hidden, linear(sizes[-1], config.outputs, config.bayesian))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.layers(x)
        return y.squeeze(1) if y.shape[1] == 1 else y


def _graph_branch(config: ModelConfig, outputs: int) -> nn.Module | None:
    """The network that reads the graph, if a component does."""
    if config.graph is not None:
        return config.graph.build(outputs)
    if "NP" in config.parts:
        return NP(NPConfig(config.operations, dropout=config.graph_dropout, outputs=outputs))
    return None


class Model(nn.Module):
    """The network of a ranker.

        >>> model = Model(ModelConfig(("Mixer", "BN"), MABNConfig(input_dim=30))).eval()
        >>> model(torch.randn(5, 30), None, None).shape
        torch.Size([5])

    forward: statistics float32[n, D], adjacency float32[n, N, N], operations int64[n, N] -> scores float32[n].
    Raises BadInput where a part that a component reads is None.
    """

    def __init__(self, config: ModelConfig):
        super().__init__()
        self.config = config
        others = set(config.parts) - set(GRAPH_PARTS)
        outputs = config.embedding if others and others < set(config.parts) else 1
        sizes = replace(config.mabn, bayesian="BN" in config.parts, outputs=outputs)
        self.graph = _graph_branch(config, outputs)
        self.statistics: nn.Module | None = None
        if others:
            self.statistics = MABN(sizes) if "Mixer" in config.parts else Perceptron(sizes)
        half = config.embedding // 2
        self.regressor = nn.Sequential(nn.Linear(config.embedding, half), nn.ReLU(), nn.Linear(half, 1))

    def forward(
        self, statistics: torch.Tensor | None, adjacency: torch.Tensor | None, operations: torch.Tensor | None
    ) -> torch.Tensor:
        branches = []
        if self.statistics is not None:
            if statistics is None:
                raise BadInput(f"got inputs without statistics; the components {self.config.parts} read them")
            branches.append(self.statistics(statistics))
        if self.graph is not None:
            if adjacency is None or operations is None:
                raise BadInput(f"got inputs without a graph; the components {self.config.parts} read it")
            branches.append(self.graph(adjacency, operations))
        if len(branches) == 1:
            return branches[0]
        return self.regressor(branches[0] + branches[1]).squeeze(1)  # H = H^(z) + H^(p)


Readable = np.ndarray | Inputs | Sequence[NodeStatistics]


def as_inputs(inputs: Readable, encoder: Encoder | None = None) -> Inputs:
    """What a ranker is given, checked and encoded. Raises BadInput for anything but `Readable`, or of other shapes."""
    if isinstance(inputs, Inputs):
        for name in ("statistics", "adjacency", "operations"):
            part = getattr(inputs, name)
            if part is not None and not isinstance(part, np.ndarray):
                raise BadInput(f"got {name} of type {type(part).__name__}; expected an array")
        if inputs.statistics is None and inputs.operations is None:
            raise BadInput("got Inputs without statistics and without a graph; expected one of them")
        return inputs
    if isinstance(inputs, Sequence) and len(inputs) and isinstance(inputs[0], NodeStatistics):
        if encoder is None:
            raise BadInput("got node statistics and no encoder; expected encoded inputs float32[n, D], or an encoder")
        return Inputs(statistics=encoder.transform(inputs))
    encoded = floats("inputs", inputs).astype(np.float32)
    if encoded.ndim != 2 or not encoded.shape[1]:
        raise BadInput(f"got inputs of shape {encoded.shape}; expected float32[n, D], a row an architecture")
    return Inputs(statistics=encoded)


def finite_rows(inputs: Readable, encoder: Encoder | None) -> np.ndarray | None:
    """bool[n]: whether the statistics that an encoder reads are finite; None for inputs that are encoded already."""
    if encoder is None or isinstance(inputs, Inputs) or not all(isinstance(one, NodeStatistics) for one in inputs):
        return None
    names = PAPER_PROXIES if encoder.proxies is None else encoder.proxies
    return np.array([all(np.isfinite(one.of(name)).all() for name in names) for one in inputs])  # type: ignore[union-attr]


def check_finite(inputs: Inputs) -> None:
    """Raises BadInput for training inputs with a number that is NaN or infinite."""
    for name in ("statistics", "adjacency"):
        part = getattr(inputs, name)
        if part is not None and not np.isfinite(part).all():
            row = int(np.argwhere(~np.isfinite(part))[0][0])
            raise BadInput(f"the {name} of architecture {row} are not finite; leave it out of the training")


def check_graphs(inputs: Inputs, config: ModelConfig) -> None:
    """Raises BadInput unless a model that reads graphs gets graphs of its kinds of node, as many as there are statistics."""
    sizes = {len(part) for part in (inputs.statistics, inputs.adjacency, inputs.operations) if part is not None}
    if len(sizes) > 1:
        raise BadInput(f"got parts of {' and '.join(map(str, sorted(sizes)))} architectures; expected the same number")
    if not set(GRAPH_PARTS) & set(config.parts):
        return
    adjacency, operations = inputs.adjacency, inputs.operations
    if adjacency is None or operations is None:
        raise BadInput(f"got inputs without a graph; the components {config.parts} read it")
    if operations.ndim != 2 or adjacency.shape != (*operations.shape, operations.shape[-1]):
        raise BadInput(
            f"got adjacency and operations of shape {adjacency.shape} and {operations.shape}; expected [n, N, N] and [n, N]"
        )
    if operations.dtype.kind not in "iu":
        raise BadInput(f"got operations of {operations.dtype}; expected int64")
    if "NP" in config.parts and operations.size and not 0 <= operations.min() <= operations.max() < config.operations:
        raise BadInput(f"got operations from {operations.min()} to {operations.max()}; expected 0 to {config.operations - 1}")
