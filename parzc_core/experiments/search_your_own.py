"""Rank networks of one's own: a list of PyTorch modules and a few accuracies in, a ranking with its uncertainty out.

    ranking = rank_networks(networks, images, labels, accuracies)   # accuracies of the first few networks, in percent
    ranking.sort_values("rank")
"""

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from parzc_core.collector import NodeStatistics, collect_statistics
from parzc_core.encoding import PAPER_PROXIES, encode
from parzc_core.errors import BadInput, floats, whole
from parzc_core.proxies import check_node_proxies
from parzc_core.training import TrainingConfig, fit_many

MEMBERS = 5  # rankers that are trained with different seeds
DECIMALS = 5  # of an encoding; beyond them it is rounding


def rank_networks(
    networks: Sequence[nn.Module],
    images: torch.Tensor,
    labels: torch.Tensor,
    accuracies: Sequence[float],
    *,
    proxies: Sequence[str] = PAPER_PROXIES,
    encoding: str = "paper",
    config: TrainingConfig | None = None,
    samples: int = 20,
    seed: int = 0,
) -> pd.DataFrame:
    """Learn to rank from the networks whose accuracy is known, and rank all of them (§3, on networks of any kind).

    networks: n modules, images to logits; each needs a Conv2d or Linear layer. They are not trained here, and left as they are.
    images, labels: one batch, float32[N, ...] and int64[N], the same for all, from which node statistics are collected.
    accuracies: of the first m networks, 2 <= m <= n, in percent. proxies, encoding: see `Encoder`. config: see TrainingConfig.
    samples: draws of the Bayesian weights of each of MEMBERS rankers.

    A row a network, in the order given: accuracy (NaN where it was not given), score (float, in standard deviations over the
    networks, higher meaning better), spread (standard deviation of that over the draws and the rankers), rank (1: thought best;
    networks that the ranker cannot tell apart share one), nodes, params, for each proxy its sum over nodes, the usual
    training-free score, and not_finite: how many of the statistics are NaN or infinite. A network with such statistics has no
    score (NaN) and no rank (missing), is not learned from, and a warning says so. Where all networks look alike to the ranker,
    scores are 0 and the spread is NaN.
    Raises BadInput: fewer than two accuracies or more than networks, one that is not finite, a network without nodes or that does
    not take the batch (which one it is, is said), samples below 1, fewer than two networks to learn from; UnknownName for proxies
    and encodings.
    """
    if isinstance(networks, nn.Module) or not isinstance(networks, Sequence):
        raise BadInput(f"got {type(networks).__name__} as networks; expected a list of modules")
    known, proxies = floats("accuracies", accuracies), check_node_proxies(proxies)
    if not proxies:
        raise BadInput("got no proxies; expected at least one")
    if known.ndim != 1 or not 2 <= len(known) <= len(networks):
        raise BadInput(
            f"got {len(networks)} networks and accuracies of shape {known.shape}; expected the accuracies of the first networks, "
            "at least 2 and at most one each"
        )
    if not np.isfinite(known).all():
        place = int(np.flatnonzero(~np.isfinite(known))[0])
        raise BadInput(
            f"accuracy {place} is {known[place]}; put networks whose accuracy is not known behind the others"
        )
    whole("samples", samples, 1)
    whole("seed", seed, 0)
    statistics = [
        _collected(place, network, images, labels, proxies)
        for place, network in enumerate(tqdm(networks, unit="network", disable=None))
    ]
    not_finite = np.array([one.not_finite for one in statistics])
    usable, learned = np.flatnonzero(not_finite == 0), np.flatnonzero(not_finite[: len(known)] == 0)
    if len(usable) < len(statistics):
        warnings.warn(
            f"networks {np.flatnonzero(not_finite).tolist()} have statistics that are not finite, so they get no score",
            stacklevel=2,
        )
    if len(learned) < 2:
        raise BadInput(
            f"got {len(learned)} networks with an accuracy and finite statistics; expected at least 2 to learn from"
        )
    score, spread = np.full((2, len(networks)), np.nan)
    inputs = encode([statistics[i] for i in usable], encoding, proxies, np.arange(len(learned)))
    score[usable], spread[usable] = _scores(inputs, known[learned], config, samples, seed)
    ranking = pd.DataFrame(
        {
            "accuracy": np.concatenate([known, np.full(len(networks) - len(known), np.nan)]),
            "score": score,
            "spread": spread,
            "rank": _ranks(score),
            "nodes": [len(one.nodes) for one in statistics],
            "params": [sum(parameter.numel() for parameter in network.parameters()) for network in networks],
        }
    )
    return ranking.assign(**pd.DataFrame([one.sums() for one in statistics]), not_finite=not_finite)


