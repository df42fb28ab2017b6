"""Node statistics -> the ranker's input (§3.2): the paper's encoding, and an aligned one in which every node keeps its place.

paper: each proxy of each architecture is min-max scaled to [0, 1] over its nodes, in depth-first order, and padded with zeros
    at the end. Proxies are concatenated. A proxy with the same value at all nodes (0/0 in the paper's formula) becomes 0.
aligned: every node of the space (stage, cell, edge) has its own slot. Values are log magnitudes. Each column is standardised
    with the mean and spread of the training architectures alone, so nothing leaks from the judged ones, and limited to four
    standard deviations. A node that is absent, or whose value is 0, gets a constant below the usual range.
raw, log: as "paper" without the scaling, to see what it is needed for. raw: the values themselves. log: log10 of their magnitude,
    0 where it is 0. A raw value that float32 cannot hold is inf; what is trained on it gets NaN.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from parzc_core.collector import NodeStatistics
from parzc_core.errors import BadInput, UnknownName, names_of, whole

SCHEMES = ("paper", "aligned", "raw", "log")
PAPER_PROXIES = ("synflow", "snip", "grad_norm")  # three of the four in A.4: 294 inputs are 3 x 98 nodes
ABSENT, LIMIT = -3.0, 4.0  # in standard deviations


def encode(
    statistics: Sequence[NodeStatistics],
    scheme: str = "paper",
    proxies: Sequence[str] | None = None,
    train: Sequence[int] | np.ndarray | None = None,
    slots: Sequence[str] | None = None,
    max_nodes: int | None = None,
) -> np.ndarray:
    """Encode n architectures at once.

        >>> values = np.array([[2.0, 4.0, 6.0]])  # one proxy, three nodes
        >>> one = NodeStatistics(("fc", "conv2", "conv1"), ("snip",), values, np.array([4, 9, 9]), (2, 1, 0))
        >>> encode([one], "paper", ["snip"])
        array([[0. , 0.5, 1. ]], dtype=float32)

    train: positions of the training architectures, whose mean and spread "aligned" uses; None takes all. The other arguments
    are those of `Encoder`. Returns float32[n, D], D = K proxies x length.
    Raises UnknownName (scheme), BadInput (no statistics, a proxy that was not collected).
    """
    encoder = Encoder(scheme, proxies, slots, max_nodes)
    statistics = check_statistics(statistics)
    if scheme == "aligned" and train is not None:
        if slots is None:  # slots are names, not values: taking them from all architectures leaks nothing
            encoder.slots = nodes_seen(statistics)
        places = [whole("train", i, 0, len(statistics) - 1) for i in train]
        return encoder.fit([statistics[i] for i in places]).transform(statistics)
    return encoder.fit(statistics).transform(statistics)


@dataclass
class Encoder:
    """Learns an encoding from the training architectures and applies it to any.

        encoder = Encoder("aligned", slots=nb201.SLOTS).fit(training_statistics)
        inputs = encoder.transform(all_statistics)      # float32[n, D], D = K x length

    scheme: of `SCHEMES`. proxies: names of the K proxies to use; None takes `PAPER_PROXIES`.
    slots: all node names of the space, in order; None takes those seen in `fit`, in execution order of first appearance.
    max_nodes: length to which all but "aligned" pad each proxy; None takes the number of slots, or the longest architecture.
    Learned: `slots_`, `length_` (nodes of each proxy in the input), `mean_` and `scale_` (float64[D], "aligned" alone).
    Raises UnknownName (scheme).
    """

    scheme: str = "paper"
    proxies: Sequence[str] | None = None
    slots: Sequence[str] | None = None
    max_nodes: int | None = None
    slots_: tuple[str, ...] = field(default=(), init=False, repr=False)
    length_: int = field(default=0, init=False, repr=False)
    mean_: np.ndarray | None = field(default=None, init=False, repr=False, compare=False)
    scale_: np.ndarray | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise UnknownName.of("encoding", self.scheme, SCHEMES)
        if self.proxies is not None and not names_of("proxies", self.proxies):
            raise BadInput("got no proxies to encode; expected at least one")
        if self.proxies is not None and isinstance(self.proxies, str):
            self.proxies = (self.proxies,)
        if self.slots is not None:
            names_of("slots", self.slots)
        if self.max_nodes is not None:
            whole("max_nodes", self.max_nodes, 1)

    def fit(self, statistics: Sequence[NodeStatistics]) -> "Encoder":
        """Learn slots and, for "aligned", the standardisation. Raises BadInput for no statistics."""
        statistics = check_statistics(statistics)
        self.slots_ = tuple(nodes_seen(statistics) if self.slots is None else self.slots)
        longest = max(len(s.nodes) for s in statistics) if self.slots is None else len(self.slots_)
        self.length_ = self.max_nodes if self.max_nodes is not None and self.scheme != "aligned" else longest
        if self.scheme == "aligned":
            raw = self._aligned(statistics)
            with warnings.catch_warnings(action="ignore"):  # a slot that no training architecture has
                self.mean_, spread = np.nan_to_num(np.nanmean(raw, axis=0)), np.nanstd(raw, axis=0)
            self.scale_ = np.where(spread > 0, spread, 1.0)
        return self

    def transform(self, statistics: Sequence[NodeStatistics]) -> np.ndarray:
        """Encode n architectures: float32[n, D]. A value that is not finite becomes 0 ("paper", "log") or absent ("aligned"), or
        stays as it is ("raw").

        Raises BadInput: not fitted, no statistics, more nodes than in `fit` (all but "aligned"), a node without a slot
        ("aligned"), a proxy that was not collected.
        """
        if not self.slots_:
            raise BadInput("got an encoder that is not fitted; call fit with the training architectures first")
        statistics = check_statistics(statistics)
        if self.scheme != "aligned":
            with np.errstate(over="ignore", invalid="ignore"):  # of infinite values, and of those that float32 cannot hold
                values = self._padded(statistics)
                finite = values if self.scheme == "raw" else np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
                return finite.astype(np.float32)
        standardised = np.clip((self._aligned(statistics) - self.mean_) / self.scale_, -LIMIT, LIMIT)
        return np.where(np.isnan(standardised), ABSENT, standardised).astype(np.float32)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """All of a fitted encoder as plain JSON and arrays by name, from which `from_state` makes it again."""
        plain = {
            "scheme": self.scheme,
            "proxies": list(self._names),
            "slots": None if self.slots is None else list(self.slots),
            "max_nodes": self.max_nodes,
            "slots_": list(self.slots_),
            "length_": self.length_,
        }
        learned = {"mean_": self.mean_, "scale_": self.scale_}
        return plain, {name: value for name, value in learned.items() if value is not None}

    @classmethod
    def from_state(cls, plain: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> "Encoder":
        """The encoder that gave this `state`. Raises BadInput where arrays and names do not fit together."""
        encoder = cls(plain["scheme"], plain["proxies"], plain["slots"], plain["max_nodes"])
        encoder.slots_, encoder.length_ = tuple(plain["slots_"]), int(plain["length_"])
        encoder.mean_, encoder.scale_ = arrays.get("mean_"), arrays.get("scale_")
        if encoder.scheme == "aligned":
            shape = (len(encoder._names) * len(encoder.slots_),)
            for array in (encoder.mean_, encoder.scale_):
                if array is None or array.shape != shape or not np.isfinite(array).all():
                    raise BadInput(f"got an encoder without {shape[0]} finite means and scales; its state is damaged")
        return encoder

    @property
    def _names(self) -> Sequence[str]:
        return PAPER_PROXIES if self.proxies is None else self.proxies

    def _padded(self, statistics: Sequence[NodeStatistics]) -> np.ndarray:
        """float64[n, D], the values of each proxy, scaled as the scheme says, with zeros to `length_` at the end."""
        encoded = []
        for one in statistics:
            if len(one.nodes) > self.length_:
                raise BadInput(f"got an architecture of {len(one.nodes)} nodes; the encoder was fitted for {self.length_}")
            z = np.stack([one.of(name) for name in self._names])
            encoded.append(np.pad(_SCALED[self.scheme](z), ((0, 0), (0, self.length_ - len(one.nodes)))).ravel())
        return np.stack(encoded)

    def _aligned(self, statistics: Sequence[NodeStatistics]) -> np.ndarray:
        """float64[n, D], `slotted_logs` with the proxies one after the other."""
        return slotted_logs(statistics, self._names, self.slots_).reshape(len(statistics), -1)


def _min_max(z: np.ndarray) -> np.ndarray:
    """Each proxy of one architecture, float64[K, L], scaled to [0, 1] over its nodes (§3.2); 0 where all are equal."""
    low, high = z.min(axis=1, keepdims=True), z.max(axis=1, keepdims=True)
    return np.divide(z - low, high - low, out=np.zeros_like(z), where=high > low)


_SCALED = {"paper": _min_max, "raw": lambda z: z, "log": lambda z: log_magnitude(z)}


def check_statistics(statistics: Any) -> Sequence[NodeStatistics]:
    """Raises BadInput for none, or what are no node statistics."""
    if not isinstance(statistics, Sequence | np.ndarray):
        raise BadInput(f"got {type(statistics).__name__} to encode; expected a list of NodeStatistics")
    if not len(statistics):
        raise BadInput("got no statistics to encode; expected at least one architecture")
    for place, one in enumerate(statistics):
        if not isinstance(one, NodeStatistics):
            raise BadInput(f"got {type(one).__name__} at place {place}; expected NodeStatistics (of collect_statistics)")
    return list(statistics)


def nodes_seen(statistics: Sequence[NodeStatistics]) -> list[str]:
    """Names of all nodes, in the order in which the networks first run them."""
    return list(dict.fromkeys(s.nodes[i] for s in statistics for i in s.execution_order))


def slotted_logs(statistics: Sequence[NodeStatistics], proxies: Sequence[str], slots: Sequence[str]) -> np.ndarray:
    """float64[n, K, L], log10 |value| of each node in its slot. NaN: the node is absent, or its value is 0 or not finite.

    Raises BadInput for a node without a slot, or a proxy that was not collected.
    """
    place = {slot: i for i, slot in enumerate(slots)}
    found = np.full((len(statistics), len(proxies), len(place)), np.nan)
    for row, one in zip(found, statistics, strict=True):
        if unknown := set(one.nodes) - place.keys():
            raise BadInput(f"got node {min(unknown)!r}, which has no slot; give the space's own slots to the encoder")
        row[:, [place[n] for n in one.nodes]] = one.values if one.proxies == proxies else [one.of(k) for k in proxies]
    return log_magnitude(found)


def log_magnitude(values: np.ndarray) -> np.ndarray:
    """log10 |v| of each entry, which brings 1e46 and 1e-10 to one scale. NaN where v is 0 or not finite.

        >>> log_magnitude(np.array([-100.0, 0.0, np.inf]))
        array([ 2., nan, nan])
    """
    usable = np.isfinite(values) & (values != 0)
    return np.log10(np.abs(values), out=np.full(np.shape(values), np.nan), where=usable)
