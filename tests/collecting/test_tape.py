"""Passes over a tape against the plain ones, which define the values; and networks that no tape can write down."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from parzc_core import proxies
from parzc_core.collecting import fast
from parzc_core.collecting.fast import TapePasses, forget, passes_of
from parzc_core.collecting.one import CollectionConfig, record
from parzc_core.collecting.tape import NoRule, Relu
from parzc_core.collector import NodeStatistics, statistics_of
from parzc_core.errors import BadInput
from parzc_core.images.batch import minibatch
from parzc_core.passes import Passes
from parzc_core.proxies import NODE_PROXIES
from parzc_core.spaces import space

FLIPS = 0.05  # in single precision: a ReLU whose input lies near zero may have another sign
LABELS = torch.tensor([0, 1, 2, 1])
SPACES = {  # name -> arguments of build; each at a size that takes a moment
    "nb201": {"channels": 4, "cells": 2}, "nb101": {"stem": 8}, "nb301": {"width": 4}, "nds_darts": {"width": 4},
    "nds_enas": {"width": 4}, "nds_pnas": {"width": 4}, "nds_nasnet": {"width": 4}, "nds_amoeba": {"width": 4},
}  # fmt: skip
CELLS = (
    "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",  # nothing reaches the output
    "|none~0|+|none~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|",  # an edge out of nothing
    "|nor_conv_3x3~0|+|nor_conv_1x1~0|avg_pool_3x3~1|+|skip_connect~0|nor_conv_3x3~1|avg_pool_3x3~2|",
)


def batch(dtype: torch.dtype = torch.float64, side: int = 16) -> torch.Tensor:
    return torch.randn(4, 3, side, side, generator=torch.Generator().manual_seed(1), dtype=torch.float64).to(dtype)


def both(build, images: torch.Tensor, labels: torch.Tensor = LABELS) -> tuple[Passes, TapePasses]:
    networks = []
    for _ in range(2):
        torch.manual_seed(0)
        networks.append(build().to(images.dtype))
    return Passes(networks[0], images, labels, consume=True, second_order=True), TapePasses(networks[1], images, labels)


def assert_close(plain: dict[str, torch.Tensor | None], tape: dict[str, torch.Tensor | None]) -> None:
    """Within 1e-10 of the largest entry of all nodes. Nothing but rounding is left of logits whose sum a last BatchNorm fixes."""
    assert list(plain) == list(tape)
    scale = max([1e-3, *(float(each.detach().abs().max()) for each in plain.values() if each is not None)])
    for name, of_plain in plain.items():
        of_tape = tape[name]
        assert (of_plain is None) == (of_tape is None), name
        if of_plain is not None and of_tape is not None:
            assert float((of_plain.detach() - of_tape).abs().max()) <= 1e-10 * scale, name


def assert_equal_statistics(a: NodeStatistics, b: NodeStatistics, tolerance: float = 1e-10) -> None:
    assert (a.nodes, a.execution_order, a.left_out) == (b.nodes, b.execution_order, b.left_out)
    for name, of_a, of_b in zip(a.proxies, a.values, b.values, strict=True):
        scale = np.abs(a.of("snip") if name == "plain" else of_a).max()
        assert np.abs(of_a - of_b).max() <= tolerance * scale, name


def assert_same(build, images: torch.Tensor) -> None:
    plain, tape = both(build, images)
    assert_equal_statistics(statistics_of(plain), statistics_of(tape))
    assert_close({"": plain.logits}, {"": tape.logits})
    assert_close({"": plain.image_gradients}, {"": tape.image_gradients})
    assert_close(plain.loss_gradients, tape.loss_gradients)
    assert_close(plain.logit_gradients, tape.logit_gradients)
    assert_close(plain.flow.gradients, tape.flow.gradients)
    assert_close(plain.hessian_gradients, tape.hessian_gradients)


@pytest.mark.parametrize("name", SPACES)
def test_networks_of_the_spaces(name):
    archs: tuple[str, ...] | list[str] = CELLS if name == "nb201" else space(name).sample(2, 0)
    for arch in archs:
        assert_same(lambda arch=arch: space(name).build(arch, classes=3, **SPACES[name]), batch())


class Branches(nn.Module):
    """Biases, a layer that is called twice, one that two others read, groups, strides, dilation, and functions of all kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8, affine=False, eps=0.1)
        self.twice = nn.Conv2d(8, 8, 3, padding=2, dilation=2, groups=4, bias=False)
        self.after = nn.BatchNorm2d(8, momentum=None)
        self.down = nn.Conv2d(16, 6, (3, 1), stride=(2, 1))
        self.relu = nn.ReLU(inplace=True)
        self.pool = nn.MaxPool2d(3, stride=2, padding=1, ceil_mode=True)
        self.hidden, self.head = nn.Linear(6, 5), nn.Linear(5, 3, bias=False)
        for parameter in self.after.parameters():
            nn.init.normal_(parameter)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        read = self.stem(x)
        x = self.norm(read) + read
        x = self.relu(self.after(self.twice(self.relu(self.twice(x)))))
        x = x + F.pad(read, (1, 1, 2, 0))[:, :, 2 : x.shape[2] + 2, 2:]
        x = torch.cat([F.avg_pool2d(x, 2), self.pool(x)[:, :, : x.size(2) // 2, : x.shape[3] // 2]], dim=1)
        x = F.adaptive_avg_pool2d(self.relu(self.down(x)), 1).flatten(1)
        return self.head(F.relu(self.hidden(x)))


class Plain(Branches):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        read = F.relu(self.stem(x))
        y = F.relu(self.twice(read), inplace=True)
        x = torch.cat([self.norm(y) + read, self.after(y)], dim=1)
        return self.head(self.hidden(F.max_pool2d(self.down(x), 3).mean(dim=(2, 3))))


@pytest.mark.parametrize("network", [Branches, Plain])
def test_networks_of_many_functions(network):
    assert_same(network, batch())


@pytest.mark.parametrize("name", ["nb201", "nds_darts"])
def test_rounding_is_no_worse_than_of_the_plain_passes(name):
    arch = CELLS[2] if name == "nb201" else space(name).sample(1, 3)[0]

    def build() -> nn.Module:
        return space(name).build(arch, classes=3, **SPACES[name])

    exact, _ = both(build, batch())
    plain, tape = both(build, batch(torch.float32))
    right = statistics_of(exact)
    assert_equal_statistics(right, statistics_of(plain), FLIPS)
    assert_equal_statistics(right, statistics_of(tape), FLIPS)
    np.testing.assert_allclose(statistics_of(tape).of("synflow"), right.of("synflow"), rtol=3e-6)


@pytest.mark.parametrize(("scale", "bias"), [(1.0, False), (1e-3, False), (1.0, True), (1e-3, True)])
def test_synflow_of_sums_beyond_single_precision(scale, bias):
    def build() -> nn.Module:
        layers = [nn.Conv2d(3, 64, 3, padding=1, bias=bias)]
        for _ in range(40):
            layers += [nn.BatchNorm2d(64), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1, bias=bias)]
        network = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 3))
        with torch.no_grad():
            for layer in layers:
                if isinstance(layer, nn.Conv2d):
                    layer.weight *= scale
        return network

    plain, tape = both(build, batch(torch.float32, 4))
    a, b = (statistics_of(passes, ["synflow"]).of("synflow") for passes in (plain, tape))
    range_of_floats = torch.finfo(torch.float32)
    assert a.max() > range_of_floats.max or a.min() < range_of_floats.tiny
    np.testing.assert_allclose(b, a, rtol=1e-5)


