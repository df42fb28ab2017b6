"""Rank correlations of many resamples of the same pairs: sorted once, not once a resample.

A resample is a vector of weights, how often each pair is drawn. Kendall's tau is exactly scipy's; Spearman's rho is scipy's up to
rounding.
"""

from collections.abc import Iterable

import numpy as np

CHUNK = 2**22  # weights at once


def kendall(x: np.ndarray, y: np.ndarray, draws: Iterable[np.ndarray]) -> list[float]:
    """tau-b in percent of (x[i], y[i]) for each i of draws, int64[n] positions; NaN where one is constant. x, y: float64[n]."""
    order, of_x, of_y = _sorted(x, y)
    by_y = np.lexsort((of_x, of_y))
    total, found = len(x) * (len(x) - 1) // 2, []
    for weights in _weights(draws, order):
        tied_x, tied = _tied(weights, of_x), _tied(weights, of_x, of_y)
        tied_y = _tied(weights[by_y], of_y[by_y])
        with np.errstate(divide="ignore", invalid="ignore"):
            surplus = total - tied_x - tied_y + tied - 2 * _inversions(by_y, weights)
            tau = surplus / np.sqrt(total - tied_x) / np.sqrt(total - tied_y)  # in scipy's order, so that it rounds alike
        found += (100 * np.clip(tau, -1.0, 1.0)).tolist()
    return found


def spearman(x: np.ndarray, y: np.ndarray, draws: Iterable[np.ndarray]) -> list[float]:
    """Spearman's rho in percent; see `kendall`."""
    of_x, of_y = _numbered(x), _numbered(y)
    found = []
    for draw in draws:
        weights = np.bincount(draw, minlength=len(x)).astype(np.float64)
        a, b = (_ranks(groups, weights) for groups in (of_x, of_y))
        left, right = weights * a, weights * b
        with np.errstate(invalid="ignore"):
            found.append(100 * float(np.clip(left @ b / np.sqrt((left @ a) * (right @ b)), -1.0, 1.0)))
    return found


def _numbered(values: np.ndarray) -> np.ndarray:
    """int64[n], the number of each value, which rises with it."""
    return np.unique(values, return_inverse=True)[1].ravel()


def _sorted(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The order by x, then y, and in it the numbers of the values of x and of y."""
    order = np.lexsort((y, x))
    return order, _numbered(x[order]), _numbered(y[order])


def _weights(draws: Iterable[np.ndarray], order: np.ndarray) -> Iterable[np.ndarray]:
    """float32[n, resamples] in that order, some resamples at a time. Whole numbers, whose sums are exact below 2^24."""
    columns: list[np.ndarray] = []
    for draw in draws:
        columns.append(np.bincount(draw, minlength=len(order)).astype(np.float32))
        if len(columns) * len(order) >= CHUNK:
            yield np.stack(columns, axis=1)[order]
            columns = []
    if columns:
        yield np.stack(columns, axis=1)[order]


def _ranks(groups: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Each pair's rank less the mean rank; equal values share one."""
    size = np.bincount(groups, weights)
    return (np.cumsum(size) - (size + weights.sum()) / 2)[groups]


def _tied(weights: np.ndarray, *groups: np.ndarray) -> np.ndarray:
    """float64[resamples], drawn pairs alike in all of groups, where like stand together; one drawn twice is a tie."""
    changes = np.any([np.diff(each, prepend=-1) != 0 for each in groups], axis=0)
    sizes = weights if changes.all() else np.add.reduceat(weights, np.flatnonzero(changes), axis=0)
    return _dot(sizes, sizes - 1) / 2


def _inversions(by_y: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """float64[resamples], sum of w_i w_j over the pairs that stand in one order along the sample and in the other by y.

    by_y: the positions in order of y. Along both orders lie about sqrt(n) blocks. Pairs in different blocks of both are counted
    from sums over blocks; pairs within a block, by a product with the matrix that says which of them are inverted.
    """
    n = len(by_y)
    size = int(np.ceil(np.sqrt(n)))
    place = np.argsort(by_y)  # in order of y
    block, block_y = np.arange(n) // size, place // size
    blocks = np.arange(block[-1] + 1)[:, None]
    found = np.zeros(weights.shape[1])
    before = np.zeros((len(blocks), weights.shape[1]), dtype=np.float32)  # weight of earlier blocks, by block of y
    for start in range(0, n, size):
        own = slice(start, start + size)
        inverted = np.tril(place[own] > place[own, None])  # [second, first]
        sums = np.vstack([inverted, block_y[own] == blocks]).astype(np.float32) @ weights[own]
        found += _dot(sums[: len(inverted)], weights[own])
        here = sums[len(inverted) :]
        found += _dot(before[::-1].cumsum(axis=0)[::-1] - before, here)
        before += here
        of_y = by_y[own]  # the same places in the order of y: pairs of other blocks
        inverted = np.tril(block[of_y] > block[of_y, None])
        found += _dot(inverted.astype(np.float32) @ weights[of_y], weights[of_y])
    return found


def _dot(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """float64[resamples], sums of products over the first axis."""
    return np.einsum("ir,ir->r", a, b, dtype=np.float64)
