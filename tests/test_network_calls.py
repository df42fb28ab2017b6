"""How the collector is called: other losses and inputs, what is left out, and networks and batches that are refused."""

import gc
import random
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from network_toys import FIRST, Base, X, Y, state, with_
from plain_autograd import reference
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from parzc_core import network_proxies
from parzc_core._state import same_start
from parzc_core.collector import collect_statistics
from parzc_core.errors import BadInput
from parzc_core.passes import Passes
from parzc_core.proxies import NODE_PROXIES

# --- other tasks


def test_a_loss_of_ones_own() -> None:
    torch.manual_seed(1)
    network, masks = (
        nn.Sequential(nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(), nn.ConvTranspose2d(6, 5, 1)),
        Y[:, None, None].repeat(1, 8, 8),
    )
    statistics = collect_statistics(network, X, masks, loss=F.cross_entropy)
    expected = reference(network, X, masks)
    for proxy in NODE_PROXIES:
        assert dict(zip(statistics.nodes, statistics.of(proxy), strict=True)) == pytest.approx(
            expected[proxy], rel=2e-3
        )
    scores = network_proxies(network, X, masks, ["snip", "jacov", "zico", "flops"], loss=F.cross_entropy)
    assert scores["snip"] == pytest.approx(statistics.sums()["snip"])
    assert all(np.isfinite(list(scores.values())))


@pytest.mark.parametrize("loss", [3, lambda out, y: out, lambda out, y: 1.0, lambda out, y: out.nothing])
def test_a_loss_that_is_none(loss: Any) -> None:
    with pytest.raises(BadInput, match="loss"):
        collect_statistics(Base(), X, Y, loss=loss)


def penalty(network: nn.Module) -> torch.Tensor:
    return 0.1 * sum((p.square().sum() for p in network.parameters()), torch.zeros(()))


class Penalised(Base):
    def forward(self, x: torch.Tensor) -> Any:  # type: ignore[override]
        return super().forward(x), penalty(self)


class Keeping(Base):
    """Keeps what a loss reads, as layers of experts do."""

    told: Any = None

    def first(self, x: torch.Tensor) -> torch.Tensor:
        h = super().first(x)
        self.told = h.square().mean()
        return h


class Telling(Base):
    def forward(self, x: torch.Tensor) -> Any:  # type: ignore[override]
        h = self.first(x)
        return self.second(h), h.square().mean()


class Twice(Base):
    def forward(self, x: torch.Tensor) -> Any:  # type: ignore[override]
        return super().forward(x), F.cross_entropy(super().forward(x + 1), Y)


def cross_entropy_and_more(out: tuple[torch.Tensor, torch.Tensor], y: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(out[0], y) + out[1]


@pytest.mark.parametrize(
    ("make", "more", "plain"),
    [
        (Base, penalty, Penalised),
        (Keeping, lambda network: network.told, Telling),
        (Base, lambda network: F.cross_entropy(network(X + 1), Y), Twice),
    ],
    ids=["a penalty on weights", "what the network keeps", "the network once more"],
)
def test_a_loss_that_reads_the_network(make: Any, more: Callable[[Any], torch.Tensor], plain: Any) -> None:
    network, proxies = make(), NODE_PROXIES[:-1]  # synflow has no loss
    before = state(network)
    found = collect_statistics(network, X, Y, proxies, loss=lambda out, y: F.cross_entropy(out, y) + more(network))
    assert state(network) == before
    expected = collect_statistics(plain(), X, Y, proxies, loss=cross_entropy_and_more)
    assert found.nodes == expected.nodes
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-4, atol=1e-7)


