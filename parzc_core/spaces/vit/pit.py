"""PiT: 1,600 pooling-based Vision Transformers (Heo et al., ICCV 2021), the space of ViT-Bench's labels.

An architecture is the string `base=16|depth=2,8,4|heads=2,4,4|mlp=6`: dimensions of a head, layers and heads of the three stages,
and the ratio of the MLPs' hidden to the embedding dimension. A stage's embedding dimension is base times its heads. The
published PiT-Ti is `base=32|depth=2,6,4|heads=2,4,8|mlp=4`.

The limits are read off the 100 labelled architectures: heads do not fall from stage to stage (the pooling's grouped convolution
needs a multiple), and there are 12 to 14 layers in all. Each of the 10 depths and 10 heads within them occurs among the 100.
"""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn

from parzc_core.errors import BadInput, seed_of, whole
from parzc_core.spaces import Graph, Isomorphism
from parzc_core.spaces.vit import blocks
from parzc_core.spaces.vit.blocks import CLASSES, IMAGE_SIZE, PATCH

BASE, HEADS, MLP = (16, 24, 32, 40), (2, 4, 8), (2, 4, 6, 8)
DEPTH = ((1, 2, 3), (4, 6, 8), (2, 4, 6))  # of each stage
LAYERS = (12, 13, 14)  # in all
STAGES, STRIDE = 3, 8
OPERATIONS = (*(f"base{b}" for b in BASE), *(f"heads{h}" for h in HEADS), *(f"mlp{r}" for r in MLP), "pool")
GRAPH_KINDS = len(OPERATIONS) + 3  # and input, output, and a place where there is no layer
GRAPH_PLACES = 3 + 2 * max(LAYERS) + STAGES - 1
DEAD_OPERATIONS = False
WIDTH = "image_size"  # widths belong to the architecture; what makes a network cheaper is a smaller image

_DEPTHS = tuple(depths for depths in itertools.product(*DEPTH) if sum(depths) in LAYERS)
_HEADS = tuple(heads for heads in itertools.product(HEADS, repeat=STAGES) if list(heads) == sorted(heads))
ARCH_COUNT = len(BASE) * len(_DEPTHS) * len(_HEADS) * len(MLP)

_KEYS = ("base", "depth", "heads", "mlp")
_EXAMPLE = "base=16|depth=2,8,4|heads=2,4,4|mlp=6"


@dataclass(frozen=True)
class Config:
    """An architecture: base in BASE, depth and heads of three entries within the limits above, mlp in MLP. Raises BadInput."""

    base: int
    depth: tuple[int, ...]
    heads: tuple[int, ...]
    mlp: int

    def __post_init__(self) -> None:
        blocks.check_choice("a base dimension of", self.base, BASE)
        blocks.check_choice("an MLP ratio of", self.mlp, MLP)
        for name, values in (("depth", self.depth), ("heads", self.heads)):
            if len(values) != STAGES:
                raise BadInput(f"got {len(values)} entries of {name}; expected one for each of {STAGES} stages")
        for stage in range(STAGES):
            blocks.check_choice(f"in stage {stage + 1} a depth of", self.depth[stage], DEPTH[stage])
            blocks.check_choice(f"in stage {stage + 1} heads of", self.heads[stage], HEADS)
        if self.depth not in _DEPTHS:
            raise BadInput(f"got {sum(self.depth)} layers, {self.depth}; expected {LAYERS[0]} to {LAYERS[-1]} in all")
        if self.heads not in _HEADS:
            raise BadInput(f"got heads {self.heads}; expected numbers that do not fall from stage to stage")

    def __str__(self) -> str:
        depth, heads = (",".join(map(str, values)) for values in (self.depth, self.heads))
        return f"base={self.base}|depth={depth}|heads={heads}|mlp={self.mlp}"

    @property
    def embed(self) -> tuple[int, ...]:
        """Embedding dimension of every stage."""
        return tuple(self.base * heads for heads in self.heads)


def parse(arch_str: str) -> Config:
    """The architecture of a string. Raises BadInput."""
    values = blocks.fields(arch_str, _KEYS, "PiT", _EXAMPLE)
    base, depth, heads, mlp = (blocks.numbers(text, key, arch_str) for key, text in zip(_KEYS, values, strict=True))
    if len(base) != 1 or len(mlp) != 1:
        raise BadInput(f"got {len(base)} base dimensions and {len(mlp)} MLP ratios in {arch_str!r}; expected one each")
    return from_labels({"base_dim": base[0], "depth": depth, "num_heads": heads, "mlp_ratio": mlp[0]})


