"""Stored runs that take ParZC's idea apart: the same cells and labels, but other things read, and other learners.

    runs = [WorthRun("sums", "processes and trees"), WorthRun("nodes", "processes and trees")]
    results = run_all(runs, store)

Every combination was chosen before its reported splits were run; the two numbers of the first training (`FIRST`) and the weight
of the prior were tried on other splits, on validation accuracy.
"""

import dataclasses
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from scipy.stats import rankdata

from parzc_core.collecting.labelled import Data, read_of, training_cells
from parzc_core.encoding import slotted_logs
from parzc_core.errors import UnknownName
from parzc_core.predictors.plus.features import PlusInputs, class_means, columns, filled, plus_inputs
from parzc_core.predictors.plus.learners import Learner, normal_scores
from parzc_core.predictors.plus.model import PLUS, ParZCPlus, PlusConfig, different, standard
from parzc_core.predictors.plus.network import KINDS, Known, NetworkLearner
from parzc_core.runs.judging import judgement
from parzc_core.runs.plus import EVERY_CIFAR10_CELL, Cells
from parzc_core.spaces import space as space_named
from parzc_core.training import standardised

VERSION = 1  # raised when code changes what a run gives
# What is read -> blocks of features. "sums": the seven proxies, each summed over its nodes, as Table 1 has them. "scores": those
# of whole networks. "nodes": summaries of every node's value. "tokens": every node's values themselves.
READS: dict[str, tuple[str, ...]] = {
    "sums": ("sums",),
    "sums and scores": ("sums", "scores"),
    "nodes": ("nodes",),
    "tokens": ("tokens",),
    "graph": ("graph",),
    "graph and sums": ("graph", "sums"),
    "graph and nodes": ("graph", "nodes"),
}
# What learns -> learners of ParZC+, of which several are averaged as there.
LEARNS: dict[str, tuple[str, ...]] = {
    "processes and trees": PLUS.learners,
    "process": ("process",),
    "trees": ("trees",),
    **{kind: () for kind in KINDS},
}
FIRST = {"steps": 300, "rate": 3e-4}  # of the training with labels after one on proxies, which has begun with larger steps
SHARE = 0.25  # of a network beside the three learners of ParZC+


@dataclass(frozen=True)
class WorthRun:
    """A learner of LEARNS that reads one of READS of `train` random cells, judged on all others.

    classes: whether isomorphic cells count as one. members, kl, steps: of networks, see `NetworkLearner`. proxies_first: whether
    networks are trained on proxies before labels. beside: whether a network's score is averaged with that of ParZC+.
    size: of `SIZES`. trees: of ParZC+. A split draws the same cells as a PlusRun's.
    """

    reads: str
    learns: str
    where: Cells = EVERY_CIFAR10_CELL
    train: int = 78
    split: int = 0
    classes: bool = True
    members: int = 1
    kl: float = 0.0
    proxies_first: bool = False
    beside: bool = False
    size: str = "cpu"
    steps: int = 600
    trees: int = PLUS.trees

    def __post_init__(self) -> None:
        for what, given, known in (("what is read", self.reads, READS), ("what learns", self.learns, LEARNS)):
            if given not in known:
                raise UnknownName.of(what, given, known)

    def key(self) -> dict[str, Any]:
        """The run, the columns that it reads, the labels."""
        proxies, scores = columns(self.where.data)
        about = {"kind": type(self).__name__, "version": VERSION, **dataclasses.asdict(self)}
        return {**about, **read_of(self.where.data, proxies, scores)}

    def evaluate(self) -> dict[str, Any]:
        """`judgement` of the unseen cells; seconds: CPU, of fitting and scoring."""
        data = self.where.data
        inputs = reading(data, self.reads)
        train, judged = training_cells(len(data), self.train, self.split)
        started = time.process_time()
        score = self._plus(data, inputs, train) if LEARNS[self.learns] else self._network(data, inputs, train)
        if self.beside:
            everything = plus_inputs(data)
            score = (1 - SHARE) * standardised(self._plus(data, everything, train, PLUS.learners)) + SHARE * standardised(score)
        seconds = time.process_time() - started
        return {**judgement(score[judged], data.judged[judged], self.split, resamples=0), "seconds": seconds}

    def _plus(self, data: Data, inputs: PlusInputs, train: np.ndarray, learners: tuple[str, ...] = ()) -> np.ndarray:
        config = PlusConfig(learners=learners or LEARNS[self.learns], isomorphic=self.classes, trees=self.trees)
        return ParZCPlus(config).fit_predict(inputs, train, data.learn[train], self.split)[0]

    def _network(self, data: Data, inputs: PlusInputs, train: np.ndarray) -> np.ndarray:
        blocks, place = standard_blocks(inputs, self.classes)
        first = _known(self.where, self.reads, self.classes, self.steps) if self.proxies_first else None
        made: Learner = NetworkLearner(
            self.learns, self.members, self.size, kl=self.kl, first=first, proxies=len(columns(data)[0]),
            **FIRST if self.proxies_first else {"steps": self.steps},
        )  # fmt: skip
        made.fit([block[place[train]] for block in blocks], data.learn[train], self.split)
        return made.predict(blocks, spread=False)[0][place]


