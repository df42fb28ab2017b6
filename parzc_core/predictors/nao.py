"""NAO, neural architecture optimisation: encoder, performance predictor and decoder trained together (Luo et al., NeurIPS 2018).

An architecture is a sequence: for every node after the first, a token for each earlier one (feeds it or not) and one for its
operation. The encoder is an LSTM whose states are averaged and normalised; a perceptron predicts the accuracy from that
embedding, and an LSTM with attention gives the sequence back. Loss: 0.8 times the squared error plus 0.2 times the negative
log-likelihood of the sequence.

Settings of the first author's code for NAS-Bench-101 (https://github.com/renqianluo/SemiNAS, nasbench, whose supervised part
is NAO): one bidirectional layer of 64, residuals around it and around the perceptron (hidden 16), dropout 0.1, Adam 1e-3 with
weight decay 1e-4, gradient norm at most 5, 1000 epochs in batches of 100, z-scored accuracy. Left out: moving the embedding
along the gradient and decoding it into a new architecture, which is search and not ranking. Nodes must be in topological
order. Where operations are on edges, as in NAS-Bench-201, the sequence has two tokens an edge, whether it lets anything pass and
its operation: twelve, as PINAT's public code has them (https://github.com/ShunLu91/PINAT), whose paper prints the values.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from parzc_core.predictors.base import Kinds, on_edges
from parzc_core.predictors.network import NetworkPredictor
from parzc_core.predictors.optimise import Schedule

SCHEDULE = Schedule(1000, 100, 1e-3, weight_decay=1e-4, clip=5.0)


@dataclass(frozen=True)
class NAOConfig:
    """kinds: of the space. width: of embedding and LSTM; hidden: of the perceptron; trade_off: weight of the accuracy's loss.

    edges: (start, end) vertex of each operation in a space that has them on edges; () where they are on nodes.
    """

    kinds: Kinds
    width: int = 64
    hidden: int = 16
    dropout: float = 0.1
    trade_off: float = 0.8
    edges: tuple[tuple[int, int], ...] = ()
    schedule: Schedule = SCHEDULE


class Encoder(nn.Module):
    """tokens int64[n, T] -> (states [n, T, width], embedding [n, width], accuracy [n])."""

    def __init__(self, tokens: int, config: NAOConfig):
        super().__init__()
        c = config
        self.embedding = nn.Embedding(tokens, c.width)
        self.dropout = nn.Dropout(c.dropout)
        self.lstm = nn.LSTM(c.width, c.width, batch_first=True, bidirectional=True)
        self.project = nn.Linear(2 * c.width, c.width)
        self.perceptron = nn.Sequential(
            nn.Linear(c.width, c.hidden), nn.ReLU(), nn.Dropout(c.dropout),
            nn.Linear(c.hidden, c.width), nn.ReLU(), nn.Dropout(c.dropout),
        )  # fmt: skip
        self.regressor = nn.Linear(c.width, 1)

    def forward(self, tokens: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        x = self.dropout(self.embedding(tokens))
        states = F.normalize(x + self.project(self.lstm(x)[0]), dim=-1)
        embedding = F.normalize(states.mean(dim=1), dim=-1)
        h = (embedding + self.perceptron(embedding)) * 0.5**0.5
        return states, embedding, self.regressor(h).squeeze(1)


class Decoder(nn.Module):
    """Logits of the next token, [n, T, tokens], given those before it, the encoder's states and its embedding."""

    def __init__(self, tokens: int, config: NAOConfig):
        super().__init__()
        c = config
        self.embedding = nn.Embedding(tokens, c.width)
        self.dropout = nn.Dropout(c.dropout)
        self.lstm = nn.LSTM(c.width, c.width, batch_first=True)
        self.query = nn.Linear(c.width, c.width, bias=False)
        self.combine = nn.Linear(2 * c.width, c.width, bias=False)
        self.out = nn.Linear(c.width, tokens)

    def forward(self, tokens: torch.Tensor, states: torch.Tensor, embedding: torch.Tensor) -> torch.Tensor:
        x = self.dropout(self.embedding(tokens))
        start = embedding.unsqueeze(0)
        h = (x + self.lstm(x, (start, start))[0]) * 0.5**0.5
        attention = torch.softmax(self.query(h) @ states.transpose(1, 2), dim=-1) @ states
        return self.out((h + torch.tanh(self.combine(torch.cat([attention, h], dim=-1)))) * 0.5**0.5)


class NAONetwork(nn.Module):
    """adjacency float32[n, N, N], operations int64[n, N] -> scores [n]; tokens: 0 start, 1 unconnected, 2 connected, then
    operations.
    """

    def __init__(self, config: NAOConfig):
        super().__init__()
        self.kinds, self.edges = config.kinds, config.edges
        self.tokens = config.kinds.total + 3
        self.encoder = Encoder(self.tokens, config)
        self.decoder = Decoder(self.tokens, config)

    def sequence(self, adjacency: torch.Tensor, operations: torch.Tensor) -> torch.Tensor:
        """int64[n, (N - 1)(N + 2) / 2], or int64[n, 2 E] of E operations on edges."""
        if self.edges:
            chosen = on_edges(operations, self.edges)
            passes = self.kinds.passing(chosen).long() + 1
            return torch.stack([passes, chosen + 3], dim=2).flatten(1)
        connected = (self.kinds.without_none(adjacency, operations) > 0).long() + 1
        parts = [
            part
            for node in range(1, operations.shape[1])
            for part in (connected[:, :node, node], operations[:, node : node + 1] + 3)
        ]
        return torch.cat(parts, dim=1)

    def forward(self, adjacency: torch.Tensor, operations: torch.Tensor) -> torch.Tensor:
        return self.encoder(self.sequence(adjacency, operations))[2]


class NAO(NetworkPredictor):
    """It reads nodes in order, so the score depends on it."""

    config: NAOConfig

    def build(self, nodes: int) -> nn.Module:
        return NAONetwork(self.config)

    def loss(
        self, network: nn.Module, adjacency: torch.Tensor, operations: torch.Tensor, target: torch.Tensor
    ) -> torch.Tensor:
        assert isinstance(network, NAONetwork)
        tokens = network.sequence(adjacency, operations)
        states, embedding, accuracy = network.encoder(tokens)
        logits = network.decoder(F.pad(tokens[:, :-1], (1, 0)), states, embedding)
        reconstruction = F.cross_entropy(logits.flatten(0, 1), tokens.flatten())
        weight = self.config.trade_off
        return weight * F.mse_loss(accuracy, target) + (1 - weight) * reconstruction