def test_grasp_is_the_product_of_weight_and_hessian(monkeypatch):
    plain, tape = both(Branches, batch())
    for name, product in tape.hessian_products.items():
        expected = float((plain.nodes[name].weight.detach() * plain.hessian_gradients[name]).sum())
        assert product == pytest.approx(expected, rel=1e-8, abs=1e-14)
    monkeypatch.setattr(proxies, "NODE_REGISTRY", dict(proxies.NODE_REGISTRY))
    monkeypatch.setattr("parzc_core.collector.NODE_REGISTRY", proxies.NODE_REGISTRY)
    proxies.node_proxy("hessian")(hessian_size)
    sizes = statistics_of(tape, ["grasp", "hessian_size"])
    assert_equal_statistics(statistics_of(plain, ["grasp", "hessian_size"]), sizes, 1e-8)
    assert sizes.of("hessian_size").max() > 0


def hessian_size(node: proxies.NodeTensors) -> float:
    assert node.hessian_gradient is not None
    return float(node.hessian_gradient.abs().sum())


class Calls(nn.Module):
    """A network that applies a function to what its first layer gives."""

    def __init__(self, function, training: bool = True):
        super().__init__()
        self.conv, self.norm, self.head = nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.Linear(4, 3)
        self.function, self.of_batch = function, training

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        x = F.batch_norm(x, self.norm.running_mean, self.norm.running_var, training=self.of_batch)
        return self.head(self.function(x).mean(dim=(2, 3)))


