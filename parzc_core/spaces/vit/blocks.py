"""What the Vision Transformer spaces share: attention, MLP and block modules, node roles, counts, reading of strings.

Nodes of a block are `attn.qkv`, `attn.proj`, `mlp.fc1` and `mlp.fc2`; nothing else in it is a Conv2d or Linear layer.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from parzc_core.errors import BadInput, is_whole
from parzc_core.spaces import Graph

PATCH = 16  # side of a patch in pixels, in both spaces
IMAGE_SIZE, CLASSES = 224, 1000  # ImageNet's
BLOCK_NODES = ("attn.qkv", "attn.proj", "mlp.fc1", "mlp.fc2")


class RelativePosition(nn.Module):
    """AutoFormer's two-dimensional relative position (Chen et al., ICCV 2021, §3.3): (L, L, head_dim), a vector for two tokens.

    It is a vertical plus a horizontal vector, each learned for every distance in rows and in columns, cut off at `LONGEST`.
    Token 0, the class token, has a vector of its own to and from every other.
    """

    LONGEST = 14
    rows: torch.Tensor
    columns: torch.Tensor

    def __init__(self, side: int, head_dim: int):
        super().__init__()
        self.vertical = nn.Parameter(torch.empty(2 * self.LONGEST + 2, head_dim))
        self.horizontal = nn.Parameter(torch.empty(2 * self.LONGEST + 2, head_dim))
        nn.init.trunc_normal_(self.vertical, std=0.02)
        nn.init.trunc_normal_(self.horizontal, std=0.02)
        place = torch.arange(side * side)
        for name, axis in (("rows", place // side), ("columns", place % side)):
            distance = (axis[None, :] - axis[:, None]).clamp(-self.LONGEST, self.LONGEST) + self.LONGEST + 1
            self.register_buffer(name, F.pad(distance, (1, 0, 1, 0)), persistent=False)

    def forward(self) -> torch.Tensor:
        return F.embedding(self.rows, self.vertical) + F.embedding(
            self.columns, self.horizontal
        )  # faster than indexing


class Attention(nn.Module):
    """Multi-head self-attention: (N, L, C) -> (N, L, C), C channels, `heads` heads of `head_dim` dimensions each.

    side: of the grid of patches, for relative positions of keys and values; None: without them.
    """

    def __init__(self, channels: int, heads: int, head_dim: int, side: int | None = None):
        super().__init__()
        self.heads, self.head_dim = heads, head_dim
        self.qkv = nn.Linear(channels, 3 * heads * head_dim)
        self.proj = nn.Linear(heads * head_dim, channels)
        self.keys = None if side is None else RelativePosition(side, head_dim)
        self.values = None if side is None else RelativePosition(side, head_dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        n, length, _ = x.shape
        q, k, v = self.qkv(x).view(n, length, 3, self.heads, self.head_dim).permute(2, 0, 3, 1, 4)  # each (N, h, L, d)
        logits = q @ k.transpose(-2, -1)  # (N, h, L, L)
        if self.keys is not None:
            logits = logits + _by_token(q, self.keys().transpose(1, 2))
        weights = (logits * self.head_dim**-0.5).softmax(dim=-1)
        mixed = weights @ v
        if self.values is not None:
            mixed = mixed + _by_token(weights, self.values())
        return self.proj(mixed.transpose(1, 2).reshape(n, length, self.heads * self.head_dim))


def _by_token(x: torch.Tensor, of_token: torch.Tensor) -> torch.Tensor:
    """(N, h, L, a) and (L, a, b) -> (N, h, L, b): every token's rows times that token's own matrix."""
    n, heads, length, width = x.shape
    rows = x.permute(2, 0, 1, 3).reshape(length, n * heads, width)
    return (rows @ of_token).view(length, n, heads, -1).permute(1, 2, 0, 3)


class Mlp(nn.Module):
    """Linear, GELU, Linear: (N, L, C) -> (N, L, C)."""

    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.fc1 = nn.Linear(channels, hidden)
        self.act = nn.GELU()
        self.fc2 = nn.Linear(hidden, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.act(self.fc1(x)))


class Block(nn.Module):
    """x + attention(norm(x)), then x + MLP(norm(x)): (N, L, C) -> (N, L, C)."""

    def __init__(self, channels: int, heads: int, head_dim: int, hidden: int, side: int | None = None):
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attn = Attention(channels, heads, head_dim, side)
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = Mlp(channels, hidden)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + self.attn(self.norm1(x))
        return x + self.mlp(self.norm2(x))


def check_images(x: torch.Tensor, image_size: int) -> None:
    """Raises BadInput unless these are (N, 3, image_size, image_size): the position embedding is for one size."""
    if x.ndim != 4 or tuple(x.shape[1:]) != (3, image_size, image_size):
        raise BadInput(
            f"got images of shape {tuple(x.shape)}; expected (N, 3, {image_size}, {image_size}), as position embeddings are "
            "for one image size: resize the images, or build the network with image_size=..."
        )


def check_build(image_size: int, classes: int, least: int, step: int) -> None:
    """Raises BadInput unless image_size is `least` plus a multiple of `step`, and there are two classes."""
    if not is_whole(image_size) or image_size < least or (image_size - least) % step:
        raise BadInput(
            f"got image_size={image_size!r}; expected {least}, {least + step}, {least + 2 * step}, ... pixels, "
            f"so that patches of {PATCH} pixels cover the image"
        )
    if not is_whole(classes) or classes < 2:
        raise BadInput(f"got classes={classes!r}; expected a whole number of at least 2")


def block_parameters(channels: int, heads: int, head_dim: int, hidden: int, relative: bool) -> int:
    """Parameters of a `Block`."""
    inner = heads * head_dim
    attention = (channels + 1) * 3 * inner + (inner + 1) * channels
    mlp = (channels + 1) * hidden + (hidden + 1) * channels
    tables = 4 * (2 * RelativePosition.LONGEST + 2) * head_dim if relative else 0
    return attention + mlp + tables + 4 * channels  # two norms


def block_flops(tokens: int, channels: int, heads: int, head_dim: int, hidden: int, relative: bool) -> int:
    """Floating-point operations of a `Block` for one image of `tokens` tokens.

    A multiply-add is two, as PyTorch's counter has it; only convolutions and matrix products count.
    """
    inner = heads * head_dim
    products = tokens * tokens * inner * (4 if relative else 2)
    return 2 * (tokens * channels * 4 * inner + products + 2 * tokens * channels * hidden)


def fields(arch_str: str, keys: Sequence[str], space: str, example: str) -> list[str]:
    """The values of an architecture string `key=value|key=value`; all keys must be there in this order. Raises BadInput."""
    parts = [part.partition("=") for part in arch_str.split("|")] if isinstance(arch_str, str) else []
    if [key for key, _, _ in parts] != list(keys):
        raise BadInput(f"not an architecture of {space}: {arch_str!r}; expected the form {example}")
    return [value for _, _, value in parts]


def numbers(text: str, key: str, arch_str: str) -> tuple[float, ...]:
    """Numbers separated by commas. Raises BadInput."""
    try:
        return tuple(float(item) for item in text.split(","))
    except ValueError:
        raise BadInput(f"got {key}={text!r} in {arch_str!r}; expected numbers separated by commas") from None


def whole(value: Any) -> Any:
    """4 for 4.0; any other value as it is, for the check that follows."""
    return int(value) if isinstance(value, int | float) and value == int(value) else value


def check_choice(name: str, got: object, choices: Sequence[object]) -> None:
    """Raises BadInput unless `got` is one of the choices."""
    if got not in choices:
        raise BadInput(f"got {name} {got!r}; expected one of {', '.join(str(choice) for choice in choices)}")


def plain(value: float) -> str:
    """A number without needless decimals: 4 for 4.0."""
    return f"{value:g}"


def chain(operations: Sequence[int], places: int, empty: int) -> Graph:
    """Operations one after another, and isolated `empty` places up to `places`. A residual sum is part of its operation."""
    adjacency = np.zeros((places, places), dtype=np.float32)
    before = np.arange(len(operations) - 1)
    adjacency[before, before + 1] = 1
    return Graph(adjacency, np.array([*operations, *[empty] * (places - len(operations))], dtype=np.int64))
