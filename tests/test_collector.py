"""Algorithm 1 against closed forms, finite differences and an independent reading of the formulas."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from parzc_core.collector import collect_statistics, depth_first_order
from parzc_core.errors import BadInput, UnknownName
from parzc_core.passes import Passes
from parzc_core.proxies import NODE_PROXIES, NODE_REGISTRY
from parzc_core.spaces import nb201


class TwoLayer(nn.Module):
    """conv 1x1 without bias, ReLU, mean over space, linear: small enough for closed forms."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(2, 3, 1, bias=False)
        self.linear = nn.Linear(3, 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(torch.relu(self.conv(x)).mean(dim=(2, 3)))


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(4, 2, 3, 3, generator=generator), torch.tensor([0, 1, 1, 0])


@pytest.fixture
def two_layer() -> TwoLayer:
    torch.manual_seed(1)
    return TwoLayer()


def closed_forms(network: TwoLayer, x: torch.Tensor, y: torch.Tensor) -> dict[str, dict[str, float]]:
    """Every gradient by hand: p - onehot through the linear layer, the mean, the ReLU and the 1x1 convolution."""
    w, v, x = network.conv.weight.detach()[:, :, 0, 0].double(), network.linear.weight.detach().double(), x.double()
    n, pixels = len(x), x.shape[2] * x.shape[3]
    a = torch.einsum("oc,nchw->nohw", w, x)
    h = a.relu().mean(dim=(2, 3))
    logits = h @ v.T
    d_logits = (logits.softmax(dim=1) - F.one_hot(y, 2)) / n
    d_v = d_logits.T @ h
    d_a = (d_logits @ v)[:, :, None, None] / pixels * (a > 0)
    d_w = torch.einsum("nohw,nchw->oc", d_a, x)
    s_conv, s_linear = (a * d_a).sum(dim=(2, 3)), logits * d_logits
    flow_w, flow_v = w.abs(), v.abs()  # input of ones: R = sum_k sum_o |v_ko| sum_c |w_oc|
    return {
        "grad_norm": {"conv": d_w.norm(), "linear": d_v.norm()},
        "snip": {"conv": (d_w * w).abs().sum(), "linear": (d_v * v).abs().sum()},
        "plain": {"conv": (d_w * w).sum(), "linear": (d_v * v).sum()},
        "l2_norm": {"conv": w.norm(), "linear": v.norm()},
        "fisher": {
            "conv": 0.5 * s_conv.square().mean(dim=0).sum() * 2,
            "linear": 0.5 * s_linear.square().mean(dim=0).sum() * 3,
        },
        "synflow": {"conv": (flow_v.sum(dim=0) @ flow_w).sum(), "linear": (flow_v @ flow_w.sum(dim=1)).sum()},
    }


def test_closed_forms(two_layer, batch):
    statistics = collect_statistics(two_layer, *batch)
    assert statistics.nodes == ("linear", "conv")  # post-order: what reads a node comes before it
    assert statistics.numel.tolist() == [6, 6]
    for proxy, expected in closed_forms(two_layer, *batch).items():
        got = dict(zip(statistics.nodes, statistics.of(proxy), strict=True))
        for node, value in expected.items():
            assert got[node] == pytest.approx(float(value), rel=2e-5), (proxy, node)


def test_grasp_is_the_finite_difference_of_the_gradient(two_layer, batch):
    network, images = two_layer.double(), batch[0].double()
    weights = [network.conv.weight, network.linear.weight]

    def gradients() -> list[torch.Tensor]:
        return list(torch.autograd.grad(F.cross_entropy(network(images), batch[1]), weights))

    g, step = gradients(), 1e-6
    with torch.no_grad():
        for weight, direction in zip(weights, g, strict=True):
            weight.add_(step * direction)
    up = gradients()
    with torch.no_grad():
        for weight, direction in zip(weights, g, strict=True):
            weight.sub_(2 * step * direction)
    down = gradients()
    with torch.no_grad():
        for weight, direction in zip(weights, g, strict=True):
            weight.add_(step * direction)
    expected = [-float((w.detach() * (a - b)).sum() / (2 * step)) for w, a, b in zip(weights, up, down, strict=True)]
    statistics = collect_statistics(network, images, batch[1], ["grasp"])
    got = [statistics.values[0][statistics.nodes.index(name)] for name in ("conv", "linear")]
    assert got == pytest.approx(expected, rel=1e-5)


def reference_values(network: nn.Module, x: torch.Tensor, y: torch.Tensor) -> dict[str, dict[str, float]]:
    """The formulas of the seven proxies, one plain pass each, written without the collector."""
    nodes = {n: m for n, m in network.named_modules() if isinstance(m, nn.Conv2d | nn.Linear)}
    outputs: dict[str, torch.Tensor] = {}
    handles = [m.register_forward_hook(lambda m, i, o, name=n: outputs.__setitem__(name, o)) for n, m in nodes.items()]
    logits = network.train()(x)
    d = dict(zip(outputs, torch.autograd.grad(F.cross_entropy(logits, y), list(outputs.values())), strict=True))
    for handle in handles:
        handle.remove()
    weights = {n: m.weight for n, m in nodes.items()}
    loss = F.cross_entropy(network.train()(x), y)
    g = dict(
        zip(
            weights,
            torch.autograd.grad(loss, list(weights.values()), create_graph=True, allow_unused=True),
            strict=True,
        )
    )
    g = {n: torch.zeros_like(weights[n]) if grad is None else grad for n, grad in g.items()}
    z = sum((grad.detach() * grad).sum() for grad in g.values())
    hg = torch.autograd.grad(z, list(weights.values()), retain_graph=True, allow_unused=True)
    values: dict[str, dict[str, float]] = {k: {} for k in NODE_PROXIES}
    for (name, w), h in zip(weights.items(), hg, strict=True):
        values["grad_norm"][name] = float(g[name].norm())
        values["snip"][name] = float((g[name] * w).abs().sum())
        values["plain"][name] = float((g[name] * w).sum())
        values["l2_norm"][name] = float(w.norm())
        values["grasp"][name] = 0.0 if h is None else float(-(w * h).sum())
        product = outputs[name] * d[name] if name in outputs else torch.zeros(1, len(w))
        s = product.flatten(2).sum(2) if product.ndim == 4 else product
        values["fisher"][name] = float(0.5 * s.square().mean(0).sum()) * (w.numel() // len(w))
    linear = copy.deepcopy(network).double().eval()
    for module in linear.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.forward = lambda x: x
    for parameter in linear.parameters():
        parameter.data.abs_()
    linear(torch.ones_like(x[:1], dtype=torch.float64)).sum().backward()
    for name, module in linear.named_modules():
        if name in nodes:
            grad = module.weight.grad
            values["synflow"][name] = 0.0 if grad is None else float((module.weight * grad).abs().sum())
    return values


@pytest.mark.parametrize("arch", [nb201.arch(i) for i in (1, 6111, 10676)])
def test_random_cells_equal_the_formulas(arch):
    torch.manual_seed(0)
    network = nb201.build(arch, channels=4, cells=1)
    x, y = torch.randn(6, 3, 16, 16), torch.randint(0, 10, (6,))
    statistics = collect_statistics(network, x, y)
    torch.manual_seed(0)
    expected = reference_values(nb201.build(arch, channels=4, cells=1), x, y)
    for proxy in NODE_PROXIES:
        got = dict(zip(statistics.nodes, statistics.of(proxy), strict=True))
        for node in got:
            assert got[node] == pytest.approx(expected[proxy][node], rel=1e-4, abs=1e-6), (proxy, node)


def test_dead_edges_change_nothing():
    arch = "|nor_conv_3x3~0|+|nor_conv_1x1~0|nor_conv_3x3~1|+|skip_connect~0|none~1|none~2|"
    x, y = torch.randn(4, 3, 16, 16), torch.randint(0, 10, (4,))
    results = []
    for skip_dead in (True, False):
        torch.manual_seed(0)
        statistics = collect_statistics(nb201.build(arch, channels=4, cells=1, skip_dead=skip_dead), x, y)
        results.append(dict(zip(statistics.nodes, statistics.values.T, strict=True)))
    assert results[0].keys() == results[1].keys()
    for node, values in results[0].items():
        np.testing.assert_allclose(values, results[1][node], rtol=1e-5, atol=1e-9)
    dead = [v for n, v in results[0].items() if ".layers." in n]
    rest = [NODE_PROXIES.index(p) for p in NODE_PROXIES if p != "l2_norm"]
    assert dead
    assert all((v[rest] == 0).all() and v[NODE_PROXIES.index("l2_norm")] > 0 for v in dead)


def test_cell_of_none_is_finite_and_zero_but_for_the_weights():
    network = nb201.build(nb201.to_string(["none"] * 6), channels=4, cells=1)
    statistics = collect_statistics(network, torch.randn(4, 3, 16, 16), torch.randint(0, 10, (4,)))
    assert statistics.not_finite == 0
    assert (statistics.of("l2_norm") > 0).all()
    for proxy in set(NODE_PROXIES) - {"l2_norm"}:
        values = dict(zip(statistics.nodes, statistics.of(proxy), strict=True))
        if proxy == "fisher":  # the classifier still outputs its bias, and that has a gradient
            assert values.pop("classifier") > 0
        assert not any(values.values()), proxy


@settings(max_examples=12, deadline=None)
@given(chosen=st.lists(st.sampled_from(NODE_PROXIES), min_size=1, unique=True))
def test_a_value_does_not_depend_on_what_else_is_asked(chosen):
    torch.manual_seed(3)
    network = nb201.build(nb201.arch(1), channels=4, cells=1)
    x, y = torch.randn(4, 3, 8, 8), torch.randint(0, 10, (4,))
    whole, part = collect_statistics(network, x, y), collect_statistics(network, x, y, chosen)
    assert part.nodes == whole.nodes
    assert part.proxies == tuple(chosen)
    for proxy in chosen:
        np.testing.assert_allclose(part.of(proxy), whole.of(proxy), rtol=1e-6, atol=0)


def test_the_network_is_left_as_it_was():
    network = nb201.build(nb201.arch(6111), channels=4, cells=1).eval()
    network.stem[0].weight.requires_grad_(False)
    before = copy.deepcopy(network.state_dict())
    collect_statistics(network, torch.randn(4, 3, 16, 16), torch.randint(0, 10, (4,)))
    for key, value in network.state_dict().items():
        assert torch.equal(value, before[key]), key
    assert not network.training
    assert not network.stem[0].weight.requires_grad
    assert network.classifier.weight.grad is None
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in network.modules())


def test_the_callers_random_state_is_left_as_it_was():
    network, x, y = nb201.build(nb201.arch(1), channels=4, cells=1), torch.randn(4, 3, 8, 8), torch.randint(0, 10, (4,))
    torch.manual_seed(5)
    collect_statistics(nn.Sequential(network, nn.Dropout(0.5)), x, y)
    got = torch.rand(1)
    torch.manual_seed(5)
    assert torch.equal(got, torch.rand(1))


class Branching(nn.Module):
    """in -> a -> (b, c) -> d, with c also read after an in-place ReLU, a shared layer and one that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.never = nn.Linear(4, 4)
        self.d = nn.Linear(4, 3)
        self.c = nn.Linear(4, 4)
        self.b = nn.Linear(4, 4)
        self.a = nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.a(x).relu_()
        return self.d(self.b(h) + self.c(self.c(h)).relu_())


def test_order_follows_the_graph_not_the_declaration():
    statistics = collect_statistics(Branching(), torch.randn(4, 4), torch.tensor([0, 1, 2, 0]))
    assert statistics.nodes == ("d", "b", "c", "a", "never")
    executed = [statistics.nodes[i] for i in statistics.execution_order]
    assert executed == ["a", "b", "c", "d", "never"]
    assert (statistics.values[:, -1] == 0).sum() == len(NODE_PROXIES) - 1  # all but l2_norm


def test_in_place_operations_do_not_change_fisher():
    torch.manual_seed(0)
    network, x, y = Branching(), torch.randn(4, 4), torch.tensor([0, 1, 2, 0])
    a = network.a(x).detach().requires_grad_(True)  # output of node a before the ReLU that overwrites it
    h = a.relu()
    F.cross_entropy(network.d(network.b(h) + network.c(network.c(h)).relu()), y).backward()
    expected = float(0.5 * (a * a.grad).square().mean(0).sum()) * 4
    statistics = collect_statistics(network, x, y, ["fisher"])
    assert statistics.values[0][statistics.nodes.index("a")] == pytest.approx(expected, rel=1e-5)


def test_depth_first_order_of_a_diamond_is_post_order():
    assert depth_first_order({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}) == ["d", "b", "c", "a"]


@settings(max_examples=50, deadline=None)
@given(
    st.integers(2, 12).flatmap(
        lambda n: st.tuples(st.just(n), st.sets(st.tuples(st.integers(0, n), st.integers(0, n))))
    )
)
def test_depth_first_order_visits_each_node_once_after_its_children(case):
    n, edges = case
    children = {i: [j for j in range(i + 1, n) if (i, j) in edges] for i in range(n)}
    order = depth_first_order(children)
    assert sorted(order) == list(range(n))
    assert all(order.index(child) < order.index(node) for node in children for child in children[node])


def test_nan_is_kept_and_counted():
    network = TwoLayer()
    with torch.no_grad():
        network.conv.weight[0, 0] = float("nan")
    statistics = collect_statistics(network, torch.randn(4, 2, 3, 3), torch.tensor([0, 1, 1, 0]))
    assert statistics.not_finite > 0
    assert np.isnan(statistics.of("snip")).any()


@pytest.mark.parametrize(
    ("network", "images", "labels", "says"),
    [
        (nn.ReLU(), (4, 3, 8, 8), [0] * 4, "no Conv2d or Linear"),
        (nb201.build(nb201.arch(1), 4, 1), (4, 1, 8, 8), [0] * 4, "cannot process images of shape"),
        (nb201.build(nb201.arch(1), 4, 1), (1, 3, 8, 8), [0], "batch of one"),
        (nb201.build(nb201.arch(1), 4, 1), (4, 3, 8, 8), [0] * 3, "expected int64 [4]"),
        (nb201.build(nb201.arch(1), 4, 1), (4, 3, 8, 8), [0, 1, 2, 10], "10 classes"),
        (nb201.build(nb201.arch(1), 4, 1), (4, 3, 8, 8), [0, 1, 2, -1], "labels from -1 to 2"),
        (nn.Conv2d(3, 4, 1), (4, 3, 8, 8), [0] * 4, "expected logits"),
    ],
)
def test_bad_input_gets_one_clear_error(network, images, labels, says):
    with pytest.raises(BadInput) as error:
        collect_statistics(network, torch.randn(images), torch.tensor(labels))
    assert says in str(error.value)


def test_unknown_proxy_names_the_known_ones(two_layer, batch):
    with pytest.raises(UnknownName, match=r"unknown node-wise proxy 'snap'.*snip"):
        collect_statistics(two_layer, *batch, ["snap"])


def test_the_registry_has_the_seven_of_the_paper():
    assert set(NODE_PROXIES) <= set(NODE_REGISTRY)
    assert len(NODE_PROXIES) == 7


# --- the passes that the collector and the scores share


class WholeBatches(TwoLayer):
    """Takes batches of four alone."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.view(4, 2, 3, 3))


def test_synflow_of_a_network_that_takes_whole_batches_alone_is_that_of_one_image(two_layer, batch):
    torch.manual_seed(1)
    whole = collect_statistics(WholeBatches(), *batch, ["synflow"])
    one = collect_statistics(two_layer, *batch, ["synflow"])
    np.testing.assert_allclose(whole.values, one.values, rtol=1e-6)


def test_synflows_pass_drops_nothing_out(two_layer, batch):
    dropping = copy.deepcopy(two_layer)
    dropping.linear = nn.Sequential(nn.Dropout(0.5), dropping.linear)
    dropped, plain = (collect_statistics(network, *batch, ["synflow"]) for network in (dropping, two_layer))
    np.testing.assert_allclose(dropped.values, plain.values, rtol=1e-6)


class Signed(nn.Module):
    """Its second weight lowers what it gives, whatever the sign of the weight: dR/d|W| is negative."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 4, bias=False), nn.Linear(4, 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return -self.second(self.first(x))


def test_synflow_is_a_sum_of_magnitudes():
    torch.manual_seed(0)
    network = Signed()
    got = collect_statistics(network, torch.randn(4, 3), torch.tensor([0, 1, 1, 0]), ["synflow"])
    expected = float((network.second.weight.detach().abs() @ network.first.weight.detach().abs()).sum())
    assert got.values[0] == pytest.approx([expected, expected])


def test_passes_are_autograds_and_in_train_mode_whatever_was_asked_before():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten(), nn.Linear(3, 2)).eval()
    x, y = torch.randn(4, 2, 3, 3), torch.tensor([0, 1, 1, 0])
    passes = Passes(network, x, y)
    assert set(passes.flow.gradients) == {"0", "4"}  # in eval mode, without BatchNorm
    plain, leaf = copy.deepcopy(network).train(), x.clone().requires_grad_(True)
    logits, weights = plain(leaf), [plain[0].weight, plain[4].weight]
    torch.testing.assert_close(passes.logits, logits)
    by_loss = torch.autograd.grad(F.cross_entropy(logits, y), weights, retain_graph=True)
    by_sum = torch.autograd.grad(logits.sum(), [leaf, *weights])
    torch.testing.assert_close(list(passes.loss_gradients.values()), list(by_loss))
    torch.testing.assert_close([passes.image_gradients, *passes.logit_gradients.values()], list(by_sum), rtol=1e-4, atol=1e-6)


def test_a_batch_has_two_images_int64_labels_and_classes_of_the_network(two_layer, batch):
    x, y = batch
    assert collect_statistics(two_layer, x[:2], y[:2]).not_finite == 0
    for images, labels, says in (
        (x[:1], y[:1], "batch of one image"),
        (x[:0], y[:0], "empty batch"),
        (x, y.int(), "torch.int32; expected int64"),
        (x, torch.tensor([0, 1, 2, 0]), "labels from 0 to 2; the network has 2 classes"),
        (x, torch.tensor([0, 1, -1, 0]), "labels from -1 to 1"),
    ):
        with pytest.raises(BadInput, match=says):
            collect_statistics(two_layer, images, labels)
    for loss in (lambda outputs, labels: outputs.sum(dim=1), lambda outputs, labels: torch.tensor(1.0)):
        with pytest.raises(BadInput, match="expected one number that depends on the network's weights"):
            collect_statistics(two_layer, x, y, loss=loss)
