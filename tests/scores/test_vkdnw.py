"""VKDNW against Jacobians of torch.func, and closed forms of its entropy."""

import copy

import numpy as np
import pytest
import torch
from torch import nn
from torch.func import functional_call, jacrev

from parzc_core.errors import BadInput
from parzc_core.passes import Passes
from parzc_core.scores import vkdnw
from parzc_core.scores.blocks import noise
from parzc_core.scores.registry import score
from parzc_core.spaces import nb201

CELL = "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"
LABELS = torch.tensor([0, 1, 2, 3])


class Mixed(nn.Module):
    """Convolutions of several kinds, one of them called twice, a Linear layer on rows, biases, an in-place ReLU."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
        self.shared = nn.Conv2d(4, 4, 3, padding="same", groups=2)
        self.strided = nn.Conv2d(4, 6, (3, 1), stride=(2, 1), padding=(2, 0), dilation=(2, 1), padding_mode="circular")
        self.rows = nn.Linear(8, 3)
        self.head = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.shared(self.shared(self.stem(x)))
        return self.head(self.rows(self.strided(x)).tanh().mean(dim=(2, 3)))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def fisher_by_jacobians(network: nn.Module, images: torch.Tensor) -> torch.Tensor:
    """mean of J^T (diag p - p p^T) J with J from torch.func, one entry of each parameter."""
    whole = {name: value.detach() for name, value in network.named_parameters()}
    buffers = dict(network.named_buffers())

    def logits(first: dict[str, torch.Tensor], image: torch.Tensor) -> torch.Tensor:
        changed = {
            name: torch.cat([first[name][None], value.flatten()[1:]]).reshape(value.shape) for name, value in whole.items()
        }
        return functional_call(network, (changed, buffers), (image[None],))[0]

    first = {name: value.flatten()[0] for name, value in whole.items()}
    total = torch.zeros(len(first), len(first), dtype=torch.float64)
    for image in images:
        jacobian = torch.stack(list(jacrev(logits)(first, image).values()), dim=1)
        p = 0.95 * logits(first, image).softmax(dim=0) + 0.05 / len(jacobian)
        total += jacobian.T @ (torch.diag(p) - torch.outer(p, p)) @ jacobian
    return total / len(images)


@pytest.mark.parametrize("build", [Mixed, lambda: nb201.build(CELL, channels=4, cells=1, classes=5, skip_dead=False)])
def test_fisher_information_is_that_of_jacobians(build, images, monkeypatch):
    torch.manual_seed(3)
    network = build().double().eval()
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(vkdnw, "noise", lambda passes: seen.append(noise(passes)) or seen[-1])
    rows = vkdnw._weighted_jacobian(Passes(network, images, LABELS, copyable=False), copied := copy.deepcopy(network))
    expected = fisher_by_jacobians(network.eval(), seen[-1].detach())
    assert len(list(copied.parameters())) == rows.shape[1]
    assert torch.allclose(rows.T @ rows / len(images), expected, atol=1e-12)
    assert float(expected.abs().max()) > 1e-3


@pytest.mark.parametrize("classes", [2, 5, 16])
def test_directions_are_a_root_of_the_covariance(classes):
    logits = torch.randn(3, classes, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    directions = vkdnw._directions(logits)
    p = 0.95 * logits.softmax(dim=1) + 0.05 / classes
    assert torch.allclose(
        torch.einsum("dnc,dne->nce", directions, directions), torch.diag_embed(p) - p[:, :, None] * p[:, None, :], atol=1e-14
    )


def test_random_directions_have_that_covariance_on_average():
    torch.manual_seed(0)
    logits = torch.randn(1, 20, dtype=torch.float64).expand(20_000, -1)
    directions = vkdnw._directions(logits)
    assert directions.shape == (16, 20_000, 20)
    p = 0.95 * logits[0].softmax(dim=0) + 0.05 / 20
    mean = torch.einsum("dnc,dne->ce", directions, directions) / 20_000
    assert torch.allclose(mean, torch.diag(p) - torch.outer(p, p), atol=2e-3)


def test_entropy_is_in_its_range_and_a_network_is_left_as_it_was(images):
    network = nb201.build(CELL, channels=4, cells=1, classes=5)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    found = score("vkdnw", network, images.float(), LABELS)
    assert 0 < found < np.log(9)
    assert found == score("vkdnw", network, 2 * images.float(), LABELS)  # images give their shape only
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())
    assert network.training


def test_equal_eigenvalues_have_the_greatest_entropy_and_one_alone_none(images, monkeypatch):
    network = nb201.build(CELL, channels=4, cells=1, classes=5)
    for rows, expected in ((torch.eye(20, dtype=torch.float64), np.log(9)), (torch.zeros(4, 20, dtype=torch.float64), 0.0)):
        monkeypatch.setattr(vkdnw, "_weighted_jacobian", lambda *_, rows=rows: rows)
        assert score("vkdnw", network, images.float(), LABELS) == pytest.approx(expected, abs=1e-6)


def test_a_network_that_ignores_its_images_has_the_information_of_its_last_bias(images):
    cell = "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|"
    network = nb201.build(cell, channels=4, cells=1, classes=5)
    seen = vkdnw._weighted_jacobian(Passes(network, images.float(), LABELS, consume=True), network)
    assert int((seen.abs().sum(dim=0) > 0).sum()) == 1
    assert score("vkdnw", network, images.float(), LABELS) == pytest.approx(0, abs=1e-6)


def test_trainable_layers_are_parameter_tensors(images):
    assert score("trainable_layers", Mixed(), images.float(), LABELS) == 12


def test_other_layers_are_refused_by_name(images):
    class Normed(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm, self.head = nn.LayerNorm(8), nn.Linear(192, 5)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.norm(x).flatten(1))

    with pytest.raises(BadInput, match="got LayerNorm; vkdnw expects weights in Conv2d, Linear and BatchNorm2d"):
        score("vkdnw", Normed(), images.float(), LABELS)
