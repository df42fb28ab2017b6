"""Fit a ranker and predict with it (§4.1): Adam, small batches, cosine schedule, a ranking loss on z-scored accuracy."""

from dataclasses import dataclass, field
from typing import Literal, overload

import numpy as np
import torch

from parzc_core.errors import BadInput
from parzc_core.losses import check_loss, loss
from parzc_core.mabn import SIZES, MABNConfig, sampling
from parzc_core.model import Inputs, Model, ModelConfig


@dataclass(frozen=True)
class TrainingConfig:
    """How a ranker is trained; the defaults are the paper's for NAS-Bench-201 (§4.1), with a model sized for a CPU.

    model: None takes a MABN of `parzc_core.mabn.SIZES["cpu"]` for the inputs at hand.
    epochs: 200 (the paper: 150 on NB101, 200 on NB201, 296 on NDS). batch_size, learning_rate, weight_decay: §4.1.
    losses: weights of `parzc_core.losses.LOSSES`; alpha: of DiffKendall.
    """

    model: ModelConfig | None = None
    epochs: int = 200
    batch_size: int = 10
    learning_rate: float = 1e-4
    weight_decay: float = 1e-3
    losses: dict[str, float] = field(default_factory=lambda: {"diff_kendall": 1.0})
    alpha: float = 0.5

    def __post_init__(self) -> None:
        check_loss(self.losses)
        if self.epochs < 1 or self.batch_size < 2 or not self.learning_rate > 0:
            raise BadInput(
                f"got epochs={self.epochs}, batch_size={self.batch_size}, learning_rate={self.learning_rate}; "
                "expected at least 1 epoch, batches of at least 2 (a rank loss compares pairs) and a positive rate"
            )


@dataclass(frozen=True, eq=False)
class FittedRanker:
    """A trained ranker. `history`: training loss of each epoch. Scores are comparable only within one ranker."""

    model: Model
    history: tuple[float, ...]
    seed: int

    @overload
    def predict(self, inputs: np.ndarray | Inputs, samples: Literal[0] = 0) -> np.ndarray: ...  # type: ignore[overload-overlap]
    @overload
    def predict(self, inputs: np.ndarray | Inputs, samples: int) -> tuple[np.ndarray, np.ndarray]: ...

    def predict(self, inputs: np.ndarray | Inputs, samples: int = 0) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Scores, higher meaning better. samples=0: float64[n] with mean weights; samples=s: (mean [n], std [n]) over s draws."""
        tensors = _tensors(_as_inputs(inputs))
        self.model.eval()
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            if not samples:
                return self.model(*tensors).double().numpy()
            with sampling(self.model):
                draws = torch.stack([self.model(*tensors) for _ in range(samples)]).double()
        return draws.mean(dim=0).numpy(), draws.std(dim=0, unbiased=False).numpy()


def fit(
    inputs: np.ndarray | Inputs, accuracy: np.ndarray, config: TrainingConfig | None = None, seed: int = 0
) -> FittedRanker:
    """Train a ranker; the same arguments give the same ranker.

    inputs: float32[n, D] (or Inputs with graphs), accuracy: float[n], percent; only its z-score is used. The caller's random
    generator is left as it was. Raises BadInput (lengths differ, fewer than two architectures, NaN accuracy).
    """
    config = config or TrainingConfig()
    parts = _as_inputs(inputs)
    target = np.asarray(accuracy, dtype=np.float64)
    if target.ndim != 1 or len(parts) != len(target) or len(target) < 2:
        raise BadInput(
            f"got {len(parts)} inputs and accuracy of shape {target.shape}; expected the same number, at least 2"
        )
    if not np.isfinite(target).all():
        raise BadInput(f"got {int((~np.isfinite(target)).sum())} accuracies that are not finite; leave those cells out")
    y = torch.as_tensor((target - target.mean()) / (target.std() or 1.0), dtype=torch.float32)
    tensors = _tensors(parts)
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        torch.manual_seed(seed)
        model = Model(_model_config(config, parts))
        history = _train(model, tensors, y, config)
    return FittedRanker(model.eval(), history, seed)


def _train(
    model: Model, tensors: tuple[torch.Tensor | None, ...], y: torch.Tensor, config: TrainingConfig
) -> tuple[float, ...]:
    optimizer = torch.optim.Adam(
        model.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True
    )
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=config.epochs)
    model.train()
    history = []
    for _ in range(config.epochs):
        total = 0.0
        for rows in _batches(torch.randperm(len(y)), config.batch_size):
            batch = [None if tensor is None else tensor[rows] for tensor in tensors]
            value = loss(model(*batch), y[rows], config.losses, config.alpha)
            optimizer.zero_grad(set_to_none=True)
            value.backward()
            optimizer.step()
            total += float(value.detach()) * len(rows)
        schedule.step()
        history.append(total / len(y))
    return tuple(history)


def _batches(order: torch.Tensor, size: int) -> list[torch.Tensor]:
    """Batches of `size`; a last one of a single architecture has no pair to compare and joins the one before it."""
    batches = list(order.split(size))
    if len(batches) > 1 and len(batches[-1]) < 2:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def _as_inputs(inputs: np.ndarray | Inputs) -> Inputs:
    return inputs if isinstance(inputs, Inputs) else Inputs(statistics=np.asarray(inputs, dtype=np.float32))


def _tensors(inputs: Inputs) -> tuple[torch.Tensor | None, ...]:
    parts = (inputs.statistics, inputs.adjacency, inputs.operations)
    return tuple(None if part is None else torch.as_tensor(part) for part in parts)


def _model_config(config: TrainingConfig, inputs: Inputs) -> ModelConfig:
    if config.model is not None:
        return config.model
    if inputs.statistics is None:
        raise BadInput(
            "got inputs without statistics and no model; expected statistics, or a ModelConfig with NP alone"
        )
    return ModelConfig(parts=("Mixer", "BN"), mabn=MABNConfig(inputs.statistics.shape[1], **SIZES["cpu"]))  # type: ignore[arg-type]
