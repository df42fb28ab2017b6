"""Networks that make, replace or lose what a node is in their forward pass, in their copy, in vmap or on another thread."""

import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
import torch.utils.checkpoint
from network_toys import Base, Shared, X, Y, check, state, with_
from torch import nn

from parzc_core import network_proxies
from parzc_core.collector import NodeStatistics, collect_statistics
from parzc_core.errors import BadInput
from parzc_core.own.networks import describe
from parzc_core.proxies import NODE_PROXIES
from parzc_core.scores.registry import REGISTRY as SCORES
from parzc_core.scores.registry import network_score

# --- layers and weights that do not stay


def makes_a_layer(network: Any, h: torch.Tensor) -> torch.Tensor:
    if not hasattr(network, "extra"):
        network.extra = nn.Conv2d(6, 6, 1)
    return Base.second(network, network.extra(h))


def replaces_a_layer(network: Any, h: torch.Tensor) -> torch.Tensor:
    network.fc = nn.Linear(6, 4)
    return Base.second(network, h)


def replaces_a_weight_that_it_used(network: Any, h: torch.Tensor) -> torch.Tensor:
    logits = Base.second(network, h)
    network.fc.weight = nn.Parameter(0.9 * network.fc.weight.detach())
    return logits


def deletes_a_weight(network: Any, h: torch.Tensor) -> torch.Tensor:
    logits = Base.second(network, h)
    del network.fc.weight
    return logits


@pytest.mark.parametrize("proxies", [["snip"], ["synflow"]])
@pytest.mark.parametrize("second", [makes_a_layer, replaces_a_layer, replaces_a_weight_that_it_used, deletes_a_weight])
def test_layers_that_do_not_stay_are_refused(second: Callable[..., Any], proxies: list[str]) -> None:
    network = with_(second=second)
    before = state(network)
    with pytest.raises(BadInput, match=r"makes, replaces or deletes the layer '(extra|fc)'.*expected layers that stay"):
        collect_statistics(network, X, Y, proxies)
    assert state(network) == before
    if second is makes_a_layer:  # and after one batch it has them
        network(X)
        assert "extra" in collect_statistics(network, X, Y, proxies).nodes


