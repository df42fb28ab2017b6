"""What forward passes change: the caller has his network and generators back, and every pass starts from the same state."""

import random
import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from network_toys import Base, X, Y, check, with_
from torch import nn

from parzc_core import network_proxies
from parzc_core.collector import collect_statistics
from parzc_core.passes import Passes
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


def test_a_layer_that_a_forward_pass_unfreezes_is_frozen_again_afterwards() -> None:
    class Unfreezes(Base):
        def __init__(self) -> None:
            super().__init__()
            self.lock = threading.Lock()  # no copy
            self.c1.requires_grad_(False)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            self.c1.requires_grad_(True)
            return super().forward(x)

    network = Unfreezes()
    collect_statistics(network, X, Y)
    assert not any(parameter.requires_grad for parameter in network.c1.parameters())
    assert all(parameter.requires_grad for parameter in network.c2.parameters())


def test_passes_in_another_order_find_no_layer_frozen() -> None:
    passes = Passes(frozen_in("train", by_attribute), X, Y, second_order=True)
    assert passes.logits.shape == (8, 4)
    flow = collect_statistics(frozen_in("train", by_attribute), X, Y, ["synflow"])
    found = passes.flow.gradients["c1"]
    assert found is not None
    assert float((found * passes.flow.weights["c1"]).abs().sum()) == flow.of("synflow")[flow.nodes.index("c1")]
    assert passes.loss_gradients["c1"] is not None


# --- networks that change in their forward pass


class Changing(Base):
    """Multiplies by something that its forward pass changes; each kind may also write into a node's output."""

    def __init__(self, kind: str, overwrites: bool) -> None:
        super().__init__()
        self.overwrites, self.kind, self.count = overwrites, kind, 0
        self.register_buffer("average", torch.ones(6, 1, 1))
        self.scale: Any = nn.Parameter(torch.ones(6, 1, 1))
        self.generator, self.array = torch.Generator().manual_seed(0), np.ones(6, dtype=np.float32)
        self.norm = nn.InstanceNorm2d(6, track_running_stats=True)

    def factor(self, h: torch.Tensor) -> torch.Tensor:
        mean = h.detach().mean((0, 2, 3))[:, None, None]
        if self.kind == "counter":
            self.count += 1
            return torch.full((6, 1, 1), float(self.count))
        if self.kind == "generator":
            return torch.rand(6, 1, 1, generator=self.generator)
        if self.kind == "array":
            self.array += mean.flatten().numpy().astype(np.float32)
            return torch.from_numpy(self.array.copy())[:, None, None]
        if self.kind == "initialisation by data":
            if self.count == 0:
                self.scale.data = 1 / (0.1 + mean.abs())
                self.count = 1
            return self.scale
        if self.kind == "moving average":
            with torch.no_grad():
                self.average.mul_(0.5).add_(0.5 * mean)
            return self.average
        self.average = self.average * 0.5 + mean
        return self.average

    def first(self, x: torch.Tensor) -> torch.Tensor:
        h = self.c1(x)
        h = self.norm(h) if self.kind == "running statistics" else h * self.factor(h).to(h)
        return torch.relu(h)

    def second(self, h: torch.Tensor) -> torch.Tensor:
        h = self.c2(h)
        return self.fc((h.relu_() if self.overwrites else torch.relu(h)).mean((2, 3)))


KINDS = ["counter", "generator", "array", "initialisation by data", "moving average", "new buffer", "running statistics"]


@pytest.mark.parametrize("copied", [True, False])
@pytest.mark.parametrize("kind", KINDS)
def test_a_value_does_not_depend_on_the_others_where_a_forward_pass_changes_the_network(kind: str, copied: bool) -> None:
    def network(overwrites: bool) -> Base:
        made = Changing(kind, overwrites)
        if not copied:
            made.lock = threading.Lock()  # type: ignore[assignment]
        return made

    found = [collect_statistics(network(overwrites), X, Y) for overwrites in (False, True)]
    np.testing.assert_allclose(found[0].values, found[1].values, rtol=1e-5, atol=1e-9)
    for proxy in NODE_PROXIES:
        for overwrites in (False, True):
            alone = collect_statistics(network(overwrites), X, Y, [proxy])
            np.testing.assert_allclose(alone.of(proxy), found[overwrites].of(proxy), rtol=1e-6, err_msg=proxy)
    for asked in ("flow", "logits"):  # whichever comes first
        passes = Passes(Changing(kind, False), X, Y)
        getattr(passes, asked)
        flow, gradients = passes.flow.gradients["c2"], passes.loss_gradients["c2"]
        assert flow is not None
        assert gradients is not None
        synflow, snip = (found[0].of(name)[found[0].nodes.index("c2")] for name in ("synflow", "snip"))
        assert float((flow * passes.flow.weights["c2"]).abs().sum()) == pytest.approx(synflow, rel=1e-6)
        assert float((gradients * passes.nodes["c2"].weight).abs().sum()) == pytest.approx(snip, rel=1e-5)


