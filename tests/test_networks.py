"""Networks of every kind have the values of the same function in plain layers, and are left as they were, bit for bit."""

import copy
import functools
import threading
import types
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from network_toys import FIRST, Base, X, Y, check, state, with_
from torch import nn
from torch.autograd.function import once_differentiable
from torch.nn.utils import parametrizations, parametrize, prune, spectral_norm, weight_norm
from torch.utils.checkpoint import checkpoint, checkpoint_sequential

from parzc_core import network_proxies
from parzc_core.collector import collect_statistics
from parzc_core.errors import BadInput
from parzc_core.proxies import NODE_PROXIES

# --- layers that look like torch's own


class BatchNormThen(nn.BatchNorm2d):
    def __init__(self, channels: int, then: Callable[[torch.Tensor], torch.Tensor]):
        super().__init__(channels)
        self.then = then

    def forward(self, x: torch.Tensor, scale: float = 1.0) -> torch.Tensor:
        return self.then(super().forward(x)) * scale


class GELUPlus(nn.GELU):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x) + x


@pytest.mark.parametrize("then", [nn.ReLU(inplace=True), nn.SiLU(), torch.sin])
def test_a_batch_norm_with_more_inside(then: Callable[[torch.Tensor], torch.Tensor]) -> None:
    plain_then = copy.deepcopy(then)
    plain = with_(first=lambda self, x: torch.relu(plain_then(self.b(self.c1(x)))))
    check(with_(b=BatchNormThen(6, then)), plain)


def test_a_layer_with_two_inputs() -> None:
    user = with_(first=lambda self, x: torch.relu(self.b(self.c1(x), 2.0)), b=BatchNormThen(6, lambda v: v))
    check(user, with_(first=lambda self, x: torch.relu(self.b(self.c1(x)) * 2.0)))


def test_a_forward_that_was_set_on_a_layer_and_hooks_that_were_there() -> None:
    user, plain = Base(), with_(second=lambda self, h: self.fc(torch.relu(2 * self.c2(h)).mean((2, 3))))
    user.b.forward = lambda v: F.silu(nn.BatchNorm2d.forward(user.b, v))  # type: ignore[method-assign]
    check(user, with_(first=lambda self, x: torch.relu(F.silu(self.b(self.c1(x))))))
    user = Base()
    user.b.register_forward_hook(lambda module, inputs, output: 2 * output)
    check(user, with_(first=lambda self, x: torch.relu(2 * self.b(self.c1(x)))))
    user = with_(second=lambda self, h: self.fc(self.act(self.c2(h)).mean((2, 3))))
    user.act = GELUPlus()
    plain = with_(second=lambda self, h: self.fc((F.gelu(o := self.c2(h)) + o).mean((2, 3))))
    check(user, plain)


# --- weights by identity


class Tied(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.stem, self.a, self.b, self.out = nn.Linear(192, 6), nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 4)
        self.b.weight = self.a.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.out(torch.relu(self.b(torch.relu(self.a(torch.relu(self.stem(x.flatten(1))))))))


class TwoSizes(Base):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.b(self.c1(x))
        return self.fc(self.c2(h).mean((2, 3)) + self.c2(F.avg_pool2d(h, 2)).mean((2, 3)))


