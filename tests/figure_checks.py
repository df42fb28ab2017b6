"""What every figure must be, for the tests of those who draw: labelled, not blank, nothing cut off."""

import io
from collections.abc import Iterable

import numpy as np
from matplotlib.figure import Figure
from matplotlib.image import imread

# Nodes of a small network of NAS-Bench-201, with all its stages.
NODES = (
    "stem.0",
    *(f"cells.{cell}.layers.{layer}.op.1" for cell in (0, 1) for layer in (0, 2)),
    *(f"cells.2.{name}.op.1" for name in ("conv_a", "conv_b", "downsample")),
    *(f"cells.{cell}.layers.0.op.1" for cell in (3, 4)),
    *(f"cells.5.{name}.op.1" for name in ("conv_a", "conv_b", "downsample")),
    "cells.6.layers.0.op.1",
    "classifier",
)


def words(fig: Figure) -> list[str]:
    """Every text of a figure, legends and axis labels included."""
    return [text.get_text() for text in fig.findobj(lambda artist: hasattr(artist, "get_text")) if text.get_text()]


def check(fig: Figure, expected: Iterable[str]) -> None:
    """The figure has these words, is not blank, and its outermost line of pixels is empty, so that nothing is cut off."""
    assert set(expected) <= set(words(fig))
    picture = imread(io.BytesIO(fig._repr_png_()))
    ink = (picture[..., :3].min(axis=-1) < 0.8).mean()
    assert 0.001 < ink < 0.9
    edge = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])[:, :3]
    assert edge.min() > 0.9
