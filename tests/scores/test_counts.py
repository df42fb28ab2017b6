"""Network-level scores against hand-computed values, and the registry's manners."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from parzc_core.collector import collect_statistics
from parzc_core.errors import BadInput, UnknownName
from parzc_core.proxies import NODE_PROXIES, NODE_REGISTRY, NodeTensors, node_proxy
from parzc_core.scores.registry import REGISTRY, network_proxies, score
from parzc_core.spaces import nb201


class Small(nn.Module):
    """conv, ReLU, mean, linear; no BatchNorm."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.relu = nn.ReLU()
        self.linear = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(self.relu(self.conv(x)).mean(dim=(2, 3)))


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return torch.randn(6, 3, 8, 8, generator=generator), torch.tensor([0, 1, 2, 3, 4, 0])


@pytest.fixture
def network() -> Small:
    torch.manual_seed(2)
    return Small()


def test_params_and_flops_by_hand(network, batch):
    assert score("params", network, *batch) == 3 * 4 * 9 + 4 + 4 * 5 + 5
    assert score("flops", network, *batch) == 2 * (3 * 4 * 9 * 8 * 8) + 2 * 4 * 5


def test_nwot_counts_agreeing_units(network, batch):
    codes = (network.conv(batch[0]) > 0).flatten(1).numpy()
    kernel = np.array([[np.sum(a == b) for b in codes] for a in codes], dtype=float)
    assert score("nwot", network, *batch) == pytest.approx(np.linalg.slogdet(kernel)[1], rel=1e-9)


def test_nwot_is_minus_infinity_for_equal_images_and_nan_without_relu(network, batch):
    images = batch[0].clone()
    images[1] = images[0]
    assert score("nwot", network, images, batch[1]) == -np.inf
    assert np.isnan(score("nwot", nn.Sequential(nn.Flatten(), nn.Linear(192, 5)), *batch))


def test_jacov_is_the_formula_on_single_image_jacobians(network, batch):
    rows = []
    for image in batch[0]:
        x = image.unsqueeze(0).requires_grad_(True)
        network(x).sum().backward()
        rows.append(x.grad.flatten().double().numpy())
    v = np.linalg.eigvalsh(np.corrcoef(np.stack(rows)))
    expected = -np.sum(np.log(v + 1e-5) + 1 / (v + 1e-5))
    assert score("jacov", network, *batch) == pytest.approx(expected, rel=1e-3)


def test_zico_is_the_formula_on_the_two_halves(network, batch):
    total = 0.0
    gradients = []
    for part in (slice(0, 3), slice(3, 6)):
        twin = copy.deepcopy(network)
        F.cross_entropy(twin(batch[0][part]), batch[1][part]).backward()
        gradients.append([twin.conv.weight.grad.double().numpy(), twin.linear.weight.grad.double().numpy()])
    for a, b in zip(*gradients, strict=True):
        size, spread = (np.abs(a) + np.abs(b)) / 2, np.abs(a - b) / 2
        total += np.log((size[spread > 0] / spread[spread > 0]).sum())
    assert score("zico", network, *batch) == pytest.approx(total, rel=1e-4)


def test_zen_adds_the_log_scale_that_batchnorm_takes_out():
    """A linear chain with BatchNorm: the features are normalised, so the Zen-score is the same chain's without the last norm."""
    x = torch.randn(8, 3, 4, 4)
    plain = nn.Sequential(nn.Conv2d(3, 6, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2))
    normed = nn.Sequential(
        nn.Conv2d(3, 6, 1, bias=False), nn.BatchNorm2d(6), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 2)
    )
    y = torch.zeros(8, dtype=torch.int64)
    assert score("zen", normed, x, y) == pytest.approx(score("zen", plain, x, y), abs=0.2)
    assert score("zen", plain, x, y) == score("zen", plain, x, y)  # seeded


