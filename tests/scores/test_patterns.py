"""SWAP and MeCo against plain loops and closed forms."""

import numpy as np
import pytest
import torch
from torch import nn

from parzc_core.errors import BadInput
from parzc_core.scores.registry import score
from parzc_core.spaces import nb201

CELL = "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
LABELS = torch.tensor([0, 1, 2, 3, 4, 0])


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(6, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def cell() -> nn.Module:
    torch.manual_seed(1)
    return nb201.build(CELL, channels=4, cells=1, classes=5)


def maps_of(network: nn.Module, inputs: torch.Tensor, kinds: tuple[type[nn.Module], ...]) -> list[torch.Tensor]:
    """What each module of those kinds gives, in train mode."""
    maps: list[torch.Tensor] = []
    handles = [
        m.register_forward_hook(lambda module, given, output: maps.append(output.detach().clone()))
        for m in network.modules()
        if isinstance(m, kinds)
    ]
    with torch.no_grad():
        network.train()(inputs)
    for handle in handles:
        handle.remove()
    return maps


def test_swap_counts_the_different_patterns_of_images_and_their_mirror_images(cell, images):
    both = torch.cat([images, images.flip(-1)])
    patterns = {
        tuple(unit) for one in maps_of(cell, both, (nn.ReLU,)) for unit in (one > 0).flatten(1).T.int().tolist()
    }
    assert score("swap", cell, images, LABELS) == len(patterns)


def test_swap_of_equal_images_is_two_and_order_does_not_matter(cell, images):
    same = images[:1].expand(6, -1, -1, -1).contiguous()
    symmetric = (same + same.flip(-1)) / 2
    assert score("swap", cell.double(), symmetric.double(), LABELS) <= 2 * 2**1  # on or off; a mirror image swaps columns
    order = torch.tensor([3, 0, 5, 1, 4, 2])
    assert score("swap", cell, images.double(), LABELS) == score("swap", cell, images[order].double(), LABELS[order])


@pytest.mark.parametrize("count", [2, 8, 9, 16, 17, 32])
def test_swap_sees_every_image(count):
    """Units of which each is on for one image alone, or its mirror image: as many patterns as units, and one that is off."""
    network = nn.Sequential(nn.Flatten(), nn.Linear(2 * count, 2 * count, bias=False), nn.ReLU(), nn.Linear(2 * count, 2))
    nn.init.eye_(network[1].weight)
    images = torch.zeros(count, 1, 1, 2 * count)
    images[torch.arange(count), 0, 0, torch.arange(count)] = 1
    assert score("swap", network, images, torch.zeros(count, dtype=torch.int64)) == 2 * count


def test_swap_of_too_many_images_and_of_no_relu(images):
    many = torch.randn(65, 3, 4, 4)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
    with pytest.raises(BadInput, match="got 65 images; swap expects at most 64"):
        score("swap", network, many, torch.zeros(65, dtype=torch.int64))
    assert np.isnan(score("swap", nn.Sequential(nn.Flatten(), nn.Linear(192, 5)), images, LABELS))


def test_meco_is_the_sum_of_the_least_eigenvalues_on_a_random_image(cell, images):
    torch.manual_seed(5)
    found = score("meco", cell, images, LABELS)
    assert found == score("meco", cell, 3 * images[:2] + 1, LABELS[:2])  # neither values nor number of images matter

    seen: list[torch.Tensor] = []
    cell.stem.register_forward_pre_hook(lambda module, given: seen.append(given[0].detach().clone()))
    score("meco", cell, images, LABELS)
    assert seen[-1].shape == (1, 3, 64, 64)
    least = [
        np.linalg.eigvalsh(np.nan_to_num(np.corrcoef(one[0].flatten(1).double().numpy())))[0]
        for one in maps_of(cell, seen[-1], (nn.Module,))
        if one.ndim == 4 and one.shape[2] > 1
    ]
    assert found == pytest.approx(sum(least), rel=1e-6)


@pytest.mark.parametrize(
    ("weight", "expected"),
    [
        ([[1.0, 0], [1, 0]], 0.0),  # the same channel twice: correlations of 1
        ([[1.0, 0], [0, 0]], 0.0),  # a constant channel: eigenvalues 1 and 0
        ([[1.0, 0], [-1, 0]], 0.0),
    ],
)
def test_meco_of_channels_that_say_the_same(weight, expected):
    network = nn.Sequential(nn.Conv2d(2, 2, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))
    network[0].weight.data = torch.tensor(weight).reshape(2, 2, 1, 1)
    assert score("meco", network, torch.randn(2, 2, 4, 4), torch.tensor([0, 1])) == pytest.approx(expected, abs=1e-6)


def test_meco_of_independent_channels_is_nearly_one_a_map():
    network = nn.Sequential(nn.Conv2d(2, 2, 1, bias=False), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 2))
    nn.init.dirac_(network[0].weight)
    assert score("meco", network, torch.randn(2, 2, 4, 4), torch.tensor([0, 1])) == pytest.approx(1, abs=0.05)


def test_meco_expects_images():
    with pytest.raises(BadInput, match="meco expects images"):
        score("meco", nn.Linear(3, 2), torch.randn(4, 3), torch.tensor([0, 1, 0, 1]))
