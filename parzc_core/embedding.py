"""t-SNE of node-wise statistics (figure 6), and two numbers for how much an embedding looks like lines."""

import numpy as np
from sklearn.manifold import TSNE
from sklearn.neighbors import NearestNeighbors

from parzc_core.errors import BadInput


def tsne(vectors: np.ndarray, seed: int = 0, perplexity: float = 30.0, iterations: int = 1000) -> np.ndarray:
    """float64[n, 2], the t-SNE embedding of float[n, D], started from the first two principal components.

    Raises BadInput for no more than `perplexity` vectors or values that are not finite.
    """
    if len(vectors) <= perplexity or not np.isfinite(vectors).all():
        raise BadInput(f"got vectors {vectors.shape}; expected more than perplexity={perplexity}, all of them finite")
    model = TSNE(perplexity=perplexity, init="pca", random_state=seed, max_iter=iterations, n_jobs=1)
    return model.fit_transform(vectors.astype(np.float64))


def line_likeness(points: np.ndarray, neighbours: int = 20) -> tuple[float, float]:
    """(whole, local): share of the variance of points[n, 2] along their first principal axis, in percent, 50 to 100.

    whole: of all points: 100 for one straight line. local: the same for each point with its `neighbours` nearest ones, the mean
    over points: near 100 where points lie on curves, however bent and however many, and about 68 where they fill an area evenly.
    Points in the same place count once. Raises BadInput for too few points.
    """
    places = np.unique(points, axis=0)
    if places.ndim != 2 or places.shape[1] != 2 or len(places) <= neighbours:
        raise BadInput(f"got points {points.shape}; expected [n, 2] with more than {neighbours} different ones")
    nearest = NearestNeighbors(n_neighbors=neighbours + 1).fit(places).kneighbors(places, return_distance=False)
    around = places[nearest]  # (n, neighbours + 1, 2)
    return _first_share(places[None])[0], float(_first_share(around).mean())


def _first_share(clouds: np.ndarray) -> np.ndarray:
    """Percent of variance along the first principal axis of each of clouds[m, k, 2]."""
    centred = clouds - clouds.mean(axis=1, keepdims=True)
    variances = np.linalg.eigvalsh(centred.transpose(0, 2, 1) @ centred)  # ascending
    return 100 * variances[:, 1] / variances.sum(axis=1)