class TiedEmbedding(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.stem, self.embedding, self.head = nn.Linear(192, 6), nn.Embedding(4, 6), nn.Linear(6, 4, bias=False)
        self.head.weight = self.embedding.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(torch.relu(self.stem(x.flatten(1))) + self.embedding(torch.zeros(len(x), dtype=torch.long)))


@pytest.mark.parametrize("make", [Tied, TwoSizes, TiedEmbedding])
def test_tied_weights_and_shared_modules(make: type[nn.Module]) -> None:
    network = make()
    check(network, network)


def test_one_linear_layer_is_a_network() -> None:
    torch.manual_seed(1)
    layer = nn.Linear(192, 4)
    check(layer, copy.deepcopy(layer), x=X.flatten(1))
    assert collect_statistics(layer, X.flatten(1), Y).nodes == ("",)


def test_one_layer_on_other_images_is_summed_apart() -> None:
    class Prototypes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(1)
            self.stem, self.project = nn.Linear(192, 6), nn.Linear(6, 6)
            self.prototypes = nn.Parameter(torch.randn(4, 6))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.project(torch.relu(self.stem(x.flatten(1)))) @ self.project(self.prototypes).T

    network = Prototypes()
    a, b = network.project(torch.relu(network.stem(X.flatten(1)))), network.project(network.prototypes)
    da, db = torch.autograd.grad(F.cross_entropy(a @ b.T, Y), [a, b])
    expected = 6 * sum(0.5 * (v * d).square().mean(0).sum() for v, d in ((a, da), (b, db)))
    statistics = collect_statistics(network, X, Y, ["fisher"])
    assert statistics.of("fisher")[statistics.nodes.index("project")] == pytest.approx(float(expected), rel=1e-4)
    assert statistics.left_out == ("prototypes",)


# --- weights that are read, or derived


class Cosine(nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.linear(F.normalize(x), F.normalize(self.weight))


def standardised(w: torch.Tensor) -> torch.Tensor:
    return (w - w.mean((1, 2, 3), keepdim=True)) / (w.std((1, 2, 3), keepdim=True) + 1e-5)


class Standardised(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, standardised(self.weight), self.bias)


def test_weights_that_are_normalised_where_they_are_read() -> None:
    def cosine(self: Any, h: torch.Tensor) -> torch.Tensor:
        pooled = torch.relu(self.c2(h)).mean((2, 3))
        return 9 * F.linear(F.normalize(pooled), F.normalize(self.fc.weight))

    plain = with_(second=lambda self, h: 9 * self.fc(torch.relu(self.c2(h)).mean((2, 3))), fc=Cosine(6, 4))
    check(with_(second=cosine), plain)

    def convolved(self: Any, h: torch.Tensor) -> torch.Tensor:
        return self.fc(torch.relu(F.conv2d(h, standardised(self.c2.weight), self.c2.bias)).mean((2, 3)))

    check(with_(second=convolved), with_(c2=Standardised(6, 6, 3)))


class Attention(nn.Module):
    """One layer of attention by name: torch's functions in several ways, and `plain`, by products."""

    def __init__(self, how: str):
        super().__init__()
        torch.manual_seed(1)
        self.how, self.p, self.fc = how, nn.Linear(24, 8), nn.Linear(8, 4)
        self.q, self.k, self.v, self.o = (nn.Linear(8, 8) for _ in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        t = self.p(x.flatten(1).view(-1, 8, 24))
        if self.how == "functional":
            s, w = t.transpose(0, 1), [layer.weight for layer in (self.q, self.k, self.v)]
            bias = torch.cat([layer.bias for layer in (self.q, self.k, self.v)])
            separate = dict(zip(("q_proj_weight", "k_proj_weight", "v_proj_weight"), w, strict=True))
            out = F.multi_head_attention_forward(
                *(s, s, s, 8, 2, None, bias, None, None, False, 0.0, self.o.weight, self.o.bias),
                **{"use_separate_proj_weight": True, "need_weights": False, "training": self.training, **separate},
            )
            return self.fc(out[0].transpose(0, 1).mean(1))
        q, k, v = (layer(t).view(-1, 8, 2, 4).transpose(1, 2) for layer in (self.q, self.k, self.v))
        mixed = (
            F.scaled_dot_product_attention(q, k, v)
            if self.how == "fused"
            else (q @ k.transpose(-1, -2) / 2).softmax(-1) @ v
        )
        return self.fc(self.o(mixed.transpose(1, 2).reshape(-1, 8, 8)).mean(1))


@pytest.mark.parametrize("how", ["functional", "fused"])
def test_attention_by_its_functions(how: str) -> None:
    check(Attention(how), Attention("plain"))


def test_projections_of_attention_between_two_sequences() -> None:
    class Cross(nn.Module):
        def __init__(self, by_hand: bool) -> None:
            super().__init__()
            torch.manual_seed(1)
            self.by_hand, self.p, self.fc = by_hand, nn.Linear(24, 8), nn.Linear(8, 4)
            self.at = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            t = self.p(x.flatten(1).view(-1, 8, 24))
            if not self.by_hand:
                return self.fc(self.at(t[:, :3], t, t)[0].mean(1))
            w, b = self.at.in_proj_weight.chunk(3), self.at.in_proj_bias.chunk(3)
            q, k, v = (
                F.linear(s, *wb).view(8, -1, 2, 4).transpose(1, 2)
                for s, *wb in zip((t[:, :3], t, t), w, b, strict=True)
            )
            mixed = (q @ k.transpose(-1, -2) / 2).softmax(-1) @ v
            return self.fc(self.at.out_proj(mixed.transpose(1, 2).reshape(8, 3, 8)).mean(1))

    found, by_hand = (collect_statistics(Cross(by_hand), X, Y) for by_hand in (False, True))
    assert found.nodes == by_hand.nodes == ("fc", "at.out_proj", "at.in_proj", "p")
    np.testing.assert_allclose(found.values, by_hand.values, rtol=2e-3, atol=1e-6)


class Squashed(nn.Module):
    def forward(self, weight: torch.Tensor) -> torch.Tensor:
        return torch.tanh(weight)


def small(change: Callable[[nn.Module], nn.Module]) -> nn.Sequential:
    torch.manual_seed(1)
    return nn.Sequential(change(nn.Conv2d(3, 6, 3)), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 4))


def squashed(layer: nn.Module) -> nn.Module:
    parametrize.register_parametrization(layer, "weight", Squashed())
    return layer


def pruned(layer: nn.Module) -> nn.Module:
    return prune.l1_unstructured(prune.l1_unstructured(layer, "weight", 0.3), "weight", 0.3)


@pytest.mark.filterwarnings("ignore::FutureWarning")
@pytest.mark.parametrize(
    "derive",
    [
        parametrizations.weight_norm,
        parametrizations.spectral_norm,
        weight_norm,
        spectral_norm,
        squashed,
        lambda layer: squashed(squashed(layer)),
        pruned,
    ],
)
def test_derived_weights_are_those_of_plain_layers(derive: Callable[[nn.Module], nn.Module]) -> None:
    network = small(derive).eval()
    network(X)
    plain = small(lambda layer: layer)
    with torch.no_grad():
        plain[0].weight.copy_(network[0].weight)
    plain[4].load_state_dict(network[4].state_dict())
    check(network, plain)


# --- parts without gradient, and what networks do to their input or keep


def test_a_backbone_without_gradient() -> None:
    def frozen(context: Callable[[], Any]) -> Callable[..., Any]:
        def first(self: Any, x: torch.Tensor) -> torch.Tensor:
            with context():
                h = Base.first(self, x)
            return h.clone()

        return first

    plain = with_(first=lambda self, x: Base.first(self, x).detach())
    check(with_(first=frozen(torch.no_grad)), plain)
    check(with_(first=frozen(torch.inference_mode)), plain)
    network = Base()
    network.c1.requires_grad_(False)
    check(network, Base())


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpoints(reentrant: bool) -> None:
    check(
        with_(second=lambda self, h: checkpoint(functools.partial(Base.second, self), h, use_reentrant=reentrant)),
        Base(),
    )

    def segments(self: Any, x: torch.Tensor) -> torch.Tensor:
        return checkpoint_sequential([self.c1, self.b, torch.relu], 2, x, use_reentrant=reentrant)

    check(with_(first=segments), Base())


def test_an_input_that_is_written_to() -> None:
    def centred(self: Any, x: torch.Tensor) -> torch.Tensor:
        x.sub_(0.5)
        x[:, 0] = 1.0
        return Base.first(self, x)

    check(with_(first=centred), with_(first=lambda self, x: centred(self, x.clone())))


class Keeps(Base):
    """Keeps activations, a count, a lock, and a closure over itself; none of it can be copied, or would copy rightly."""

    def __init__(self, what: str) -> None:
        super().__init__()
        self.kept: list[Any] = []
        self.last: Any = None
        self.count = 0
        if what == "lock":
            self.lock = threading.Lock()
        if what == "closure":
            self.b2 = lambda h: torch.relu(self.c2(h))
        if what == "object":
            self.box = types.SimpleNamespace(value=0)

    def second(self, h: torch.Tensor) -> torch.Tensor:
        self.kept.append(h)
        self.last, self.count = h, self.count + 1
        if hasattr(self, "box"):
            self.box.value += 1
        h = self.b2(h) if hasattr(self, "b2") else torch.relu(self.c2(h))
        return self.fc(h.mean((2, 3)))


@pytest.mark.parametrize("what", ["activation", "lock", "closure", "object"])
def test_what_cannot_be_copied_is_restored(what: str) -> None:
    network = Keeps(what)
    if what in ("activation", "object"):
        network(X)
    kept, last, count = list(network.kept), network.last, network.count
    check(network, Base())
    assert len(network.kept) == len(kept)
    assert all(a is b for a, b in zip(network.kept, kept, strict=True))
    assert (network.last, network.count) == (last, count)
    assert what != "object" or network.box.value == 1


def test_a_network_that_refers_to_itself_from_outside() -> None:
    network, plain = Base(), with_(second=lambda self, h: 2 * Base.second(self, h))
    network.forward = lambda x: 2 * network.second(network.first(x))  # type: ignore[method-assign]
    before = state(network)
    scores, expected = (network_proxies(each, X, Y, ["zen", "gradsign", "zico"]) for each in (network, plain))
    assert state(network) == before
    assert scores["zico"] == pytest.approx(expected["zico"])
    assert scores["gradsign"] == expected["gradsign"]
    check(network, plain)

    class Uncopied(Base):
        def __deepcopy__(self, memo: Any) -> "Uncopied":
            return self

    check(Uncopied(), Base())


def test_an_error_restores_the_network_too() -> None:
    network = Keeps("lock")
    network.fc = nn.Linear(5, 4)
    before = state(network)
    with pytest.raises(BadInput, match="cannot process images"):
        collect_statistics(network, X, Y)
    assert state(network) == before
    assert (network.kept, network.last, network.count) == ([], None, 0)


# --- second derivatives


class Once(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x.clamp(min=0)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
        return g * (ctx.saved_tensors[0] > 0)


class Untracked(Once):
    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return g * (ctx.saved_tensors[0] > 0)


class Through(Once):
    @staticmethod
    def backward(ctx: Any, g: torch.Tensor) -> torch.Tensor:
        return g * (ctx.saved_tensors[0] > 0)


@pytest.mark.parametrize("function", [Once, Untracked])
def test_functions_without_second_derivative_are_named(function: Any) -> None:
    network = with_(second=lambda self, h: self.fc(function.apply(self.c2(h)).mean((2, 3))))
    check(network, Base(), FIRST)
    with pytest.raises(BadInput, match=rf"second derivatives.*{function.__name__}.*leave out grasp"):
        collect_statistics(network, X, Y)
    check(with_(second=lambda self, h: self.fc(Through.apply(self.c2(h)).mean((2, 3)))), Base())


def test_compiled_networks_are_unwrapped() -> None:
    network = Base()
    check(network, Base())
    compiled = torch.compile(Base(), backend="eager")
    assert collect_statistics(compiled, X, Y).nodes == collect_statistics(network, X, Y).nodes  # type: ignore[arg-type]
    check(with_(c2=nn.Conv2d(6, 6, 3)), Base())
    part = Base()
    part.c2 = torch.compile(part.c2, backend="eager")  # type: ignore[assignment]
    check(part, Base())
    function = torch.compile(torch.relu, backend="eager")
    check(with_(second=lambda self, h: self.fc(function(self.c2(h)).mean((2, 3)))), Base())


# --- Synflow's pass


def test_synflow_where_a_network_makes_its_own_numbers() -> None:
    class Recurrent(nn.Module):
        def __init__(self, state: bool) -> None:
            super().__init__()
            torch.manual_seed(1)
            self.rnn, self.fc, self.state = nn.LSTM(24, 6, batch_first=True), nn.Linear(6, 4), state

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            h = torch.zeros(1, len(x), 6)
            x = x.transpose(1, 2).flatten(2)
            return self.fc(self.rnn(x, (h, h))[0][:, -1] if self.state else self.rnn(x)[0][:, -1])

    check(Recurrent(True), Recurrent(False))
    assert collect_statistics(Recurrent(True), X, Y).left_out == ("rnn.weight_ih_l0", "rnn.weight_hh_l0")
    check(
        with_(first=lambda self, x: Base.first(self, x.float() + torch.ones(3, 1, 1))),
        with_(first=lambda self, x: Base.first(self, x + 1)),
    )
    network = with_(second=lambda self, h: self.fc(torch.relu(self.c2(h)).mean((2, 3))[:, self.order]))
    network.order = nn.Parameter(torch.arange(5, -1, -1), requires_grad=False)
    check(network, with_(second=lambda self, h: self.fc(torch.relu(self.c2(h)).mean((2, 3)).flip(1))))
    check(with_(second=lambda self, h: Base.second(self, h).view(8, 4)), Base())


def test_data_parallel() -> None:
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.module = Base()

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.module(x)

    check(nn.DataParallel(Base()), Wrapped())


def test_a_pass_that_fails_says_which_and_how_to_leave_it_out() -> None:
    def only_float32(self: Any, x: torch.Tensor) -> torch.Tensor:
        assert x.dtype == torch.float32, "expected float32"
        return Base.first(self, x)

    with pytest.raises(BadInput, match=r"(?s)synflow's pass failed.*expected float32.*Leave out synflow"):
        collect_statistics(with_(first=only_float32), X, Y)
    check(with_(first=only_float32), Base(), tuple(p for p in NODE_PROXIES if p != "synflow"))
