"""PINAT, a transformer with permutation-invariant modules in its embedding and attention (Lu et al., AAAI 2023, [33]).

PIM: of the neighbours that feed a node and of itself, each is mapped by A, scaled, and passed through LeakyReLU; the sum over
them is mixed across heads by W, passed through LeakyReLU once more and scaled: a sum of a function of each neighbour,
whatever their order. Three such layers, each beside a linear map of the node, make up a module. One reads one-hot operations
and joins the token embedding and the Laplacian position (PITE); one in each encoder block stands for two of its four
attention heads (PISA).

Sizes and training as published (supplement, D; https://github.com/ShunLu91/PINAT): width 80, three blocks, two heads of 64
and two of PIM, PIM hidden 16, six heads in the embedding, feed-forward 512, regressor 96; mean squared error, 300 epochs in
batches of 10, Adam 1e-4 with weight decay 1e-3, cosine. Adapted: that code has NAS-Bench-201's operations on six tokens
beside a graph of four nodes, joined by linear maps between the two; here operations are the nodes, as it has NAS-Bench-101.
As there, what lets nothing pass loses its edges.

A CPU's limit: 2,400 steps, which are the 300 epochs of 78 cells, and a larger learning rate where that is less than published.
Trained for all 300 epochs, on labels of NAS-Bench-101 made as in the public code (`labels.nb101_failed`), tau is 65, 72 and 76 at
100, 172 and 424 cells, where 68, 72 and 77 are printed.
"""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from parzc_core.errors import BadInput
from parzc_core.predictors.base import Kinds
from parzc_core.predictors.network import NetworkPredictor
from parzc_core.predictors.optimise import FASTEST, Schedule
from parzc_core.predictors.transformer import FeedForward, SelfAttention, laplacian, regressor
from parzc_core.ranker import graph_branch

VERSION = 2  # raised when the network changes what a run gives, so that stored runs with it are redone
SCHEDULE = Schedule(300, 10, 1e-4, weight_decay=1e-3, cosine=True, most_steps=2400, faster=FASTEST)


@dataclass(frozen=True)
class PINATConfig:
    """kinds: of the space. width: of a node. heads, size: of self-attention. invariant_heads: PISA's, each of `size`.

    invariant_hidden: width of PIM inside; embedding_heads: of the PIM in the embedding. positions: False leaves the Laplacian
    out (Table 6 of the supplement), and with it the score no longer depends on the order of the nodes. outputs: more than one
    gives an embedding, as ParZC's graph branch has it. most_steps is a CPU's limit.
    """

    kinds: Kinds
    width: int = 80
    depth: int = 3
    heads: int = 2
    size: int = 64
    invariant_heads: int = 2
    invariant_hidden: int = 16
    embedding_heads: int = 6
    feed_forward: int = 512
    regressor: int = 96
    dropout: float = 0.1
    positions: bool = True
    outputs: int = 1
    schedule: Schedule = SCHEDULE


class InvariantConvolution(nn.Module):
    """One layer of PIM: (n, N, C_in) -> (n, N, heads * C_out), or their sum over heads (n, N, C_out)."""

    def __init__(self, features_in: int, features_out: int, heads: int, concatenate: bool = True):
        super().__init__()
        self.shape, self.concatenate = (features_out, heads), concatenate
        self.a = nn.Parameter(torch.empty(features_out * heads, features_in))
        self.scale = nn.Parameter(torch.empty(features_out, 1))
        self.shift = nn.Parameter(torch.zeros(features_out, 1))
        self.mix = nn.Parameter(torch.empty(features_out, heads, heads))
        self.bias = nn.Parameter(torch.zeros(features_out, heads))
        self.out = nn.Parameter(torch.empty(features_out, heads))
        # Glorot's range of the last two axes that each tensor has in the public code, (1, 1) of the scale and (1, heads) of the
        # mixing. That of our whole tensors would make these layers a tenth as strong as the linear maps beside them.
        fans = {self.a: features_out * heads + features_in, self.scale: 2, self.mix: 1 + heads, self.out: features_out + heads}
        for parameter, count in fans.items():
            bound = math.sqrt(6 / count)
            nn.init.uniform_(parameter, -bound, bound)

    def forward(self, h: torch.Tensor, feeding: torch.Tensor) -> torch.Tensor:
        """feeding: [n, N, N], row j holds what feeds j and j itself."""
        heads = self.shape[1]
        scale, shift = (part.expand(-1, heads).flatten() for part in (self.scale, self.shift))
        mapped = F.linear(
            h, self.a * scale.unsqueeze(1), shift
        )  # (n, N, C_out * heads), a feature's heads side by side
        summed = (feeding @ F.leaky_relu(mapped, 0.2)).unflatten(-1, self.shape)
        mixed = torch.einsum("nict,cts->nics", summed, self.mix) + self.bias
        y = F.leaky_relu(mixed, 0.2) * self.out
        return y.flatten(2) if self.concatenate else y.sum(dim=-1)


