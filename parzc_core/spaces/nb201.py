"""NAS-Bench-201: 15,625 cells of four nodes and six edges, one of five operations on each (Dong & Yang, ICLR 2020).

An architecture is its string, `|op~0|+|op~0|op~1|+|op~0|op~1|op~2|`: one group a node, `op~i` for the edge from node i.
`build` gives the benchmark's network with its parameter names, so that its published weights load with strict=True.
"""

import functools
from typing import Any

import numpy as np
import torch
from torch import nn

from parzc_core.errors import whole
from parzc_core.spaces import Graph
from parzc_core.spaces.nb201_cells import (
    ARCH_COUNT as ARCH_COUNT,
)
from parzc_core.spaces.nb201_cells import (
    EDGES as EDGES,
)
from parzc_core.spaces.nb201_cells import (
    GRAPH_KINDS as GRAPH_KINDS,
)
from parzc_core.spaces.nb201_cells import (
    MAX_NODES as MAX_NODES,
)
from parzc_core.spaces.nb201_cells import (
    OPERATIONS as OPERATIONS,
)
from parzc_core.spaces.nb201_cells import (
    SLOTS as SLOTS,
)
from parzc_core.spaces.nb201_cells import (
    all_archs as all_archs,
)
from parzc_core.spaces.nb201_cells import (
    arch as arch,
)
from parzc_core.spaces.nb201_cells import (
    from_dialect as from_dialect,
)
from parzc_core.spaces.nb201_cells import (
    index as index,
)
from parzc_core.spaces.nb201_cells import (
    isomorphism as isomorphism,
)
from parzc_core.spaces.nb201_cells import (
    leads_nowhere as leads_nowhere,
)
from parzc_core.spaces.nb201_cells import (
    live_edges as live_edges,
)
from parzc_core.spaces.nb201_cells import (
    node_slots as node_slots,
)
from parzc_core.spaces.nb201_cells import (
    parse as parse,
)
from parzc_core.spaces.nb201_cells import (
    representative as representative,
)
from parzc_core.spaces.nb201_cells import (
    sample as sample,
)
from parzc_core.spaces.nb201_cells import (
    to_string as to_string,
)

DEAD_OPERATIONS = True  # see SearchedCell
WIDTH = "channels"
ANY_IMAGE_SIZE = True  # images of another size give the same nodes in the same order

IMAGE_SIZE = {"cifar10": 32, "cifar100": 32, "imagenet16-120": 16}
CLASSES = {"cifar10": 10, "cifar100": 100, "imagenet16-120": 120}

