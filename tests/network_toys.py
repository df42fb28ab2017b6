"""Small networks, and the check that a network has the values of its plain twin and is left as it was, bit for bit."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from plain_autograd import reference
from torch import nn

from parzc_core.collector import collect_statistics
from parzc_core.proxies import NODE_PROXIES

GENERATOR = torch.Generator().manual_seed(0)
X, Y = torch.randn(8, 3, 8, 8, generator=GENERATOR), torch.randint(0, 4, (8,), generator=GENERATOR)
FIRST = tuple(p for p in NODE_PROXIES if p != "grasp")  # of those, what needs no second derivative


class Base(nn.Module):
    """Convolution, BatchNorm, ReLU; convolution, ReLU, mean, Linear."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.c1, self.b, self.c2, self.fc = (
            nn.Conv2d(3, 6, 3, padding=1),
            nn.BatchNorm2d(6),
            nn.Conv2d(6, 6, 3),
            nn.Linear(6, 4),
        )

    def first(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.b(self.c1(x)))

    def second(self, h: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.c2(h)).mean((2, 3)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(x))


def with_(first: Callable[..., Any] | None = None, second: Callable[..., Any] | None = None, **layers: Any) -> Base:
    """A Base with other halves or layers."""
    made: Any = type("Changed", (Base,), {n: f for n, f in (("first", first), ("second", second)) if f is not None})()
    for name, layer in layers.items():
        if layer.state_dict():
            layer.load_state_dict(getattr(made, name).state_dict())
        setattr(made, name, layer)
    return made


def state(network: nn.Module) -> list[Any]:
    """All that must be left alone, tensors by their bits."""
    tensors = [*network.named_parameters(), *network.named_buffers()]
    modules = [
        (m.training, m.__class__, sorted(m.__dict__), len(m._forward_hooks), len(m._forward_pre_hooks))
        for m in network.modules()
    ]
    return [[(n, id(t), t.requires_grad, t.detach().numpy().tobytes()) for n, t in tensors], modules]


def check(
    network: nn.Module,
    plain: nn.Module,
    proxies: tuple[str, ...] = NODE_PROXIES,
    x: torch.Tensor = X,
    outside_z: tuple[str, ...] = (),
) -> None:
    before, images = state(network), x.clone()
    statistics = collect_statistics(network, x, Y, proxies)
    assert state(network) == before
    assert torch.equal(x, images)
    expected = reference(plain, x, Y, outside_z)
    for proxy in proxies:
        values = dict(zip(statistics.nodes, statistics.of(proxy), strict=True))
        for node, value in expected[proxy].items():
            assert values[node] == pytest.approx(value, rel=2e-3, abs=1e-6), (proxy, node)


class Shared(nn.Module):
    """Two layers with one weight, or one layer called twice. values: of an image."""

    def __init__(self, layers: int, values: int = 192, activation: Callable[..., torch.Tensor] = torch.relu):
        super().__init__()
        torch.manual_seed(1)
        self.activation = activation
        self.stem, self.a, self.out = nn.Linear(values, 6), nn.Linear(6, 6, bias=False), nn.Linear(6, 4)
        self.b = self.a if layers == 1 else nn.Linear(6, 6, bias=False)
        self.b.weight = self.a.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in (self.stem, self.a, self.b):
            x = self.activation(layer(x.flatten(1)))
        return self.out(x)
