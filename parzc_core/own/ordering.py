"""Order your own networks before any of them is trained. No accuracy is needed.

    order = order_networks(networks, images, labels)       # {name: module}, and a batch
    order.sort_values("rank")

The order adds up votes of training-free scores: those of `predictors.label_free` that any network has. With a few accuracies
`rank_networks` is better. The notebook label_free shows how good such orders are where accuracies are known, and where they fail.
"""

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from parzc_core.errors import BadInput
from parzc_core.own.networks import COUNTS, Described, Given, describe
from parzc_core.passes import Batch, Loss
from parzc_core.predictors.label_free import SPREADS, committees, together, votes

DECIMALS = 9  # of scores; beyond them is rounding, by which networks that cannot be told apart would differ


def order_networks(
    networks: Described | Sequence[Given] | Mapping[str, Given],
    images: Batch | None = None,
    labels: Any = None,
    *,
    names: Sequence[str] | None = None,
    loss: Loss | None = None,
    seed: int = 0,
) -> pd.DataFrame:
    """Order networks without training any of them. Returns a row for each, in the order given, indexed by name.

    Columns: score (higher is predicted better), rank (1 is predicted best; equal scores share a rank), nodes, params, flops, each
    proxy's sum, not_finite (how many statistics are NaN or infinite).

    networks: modules, {name: module}, functions that build them, or what `describe` gave. images, labels, names, loss, seed: see
    `describe`. A network whose statistics are not finite has no score (NaN) and no rank (missing), and a warning says so, and
    which votes are missing where `describe` was asked for other proxies. Raises BadInput as `describe` does.
    """
    if not isinstance(networks, Described):
        if images is None:
            raise BadInput("got networks without a batch; expected images and labels, or what `describe` gave of the networks")
        networks = describe(networks, images, labels, names=names, loss=loss, seed=seed)
    elif any(given is not None for given in (images, labels, names, loss)):
        raise BadInput("got what `describe` gave, and a batch, names or a loss as well; expected either")
    score, _ = order_of(networks)
    return pd.DataFrame({"score": score, "rank": ranks(score)}).set_axis(networks.index).join(networks.frame())


def order_of(networks: Described) -> tuple[np.ndarray, dict[str, float]]:
    """(score, weights): float64[n], higher is predicted better, NaN where statistics are not finite; the weight of each vote."""
    usable = networks.usable("get no score")
    missing = [name for name in SPREADS if any(name not in one.proxies for one in networks.statistics)]
    if missing:
        told = f"{', '.join(missing)} cast no vote, as they were not collected, so the order is worse"
        warnings.warn(told, stacklevel=3)
    score, weights = np.full(len(networks), np.nan), dict[str, float]()
    if len(usable):
        there = networks[usable]
        counts = pd.DataFrame(there.counts, columns=list(COUNTS))
        score[usable], weights = together(votes(there.statistics).join(counts), committees())
    return score, weights


def ranks(score: np.ndarray) -> pd.Series:
    """1 for the best; equal scores share the better rank; missing where there is no score. Whole numbers."""
    found = pd.Series(np.round(score, DECIMALS)).rank(ascending=False, method="min")
    return found.astype("Int64" if found.isna().any() else int)
