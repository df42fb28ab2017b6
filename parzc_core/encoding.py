"""Node statistics -> the ranker's input (§3.2): the paper's encoding, and one in which every node keeps its place.

paper: per architecture and proxy min-max scaled to [0, 1] over its nodes, in depth-first order, padded with zeros at the end,
    proxies concatenated. A vector with all values equal (0/0 in the paper's formula) becomes 0.
aligned: a node keeps its slot (stage, cell, edge); log magnitude; every column standardised with mean and spread of the training
    architectures alone, so nothing of the judged ones leaks in. A node that is absent, or dead (value 0), gets a constant far
    below, so that being there and being large stay two different things; values are limited to four standard deviations.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from parzc_core.collector import NodeStatistics
from parzc_core.errors import BadInput, UnknownName

SCHEMES = ("paper", "aligned")
PAPER_PROXIES = (
    "synflow",
    "snip",
    "grad_norm",
)  # three of the four in A.3: 294 inputs are 3 x 98 (see the paper's audit)
ABSENT, LIMIT = -3.0, 4.0  # in standard deviations


@dataclass
class Encoder:
    """Fit on the training architectures, then transform any: list[NodeStatistics] -> float32[n, D], D = K x length.

    scheme: "paper" or "aligned". proxies: K of the collected ones, None for the default of the scheme (`PAPER_PROXIES`).
    slots: the space's node names, in order; None takes the names seen in `fit` (sorted by first appearance).
    room: nodes an architecture can have, to which "paper" pads; None takes the number of slots.
    Learned: `slots_`, `mean_`, `scale_` (aligned); `length_` (nodes a proxy has room for).
    """

    scheme: str = "paper"
    proxies: Sequence[str] | None = None
    slots: Sequence[str] | None = None
    room: int | None = None
    slots_: tuple[str, ...] = field(default=(), init=False, repr=False)

    def __post_init__(self) -> None:
        if self.scheme not in SCHEMES:
            raise UnknownName.of("encoding", self.scheme, SCHEMES)

    def fit(self, statistics: Sequence[NodeStatistics]) -> "Encoder":
        """Learn slots and, for "aligned", the standardisation. Raises BadInput for no statistics."""
        if not statistics:
            raise BadInput("got no statistics to encode; expected at least one architecture")
        names = self.slots
        if names is None:
            names = list(dict.fromkeys(s.nodes[i] for s in statistics for i in s.execution_order))
        self.slots_ = tuple(names)
        longest = len(names) if self.slots is not None else max(len(s.nodes) for s in statistics)
        self.length_ = self.room if self.room is not None and self.scheme == "paper" else longest
        if self.scheme == "aligned":
            raw = self._aligned(statistics)
            with warnings.catch_warnings(action="ignore"):  # a slot that no training architecture has
                self.mean_, spread = np.nan_to_num(np.nanmean(raw, axis=0)), np.nanstd(raw, axis=0)
            self.scale_ = np.where(spread > 0, spread, 1.0)
        return self

    def transform(self, statistics: Sequence[NodeStatistics]) -> np.ndarray:
        """float32[n, D]; a value that is not finite gives 0 ("paper") or counts as absent ("aligned").

        Raises BadInput for nodes without room.
        """
        if self.scheme == "paper":
            return np.nan_to_num(self._paper(statistics), nan=0.0, posinf=0.0, neginf=0.0).astype(np.float32)
        standardised = np.clip((self._aligned(statistics) - self.mean_) / self.scale_, -LIMIT, LIMIT)
        return np.where(np.isnan(standardised), ABSENT, standardised).astype(np.float32)

    @property
    def _names(self) -> Sequence[str]:
        return PAPER_PROXIES if self.proxies is None else self.proxies

    def _paper(self, statistics: Sequence[NodeStatistics]) -> np.ndarray:
        encoded = []
        for one in statistics:
            if len(one.nodes) > self.length_:
                raise BadInput(
                    f"got an architecture of {len(one.nodes)} nodes; the encoder was fitted for {self.length_}"
                )
            z = np.stack([one.of(name) for name in self._names])
            low, high = z.min(axis=1, keepdims=True), z.max(axis=1, keepdims=True)
            scaled = np.divide(z - low, high - low, out=np.zeros_like(z), where=high > low)
            encoded.append(np.pad(scaled, ((0, 0), (0, self.length_ - len(one.nodes)))).ravel())
        return np.stack(encoded)

    def _aligned(self, statistics: Sequence[NodeStatistics]) -> np.ndarray:
        """float64[n, D], `slotted_logs` with the proxies one after the other."""
        return slotted_logs(statistics, self._names, self.slots_).reshape(len(statistics), -1)


def slotted_logs(statistics: Sequence[NodeStatistics], proxies: Sequence[str], slots: Sequence[str]) -> np.ndarray:
    """float64[n, K, L], log10 |value| of each node in its slot; NaN where it is absent or its value is 0 or not finite.

    Raises BadInput for a node without slot, or a proxy that was not collected.
    """
    place = {slot: i for i, slot in enumerate(slots)}
    found = np.full((len(statistics), len(proxies), len(place)), np.nan)
    for row, one in zip(found, statistics, strict=True):
        if unknown := [name for name in one.nodes if name not in place]:
            raise BadInput(f"got node {unknown[0]!r}, which has no slot; give the space's own slots to the encoder")
        row[:, [place[name] for name in one.nodes]] = log_magnitude(np.stack([one.of(proxy) for proxy in proxies]))
    return found


def log_magnitude(values: np.ndarray) -> np.ndarray:
    """log10 |v|, NaN where v is 0 or not finite: 1e46 and 1e-10 fit on one scale."""
    usable = np.isfinite(values) & (values != 0)
    return np.log10(np.abs(values), out=np.full(np.shape(values), np.nan), where=usable)


def encode(
    statistics: Sequence[NodeStatistics],
    scheme: str = "paper",
    proxies: Sequence[str] | None = None,
    train: Sequence[int] | np.ndarray | None = None,
    slots: Sequence[str] | None = None,
    room: int | None = None,
) -> np.ndarray:
    """float32[n, D] of all `statistics`. train: positions that "aligned" standardises on; None uses all. Rest: see Encoder.

    Raises UnknownName (scheme), BadInput (no statistics, a proxy that was not collected).
    """
    encoder = Encoder(scheme, proxies, slots, room)
    if scheme == "aligned" and train is not None:
        if slots is None:  # slots are names, not values: taking them from all architectures leaks nothing
            encoder.slots = list(dict.fromkeys(s.nodes[i] for s in statistics for i in s.execution_order))
        return encoder.fit([statistics[i] for i in train]).transform(statistics)
    return encoder.fit(statistics).transform(statistics)