class PIM(nn.Module):
    """Three invariant layers, each beside a linear one: (n, N, C_in) -> (n, N, C_out)."""

    def __init__(self, features_in: int, hidden: int, heads: int, features_out: int, last_heads: int):
        super().__init__()
        wide = heads * hidden
        self.convolutions = nn.ModuleList(
            (
                InvariantConvolution(features_in, hidden, heads),
                InvariantConvolution(wide, hidden, heads),
                InvariantConvolution(wide, features_out, last_heads, concatenate=False),
            )
        )
        self.linears = nn.ModuleList(
            (nn.Linear(features_in, wide), nn.Linear(wide, wide), nn.Linear(wide, features_out))
        )

    def forward(self, h: torch.Tensor, feeding: torch.Tensor) -> torch.Tensor:
        for place, (convolution, linear) in enumerate(zip(self.convolutions, self.linears, strict=True), start=1):
            h = convolution(h, feeding) + linear(h)
            h = F.elu(h) if place < len(self.linears) else h
        return h


class Block(nn.Module):
    """PISA beside self-attention, residual, LayerNorm, feed-forward: (n, N, width) -> (n, N, width)."""

    def __init__(self, config: PINATConfig):
        super().__init__()
        c = config
        invariant = c.invariant_heads * c.size
        self.attention = SelfAttention(c.width, c.heads, c.size, c.dropout)
        self.invariant = PIM(c.width, c.invariant_hidden, c.invariant_heads, invariant, c.invariant_heads)
        self.merge = nn.Sequential(nn.Linear(invariant + c.heads * c.size, c.width, bias=False), nn.Dropout(c.dropout))
        self.norm = nn.LayerNorm(c.width)
        self.feed_forward = FeedForward(c.width, c.feed_forward, c.dropout)

    def forward(self, h: torch.Tensor, feeding: torch.Tensor) -> torch.Tensor:
        heads = torch.cat([self.invariant(h, feeding), self.attention(h)], dim=-1)
        return self.feed_forward(self.norm(h + self.merge(heads)))


class PINATNetwork(nn.Module):
    """adjacency float32[n, N, N], operations int64[n, N] -> scores [n] (or an embedding [n, outputs])."""

    def __init__(self, nodes: int, config: PINATConfig):
        super().__init__()
        c = config
        self.kinds = c.kinds
        self.embedding = nn.Embedding(c.kinds.total, c.width)
        self.position = nn.Linear(nodes, c.width) if c.positions else None
        self.invariant = PIM(c.kinds.total, c.invariant_hidden, c.embedding_heads, c.width, c.embedding_heads)
        self.dropout = nn.Dropout(c.dropout)
        self.norm = nn.LayerNorm(c.width)
        self.blocks = nn.ModuleList(Block(c) for _ in range(c.depth))
        self.regressor = regressor(c.width, c.regressor, c.dropout, c.outputs)

    def forward(self, adjacency: torch.Tensor, operations: torch.Tensor) -> torch.Tensor:
        live = self.kinds.without_none(adjacency, operations)
        feeding = live.transpose(1, 2) + torch.eye(live.shape[1], device=live.device)
        h = self.embedding(operations)
        if self.position is not None:
            h = h + self.position(laplacian(live))
        one_hot = (operations.unsqueeze(-1) == torch.arange(self.kinds.total, device=operations.device)).float()
        h = self.norm(self.dropout(h) + self.dropout(self.invariant(one_hot, feeding)))  # (n, N, width)
        for block in self.blocks:
            h = block(h, feeding)
        y = self.regressor(h.mean(dim=1))  # (n, outputs)
        return y.squeeze(1) if y.shape[1] == 1 else y


class PINAT(NetworkPredictor):
    """Its positions number the nodes, so the score depends on their order, unless `positions` is False."""

    config: PINATConfig

    def build(self, nodes: int) -> nn.Module:
        return PINATNetwork(nodes, self.config)


@graph_branch
@dataclass(frozen=True)
class PINATBranch:
    """PINAT as the graph branch of a ranker (A.4; see `ranker.GraphBranch`). nodes: N of the graphs that it reads."""

    nodes: int
    config: PINATConfig

    def __post_init__(self) -> None:
        if self.nodes < 2:
            raise BadInput(f"got graphs of {self.nodes} nodes; expected at least 2")

    def build(self, outputs: int) -> nn.Module:
        """The network with so many outputs."""
        return PINATNetwork(self.nodes, replace(self.config, outputs=outputs))
