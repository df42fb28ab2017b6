"""GATES, information that flows along the graph through gates set by the operations (Ning et al., ECCV 2020).

Layer: h_j <- sigmoid(W_o e_j) * sum_i A_ij (W h_i), e_j the embedding of the operation of node j; the input node, which
nothing feeds, keeps W h_j instead (`residual_only: 1`). What arrives at the output node after five layers is scored by a
perceptron. Operations are on nodes here, the paper's OON form; NAS-Bench-201's own form has them on edges, of which this is
the line graph. Nodes that let nothing pass are cut out, as there.

Settings of the authors (https://github.com/walkerning/aw_nas). NAS-Bench-201, nb201-flow: five layers of 128, perceptron 5 x 300,
200 epochs. Spaces with operations on nodes, as nbc_flow_gcn128x4 for NAS-Bench-101: every node keeps W h_j beside what flows in;
the embedding is the mean over all places but the input (an empty one is zero); four layers of 128, perceptron 200, 80 epochs.
Both: embeddings of 48, hidden 96, dropout 0.1, Adam 1e-3, batches of 512, and the hinge max(0, 0.1 - sign(y_i - y_j) (s_i - s_j))
on four pairs for each architecture of the batch, drawn anew each time.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn

from parzc_core.predictors.base import Kinds
from parzc_core.predictors.network import NetworkPredictor
from parzc_core.predictors.optimise import Schedule

SCHEDULE = Schedule(200, 512, 1e-3)


@dataclass(frozen=True)
class GATESConfig:
    """kinds: of the space. embedding: of operations and nodes; hidden: of the nodes before the first of the layers.

    head: sizes of the perceptron. every_node: all nodes, not the input alone, keep W h_j, and all are averaged in place of the
    output's. margin: of the hinge. pairs: for each architecture of a batch.
    """

    kinds: Kinds
    embedding: int = 48
    hidden: int = 96
    layers: tuple[int, ...] = (128,) * 5
    head: tuple[int, ...] = (300,) * 5
    every_node: bool = False
    dropout: float = 0.1
    margin: float = 0.1
    pairs: int = 4
    schedule: Schedule = SCHEDULE

    @classmethod
    def published(cls, kinds: Kinds) -> "GATESConfig":
        """The authors' settings for a space of these kinds: see the module."""
        if kinds.none is not None:
            return cls(kinds)
        return cls(kinds, layers=(128,) * 4, head=(200,), every_node=True, schedule=replace(SCHEDULE, epochs=80))


class Flow(nn.Module):
    """One layer: h float32[n, N, C_in] -> [n, N, C_out]."""

    def __init__(self, features_in: int, features_out: int, embedding: int):
        super().__init__()
        self.weight = nn.Linear(features_in, features_out, bias=False)
        self.gate = nn.Linear(embedding, features_out)
        self.bias = nn.Parameter(torch.zeros(features_out))

    def forward(
        self, h: torch.Tensor, feeding: torch.Tensor, operation: torch.Tensor, keeps: torch.Tensor
    ) -> torch.Tensor:
        """feeding [n, N, N]: row j holds what feeds j. operation [n, N, embedding], keeps [n, N, 1]: 1 keeps W h_j."""
        support = self.weight(h)
        return torch.sigmoid(self.gate(operation)) * (feeding @ support) + keeps * support + self.bias


class GATESNetwork(nn.Module):
    """adjacency float32[n, N, N], operations int64[n, N] -> scores [n]."""

    def __init__(self, config: GATESConfig):
        super().__init__()
        self.kinds, self.every_node = config.kinds, config.every_node
        self.operation = nn.Embedding(config.kinds.total, config.embedding)
        self.node = nn.Embedding(2, config.hidden)  # the input, and any other node
        sizes = (config.hidden, *config.layers)
        self.flows = nn.ModuleList(Flow(a, b, config.embedding) for a, b in pairwise(sizes))
        head: list[nn.Module] = []
        for a, b in pairwise((sizes[-1], *config.head)):
            head += [nn.Linear(a, b), nn.ReLU(), nn.Dropout(config.dropout)]
        self.head = nn.Sequential(*head, nn.Linear(config.head[-1], 1))

    def embed(self, adjacency: torch.Tensor, operations: torch.Tensor) -> torch.Tensor:
        """[n, width of the last layer]: what arrives at the output node, or the mean over all but the input."""
        feeding = self.kinds.without_none(adjacency, operations).transpose(1, 2)
        is_input = (operations == self.kinds.input).unsqueeze(-1).float()
        keeps = torch.ones_like(is_input) if self.every_node else is_input
        h = self.node((operations == self.kinds.input).long())
        embedded = self.operation(operations)
        for place, flow in enumerate(self.flows, start=1):
            h = flow(h, feeding, embedded, keeps)
            h = F.relu(h) if place < len(self.flows) else h
        if self.every_node:
            counted = (operations < self.kinds.real).unsqueeze(-1) * (1 - is_input)
            return (h * counted).sum(dim=1) / (h.shape[1] - 1)
        return (h * (operations == self.kinds.output).unsqueeze(-1)).sum(dim=1)

    def forward(self, adjacency: torch.Tensor, operations: torch.Tensor) -> torch.Tensor:
        return self.head(self.embed(adjacency, operations)).squeeze(1)


class GATES(NetworkPredictor):
    """Equal scores for graphs that are equal but for the order of their nodes, and whatever is left of nodes that pass
    nothing.
    """

    config: GATESConfig

    def build(self, nodes: int) -> nn.Module:
        return GATESNetwork(self.config)

    def loss(
        self, network: nn.Module, adjacency: torch.Tensor, operations: torch.Tensor, target: torch.Tensor
    ) -> torch.Tensor:
        scores = network(adjacency, operations)
        i, j = torch.triu_indices(len(target), len(target), offset=1)
        drawn = torch.randperm(len(i))[: self.config.pairs * len(target)]
        i, j = i[drawn], j[drawn]
        order = torch.sign(target[i] - target[j])
        return (F.relu(self.config.margin - order * (scores[i] - scores[j])) * order.abs()).mean()
