"""Ways of writing networks that people use, beside plain layers: in place, fused, drawn, reversible, made by other layers."""

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from network_toys import Base, X, Y, check, state, with_
from plain_autograd import reference
from torch import nn

from parzc_core import network_proxies
from parzc_core.collector import NodeStatistics, collect_statistics
from parzc_core.passes import Passes
from parzc_core.proxies import NODE_PROXIES

NOT_SYNFLOW = tuple(p for p in NODE_PROXIES if p != "synflow")


def value(statistics: NodeStatistics, proxy: str, node: str) -> float:
    return float(statistics.of(proxy)[statistics.nodes.index(node)])


# --- in place


def in_place(act: nn.Module, discard: bool) -> tuple[Base, Base]:
    """A residual block whose activation overwrites what the shortcut reads; and the same written out."""

    def overwrites(self: Any, h: torch.Tensor) -> torch.Tensor:
        h = self.c2(h)
        if discard:
            self.act(h)
            return self.fc(h.mean((2, 3)))
        return self.fc((self.act(h) + h).mean((2, 3)))

    def written_out(self: Any, h: torch.Tensor) -> torch.Tensor:
        h = self.act(self.c2(h))
        return self.fc((h if discard else h + h).mean((2, 3)))

    made = with_(second=overwrites), with_(second=written_out)
    for network, inplace in zip(made, (True, False), strict=True):
        network.act = type(act)(inplace=inplace)
    return made


@pytest.mark.parametrize("discard", [True, False])
@pytest.mark.parametrize("act", [nn.ReLU(), nn.SiLU(), nn.Hardswish()])
def test_activations_in_place_overwrite_what_others_read(act: nn.Module, discard: bool) -> None:
    check(*in_place(act, discard))
    names = ["nwot", "jacov", "nasi", "knas"] if isinstance(act, nn.ReLU) and discard else ["jacov", "nasi", "knas"]
    user, plain = (network_proxies(network, X, Y, names) for network in in_place(act, discard))
    assert user == pytest.approx(plain, rel=1e-3)


def test_synflow_where_what_follows_a_batch_norm_is_in_place() -> None:
    def first(self: Any, x: torch.Tensor) -> torch.Tensor:
        h = self.c1(x)
        return F.silu(self.b(h), inplace=True) + h

    def functional(self: Any, x: torch.Tensor) -> torch.Tensor:
        h = self.c1(x)
        norm = F.batch_norm(h, None, None, self.b.weight, self.b.bias, True)
        return norm.add_(0.5) + h

    check(with_(first=first), with_(first=lambda self, x: F.silu(self.b(h := self.c1(x))) + h))
    found = collect_statistics(with_(first=functional), X, Y, ["synflow"])
    plain = with_(first=lambda self, x: self.b(h := self.c1(x)) + 0.5 + h)
    np.testing.assert_allclose(found.values, collect_statistics(plain, X, Y, ["synflow"]).values)


def test_fisher_where_a_network_writes_through_data() -> None:
    def second(self: Any, h: torch.Tensor) -> torch.Tensor:
        h = self.c2(h)
        h.data.mul_(0)
        return self.fc(h.mean((2, 3)) + 1)

    expected = with_(second=lambda self, h: self.fc((c := self.c2(h)).mean((2, 3)) - c.detach().mean((2, 3)) + 1))
    check(with_(second=second), expected, NOT_SYNFLOW)


# --- BatchNorm


def test_a_network_that_reads_running_statistics_after_the_batch_norm() -> None:
    def first(self: Any, x: torch.Tensor) -> torch.Tensor:
        h = self.b(self.c1(x))
        scale = torch.sigmoid(self.b.running_var)[:, None, None] * float(1 + self.b.num_batches_tracked)
        return torch.relu(h * scale - self.b.running_mean[:, None, None])

    network = with_(first=first)
    check(network, network, NOT_SYNFLOW)


@pytest.mark.parametrize("first", ["vkdnw", "nasi", "zico"])
def test_vkdnw_does_not_depend_on_earlier_passes(first: str) -> None:
    from parzc_core.scores import score_of

    passes = Passes(Base(), X, Y)
    score_of(first, passes)
    assert score_of("vkdnw", passes) == score_of("vkdnw", Passes(Base(), X, Y))