# Of the published network (16 channels, five cells a stage, 32x32 images): what one edge of all 15 cells puts out, and how many
# multiply-adds it makes for each weight position of its kernel.
_EDGE_OUTPUTS = sum(5 * (16 * k) * (32 // k) ** 2 for k in (1, 2, 4))
_EDGE_PRODUCTS = sum(5 * (16 * k) ** 2 * (32 // k) ** 2 for k in (1, 2, 4))
# FLOPs of one edge: 9 for each pooled output; 3 beside the multiply-adds for each output of a convolution (ReLU, BatchNorm).
_EDGE_FLOPS = {
    "none": 0,
    "skip_connect": 0,
    "nor_conv_1x1": _EDGE_PRODUCTS + 3 * _EDGE_OUTPUTS,
    "nor_conv_3x3": 9 * _EDGE_PRODUCTS + 3 * _EDGE_OUTPUTS,
    "avg_pool_3x3": 9 * _EDGE_OUTPUTS,
}
# Stem, reductions and classifier of ten classes: multiply-adds, and what the published numbers add for their other layers.
_FIXED_FLOPS = 7_783_040 + 160_832


def flops(cell: int | str) -> int:
    """The published FLOPs of a cell's network, on one 32x32 image.

        flops(6111), flops(arch(6111))

    Source: the numbers of NAS-Bench-Suite-Zero, which this formula gives exactly. A multiply-add counts as one; pooling,
    BatchNorm and ReLU count too. NAS-Bench-201's own files count multiply-adds alone, PyTorch's counter (the score `flops`)
    two for each of them: neither sees pooling, so both rank cells exactly as parameters do.
    On 16x16 images an edge has a quarter of it, so that cells have the same order.
    cell: an index or an architecture string. Raises BadInput.
    """
    operations = parse(arch(cell) if isinstance(cell, int) else cell)
    return _FIXED_FLOPS + sum(_EDGE_FLOPS[operation] for operation in operations)


@functools.cache
def _adjacency() -> np.ndarray:
    """float32[8, 8], the same for all cells: which operations read where another one writes."""
    adjacency = np.zeros((8, 8), dtype=np.float32)
    for a, (start, end) in enumerate(EDGES, start=1):
        if start == 0:
            adjacency[0, a] = 1
        if end == 3:
            adjacency[a, 7] = 1
        for b, (other_start, _) in enumerate(EDGES, start=1):
            if end == other_start:
                adjacency[a, b] = 1
    return adjacency


def graph(arch_str: str) -> Graph:
    """Operations on nodes: input, the six edges' operations, output (8 nodes); an operation feeds those that read its end.

    `operations` indexes OPERATIONS, with 5 for the input and 6 for the output.
    """
    operations = parse(arch_str)
    codes = [5, *(OPERATIONS.index(operation) for operation in operations), 6]
    return Graph(_adjacency().copy(), np.array(codes, dtype=np.int64))


class ReluConvBn(nn.Module):
    """ReLU, convolution without bias, batch normalisation: (N, C_in, H, W) -> (N, C_out, H / stride, W / stride)."""

    def __init__(self, channels_in: int, channels_out: int, kernel: int, stride: int = 1):
        super().__init__()
        self.op = nn.Sequential(
            nn.ReLU(inplace=False),
            nn.Conv2d(channels_in, channels_out, kernel, stride=stride, padding=kernel // 2, bias=False),
            nn.BatchNorm2d(channels_out),
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.op(x)


class Pooling(nn.Module):
    """3x3 average pooling that does not count the padding."""

    def __init__(self) -> None:
        super().__init__()
        self.op = nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.op(x)


def _operation(name: str, channels: int) -> nn.Module:
    if name == "nor_conv_1x1":
        return ReluConvBn(channels, channels, 1)
    if name == "nor_conv_3x3":
        return ReluConvBn(channels, channels, 3)
    return Pooling() if name == "avg_pool_3x3" else nn.Identity()  # `none` is never computed, see SearchedCell


class SearchedCell(nn.Module):
    """One cell: node j is the sum over its edges (i, j) of layer(node i); the output is node 3.

    skip_dead: leave out the edges that no signal passes through, those that cannot reach the output and those that only zeros
    reach; they change neither the output nor any gradient.
    """

    def __init__(self, arch_str: str, channels: int, skip_dead: bool = True):
        super().__init__()
        self.operations = parse(arch_str)
        self.computed = live_edges(arch_str) if skip_dead else tuple(op != "none" for op in self.operations)
        self.skip_zero = skip_dead
        self.layers = nn.ModuleList(_operation(name, channels) for name in self.operations)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        nodes: list[torch.Tensor | None] = [x, None, None, None]
        for layer, computed, (start, end) in zip(self.layers, self.computed, EDGES, strict=True):
            if computed:
                source = nodes[start]
                if source is None and self.skip_zero and self._gives_zero(layer):
                    continue
                # A node that only `none` edges enter is zero, yet a layer after it may still have a bias to add.
                value = layer(torch.zeros_like(x) if source is None else source)
                current = nodes[end]
                nodes[end] = value if current is None else current + value
        output = nodes[3]
        return torch.zeros_like(x) if output is None else output

    def _gives_zero(self, layer: nn.Module) -> bool:
        """Whether zeros leave the layer as zeros: BatchNorm adds its bias, and in eval mode subtracts its running mean."""
        if not isinstance(layer, ReluConvBn):
            return True
        norm: Any = layer.op[2]
        return not bool(norm.bias.any()) and (self.training or not bool(norm.running_mean.any()))


class ResidualReduction(nn.Module):
    """Basic residual block that halves the resolution and doubles the channels."""

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__()
        self.conv_a = ReluConvBn(channels_in, channels_out, 3, stride=2)
        self.conv_b = ReluConvBn(channels_out, channels_out, 3)
        self.downsample = nn.Sequential(
            nn.AvgPool2d(kernel_size=2, stride=2), nn.Conv2d(channels_in, channels_out, 1, bias=False)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.downsample(x) + self.conv_b(self.conv_a(x))


class Network(nn.Module):
    """Stem, three stages of cells with a reduction between them, head: (N, 3, H, W) -> (N, classes)."""

    def __init__(self, arch_str: str, channels: int, cells: int, classes: int, skip_dead: bool = True):
        super().__init__()
        c = channels
        self.stem = nn.Sequential(nn.Conv2d(3, c, 3, padding=1, bias=False), nn.BatchNorm2d(c))
        stages = [[SearchedCell(arch_str, c * k, skip_dead) for _ in range(cells)] for k in (1, 2, 4)]
        reductions = [ResidualReduction(c, c * 2), ResidualReduction(c * 2, c * 4)]
        self.cells = nn.ModuleList([*stages[0], reductions[0], *stages[1], reductions[1], *stages[2]])
        self.lastact = nn.Sequential(nn.BatchNorm2d(c * 4), nn.ReLU(inplace=True))
        self.global_pooling = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Linear(c * 4, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x)  # (N, C, H, W)
        for cell in self.cells:
            x = cell(x)
        x = self.global_pooling(self.lastact(x))  # (N, 4C, 1, 1)
        return self.classifier(x.flatten(1))


def build(arch_str: str, channels: int = 16, cells: int = 5, classes: int = 10, skip_dead: bool = True) -> Network:
    """The benchmark's network of a cell, with the framework's own random initialisation.

    cells: number in each of the three stages. skip_dead: see SearchedCell; False computes what the published network does,
    which scores that count operations or activations (FLOPs, NWOT, Zen) see. Raises BadInput.
    """
    channels, cells = whole("channels", channels, 1), whole("cells", cells, 1)
    classes = whole("classes", classes, 2)
    return Network(arch_str, channels, cells, classes, skip_dead)