FUNCTIONS = {
    "gelu": F.gelu,
    "product": lambda x: x * x,
    "scaled": lambda x: 2 * x,
    "sum with a number": lambda x: x + 1,
    "sum of two shapes": lambda x: x + x[:, :1],
    "sum in place": lambda x: x.add_(x),
    "padding with ones": lambda x: F.pad(x, (1, 1), value=1.0),
    "chosen by a tensor": lambda x: x[torch.tensor([1, 0, 3, 2])],
    "weight of nobody": lambda x: F.conv2d(x, torch.ones(4, 4, 1, 1, dtype=x.dtype)),
    "conv by name": lambda x: F.conv2d(x, torch.ones(4, 4, 1, 1, dtype=x.dtype), stride=1),
    "places of the maxima": lambda x: F.max_pool2d(x, 2, return_indices=True)[0],
    "transposed": lambda x: x.transpose(2, 3),
    "dropout": lambda x: F.dropout(x, 0.5),
}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_other_functions_have_plain_passes(name):
    def build() -> nn.Module:
        torch.manual_seed(0)
        return Calls(FUNCTIONS[name]).double()

    with pytest.raises(NoRule):
        TapePasses(build(), batch(), LABELS)
    passes = passes_of(build(), batch(), LABELS, second_order=True)
    assert type(passes) is Passes
    expected = Passes(build(), batch(), LABELS, consume=True, second_order=True)
    np.testing.assert_array_equal(statistics_of(passes).values, statistics_of(expected).values)


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_by_running_statistics_has_plain_passes(training):
    passes = passes_of(Calls(F.relu, training).double(), batch(), LABELS, second_order=True)
    assert type(passes) is (TapePasses if training else Passes)


def test_labels_and_images_that_do_not_fit_are_refused_as_by_plain_passes():
    for images, labels in ((batch(), LABELS + 9), (batch()[:, :2], LABELS), (batch()[:1], LABELS[:1])):
        errors = []
        for make in (passes_of, lambda *given: Passes(*given, consume=True)):
            with pytest.raises(BadInput) as error:
                _ = make(Branches().double(), images, labels).loss_gradients
            errors.append(str(error.value))
        assert errors[0] == errors[1]


def test_plain_passes_can_be_asked_for(monkeypatch):
    monkeypatch.setenv("PARZC_PLAIN", "1")
    assert type(passes_of(Branches().double(), batch(), LABELS)) is Passes


def test_what_is_collected_comes_from_the_tape(monkeypatch):
    config = CollectionConfig(space="nb201", images="noise", batch=4, width=4, proxies=NODE_PROXIES, scores=("jacov", "nwot"))
    images = minibatch("cifar10", 4, "noise")
    made = []
    monkeypatch.setattr(fast, "TapePasses", lambda *given: made.append(TapePasses(*given)) or made[-1])
    fast_record = record(config, CELLS[2], images)
    assert made
    monkeypatch.setenv("PARZC_PLAIN", "1")
    plain_record = record(config, CELLS[2], images)
    assert_equal_statistics(plain_record.statistics, fast_record.statistics, FLIPS)
    assert fast_record.scores == pytest.approx(plain_record.scores, rel=FLIPS)


class Branches(nn.Module):
    """Two branches rectify the same input: out of place, or one of them in place."""

    def __init__(self, in_place: bool = False) -> None:
        super().__init__()
        self.stem, self.a, self.b = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 1)
        self.norms, self.head, self.in_place = nn.ModuleList(nn.BatchNorm2d(4) for _ in range(2)), nn.Linear(4, 3), in_place

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norms[0](self.stem(x))
        a, b = self.a(F.relu(x)), self.b(F.relu(x, inplace=self.in_place))
        return self.head(F.relu(self.norms[1](a) + b).mean((2, 3)))


@pytest.mark.parametrize(("in_place", "rectifiers"), [(False, 2), (True, 3)])
def test_what_is_rectified_twice_is_kept_once_and_what_no_pass_reads_is_not_kept(in_place, rectifiers):
    assert_same(lambda: Branches(in_place), batch())
    operations = both(lambda: Branches(in_place), batch())[1].tape.operations
    assert sum(isinstance(one, Relu) for one in operations) == rectifiers
    assert {type(one).__name__ for one in operations if not one.value.numel()} == {"BatchNorm", "Sum"}


@pytest.mark.parametrize("place", [0, 1])
def test_passes_that_were_forgotten_are_made_again(place):
    passes = both(Branches, batch())[place]
    before = statistics_of(passes)
    forget(passes)
    assert not {"tape", "_forward", "_loss_gradients", "flow"} & {*vars(passes)}
    assert_equal_statistics(before, statistics_of(passes), 0)


def test_scores_have_the_order_and_the_values_of_each_alone():
    names = ("zico", "nwot", "zen", "params", "jacov")

    def scores(*names: str) -> dict[str, float]:
        config = CollectionConfig(cells=1, batch=4, width=4, proxies=("snip",), scores=names)
        return record(config, CELLS[2], minibatch("cifar10", 4)).scores

    together = scores(*names)
    assert tuple(together) == names
    for name in names:
        assert scores(name) == {name: together[name]}
