"""Whether a ranking of one's own networks can be trusted: its sure pairs, and its intervals; and what searching them finds.

    ranking = rank_networks(networks, images, labels, accuracies)       # see parzc_core.own
    sure_pairs(ranking, measured), covered(ranking, measured)
    searches = searched(networks, describe(networks, images, labels), measured, budget=40, seeds=5)     # beside random ones
    best_so_far(searches, measured), search_sentences(searches, measured)
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from torch import nn

from parzc_core.drawing.style import GREY, VERMILION, expect, new_figure
from parzc_core.errors import BadInput
from parzc_core.own import Described, NetworkSearch, rank_networks, search_networks

__all__ = ["best_so_far", "covered", "looked_up", "rank_networks", "search_sentences", "searched", "sure_pairs"]
SHOWN = {"parzc_plus": ("ParZC+", VERMILION), "random": ("random search", GREY)}


def sure_pairs(ranking: pd.DataFrame, measured: Sequence[float] | np.ndarray) -> pd.DataFrame:
    """Whether the spread can be trusted: how many pairs of networks are in the right order, by how sure the ranking is.

    measured: accuracy of each row of `ranking`. Rows: "sure", pairs whose scores are more than two joint spreads apart, and "not
    sure"; pairs: how many; order right (%): NaN without a pair. Pairs of equal accuracy are left out. Raises BadInput.
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


def looked_up(measured: Mapping[Any, float]) -> Callable[[Any, nn.Module], float]:
    """An `evaluate` for `search_networks` that trains nothing: the accuracy of networks that were trained before, by name."""
    return lambda name, _network: float(measured[name])


def searched(
    networks: Mapping[str, nn.Module], described: Described, measured: Mapping[Any, float], budget: int, seeds: int
) -> list[NetworkSearch]:
    """Searches by ParZC+, then random ones, of each seed. measured: the accuracy of every one."""
    evaluate, pools = looked_up(measured), {"parzc_plus": described, "random": None}
    return [
        search_networks(networks, evaluate, budget, method=method, described=pool, seed=seed)
        for method, pool in pools.items()
        for seed in range(seeds)
    ]


def _found(searches: Sequence[NetworkSearch], method: str) -> np.ndarray:
    """float64[seeds, budget]: the best accuracy after each training, of the searches by a method."""
    return np.array([found.trajectory["best so far"] for found in searches if found.method == method])


def best_so_far(searches: Sequence[NetworkSearch], measured: Mapping[Any, float]) -> Figure:
    """The best accuracy after each training: mean over seeds (thick), each seed (thin), and the best of all networks."""
    expect(len(searches) > 0, "best_so_far got no search; nothing to draw")
    figure = new_figure(7.2, 4.2)
    ax = figure.subplots()
    for method, (name, colour) in SHOWN.items():
        lines = _found(searches, method)
        if not len(lines):
            continue
        numbers = np.arange(1, lines.shape[1] + 1)
        ax.plot(numbers, lines.T, color=colour, linewidth=0.6, alpha=0.45, drawstyle="steps-post")
        ax.plot(numbers, lines.mean(axis=0), color=colour, linewidth=2.4, drawstyle="steps-post", label=f"{name}, mean")
    best = max(measured.values())
    ax.axhline(best, color="black", linestyle="--", linewidth=1, label="best of all")
    low = float(np.quantile(np.concatenate([found.trajectory["best so far"] for found in searches]), 0.05))
    ax.set(xlabel="networks trained", ylabel="best accuracy so far (%)", ylim=(low - 1, best + 1))
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def search_sentences(searches: Sequence[NetworkSearch], measured: Mapping[Any, float]) -> list[str]:
    """How far from the best network each method is after half and after all trainings, and how often it has found it."""
    best, said = max(measured.values()), []
    for method, (name, _) in SHOWN.items():
        lines = _found(searches, method)
        if len(lines):
            at = sorted({(lines.shape[1] + 1) // 2, lines.shape[1]})
            behind = " and ".join(f"{best - lines[:, k - 1].mean():.2f} points after {k}" for k in at)
            there = int((lines[:, -1] >= best).sum())
            said.append(
                f"**Searching with {name}**: below the best of {len(measured)} networks by {behind} trainings; "
                f"{there} of {len(lines)} seeds found the best."
            )
    return said
