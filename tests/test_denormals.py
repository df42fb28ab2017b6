"""Trainings flush denormal numbers: idle weights end as zeros, the rest ends the same, the caller's setting stays."""

from collections.abc import Callable
from contextlib import nullcontext

import numpy as np
import pytest
import torch
from torch import nn

from parzc_core import training
from parzc_core._denormals import flushed
from parzc_core.predictors.nn_former import WarmSchedule, averaged
from parzc_core.predictors.optimise import Schedule, minimise
from parzc_core.predictors.plus.network import descend
from parzc_core.ranker import Inputs, Model

SMALLEST = torch.finfo(torch.float32).tiny  # of the normal numbers


def denormals(values: torch.Tensor) -> int:
    return int(((values != 0) & (values.abs() < SMALLEST)).sum())


def flushing() -> bool:
    return float(torch.tensor(1e-30) * 1e-10) == 0.0


def test_numbers_are_flushed_inside_alone_and_a_caller_who_flushes_goes_on():
    assert not flushing()
    with pytest.raises(KeyError), flushed():
        raise KeyError(flushing())
    assert not flushing()
    torch.set_flush_denormal(True)
    try:
        with flushed():
            assert flushing()
        assert flushing()
    finally:
        torch.set_flush_denormal(False)


class Watched(nn.Module):
    """A linear layer that notes whether numbers are flushed while it is asked and while it is trained."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.seen = nn.Linear(3, 1), set[bool]()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y: torch.Tensor = self.layer(x).squeeze(1)
        y.register_hook(lambda gradient: self.seen.add(flushing()))
        self.seen.add(flushing())
        return y


def by_minimise(model: Watched, x: torch.Tensor, y: torch.Tensor) -> None:
    minimise(model, lambda rows: ((model(x[rows]) - y[rows]) ** 2).mean(), len(x), Schedule(2, 10, 1e-3))


def by_averaged(model: Watched, x: torch.Tensor, y: torch.Tensor) -> None:
    sizes = torch.full((len(x),), 5)
    averaged(model, lambda rows: ((model(x[rows]) - y[rows]) ** 2).mean(), sizes, WarmSchedule(2, 10, 1e-3))


def by_descend(model: Watched, x: torch.Tensor, y: torch.Tensor) -> None:
    descend(model, x, y, steps=4, batch=10, rate=1e-2, seed=0)


@pytest.mark.parametrize("train", [by_minimise, by_averaged, by_descend])
def test_every_training_of_a_predictor_flushes(train: Callable[[Watched, torch.Tensor, torch.Tensor], None]):
    x = torch.randn(40, 3, generator=torch.Generator().manual_seed(0))
    model = Watched()
    train(model, x, x.sum(dim=1))
    assert model.seen == {True}
    assert not flushing()


class Idle(Model):
    """A ranker beside weights that get no gradient; weight decay alone moves them."""

    def __init__(self, config: training.ModelConfig):
        super().__init__(config)
        self.idle = nn.Parameter(torch.logspace(-34, -38, 64))

    def forward(self, *inputs: torch.Tensor | None) -> torch.Tensor:
        return super().forward(*inputs) + 0 * self.idle.sum()


def test_a_ranker_has_no_denormal_weights_and_scores_as_one_that_has(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(training, "Model", Idle)
    inputs = Inputs(np.random.default_rng(0).normal(size=(20, 12)).astype(np.float32))
    config = training.TrainingConfig(epochs=120, learning_rate=1e-3, weight_decay=1e-6)
    trained = {}
    for name, context in (("flushed", flushed), ("plain", nullcontext)):
        monkeypatch.setattr(training, "flushed", context)
        trained[name] = training.fit(inputs, np.arange(20.0), config)
    assert denormals(trained["plain"].model.idle) > 0  # or this tests nothing
    assert denormals(trained["flushed"].model.idle) == 0
    np.testing.assert_array_equal(trained["flushed"].predict(inputs), trained["plain"].predict(inputs))
