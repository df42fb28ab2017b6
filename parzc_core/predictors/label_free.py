"""An order of networks without any label: statistics of untrained networks vote, and those that contradict the others are silent.

    cells = unlabelled("nb201", "cifar10")
    score, weights = together(votes_of_cells(cells, "nb201"), committees("nb201"))   # larger is better; {vote: weight}
    score, weights = together(votes(statistics), committees())                       # networks of one's own

A vote is a column of which more is expected to be better: the layers and the weights that get a gradient, how many nodes a proxy
is spread over, every network-level score that nine tenths of the networks have. Their logarithmic ranks are added, as AZ-NAS
(CVPR 2024) adds them, with weights that are larger the less a vote repeats the others.

Which votes a committee asks was chosen with the labels of other spaces than the one it orders (experiments/label_free.py, whose
notebook says how good the orders are). committees.json keeps what was chosen.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files

import numpy as np
import pandas as pd

from parzc_core.collector import NodeStatistics
from parzc_core.errors import BadInput
from parzc_core.proxies import NODE_PROXIES
from parzc_core.spaces import nb201
from parzc_core.storage.statistics import Collection

COMMON = 0.9  # share of the networks that must have a score for it to vote
COUNTS = ("layers", "weights", "log weights")
SPREADS = ("fisher", "grad_norm", "l2_norm", "snip", "synflow")  # GraSP and Plain are noise of the seed to a large part
ANY = (*COUNTS, *(f"{proxy}, nodes" for proxy in SPREADS), "params", "flops")  # the votes of networks of any kind
KEPT = "committees.json"


@dataclass(frozen=True)
class Committee:
    """votes: names, those that a space lacks are passed over. gate, ridge: as in `agreed`."""

    votes: tuple[str, ...]
    gate: float
    ridge: float


@lru_cache(maxsize=1)
def _kept() -> dict[str, tuple[Committee, ...]]:
    text = files("parzc_core.predictors").joinpath(KEPT).read_text(encoding="utf-8")
    return {
        space: tuple(Committee(tuple(one["votes"]), one["gate"], one["ridge"]) for one in found)
        for space, found in json.loads(text).items()
    }


def committees(space: str = "") -> tuple[Committee, ...]:
    """The committees that were chosen without the labels of a space; for spaces that have none, those of ANY's votes."""
    return _kept().get(space, _kept()[""])


def together(votes: pd.DataFrame, committees: Sequence[Committee]) -> tuple[np.ndarray, dict[str, float]]:
    """float64[n], the mean of the committees' orders, each standardised, and the mean weight of each vote that is heard.

    votes: float64[n, V], a row a network. Raises BadInput where there are fewer than two of a committee's votes.
    """
    scores, weights = [], dict[str, float]()
    for committee in committees:
        score, own = agreed(votes, committee)
        scores.append(score / max(float(score.std()), 1e-12))
        for name, weight in own.items():
            if weight > 0:
                weights[name] = weights.get(name, 0.0) + weight / len(committees)
    return np.mean(scores, axis=0), weights


def agreed(votes: pd.DataFrame, committee: Committee) -> tuple[np.ndarray, dict[str, float]]:
    """float64[n], the committee's order, and the weight of each vote that is not silent.

    As long as some vote's correlation with the sum of the others is below the gate, the least of them is left out. The weights
    are such that every vote goes with the total alike (none is negative); the ridge draws them towards equal ones.
    Raises BadInput where fewer than two of the committee's votes are there.
    """
    names = [name for name in committee.votes if name in votes]
    if len(names) < 2:
        raise BadInput(f"got {len(names)} of the votes {', '.join(committee.votes)}; expected two at least")
    values = logarithmic_ranks(votes, names)
    keep, weights = committee_weights(values, committee.gate, committee.ridge)
    return values[:, keep] @ weights, {names[k]: float(w) for k, w in zip(keep, weights, strict=True)}


def logarithmic_ranks(votes: pd.DataFrame, names: Sequence[str]) -> np.ndarray:
    """float64[n, V], standardised; a constant vote is 0 everywhere."""
    logs = np.log(np.maximum(rank_shares(votes[list(names)]).to_numpy(), 0.5 / len(votes)))
    spread = logs.std(axis=0)
    return (logs - logs.mean(axis=0)) / np.where(spread > 0, spread, np.inf)


def committee_weights(values: np.ndarray, gate: float, ridge: float) -> tuple[list[int], np.ndarray]:
    """Votes that are not silent, and their weights. values: of `logarithmic_ranks`."""
    both = values.T @ values / len(values)
    keep = [k for k in range(len(both)) if both[k, k] > 0.5]
    while len(keep) > 2:
        part = both[np.ix_(keep, keep)]
        with_others = part.sum(axis=1) - 1
        correlation = with_others / np.sqrt(np.maximum(part.sum() - 2 * with_others - 1, 1e-12))
        if correlation.min() >= gate:
            break
        keep.pop(int(correlation.argmin()))
    if not keep:  # networks that cannot be told apart
        return keep, np.empty(0)
    return keep, _even_weights(both[np.ix_(keep, keep)] + ridge * np.eye(len(keep)))