def _ranks(score: np.ndarray) -> pd.Series:
    """1 for the best; equal scores share the better rank; missing where there is no score. Whole numbers."""
    ranks = pd.Series(score).rank(ascending=False, method="min")
    return ranks.astype("Int64" if ranks.isna().any() else int)


def sure_pairs(ranking: pd.DataFrame, measured: Sequence[float] | np.ndarray) -> pd.DataFrame:
    """Whether the spread can be trusted: how many pairs of networks are in the right order, by how sure the ranking is.

    measured: accuracy of each row of `ranking`. Rows: "sure", pairs whose scores are more than two joint spreads apart, and "not
    sure"; pairs: how many; order right (%): NaN without a pair. Pairs of equal accuracy have no order and are left out.
    """
    truth, score, spread = np.asarray(measured, dtype=float), ranking["score"].to_numpy(), ranking["spread"].to_numpy()
    if truth.shape != score.shape:
        raise BadInput(f"got {len(score)} ranked networks and accuracies of shape {truth.shape}; expected one each")
    first, second = np.triu_indices(len(score), 1)
    ordered = truth[first] != truth[second]
    first, second = first[ordered], second[ordered]
    sure = np.abs(score[first] - score[second]) > 2 * np.hypot(spread[first], spread[second])
    right = (score[first] > score[second]) == (truth[first] > truth[second])
    rows = {name: right[chosen] for name, chosen in (("sure", sure), ("not sure", ~sure))}
    shares = [100 * float(part.mean()) if len(part) else np.nan for part in rows.values()]
    return pd.DataFrame({"pairs": [len(part) for part in rows.values()], "order right (%)": shares}, index=list(rows))


def _scores(
    inputs: np.ndarray, known: np.ndarray, config: TrainingConfig | None, samples: int, seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation, float64[n] each, over the draws of all rankers.

    The scale of a ranker is its own, so that each one's scores are standardised over the networks first.
    """
    seeds = [MEMBERS * seed + i for i in range(MEMBERS)]
    rankers = fit_many([inputs[: len(known)]] * MEMBERS, [known] * MEMBERS, config, seeds)
    # Networks with one encoding are one to a ranker: they are scored once, so that they do not differ by rounding.
    _, first, of_each = np.unique(np.round(inputs, DECIMALS), axis=0, return_index=True, return_inverse=True)
    if len(first) < 2:
        return np.zeros(len(inputs)), np.full(len(inputs), np.nan)
    means, variances = [], []
    for ranker in rankers:
        mean, std = (values[of_each.ravel()] for values in ranker.predict(inputs[first], samples))
        scale = mean.std() if mean.std() > 1e-6 * max(1.0, np.abs(mean).max()) else 1.0  # else it is rounding
        means.append((mean - mean.mean()) / scale)
        variances.append((std / scale) ** 2)
    return np.mean(means, axis=0), np.sqrt(np.mean(variances, axis=0) + np.var(means, axis=0))


def _collected(
    place: int, network: nn.Module, images: torch.Tensor, labels: torch.Tensor, proxies: Sequence[str]
) -> NodeStatistics:
    """Statistics of one network; what is wrong with it is said with its place in the list."""
    try:
        return collect_statistics(network, images, labels, proxies)
    except BadInput as error:
        raise BadInput(f"network {place} of the list: {error}") from error
