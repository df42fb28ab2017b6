"""Networks of the Network Design Spaces on CIFAR: stem, three stages of cells, head (as in DARTS, without auxiliary head).

A node's path says where it is: `stages.S.C.nodes.N.K_OPERATION.P` is position P in the K-th operation of node N of cell C of
stage S; `stages.S.C.inputs.I.P` projects input I. A stage's cell 0 is its reduction, except in stage 0, which has none.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from parzc_core.errors import BadInput
from parzc_core.spaces.nds.genotype import INPUTS, Architecture, Cell

STEM_MULTIPLIER = 3


@dataclass(frozen=True)
class Place:
    """Where a cell stands. reduction: it halves the resolution. halve_first: the cell before it did, so input 0 is larger."""

    stage: int
    cell: int
    reduction: bool
    halve_first: bool


def places(depth: int) -> list[Place]:
    """The cells of a network, in order: layers depth // 3 and 2 depth // 3, counted from 0, are reductions."""
    starts = (0, depth // 3, 2 * depth // 3)
    found = []
    for layer in range(depth):
        stage = sum(layer >= start for start in starts[1:])
        found.append(Place(stage, layer - starts[stage], layer in starts[1:], layer - 1 in starts[1:]))
    return found


def _relu_conv_bn(channels_in: int, channels_out: int) -> nn.Sequential:
    """1x1 projection: (N, C_in, H, W) -> (N, C_out, H, W)."""
    convolution = nn.Conv2d(channels_in, channels_out, 1, bias=False)
    return nn.Sequential(nn.ReLU(), convolution, nn.BatchNorm2d(channels_out))


class FactorizedReduction(nn.Module):
    """Half of the channels from the even pixels, half from the odd ones: (N, C_in, H, W) -> (N, C_out, H / 2, W / 2).

    Raises BadInput for an odd C_out; its forward for an image of one pixel, which has no odd pixels.
    """

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__()
        if channels_out < 2 or channels_out % 2:
            raise BadInput(f"got {channels_out} channels out of a reduction; expected an even number, two halves")
        self.relu = nn.ReLU()
        self.halves = nn.ModuleList(nn.Conv2d(channels_in, channels_out // 2, 1, 2, bias=False) for _ in range(2))
        self.bn = nn.BatchNorm2d(channels_out)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu(x)
        # One row and column of zeros after the last, so that both halves have as many pixels where the side is odd.
        odd = nn.functional.pad(x, (0, 1, 0, 1))[:, :, 1:, 1:]
        return self.bn(torch.cat([self.halves[0](x), self.halves[1](odd)], dim=1))


def _separable(channels: int, kernel: int, stride: int, dilation: int, times: int) -> nn.Sequential:
    """ReLU, depthwise, pointwise, BatchNorm, `times` over; only the first has the stride. Keeps the channels."""
    layers: list[nn.Module] = []
    for turn in range(times):
        padding = dilation * (kernel // 2)
        step = stride if turn == 0 else 1
        depthwise = nn.Conv2d(channels, channels, kernel, step, padding, dilation, groups=channels, bias=False)
        pointwise = nn.Conv2d(channels, channels, 1, bias=False)
        layers += [nn.ReLU(), depthwise, pointwise, nn.BatchNorm2d(channels)]
    return nn.Sequential(*layers)


def _convolution(channels: int, kernel: int, stride: int) -> nn.Sequential:
    convolution = nn.Conv2d(channels, channels, kernel, stride, kernel // 2, bias=False)
    return nn.Sequential(nn.ReLU(), convolution, nn.BatchNorm2d(channels))


def _two_sided(channels: int, kernel: int, stride: int) -> nn.Sequential:
    """A row and then a column of weights in place of a square; each has the stride along its own side."""
    row = nn.Conv2d(channels, channels, (1, kernel), (1, stride), (0, kernel // 2), bias=False)
    column = nn.Conv2d(channels, channels, (kernel, 1), (stride, 1), (kernel // 2, 0), bias=False)
    return nn.Sequential(nn.ReLU(), row, column, nn.BatchNorm2d(channels))


def _operation(name: str, channels: int, stride: int) -> nn.Module:
    """An operation of a cell: (N, C, H, W) -> (N, C, H / stride, W / stride). `none` is never computed, see SearchedCell."""
    kernel = int(name.rsplit("x", 1)[-1]) if name[-1].isdigit() else 0
    if name.startswith("sep_conv"):
        return _separable(channels, kernel, stride, dilation=1, times=2)
    if name.startswith("dil_sep_conv"):
        return _separable(channels, kernel, stride, dilation=2, times=2)
    if name.startswith("dil_conv"):
        return _separable(channels, kernel, stride, dilation=2, times=1)
    if name in ("conv_3x1_1x3", "conv_7x1_1x7"):
        return _two_sided(channels, kernel, stride)
    if name.startswith("conv"):
        return _convolution(channels, kernel, stride)
    if name.startswith("max_pool"):
        return nn.MaxPool2d(kernel, stride, padding=kernel // 2)
    if name.startswith("avg_pool"):
        return nn.AvgPool2d(kernel, stride, padding=kernel // 2, count_include_pad=False)
    return FactorizedReduction(channels, channels) if name == "skip_connect" and stride == 2 else nn.Identity()


class SearchedCell(nn.Module):
    """One cell: (N, C_0, H_0, W_0), (N, C_1, H, W) -> (N, nodes joined x C, H / stride, W / stride).

    reduction: operations on the cell's inputs have stride 2. halve_first: input 0 is twice as large as input 1, since the cell
    before was a reduction. compute_all: compute projections and nodes too that do not reach the cell's output.
    """

    def __init__(
        self,
        cell: Cell,
        channels_in: tuple[int, int],
        channels: int,
        reduction: bool,
        halve_first: bool,
        compute_all: bool = False,
    ):
        super().__init__()
        self.cell, self.channels, self.stride = cell, channels, 2 if reduction else 1
        self.computed = set(range(INPUTS + len(cell.nodes))) if compute_all else live_nodes(cell)
        self.projected = tuple(range(INPUTS)) if compute_all else inputs_read(cell)
        first = FactorizedReduction if halve_first else _relu_conv_bn
        self.inputs = nn.ModuleList([first(channels_in[0], channels), _relu_conv_bn(channels_in[1], channels)])
        self.nodes = nn.ModuleDict()
        for node, pair in enumerate(cell.nodes, start=INPUTS):
            self.nodes[str(node)] = nn.ModuleDict(
                {
                    f"{k}_{name}": _operation(name, channels, self.stride if source < INPUTS else 1)
                    for k, (name, source) in enumerate(pair)
                }
            )

    def forward(self, *given: torch.Tensor | None) -> torch.Tensor:
        values = {i: self.inputs[i](given[i]) for i in self.projected}
        some = next(iter(values.values()))  # (N, C, H, W)
        if self.stride == 2 and min(some.shape[2:]) < 2:
            raise BadInput(f"got a reduction at width 1, {tuple(some.shape)}; expected images of at least 3 x 3 pixels")
        for node, pair in enumerate(self.cell.nodes, start=INPUTS):
            if node not in self.computed:
                continue
            layers: Any = self.nodes[str(node)]
            terms = [
                layer(values[source])
                for (name, source), layer in zip(pair, layers.values(), strict=True)
                if name != "none"
            ]
            if not terms:  # both are `none`; operations after it may still have a bias to add to the zeros
                terms = [some.new_zeros(*some.shape[:2], *(-(-side // self.stride) for side in some.shape[2:]))]
            values[node] = sum(terms[1:], start=terms[0])
        return torch.cat([values[i] for i in self.cell.concat], dim=1)


def live_nodes(cell: Cell) -> set[int]:
    """Nodes from which the cell's output can be reached through operations that are not `none`."""
    live = set(cell.concat)
    for node, pair in reversed(list(enumerate(cell.nodes, start=INPUTS))):
        if node in live:
            live |= {source for name, source in pair if name != "none"}
    return live


def inputs_read(cell: Cell) -> tuple[int, ...]:
    """Which of the cell's two inputs reach its output; input 1 if none does, of which the cell's zeros take their size."""
    return tuple(sorted(live_nodes(cell) & set(range(INPUTS)))) or (1,)


def live_layers(architecture: Architecture) -> list[bool]:
    """For each cell of the network: does its output reach the classifier?"""
    live = [False] * (architecture.depth - 1) + [True]
    for layer, place in reversed(list(enumerate(places(architecture.depth)))):
        if live[layer]:
            for i in inputs_read(architecture.cell(place.reduction)):
                if (source := layer - INPUTS + i) >= 0:
                    live[source] = True
    return live


class Network(nn.Module):
    """Stem, three stages, head: (N, 3, H, W) -> (N, classes); H, W at least 3. Stage s has 2^s times the first one's channels.

    skip_dead: leave out cells and projections whose output is read by nothing that reaches the classifier.
    """

    def __init__(self, architecture: Architecture, classes: int, skip_dead: bool = True):
        super().__init__()
        depth, stem = architecture.depth, STEM_MULTIPLIER * architecture.width
        self.architecture = architecture
        self.computed = live_layers(architecture) if skip_dead else [True] * depth
        self.stem = nn.Sequential(nn.Conv2d(3, stem, 3, padding=1, bias=False), nn.BatchNorm2d(stem))
        stages = [nn.ModuleList() for _ in range(3)]
        channels_in = (stem, stem)
        for place in places(depth):
            cell, channels = architecture.cell(place.reduction), architecture.width * 2**place.stage
            stages[place.stage].append(
                SearchedCell(cell, channels_in, channels, place.reduction, place.halve_first, not skip_dead)
            )
            channels_in = (channels_in[1], len(cell.concat) * channels)
        self.stages = nn.ModuleList(stages)
        self.classifier = nn.Linear(channels_in[1], classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        stem = self.stem(x)  # (N, 3 width, H, W)
        before: torch.Tensor | None = stem
        last: torch.Tensor | None = stem
        stages: Any = self.stages
        layers = [cell for stage in stages for cell in stage]
        for cell, computed in zip(layers, self.computed, strict=True):
            before, last = last, cell(before, last) if computed else None
        assert last is not None  # the last cell is always computed
        return self.classifier(last.mean(dim=(2, 3)))  # (N, nodes joined x 4 width, H / 4, W / 4) -> (N, classes)
