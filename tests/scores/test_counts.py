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


# --- networks that are not finite, that draw random numbers, and labels of other kinds


class Deep(nn.Sequential):
    """conv, BatchNorm, ReLU, conv, BatchNorm, ReLU, pool, linear."""

    def __init__(self) -> None:
        torch.manual_seed(2)
        layers = [nn.Conv2d(3, 6, 3), nn.BatchNorm2d(6), nn.ReLU(), nn.Conv2d(6, 6, 3), nn.BatchNorm2d(6), nn.ReLU()]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(6, 5))


OF_WEIGHTS = ("eznas", "gradsign", "jacov", "knas", "logsynflow", "meco", "nasi", "ntk_condition", "nwot", "swap", "zico")


@pytest.mark.parametrize("name", OF_WEIGHTS)
def test_a_score_of_a_network_with_a_weight_that_is_nan_is_nan(name, batch):
    network = Deep()
    assert np.isfinite(score(name, network, *batch))
    with torch.no_grad():
        network[3].weight[0, 0, 0, 0] = torch.nan
    assert np.isnan(score(name, network, *batch))


def test_an_image_that_is_nan(batch):
    batch[0][1, 0, 0, 0] = torch.nan
    for name in ("gradsign", "jacov", "nwot", "swap", "zico"):
        assert np.isnan(score(name, Deep(), *batch))


def test_zen_sees_the_same_random_numbers_in_both_passes(batch):
    class Dropped(Deep):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            keep = 1.0 + 0 * torch.rand(len(x), 1, 1, 1)
            return super().forward(x * keep)

    class Halved(Deep):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return super().forward(x * (torch.rand(len(x), 1, 1, 1) > 0.5))

    plain = score("zen", Deep(), *batch)
    assert score("zen", Dropped(), *batch) == plain
    assert score("zen", Halved(), *batch) < plain + 1  # other images in the second pass would make it 4 more


def test_zen_of_tokens_is_refused(batch):
    network = nn.Sequential(nn.Embedding(9, 6), nn.Flatten(), nn.Dropout(0.3), nn.Linear(42, 5))
    with pytest.raises(BadInput, match="zen expects images"):
        score("zen", network, (torch.ones(6, 7, dtype=torch.long),), batch[1])


@pytest.mark.parametrize(
    ("of", "loss"),
    [
        (lambda y: (y, y + 0), lambda out, y: F.cross_entropy(out, y[1])),
        (lambda y: {"classes": y}, lambda out, y: F.cross_entropy(out, y["classes"])),
        (lambda y: y.tolist(), lambda out, y: F.cross_entropy(out, torch.tensor(y))),
        (lambda y: [{"class": one} for one in y], lambda out, y: F.cross_entropy(out, torch.stack([d["class"] for d in y]))),
    ],
)
def test_zico_halves_labels_of_any_kind(network, batch, of, loss):
    images, labels = batch
    assert score("zico", network, images, of(labels), loss=loss) == score("zico", network, images, labels)


def test_zico_without_labels(network, batch):
    assert np.isfinite(score("zico", network, batch[0], None, loss=lambda out, y: out.square().mean()))


def test_gradsign_of_a_part_without_gradient_is_that_of_the_rest(network, batch):
    class Frozen(Small):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            with torch.no_grad():
                h = self.relu(self.conv(x))
            return self.linear(h.mean(dim=(2, 3)))

    frozen = Frozen()
    frozen.load_state_dict(network.state_dict())
    logits = network(batch[0])
    rows = [
        torch.autograd.grad(F.cross_entropy(one[None], label[None]), network.linear.weight, retain_graph=True)[0].sign()
        for one, label in zip(logits, batch[1], strict=True)
    ]
    assert score("gradsign", frozen, *batch) == pytest.approx(float(sum(rows).abs().sum()), rel=0.01)
