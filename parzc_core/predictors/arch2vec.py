"""Arch2Vec, a graph autoencoder trained without accuracies, then a predictor on its embedding (Yan et al., NeurIPS 2020, [62]).

A graph isomorphism network on the undirected graph (h <- MLP((1 + eps) h + A h), BatchNorm, ReLU) gives mean and variance of a
latent vector for each node; from a draw of it a linear layer gives the node's operation and inner products give the edges. Loss:
the two binary cross-entropies plus the Kullback-Leibler divergence to a normal distribution. The embedding is the mean over nodes
of the latent means. Settings of the authors for NAS-Bench-201 (https://github.com/MSU-MLSys-Lab/arch2vec): four layers of 128,
latent 16, dropout 0.3 before the decoder, Adam 1e-3, batches of 32, ten epochs over nine tenths of the space, gradient norm at
most 5.

Adapted: the autoencoder sees all unlabelled architectures given to `fit`, or the training ones where there are none. The
authors' predictor is that of their Bayesian optimisation, a network of 128 tanh units with Bayesian linear regression on
them; on the development splits of NAS-Bench-201 it ranks worse than any other that was tried (tau .33 at 78 cells; Gaussian
process .53, support vectors .54, extra-trees .58), so 500 extra-trees, from scikit-learn, are the default, and the Gaussian
process is there too.
"""

import hashlib
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
import torch.nn.functional as F
from sklearn.ensemble import ExtraTreesRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern, WhiteKernel
from torch import nn

from parzc_core._seeding import seeded
from parzc_core.errors import BadInput, UnknownName, whole
from parzc_core.predictors.base import Kinds, Scores
from parzc_core.predictors.optimise import Schedule, minimise
from parzc_core.ranker import CHUNK, Inputs
from parzc_core.training import z_score

PRETRAINING = Schedule(10, 32, 1e-3, clip=5.0)
REGRESSORS = ("extra-trees", "gaussian process")


@dataclass(frozen=True)
class Arch2VecConfig:
    """kinds: of the space. width, depth: of the encoder; latent: of a node. regressor: of REGRESSORS, on the embedding.

    pretraining: how the autoencoder is trained; pretraining_seed: the same for every training set of a space.
    """

    kinds: Kinds
    width: int = 128
    depth: int = 4
    latent: int = 16
    dropout: float = 0.3
    regressor: str = "extra-trees"
    pretraining_seed: int = 3
    pretraining: Schedule = PRETRAINING

    def __post_init__(self) -> None:
        if self.regressor not in REGRESSORS:
            raise UnknownName.of("regressor of an embedding", self.regressor, REGRESSORS)


