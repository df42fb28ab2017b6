"""Layers that another thread calls, weights that it reads, and tensors that a cache keeps of an earlier pass."""

import functools
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
import torch
from network_toys import Base, X, Y, check, state, with_
from torch import nn

from parzc_core import collect_statistics, network_proxies
from parzc_core.errors import BadInput
from parzc_core.proxies import NODE_PROXIES


class OwnBatchNorm(nn.BatchNorm2d):
    """Has no faster form: Synflow's pass has to see its call."""


POOL = ThreadPoolExecutor(1)


def in_a_pool(function: Callable[..., torch.Tensor], *values: torch.Tensor) -> torch.Tensor:
    with ThreadPoolExecutor(2) as pool:
        return pool.submit(function, *values).result()


def in_a_pool_that_stays(function: Callable[..., torch.Tensor], *values: torch.Tensor) -> torch.Tensor:
    return POOL.submit(function, *values).result()


def in_a_thread(function: Callable[..., torch.Tensor], *values: torch.Tensor) -> torch.Tensor:
    found: list[torch.Tensor] = []
    thread = threading.Thread(target=lambda: found.append(function(*values)))
    thread.start()
    thread.join()
    return found[0]


@pytest.mark.parametrize("start", [in_a_pool, in_a_pool_that_stays, in_a_thread])
@pytest.mark.parametrize("parts", [["b"], ["c2"], ["fc"], ["c1", "b", "c2", "fc"]])
@pytest.mark.parametrize("norm", [nn.BatchNorm2d, OwnBatchNorm])
def test_layers_that_other_threads_call(
    start: Callable[..., Any], parts: list[str], norm: type[nn.BatchNorm2d]
) -> None:
    class Threads(Base):
        def __init__(self) -> None:
            super().__init__()
            self.b = norm(6)
            self.b.running_var.fill_(4)

        def call(self, name: str, x: torch.Tensor) -> torch.Tensor:
            layer = getattr(self, name)
            return start(layer, x) if name in parts else layer(x)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = torch.relu(self.call("b", self.call("c1", x)))
            return self.call("fc", torch.relu(self.call("c2", h)).mean((2, 3)))

    class Plain(Threads):
        def call(self, name: str, x: torch.Tensor) -> torch.Tensor:
            return getattr(self, name)(x)

    check(Threads(), Plain(), tuple(proxy for proxy in NODE_PROXIES if proxy != "synflow"))
    if norm is OwnBatchNorm and "b" in parts:  # whose call Synflow's pass has to see
        with pytest.raises(BadInput, match=r"computed before this forward pass, or by another thread \(\w+\)") as refused:
            collect_statistics(Threads(), X, Y, ["synflow"])
        assert "\n" not in str(refused.value)
    else:
        check(Threads(), Plain(), ("synflow",))


@pytest.mark.parametrize("start", [in_a_pool, in_a_pool_that_stays, in_a_thread])
def test_a_weight_that_another_thread_reads_is_refused(start: Callable[..., Any]) -> None:
    class Threads(Base):
        def second(self, h: torch.Tensor) -> torch.Tensor:
            pooled = torch.relu(self.c2(h)).mean((2, 3))
            return start(lambda x: nn.functional.linear(x, self.fc.weight, self.fc.bias), pooled)

    network = Threads()
    before = state(network)
    for proxies in (["snip"], ["synflow"]):
        with pytest.raises(BadInput, match=r"by another thread \(AddmmBackward0\)"):
            collect_statistics(network, X, Y, proxies)
    assert state(network) == before


def test_what_a_cache_of_functools_keeps_of_an_earlier_pass_is_refused() -> None:
    class Cached(Base):
        @functools.cache  # noqa: B019
        def gain(self) -> torch.Tensor:
            return self.c1.weight.abs().mean()

        @functools.cache  # noqa: B019
        def positions(self) -> torch.Tensor:
            return torch.linspace(0, 1, 8)

        def first(self, x: torch.Tensor) -> torch.Tensor:
            return super().first(x + self.positions()) * self.gain()

    def first(self: Base, x: torch.Tensor) -> torch.Tensor:
        return Base.first(self, x + torch.linspace(0, 1, 8)) * self.c1.weight.abs().mean()

    check(Cached(), with_(first=first), tuple(proxy for proxy in NODE_PROXIES if proxy != "synflow"))
    assert "synflow" in collect_statistics(Cached(), X, Y, ["synflow"]).proxies
    with pytest.raises(BadInput, match=r"computed before this forward pass, .*keeps none in a cache"):
        collect_statistics(Cached(), X, Y)
    with pytest.raises(BadInput, match=r"computed before this forward pass"):
        network_proxies(Cached(), X, Y, ["zico"])  # of two halves


@pytest.mark.parametrize("kept", [True, False])
def test_a_tensor_that_depends_on_no_weight_of_a_node_may_be_computed_before(kept: bool) -> None:
    class Scaled(Base):
        def __init__(self) -> None:
            super().__init__()
            self.scale = 2 * nn.Parameter(torch.ones(6, 1, 1))
            self.scale = self.scale if kept else self.scale.detach()

        def first(self, x: torch.Tensor) -> torch.Tensor:
            return super().first(x) * self.scale

    found = collect_statistics(Scaled(), X, Y)
    expected = collect_statistics(with_(first=lambda self, x: 2 * Base.first(self, x)), X, Y)
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-5)