class Hyper(Base):
    """Layers make the weights of a BatchNorm, for a call by torch.func."""

    def __init__(self, by_hand: bool) -> None:
        super().__init__()
        self.scale, self.shift, self.by_hand = nn.Linear(3, 6), nn.Linear(3, 6), by_hand

    def first(self, x: torch.Tensor) -> torch.Tensor:
        code, h = x.mean((0, 2, 3))[None], self.c1(x)
        made = {"weight": 1 + self.scale(code)[0], "bias": self.shift(code)[0]}
        if self.by_hand:
            return torch.relu(F.batch_norm(h, None, None, made["weight"], made["bias"], True))
        return torch.relu(torch.func.functional_call(self.b, made, (h,)))


def test_a_batch_norm_whose_weights_are_made_by_layers() -> None:
    check(Hyper(False), Hyper(True), NOT_SYNFLOW)
    found, expected = (collect_statistics(Hyper(by_hand), X, Y, ["synflow"]).values for by_hand in (False, True))
    np.testing.assert_allclose(found, expected)


class StandardisedByBatchNorm(nn.Conv2d):
    """As in timm: weight standardisation by torch's function of BatchNorm."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = self.weight.reshape(1, self.out_channels, -1)
        return F.conv2d(x, F.batch_norm(rows, None, None, training=True, eps=1e-5).reshape_as(self.weight), self.bias)


class StandardisedByHand(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        rows = self.weight.flatten(1)
        rows = (rows - rows.mean(1, True)) / (rows.var(1, keepdim=True, unbiased=False) + 1e-5).sqrt()
        return F.conv2d(x, rows.view_as(self.weight), self.bias)


def test_a_weight_standardised_by_batch_norm_is_so_in_synflows_pass_too() -> None:
    check(with_(c2=StandardisedByBatchNorm(6, 6, 3)), with_(c2=StandardisedByHand(6, 6, 3)))


# --- random numbers after the forward pass


class Shake(torch.autograd.Function):
    """Shake-Shake: other random weights of two branches forward and backward."""

    @staticmethod
    def forward(ctx: Any, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        share = torch.rand(len(a), 1, 1, 1)
        return share * a + (1 - share) * b

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        share = torch.rand(len(gradients[0]), 1, 1, 1)
        return share * gradients[0], (1 - share) * gradients[0]


def shaken(self: Any, h: torch.Tensor) -> torch.Tensor:
    return self.fc(torch.relu(Shake.apply(self.c2(h), h[:, :, 1:-1, 1:-1])).mean((2, 3)))


def noisy_loss(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return F.cross_entropy(logits * (1 + torch.rand_like(logits) + random.random() + float(np.random.rand())), labels)  # noqa: NPY002


def generators() -> tuple[Any, ...]:
    return torch.get_rng_state().tolist(), random.getstate(), np.random.get_state()[1].tolist()  # noqa: NPY002


@pytest.mark.parametrize("seed", [1, 2])
def test_random_numbers_of_a_backward_pass_and_of_a_loss(seed: int) -> None:
    network, plain = with_(second=shaken), Base()
    torch.manual_seed(seed)
    random.seed(seed)
    before = generators()
    found = collect_statistics(network, X, Y)
    assert generators() == before
    with torch.random.fork_rng():
        torch.manual_seed(0)
        weights = [network.get_submodule(node).weight for node in found.nodes]
        g = torch.autograd.grad(F.cross_entropy(network(X), Y), weights, create_graph=True)
        products = torch.autograd.grad(sum((each.detach() * each).sum() for each in g), weights)
    np.testing.assert_allclose(found.of("grad_norm"), [float(each.norm()) for each in g], rtol=1e-4)
    grasp = [-float((w * each).sum()) for w, each in zip(weights, products, strict=True)]
    np.testing.assert_allclose(found.of("grasp"), grasp, rtol=1e-3, atol=1e-6)
    found = collect_statistics(plain, X, Y, loss=noisy_loss)
    assert generators() == before
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002
    expected = reference(plain, X, Y, loss=noisy_loss)["snip"]
    assert {node: value(found, "snip", node) for node in expected} == pytest.approx(expected, rel=1e-4)


# --- backward passes inside of backward passes


class Reversible(torch.autograd.Function):
    """Keeps nothing of the function's forward pass; its gradients come from a backward pass inside, as in RevNets."""

    @staticmethod
    def forward(ctx: Any, function: Callable[..., torch.Tensor], x: torch.Tensor) -> torch.Tensor:
        ctx.function = function
        ctx.save_for_backward(x)
        with torch.no_grad():
            return function(x)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> Any:
        x = ctx.saved_tensors[0].detach().requires_grad_(True)
        with torch.enable_grad():
            y = ctx.function(x)
        torch.autograd.backward(y, gradients)
        return None, x.grad