def test_a_weight_that_another_stands_in_for_during_a_call() -> None:
    def twice(self: Any, h: torch.Tensor) -> torch.Tensor:
        weight = self.fc._parameters.pop("weight")
        self.fc.weight = 2 * weight
        try:
            return Base.second(self, h)
        finally:
            del self.fc.weight
            self.fc.weight = weight

    class Double(nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return F.linear(x, 2 * self.weight, self.bias)

    check(with_(second=twice), with_(fc=Double(6, 4)))


def test_an_expert_that_gets_no_image_has_zeros() -> None:
    class Experts(Base):
        def __init__(self) -> None:
            super().__init__()
            self.idle = nn.Conv2d(6, 6, 3)

        def second(self, h: torch.Tensor) -> torch.Tensor:
            idle = self.idle(h[torch.zeros(len(h), dtype=torch.bool)])
            return super().second(h) + idle.sum()

    statistics = collect_statistics(Experts(), X, Y)
    place = statistics.nodes.index("idle")
    assert {proxy for proxy in NODE_PROXIES if statistics.of(proxy)[place] != 0} == {"l2_norm"}
    assert statistics.left_out == ()


def test_a_network_that_names_some_of_its_parameters_only_or_refuses_train_mode() -> None:
    class Head(Base):
        def parameters(self, recurse: bool = True) -> Any:
            return iter([self.fc.weight])

    class Inference(Base):
        def train(self, mode: bool = True) -> "Inference":
            if mode:
                raise RuntimeError("for inference only")
            return super().train(mode)

    check(Head(), Base())
    with pytest.raises(BadInput, match=r"Inference refuses train mode.*for inference only"):
        collect_statistics(Inference(), X, Y)


# --- weights that a forward pass, or eval mode, writes anew


def loads_a_state(network: Any) -> None:
    network.load_state_dict(network.kept)


def copies(network: Any) -> None:
    with torch.no_grad():
        network.c2.weight.copy_(network.kept["c2.weight"])


def sets_the_data(network: Any) -> None:
    network.c2.weight.data = network.kept["c2.weight"].clone()


def writes_a_bias(network: Any) -> None:
    network.fc.bias.data[0] = -1


@pytest.mark.parametrize("write", [loads_a_state, copies, sets_the_data, writes_a_bias])
def test_synflow_where_a_forward_pass_writes_signed_weights(write: Callable[[Any], None]) -> None:
    class Writes(Base):
        def __init__(self) -> None:
            super().__init__()
            self.kept = {name: tensor.clone() for name, tensor in self.state_dict().items()}
            write(self)

        def first(self, x: torch.Tensor) -> torch.Tensor:
            write(self)
            return super().first(x)

    with pytest.raises(BadInput, match=r"synflow's pass failed \(the forward pass writes negative numbers into .(c1|c2|fc)\."):
        collect_statistics(Writes(), X, Y)
    plain = Base()
    if write is writes_a_bias:
        write(plain)
    others = tuple(proxy for proxy in NODE_PROXIES if proxy != "synflow")
    found, expected = (collect_statistics(one, X, Y, others).values for one in (Writes(), plain))
    np.testing.assert_allclose(found, expected, rtol=1e-6)


class Merging(nn.Linear):
    """Adds an update of low rank to its weight in eval mode, and takes it away in train mode."""

    merged = False

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.down, self.up = nn.Parameter(torch.randn(2, inputs)), nn.Parameter(torch.randn(outputs, 2))

    def train(self, mode: bool = True) -> "Merging":
        super().train(mode)
        if mode == self.merged:
            self.weight.data += (-1 if mode else 1) * self.up @ self.down
            self.merged = not mode
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out = super().forward(x)
        return out if self.merged else out + x @ self.down.T @ self.up.T


@pytest.mark.parametrize("mode", [True, False])
def test_a_layer_that_merges_an_update_in_eval_mode(mode: bool) -> None:
    def network() -> Base:
        made = Base()
        made.fc = Merging(6, 4)
        return made.train(mode)

    def beside(self: Any, h: torch.Tensor) -> torch.Tensor:
        pooled = torch.relu(self.c2(h)).mean((2, 3))
        return self.fc(pooled) + pooled @ self.down.T @ self.up.T

    plain, given = with_(second=beside), network().train()
    plain.down, plain.up = given.fc.down, given.fc.up
    plain.fc.load_state_dict({"weight": given.fc.weight, "bias": given.fc.bias})
    check(network(), plain, tuple(name for name in NODE_PROXIES if name != "synflow"))
    check(network(), network(), ("synflow",))
    values = [collect_statistics(network(), X, Y, proxies).of("snip") for proxies in (["snip"], ["synflow", "snip"])]
    np.testing.assert_array_equal(*values)


# --- layers that Python cannot hash, or that equal each other


class Equal(nn.Conv2d):
    def __eq__(self, other: object) -> bool:
        return type(other) is type(self)


class EqualAndHashed(Equal):
    def __hash__(self) -> int:
        return hash(self.in_channels)


class Deeper(Base):
    """Two more layers, which are equal."""

    def __init__(self, kind: type[nn.Conv2d]) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.more: Any = nn.Sequential(kind(6, 6, 1), kind(6, 6, 1))

    def second(self, h: torch.Tensor) -> torch.Tensor:
        return super().second(self.more(h))


@pytest.mark.parametrize("kind", [Equal, EqualAndHashed])
@pytest.mark.parametrize("copied", [True, False])
def test_layers_that_equal_each_other(kind: type[nn.Conv2d], copied: bool) -> None:
    network, hashes = Deeper(kind), {c: c.__hash__ for c in (Equal, EqualAndHashed)}
    if not copied:
        network.lock = threading.Lock()  # type: ignore[assignment]
    found, expected = (collect_statistics(one, X, Y) for one in (network, Deeper(nn.Conv2d)))
    assert found.nodes == expected.nodes
    np.testing.assert_allclose(found.values, expected.values, rtol=1e-5, atol=1e-9)
    names = ["params", "flops", "zen", "zico", "gradsign"]
    assert network_proxies(network, X, Y, names) == pytest.approx(network_proxies(Deeper(nn.Conv2d), X, Y, names), rel=1e-5)
    described = describe([network], X, Y, ["snip"])
    assert described.modules[0][kind.__name__] == 2
    assert {c: c.__hash__ for c in hashes} == hashes
    assert "__hash__" in vars(Equal)


# --- nested tensors


def test_fisher_of_a_layer_on_a_nested_tensor_is_not_seen() -> None:
    def nested(self: Any, h: torch.Tensor) -> torch.Tensor:
        pooled = torch.relu(self.c2(h)).mean((2, 3))
        return self.fc(torch.nested.as_nested_tensor([pooled[:3], pooled[3:]], layout=torch.jagged)).values()

    proxies = ("fisher", "snip", "grad_norm", "plain", "l2_norm")
    found, expected = (collect_statistics(network, X, Y, proxies) for network in (with_(second=nested), Base()))
    assert found.left_out == ("fisher of fc",)
    np.testing.assert_allclose(found.values[1:], expected.values[1:], rtol=1e-5, atol=1e-9)
    np.testing.assert_allclose(found.of("fisher")[1:], expected.of("fisher")[1:], rtol=1e-5)


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_a_network_whose_train_or_eval_gives_nothing_back(mode: str) -> None:
    def without_result(self: Any, *args: Any) -> None:
        getattr(nn.Module, mode)(self, *args)

    network = type("Silent", (Base,), {mode: without_result})()
    check(network, Base())
    names = ["flops", "zen", "vkdnw"]
    assert network_proxies(network, X, Y, names) == network_proxies(Base(), X, Y, names)


def test_a_network_that_refuses_eval_mode() -> None:
    class Trains(Base):
        def train(self) -> "Trains":  # type: ignore[override]
            return super().train(True)

    check(Trains(), Base(), tuple(proxy for proxy in NODE_PROXIES if proxy != "synflow"))
    for call in (collect_statistics, lambda *batch: network_proxies(*batch, ["flops"])):
        with pytest.raises(BadInput, match="Trains refuses eval mode"):
            call(Trains(), X, Y)


# --- copies that lack something


class Slotted(Base):
    __slots__ = ("count",)  # torch's modules do not copy them

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def second(self, h: torch.Tensor) -> torch.Tensor:
        self.count += 1
        return super().second(h)


class WithoutCache(Base):
    def __init__(self) -> None:
        super().__init__()
        self.cache: dict[str, Any] = {}

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "cache"}

    def second(self, h: torch.Tensor) -> torch.Tensor:
        self.cache["shape"] = h.shape
        return super().second(h)


