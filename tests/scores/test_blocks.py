"""AZ-NAS's three scores against closed forms and plain formulas."""

import numpy as np
import pytest
import torch
from torch import nn

from parzc_core.errors import BadInput
from parzc_core.passes import Passes
from parzc_core.scores import blocks
from parzc_core.scores.registry import score, score_of
from parzc_core.spaces import nb101, nb201

CELL = "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
LABELS = torch.tensor([0, 1, 2, 3])


class Chain(nn.Module):
    """Blocks, one after the other, and a head."""

    def __init__(self, *parts: nn.Module, channels: int = 4) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(parts)
        self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for block in self.blocks:
            x = block(x)
        return self.head(x)


class Times(nn.Module):
    """A fixed mixture of channels, with no weight that could be drawn again."""

    def __init__(self, matrix: torch.Tensor) -> None:
        super().__init__()
        self.register_buffer("matrix", matrix)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.einsum("oc,nchw->nohw", self.matrix, x)


def images(side: int = 32, channels: int = 4) -> torch.Tensor:
    return torch.randn(4, channels, side, side, generator=torch.Generator().manual_seed(0))


def orthogonal() -> torch.Tensor:
    return torch.linalg.qr(torch.randn(4, 4, generator=torch.Generator().manual_seed(1)))[0]


@pytest.mark.parametrize(("factor", "expected"), [(1.0, 0.0), (3.0, 2 - 3 - 1 / 3), (0.25, 2 - 0.25 - 4)])
def test_trainability_of_an_orthogonal_block_is_told_by_its_scale(factor, expected):
    network = Chain(Times(factor * orthogonal()), Times(factor * orthogonal()))
    assert score("az_trainability", network, images(), LABELS) == pytest.approx(expected, abs=0.15)


def test_trainability_of_an_identity_and_of_a_block_that_ignores_its_input():
    assert score("az_trainability", Chain(nn.Identity(), Times(orthogonal())), images(), LABELS) == float("-inf")
    dead = Chain(Times(torch.zeros(4, 4)), Times(orthogonal()))
    assert score("az_trainability", dead, images(), LABELS) == pytest.approx((2 - 1e6) / 2, rel=1e-3)


def test_a_strided_block_sees_its_pixels_as_channels():
    """Average pooling of 2 x 2: each of 4 pixels has a quarter of the gradient, so that s is sqrt(4) / 4."""
    network = Chain(Times(orthogonal()), nn.AvgPool2d(2))
    s = 0.5
    assert score("az_trainability", network, images(64), LABELS) == pytest.approx((2 - s - 1 / s) / 2, abs=0.1)


def test_expressivity_of_white_noise_is_the_logarithm_of_its_channels():
    network = Chain(Times(orthogonal()), Times(orthogonal()))
    assert score("az_expressivity", network, images(), LABELS) == pytest.approx(3 * np.log(4), abs=0.02)
    assert score("az_progressivity", network, images(), LABELS) == pytest.approx(0, abs=0.01)


def test_a_block_that_keeps_one_direction_has_no_entropy():
    one = torch.zeros(4, 4)
    one[:, 0] = 1
    network = Chain(Times(orthogonal()), Times(one))
    assert score("az_expressivity", network, images(), LABELS) == pytest.approx(2 * np.log(4), abs=0.02)
    assert score("az_progressivity", network, images(), LABELS) == pytest.approx(-np.log(4), abs=0.02)


def test_a_network_that_ignores_its_images_has_no_entropy_and_dead_blocks():
    network = nb201.build("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|", channels=4, cells=1, classes=4)
    assert np.isnan(score("az_expressivity", network, images(8, 3), LABELS))
    assert score("az_trainability", network, images(8, 3), LABELS) == pytest.approx(2 - 1e6)


@pytest.mark.parametrize("shape", [(3, 5, 4, 4), (3, 7, 5)])
def test_entropy_is_the_formula(shape):
    features = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    rows = (features.movedim(1, -1) if len(shape) == 4 else features).reshape(-1, 5).double().numpy()
    spectrum = np.linalg.eigvalsh(np.cov(rows.T, bias=True))
    share = spectrum / spectrum.sum()
    assert blocks._entropy(features) == pytest.approx(-(share * np.log(share + 1e-8)).sum(), rel=1e-9)


def test_maps_of_a_benchmark_network_are_its_stem_and_its_cells():
    network = nb201.build(CELL, channels=4, cells=2, classes=4)
    assert len(blocks.blocks_of(network)) == 3 * 2 + 2
    passes = Passes(network, images(16, 3), LABELS)
    assert [tuple(one.shape[1:]) for one in blocks._maps(passes, passes.model)] == [
        *[(4, 16, 16)] * 3, *[(8, 8, 8)] * 3, *[(16, 4, 4)] * 3
    ]  # fmt: skip
    cell = nb101.sample(1, 0)[0]
    assert len(blocks.blocks_of(nb101.build(cell, stem=8))) == 9


def test_the_three_share_one_pass_and_the_network_is_left_as_it_was(monkeypatch):
    calls = []
    maps = blocks._maps
    monkeypatch.setattr(blocks, "_maps", lambda *given: calls.append(1) or maps(*given))
    network = nb201.build(CELL, channels=4, cells=1, classes=4)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    passes = Passes(network, images(8, 3), LABELS)
    names = ("az_expressivity", "az_progressivity", "az_trainability")
    found = [score_of(name, passes) for name in names]
    assert len(calls) == 1
    assert found == [score(name, network, images(8, 3), LABELS) for name in reversed(names)][::-1]
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_the_images_values_do_not_matter():
    network = nb201.build(CELL, channels=4, cells=1, classes=4)
    assert score("az_expressivity", network, images(8, 3), LABELS) == score(
        "az_expressivity", network, 5 - images(8, 3), LABELS
    )


def test_a_network_without_blocks_is_refused_by_name():
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.only = nn.Conv2d(4, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.only(x).mean(dim=(2, 3))

    with pytest.raises(BadInput, match="got Plain, which holds no list of blocks"):
        score("az_expressivity", Plain(), images(8), LABELS)
