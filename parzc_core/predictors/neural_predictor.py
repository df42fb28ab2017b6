"""NP, the graph-convolutional neural predictor (Wen et al., ECCV 2020, [58]), as its public re-implementation has it, and ours.

"NP" follows https://github.com/ultmaster/neuralpredictor.pytorch, on which TNASP and PINAT build: one-hot operations; three graph
convolutions of 144, each relu(N A W_1) and relu(N B W_2) averaged, then dropout 0.1; the mean over the real nodes; linear layers
of 128 and 1 without bias, with nothing but dropout between. A is A + I with rows that sum to 1, B is A's transpose with rows
that sum to 1: rows are normalised twice. Mean squared error, 300 epochs in batches of 10, the last one left out where it is not
full, Adam 1e-4 with weight decay 1e-3, cosine. An empty place of NAS-Bench-101 has no operation and counts in no mean. Differs
from that code: accuracy is z-scored on the training cells, not with mean and deviation of the whole benchmark.

"NP (ours)" is the network of the rankers' graph branch (`parzc_core.gcn.NP`): adjacency normalised on both sides, as the paper's
Eq. 1 of A.4 has it, an embedding of the operations, LayerNorm after each layer, no dropout inside, ReLU in the head.
"""

from dataclasses import dataclass, replace
from itertools import pairwise

import torch
from torch import nn

from parzc_core.gcn import NP, NPConfig
from parzc_core.predictors.base import Kinds
from parzc_core.predictors.network import NetworkPredictor
from parzc_core.predictors.optimise import Schedule

SCHEDULE = Schedule(300, 10, 1e-4, weight_decay=1e-3, cosine=True)
PUBLIC_SCHEDULE = replace(SCHEDULE, drop_last=True)


@dataclass(frozen=True)
class NeuralPredictorConfig:
    """kinds: of the space. width, depth: of the graph convolutions; hidden, dropout: of the head; in "NP" dropout also inside."""

    kinds: Kinds
    width: int = 144
    depth: int = 3
    hidden: int = 128
    dropout: float = 0.1
    schedule: Schedule = SCHEDULE


def rows_to_one(adjacency: torch.Tensor) -> torch.Tensor:
    """[n, N, N] with each row divided by its sum.

    >>> rows_to_one(torch.tensor([[[1.0, 3.0], [0.0, 2.0]]]))
    tensor([[[0.2500, 0.7500],
             [0.0000, 1.0000]]])
    """
    return adjacency / adjacency.sum(dim=-1, keepdim=True)


class PublicConvolution(nn.Module):
    """Both directions averaged, then dropout: (n, N, C_in) -> (n, N, C_out)."""

    def __init__(self, features_in: int, features_out: int, dropout: float):
        super().__init__()
        self.weights = nn.ParameterList(nn.Parameter(torch.empty(features_in, features_out)) for _ in range(2))
        for weight in self.weights:
            nn.init.xavier_uniform_(weight)
        self.dropout = nn.Dropout(dropout)

    def forward(self, h: torch.Tensor, along: torch.Tensor, against: torch.Tensor) -> torch.Tensor:
        sides = (torch.relu(side @ (h @ weight)) for side, weight in zip((along, against), self.weights, strict=True))
        return self.dropout(sum(sides) / 2)


class PublicNPNetwork(nn.Module):
    """adjacency float32[n, N, N], operations int64[n, N] -> scores [n]."""

    def __init__(self, config: NeuralPredictorConfig):
        super().__init__()
        c = config
        self.kinds = c.kinds
        sizes = [c.kinds.real, *[c.width] * c.depth]
        self.layers = nn.ModuleList(PublicConvolution(a, b, c.dropout) for a, b in pairwise(sizes))
        self.head = nn.Sequential(
            nn.Linear(c.width, c.hidden, bias=False), nn.Dropout(c.dropout), nn.Linear(c.hidden, 1, bias=False)
        )

    def forward(self, adjacency: torch.Tensor, operations: torch.Tensor) -> torch.Tensor:
        once = rows_to_one(adjacency + torch.eye(adjacency.shape[-1]))
        along, against = rows_to_one(once), rows_to_one(once.transpose(1, 2))
        h = self.kinds.one_hot(operations)
        for layer in self.layers:
            h = layer(h, along, against)
        real = (operations < self.kinds.real).sum(dim=1, keepdim=True)
        return self.head(h.sum(dim=1) / real).squeeze(1)  # what is in an empty place is no more than its own features, zero


class PublicNP(NetworkPredictor):
    """Equal scores for graphs that are equal but for the order of their nodes."""

    config: NeuralPredictorConfig

    def build(self, nodes: int) -> nn.Module:
        return PublicNPNetwork(self.config)


class NeuralPredictor(NetworkPredictor):
    """Equal scores for graphs that are equal but for the order of their nodes."""

    config: NeuralPredictorConfig

    def build(self, nodes: int) -> nn.Module:
        c = self.config
        return NP(NPConfig(c.kinds.total, width=c.width, depth=c.depth, hidden=c.hidden, dropout=c.dropout))