class ByIdentity(Base):
    """Knows its layer by its id or by a weak reference, which a copy keeps."""

    def __init__(self, kept: Callable[[nn.Module], Any], scale: Callable[[Any, nn.Module], float]) -> None:
        super().__init__()
        self.kept, self.scale = kept(self.c2), scale

    def second(self, h: torch.Tensor) -> torch.Tensor:
        return super().second(h * self.scale(self.kept, self.c2))


IDENTITIES: list[Callable[[], Base]] = [
    lambda: ByIdentity(lambda layer: {id(layer): 1.0}, lambda kept, layer: kept[id(layer)]),
    lambda: ByIdentity(lambda layer: {id(layer): 1.0}, lambda kept, layer: kept.get(id(layer), 2.0)),
    lambda: ByIdentity(lambda layer: weakref.WeakKeyDictionary({layer: 1.0}), lambda kept, layer: kept.get(layer, 2.0)),
    lambda: ByIdentity(weakref.ref, lambda kept, layer: 1.0 if kept() is layer else 2.0),
]


@pytest.mark.parametrize("make", [Slotted, WithoutCache, *IDENTITIES])
def test_a_network_whose_copy_lacks_something_is_used_and_restored(make: Callable[[], Any]) -> None:
    network = make()
    check(network, Base())
    assert getattr(network, "count", 0) == 0
    assert getattr(network, "cache", {}) == {}


