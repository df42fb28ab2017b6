"""NWOT and SWAP read the images along the axis that counts them, or say that it cannot be told."""

import math

import pytest
import torch
from torch import nn

from parzc_core.collecting.one import CollectionConfig, batch_of
from parzc_core.errors import BadInput
from parzc_core.scores.registry import score
from parzc_core.spaces import nb201

LABELS = torch.tensor([0, 1, 2, 0, 1, 2, 0, 1])
SCORES = ("nwot", "swap")


class Tokens(nn.Module):
    """Four patches, [N, 4, 8]; an MLP on them, or on [4, N, 8]; their mean. size: of the only batch that it takes."""

    def __init__(self, sequences_first: bool = False, size: int | None = None) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.sequences_first, self.size = sequences_first, size
        self.patches, self.mlp, self.head = nn.Conv2d(3, 8, 4, stride=4), nn.Linear(8, 8), nn.Linear(8, 3)
        self.activation = nn.ReLU()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.size is not None:
            x = x.view(self.size, 3, 8, 8)
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        if self.sequences_first:
            return self.head(self.activation(self.mlp(tokens.transpose(0, 1))).mean(0))
        return self.head(self.activation(self.mlp(tokens)).mean(1))


class OneByOne(Tokens):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.cat([super(OneByOne, self).forward(image[None]) for image in x])


def images(count: int) -> torch.Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", SCORES)
@pytest.mark.parametrize("count", [2, 3, 4, 5, 8])  # swap adds mirror images: four of two
def test_networks_that_have_sequences_first_have_the_values_of_others(name: str, count: int) -> None:
    found, expected = (score(name, Tokens(first), images(count), LABELS[:count]) for first in (True, False))
    assert math.isfinite(expected)
    assert found == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("name", SCORES)
def test_units_as_many_as_images_are_no_images(name: str) -> None:
    wide = nn.Sequential(nn.Flatten(), nn.Linear(192, 8), nn.ReLU(), nn.Linear(8, 3))
    transposed = nn.Sequential(*wide)
    transposed.forward = lambda x: wide[3](wide[2](wide[1](wide[0](x)).T).T)  # type: ignore[method-assign]
    count = 8 if name == "nwot" else 4
    values = [score(name, network, images(count), LABELS[:count]) for network in (wide, transposed)]
    assert values[0] == pytest.approx(values[1], rel=1e-9)


@pytest.mark.parametrize("first", [True, False])
def test_where_one_image_more_cannot_be_tried_there_is_no_value(first: bool) -> None:
    assert math.isnan(score("nwot", Tokens(first, size=4), images(4), LABELS[:4]))
    assert math.isnan(score("swap", Tokens(first, size=4), images(2), LABELS[:2]))
    assert math.isfinite(score("nwot", Tokens(False, size=5), images(5), LABELS[:5]))  # four tokens are no images


@pytest.mark.parametrize("name", SCORES)
def test_outputs_of_one_image_at_a_time_have_no_value(name: str) -> None:
    with pytest.raises(BadInput, match=r"got an output \(1, 4, 8\) .*; expected one row an image") as error:
        score(name, OneByOne(), images(3), LABELS[:3])
    assert str(error.value).count("\n") == 0
    count = 8 if name == "nwot" else 4  # as many as units
    assert math.isnan(score(name, OneByOne(), images(count), LABELS[:count]))


def test_no_second_pass_is_made_for_maps_with_as_many_channels_as_images() -> None:
    network = nb201.build(nb201.arch(1462), channels=8, cells=1)
    calls: list[int] = []
    network.stem.register_forward_pre_hook(lambda module, given: calls.append(len(given[0])))
    batch = batch_of(CollectionConfig(batch=8))
    assert math.isfinite(score("nwot", network, batch.images, batch.labels))
    assert calls == [8]
