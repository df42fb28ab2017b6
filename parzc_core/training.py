"""Fit a ranker and predict with it (§4.1): Adam, small batches, cosine schedule, a ranking loss on z-scored accuracy."""

import copy
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal, overload

import numpy as np
import torch
from torch import nn

from parzc_core.errors import BadInput
from parzc_core.losses import check_loss, loss
from parzc_core.mabn import SIZES, MABNConfig, sampling
from parzc_core.ranker import Inputs, Model, ModelConfig


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
        asked = _as_inputs(inputs)
        self.model.eval()
        with torch.no_grad(), seeded(self.seed):
            if not samples:
                return torch.cat([self.model(*_tensors(chunk)) for chunk in asked.chunks()]).double().numpy()
            tensors = _tensors(asked)
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
    return fit_many([inputs], [accuracy], config, [seed])[0]


def fit_many(
    inputs: Sequence[np.ndarray | Inputs],
    accuracy: Sequence[np.ndarray],
    config: TrainingConfig | None = None,
    seeds: Sequence[int] = (0,),
    watch: "Callable[[int, list[FittedRanker]], None] | None" = None,
) -> list[FittedRanker]:
    """Train a ranker for each seed on its own n architectures, all in step: five small models cost little more than one.

    The members share nothing but the arithmetic: initial weights, order of the batches and optimiser state are each member's
    own. The noise of Bayesian layers and dropout is drawn for all at once, so a member is the same only in the same company.
    watch: called after each epoch with its number, from 1, and the rankers as they are then; what it raises ends the training.
    Raises BadInput as `fit`, and where the numbers of architectures differ.
    """
    config = config or TrainingConfig()
    parts = [_as_inputs(item) for item in inputs]
    if not len(parts) == len(accuracy) == len(seeds):
        raise BadInput(
            f"got {len(parts)} inputs, {len(accuracy)} accuracies, {len(seeds)} seeds; expected as many of each"
        )
    targets = [_z_score(item, values) for item, values in zip(parts, accuracy, strict=True)]
    if len({len(target) for target in targets}) != 1:
        raise BadInput(f"got {[len(target) for target in targets]} architectures; expected one size for all members")
    with torch.random.fork_rng(devices=[]), torch.enable_grad():
        models = []
        for seed in seeds:
            torch.manual_seed(seed)
            models.append(Model(_model_config(config, parts[0])))
        histories = _train(models, [_tensors(item) for item in parts], torch.stack(targets), seeds, config, watch)
    return [
        FittedRanker(model.eval(), history, seed) for model, history, seed in zip(models, histories, seeds, strict=True)
    ]


def _z_score(inputs: Inputs, accuracy: np.ndarray) -> torch.Tensor:
    target = np.asarray(accuracy, dtype=np.float64)
    if target.ndim != 1 or len(inputs) != len(target) or len(target) < 2:
        raise BadInput(
            f"got {len(inputs)} inputs and accuracy of shape {target.shape}; expected the same number, at least 2"
        )
    if not np.isfinite(target).all():
        raise BadInput(f"got {int((~np.isfinite(target)).sum())} accuracies that are not finite; leave those cells out")
    return torch.as_tensor((target - target.mean()) / (target.std() or 1.0), dtype=torch.float32)


def _train(
    models: list[Model],
    tensors: list[tuple[torch.Tensor | None, ...]],
    y: torch.Tensor,
    seeds: Sequence[int],
    config: TrainingConfig,
    watch: Callable[[int, list[FittedRanker]], None] | None,
) -> list[tuple[float, ...]]:
    """Trains the models in place and returns the loss history of each. y: float32[members, n]."""
    state = torch.func.stack_module_state(list[nn.Module](models))[0]  # {name: [members, ...]}
    skeleton = copy.deepcopy(models[0]).to("meta").train()
    stacked = [
        None if parts[0] is None else torch.stack([part for part in parts if part is not None])
        for parts in zip(*tensors, strict=True)
    ]

    def objective(weights: dict[str, torch.Tensor], target: torch.Tensor, *batch: torch.Tensor | None) -> torch.Tensor:
        prediction = torch.func.functional_call(skeleton, weights, batch)
        return loss(prediction, target, config.losses, config.alpha)

    axes = (0, 0, *(None if part is None else 0 for part in stacked))
    objectives = torch.vmap(objective, in_dims=axes, randomness="different")
    optimizer = torch.optim.Adam(state.values(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=config.epochs)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    member = torch.arange(len(models)).unsqueeze(1)
    history = []
    for epoch in range(1, config.epochs + 1):
        order = torch.stack([torch.randperm(y.shape[1], generator=generator) for generator in generators])
        total = torch.zeros(len(models))
        for rows in batches(order, config.batch_size):  # [members, batch]
            batch = (None if part is None else part[member, rows] for part in stacked)
            values = objectives(state, y[member, rows], *batch)
            optimizer.zero_grad(set_to_none=True)
            values.sum().backward()  # no weight is shared, so each member gets the gradient of its own loss
            optimizer.step()
            total += values.detach() * rows.shape[1]
        schedule.step()
        history.append((total / y.shape[1]).tolist())
        if watch is not None:
            _copy_weights(state, models)
            watch(epoch, [FittedRanker(model, (), seed) for model, seed in zip(models, seeds, strict=True)])
    _copy_weights(state, models)
    return [tuple(losses) for losses in zip(*history, strict=True)]


def _copy_weights(state: dict[str, torch.Tensor], models: list[Model]) -> None:
    with torch.no_grad():
        for i, model in enumerate(models):
            for name, parameter in model.named_parameters():
                parameter.copy_(state[name][i])


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


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Inside, torch's random numbers are those of `seed`; the caller's state comes back after it."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        yield


def batches(order: torch.Tensor, size: int) -> list[torch.Tensor]:
    """[..., n] -> batches [..., size]; a last one of a single architecture, without a pair or variance, joins the one before."""
    parts = list(order.split(size, dim=-1))
    if len(parts) > 1 and parts[-1].shape[-1] < 2:
        parts[-2:] = [torch.cat(parts[-2:], dim=-1)]
    return parts
