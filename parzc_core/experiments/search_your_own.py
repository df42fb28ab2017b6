"""Whether a ranking of one's own networks can be trusted: its sure pairs, and its intervals.

    ranking = rank_networks(networks, images, labels, accuracies)       # see parzc_core.own
    sure_pairs(ranking, measured), covered(ranking, measured)
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from parzc_core.errors import BadInput
from parzc_core.own import rank_networks

__all__ = ["covered", "rank_networks", "sure_pairs"]


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


def covered(ranking: pd.DataFrame, measured: Sequence[float] | np.ndarray) -> pd.Series:
    """What the intervals hold: how many networks have one, percent of them with the label inside, and the mean width.

    measured: accuracy of each row of `ranking`. Raises BadInput for another number of them.
    """
    truth = np.asarray(measured, dtype=float)
    if truth.shape != (len(ranking),):
        raise BadInput(f"got {len(ranking)} ranked networks and accuracies of shape {truth.shape}; expected one each")
    low, high = ranking["low"].to_numpy(), ranking["high"].to_numpy()
    there = np.isfinite(low) & np.isfinite(high) & np.isfinite(truth)
    inside = (low <= truth) & (truth <= high)
    if not there.any():
        return pd.Series({"networks": 0, "inside (%)": np.nan, "width": np.nan})
    share, width = 100 * float(inside[there].mean()), float((high - low)[there].mean())
    return pd.Series({"networks": int(there.sum()), "inside (%)": share, "width": width})