def test_gradients_that_a_backward_pass_inside_leaves_at_the_weights() -> None:
    def second(self: Any, h: torch.Tensor) -> torch.Tensor:
        return self.fc(Reversible.apply(lambda x: torch.relu(self.c2(x)), h).mean((2, 3)))

    network = with_(second=second)
    network.c2.weight.grad = torch.ones_like(network.c2.weight)
    before = state(network)
    proxies = ("fisher", "grad_norm", "plain", "snip", "synflow")
    found, expected = (collect_statistics(one, X, Y, proxies) for one in (network, Base()))
    assert state(network) == before
    assert torch.equal(network.c2.weight.grad, torch.ones_like(network.c2.weight))
    assert found.left_out == ("fisher of c2",)
    for node in expected.nodes:
        for proxy in proxies:
            if (node, proxy) != ("c2", "fisher"):
                assert value(found, proxy, node) == pytest.approx(value(expected, proxy, node), rel=1e-4), (proxy, node)
    names = ["nasi", "knas", "ntk_condition"]
    assert network_proxies(network, X, Y, names) == pytest.approx(network_proxies(Base(), X, Y, names), rel=1e-3)


# --- a gradient step in the forward pass


class Adapting(Base):
    """As MAML does: a gradient step of the classifier. filtered: of what can be trained in it."""

    def __init__(self, filtered: bool) -> None:
        super().__init__()
        self.filtered = filtered

    def second(self, h: torch.Tensor) -> torch.Tensor:
        pooled = torch.relu(self.c2(h)).mean((2, 3))
        loss = self.fc(pooled).square().mean()
        own = {name: p for name, p in self.fc.named_parameters() if p.requires_grad or not self.filtered}
        step = torch.autograd.grad(loss, list(own.values()), create_graph=True)
        moved = {name: p - 0.5 * g for (name, p), g in zip(own.items(), step, strict=True)}
        return F.linear(pooled, moved["weight"], moved.get("bias", self.fc.bias))


@pytest.mark.parametrize("filtered", [True, False])
def test_a_gradient_step_inside_the_forward_pass(filtered: bool) -> None:
    class ByHand(Adapting):
        def second(self, h: torch.Tensor) -> torch.Tensor:
            pooled = torch.relu(self.c2(h)).mean((2, 3))
            g = self.fc(pooled) * (2 / (len(h) * 4))
            return F.linear(pooled, self.fc.weight - 0.5 * g.T @ pooled, self.fc.bias - 0.5 * g.sum(0))

    found, expected = (collect_statistics(one, X, Y) for one in (Adapting(filtered), ByHand(False)))
    for proxy in ("grad_norm", "grasp", "snip", "synflow"):
        np.testing.assert_allclose(found.of(proxy), expected.of(proxy), rtol=1e-3, atol=1e-7)


# --- what is a layer's output


class ConvNormAct(nn.Conv2d):
    def __init__(self, *sizes: int) -> None:
        super().__init__(*sizes)
        self.norm = nn.BatchNorm2d(sizes[1])

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.silu(self.norm(super().forward(x)))


class Patches(nn.Conv2d):
    """As in Transformers for images: [N, C, H, W] -> [N, H W, C]."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x).flatten(2).transpose(1, 2)


def turned(module: nn.Module, inputs: Any, output: torch.Tensor) -> torch.Tensor:
    return output.flatten(2).transpose(1, 2)


def test_the_output_of_a_layer_that_does_more_is_that_of_its_convolution() -> None:
    plain = with_(second=lambda self, h: self.fc(F.silu(self.norm(self.c2(h))).mean((2, 3))))
    plain.norm = nn.BatchNorm2d(6)
    user = with_(second=lambda self, h: self.fc(self.c2(h).mean((2, 3))))
    fused = ConvNormAct(6, 6, 3)
    fused.load_state_dict(user.c2.state_dict(), strict=False)
    user.c2 = fused
    check(user, plain)


@pytest.mark.parametrize("hook", [True, False])
def test_a_layer_that_gives_tokens(hook: bool) -> None:
    tokens = with_(second=lambda self, h: self.fc(torch.tanh(self.c2(h)).mean(1)))
    if hook:
        tokens.c2.register_forward_hook(turned)
    else:
        patches = Patches(6, 6, 3)
        patches.load_state_dict(tokens.c2.state_dict())
        tokens.c2 = patches
    check(tokens, with_(second=lambda self, h: self.fc(torch.tanh(self.c2(h)).mean((2, 3)))))


class Difference(nn.Conv2d):
    """Central difference convolution: a part of the output is of a kernel made of sums of the weight."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        centre = self.weight.sum((2, 3))[:, :, None, None]
        return super().forward(x) - 0.7 * F.conv2d(x[:, :, 1:-1, 1:-1], centre)


