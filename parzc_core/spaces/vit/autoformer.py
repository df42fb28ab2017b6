"""AutoFormer-Tiny: 1,056,964,608 Vision Transformers (Chen et al., ICCV 2021, Table 1, "Supernet-tiny").

An architecture is the string `embed=192|depth=12|heads=3,4,...|mlp=3.5,4,...`: embedding dimension, number of layers, and for
each layer its attention heads and the ratio of the MLP's hidden to the embedding dimension.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from parzc_core.errors import BadInput, is_whole, seed_of, whole
from parzc_core.spaces import Graph, Isomorphism
from parzc_core.spaces.vit import blocks as vit_blocks
from parzc_core.spaces.vit.blocks import CLASSES, IMAGE_SIZE, PATCH

EMBED, DEPTH, HEADS, MLP = (192, 216, 240), (12, 13, 14), (3, 4), (3.5, 4.0)
HEAD_DIM = 64
OPERATIONS = (*(f"embed{e}" for e in EMBED), *(f"heads{h}" for h in HEADS), *(f"mlp{r:g}" for r in MLP))
GRAPH_KINDS = len(OPERATIONS) + 3  # and input, output, and a place where there is no layer
GRAPH_PLACES = 3 + 2 * max(DEPTH)
DEAD_OPERATIONS = False
WIDTH = "image_size"  # widths belong to the architecture; what makes a network cheaper is a smaller image
# Arguments of `build` for other networks of the same architectures: those whose accuracy on small data sets ViT-Bench has.
VARIANTS: dict[str, dict[str, Any]] = {"vitbench": {"head_dim": None, "relative": False}}
ARCH_COUNT = len(EMBED) * sum((len(HEADS) * len(MLP)) ** depth for depth in DEPTH)

_KEYS = ("embed", "depth", "heads", "mlp")
_EXAMPLE = f"embed=192|depth=12|heads={','.join(['3'] * 12)}|mlp={','.join(['3.5'] * 12)}"


@dataclass(frozen=True)
class Config:
    """An architecture: embed in EMBED, depth in DEPTH, heads and mlp of `depth` entries in HEADS and MLP. Raises BadInput."""

    embed: int
    depth: int
    heads: tuple[int, ...]
    mlp: tuple[float, ...]

    def __post_init__(self) -> None:
        vit_blocks.check_choice("an embedding dimension of", self.embed, EMBED)
        vit_blocks.check_choice("a depth of", self.depth, DEPTH)
        for name, values, choices in (("heads", self.heads, HEADS), ("mlp", self.mlp, MLP)):
            if len(values) != self.depth:
                raise BadInput(
                    f"got {len(values)} entries of {name} for depth {self.depth}; expected one for each layer"
                )
            for value in values:
                vit_blocks.check_choice(f"among {name}", value, choices)

    def __str__(self) -> str:
        heads, mlp = (",".join(vit_blocks.plain(value) for value in values) for values in (self.heads, self.mlp))
        return f"embed={self.embed}|depth={self.depth}|heads={heads}|mlp={mlp}"

    def hidden(self, layer: int) -> int:
        """Hidden units of a layer's MLP."""
        return int(self.embed * self.mlp[layer])


def parse(arch_str: str) -> Config:
    """The architecture of a string. Raises BadInput."""
    values = vit_blocks.fields(arch_str, _KEYS, "AutoFormer-Tiny", _EXAMPLE)
    embed, depth, heads, mlp = (
        vit_blocks.numbers(text, key, arch_str) for key, text in zip(_KEYS, values, strict=True)
    )
    if len(embed) != 1 or len(depth) != 1:
        raise BadInput(
            f"got {len(embed)} embedding dimensions and {len(depth)} depths in {arch_str!r}; expected one each"
        )
    return from_labels({"hidden_dim": embed[0], "depth": depth[0], "num_heads": heads, "mlp_ratio": mlp})


