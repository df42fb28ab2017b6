"""TNASP, a transformer whose positions are rows of the graph's Laplacian (Lu et al., NeurIPS 2021, [32]).

Operation embedding of 80 plus a linear map of the Laplacian D - A, three encoder blocks (four heads of 64, feed-forward 512),
the mean over nodes and a regressor of 96; mean squared error, 300 epochs in batches of 10, Adam 1e-4 with weight decay 1e-3,
cosine. There is no public code of TNASP; sizes and training are those of its authors' later PINAT, with all four heads given
to self-attention (supplement, D and Table 7, and https://github.com/ShunLu91/PINAT). As there, nodes that let nothing pass
lose their edges. Left out: the self-evolution framework, which uses earlier predictions of held-out architectures as a
constraint and needs their accuracy.
"""

from dataclasses import dataclass

import torch
from torch import nn

from parzc_core.predictors.base import Kinds
from parzc_core.predictors.network import NetworkPredictor
from parzc_core.predictors.optimise import Schedule
from parzc_core.predictors.transformer import FeedForward, SelfAttention, laplacian, regressor

SCHEDULE = Schedule(300, 10, 1e-4, weight_decay=1e-3, cosine=True)


@dataclass(frozen=True)
class TNASPConfig:
    """kinds: of the space. width: of a node; size: of a head; feed_forward, regressor: hidden sizes."""

    kinds: Kinds
    width: int = 80
    depth: int = 3
    heads: int = 4
    size: int = 64
    feed_forward: int = 512
    regressor: int = 96
    dropout: float = 0.1
    schedule: Schedule = SCHEDULE


class Block(nn.Module):
    """Attention, residual, LayerNorm, feed-forward: (n, N, width) -> (n, N, width)."""

    def __init__(self, config: TNASPConfig):
        super().__init__()
        c = config
        self.attention = SelfAttention(c.width, c.heads, c.size, c.dropout)
        self.merge = nn.Sequential(nn.Linear(c.heads * c.size, c.width, bias=False), nn.Dropout(c.dropout))
        self.norm = nn.LayerNorm(c.width)
        self.feed_forward = FeedForward(c.width, c.feed_forward, c.dropout)

    def forward(self, h: torch.Tensor) -> torch.Tensor:
        return self.feed_forward(self.norm(h + self.merge(self.attention(h))))


class TNASPNetwork(nn.Module):
    """adjacency float32[n, N, N], operations int64[n, N] -> scores [n]."""

    def __init__(self, nodes: int, config: TNASPConfig):
        super().__init__()
        self.kinds = config.kinds
        self.embedding = nn.Embedding(config.kinds.total, config.width)
        self.position = nn.Linear(nodes, config.width)
        self.start = nn.Sequential(nn.Dropout(config.dropout), nn.LayerNorm(config.width))
        self.blocks = nn.Sequential(*(Block(config) for _ in range(config.depth)))
        self.regressor = regressor(config.width, config.regressor, config.dropout)

    def forward(self, adjacency: torch.Tensor, operations: torch.Tensor) -> torch.Tensor:
        live = self.kinds.without_none(adjacency, operations)
        h = self.start(self.embedding(operations) + self.position(laplacian(live)))  # (n, N, width)
        return self.regressor(self.blocks(h).mean(dim=1)).squeeze(1)


class TNASP(NetworkPredictor):
    """Its positions number the nodes, so the score depends on their order."""

    config: TNASPConfig

    def build(self, nodes: int) -> nn.Module:
        return TNASPNetwork(nodes, self.config)