def from_labels(arch: Mapping[str, Any]) -> Config:
    """The architecture from ViT-Bench's keys: base_dim, depth, num_heads, mlp_ratio. Raises BadInput."""
    expected = {"base_dim", "depth", "num_heads", "mlp_ratio"}
    if set(arch) != expected:
        raise BadInput(f"got an architecture with the keys {sorted(arch)}; expected {sorted(expected)}")
    base, depth, heads, mlp = (arch[key] for key in ("base_dim", "depth", "num_heads", "mlp_ratio"))
    sizes, n = [blocks.whole(value) for value in (base, mlp, *depth, *heads)], len(depth)
    return Config(sizes[0], tuple(sizes[2 : 2 + n]), tuple(sizes[2 + n :]), sizes[1])


def all_archs() -> list[str]:
    """Every architecture, in lexicographic order of base, depth, heads, ratio."""
    return [str(Config(*parts)) for parts in itertools.product(BASE, _DEPTHS, _HEADS, MLP)]


def sample(count: int, seed: int) -> list[str]:
    """`count` different architectures, uniform; a longer sample of the same seed begins with the shorter one. Raises BadInput."""
    count, seed = whole("count", count), seed_of(seed)
    if not 0 < count <= ARCH_COUNT:
        raise BadInput(f"got a sample of {count} architectures; expected 1 to {ARCH_COUNT}")
    archs = all_archs()
    return [archs[i] for i in np.random.default_rng(seed).permutation(ARCH_COUNT)[:count]]


