"""Figure 6: t-SNE of each proxy's node-wise statistics, and numbers for what an embedding looks like.

    data = labelled_sets("full")
    vectors = vectors_of(data)
    points = embedded(vectors, iterations=1000)
    lines = line_table(points, data)
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from joblib import Memory
from matplotlib.figure import Figure
from numpy.typing import ArrayLike
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from parzc_core import paths
from parzc_core.collecting.labelled import Data, judgeable, load
from parzc_core.drawing.style import expect, new_figure
from parzc_core.encoding import encode
from parzc_core.errors import BadInput
from parzc_core.paper import PROXY_LABELS
from parzc_core.profiles import profile as profile_named
from parzc_core.proxies import NODE_PROXIES
from parzc_core.runs.scale_free import range_outside, scale_free_slots
from parzc_core.spaces import space as space_named
from parzc_core.storage import workers
from parzc_core.storage.rows import Row

SPACES = {"fig06b_tsne": "nb201", "fig06a_tsne": "nb101"}  # figure -> space
BENCHMARKS = {"fig06b_tsne": "NAS-Bench-201", "fig06a_tsne": "NAS-Bench-101"}
NB101_CELLS, NB101_WIDTH = 5000, 32
STANDARD = {"nb201": 3000, "nb101": 1500}  # cells in the profile "standard"
PERPLEXITY = 30
SCALES = {"nearest 2 %": 0.02, "nearest 10 %": 0.1, "whole picture": 1.0}  # of `line_likeness`
BETWEEN = "between numbers of nodes (%)"
SQUARE = "(evenly filled square)"  # the row of `line_table` that is no proxy

Vectors = dict[tuple[str, str], np.ndarray]  # (figure, proxy) -> float[n, ...]


def labelled_sets(profile: str) -> dict[str, Data]:
    """{figure: its cells}; NAS-Bench-101 only where statistics and labels are at hand."""
    sizes, some = profile_named(profile), profile == "standard"
    found = {"fig06b_tsne": load(cells=STANDARD["nb201"] if some else sizes.cells)}
    wanted = STANDARD["nb101"] if some else sizes.cells or NB101_CELLS
    if cells := min(judgeable("nb101", "cifar10", NB101_WIDTH), wanted):
        found["fig06a_tsne"] = load("nb101", "cifar10", cells, NB101_WIDTH)
    return found


def vectors_of(data: Mapping[str, Data]) -> Vectors:
    """{(figure, proxy): float32[n, D]}: one proxy's values in the paper's encoding (§3.2)."""
    return {
        (figure, proxy): encode(
            one.collection.statistics,
            "paper",
            [proxy],
            slots=space_named(SPACES[figure]).SLOTS,
            max_nodes=space_named(SPACES[figure]).MAX_NODES,
        )
        for figure, one in data.items()
        for proxy in NODE_PROXIES
    }


def embedded(vectors: Vectors, iterations: int, jobs: int = 1) -> Vectors:
    """{(figure, proxy): float64[n, 2]}: `tsne` of each; equal vectors are embedded once, and kept in the cache folder."""
    embed = Memory(paths.cache_folder() / "tsne", verbose=0).cache(tsne)
    work = workers.run(partial(embed, iterations=iterations), [(vector,) for vector in vectors.values()], jobs, in_order=True)
    drawn = tqdm(work, total=len(vectors), unit="t-SNE", disable=None)
    return dict(zip(vectors, drawn, strict=True))


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


def line_table(points: Vectors, data: Mapping[str, Data]) -> pd.DataFrame:
    """`line_likeness` at SCALES: a row a figure and proxy, and for each figure a square filled evenly by as many points."""
    lines = {
        (figure, PROXY_LABELS[proxy]): [line_likeness(xy, share) for share in SCALES.values()]
        for (figure, proxy), xy in points.items()
    }
    for figure, one in data.items():
        square = np.random.default_rng(0).uniform(size=(len(one), 2))
        lines[figure, SQUARE] = [line_likeness(square, share) for share in SCALES.values()]
    table = pd.DataFrame.from_dict(lines, orient="index", columns=list(SCALES))
    table.index = pd.MultiIndex.from_tuples(list(lines))
    return table


def made_of(vectors: Vectors, points: Vectors, data: Mapping[str, Data]) -> pd.DataFrame:
    """A row a figure and proxy: different vectors, and the picture's variance between numbers of nodes (percent)."""
    nodes = {figure: np.array([len(one.nodes) for one in item.collection.statistics]) for figure, item in data.items()}
    return pd.DataFrame(
        {
            (figure, PROXY_LABELS[proxy]): {
                "different vectors": len(np.unique(vectors[figure, proxy], axis=0)),
                BETWEEN: share_between(xy, nodes[figure]),
            }
            for (figure, proxy), xy in points.items()
        }
    ).T


def who_sets_the_scale(data: Mapping[str, Data]) -> list[str]:
    """A sentence a figure: in how many cells a node that no BatchNorm follows holds an end of Plain's or GraSP's range."""
    said = []
    for figure, one in data.items():
        scale_free = scale_free_slots(SPACES[figure], one.collection.archs[:20])
        parts = []
        for proxy in ("plain", "grasp", "grad_norm"):
            high, low = range_outside(one.statistics, proxy, scale_free)
            parts.append(f"{PROXY_LABELS[proxy]} in {high:.0f} and {low:.0f} % of the cells")
        held = f"a node without BatchNorm has the largest and the smallest value of {', of '.join(parts)}."
        said.append(f"{BENCHMARKS[figure]}: {held}")
    return said


def places_of(lines: pd.DataFrame, figure: str) -> list[str]:
    """A sentence a scale: which place Plain and GraSP take among the proxies in line-likeness. lines: of `line_table`."""
    here = pd.DataFrame(lines.loc[figure]).drop(index=SQUARE)
    places: pd.DataFrame = here.rank(ascending=False).astype(int)
    plain, grasp = (places.T[name].to_dict() for name in ("Plain", "GraSP"))
    return [
        f"{BENCHMARKS[figure]}, {what}: Plain is number {plain[what]} and GraSP number {grasp[what]} of "
        f"{len(here)} in line-likeness; the seven range from {here[what].min():.0f} to {here[what].max():.0f} %."
        for what in SCALES
    ]


def rows(figure: str, lines: pd.DataFrame, made: pd.DataFrame, cells: int, profile: str) -> list[Row]:
    """The rows of a figure. lines: of `line_table`; made: of `made_of`; cells: that the picture shows."""
    about: dict[str, Any] = {"seed": 0, "n": cells, "profile": profile, "origin": "reproduced"}
    said = "share of variance along the first principal axis; n cells"
    between: dict[Any, float] = made[BETWEEN].to_dict()
    shares = {name: share for (of, name), share in between.items() if of == figure}
    on_axis = lines.to_dict("index")
    found = [
        Row(figure, proxy, what, "first_axis_share", on_axis[figure, proxy][what], note=said, **about)
        for proxy in shares
        for what in SCALES
    ]
    return found + [
        Row(figure, proxy, "numbers of nodes", "variance_between", share, note="n cells", **about)
        for proxy, share in shares.items()
    ]


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
