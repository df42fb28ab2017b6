"""Fisher by the calls of a node: which of them are of its channels and of the same images, and what cannot be told."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from network_toys import Base, X, Y, with_
from torch import nn

from parzc_core.collector import collect_statistics
from parzc_core.encoding import encode
from parzc_core.errors import BadInput
from parzc_core.proxies import NODE_PROXIES, NODE_REGISTRY, NodeTensors

Applied = Callable[[Any, torch.Tensor], torch.Tensor]  # a layer and its input to what its weight makes of it


def fisher_of(network: nn.Module, node: str) -> float:
    statistics = collect_statistics(network, X, Y, ["fisher"])
    return float(statistics.of("fisher")[statistics.nodes.index(node)])


class Functional(nn.Module):
    """A network that is called with other tensors in place of its weights."""

    def __init__(self, made: Callable[[torch.Tensor], torch.Tensor]):
        super().__init__()
        self.inner, self.made = Base(), made

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        weights = {name: self.made(p) for name, p in self.inner.named_parameters()}
        return torch.func.functional_call(self.inner, weights, (x,))


@pytest.mark.parametrize("made", [lambda w: w, lambda w: w * 1.0, lambda w: w.clone().contiguous()])
def test_a_call_with_weights_that_are_made_of_the_nodes_is_one_call(made: Callable[[torch.Tensor], torch.Tensor]) -> None:
    for node in ("c1", "c2", "fc"):
        assert fisher_of(Functional(made), f"inner.{node}") == pytest.approx(fisher_of(Base(), node), rel=1e-4)


def test_a_call_that_failed_hides_no_later_one() -> None:
    def tries(self: Any, h: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.c2(h)).mean((2, 3))
        try:
            self.fc(h[:, :3])
        except RuntimeError:
            h = F.linear(h, self.fc.weight, self.fc.bias)
        return h

    assert fisher_of(with_(second=tries), "fc") == pytest.approx(fisher_of(Base(), "fc"), rel=1e-4)


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


class Headed(nn.Module):
    def __init__(self, call: Applied):
        super().__init__()
        torch.manual_seed(1)
        self.stem, self.a, self.fc = nn.Linear(192, 12), nn.Linear(12, 6, bias=False), nn.Linear(6, 4)
        self.call = call

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(self.call(self.a, torch.relu(self.stem(x.flatten(1))))))


@pytest.mark.parametrize(
    "by_heads",
    [
        lambda layer, h: torch.matmul(h, layer.weight.view(2, 3, 12).mT).transpose(0, 1).flatten(1),
        lambda layer, h: torch.matmul(h[:, None, None], layer.weight.view(2, 3, 12).mT).flatten(1),
        lambda layer, h: torch.bmm(h.expand(2, -1, -1), layer.weight.view(2, 3, 12).mT).transpose(0, 1).flatten(1),
    ],
)
def test_the_fisher_of_a_weight_that_is_applied_head_by_head_has_no_value(by_heads: Applied) -> None:
    found, plain = (collect_statistics(Headed(call), X, Y) for call in (by_heads, lambda layer, h: layer(h)))
    assert found.left_out == ("fisher of a",)
    assert np.isnan(found.of("fisher")).tolist() == [node == "a" for node in found.nodes]
    np.testing.assert_allclose(found.values[1:], plain.values[1:], rtol=1e-3, atol=1e-6)


def test_a_node_has_no_fisher_where_one_of_its_calls_cannot_be_told() -> None:
    def whole_and_by_heads(layer: Any, h: torch.Tensor) -> torch.Tensor:
        return layer(h) + torch.matmul(h, layer.weight.view(2, 3, 12).mT).transpose(0, 1).flatten(1)

    assert np.isnan(fisher_of(Headed(whole_and_by_heads), "a"))


def test_a_transposed_convolution_with_the_weight_of_a_convolution_is_no_call_of_it() -> None:
    def decoded(self: Any, h: torch.Tensor) -> torch.Tensor:
        self.kept = self.c2(h)
        return self.fc(F.conv_transpose2d(torch.relu(self.kept), self.c2.weight).mean((2, 3)))

    network = with_(second=decoded)
    (gradient,) = torch.autograd.grad(F.cross_entropy(network(X), Y), [network.kept])
    expected = 54 * float(0.5 * (network.kept * gradient).sum((2, 3)).square().mean(0).sum())
    del network.kept
    assert fisher_of(network, "c2") == pytest.approx(expected, rel=1e-4)


# --- calls of other images

Groups = list[list[torch.Tensor]]  # outputs; those of the same images together


def one_each(layer: Any, parts: Any) -> Groups:
    return [[layer(part)] for part in parts]


def chunks(layer: Any, h: torch.Tensor) -> Groups:
    return one_each(layer, h.chunk(2))


def split(layer: Any, h: torch.Tensor) -> Groups:
    return one_each(layer, h.split([3, 5]))


def slices(layer: Any, h: torch.Tensor) -> Groups:
    return one_each(layer, [h[:4], h[4:]])


def patches(layer: Any, h: torch.Tensor) -> Groups:
    """Halves of every image: of the same images."""
    return [[layer(h[..., :4]), layer(h[..., 4:])]]


def one_by_one(layer: Any, h: torch.Tensor) -> Groups:
    return one_each(layer, h)


def one_by_one_in_a_batch(layer: Any, h: torch.Tensor) -> Groups:
    return one_each(layer, h.split(1))


def flat(layer: Any, h: torch.Tensor) -> Groups:
    """Two rows for every image, twice."""
    both = torch.cat([h, h.flip(3)], 1).view(16, 6, 8, 8)
    return [[layer(both), layer(0.5 * both)]]


class Sliced(Base):
    """Its second convolution is called on parts; `groups` are the outputs of the same images."""

    def __init__(self, call: Callable[..., Groups]):
        super().__init__()
        self.call = call

    def second(self, h: torch.Tensor) -> torch.Tensor:
        self.groups = self.call(self.c2, h)
        rows = []
        for group in self.groups:
            pooled = [torch.relu(o).mean((-2, -1)) for o in group]
            rows.append(torch.stack(pooled).sum(0))
        together = torch.stack(rows) if rows[0].ndim == 1 else torch.cat(rows)
        return self.fc(together.view(8, -1, 6).mean(1))


@pytest.mark.parametrize("call", [chunks, split, slices, patches, one_by_one, one_by_one_in_a_batch, flat])
def test_calls_of_other_images_are_squared_apart(call: Callable[..., Groups]) -> None:
    network = Sliced(call)
    loss = F.cross_entropy(network(X), Y)
    outputs = [o for group in network.groups for o in group]
    gradients = iter(torch.autograd.grad(loss, outputs))
    expected = 0.0
    for group in network.groups:
        s = torch.stack([(o * next(gradients)).sum((-2, -1)).detach() for o in group]).sum(0)
        expected += 54 * float(0.5 * s.square().reshape(-1, 6).mean(0).sum())
    del network.groups
    statistics = collect_statistics(network, X, Y)
    assert statistics.of("fisher")[statistics.nodes.index("c2")] == pytest.approx(expected, rel=1e-4)
    assert statistics.left_out == ()


@pytest.mark.parametrize(
    "call",
    [
        lambda layer, h: one_each(layer, [2 * part for part in h.chunk(2)]),
        lambda layer, h: one_each(layer, [2 * image for image in h]),
        lambda layer, h: one_each(layer, [h[torch.arange(4)], h[torch.arange(4, 8)]]),
    ],
)
def test_calls_whose_images_cannot_be_told_have_no_value(call: Callable[..., Groups]) -> None:
    statistics = collect_statistics(Sliced(call), X, Y)
    assert statistics.left_out == ("fisher of c2",)
    values = statistics.of("fisher")
    assert np.isnan(values).tolist() == [node == "c2" for node in statistics.nodes]


class Tokens(nn.Module):
    """A Linear layer on [N, T, C], called in some way."""

    def __init__(self, call: Applied, tokens: int):
        super().__init__()
        torch.manual_seed(1)
        self.stem, self.a, self.fc = nn.Linear(192, 6 * tokens), nn.Linear(6, 5), nn.Linear(5, 4)
        self.tokens, self.call = tokens, call

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.stem(x.flatten(1))).view(8, self.tokens, 6)
        return self.fc(torch.relu(self.call(self.a, h)).mean(1))


def test_tokens_of_one_image_or_one_step_at_a_time() -> None:
    for tokens in (3, 8):
        steps = Tokens(lambda layer, h: torch.stack([layer(step) for step in h.unbind(1)], 1), tokens)
        whole = Tokens(lambda layer, h: layer(h), tokens)
        assert fisher_of(steps, "a") == pytest.approx(fisher_of(whole, "a"), rel=1e-4)
    # An image at a time: the mean over images of the whole is the sum over calls of one image each, by their number.
    images, whole = (
        Tokens(call, 3) for call in (lambda layer, h: torch.stack([layer(image) for image in h]), lambda layer, h: layer(h))
    )
    assert fisher_of(images, "a") == pytest.approx(8 * fisher_of(whole, "a"), rel=1e-4)
    # As many tokens as images: an image's tokens look like a step of all images.
    either = Tokens(lambda layer, h: torch.stack([layer(image) for image in h]), 8)
    assert np.isnan(fisher_of(either, "a"))
    vectors = Tokens(lambda layer, h: torch.stack([layer(image) for image in h[:, 0]])[:, None], 3)
    batch = Tokens(lambda layer, h: layer(h[:, :1]), 3)
    assert fisher_of(vectors, "a") == pytest.approx(8 * fisher_of(batch, "a"), rel=1e-4)


class Sequences(nn.Module):
    """Attention or a recurrent layer, and a Linear layer, on sequences [N, L, C] or [L, N, C]."""

    def __init__(self, length: int, batch_first: bool, recurrent: bool):
        super().__init__()
        torch.manual_seed(1)
        self.length, self.batch_first, self.stem = length, batch_first, nn.Linear(192 // length, 6)
        self.inner: Any = nn.TransformerEncoderLayer(6, 2, 12, 0.0, batch_first=batch_first)
        if recurrent:
            self.inner = nn.GRU(6, 6, batch_first=batch_first)
        self.a, self.fc = nn.Linear(6, 5), nn.Linear(5, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = x.flatten(1).view(8, self.length, -1)
        h = self.inner(self.stem(h if self.batch_first else h.transpose(0, 1)))
        h = torch.relu(self.a(h[0] if isinstance(h, tuple) else h))
        return self.fc(h.mean(1 if self.batch_first else 0))


@pytest.mark.parametrize("recurrent", [False, True])
@pytest.mark.parametrize("length", [4, 8, 16])
def test_sequences_that_come_first(length: int, recurrent: bool) -> None:
    found, expected = (collect_statistics(Sequences(length, first, recurrent), X, Y) for first in (False, True))
    assert found.nodes == expected.nodes
    assert np.isfinite(expected.values).all()
    values, known = found.of("fisher"), expected.of("fisher")
    if length == len(X):  # [L, N, C] and [N, L, C] look alike
        rows = [found.nodes.index(name) for name in ("a", "stem")]
        assert np.isnan(values[rows]).all()
        known = np.where(np.isnan(values), np.nan, known)
    np.testing.assert_allclose(values, known, rtol=1e-3)


def test_as_many_columns_as_images_where_nothing_says_that_sequences_come_first() -> None:
    """[5, N, C] may be N images of 5 tokens, or 5 of the images with N tokens each."""

    def turned(layer: Any, h: torch.Tensor) -> torch.Tensor:
        return layer(h.transpose(0, 1)).transpose(0, 1)

    assert np.isnan(fisher_of(Tokens(turned, 5), "a"))
    assert np.isfinite(fisher_of(Tokens(lambda layer, h: layer(h), 5), "a"))


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


# --- the formulas on tensors


def test_proxies_are_their_formulas_on_the_tensors_of_a_node() -> None:
    generator = torch.Generator().manual_seed(0)
    w, g, h, f = torch.randn(4, 3, 2, 1, 1, generator=generator)
    node = NodeTensors(w, gradient=g, hessian_gradient=h, flow_weight=w.abs().double(), flow_gradient=f.double())
    assert (w * g).min() < 0 < (w * g).max()
    expected = {
        "grad_norm": (g**2).sum() ** 0.5,
        "grasp": -(w * h).sum(),
        "l2_norm": (w**2).sum() ** 0.5,
        "plain": (w * g).sum(),
        "snip": (w * g).abs().sum(),
        "synflow": (w.abs() * f).abs().sum(),
    }
    for name, value in expected.items():
        assert NODE_REGISTRY[name].value(node) == pytest.approx(float(value), rel=1e-5), name
    assert NODE_REGISTRY["grasp"].value(replace(node, hessian_product=2.5)) == -2.5


def test_a_node_that_does_not_reach_the_loss_has_zeros_without_a_sign() -> None:
    node = NodeTensors(torch.ones(3, 2))
    values = {name: NODE_REGISTRY[name].value(node) for name in NODE_PROXIES}
    assert values == {name: 6**0.5 if name == "l2_norm" else 0.0 for name in NODE_PROXIES}
    assert str(values["grasp"]) == "0.0"
    seen = replace(node, gradient=torch.ones(3, 2))
    assert np.isnan(NODE_REGISTRY["fisher"].value(seen))  # it reaches the loss, and no output was seen


def test_fisher_by_hand_of_calls_with_channels_anywhere() -> None:
    generator = torch.Generator().manual_seed(0)
    a, d = torch.randn(2, 4, 5, 3, generator=generator)  # 4 images, 5 places, 3 channels

    def fisher(outputs: list[torch.Tensor], gradients: list[torch.Tensor], **more: Any) -> float:
        calls = {"outputs": tuple(outputs), "output_gradients": tuple(gradients)}
        node = NodeTensors(torch.zeros(3, 2), torch.zeros(3, 2), **calls, **more)
        return NODE_REGISTRY["fisher"].value(node)

    s = (a * d).sum(dim=1)  # (images, channels)
    once = 0.5 * float(s.square().mean(dim=0).sum()) * 2
    assert fisher([a], [d], channel_axis=-1) == pytest.approx(once)
    assert fisher([a], [d], channel_axis=2) == pytest.approx(once)
    assert fisher([a.mT], [d.mT]) == pytest.approx(once)
    assert fisher([a, a], [d, d], channel_axis=2) == pytest.approx(4 * once)  # summed, then squared
    halves = fisher([a[:2], a[2:]], [d[:2], d[2:]], channel_axis=2, images=(0, 2))
    assert halves == pytest.approx(2 * once)  # each a mean over two images
    assert fisher([a, a[:0]], [d, d[:0]], channel_axis=2) == pytest.approx(once)  # of no image
    parts = fisher([a[..., :1], a[..., 1:]], [d[..., :1], d[..., 1:]], channel_axis=2, rows=(0, 1), channels=3)
    assert parts == pytest.approx(once)
    assert fisher([a], [d], channel_axis=2, channels=6) == pytest.approx(once / 2)
    assert np.isnan(fisher([a, a], [d, d], channel_axis=2, images=(None, None)))
    assert fisher([a], [d], channel_axis=2, images=(None,)) == pytest.approx(once)