def renormed(layer: nn.Conv2d) -> None:
    layer.weight.data = torch.renorm(layer.weight.data, 2, 0, 0.3)


def clamped(layer: nn.Conv2d) -> None:
    with torch.no_grad():
        layer.weight.clamp_(-0.05, 0.05)


def clamped_in_place(layer: nn.Conv2d) -> None:
    layer.weight.data.clamp_(-0.05, 0.05)


def made_anew(layer: nn.Conv2d) -> None:
    layer.weight = nn.Parameter(layer.weight.detach().clamp(-0.05, 0.05))


@pytest.mark.parametrize("bound", [renormed, clamped, clamped_in_place, made_anew])
def test_weights_that_a_forward_pass_bounds_are_those_that_it_used(bound: Callable[[nn.Conv2d], None]) -> None:
    class Bounded(Base):
        def second(self, h: torch.Tensor) -> torch.Tensor:
            bound(self.c2)
            return super().second(h)

    plain = Base()
    bound(plain.c2)
    check(Bounded(), plain)
    whole = collect_statistics(Bounded(), X, Y)
    for proxies in (["l2_norm"], ["synflow", "l2_norm"], ["grasp"], ["synflow"]):
        part = collect_statistics(Bounded(), X, Y, proxies)
        np.testing.assert_allclose(part.values, [whole.of(proxy) for proxy in proxies], rtol=1e-6)


# --- tensors of its own that a network writes into


def from_numpy(network: Any) -> torch.Tensor:
    mask = torch.from_numpy(np.zeros((6, 1, 1), np.float32))
    mask[::2] = 1
    return mask


def kept_and_filled(network: Any) -> torch.Tensor:
    network.mask.zero_()
    network.mask[::2] = 1
    return network.mask


def by_view(network: Any) -> torch.Tensor:
    view = network.mask[1::2]
    view.mul_(0)
    return network.mask


def by_out(network: Any) -> torch.Tensor:
    torch.mul(network.mask, torch.tensor([1.0, 0.0] * 3)[:, None, None], out=network.mask)
    return network.mask


def by_data(network: Any) -> torch.Tensor:
    network.mask.data[1::2] = 0
    return network.mask


def by_masked_fill(network: Any) -> torch.Tensor:
    network.mask.masked_fill_(torch.tensor([False, True] * 3)[:, None, None], 0)
    return network.mask


def by_memory_in_common(network: Any) -> torch.Tensor:
    network.half.zero_()
    return network.mask


def by_numpy(network: Any) -> torch.Tensor:
    array = np.full((6, 1, 1), 0.5, np.float32)
    before = torch.from_numpy(array).sum() / 3
    array[:] = 0
    array[::2] = 1
    return torch.from_numpy(array) * before


WRITERS = [by_numpy, from_numpy, kept_and_filled, by_view, by_out, by_data, by_masked_fill, by_memory_in_common]


@pytest.mark.parametrize("write", WRITERS)
def test_what_a_forward_pass_writes_into_a_tensor_of_its_own(write: Callable[[Any], torch.Tensor]) -> None:
    """Half of the channels are masked."""

    class Masked(Base):
        def __init__(self) -> None:
            super().__init__()
            self.mask = torch.ones(6, 1, 1)
            self.half = self.mask[1::2]

        def first(self, x: torch.Tensor) -> torch.Tensor:
            return super().first(x) * write(self)

    plain = with_(first=lambda self, x: Base.first(self, x) * torch.tensor([1.0, 0.0] * 3).to(x)[:, None, None])
    check(Masked(), plain)
    alone = collect_statistics(Masked(), X, Y, ["synflow"])
    np.testing.assert_array_equal(alone.values[0], collect_statistics(plain, X, Y, ["synflow"]).values[0])


# --- copies that are none


class Rebuilt(Base):
    """Its copy is built anew, which draws random numbers, and gets its weights or not."""

    loads = True

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def __deepcopy__(self, memo: Any) -> "Rebuilt":
        made = type(self)()
        torch.rand(3)
        for parameter in made.parameters():
            nn.init.normal_(parameter)
        made.seen = self.seen
        if self.loads:
            made.load_state_dict(self.state_dict())
        return made

    def second(self, h: torch.Tensor) -> torch.Tensor:
        self.seen.append(h)
        return super().second(h)


@pytest.mark.parametrize("loads", [True, False])
def test_a_copy_that_shares_lists_or_has_other_weights(loads: bool) -> None:
    network = type("Own", (Rebuilt,), {"loads": loads})()
    torch.manual_seed(7)
    state = torch.get_rng_state()
    check(network, Base())
    assert network.seen == []
    torch.manual_seed(7)
    collect_statistics(network, X, Y, ["snip"])
    assert torch.equal(torch.get_rng_state(), state)
