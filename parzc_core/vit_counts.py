"""Parameters of the hand-made Transformers of Table 4, counted from their published settings (224x224, 1,000 classes).

DeiT-Ti and ViT-Ti are one architecture, and it lies in AutoFormer's space but for the relative positions. AutoFormer-Ti as
published has an MLP ratio of 3.0 in some layers, which the space of Table 4 has not; its blocks are the same. TNT and PVT have
other blocks.
"""

from collections.abc import Callable
from itertools import pairwise

from parzc_core.spaces import autoformer, vit_blocks
from parzc_core.spaces.vit_blocks import CLASSES, IMAGE_SIZE, PATCH

_TOKENS = (IMAGE_SIZE // PATCH) ** 2 + 1


def _linear(inputs: int, outputs: int, bias: bool = True) -> int:
    return (inputs + bias) * outputs


def deit_tiny() -> int:
    """DeiT-Ti (Touvron et al., ICML 2021, Table 1): embedding 192, 12 layers, 3 heads, MLP ratio 4; ViT-Ti alike."""
    twelve = {key: ",".join([value] * 12) for key, value in (("heads", "3"), ("mlp", "4"))}
    return autoformer.parameters(f"embed=192|depth=12|heads={twelve['heads']}|mlp={twelve['mlp']}", relative=False)


def autoformer_tiny() -> int:
    """AutoFormer-Ti (Chen et al., ICCV 2021), the released one: embedding 192, 13 layers, 64 dimensions a head."""
    ratios = (3.5, 3.5, 3.0, 3.5, 3.0, 3.0, 4.0, 4.0, 3.5, 4.0, 3.5, 4.0, 3.5)
    heads = (3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 3, 3)
    width = 192
    blocks = sum(
        vit_blocks.block_parameters(width, h, autoformer.HEAD_DIM, int(width * ratio), relative=True)
        for h, ratio in zip(heads, ratios, strict=True)
    )
    stem = _linear(3 * PATCH**2, width) + width + _TOKENS * width
    return stem + blocks + 2 * width + _linear(width, CLASSES)


def tnt_tiny() -> int:
    """TNT-Ti (Han et al., NeurIPS 2021, Table 1): 12 layers, outer width 192, inner width 12, 16 pixels a patch."""
    outer, inner, pixels, layers = 192, 12, 16, 12

    def block(width: int) -> int:
        """Queries, keys and values have no bias here."""
        attention = _linear(width, 3 * width, bias=False) + _linear(width, width)
        return attention + _linear(width, 4 * width) + _linear(4 * width, width) + 4 * width

    joined = 2 * inner + _linear(pixels * inner, outer)  # pixels of a patch to its token, in each layer
    stem = _linear(3 * 7**2, inner) + pixels * inner  # a convolution of 7x7; positions of pixels
    stem += 2 * pixels * inner + _linear(pixels * inner, outer) + 2 * outer + outer + _TOKENS * outer
    return stem + layers * (block(outer) + block(inner) + joined) + 2 * outer + _linear(outer, CLASSES)


def pvt_tiny() -> int:
    """PVT-Tiny (Wang et al., ICCV 2021, Table 1): four stages of two layers."""
    widths, ratios, reductions, sides = (64, 128, 320, 512), (8, 8, 4, 4), (8, 4, 2, 1), (56, 28, 14, 7)
    total = _linear(3 * 4**2, widths[0]) + sum(_linear(4 * before, after) for before, after in pairwise(widths))
    for width, ratio, reduction, side in zip(widths, ratios, reductions, sides, strict=True):
        shrunk = _linear(width * reduction**2, width) + 2 * width if reduction > 1 else 0  # of keys and values
        mlp = _linear(width, ratio * width) + _linear(ratio * width, width)
        total += 2 * width + side**2 * width  # norm of the patch embedding, positions
        total += 2 * (_linear(width, 3 * width) + _linear(width, width) + shrunk + mlp + 4 * width)
    return (
        total + 2 * widths[-1] + 2 * widths[-1] + _linear(widths[-1], CLASSES)
    )  # class token and its position, norm, head


COUNTS: dict[str, Callable[[], int]] = {  # by the rows of Table 4
    "Deit-Ti": deit_tiny,
    "ViT-Ti": deit_tiny,
    "TNT-Ti": tnt_tiny,
    "PVT-Tiny": pvt_tiny,
    "AutoFormer-Ti": autoformer_tiny,
}