def from_labels(arch: Mapping[str, Any]) -> Config:
    """The architecture from ViT-Bench's keys: hidden_dim, depth, num_heads, mlp_ratio. Raises BadInput."""
    expected = {"hidden_dim", "depth", "num_heads", "mlp_ratio"}
    if set(arch) != expected:
        raise BadInput(f"got an architecture with the keys {sorted(arch)}; expected {sorted(expected)}")
    embed, depth, heads, mlp = (arch[key] for key in ("hidden_dim", "depth", "num_heads", "mlp_ratio"))
    sizes = [vit_blocks.whole(value) for value in (embed, depth, *heads)]
    return Config(sizes[0], sizes[1], tuple(sizes[2:]), tuple(float(ratio) for ratio in mlp))


def sample(count: int, seed: int, most_parameters: float | None = None) -> list[str]:
    """`count` different architectures; the first n of a longer sample with the same seed are the sample of n.

    Each choice is uniform: embedding dimension, depth, then every layer's heads and ratio, as the supernet's training and
    ViT-Bench draw them. So it is not uniform over architectures, of which three quarters have 14 layers.
    most_parameters: only those with at most so many parameters at 1,000 classes (the search of Table 4). Raises BadInput.
    """
    smallest = parameters(_EXAMPLE)
    if most_parameters is not None and most_parameters < smallest:
        raise BadInput(f"got most_parameters={most_parameters:g}; the smallest architecture has {smallest:,}")
    count, seed = whole("count", count), seed_of(seed)
    if not 0 < count <= 10**6:
        raise BadInput(f"got a sample of {count} architectures; expected 1 to {10**6:,}")
    random = np.random.default_rng(seed)
    found: dict[str, None] = {}
    attempts = 0
    while len(found) < count:
        attempts += 1
        if attempts > 1000 * count:
            raise BadInput(
                f"found {len(found)} architectures with at most {most_parameters:g} parameters, not {count}; "
                "ask for fewer, or for a higher limit"
            )
        depth = int(random.choice(DEPTH))
        config = Config(
            int(random.choice(EMBED)),
            depth,
            tuple(random.choice(HEADS, size=depth).tolist()),
            tuple(random.choice(MLP, size=depth).tolist()),
        )
        if most_parameters is None or parameters(config) <= most_parameters:
            found[str(config)] = None
    return list(found)


