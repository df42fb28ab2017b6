"""What the predictors that are one network have in common: training, scores, and a spread from dropout."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import numpy as np
import torch
from torch import nn

from parzc_core._seeding import seeded
from parzc_core.errors import BadInput, whole
from parzc_core.predictors.base import Scores
from parzc_core.predictors.optimise import Objective, minimise
from parzc_core.ranker import CHUNK, Inputs
from parzc_core.training import z_score


class NetworkPredictor(ABC):
    """A predictor that is one network, adjacency float32[n, N, N] and operations int64[n, N] -> scores [n].

    A subclass gives `build` and, where it is not the mean squared error, `loss`. Its spread is that of Monte Carlo dropout
    (Gal & Ghahramani, ICML 2016): scores with dropout left on.
    """

    has_spread: ClassVar[bool] = True

    def __init__(self, config: Any):
        self.config = config
        self.network: nn.Module | None = None
        self._nodes = self._seed = 0

    @abstractmethod
    def build(self, nodes: int) -> nn.Module:
        """The network for graphs of so many nodes, freshly initialised."""

    def loss(
        self, network: nn.Module, adjacency: torch.Tensor, operations: torch.Tensor, target: torch.Tensor
    ) -> torch.Tensor:
        """What is minimised on a batch; target: of `target`, [batch]."""
        return nn.functional.mse_loss(network(adjacency, operations), target)

    def fit(
        self, inputs: Inputs, accuracy: np.ndarray, seed: int, unlabelled: Inputs | None = None
    ) -> "NetworkPredictor":
        """See `Predictor`; `unlabelled` is not used."""
        a, o = self.config.kinds.tensors(inputs)
        y = torch.from_numpy(self.target(inputs, accuracy)).float()
        with seeded(seed), torch.enable_grad():
            network = self.build(o.shape[1])
            self.prepare(network, a, o)
            trained = self.optimise(network, lambda rows: self.loss(network, a[rows], o[rows], y[rows]), len(y))
        self.network, self._nodes, self._seed = trained, o.shape[1], seed
        return self

    def target(self, inputs: Inputs, accuracy: np.ndarray) -> np.ndarray:
        """float64[n]: what is learned, the z-scored accuracy unless a subclass says otherwise. Raises BadInput."""
        return z_score(inputs, accuracy)

    def optimise(self, network: nn.Module, objective: Objective, count: int) -> nn.Module:
        """Train on `count` architectures by `minimise`, unless a subclass says otherwise; returns the network that predicts."""
        minimise(network, objective, count, self.config.schedule)
        return network

    def prepare(self, network: nn.Module, adjacency: torch.Tensor, operations: torch.Tensor) -> None:  # noqa: B027
        """What is done once with all training architectures before training; nothing, unless a subclass says."""

    def predict(self, inputs: Inputs, samples: int = 0) -> Scores:
        """See `Predictor`."""
        if self.network is None:
            raise BadInput(f"{type(self).__name__} was asked to predict before it was fitted; call fit first")
        a, o = self.config.kinds.tensors(inputs, self._nodes)
        whole("samples", samples, 0)
        if samples and not self.has_spread:
            raise BadInput(f"got samples={samples}; {type(self).__name__} has no spread, expected 0")
        with torch.no_grad(), seeded(self._seed):
            if not samples:
                return self.score(self.network, a, o)
            with dropping(self.network):
                draws = np.stack([self.score(self.network, a, o) for _ in range(samples)])
        return draws.mean(axis=0), draws.std(axis=0)

    def score(self, network: nn.Module, adjacency: torch.Tensor, operations: torch.Tensor) -> np.ndarray:
        """float64[n], in chunks."""
        chunks = zip(adjacency.split(CHUNK), operations.split(CHUNK), strict=True)
        return torch.cat([network(a, o) for a, o in chunks]).double().numpy()


@contextmanager
def dropping(network: nn.Module) -> Iterator[None]:
    """Inside, the dropout layers of a network in eval mode drop."""
    layers = [module for module in network.modules() if isinstance(module, nn.Dropout)]
    for layer in layers:
        layer.train()
    try:
        yield
    finally:
        for layer in layers:
            layer.eval()
