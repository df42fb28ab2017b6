"""t-SNE of node-wise statistics (figure 6), and numbers for what an embedding looks like."""

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits

from parzc_core.drawing.style import expect, new_figure
from parzc_core.errors import BadInput
from parzc_core.paper import PROXY_LABELS


def tsne(vectors: np.ndarray, seed: int = 0, perplexity: float = 30.0, iterations: int = 1000) -> np.ndarray:
    """float64[n, 2], the t-SNE embedding of float[n, D], started from the first two principal components.

    Raises BadInput for no more than `perplexity` vectors or values that are not finite.
    """
    if len(vectors) <= perplexity or not np.isfinite(vectors).all():
        raise BadInput(f"got vectors {vectors.shape}; expected more than perplexity={perplexity}, all of them finite")
    model = TSNE(perplexity=perplexity, init="pca", random_state=seed, max_iter=iterations, n_jobs=1)
    with threadpool_limits(1):  # more threads would add in another order, and so end in another picture
        return model.fit_transform(vectors.astype(np.float64)).astype(np.float64)


def line_likeness(points: np.ndarray, share: float = 1.0) -> float:
    """Share of the variance of points[n, 2] along their first principal axis, in percent, from 50 (round) to 100 (a line).

    share=1: of the whole cloud at once, so that 100 is one straight line. Smaller: of each point with the nearest `share` of all
    points (at least five), the mean over points: near 100 where points lie on curves, however bent and however many. Points
    that fill an area evenly have 60 to 70, the more the fewer neighbours there are.
    Points in the same place count once. Raises BadInput for a wrong share or fewer than seven different points.
    """
    places = np.unique(points, axis=0)
    if not 0 < share <= 1 or places.ndim != 2 or places.shape[1] != 2 or len(places) < 7:
        raise BadInput(
            f"got points {points.shape}, share={share}; expected [n, 2], 7 different ones, and 0 < share <= 1"
        )
    if share == 1:
        return float(_first_share(places[None])[0])
    count = min(max(5, round(share * len(places))), len(places) - 1) + 1  # a point is the nearest to itself
    nearest = NearestNeighbors(n_neighbors=count).fit(places).kneighbors(places, return_distance=False)
    return float(_first_share(places[nearest]).mean())


def share_between(points: np.ndarray, labels: np.ndarray) -> float:
    """Percent of the variance of points[n, 2] that lies between the groups of equal labels[n]; 100: each group is one place.

    Raises BadInput for lengths that differ.
    """
    if len(points) != len(labels):
        raise BadInput(f"got {len(points)} points and {len(labels)} labels; expected the same number")
    centre = points.mean(axis=0)
    groups = [points[labels == label] for label in np.unique(labels)]
    between = sum(len(group) * ((group.mean(axis=0) - centre) ** 2).sum() for group in groups)
    return 100 * float(between / ((points - centre) ** 2).sum())


def _first_share(clouds: np.ndarray) -> np.ndarray:
    """Percent of variance along the first principal axis of each of clouds[m, k, 2]."""
    centred = clouds - clouds.mean(axis=1, keepdims=True)
    variances = np.linalg.eigvalsh(centred.transpose(0, 2, 1) @ centred)  # ascending
    return 100 * variances[:, 1] / variances.sum(axis=1)


def tsne_panels(embeddings: Mapping[str, ArrayLike], colour: ArrayLike, label: str = "accuracy (%)") -> Figure:
    """Figure 6: the t-SNE embedding of each proxy's node-wise statistics, coloured by accuracy.

    embeddings: proxy -> float[n, 2]; colour: float[n]. The colour scale starts at the 20 % quantile, so that the few
    cells that do not learn leave the rest of the range to the others.
    """
    expect(len(embeddings) > 0, "tsne_panels got no embedding; give at least one")
    values = np.asarray(colour, dtype=float)
    columns = min(4, len(embeddings)) if len(embeddings) != 6 else 3
    rows = -(-len(embeddings) // columns)
    fig = new_figure(0.9 + 2.9 * columns, 0.5 + 2.7 * rows)
    axes = fig.subplots(rows, columns, squeeze=False)
    low, high = np.nanquantile(values, 0.2), np.nanmax(values)
    order = np.argsort(values, kind="stable")  # the best on top
    for place, ax in enumerate(axes.flat):
        if place >= len(embeddings):
            ax.set_axis_off()
            continue
        proxy, points = list(embeddings.items())[place]
        xy = np.asarray(points, dtype=float)
        expect(xy.shape == (len(values), 2), f"{proxy}: shape {xy.shape}, expected ({len(values)}, 2)")
        size = float(np.clip(8000 / len(xy), 2, 20))
        dots = ax.scatter(*xy[order].T, c=values[order], s=size, cmap="viridis", vmin=low, vmax=high, linewidth=0,
                          rasterized=True)  # fmt: skip
        ax.set(title=PROXY_LABELS.get(proxy, proxy), xticks=[], yticks=[])
        ax.set_box_aspect(1)
    fig.supxlabel("t-SNE dimension 1 (no unit)", fontsize=11)
    fig.supylabel("t-SNE dimension 2 (no unit)", fontsize=11)
    fig.colorbar(dots, ax=axes, label=label, extend="min", aspect=30, pad=0.015)
    return fig