def parameters(arch: str | Config, classes: int = CLASSES, image_size: int = IMAGE_SIZE, relative: bool = True) -> int:
    """Parameters of `build(arch, ...)`, without building it. The AutoFormer-Ti in print has 5.7 million."""
    config = arch if isinstance(arch, Config) else parse(arch)
    e, tokens = config.embed, (image_size // PATCH) ** 2 + 1
    blocks = sum(
        vit_blocks.block_parameters(e, config.heads[i], HEAD_DIM, config.hidden(i), relative)
        for i in range(config.depth)
    )
    stem = (3 * PATCH**2 + 1) * e + e + tokens * e  # patch embedding, class token, positions
    return stem + blocks + 2 * e + (e + 1) * classes


def flops(arch: str | Config, classes: int = CLASSES, image_size: int = IMAGE_SIZE, relative: bool = True) -> int:
    """Floating-point operations of one image, a multiply-add counted as two, without building the network."""
    config = arch if isinstance(arch, Config) else parse(arch)
    e, patches = config.embed, (image_size // PATCH) ** 2
    blocks = sum(
        vit_blocks.block_flops(patches + 1, e, config.heads[i], HEAD_DIM, config.hidden(i), relative)
        for i in range(config.depth)
    )
    return 2 * patches * 3 * PATCH**2 * e + blocks + 2 * e * classes


def graph(arch_str: str) -> Graph:
    """A chain: input, patch embedding, every layer's attention and MLP (each with its residual sum), output; empty places after.

    `operations` indexes OPERATIONS, with 7 for the input, 8 for the output and 9 for an empty place.
    """
    config = parse(arch_str)
    codes = [len(OPERATIONS), OPERATIONS.index(f"embed{config.embed}")]
    for heads, ratio in zip(config.heads, config.mlp, strict=True):
        codes += [OPERATIONS.index(f"heads{heads}"), OPERATIONS.index(f"mlp{ratio:g}")]
    return vit_blocks.chain([*codes, len(OPERATIONS) + 1], GRAPH_PLACES, len(OPERATIONS) + 2)


def isomorphism(arch_str: str) -> Isomorphism:
    """No two architectures are the same function of their weights: each stands for itself."""
    return Isomorphism(arch_str, {name: name for name in SLOTS})


class Network(nn.Module):
    """Patch embedding, class token and positions, blocks, norm, mean over patches, head: (N, 3, H, W) -> (N, classes)."""

    def __init__(self, config: Config, classes: int, image_size: int, head_dims: Sequence[int], relative: bool):
        super().__init__()
        self.image_size = image_size
        side, e = image_size // PATCH, config.embed
        self.patch_embed = nn.Conv2d(3, e, PATCH, stride=PATCH)
        self.class_token = nn.Parameter(torch.empty(1, 1, e))
        self.positions = nn.Parameter(torch.empty(1, side * side + 1, e))
        self.blocks = nn.ModuleList(
            vit_blocks.Block(e, config.heads[i], head_dims[i], config.hidden(i), side if relative else None)
            for i in range(config.depth)
        )
        self.norm = nn.LayerNorm(e)
        self.head = nn.Linear(e, classes)
        for parameter in (self.class_token, self.positions):
            nn.init.trunc_normal_(parameter, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                nn.init.zeros_(module.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        vit_blocks.check_images(x, self.image_size)
        x = self.patch_embed(x).flatten(2).transpose(1, 2)  # (N, patches, embed)
        x = torch.cat([self.class_token.expand(len(x), -1, -1), x], dim=1) + self.positions
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x)[:, 1:].mean(dim=1))


def build(
    arch: str | Config,
    image_size: int = IMAGE_SIZE,
    classes: int = CLASSES,
    skip_dead: bool = True,
    head_dim: int | None = HEAD_DIM,
    relative: bool = True,
) -> Network:
    """The network of an architecture, with the published initialisation: Linear weights and embeddings normal, std 0.02.

    image_size: side of the images, a multiple of 16. skip_dead: nothing is dead here.
    head_dim, relative: 64 dimensions a head and relative positions are AutoFormer's own. None and False give the networks that
        ViT-Bench trained on its small data sets, where the heads share the embedding dimension. The counts are for 64.
    Raises BadInput.
    """
    config = arch if isinstance(arch, Config) else parse(arch)
    vit_blocks.check_build(image_size, classes, least=PATCH, step=PATCH)
    if head_dim is None:
        for heads in config.heads:
            if config.embed % heads:
                raise BadInput(
                    f"embedding dimension {config.embed} is not divisible by {heads} heads; give head_dim, or other heads"
                )
        return Network(config, classes, image_size, [config.embed // heads for heads in config.heads], relative)
    if not is_whole(head_dim) or head_dim < 1:
        raise BadInput(f"got head_dim={head_dim!r}; expected a whole number of at least 1, or None")
    return Network(config, classes, image_size, [head_dim] * config.depth, relative)


def role(node: str) -> tuple[int, str]:
    """(layer, role) of a node: layer 0 for "patch_embed", 1 to depth for "qkv", "proj", "fc1" and "fc2", -1 for "head"."""
    if node not in SLOTS:
        raise BadInput(f"got the node {node!r}; expected a node of AutoFormer-Tiny such as {SLOTS[1]!r}")
    if not node.startswith("blocks."):
        return (0 if node == "patch_embed" else -1), node
    _, layer, _, name = node.split(".")
    return int(layer) + 1, name


SLOTS = (
    "patch_embed",
    *(f"blocks.{layer}.{node}" for layer in range(max(DEPTH)) for node in vit_blocks.BLOCK_NODES),
    "head",
)
MAX_NODES = len(SLOTS)