def _sides(image_size: int) -> list[int]:
    """Side of the grid of tokens in every stage."""
    sides = [(image_size - PATCH) // STRIDE + 1]
    for _ in range(STAGES - 1):
        sides.append((sides[-1] - 1) // 2 + 1)
    return sides


def parameters(arch: str | Config, classes: int = CLASSES, image_size: int = IMAGE_SIZE) -> int:
    """Parameters of `build(arch, ...)`, without building it. The published PiT-Ti has 4.9 million."""
    config = parse(arch) if isinstance(arch, str) else arch
    e, side = config.embed, _sides(image_size)[0]
    total = (3 * PATCH**2 + 1) * e[0] + side * side * e[0] + e[0]  # patch embedding, positions, class token
    for stage in range(STAGES):
        total += config.depth[stage] * blocks.block_parameters(
            e[stage], config.heads[stage], config.base, e[stage] * config.mlp, relative=False
        )
    for before, after in pairwise(e):
        total += (9 + 1) * after + (before + 1) * after  # the pooling's convolution and linear layer
    return total + 2 * e[-1] + (e[-1] + 1) * classes


def flops(arch: str | Config, classes: int = CLASSES, image_size: int = IMAGE_SIZE) -> int:
    """Floating-point operations of one image, a multiply-add counted as two, without building the network."""
    config = parse(arch) if isinstance(arch, str) else arch
    e, sides = config.embed, _sides(image_size)
    total = 2 * sides[0] ** 2 * 3 * PATCH**2 * e[0]
    for stage in range(STAGES):
        total += config.depth[stage] * blocks.block_flops(
            sides[stage] ** 2 + 1,
            e[stage],
            config.heads[stage],
            config.base,
            e[stage] * config.mlp,
            relative=False,
        )
    for side, (before, after) in zip(sides[1:], pairwise(e), strict=True):
        total += 2 * after * (9 * side**2 + before)
    return total + 2 * e[-1] * classes


def graph(arch_str: str) -> Graph:
    """A chain: input, patch embedding, every layer's attention and MLP (each with its residual sum), poolings, output.

    `operations` indexes OPERATIONS, with 12 for the input, 13 for the output and 14 for the empty places at the end.
    """
    config = parse(arch_str)
    codes = [len(OPERATIONS), OPERATIONS.index(f"base{config.base}")]
    for stage in range(STAGES):
        layer = [OPERATIONS.index(f"heads{config.heads[stage]}"), OPERATIONS.index(f"mlp{config.mlp}")]
        codes += layer * config.depth[stage]
        if stage < STAGES - 1:
            codes.append(OPERATIONS.index("pool"))
    return blocks.chain([*codes, len(OPERATIONS) + 1], GRAPH_PLACES, len(OPERATIONS) + 2)


def isomorphism(arch_str: str) -> Isomorphism:
    """No two architectures are the same function of their weights: each stands for itself."""
    return Isomorphism(arch_str, {name: name for name in SLOTS})


class Pooling(nn.Module):
    """Halves the grid and widens: (N, C, H, W), (N, 1, C) -> (N, C', ceil(H / 2), ceil(W / 2)), (N, 1, C')."""

    def __init__(self, channels_in: int, channels_out: int):
        super().__init__()
        self.conv = nn.Conv2d(channels_in, channels_out, 3, stride=2, padding=1, groups=channels_in)
        self.fc = nn.Linear(channels_in, channels_out)

    def forward(self, x: torch.Tensor, token: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return self.conv(x), self.fc(token)


class Network(nn.Module):
    """Patch embedding and positions, three stages of blocks with poolings between, norm, head: (N, 3, H, W) -> (N, classes)."""

    def __init__(self, config: Config, classes: int, image_size: int):
        super().__init__()
        self.image_size = image_size
        e, side = config.embed, _sides(image_size)[0]
        self.patch_embed = nn.Conv2d(3, e[0], PATCH, stride=STRIDE)
        self.positions = nn.Parameter(torch.empty(1, e[0], side, side))
        self.class_token = nn.Parameter(torch.empty(1, 1, e[0]))
        self.stages = nn.ModuleList(
            nn.Sequential(
                *(
                    blocks.Block(e[stage], config.heads[stage], config.base, e[stage] * config.mlp)
                    for _ in range(config.depth[stage])
                )
            )
            for stage in range(STAGES)
        )
        self.pools = nn.ModuleList(Pooling(before, after) for before, after in pairwise(e))
        self.norm = nn.LayerNorm(e[-1])
        self.head = nn.Linear(e[-1], classes)
        for parameter in (self.class_token, self.positions):
            nn.init.trunc_normal_(parameter, std=0.02)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        blocks.check_images(x, self.image_size)
        x = self.patch_embed(x) + self.positions  # (N, C, H, W)
        token = self.class_token.expand(len(x), -1, -1)
        for place, stage in enumerate(self.stages):
            if place:
                x, token = self.pools[place - 1](x, token)
            n, channels, height, width = x.shape
            y = stage(torch.cat([token, x.flatten(2).transpose(1, 2)], dim=1))  # (N, 1 + H W, C)
            token, x = y[:, :1], y[:, 1:].transpose(1, 2).reshape(n, channels, height, width)
        return self.head(self.norm(token)[:, 0])


def build(arch: str | Config, image_size: int = IMAGE_SIZE, classes: int = CLASSES, skip_dead: bool = True) -> Network:
    """The network of an architecture; embeddings start normal with std 0.02, layers as the framework draws them, as published.

    image_size: side of the images, 16 plus a multiple of 8. skip_dead: nothing is dead here. Raises BadInput.
    """
    blocks.check_build(image_size, classes, least=PATCH, step=STRIDE)
    return Network(arch if isinstance(arch, Config) else parse(arch), classes, image_size)


def role(node: str) -> tuple[int, int, str]:
    """(stage, layer, role) of a node, stages and layers from 1.

    Roles: "qkv", "proj", "fc1" and "fc2" of a layer; "conv" and "fc" of the pooling after a stage, as its layer 0;
    "patch_embed" is (0, 0, ...) and "head" is (STAGES + 1, 0, ...). Raises BadInput.
    """
    if node not in SLOTS:
        raise BadInput(f"got the node {node!r}; expected a node of PiT such as {SLOTS[1]!r}")
    parts = node.split(".")
    if parts[0] == "stages":
        return int(parts[1]) + 1, int(parts[2]) + 1, parts[-1]
    if parts[0] == "pools":
        return int(parts[1]) + 1, 0, parts[-1]
    return (0 if node == "patch_embed" else STAGES + 1), 0, node


def _slots() -> tuple[str, ...]:
    slots = ["patch_embed"]
    for stage in range(STAGES):
        slots += [f"stages.{stage}.{layer}.{n}" for layer in range(max(DEPTH[stage])) for n in blocks.BLOCK_NODES]
        slots += [f"pools.{stage}.conv", f"pools.{stage}.fc"] if stage < STAGES - 1 else []
    return (*slots, "head")


SLOTS = _slots()
MAX_NODES = 2 + 2 * (STAGES - 1) + len(blocks.BLOCK_NODES) * max(LAYERS)
