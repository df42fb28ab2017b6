"""What ranks networks of one's own: ParZC+ on summaries of node statistics, MABN on node statistics, or a count alone.

Each is fitted to described networks, of which some have labels, and scores any: (score, spread), higher meaning better.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from parzc_core.collector import NodeStatistics
from parzc_core.encoding import Encoder, log_magnitude, nodes_seen
from parzc_core.errors import MOST_SEED, BadInput
from parzc_core.npz import below, parted
from parzc_core.own.networks import COUNTS, Described
from parzc_core.predictors.plus.features import PlusInputs, filled
from parzc_core.predictors.plus.model import ParZCPlus, PlusConfig
from parzc_core.training import FORMAT, FittedRanker, TrainingConfig, fit_many, ranker_from

PLUS = PlusConfig(parts=("graph", "scores", "statistics"), isomorphic=False, trees=200)
MEMBERS = 5  # MABNs that are trained with different seeds
DECIMALS = 5  # of an encoding; beyond them it is rounding
FOLDS = 5  # of cross-validation
MOST_EXPONENT = 300  # of a label as mantissa x 2^e that is learned as it is
Scored = tuple[np.ndarray, np.ndarray]


class Model(Protocol):
    """One way of ranking."""

    def fit(self, described: Described, train: np.ndarray, labels: np.ndarray, seed: int) -> "Model":
        """Learn from the networks at the positions `train`, with float[m] labels; the others set scales. Returns itself."""

    def predict(self, described: Described) -> Scored:
        """(score, spread), float64[n] each, of networks with finite statistics; a spread that is not known is NaN."""

    def held_out(self) -> Scored:
        """Score and spread of each training network, from the others. Raises BadInput for too few."""

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """All that was learned as plain JSON and arrays."""

    def restore(self, plain: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "Model":
        """Take up what `state` gave, and return itself."""


class CountModel:
    """Ranks by one count of COUNTS; more is better."""

    def __init__(self, count: str):
        self.count = count

    def fit(self, described: Described, train: np.ndarray, labels: np.ndarray, seed: int) -> "CountModel":
        """Nothing is learned but the scale."""
        self._trained = described[train]
        found = self._logs(described)
        self._middle, self._scale = float(found.mean()), float(found.std()) or 1.0
        return self

    def predict(self, described: Described) -> Scored:
        """The logarithm of the count, in standard deviations; the spread is the same for all."""
        return (self._logs(described) - self._middle) / self._scale, np.ones(len(described))

    def held_out(self) -> Scored:
        """What is not learned is the same from the others."""
        return self.predict(self._trained)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """The scale."""
        return {"middle": self._middle, "scale": self._scale}, {}

    def restore(self, plain: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "CountModel":
        """The scale."""
        self._middle, self._scale = float(plain["middle"]), float(plain["scale"])
        return self

    def _logs(self, described: Described) -> np.ndarray:
        return np.log10(1 + described.counts[:, COUNTS.index(self.count)])


class PlusModel:
    """ParZC+'s learners on `summaries`."""

    def __init__(self, config: PlusConfig = PLUS):
        self.config = config
        self._plus: ParZCPlus | None = None  # None: the networks do not differ in anything that is read

    def fit(self, described: Described, train: np.ndarray, labels: np.ndarray, seed: int) -> "PlusModel":
        """See `Model`."""
        inputs = self.prepared(described)
        self._trained = inputs[train], labels, seed
        if differ(inputs):
            self._plus = ParZCPlus(self.config, "unchanged").fit(inputs[train], labels, seed, unlabelled=inputs)
        return self

    def predict(self, described: Described) -> Scored:
        """See `Model`; the spread is that of ParZC+."""
        if self._plus is None:
            return np.zeros(len(described)), np.full(len(described), np.nan)
        score, spread = self._plus.predict(self._inputs(described), samples=1)
        return score, spread

    def prepared(self, described: Described) -> PlusInputs:
        """What is read of the networks of the fit; their kinds of module and their edges are kept."""
        self._kinds = tuple(sorted({kind for modules in described.modules for kind in modules}))
        self._proxies = described.statistics[0].proxies
        raw = self._raw(described)
        self._edges = {name: filled(np.vstack([block, np.full(block.shape[1], np.nan)]))[-1] for name, block in raw.items()}
        return self._inputs(described)

    def held_out(self) -> Scored:
        """See `Model` and `ParZCPlus.left_out`."""
        inputs, labels, seed = self._trained
        if self._plus is None:
            return np.zeros(len(labels)), np.full(len(labels), np.nan)
        return self._plus.left_out(inputs, labels, seed, FOLDS)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """See `Model`."""
        plain: dict[str, Any] = {"kinds": list(self._kinds), "proxies": list(self._proxies), "plus": None}
        arrays = {f"edges/{name}": edge for name, edge in self._edges.items()}
        if self._plus is not None:
            plain["plus"], learned = self._plus.state()
            arrays |= {f"plus/{name}": array for name, array in learned.items()}
        return plain, arrays

    def restore(self, plain: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "PlusModel":
        """See `Model`."""
        self._kinds, self._proxies = tuple(plain["kinds"]), tuple(plain["proxies"])
        self._edges = below("edges/", arrays)
        self._plus = None if plain["plus"] is None else ParZCPlus.from_state(plain["plus"], below("plus/", arrays))
        return self

    def _raw(self, described: Described) -> dict[str, np.ndarray]:
        return summaries(described, self._proxies, self._kinds)

    def _inputs(self, described: Described) -> PlusInputs:
        """Blocks with what is missing at the edge that the networks of the fit gave."""
        blocks = {}
        for name, block in self._raw(described).items():
            if name not in self._edges:
                raise BadInput("got networks with a graph; the ranker was fitted to networks without (give `space` in both)")
            blocks[name] = np.where(np.isfinite(block), block, self._edges[name]).astype(np.float32)
        if len(blocks) < len(self._edges):
            raise BadInput("got networks without a graph; the ranker was fitted to networks with one (give `space` in both)")
        return PlusInputs(blocks, blocks, np.arange(len(described)))


def tamed(labels: np.ndarray) -> tuple[np.ndarray, int]:
    """(labels / 2^e, e): e is 0 but for labels whose squares would leave float64, which are brought below 1."""
    exponent = int(np.frexp(np.abs(labels).max())[1])
    return (np.ldexp(labels, -exponent), exponent) if abs(exponent) > MOST_EXPONENT else (labels, 0)


def differ(inputs: PlusInputs) -> bool:
    """Whether networks differ in anything that is read of them, by more than rounding."""
    return any(np.ptp(block, axis=0).max(initial=0) > 1e-6 for block in inputs.blocks.values())


class MABNModel:
    """The paper's ranker (§3): MEMBERS rankers on encoded statistics. proxies, encoding: see `Encoder`. samples: weight draws."""

    def __init__(
        self,
        proxies: Sequence[str],
        encoding: str = "paper",
        config: TrainingConfig | None = None,
        samples: int = 20,
    ):
        self.proxies, self.encoding, self.config, self.samples = tuple(proxies), encoding, config, samples
        self._members: list[FittedRanker] = []

    def fit(self, described: Described, train: np.ndarray, labels: np.ndarray, seed: int) -> "MABNModel":
        """See `Model`."""
        inputs = self._encoded(described, train)
        self._trained = inputs[train], labels, seed
        seeds = [_member_seed(seed, i) for i in range(MEMBERS)]
        self._members = fit_many([inputs[train]] * MEMBERS, [labels] * MEMBERS, self.config, seeds)
        # Networks with one encoding are one to a ranker: they are scored once, so that they do not differ by rounding.
        different, place = _different(inputs)
        self._alike = len(different) < 2
        self._scales = []
        for member in self._members:
            scores = member.predict(inputs[different], self.samples)[0][place]
            spread = float(scores.std()) if scores.std() > 1e-6 * max(1.0, np.abs(scores).max()) else 1.0  # else rounding
            self._scales.append((float(scores.mean()), spread))
        return self

    def predict(self, described: Described) -> Scored:
        """See `Model`: mean and standard deviation over the draws of all members, each standardised over the fit's networks."""
        if self._alike:
            return np.zeros(len(described)), np.full(len(described), np.nan)
        inputs = self._encoder.transform(described.statistics)
        different, place = _different(inputs)
        means, variances = [], []
        for member, (middle, scale) in zip(self._members, self._scales, strict=True):
            mean, std = (values[place] for values in member.predict(inputs[different], self.samples))
            means.append((mean - middle) / scale)
            variances.append((std / scale) ** 2)
        return np.mean(means, axis=0), np.sqrt(np.mean(variances, axis=0) + np.var(means, axis=0))

    def held_out(self) -> Scored:
        """See `Model`; one ranker a fold, all trained as one batch, so that their training sets are equally large."""
        inputs, labels, seed = self._trained
        folds = min(FOLDS, len(labels) // 2)
        if folds < 2:
            raise BadInput(f"got {len(labels)} labels; expected at least 4 for cross-validation")
        order = np.random.default_rng(seed).permutation(len(labels))
        asked = [order[k::folds] for k in range(folds)]
        size = len(labels) - max(map(len, asked))
        learned = [np.setdiff1d(order, each, assume_unique=True)[:size] for each in asked]
        seeds = [_member_seed(seed, k) for k in range(folds)]
        rankers = fit_many([inputs[rows] for rows in learned], [labels[rows] for rows in learned], self.config, seeds)
        score, spread = np.empty(len(labels)), np.empty(len(labels))
        for ranker, rows in zip(rankers, asked, strict=True):
            mean, std = ranker.predict(inputs, self.samples)
            scale = float(mean.std()) or 1.0
            score[rows], spread[rows] = (mean[rows] - mean.mean()) / scale, std[rows] / scale
        return score, spread

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """See `Model`."""
        encoder, arrays = self._encoder.state()
        plain = {"encoder": encoder, "samples": self.samples, "alike": self._alike, "members": len(self._members)}
        kept = {f"encoder/{name}": array for name, array in arrays.items()} | {"scales": np.array(self._scales)}
        for i, member in enumerate(self._members):
            kept |= {f"member{i}/{name}": array for name, array in member.arrays().items()}
        return plain, kept

    def restore(self, plain: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "MABNModel":
        """See `Model`."""
        self._encoder = Encoder.from_state(plain["encoder"], below("encoder/", arrays))
        self.samples, self._alike = int(plain["samples"]), bool(plain["alike"])
        self._members = [
            ranker_from(*parted(below(f"member{i}/", arrays), "its member", FORMAT), "its member")
            for i in range(int(plain["members"]))
        ]
        self._scales = [(float(middle), float(scale)) for middle, scale in arrays["scales"]]
        return self

    def _encoded(self, described: Described, train: np.ndarray) -> np.ndarray:
        """float32[n, D]; nodes and lengths are those of all networks, means and spreads those of the labelled ones."""
        statistics = list(described.statistics)
        self._encoder = Encoder(self.encoding, self.proxies, nodes_seen(statistics) if self.encoding == "aligned" else None)
        self._encoder.fit([statistics[i] for i in train] if self.encoding == "aligned" else statistics)
        return self._encoder.transform(statistics)


def _member_seed(seed: int, member: int) -> int:
    """A seed of its own for each member, no larger than seeds are."""
    return (MEMBERS * seed + member) % (MOST_SEED + 1)


def _different(inputs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Positions of one row of each kind, and of every row its place among those."""
    _, first, place = np.unique(np.round(inputs, DECIMALS), axis=0, return_index=True, return_inverse=True)
    return first, place.ravel()


def summaries(described: Described, proxies: Sequence[str], kinds: Sequence[str]) -> dict[str, np.ndarray]:
    """Features that any network has, in blocks float64[n, D_b]; NaN where there is nothing to summarise.

    PROXY: log10 |v| of the nodes, in sum, mean, standard deviation, least and largest, then in sum, mean and standard deviation
    over each third of the nodes in the order in which they run. "weights": the same of the nodes' sizes. "scores": logarithms of
    the numbers of nodes, parameters and FLOPs. "modules": log2(1 + count) of each kind of leaf module. "graph": of a space.
    """
    statistics = described.statistics
    columns: dict[str, np.ndarray] = {
        proxy: np.array([_profile(one.of(proxy), one) for one in statistics]) for proxy in proxies
    }
    columns["weights"] = np.array([_profile(one.numel, one) for one in statistics])
    nodes = np.array([[len(one.nodes)] for one in statistics])
    columns["scores"] = np.log10(1.0 + np.hstack([nodes, described.counts]))
    counts = [[modules.get(kind, 0) for kind in kinds] for modules in described.modules]
    columns["modules"] = np.log2(1.0 + np.array(counts, dtype=np.float64).reshape(len(counts), len(kinds)))
    return columns if described.graphs is None else columns | {"graph": described.graphs}


def _profile(values: np.ndarray, of: NodeStatistics) -> list[float]:
    """14 numbers of a value a node: see `summaries`."""
    logs = log_magnitude(np.asarray(values, dtype=np.float64)[list(of.execution_order)])
    ends = [round(len(logs) * i / 3) for i in range(4)]
    firsts = [min(start, len(logs) - 1) for start in ends[:3]]
    thirds = [logs[first : max(end, first + 1)] for first, end in zip(firsts, ends[1:], strict=True)]
    return [*_summary(logs), *(value for third in thirds for value in _summary(third)[:3])]


def _summary(logs: np.ndarray) -> list[float]:
    """Log of the sum, mean, standard deviation, least and largest; NaN without a value."""
    there = logs[np.isfinite(logs)]
    if not len(there):
        return [np.nan] * 5
    high = there.max()
    total = high + np.log10((10.0 ** (there - high)).sum())
    return [total, there.mean(), there.std(), there.min(), high]