class Autoencoder(nn.Module):
    """adjacency float32[n, N, N], operations int64[n, N] -> (mean, log standard deviation), both [n, N, latent]."""

    def __init__(self, config: Arch2VecConfig):
        super().__init__()
        c = config
        self.total = c.kinds.total
        self.eps = nn.Parameter(torch.zeros(c.depth))
        sizes = (c.kinds.total, *(c.width for _ in range(c.depth)))
        self.perceptrons = nn.ModuleList(
            nn.Sequential(
                nn.Linear(a, c.width),
                nn.BatchNorm1d(c.width),
                nn.ReLU(),
                nn.Linear(c.width, c.width),
                nn.BatchNorm1d(c.width),
            )
            for a in sizes[:-1]
        )
        self.mean, self.log_std = nn.Linear(c.width, c.latent), nn.Linear(c.width, c.latent)
        self.dropout = nn.Dropout(c.dropout)
        self.operation = nn.Linear(c.latent, c.kinds.total)

    def forward(self, adjacency: torch.Tensor, operations: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        undirected = adjacency + adjacency.transpose(1, 2)
        h = F.one_hot(operations, self.total).float()
        for eps, perceptron in zip(self.eps, self.perceptrons, strict=True):
            gathered = (1 + eps) * h + undirected @ h
            h = torch.relu(perceptron(gathered.flatten(0, 1))).unflatten(0, h.shape[:2])
        return self.mean(h), self.log_std(h)

    def embed(self, adjacency: torch.Tensor, operations: torch.Tensor) -> torch.Tensor:
        """[n, latent]."""
        chunks = zip(adjacency.split(CHUNK), operations.split(CHUNK), strict=True)
        return torch.cat([self(a, o)[0].mean(dim=1) for a, o in chunks])

    def loss(self, adjacency: torch.Tensor, operations: torch.Tensor) -> torch.Tensor:
        """Reconstruction plus divergence, scalar."""
        mean, log_std = self(adjacency, operations)
        z = self.dropout(mean + log_std.exp() * torch.randn_like(mean))
        undirected = (adjacency + adjacency.transpose(1, 2)).clamp(max=1)
        each = F.binary_cross_entropy_with_logits(z @ z.transpose(1, 2), undirected, reduction="none")
        edges = (
            each.masked_fill(torch.eye(adjacency.shape[1], dtype=torch.bool), 0).mean() / 2
        )  # a pair of nodes counts once
        kinds = torch.softmax(self.operation(z), dim=-1)
        ops = F.binary_cross_entropy(kinds, F.one_hot(operations, self.total).float())
        divergence = -0.5 * (1 + 2 * log_std - mean**2 - (2 * log_std).exp()).sum(dim=2).mean() / operations.numel()
        return ops + edges + divergence


class Arch2Vec:
    """Equal scores for graphs that are equal but for the order of their nodes."""

    has_spread: ClassVar[bool] = True

    def __init__(self, config: Arch2VecConfig):
        self.config = config
        self._regressor: ExtraTreesRegressor | GaussianProcessRegressor | None = None

    def fit(self, inputs: Inputs, accuracy: np.ndarray, seed: int, unlabelled: Inputs | None = None) -> "Arch2Vec":
        """See `Predictor`. The autoencoder is trained once in a process for the same unlabelled architectures."""
        kinds = self.config.kinds
        labelled = kinds.tensors(inputs)
        y = z_score(inputs, accuracy)
        self._nodes = labelled[1].shape[1]
        self.autoencoder = pretrained(
            self.config, *(labelled if unlabelled is None else kinds.tensors(unlabelled, self._nodes))
        )
        x = self._embedded(*labelled)
        self._scaling = x.mean(axis=0), np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
        self._regressor = self._new_regressor(seed).fit((x - self._scaling[0]) / self._scaling[1], y)
        return self

    def predict(self, inputs: Inputs, samples: int = 0) -> Scores:
        """See `Predictor`; the spread, over trees or of the posterior, is exact."""
        regressor = self._regressor
        if regressor is None:
            raise BadInput("Arch2Vec was asked to predict before it was fitted; call fit first")
        whole("samples", samples, 0)
        x = (self._embedded(*self.config.kinds.tensors(inputs, self._nodes)) - self._scaling[0]) / self._scaling[1]
        if not samples:
            return regressor.predict(x)
        if isinstance(regressor, GaussianProcessRegressor):
            return regressor.predict(x, return_std=True)
        each = np.stack([tree.predict(x) for tree in regressor.estimators_])
        return each.mean(axis=0), each.std(axis=0)

    def _new_regressor(self, seed: int) -> ExtraTreesRegressor | GaussianProcessRegressor:
        if self.config.regressor == "extra-trees":
            return ExtraTreesRegressor(500, random_state=seed)
        kernel = ConstantKernel() * Matern(3.0, nu=0.5) + WhiteKernel()
        return GaussianProcessRegressor(kernel, random_state=seed)

    def _embedded(self, adjacency: torch.Tensor, operations: torch.Tensor) -> np.ndarray:
        """float64[n, latent]."""
        with torch.no_grad():
            return self.autoencoder.embed(adjacency, operations).double().numpy()


_PRETRAINED: dict[tuple[Arch2VecConfig, str], Autoencoder] = {}


def pretrained(config: Arch2VecConfig, a: torch.Tensor, o: torch.Tensor) -> Autoencoder:
    """The autoencoder of adjacency a and operations o, trained once in a process. Raises BadInput for fewer than two."""
    if len(o) < 2:
        raise BadInput(f"got {len(o)} unlabelled architectures; expected at least 2")
    key = config, hashlib.sha256(a.numpy().tobytes() + o.numpy().tobytes()).hexdigest()
    if key not in _PRETRAINED:
        with seeded(config.pretraining_seed), torch.enable_grad():
            autoencoder = Autoencoder(config)
            minimise(autoencoder, lambda rows: autoencoder.loss(a[rows], o[rows]), len(o), config.pretraining)
        _PRETRAINED[key] = autoencoder
    return _PRETRAINED[key]