class Centred(nn.Module):
    """A loss that keeps a running mean of the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(4))
        self.calls = 0

    def forward(self, out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        self.mean += out.mean(0).detach()
        return F.cross_entropy(out - self.mean, y)


def test_what_a_loss_writes_into() -> None:
    def writes(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        y[y == 3] = 0
        return F.cross_entropy(out.sub_(out.mean()).div_(2), y)

    def makes(out: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy((out - out.mean()) / 2, torch.where(y == 3, 0, y))

    labels = Y.clone()
    found, expected = (collect_statistics(Base(), X, labels, loss=loss).values for loss in (writes, makes))
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert torch.equal(labels, Y)
    loss = Centred()
    first, second = (network_proxies(Base(), X, Y, ["snip", "zico"], loss=loss) for _ in range(2))
    assert first == second
    assert (loss.calls, loss.get_buffer("mean").tolist()) == (0, [0.0] * 4)


class Pair(NamedTuple):
    left: torch.Tensor
    right: torch.Tensor


@dataclass(frozen=True, slots=True)
class Both:
    left: torch.Tensor
    right: torch.Tensor


@pytest.mark.parametrize("kind", [Pair, Both], ids=["named tuple", "dataclass"])
def test_inputs_and_outputs_of_types_of_ones_own(kind: Any) -> None:
    class Takes(Base):
        def forward(self, scale: torch.Tensor, x: Any, size: Any) -> Any:  # type: ignore[override]
            assert type(size) is tuple
            x.right.mul_(scale)  # into what is its own
            return kind(Base.forward(self, x.left - x.right), x.left)

    half = 0.5 * X
    given = (torch.tensor(2.0), kind(X, half), (3, X))
    found = collect_statistics(Takes(), given, Y, FIRST[:-1], loss=lambda out, y: F.cross_entropy(out.left, y)).values
    assert torch.equal(half, 0.5 * X)
    plain = with_(first=lambda self, x: Base.first(self, x - 2 * (0.5 * x)))
    np.testing.assert_allclose(found, collect_statistics(plain, X, Y, FIRST[:-1]).values, rtol=1e-3, atol=1e-7)


def test_several_inputs_by_place_and_by_name() -> None:
    class Pair(Base):
        def forward(self, left: torch.Tensor, right: torch.Tensor, flip: bool = False) -> torch.Tensor:  # type: ignore[override]
            return Base.forward(self, left - right)

    both = [(X, 0.5 * X), [X, 0.5 * X, True], {"right": 0.5 * X, "left": X}]
    found = [collect_statistics(Pair(), images, Y, FIRST[:-1]).values for images in both]
    plain = with_(first=lambda self, x: Base.first(self, x - 0.5 * x))
    for values in found:
        np.testing.assert_allclose(values, collect_statistics(plain, X, Y, FIRST[:-1]).values, rtol=1e-3, atol=1e-7)


@pytest.mark.parametrize("first", ["logit_gradients", "image_gradients"])
def test_gradients_of_all_logits_by_weights_and_by_the_first_input(first: str) -> None:
    """In either order: the second is taken out of what the first has made, where it can be."""

    class Pair(Base):
        def forward(self, left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
            return Base.forward(self, left - right.mean((2, 3), keepdim=True))

    network = Pair()
    images, weights = X.clone().requires_grad_(True), {"c1": network.c1.weight, "c2": network.c2.weight, "fc": network.fc.weight}
    right = torch.zeros(8, 3, 4, 4)
    expected, *of_weights = torch.autograd.grad(network(images, right).sum(), [images, *weights.values()])
    passes = Passes(network, (X, right), Y)
    assert torch.equal(passes.images, X)
    getattr(passes, first)
    assert passes.image_gradients is not None
    torch.testing.assert_close(passes.image_gradients, expected, rtol=1e-4, atol=1e-5)
    for got, of_weight in zip((passes.logit_gradients[name] for name in weights), of_weights, strict=True):
        torch.testing.assert_close(got, of_weight, rtol=1e-3, atol=1e-4)


def test_a_part_of_a_weight_is_known_by_its_first_channel() -> None:
    def second(self: Any, h: torch.Tensor) -> torch.Tensor:
        pooled = torch.relu(self.c2(h)).mean((2, 3))
        parts = self.fc.weight.split([1, 3])
        return torch.cat([F.linear(pooled, part) for part in parts], 1) + self.fc.bias

    passes = Passes(with_(second=second), X, Y)
    assert [call.row for call in passes.calls if call.name == "fc"] == [0, 1]


def test_passes_keep_the_network_that_they_were_given_a_copy_of() -> None:
    network = Base()
    seen = weakref.ref(network)
    passes = Passes(network, X, Y)
    del network
    gc.collect()
    assert seen() is not None  # else a tensor made later could get the id of a weight that no pass may touch
    assert np.isfinite(passes.logits.detach().numpy()).all()


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, lambda: torch.autocast("cpu", torch.bfloat16)])
def test_the_callers_mode_does_not_matter(context: Callable[[], Any]) -> None:
    names = ["snip", "jacov", "zico", "gradsign", "zen"]
    with context():
        images, network = X * 1, Base()
        inside, scores = collect_statistics(network, images, Y).values, network_proxies(network, images, Y, names)
    np.testing.assert_array_equal(inside, collect_statistics(Base(), X, Y).values)
    assert scores == network_proxies(Base(), X, Y, names)


def test_what_is_left_out_is_named_and_never_zero() -> None:
    def by_einsum(self: Any, h: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nc,oc->no", torch.relu(self.c2(h)).mean((2, 3)), self.fc.weight)

    statistics = collect_statistics(with_(second=by_einsum), X, Y)
    assert statistics.left_out == ("fisher of fc",)
    values = statistics.of("fisher")
    assert np.isnan(values).tolist() == [node == "fc" for node in statistics.nodes]
    assert statistics.of("snip")[statistics.nodes.index("fc")] > 0


# --- what is no network, and no batch


def traced() -> Any:
    return torch.jit.trace(Base(), X)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize(
    ("network", "words"),
    [
        (lambda: [Base()], "expected one torch module"),
        (lambda: nn.Linear, "expected one torch module"),
        (lambda: None, "expected one torch module"),
        (lambda: nn.Sequential(nn.LazyConv2d(6, 3), nn.Flatten(), nn.LazyLinear(4)), "run one batch through it first"),
        (traced, "torch.jit"),
        (lambda: nn.Linear(3, 4, device="meta"), "initialise it first"),
        (lambda: with_(second=lambda self, h: (Base.second(self, h),)), "loss="),
        (lambda: with_(second=lambda self, h: {"logits": Base.second(self, h)}), "loss="),
        (lambda: with_(second=lambda self, h: Base.second(self, h).detach()), "no tensor that depends on a weight"),
        (lambda: with_(second=lambda self, h: Base.second(self, h)[:3]), "3 rows of logits for 8 labels"),
    ],
)
def test_networks_that_cannot_be_judged(network: Callable[[], Any], words: str) -> None:
    with pytest.raises(BadInput, match=words):
        collect_statistics(network(), X, Y)


@pytest.mark.parametrize(
    ("images", "labels", "words"),
    [
        (X.numpy(), Y, "torch.from_numpy"),
        (X, Y.numpy(), "int64 tensor"),
        (X, None, "int64 tensor"),
        (torch.nested.nested_tensor(list(X)), Y, "ordinary tensors"),
        (X.to("meta"), Y, "ordinary tensors"),
        (X[:0], Y[:0], "empty batch"),
        ((), Y, "without a tensor"),
        ({"x": 3}, Y, "without a tensor"),
        ((X, X), Y, "inputs of shapes .*TypeError"),
        (torch.randn(8, 5, 8, 8), Y, "cannot process images of shape"),
    ],
)
def test_batches_that_cannot_be_used(images: Any, labels: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        collect_statistics(Base(), images, labels)


def test_a_call_inside_a_transform_is_refused() -> None:
    network = Base()

    def called(x: torch.Tensor) -> torch.Tensor:
        collect_statistics(network, x, Y)
        return x.sum()

    for transform in (torch.func.vmap, torch.func.grad, lambda f: lambda x: torch.func.jvp(f, (x,), (x,))):
        with pytest.raises(BadInput, match=r"inside a transform of torch\.func"):
            transform(called)(X[None] if transform is torch.func.vmap else X)


def test_tensors_that_have_no_values_are_refused() -> None:
    with FakeTensorMode() as mode:
        fake = Base()
        with pytest.raises(BadInput, match="FakeTensorMode"):
            collect_statistics(Base(), torch.randn(8, 3, 8, 8), Y)
    with pytest.raises(BadInput, match=r"no values yet \(weight is a fake tensor"):
        collect_statistics(fake, X, Y)
    with pytest.raises(BadInput, match="have values"):
        collect_statistics(Base(), mode.from_tensor(X), Y)
    network = Base()
    before = state(network)
    with FakeTensorMode(allow_non_fake_inputs=True), pytest.raises(BadInput, match="FakeTensorMode"):
        network_proxies(network, X, Y, ["params"])
    assert state(network) == before


@pytest.mark.parametrize(
    "name", ["flops", "nwot", "zen", "zico", "jacov", "gradsign", "ntk_condition", "eznas", "snip"]
)
def test_every_score_says_that_the_channels_are_wrong(name: str) -> None:
    with pytest.raises(BadInput, match="cannot process images of shape"):
        network_proxies(Base(), torch.randn(8, 5, 8, 8), Y, [name])


def test_multiply_adds_of_fused_layers() -> None:
    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.p, self.fc, self.rnn = nn.Linear(24, 8), nn.Linear(6, 4), nn.GRU(8, 6, batch_first=True)
            self.layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.fc(self.rnn(self.layer(self.p(x.flatten(1).view(-1, 8, 24))))[0][:, -1])

    tokens = 8
    attention = 8 * 24 + 2 * tokens * 8 + 8 * 8 + 2 * 8 * 16  # of one token
    expected = 2 * (tokens * (24 * 8 + attention + 3 * 6 * (8 + 6)) + 6 * 4)
    assert network_proxies(Encoder(), X, Y, ["flops"])["flops"] == expected


@pytest.mark.parametrize("generator", ["torch", "numpy", "Python"])
def test_what_is_random_in_a_network_starts_alike_whatever_the_caller_drew(generator: str) -> None:
    seed_of, draw = {
        "torch": (torch.manual_seed, lambda: torch.rand(3).tolist()),
        "numpy": (np.random.seed, lambda: np.random.rand(3).tolist()),  # noqa: NPY002
        "Python": (random.seed, lambda: [random.random() for _ in range(3)]),
    }[generator]
    drawn, after = [], []
    for seed in (1, 2):
        seed_of(seed)
        with same_start():
            drawn.append(draw())
        after.append(draw())
        seed_of(seed)
        assert after[-1] == draw()  # the caller's generator goes on as if nothing had been
    assert drawn[0] == drawn[1]
    assert after[0] != after[1]


def test_random_numbers_of_python_and_numpy_in_a_forward_pass() -> None:
    def noisy(self: Any, x: torch.Tensor) -> torch.Tensor:
        return Base.first(self, x) * (random.random() + np.random.rand())  # noqa: NPY002

    states = random.getstate(), np.random.get_state()[1].tolist()  # type: ignore[index,union-attr]  # noqa: NPY002
    values = [collect_statistics(with_(first=noisy), X, Y, proxies).of("snip") for proxies in (["snip"], NODE_PROXIES)]
    np.testing.assert_array_equal(*values)
    assert states == (random.getstate(), np.random.get_state()[1].tolist())  # type: ignore[index,union-attr]  # noqa: NPY002