# --- vmap and jvp, and layers called by keyword


class PerImage(nn.Module):
    """Layers that have a faster form, applied by torch.func or not."""

    def __init__(self, how: str):
        super().__init__()
        torch.manual_seed(1)
        self.how, self.stem, self.fc = how, nn.Conv2d(3, 6, 3), nn.Linear(6, 4)
        self.inner = nn.Sequential(nn.Conv2d(6, 6, 1, bias=False), nn.GELU(), nn.AvgPool2d(3, 1, 1, count_include_pad=False))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.stem(x)
        if self.how == "vmap":
            h = torch.func.vmap(self.inner)(h)
        elif self.how == "jvp":
            h = sum(torch.func.jvp(self.inner, (h,), (torch.zeros_like(h),)))
        elif self.how == "keyword":
            for layer in self.inner:
                h = layer(input=h)
        else:
            h = self.inner(h)
        return self.fc(h.mean((2, 3)))


@pytest.mark.parametrize("how", ["vmap", "jvp", "keyword"])
def test_layers_in_torch_func_and_by_keyword(how: str) -> None:
    proxies = tuple(p for p in NODE_PROXIES if p != "fisher")
    check(PerImage(how), PerImage(""), proxies)
    scores = network_proxies(PerImage(how), X, Y, ["params", "snip"])
    assert scores["snip"] == pytest.approx(network_proxies(PerImage(""), X, Y, ["snip"])["snip"], rel=1e-4)


def test_a_batch_norm_by_keyword_or_in_vmap() -> None:
    check(with_(first=lambda self, x: torch.relu(self.b(input=self.c1(x)))), Base())

    def halves(self: Any, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(torch.cat([self.b(half) for half in self.c1(x).chunk(2)]))

    def vmapped(self: Any, x: torch.Tensor) -> torch.Tensor:
        self.b.track_running_stats, self.b.running_mean, self.b.running_var = False, None, None
        return torch.relu(torch.func.vmap(self.b)(self.c1(x).view(2, 4, 6, 8, 8)).flatten(0, 1))

    proxies = ("snip", "grasp", "grad_norm", "plain")
    found, expected = (collect_statistics(with_(first=first), X, Y, proxies).values for first in (vmapped, halves))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


def test_a_jacobian_in_a_forward_pass() -> None:
    def by_jacrev(self: Any, h: torch.Tensor) -> torch.Tensor:
        z = torch.relu(self.c2(h)).mean((2, 3))
        return self.fc(z) + torch.func.vmap(torch.func.jacrev(lambda row: torch.tanh(self.fc(row))))(z).sum(2)

    def by_hand(self: Any, h: torch.Tensor) -> torch.Tensor:
        y = self.fc(torch.relu(self.c2(h)).mean((2, 3)))
        return y + (1 - torch.tanh(y).square()) * self.fc.weight.sum(1)

    proxies = ("snip", "grasp", "grad_norm", "synflow")
    found, expected = (collect_statistics(with_(second=second), X, Y, proxies).values for second in (by_jacrev, by_hand))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-6)


# --- threads


