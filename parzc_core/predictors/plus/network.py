"""What a MABN may get beside labels: a token a node, a prior on its weights, other members, a first training on proxies.

    learner = NetworkLearner("MABN", members=3, kl=0.1).fit([x], accuracy, seed=0)
    score, spread = learner.predict([x_of_others], spread=True)

The paper's training (`parzc_core.training`) has none of these; this one is for comparing them, and small.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

import numpy as np
import torch
from torch import nn

from parzc_core._denormals import flushed
from parzc_core._seeding import seeded
from parzc_core.errors import BadInput, UnknownName
from parzc_core.losses import loss
from parzc_core.mabn import MABN, SIZES, BayesianLinear, MABNConfig, SegmentMixer
from parzc_core.predictors.plus.learners import Averaged, Blocks, joined
from parzc_core.ranker import CHUNK, Perceptron
from parzc_core.training import batches, z_score

KINDS = ("MABN", "mixer", "MLP", "tokens")
PRIOR = 0.1  # standard deviation of a weight before anything is learned
DECAY = 1e-3  # of Adam, as the paper's


class TokenMixer(nn.Module):
    """A MABN whose segments are nodes: statistics float32[n, S * K], K of each of S nodes -> scores [n].

    Each node has a learned position beside what its statistics say; blocks mix across nodes, and within a node.
    """

    def __init__(self, slots: int, proxies: int, config: MABNConfig):
        super().__init__()
        self.shape = (slots, proxies)
        self.before = BayesianLinear(proxies, config.width)
        self.place = nn.Parameter(0.02 * torch.randn(slots, config.width))
        self.blocks = nn.Sequential(*(SegmentMixer(slots, config) for _ in range(config.depth)))
        self.after = BayesianLinear(slots, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.before(x.reshape(-1, *self.shape)) + self.place  # (n, S, width)
        return self.after(self.blocks(h).mean(dim=2)).squeeze(1)


def network(kind: str, features: int, size: str, proxies: int = 1) -> nn.Module:
    """An untrained network of KINDS for float32[n, features]; "mixer" is a MABN of plain layers. proxies: of a node, for tokens.

    Raises UnknownName, BadInput: features that are no multiple of proxies.
    """
    if kind not in KINDS:
        raise UnknownName.of("network", kind, KINDS)
    if kind == "tokens" and features % proxies:
        raise BadInput(f"got {features} features for tokens of {proxies}; expected a multiple")
    config = MABNConfig(features, bayesian=kind in ("MABN", "tokens"), **SIZES[size])  # type: ignore[arg-type]
    if kind == "tokens":
        return TokenMixer(features // proxies, proxies, config)
    return Perceptron(config) if kind == "MLP" else MABN(config)


def divergence(model: nn.Module) -> torch.Tensor:
    """Mean over Bayesian weights of KL(N(mu, sigma^2) || N(0, PRIOR^2)); 0 without any."""
    layers = [module for module in model.modules() if isinstance(module, BayesianLinear)]
    if not layers:
        return torch.zeros(())
    total = torch.stack([
        (torch.log(PRIOR / layer.sigma) + (layer.sigma**2 + layer.mu**2) / (2 * PRIOR**2) - 0.5).sum() for layer in layers
    ])  # fmt: skip
    return total.sum() / sum(layer.mu.numel() for layer in layers)


def descend(
    model: nn.Module, x: torch.Tensor, y: torch.Tensor, steps: int, batch: int, rate: float, seed: int, kl: float = 0.0
) -> None:
    """Train in place: Adam, cosine schedule, DiffKendall of a batch plus kl times `divergence`."""
    generator = torch.Generator().manual_seed(seed)
    adam = torch.optim.Adam(model.parameters(), lr=rate, weight_decay=DECAY, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(adam, T_max=steps)
    model.train()
    with torch.enable_grad(), flushed():
        for rows, _ in zip(_batches(len(y), batch, generator), range(steps), strict=False):
            value = loss(model(x[rows]), y[rows], {"diff_kendall": 1.0}, 0.5)
            if kl:
                value = value + kl * divergence(model)
            adam.zero_grad(set_to_none=True)
            value.backward()
            adam.step()
            schedule.step()
    model.eval()


def _batches(n: int, size: int, generator: torch.Generator) -> Iterator[torch.Tensor]:
    while True:
        yield from batches(torch.randperm(n, generator=generator), size)


@dataclass(frozen=True, eq=False)
class Known:
    """What a network is trained on before labels: blocks of cells and a target that needs no label, float[n]."""

    blocks: Blocks
    target: np.ndarray
    steps: int = 600
    batch: int = 64
    rate: float = 1e-3


@lru_cache(maxsize=16)  # the same for every set of labels
def _started(first: Known, kind: str, size: str, proxies: int, member: int) -> dict[str, torch.Tensor]:
    """Weights of one member after its training without labels."""
    x = torch.from_numpy(joined(first.blocks))
    y = torch.as_tensor(z_score(x, first.target), dtype=torch.float32)
    with seeded(member):
        model = network(kind, x.shape[1], size, proxies)
        descend(model, x, y, first.steps, first.batch, first.rate, member)
    return model.state_dict()


class NetworkLearner(Averaged):
    """A `Learner`: several networks, averaged.

    kind: of KINDS. kl: weight of `divergence`. first: what they are trained on before the labels. proxies: see `network`.
    """

    def __init__(
        self, kind: str = "MABN", members: int = 3, size: str = "cpu", steps: int = 600, batch: int = 32, rate: float = 1e-3,
        kl: float = 0.0, first: Known | None = None, proxies: int = 1,
    ):  # fmt: skip
        self.kind, self.members, self.size, self.steps = kind, members, size, steps
        self.batch, self.rate, self.kl, self.first, self.proxies = batch, rate, kl, first, proxies

    def fit(self, blocks: Blocks, accuracy: np.ndarray, seed: int) -> "NetworkLearner":
        """See `Learner`."""
        features, self._networks = joined(blocks), list[nn.Module]()
        x, batch = torch.from_numpy(features), max(2, min(self.batch, len(features) // 3))
        y = torch.as_tensor(z_score(x, accuracy), dtype=torch.float32)
        for member in range(self.members):
            own = 1000 * seed + member
            with seeded(own):
                model = network(self.kind, x.shape[1], self.size, self.proxies)
                if self.first is not None:
                    model.load_state_dict(_started(self.first, self.kind, self.size, self.proxies, member))
                descend(model, x, y, self.steps, batch, self.rate, own, self.kl)
            self._networks.append(model)
        self._keep([partial(_scores, model) for model in self._networks], features)
        return self


def _scores(model: nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return torch.cat([model(chunk) for chunk in torch.from_numpy(x).split(CHUNK)]).double().numpy()
