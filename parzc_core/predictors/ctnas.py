"""CTNAS's neural architecture comparator: the probability that one architecture beats another (Chen et al., CVPR 2021, [10]).

Both architectures pass through one graph convolutional network and are averaged over nodes; a linear layer on the two
embeddings, one after the other, gives the logit of p(a is at least as good as b). Published: embeddings of 128, four layers
relu((A + I) H W + H + b), Adam 2e-4 with betas (0.5, 0.999) and weight decay 5e-4, binary cross-entropy, 1000 epochs in
batches of 256, in which each architecture meets another one of the batch (https://github.com/chenyaofo/CTNAS).

The published comparator need not agree with itself: p(a, b) + p(b, a) may differ from 1. Here the logit is g(a, b) - g(b, a),
so that it does; with g linear in the two embeddings that is the difference of one linear function of each. A ranking needs a
score: the mean probability to beat the training architectures. Left out: pseudo-labelled pairs, which the paper adds while it
searches.

The tau that the paper prints is that of the best of ten checkpoints on the very cells that it is given for. `CTNAS` has the
network at the end of its training, `CTNASCheckpoints` all ten, for that protocol.
"""

import copy
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from parzc_core.errors import BadInput
from parzc_core.predictors.base import Kinds
from parzc_core.predictors.network import NetworkPredictor
from parzc_core.predictors.optimise import Objective, Schedule, minimise
from parzc_core.ranker import Inputs

SCHEDULE = Schedule(1000, 256, 2e-4, weight_decay=5e-4, betas=(0.5, 0.999))


@dataclass(frozen=True)
class CTNASConfig:
    """kinds: of the space. width, depth: of the graph convolutions."""

    kinds: Kinds
    width: int = 128
    depth: int = 4
    schedule: Schedule = SCHEDULE


class Convolution(nn.Module):
    """relu((A + I) H W + H + b): (n, N, width) -> (n, N, width)."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Linear(width, width, bias=False)
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, h: torch.Tensor, a_hat: torch.Tensor) -> torch.Tensor:
        return torch.relu(a_hat @ self.weight(h) + h + self.bias)


class Comparator(nn.Module):
    """`embed`: adjacency float32[n, N, N], operations int64[n, N] -> [n, width]; forward: two embeddings -> logits."""

    def __init__(self, config: CTNASConfig):
        super().__init__()
        self.embedding = nn.Embedding(config.kinds.total, config.width)
        self.layers = nn.ModuleList(Convolution(config.width) for _ in range(config.depth))
        self.strength = nn.Linear(config.width, 1, bias=False)

    def embed(self, adjacency: torch.Tensor, operations: torch.Tensor) -> torch.Tensor:
        a_hat = adjacency + torch.eye(adjacency.shape[1])
        h = self.embedding(operations)
        for layer in self.layers:
            h = layer(h, a_hat)
        return h.mean(dim=1)

    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        """Logit of the probability that a beats b, [n]; a, b: [n, width]."""
        return (self.strength(a) - self.strength(b)).squeeze(-1)


class CTNAS(NetworkPredictor):
    """No spread: the network has no dropout. Equal scores for graphs that are equal but for the order of their nodes."""

    config: CTNASConfig
    has_spread: ClassVar[bool] = False

    def build(self, nodes: int) -> nn.Module:
        return Comparator(self.config)

    def prepare(self, network: nn.Module, adjacency: torch.Tensor, operations: torch.Tensor) -> None:
        self._references = Inputs(None, adjacency.numpy(), operations.numpy())

    def loss(
        self, network: nn.Module, adjacency: torch.Tensor, operations: torch.Tensor, target: torch.Tensor
    ) -> torch.Tensor:
        assert isinstance(network, Comparator)
        h, other = network.embed(adjacency, operations), torch.randperm(len(target))
        better = (torch.sign(target - target[other]) + 1) / 2  # a tie is half a win
        return F.binary_cross_entropy_with_logits(network(h, h[other]), better)

    def win_probability(self, a: Inputs, b: Inputs) -> np.ndarray:
        """float64[len(a), len(b)]: probability that each of a beats each of b. Raises BadInput."""
        network = self.network
        if not isinstance(network, Comparator):
            raise BadInput("CTNAS was asked to compare before it was fitted; call fit first")
        with torch.no_grad():
            left, right = (network.embed(*self.config.kinds.tensors(side, self._nodes)) for side in (a, b))
            strengths = [network.strength(side).squeeze(1).double() for side in (left, right)]
        return torch.sigmoid(strengths[0][:, None] - strengths[1][None]).numpy()

    def score(self, network: nn.Module, adjacency: torch.Tensor, operations: torch.Tensor) -> np.ndarray:
        """float64[n]: mean probability to beat the training architectures."""
        candidates = Inputs(None, adjacency.numpy(), operations.numpy())
        beats = [self.win_probability(chunk, self._references).mean(axis=1) for chunk in candidates.chunks()]
        return np.concatenate(beats)


CHECKPOINTS = 10  # of the public code's training


class CTNASCheckpoints(CTNAS):
    """CTNAS with the networks after each tenth of its training, which `predict_each` scores by; `predict` is CTNAS's own."""

    def optimise(self, network: nn.Module, objective: Objective, count: int) -> nn.Module:
        self.checkpoints = nn.ModuleList(copy.deepcopy(network) for _ in range(CHECKPOINTS))
        total = self.config.schedule.epochs

        def keep(epoch: int) -> None:
            for place, kept in enumerate(self.checkpoints, start=1):
                if epoch == -(-total * place // CHECKPOINTS):
                    kept.load_state_dict(network.state_dict())

        minimise(network, objective, count, self.config.schedule, {"checkpoints": self.checkpoints}, keep)
        self.checkpoints.eval()
        return network

    def predict_each(self, inputs: Inputs) -> list[np.ndarray]:
        """Scores float64[n] of each checkpoint, the last one's at the end. Raises BadInput."""
        last = self.network
        self.predict(inputs[np.arange(1)])  # refuses what `predict` does
        try:
            found = []
            for kept in self.checkpoints:
                self.network = kept
                found.append(np.asarray(self.predict(inputs)))
        finally:
            self.network = last
        return found
