"""Training-free searches of Table 3, by their own protocol: of a random sample, the architecture of the highest score.

    found = best_of_samples("nwot", "cifar100", draws=500)   # 500 architectures, each the best of 1,000 random ones
    judge.accuracy(found.archs, "cifar100", "test").mean()

Scores are those collected beside the statistics; no label is read here.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.stats import rankdata

from parzc_core import paths
from parzc_core.collecting.labelled import unlabelled
from parzc_core.errors import BadInput

SAMPLE = 1000  # architectures of which the best is taken, as the authors of NWOT have it


@dataclass(frozen=True)
class Protocol:
    """scores: whose ranks are added; one is the rule. stands_for: what is replaced, where that is not the published method."""

    scores: tuple[str, ...]
    stands_for: str = ""


# The rows of Table 3 that train nothing. A score is collected in the sense that more is better.
PROTOCOLS: Mapping[str, Protocol] = {
    "NWOT": Protocol(("nwot",)),
    "TE-NAS": Protocol(
        ("ntk_condition", "nwot"),
        "its pruning of a supernet; here ranks of the NTK's condition and of NWOT, which stands for linear regions, are added",
    ),
    "KNAS": Protocol(("knas",), "the training of the best few, of which the best validation accuracy is taken"),
    "NASI": Protocol(("nasi",), "its search by gradient; here the trace norm of each sampled architecture"),
    "GradSign": Protocol(("gradsign",)),
    "EZNAS": Protocol(("eznas",)),
}


@dataclass(frozen=True)
class Found:
    """archs: what each draw ends with. pool: number of architectures that have the scores. apart: how many samples without a
    common architecture the pool has room for: so many draws are independent.
    """

    archs: tuple[str, ...]
    pool: int
    apart: int


def best_of_samples(
    row: str,
    dataset: str = "cifar10",
    draws: int = 500,
    sample: int = SAMPLE,
    seed: int = 0,
    space: str = "nb201",
    cells: int | None = None,
) -> Found | None:
    """The best of `sample` random architectures, `draws` times, for a row of PROTOCOLS.

    None where fewer than `sample` architectures of the data set have its scores. Where only so many have them, samples are drawn
    from those, which are a random sample of the space themselves; where it is one sample, there is one draw. Ties are broken by
    chance; a score that is missing or not finite loses. cells: of the collected architectures the first so many. Raises BadInput.
    """
    if row not in PROTOCOLS:
        raise BadInput(f"got the row {row!r}; expected one of {', '.join(PROTOCOLS)}")
    if draws < 1 or sample < 1:
        raise BadInput(f"got draws={draws}, sample={sample}; expected at least 1 of each")
    collection = unlabelled(space, dataset, cells).collection
    names = PROTOCOLS[row].scores
    if not set(names) <= set(collection.scores):
        return None
    count = min(collection.scored.get(name, len(collection.archs)) for name in names)
    if count < sample:
        return None
    values = collection.scores[list(names)].to_numpy(dtype=np.float64)[:count]
    values = np.where(np.isfinite(values), values, -np.inf)
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(1 if count == sample else draws):
        rows = generator.permutation(count)[:sample]
        worth = rankdata(values[rows], axis=0).sum(axis=1) if len(names) > 1 else values[rows, 0]
        found.append(collection.archs[rows[int(np.argmax(worth))]])
    return Found(tuple(found), count, count // sample)


def collecting(row: str, dataset: str = "cifar10", sample: int = SAMPLE, space: str = "nb201") -> tuple[float, list[str]] | None:
    """(CPU-seconds that collecting for `sample` architectures took, everything that was collected in the same passes).

    By the manifests of the stores that have the scores of the row; None where one has none. Isomorphic architectures are
    collected once where a store says so, so that a part costs its share.
    """
    folders = [paths.STATISTICS / space / dataset, *sorted((paths.STATISTICS / space / "scores" / dataset).glob("*"))]
    seconds, together = 0.0, set[str]()
    left = set(PROTOCOLS[row].scores)
    for folder in folders:
        if not left or not (folder / "manifest.json").is_file():
            continue
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        config = manifest.get("config", {})
        here = {*config.get("scores", ()), *config.get("proxies", ())}
        if left & here and manifest.get("architectures"):
            seconds += manifest.get("cpu_seconds", 0.0) * sample / manifest["architectures"]
            together |= here
            left -= here
    return None if left else (seconds, sorted(together))