def rank_shares(table: pd.DataFrame) -> pd.DataFrame:
    """Each column as ranks in (0, 1], ties shared, a missing value the least; 0.5 where a column has no value."""
    finite = table.where(np.isfinite(table))
    ranks = finite.rank(pct=True).fillna(0.0)
    ranks.loc[:, ~finite.notna().any()] = 0.5
    return ranks


def votes_of_cells(collection: Collection, space: str) -> pd.DataFrame:
    """float64[n, V]: the votes of the cells of a collection, index architectures."""
    scores = collection.scores.astype(float).set_axis(collection.archs)
    if "flops" in scores and space == "nb201":
        scores["flops"] = [float(nb201.flops(arch)) for arch in collection.archs]  # pooling counts, as in the benchmark
    there = [str(name) for name in scores if np.isfinite(scores[name]).mean() >= COMMON]
    return pd.concat([votes(collection.statistics).set_axis(collection.archs), scores[there]], axis=1)


def votes(statistics: Sequence[NodeStatistics]) -> pd.DataFrame:
    """float64[n, V]: the votes that node statistics cast: COUNTS, and over how many nodes each of SPREADS is spread
    (the entropy of the nodes' shares, in nats); NaN where a proxy is not there."""
    nodes = Nodes.of(statistics)
    return pd.DataFrame(nodes.counts() | {f"{proxy}, nodes": entropy(nodes.logs(proxy)) for proxy in SPREADS})


@dataclass(frozen=True, eq=False)
class Nodes:
    """Node statistics of n networks along their execution, padded to the longest, L.

    values: float64[n, K, L] of NODE_PROXIES. numel: float64[n, L], weight entries. NaN beyond a network's nodes.
    live: bool[n, L], the nodes whose weights get a gradient.
    """

    values: np.ndarray
    numel: np.ndarray
    live: np.ndarray

    @classmethod
    def of(cls, statistics: Sequence[NodeStatistics]) -> "Nodes":
        longest = max(len(one.nodes) for one in statistics)
        values = np.full((len(statistics), len(NODE_PROXIES), longest), np.nan)
        numel = np.full((len(statistics), longest), np.nan)
        for i, one in enumerate(statistics):
            order = np.array(one.execution_order)
            rows = [NODE_PROXIES.index(proxy) for proxy in one.proxies if proxy in NODE_PROXIES]
            values[i, rows, : len(order)] = np.stack([one.of(NODE_PROXIES[k]) for k in rows])[:, order]
            numel[i, : len(order)] = one.numel[order]
        norm = values[:, NODE_PROXIES.index("grad_norm")]
        return cls(values, numel, np.isfinite(norm) & (norm > 0))

    def counts(self) -> dict[str, np.ndarray]:
        """float64[n] of each of COUNTS."""
        weights = np.log1p(np.where(self.live, self.numel, 0).sum(axis=1))
        values = self.live.sum(axis=1).astype(float), weights, np.nansum(self.log_numel, axis=1)
        return dict(zip(COUNTS, values, strict=True))

    @property
    def log_numel(self) -> np.ndarray:
        """float64[n, L], natural logarithms; NaN where no gradient comes."""
        return np.where(self.live, np.log(np.where(self.live, self.numel, 1.0)), np.nan)

    def logs(self, proxy: str) -> np.ndarray:
        """float64[n, L], natural logarithms of magnitudes; NaN where no gradient comes, or the value is 0 or not finite."""
        magnitude = np.abs(self.values[:, NODE_PROXIES.index(proxy)])
        there = self.live & np.isfinite(magnitude) & (magnitude > 0)
        return np.where(there, np.log(np.where(there, magnitude, 1.0)), np.nan)


def shares(logs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """float64[n, L], the shares of values with these natural logarithms, and float64[n], the logarithm of their sum.

    NaN is a missing value. Rows without a value have shares 0 and a sum of NaN.
    """
    high = np.max(np.where(np.isfinite(logs), logs, -np.inf), axis=1)
    high = np.where(np.isfinite(high), high, np.nan)
    found = np.nan_to_num(np.exp(logs - high[:, None]))
    total = found.sum(axis=1)
    found /= np.maximum(total, 1e-300)[:, None]
    return found, high + np.log(np.maximum(total, 1e-300))


def entropy(logs: np.ndarray) -> np.ndarray:
    """float64[n], of the shares of values with these natural logarithms; NaN for a row without one."""
    found, _ = shares(logs)
    return np.where(np.isfinite(logs).any(axis=1), -(found * np.log(np.where(found > 0, found, 1.0))).sum(axis=1), np.nan)


def _even_weights(both: np.ndarray) -> np.ndarray:
    """float64[V], w with both @ w = 1 on the votes that weigh; those that would weigh less than nothing go, least first."""
    there = np.arange(len(both))
    while True:
        weights = np.linalg.solve(both[np.ix_(there, there)], np.ones(len(there)))
        if weights.min() >= 0:
            break
        there = np.delete(there, int(weights.argmin()))
    found = np.zeros(len(both))
    found[there] = weights
    return found
