"""Fisher by the calls of a node: which of them are of its channels and of the same images, and what cannot be told."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from network_toys import Base, X, Y, with_
from torch import nn

from parzc_core.collector import collect_statistics
from parzc_core.encoding import encode
from parzc_core.errors import BadInput
from parzc_core.proxies import NODE_PROXIES

Applied = Callable[[Any, torch.Tensor], torch.Tensor]  # a layer and its input to what its weight makes of it


def fisher_of(network: nn.Module, node: str) -> float:
    statistics = collect_statistics(network, X, Y, ["fisher"])
    return float(statistics.of("fisher")[statistics.nodes.index(node)])


# --- a weight that is applied transposed has other channels


class Autoencoder(nn.Module):
    def __init__(self, hidden: int, decode: Applied):
        super().__init__()
        torch.manual_seed(1)
        self.stem, self.encoder, self.fc = nn.Linear(192, 12), nn.Linear(12, hidden), nn.Linear(12, 4)
        self.decode = decode

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.stem(x.flatten(1)))
        self.code = self.encoder(h)
        return self.fc(torch.relu(self.decode(self.encoder, torch.relu(self.code))))


DECODERS: dict[str, Applied] = {
    "linear": lambda layer, h: F.linear(h, layer.weight.t()),
    "T": lambda layer, h: F.linear(h, layer.weight.T),
    "permute": lambda layer, h: F.linear(h, 2 * layer.weight.permute(1, 0)),
    "einsum": lambda layer, h: F.linear(h, torch.einsum("oi->io", layer.weight)),
    "normalised": lambda layer, h: F.linear(h, F.normalize(layer.weight).transpose(0, 1)),
    "matmul": lambda layer, h: h @ layer.weight,
    "matmul first": lambda layer, h: (layer.weight.t() @ h.t()).t(),
    "addmm": lambda layer, h: torch.addmm(torch.zeros(12), h, layer.weight),
    "bmm": lambda layer, h: torch.bmm(h[:, None], layer.weight.expand(len(h), -1, -1))[:, 0],
}


@pytest.mark.parametrize("hidden", [11, 12])
@pytest.mark.parametrize("how", DECODERS)
def test_the_transposed_call_of_a_tied_weight_is_no_call_of_the_node(how: str, hidden: int) -> None:
    network = Autoencoder(hidden, DECODERS[how])
    loss = F.cross_entropy(network(X), Y)
    (gradient,) = torch.autograd.grad(loss, [network.code])
    expected = 12 * float(0.5 * (network.code * gradient).square().mean(0).sum())
    del network.code
    assert fisher_of(network, "encoder") == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("hidden", [11, 12])
@pytest.mark.parametrize(
    "straight",
    [
        lambda layer, h: F.linear(h, layer.weight.t().t()),
        lambda layer, h: h @ layer.weight.mT,
        lambda layer, h: (layer.weight @ h.t()).t(),
        lambda layer, h: torch.addmm(torch.zeros(layer.out_features), h, layer.weight.t()),
        lambda layer, h: torch.cat([F.linear(h, part) for part in layer.weight.split(6)], 1),
        lambda layer, h: F.linear(h, layer.weight.view(-1).view_as(layer.weight)),
    ],
)
def test_a_weight_that_is_applied_by_a_function_is_a_call(straight: Applied, hidden: int) -> None:
    class Straight(nn.Module):
        def __init__(self, call: Applied):
            super().__init__()
            torch.manual_seed(1)
            self.stem, self.a, self.fc = nn.Linear(192, 12), nn.Linear(12, hidden, bias=False), nn.Linear(hidden, 4)
            self.call = call

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(torch.relu(self.call(self.a, torch.relu(self.stem(x.flatten(1))))))

    assert fisher_of(Straight(straight), "a") == pytest.approx(fisher_of(Straight(lambda layer, h: layer(h)), "a"), rel=1e-4)


def test_a_transposed_convolution_with_the_weight_of_a_convolution_is_no_call_of_it() -> None:
    def decoded(self: Any, h: torch.Tensor) -> torch.Tensor:
        self.kept = self.c2(h)
        return self.fc(F.conv_transpose2d(torch.relu(self.kept), self.c2.weight).mean((2, 3)))

    network = with_(second=decoded)
    (gradient,) = torch.autograd.grad(F.cross_entropy(network(X), Y), [network.kept])
    expected = 54 * float(0.5 * (network.kept * gradient).sum((2, 3)).square().mean(0).sum())
    del network.kept
    assert fisher_of(network, "c2") == pytest.approx(expected, rel=1e-4)


# --- layers without outputs


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
@pytest.mark.parametrize(
    ("make", "used"),  # torch itself refuses to call a convolution without outputs
    [
        *((lambda: nn.Linear(5, 0), used) for used in (False, True)),
        *((lambda: nn.Linear(0, 5), used) for used in (False, True)),
        (lambda: nn.Conv2d(3, 0, 1), False),
    ],
)
def test_a_layer_without_weights_has_zeros(make: Callable[[], nn.Module], used: bool) -> None:
    def second(self: Any, h: torch.Tensor) -> torch.Tensor:
        if used:
            return Base.second(self, h) + self.empty(torch.ones(8, self.empty.in_features)).sum()
        return Base.second(self, h)

    network = with_(second=second)
    network.empty = make()
    statistics = collect_statistics(network, X, Y)
    place = statistics.nodes.index("empty")
    values = {proxy: float(statistics.of(proxy)[place]) for proxy in NODE_PROXIES}
    assert not any(values.values()), values
    assert statistics.numel[place] == 0
    rest = [statistics.nodes.index(name) for name in ("c1", "c2", "fc")]
    plain = collect_statistics(Base(), X, Y)
    for proxy in NODE_PROXIES[:-1]:
        expected = [plain.of(proxy)[plain.nodes.index(name)] for name in ("c1", "c2", "fc")]
        assert statistics.of(proxy)[rest] == pytest.approx(expected, rel=1e-4, abs=1e-7)
    encode([statistics, statistics])


@pytest.mark.filterwarnings("ignore:Initializing zero-element tensors")
def test_logits_without_classes_are_refused_in_our_words() -> None:
    with pytest.raises(BadInput) as error:
        collect_statistics(nn.Sequential(nn.Flatten(), nn.Linear(192, 0)), X, Y)
    assert "IndexError" not in str(error.value)
