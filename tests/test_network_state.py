"""What forward passes change: the caller has his network and generators back, and every pass starts from the same state."""

import random
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from network_toys import Base, X, Y, check
from torch import nn

from parzc_core import network_proxies
from parzc_core.collector import collect_statistics
from parzc_core.proxies import NODE_PROXIES

# --- networks that cannot be copied


class Slots:
    __slots__ = ("later", "value")

    def __init__(self) -> None:
        self.value = 0


class Numbers(list[int]):
    total = 0


def slots_are_set(slots: Slots) -> None:
    slots.value += 1
    slots.later = 3


def list_is_changed(numbers: Numbers) -> None:
    numbers.total += 1
    numbers.append(2)


def array_is_written(array: np.ndarray) -> None:
    array[1] += 1


def count_calls(count: int = 0) -> Callable[[], int]:
    def call(more: int = 1, seen: list[int] = []) -> int:  # noqa: B006
        nonlocal count
        count += more
        seen.append(count)
        return count + len(seen)

    return call


KEPT: dict[str, tuple[Callable[[], Any], Callable[[Any], Any], Callable[[Any], Any]]] = {
    "numpy array": (lambda: np.zeros(3), array_is_written, lambda a: a.tolist()),
    "array of objects": (
        lambda: np.array([[1], [2, 3]], dtype=object),
        lambda a: a[1].append(4),
        lambda a: [list(part) for part in a],
    ),
    "numpy generator": (lambda: np.random.default_rng(1), lambda g: g.random(), lambda g: str(g.bit_generator.state)),
    "old numpy generator": (lambda: np.random.RandomState(1), lambda g: g.rand(), lambda g: g.get_state()[2]),
    "torch generator": (
        lambda: torch.Generator().manual_seed(1),
        lambda g: torch.rand(1, generator=g),
        lambda g: g.get_state().tolist(),
    ),
    "Python generator": (lambda: random.Random(1), lambda g: g.random(), lambda g: g.getstate()),
    "bytearray": (lambda: bytearray(3), lambda b: b.append(1), bytes),
    "slots": (Slots, slots_are_set, lambda s: (s.value, hasattr(s, "later"))),
    "list with attributes": (lambda: Numbers([1]), list_is_changed, lambda n: (list(n), n.total)),
    "closure": (count_calls, lambda call: call(), lambda call: (call.__closure__[0].cell_contents, *call.__defaults__[1])),
    "expanded tensor": (lambda: torch.ones(1).expand(3), lambda t: t[:1].add_(1), lambda t: t.tolist()),
    "sparse tensor": (lambda: torch.eye(3).to_sparse(), lambda t: t @ torch.ones(3), lambda t: t.to_dense().tolist()),
}


@pytest.mark.parametrize("what", KEPT)
def test_what_a_network_that_cannot_be_copied_keeps_is_restored(what: str) -> None:
    make, change, read = KEPT[what]

    class Keeps(Base):
        def __init__(self) -> None:
            super().__init__()
            self.lock, self.thing = threading.Lock(), make()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            change(self.thing)
            return super().forward(x)

    network = Keeps()
    before, thing = read(network.thing), network.thing
    values = collect_statistics(network, X, Y).values
    assert network.thing is thing
    assert read(network.thing) == before
    np.testing.assert_array_equal(values, collect_statistics(Base(), X, Y).values)


# --- networks that freeze layers


def frozen_in(place: str, how: Callable[[nn.Module], Any]) -> Base:
    """A Base whose first convolution is frozen by its train method, by eval too, or in its forward pass."""

    class Frozen(Base):
        def train(self, mode: bool = True) -> "Frozen":
            super().train(mode)
            if place == "train":
                how(self.c1)
            return self

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if place == "forward":
                how(self.c1)
            return super().forward(x)

    return Frozen()


def by_attribute(layer: nn.Module) -> None:
    for parameter in layer.parameters():
        parameter.requires_grad = False


@pytest.mark.parametrize("how", [lambda layer: layer.requires_grad_(False), by_attribute, lambda layer: layer.weight.detach_()])
@pytest.mark.parametrize("place", ["train", "forward"])
def test_layers_that_a_network_freezes_have_the_values_of_others(place: str, how: Callable[[nn.Module], Any]) -> None:
    check(frozen_in(place, how), Base())
    alone = [collect_statistics(frozen_in(place, how), X, Y, [proxy]) for proxy in NODE_PROXIES]
    assert len({statistics.nodes for statistics in alone}) == 1
    whole = collect_statistics(frozen_in(place, how), X, Y)
    np.testing.assert_allclose([statistics.values[0] for statistics in alone], whole.values, rtol=1e-6)
    names = ["zico", "gradsign", "jacov", "zen"]
    assert network_proxies(frozen_in(place, how), X, Y, names) == network_proxies(Base(), X, Y, names)