def reading(data: Data, reads: str) -> PlusInputs:
    """The blocks of READS of all cells of a collection. Raises UnknownName."""
    if reads not in READS:
        raise UnknownName.of("what is read", reads, READS)
    return _reading(data, reads)


@lru_cache(maxsize=8)
def _reading(data: Data, reads: str) -> PlusInputs:
    everything, found = plus_inputs(data), dict[str, np.ndarray]()
    for part in READS[reads]:
        if part == "sums":
            found["sums"] = sums(data)
        elif part == "tokens":
            found["tokens"] = tokens(data)
        else:
            found |= {name: block for name, block in everything.blocks.items() if _part_of(name) == part}
    shared = {name: class_means(block, everything.classes) for name, block in found.items()}
    return PlusInputs(found, shared, everything.classes)


def _part_of(block: str) -> str:
    """The part of READS that a block of `plus_inputs` belongs to."""
    return {"graph": "graph", "paths": "graph", "scores": "scores"}.get(block, "nodes")


def sums(data: Data) -> np.ndarray:
    """float32[n, K], each node-wise proxy summed over the nodes, as normal scores: a sum's size says no more than its rank."""
    proxies, _ = columns(data)
    table = np.array([[one.sums()[proxy] for proxy in proxies] for one in data.statistics], dtype=np.float64)
    return filled(np.stack([normal_scores(np.where(np.isfinite(column), column, -np.inf)) for column in table.T], axis=1))


def tokens(data: Data) -> np.ndarray:
    """float32[n, S * K], log10 |v| of K proxies of the nodes in S slots, each proxy standardised over all; -3 where none is."""
    proxies, _ = columns(data)
    config = data.collection.manifest["config"]
    logs = slotted_logs(data.statistics, proxies, space_named(str(config["space"])).SLOTS)
    mean, std = np.nanmean(logs, axis=(0, 2), keepdims=True), np.nanstd(logs, axis=(0, 2), keepdims=True)
    found = np.where(np.isfinite(logs), (logs - mean) / std, -3.0)
    return found.transpose(0, 2, 1).reshape(len(logs), -1).astype(np.float32)


def standard_blocks(inputs: PlusInputs, classes: bool) -> tuple[list[np.ndarray], np.ndarray]:
    """(blocks of the cells that differ, standardised; int64[n], the place of each cell in those). Tokens stay as they are."""
    if "tokens" not in inputs.blocks:
        made = standard(inputs, tuple(inputs.blocks), classes)
        return made.blocks, made.place
    first, place = different(inputs, classes)
    return [(inputs.shared if classes else inputs.blocks)["tokens"][first]], place


@lru_cache(maxsize=4)
def _known(where: Cells, reads: str, classes: bool, steps: int) -> Known:
    """Every cell, and the sum of its ranks by network-level scores: what a network can be trained on without a label."""
    data = where.data
    blocks, place = standard_blocks(reading(data, reads), classes)
    scores = plus_inputs(data).blocks["scores"]
    target = np.zeros(len(blocks[0]))
    target[place] = np.sum([rankdata(column) for column in scores.T], axis=0)
    return Known(blocks, target, steps)
