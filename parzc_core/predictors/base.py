"""One interface for predictors that rank architectures from their graphs, and what those that are networks have in common."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

import numpy as np
import torch
from torch import nn

from parzc_core.errors import BadInput
from parzc_core.model import Inputs
from parzc_core.spaces import space as space_named

Scores = np.ndarray | tuple[np.ndarray, np.ndarray]
Objective = Callable[[torch.Tensor], torch.Tensor]
CHUNK = 2048  # architectures scored at once
STEPS = 8000  # at most so many batches of ten: two minutes of one core


@dataclass(frozen=True)
class Kinds:
    """How a space numbers the nodes of its graphs (`spaces.Graph`).

    choices: operations to choose from, numbered from 0; the input is numbered `choices`, the output `choices + 1`.
    total: all kinds of node. none: number of the operation that lets nothing pass, if there is one.
    """

    choices: int
    total: int
    none: int | None = None

    def __post_init__(self) -> None:
        if (
            self.choices < 1
            or self.total < self.choices + 2
            or not (self.none is None or 0 <= self.none < self.choices)
        ):
            raise BadInput(f"got {self}; expected at least one choice, two kinds more in total, and none below choices")

    @classmethod
    def of(cls, space: str) -> "Kinds":
        """Those of a space of that name. Raises UnknownName."""
        module = space_named(space)
        none = module.OPERATIONS.index("none") if "none" in module.OPERATIONS else None
        return cls(len(module.OPERATIONS), module.GRAPH_KINDS, none)

    @property
    def input(self) -> int:
        """Number of the input node."""
        return self.choices

    @property
    def output(self) -> int:
        """Number of the output node."""
        return self.choices + 1

    def check(self, inputs: Inputs, nodes: int | None = None) -> tuple[np.ndarray, np.ndarray]:
        """adjacency float32[n, N, N] and operations int64[n, N] of the inputs. nodes: N to expect. Raises BadInput."""
        adjacency, operations = inputs.adjacency, inputs.operations
        if adjacency is None or operations is None:
            raise BadInput("got inputs without a graph; expected Inputs with adjacency and operations (`Space.graph`)")
        fits = adjacency.ndim == 3 and adjacency.shape == (*operations.shape, operations.shape[-1])
        if not fits or not len(adjacency) or nodes not in (None, adjacency.shape[1]):
            expected = "N" if nodes is None else nodes
            raise BadInput(
                f"got adjacency and operations of shape {adjacency.shape} and {operations.shape}; "
                f"expected [n, {expected}, {expected}] and [n, {expected}], n at least 1"
            )
        if operations.min() < 0 or operations.max() >= self.total:
            raise BadInput(
                f"got operations from {operations.min()} to {operations.max()}; expected 0 to {self.total - 1}, "
                "as the space numbers them"
            )
        return np.asarray(adjacency, dtype=np.float32), np.asarray(operations, dtype=np.int64)

    def without_none(self, adjacency: Any, operations: Any) -> Any:
        """adjacency [n, N, N] (array or tensor) without the edges into and out of nodes that let nothing pass."""
        if self.none is None:
            return adjacency
        passes = operations != self.none
        return adjacency * passes[:, :, None] * passes[:, None, :]


class Predictor(Protocol):
    """Learns from the accuracy of some architectures and scores others; constructed from its configuration.

    has_spread: whether `predict` with samples > 0 gives a spread.
    """

    @property
    def has_spread(self) -> bool: ...

    def fit(self, inputs: Inputs, accuracy: np.ndarray, seed: int, unlabelled: Inputs | None = None) -> "Predictor":
        """Learn, and return itself. The same arguments give the same predictor; the caller's random state is left alone.

        inputs: n architectures; accuracy: float[n], percent, of which only the z-score or the order is used. unlabelled:
        architectures of the space without accuracy, which only some methods use. Raises BadInput.
        """

    def predict(self, inputs: Inputs, samples: int = 0) -> Scores:
        """Scores float64[n], higher meaning better. samples > 0: (mean [n], spread [n]) over that many draws.

        A predictor whose spread is exact takes any positive number for it. Raises BadInput: shapes, not fitted, no spread.
        """


@dataclass(frozen=True)
class Schedule:
    """How a network is trained: Adam, with the learning rate cosine-annealed to zero or constant.

    most_steps: at most so many steps, in place of the published number of epochs where the training set is large; None for no
    limit. clip: largest gradient norm. betas: of Adam.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    weight_decay: float = 0.0
    cosine: bool = False
    most_steps: int | None = None
    clip: float | None = None
    betas: tuple[float, float] = (0.9, 0.999)

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 2 or not self.learning_rate > 0 or self.most_steps == 0:
            raise BadInput(f"got {self}; expected at least 1 epoch and step, batches of at least 2, a positive rate")

    def rounds(self, count: int) -> int:
        """Passes over `count` architectures."""
        steps = -(-count // self.batch_size)
        return self.epochs if self.most_steps is None else max(1, min(self.epochs, self.most_steps // steps))


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, torch's random numbers are those of `seed`; the caller's state comes back after it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def z_score(inputs: Inputs, accuracy: np.ndarray) -> np.ndarray:
    """float64[n], accuracy less its mean, over its standard deviation. Raises BadInput (lengths, fewer than two, not finite)."""
    target = np.asarray(accuracy, dtype=np.float64)
    if target.ndim != 1 or len(target) != len(inputs) or len(target) < 2 or not np.isfinite(target).all():
        raise BadInput(
            f"got {len(inputs)} architectures and accuracy of shape {target.shape}; expected the same number, at least 2, "
            "all finite (leave out those that are not)"
        )
    return (target - target.mean()) / (target.std() or 1.0)


def minimise(network: nn.Module, objective: Objective, count: int, schedule: Schedule) -> None:
    """Train in place: objective(rows int64[batch]) -> scalar loss, over shuffled batches of `count` architectures."""
    adam = torch.optim.Adam(
        network.parameters(),
        lr=schedule.learning_rate,
        betas=schedule.betas,
        weight_decay=schedule.weight_decay,
        fused=True,
    )
    rounds = schedule.rounds(count)
    annealing = torch.optim.lr_scheduler.CosineAnnealingLR(adam, T_max=rounds)
    network.train()
    for _ in range(rounds):
        for rows in _batches(torch.randperm(count), schedule.batch_size):
            adam.zero_grad(set_to_none=True)
            objective(rows).backward()
            if schedule.clip is not None:
                nn.utils.clip_grad_norm_(network.parameters(), schedule.clip)
            adam.step()
        if schedule.cosine:
            annealing.step()
    network.eval()


def _batches(order: torch.Tensor, size: int) -> list[torch.Tensor]:
    """A last batch of a single architecture has no pair and no variance, and joins the one before it."""
    batches = list(order.split(size))
    if len(batches) > 1 and len(batches[-1]) < 2:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


class NetworkPredictor:
    """A predictor that is one network, adjacency float32[n, N, N] and operations int64[n, N] -> scores [n].

    A subclass gives `build` and, where it is not the mean squared error, `loss`. Its spread is that of Monte Carlo dropout
    (Gal & Ghahramani, ICML 2016): scores with dropout left on.
    """

    has_spread: ClassVar[bool] = True

    def __init__(self, config: Any):
        self.config = config
        self.network: nn.Module | None = None
        self._nodes = self._seed = 0

    def build(self, nodes: int) -> nn.Module:
        """The network for graphs of so many nodes, freshly initialised."""
        raise NotImplementedError

    def loss(
        self, network: nn.Module, adjacency: torch.Tensor, operations: torch.Tensor, target: torch.Tensor
    ) -> torch.Tensor:
        """What is minimised on a batch; target: z-scored accuracy [batch]."""
        return nn.functional.mse_loss(network(adjacency, operations), target)

    def fit(
        self, inputs: Inputs, accuracy: np.ndarray, seed: int, unlabelled: Inputs | None = None
    ) -> "NetworkPredictor":
        """See `Predictor`; `unlabelled` is not used."""
        a, o = map(torch.from_numpy, self.config.kinds.check(inputs))
        y = torch.from_numpy(z_score(inputs, accuracy)).float()
        with seeded(seed), torch.enable_grad():
            network = self.build(o.shape[1])
            self.prepare(network, a, o)
            minimise(network, lambda rows: self.loss(network, a[rows], o[rows], y[rows]), len(y), self.config.schedule)
        self.network, self._nodes, self._seed = network, o.shape[1], seed
        return self

    def prepare(self, network: nn.Module, adjacency: torch.Tensor, operations: torch.Tensor) -> None:
        """What is done once with all training architectures before training; nothing, unless a subclass says."""

    def predict(self, inputs: Inputs, samples: int = 0) -> Scores:
        """See `Predictor`."""
        if self.network is None:
            raise BadInput(f"{type(self).__name__} was asked to predict before it was fitted; call fit first")
        a, o = map(torch.from_numpy, self.config.kinds.check(inputs, self._nodes))
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