def test_threads_take_turns() -> None:
    """Random numbers and flags of torch are of the process."""

    def dropped(self: Any, h: torch.Tensor) -> torch.Tensor:
        return F.dropout(Base.second(self, h), 0.3, self.training)

    def collect(networks: list[Base]) -> None:
        for network in networks:
            found.append(collect_statistics(network, X, Y))

    flags = torch.backends.mha.get_fastpath_enabled()
    checkpoint_function = torch.utils.checkpoint.CheckpointFunction
    expected = collect_statistics(with_(second=dropped), X, Y).values
    found: list[NodeStatistics] = []
    networks = [with_(second=dropped) for _ in range(12)]  # before: torch's generator is one for all threads
    state = torch.get_rng_state()
    threads = [threading.Thread(target=collect, args=(networks[part::4],)) for part in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert torch.equal(torch.get_rng_state(), state)
    assert len(found) == 12
    for statistics in found:
        np.testing.assert_array_equal(statistics.values, expected)
    assert torch.backends.mha.get_fastpath_enabled() == flags
    assert torch.utils.checkpoint.CheckpointFunction is checkpoint_function


# --- scores of networks that they are not made for


class Centred(nn.Conv2d):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return F.conv2d(x, self.weight - self.weight.mean((1, 2, 3), keepdim=True), self.bias)


@pytest.mark.parametrize(
    ("network", "right"),
    [
        (lambda: with_(c2=Centred(6, 6, 3)), False),
        (
            lambda: with_(second=lambda self, h: 2 * F.linear(torch.relu(self.c2(h)).mean((2, 3)), self.fc.weight)),
            True,
        ),
        (
            lambda: with_(second=lambda self, h: Base.second(self, h - torch.einsum("nchw,ocij->nohw", h, self.c2.weight))),
            False,
        ),
        (lambda: with_(second=lambda self, h: self.fc(input=torch.relu(self.c2(h)).mean((2, 3)))), False),
    ],
    ids=["a layer of its own", "a function", "a function beside the layer", "by keyword"],
)
def test_gradsign_is_right_or_refused(network: Callable[[], nn.Module], right: bool) -> None:
    made = network()
    signs: Any = 0
    for image, label in zip(X, Y, strict=True):
        layers = [m.weight for m in made.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
        found = torch.autograd.grad(F.cross_entropy(made(image[None]), label[None]), layers)
        signs = signs + torch.cat([g.sign().flatten() for g in found])
    if right:
        assert network_proxies(made, X, Y, ["gradsign"])["gradsign"] == pytest.approx(float(signs.abs().sum()), rel=0.01)
    else:
        with pytest.raises(BadInput, match="gradsign expects"):
            network_proxies(made, X, Y, ["gradsign"])


def test_gradsign_counts_a_weight_of_two_layers_once() -> None:
    two, one = (network_proxies(Shared(layers), X, Y, ["gradsign"]) for layers in (2, 1))
    assert two == one


@pytest.mark.filterwarnings("ignore:left out, as not defined")
def test_a_score_that_breaks_on_a_network_is_refused_in_our_words() -> None:
    @network_score
    def broken(passes: Any) -> float:
        return float(passes.nothing)

    try:
        with pytest.raises(BadInput, match="broken cannot be computed of this network: AttributeError"):
            network_proxies(Base(), X, Y, ["broken"])
        assert {"params", "zen"} <= set(network_proxies(Base(), X, Y)) - {"broken"}
    finally:
        del SCORES["broken"]
    whole = nn.Sequential(nn.Flatten(), nn.Linear(192, 6), nn.BatchNorm1d(6, track_running_stats=False), nn.Linear(6, 4))
    assert "params" in network_proxies(whole, X, Y)
    with pytest.raises(BadInput, match="gradsign"):
        network_proxies(with_(b=nn.BatchNorm2d(6)), X, Y + 3, ["gradsign"])


def test_an_exported_program_is_refused_with_what_to_do() -> None:
    exported = torch.export.export(Base(), (X,)).module()
    with pytest.raises(BadInput, match="give the module that it was made from"):
        collect_statistics(exported, X, Y)