def test_a_layer_that_applies_its_weight_in_two_ways_has_the_output_of_both() -> None:
    network = with_(c2=Difference(6, 6, 3))
    check(network, network)


# --- what reads a weight and is no form of it


@pytest.mark.parametrize("pick", [lambda w, i: F.embedding(i, w), lambda w, i: w[i], lambda w, i: w.index_select(0, i)])
def test_rows_of_a_weight_that_are_as_many_as_it_has_are_no_weight(pick: Callable[..., torch.Tensor]) -> None:
    class Prompted(Base):
        def __init__(self) -> None:
            super().__init__()
            self.fc, self.mix = nn.Linear(6, 8), nn.Parameter(torch.randn(6, 6, generator=torch.Generator().manual_seed(0)))

        def second(self, h: torch.Tensor) -> torch.Tensor:
            rows = pick(self.fc.weight, torch.tensor([0, 1, 2, 3, 4, 0, 1, 2]))  # as many as the weight has
            return self.fc(torch.relu(self.c2(h)).mean((2, 3)) + torch.tanh(rows @ self.mix).mean(0))

    check(Prompted(), Prompted())


def test_a_weight_in_an_einsum_beside_a_call_has_no_fisher() -> None:
    """A class activation map."""

    def second(self: Any, h: torch.Tensor) -> torch.Tensor:
        h = torch.relu(self.c2(h))
        attention = torch.einsum("nchw,kc->nkhw", h, self.fc.weight).mean(1, keepdim=True).sigmoid()
        return self.fc((h * attention).mean((2, 3)))

    network = with_(second=second)
    found = collect_statistics(network, X, Y)
    assert found.left_out == ("fisher of fc",)
    assert np.isnan(found.of("fisher")).tolist() == [node == "fc" for node in found.nodes]
    check(network, network, ("grad_norm", "grasp", "plain", "snip", "synflow"))


@pytest.mark.parametrize("part", [lambda h, i: h[i], lambda h, i: h.unbind(0)[i], lambda h, i: h.split(1)[i][0]])
def test_images_in_a_loop_with_as_many_tokens_as_images_or_a_multiple(part: Callable[..., torch.Tensor]) -> None:
    class Loop(Base):
        def second(self, h: torch.Tensor) -> torch.Tensor:
            tokens = h.flatten(2).transpose(1, 2)[:, :16]
            each = [self.fc(torch.tanh(part(tokens, i))).mean(0) for i in range(len(h))]
            return torch.stack(each) + self.c2(h).mean()

    found = collect_statistics(Loop(), X, Y)
    assert found.left_out == ("fisher of fc",)
    assert np.isnan(value(found, "fisher", "fc"))


def test_real_and_imaginary_parts_are_of_the_same_images() -> None:
    class Complex(Base):
        def second(self, h: torch.Tensor) -> torch.Tensor:
            z = torch.fft.fft(torch.relu(self.c2(h)).mean(3).transpose(1, 2), dim=1)
            return (self.fc(z.real) - self.fc(z.imag)).mean(1)

    check(Complex(), Complex())


def test_complex_weights_are_named_among_what_is_left_out() -> None:
    class Fourier(Base):
        def __init__(self) -> None:
            super().__init__()
            self.modes = nn.Parameter(torch.ones(6, 6, 3, dtype=torch.cfloat))

        def second(self, h: torch.Tensor) -> torch.Tensor:
            modes = torch.einsum("nck,cok->nok", torch.fft.rfft(h.flatten(2))[..., :3], self.modes)
            return super().second(h + torch.fft.irfft(modes, n=64).view_as(h))

    assert collect_statistics(Fourier(), X, Y).left_out == ("modes",)
