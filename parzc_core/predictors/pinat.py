"""PINAT, a transformer with permutation-invariant modules in its embedding and attention (Lu et al., AAAI 2023, [33]).

PIM: of the neighbours that feed a node and of itself, each is mapped by A, scaled, and passed through LeakyReLU; the sum over
them is mixed across heads by W, passed through LeakyReLU once more and scaled: a sum of a function of each neighbour,
whatever their order. Three such layers, each beside a linear map of the node, make up a module. One reads one-hot operations
and joins the token embedding and the Laplacian position (PITE); one in each encoder block stands for two of its four
attention heads (PISA).

Sizes and training as published (supplement, D; https://github.com/ShunLu91/PINAT): width 80, three blocks, two heads of 64
and two of PIM, PIM hidden 16, six heads in the embedding, feed-forward 512, regressor 96; mean squared error, 300 epochs in
batches of 10, the last one left out where it is not full, Adam 1e-4 with weight decay 1e-3, cosine.

Layout, as in that code. NAS-Bench-101: seven places; an empty one reads the output's embedding and has no operation.
NAS-Bench-201 (`PINATConfig.edges`): six tokens, the operations of the edges, beside the graph of the cell's four vertices,
whose edges let something pass. The Laplacian's columns are mapped to six positions. The invariant module reads the first four
tokens as if they were the vertices, and a linear map goes from these four back to six. The sum of the tokens is divided by four.
A cell without any edge has them all.

Differs: accuracy is z-scored on the training cells, not with mean and deviation of the whole benchmark. Table 2's rows "without
failed runs" have the labels that the public code makes (`labels.nb101_failed`).
"""

import math
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import nn

from parzc_core.errors import BadInput
from parzc_core.predictors.base import Kinds, on_edges
from parzc_core.predictors.network import NetworkPredictor
from parzc_core.predictors.optimise import Schedule
from parzc_core.predictors.transformer import FeedForward, SelfAttention, laplacian, regressor
from parzc_core.ranker import graph_branch

VERSION = 3  # raised when the network changes what a run gives, so that stored runs with it are redone
SCHEDULE = Schedule(300, 10, 1e-4, weight_decay=1e-3, cosine=True, drop_last=True)


@dataclass(frozen=True)
class PINATConfig:
    """kinds: of the space. width: of a node. heads, size: of self-attention. invariant_heads: PISA's, each of `size`.

    invariant_hidden: width of PIM inside; embedding_heads: of the PIM in the embedding. positions: False leaves the Laplacian
    out (Table 6 of the supplement), and with it the score no longer depends on the order of the nodes. outputs: more than one
    gives an embedding, as ParZC's graph branch has it. edges: (start, end) vertex of each operation in a space that has them on
    edges; () where they are on nodes.
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
    edges: tuple[tuple[int, int], ...] = ()
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


def vertices_to_tokens(config: PINATConfig) -> nn.Module:
    """The linear map from the vertices of a cell to its tokens; nothing where nodes are the tokens."""
    return nn.Linear(vertices(config.edges), len(config.edges)) if config.edges else nn.Identity()


def vertices(edges: tuple[tuple[int, int], ...]) -> int:
    """Number of vertices that edges join."""
    return 1 + max(end for _, end in edges)


def along_tokens(layer: nn.Module, h: torch.Tensor) -> torch.Tensor:
    """[n, N, C] -> [n, T, C]: a linear map of places in place of features."""
    return layer(h.transpose(1, 2)).transpose(1, 2)


class Block(nn.Module):
    """PISA beside self-attention, residual, LayerNorm, feed-forward: (n, T, width) -> (n, T, width) for T tokens."""

    def __init__(self, config: PINATConfig):
        super().__init__()
        c = config
        self.back = vertices_to_tokens(c)
        invariant = c.invariant_heads * c.size
        self.attention = SelfAttention(c.width, c.heads, c.size, c.dropout)
        self.invariant = PIM(c.width, c.invariant_hidden, c.invariant_heads, invariant, c.invariant_heads)
        self.merge = nn.Sequential(nn.Linear(invariant + c.heads * c.size, c.width, bias=False), nn.Dropout(c.dropout))
        self.norm = nn.LayerNorm(c.width)
        self.feed_forward = FeedForward(c.width, c.feed_forward, c.dropout)

    def forward(self, h: torch.Tensor, feeding: torch.Tensor) -> torch.Tensor:
        invariant = along_tokens(self.back, self.invariant(h[:, : feeding.shape[1]], feeding))
        heads = torch.cat([invariant, self.attention(h)], dim=-1)
        return self.feed_forward(self.norm(h + self.merge(heads)))


class PINATNetwork(nn.Module):
    """adjacency float32[n, N, N], operations int64[n, N] -> scores [n] (or an embedding [n, outputs])."""

    def __init__(self, nodes: int, config: PINATConfig):
        super().__init__()
        c = config
        self.kinds, self.edges = c.kinds, c.edges
        places = vertices(c.edges) if c.edges else nodes
        kinds = c.kinds.choices if c.edges else c.kinds.real
        self.embedding = nn.Embedding(kinds, c.width)
        self.columns = vertices_to_tokens(c)
        self.position = nn.Linear(places, c.width) if c.positions else None
        self.invariant = PIM(kinds, c.invariant_hidden, c.embedding_heads, c.width, c.embedding_heads)
        self.back = vertices_to_tokens(c)
        self.dropout = nn.Dropout(c.dropout)
        self.norm = nn.LayerNorm(c.width)
        self.blocks = nn.ModuleList(Block(c) for _ in range(c.depth))
        self.regressor = regressor(c.width, c.regressor, c.dropout, c.outputs)

    def layout(self, adjacency: torch.Tensor, operations: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Adjacency [n, V, V] of the graph that is read, tokens int64[n, T], their one-hot kinds [n, T, kinds]."""
        if not self.edges:
            empty = operations >= self.kinds.real
            tokens = torch.where(empty, self.kinds.output, operations)
            return self.kinds.without_none(adjacency, operations), tokens, self.kinds.one_hot(operations)
        tokens = on_edges(operations, self.edges)
        passes = self.kinds.passing(tokens).float()  # (n, E)
        passes = passes + (passes.sum(dim=1, keepdim=True) == 0)  # where nothing passes all edges are there
        count = vertices(self.edges)
        places = torch.zeros(len(self.edges), count, count, device=tokens.device)
        for place, (start, end) in enumerate(self.edges):
            places[place, start, end] = 1
        return torch.einsum("ne,eij->nij", passes, places), tokens, self.kinds.one_hot(tokens)[..., : self.kinds.choices]

    def forward(self, adjacency: torch.Tensor, operations: torch.Tensor) -> torch.Tensor:
        live, tokens, one_hot = self.layout(adjacency, operations)
        count = live.shape[1]
        feeding = live.transpose(1, 2) + torch.eye(count, device=live.device)
        h = self.embedding(tokens)
        if self.position is not None:
            h = h + self.position(self.columns(laplacian(live)).transpose(1, 2) if self.edges else laplacian(live))
        invariant = along_tokens(self.back, self.invariant(one_hot[:, :count], feeding))
        h = self.norm(self.dropout(h) + self.dropout(invariant))  # (n, T, width)
        for block in self.blocks:
            h = block(h, feeding)
        y = self.regressor(h.sum(dim=1) / count)  # (n, outputs)
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
