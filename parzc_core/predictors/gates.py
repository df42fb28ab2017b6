"""GATES, information that flows along the graph through gates set by the operations (Ning et al., ECCV 2020).

Layer: h_j <- sigmoid(W_o e_j) * sum_i A_ij (W h_i), e_j the embedding of the operation of node j; the input node, which
nothing feeds, keeps W h_j instead (`residual_only: 1`). What arrives at the output node after five layers is scored by a
perceptron. Operations are on nodes here, the paper's OON form; NAS-Bench-201's own form has them on edges, of which this is
the line graph. Nodes that let nothing pass are cut out, as there.

Settings of the authors for NAS-Bench-201 (https://github.com/walkerning/aw_nas, configuration of nb201-flow): five layers of 128,
embeddings of 48, hidden 96, perceptron 5 x 300 with dropout 0.1, Adam 1e-3, 200 epochs in batches of 512, and the hinge
max(0, 0.1 - sign(y_i - y_j) (s_i - s_j)) on four pairs for each architecture of the batch, drawn anew each time.
"""

from dataclasses import dataclass
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

    head: sizes of the perceptron. margin: of the hinge. pairs: for each architecture of a batch.
    """

    kinds: Kinds
    embedding: int = 48
    hidden: int = 96
    layers: tuple[int, ...] = (128,) * 5
    head: tuple[int, ...] = (300,) * 5
    dropout: float = 0.1
    margin: float = 0.1
    pairs: int = 4
    schedule: Schedule = SCHEDULE


class Flow(nn.Module):
    """One layer: h float32[n, N, C_in] -> [n, N, C_out]."""

    def __init__(self, features_in: int, features_out: int, embedding: int):
        super().__init__()
        self.weight = nn.Linear(features_in, features_out, bias=False)
        self.gate = nn.Linear(embedding, features_out)
        self.bias = nn.Parameter(torch.zeros(features_out))

    def forward(
        self, h: torch.Tensor, feeding: torch.Tensor, operation: torch.Tensor, is_input: torch.Tensor
    ) -> torch.Tensor:
        """feeding [n, N, N]: row j holds what feeds j. operation [n, N, embedding], is_input [n, N, 1]."""
        support = self.weight(h)
        return torch.sigmoid(self.gate(operation)) * (feeding @ support) + is_input * support + self.bias


class GATESNetwork(nn.Module):
    """adjacency float32[n, N, N], operations int64[n, N] -> scores [n]."""

    def __init__(self, config: GATESConfig):
        super().__init__()
        self.kinds = config.kinds
        self.operation = nn.Embedding(config.kinds.total, config.embedding)
        self.node = nn.Embedding(2, config.hidden)  # the input, and any other node
        sizes = (config.hidden, *config.layers)
        self.flows = nn.ModuleList(Flow(a, b, config.embedding) for a, b in pairwise(sizes))
        head: list[nn.Module] = []
        for a, b in pairwise((sizes[-1], *config.head)):
            head += [nn.Linear(a, b), nn.ReLU(), nn.Dropout(config.dropout)]
        self.head = nn.Sequential(*head, nn.Linear(config.head[-1], 1))

    def embed(self, adjacency: torch.Tensor, operations: torch.Tensor) -> torch.Tensor:
        """[n, width of the last layer]: what arrives at the output node."""
        feeding = self.kinds.without_none(adjacency, operations).transpose(1, 2)
        is_input = (operations == self.kinds.input).unsqueeze(-1).float()
        h = self.node((operations == self.kinds.input).long())
        embedded = self.operation(operations)
        for place, flow in enumerate(self.flows, start=1):
            h = flow(h, feeding, embedded, is_input)
            h = F.relu(h) if place < len(self.flows) else h
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