def test_all_none_cell_has_documented_values(batch):
    cell = nb201.build(nb201.to_string(["none"] * 6), channels=4, cells=1)
    scores = network_proxies(cell, batch[0], batch[1])
    assert np.isnan(scores["jacov"])
    assert scores["nwot"] == -np.inf
    assert scores["zen"] == -np.inf
    assert scores["zico"] == 0


def test_every_score_leaves_the_network_and_the_generator_alone(batch):
    network = nb201.build(nb201.arch(1), channels=4, cells=1).eval()
    before, state = copy.deepcopy(network.state_dict()), torch.random.get_rng_state()
    first = network_proxies(network, *batch)
    assert torch.equal(state, torch.random.get_rng_state())
    assert (
        set(first)
        == set(REGISTRY)
        == {
            *("params", "flops", "jacov", "nwot", "zen", "zico"),
            *("logsynflow", "nasi", "knas", "gradsign", "ntk_condition", "eznas"),
            *("dss", "synaptic_diversity", "synaptic_saliency"),
            *("swap", "meco", "az_expressivity", "az_progressivity", "az_trainability", "vkdnw", "trainable_layers"),
        }
    )
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not network.training
    assert all(p.requires_grad and p.grad is None for p in network.parameters())
    assert network_proxies(network, *batch) == pytest.approx(first, rel=0, abs=0, nan_ok=True)


class Plain(nn.Module):
    """One convolution without a list of blocks, with a layer that not every score knows."""

    def __init__(self) -> None:
        super().__init__()
        self.only, self.norm, self.head = nn.Conv2d(3, 4, 3), nn.LayerNorm(4), nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.only(x).relu().mean(dim=(2, 3))))


def test_scores_that_are_not_defined_for_a_network_are_left_out_by_name(batch):
    with pytest.warns(UserWarning, match=r"left out.*az_expressivity \(got Plain, which holds no list of blocks\).*vkdnw"):
        found = network_proxies(Plain(), *batch)
    assert {"params", "flops", "jacov", "swap", "meco"} <= set(found)
    assert not {"az_expressivity", "az_progressivity", "az_trainability", "vkdnw"} & set(found)
    with pytest.raises(BadInput, match="got Plain"):  # asked for by name
        network_proxies(Plain(), *batch, ["params", "az_expressivity"])
    with pytest.raises(BadInput, match="got an empty batch"):
        network_proxies(Plain(), batch[0][:0], batch[1][:0])


def test_node_wise_names_give_the_sum_over_nodes(network, batch):
    scores = network_proxies(network, *batch, ["snip", "params", "synflow"])
    statistics = collect_statistics(network, *batch, NODE_PROXIES)
    assert list(scores) == ["snip", "params", "synflow"]
    assert scores["snip"] == pytest.approx(statistics.of("snip").sum(), rel=1e-6)
    assert scores["synflow"] == pytest.approx(statistics.sums()["synflow"], rel=1e-9)


def test_a_new_node_proxy_is_one_function(network, batch):
    @node_proxy("gradient")
    def gradient_sum(node: NodeTensors) -> float:
        return float(node.gradient.double().sum())

    try:
        got = collect_statistics(network, *batch, ["gradient_sum"])
        twin = copy.deepcopy(network).train()
        F.cross_entropy(twin(batch[0]), batch[1]).backward()
        expected = float(twin.conv.weight.grad.double().sum())
        assert got.values[0][got.nodes.index("conv")] == pytest.approx(expected, rel=1e-4, abs=1e-8)
    finally:
        del NODE_REGISTRY["gradient_sum"]


def test_bad_names_and_batches_are_refused(network, batch):
    with pytest.raises(UnknownName, match=r"unknown proxy 'naswot'.*nwot"):
        network_proxies(network, *batch, ["naswot"])
    with pytest.raises(BadInput, match="batch of one"):
        score("nwot", network, batch[0][:1], batch[1][:1])
    with pytest.raises(UnknownName, match="unknown pass"):
        node_proxy("weights")(lambda node: 0.0)
