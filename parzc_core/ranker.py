"""The eight rankers of Table 6: NP, Mixer, BN and MLP, alone and together; one module (§3.3, A.4), and what it reads."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
import torch
from torch import nn

from parzc_core.errors import BadInput
from parzc_core.gcn import NP, NPConfig
from parzc_core.mabn import MABN, MABNConfig, linear

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


GRAPH_PARTS = ("NP", "PINAT")
PARTS = (*GRAPH_PARTS, "Mixer", "BN", "MLP")


class GraphBranch(Protocol):
    """Sizes of a branch that reads the graph, and the network of these sizes."""

    def build(self, outputs: int) -> nn.Module:
        """A module from adjacency float32[n, N, N] and operations int64[n, N] to an embedding [n, outputs], or scores [n]."""


@dataclass(frozen=True)
class ModelConfig:
    """A ranker made of parts.

    parts: of PARTS. "Mixer" with "BN" is MABN; "Mixer" alone has plain linear layers in place of the Bayesian ones; "BN" alone is
        a perceptron of Bayesian layers, "MLP" one of plain layers. With "NP" or "PINAT", which read the graph, beside
        another part the two embeddings are added and a regressor of two fully connected layers scores the sum (A.4).
    mabn: sizes of the statistics branch. operations: kinds of graph node, for NP. embedding: size of the summed embeddings.
    graph_dropout: of NP. graph: the branch of "PINAT" (`predictors.pinat.PINATBranch`), which is no part of this core.
    """

    parts: tuple[str, ...]
    mabn: MABNConfig
    operations: int = 7
    embedding: int = 64
    graph_dropout: float = 0.05
    graph: GraphBranch | None = None

    def __post_init__(self) -> None:
        unknown = [part for part in self.parts if part not in PARTS]
        if unknown or not self.parts or ("MLP" in self.parts and {"Mixer", "BN"} & set(self.parts)):
            raise BadInput(f"got parts {self.parts}; expected some of {', '.join(PARTS)}, MLP not beside Mixer or BN")
        if set(GRAPH_PARTS) <= set(self.parts) or ("PINAT" in self.parts) != (self.graph is not None):
            raise BadInput(
                f"got parts {self.parts} and graph={self.graph}; expected one of {', '.join(GRAPH_PARTS)} at most, and a graph "
                "branch for PINAT alone"
            )


class Perceptron(nn.Module):
    """float32[n, D] -> [n, outputs]: three layers as wide as MABN's projection, Bayesian or plain."""

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
    """What reads the graph, if a part does."""
    if config.graph is not None:
        return config.graph.build(outputs)
    return (
        NP(NPConfig(config.operations, dropout=config.graph_dropout, outputs=outputs)) if "NP" in config.parts else None
    )


class Model(nn.Module):
    """Inputs as tensors -> scores [n]."""

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
            branches.append(self.statistics(statistics))
        if self.graph is not None:
            branches.append(self.graph(adjacency, operations))
        if len(branches) == 1:
            return branches[0]
        return self.regressor(branches[0] + branches[1]).squeeze(1)  # H = H^(z) + H^(p)
