"""How far statistics, and rankers trained on them, move with initial weights, mini-batch and kind of image (limitation 3).

A variant is one collection of the same cells; `read` gives those that are there, each as `experiments.Data`. The proxies are
compared by `taus`, `agreement` and `variance_shares`, single nodes by `node_spread`, rankers by `carry_over`, and the learned
spread of Bayesian weights with that of the nodes by `learned_spread` and `relation`.
"""

import dataclasses
import itertools
import time
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from joblib import Parallel, delayed
from tqdm import tqdm

from parzc_core import experiments, metrics
from parzc_core.collecting import command
from parzc_core.collection import CollectionConfig
from parzc_core.encoding import Encoder, log_magnitude
from parzc_core.errors import BadInput
from parzc_core.experiments import Data, RankerRun, inputs_for, training_cells, training_config
from parzc_core.model import Inputs, Model
from parzc_core.proxies import NODE_PROXIES
from parzc_core.proxy_table import network_scores
from parzc_core.run_store import RunStore
from parzc_core.spaces import space as space_named
from parzc_core.statistics_store import StatisticsStore
from parzc_core.training import fit_many

CELLS = 1000
SCORES = (*NODE_PROXIES, "jacov")
KINDS = {"foolbox": "real", "noise": "noise"}


@dataclass(frozen=True)
class Variant:
    """images: "foolbox" (real) or "noise"; batch, init: seeds of the mini-batch and of the initial weights."""

    images: str
    batch: int
    init: int

    @property
    def name(self) -> str:
        """As its folder is called."""
        return f"{self.images}-batch{self.batch}-init{self.init}"

    def config(self, dataset: str = "cifar10") -> CollectionConfig:
        """What is collected for it; the base variant is the front of the collection of the whole space."""
        common: dict[str, Any] = {"dataset": dataset, "share_isomorphic": True}
        if self == BASE:
            whole = space_named("nb201").ARCH_COUNT
            return CollectionConfig(cells=whole, scores=("params", "flops", "jacov", "nwot"), **common)
        common |= {"batch_seed": self.batch, "init_seed": self.init}
        return CollectionConfig(images=self.images, cells=CELLS, scores=("jacov",), **common)

    def folder(self, dataset: str = "cifar10") -> Path:
        """Where its statistics are."""
        where = experiments.STATISTICS / "nb201"
        return where / dataset if self == BASE else where / "stability" / self.name

    def command(self, dataset: str = "cifar10") -> str:
        """The command line that collects it."""
        out = "" if self == BASE else f" --out results/statistics/nb201/stability/{self.name}"
        return command(self.config(dataset)) + out


BASE = Variant("foolbox", 0, 0)
VARIANTS = tuple(
    Variant(images, batch, init) for images in KINDS for batch, init in [*((0, i) for i in range(5)), (1, 0), (2, 0)]
)
FEW = tuple(Variant(images, *seeds) for images in KINDS for seeds in ((0, 0), (0, 1), (1, 0)))  # profile "smoke"


def missing(variants: Sequence[Variant] = VARIANTS, cells: int = CELLS, dataset: str = "cifar10") -> dict[str, str]:
    """{name: command that collects it} of the variants of which fewer than `cells` cells are there."""
    there = {variant: StatisticsStore(variant.folder(dataset)).complete() for variant in variants}
    return {variant.name: variant.command(dataset) for variant, count in there.items() if count < cells}


@lru_cache(maxsize=4)
def read(variants: tuple[Variant, ...] = VARIANTS, cells: int = CELLS, dataset: str = "cifar10") -> dict[Variant, Data]:
    """The same `cells` cells in each variant that is there, with labels; the base variant first, it must be there.

    Raises BadInput where a folder holds a collection of another kind, CorruptShard, LabelsMissing.
    """
    absent = missing((BASE, *variants), cells, dataset)
    if BASE.name in absent:
        raise BadInput(f"the statistics of {cells} cells are not there; make them with: {absent[BASE.name]}")
    base = experiments.load("nb201", dataset, cells)
    found = {BASE: base}
    for variant in (variant for variant in variants if variant.name not in absent and variant != BASE):
        collection = StatisticsStore(variant.folder(dataset)).read(cells)
        found[variant] = dataclasses.replace(base, collection=collection)
    for variant, data in found.items():
        wanted, got = dataclasses.asdict(variant.config(dataset)), data.collection.manifest["config"]
        odd = {k: got.get(k) for k, v in wanted.items() if k not in ("cells", "scores", "proxies") and got.get(k) != v}
        if odd or data.collection.archs != base.collection.archs:
            raise BadInput(f"{variant.name} holds another collection ({odd}); make it with: {variant.command(dataset)}")
    return found


def groups(variants: Sequence[Variant]) -> dict[str, list[Variant]]:
    """The variants in which one thing alone differs: {"real, init": [...], "real, batch": ..., "noise, init": ..., ...}."""
    found = {}
    for images, kind in KINDS.items():
        found[f"{kind}, init"] = [v for v in variants if v.images == images and v.batch == 0]
        found[f"{kind}, batch"] = [v for v in variants if v.images == images and v.init == 0]
    return {name: members for name, members in found.items() if len(members) > 1}


def comparisons(variants: Sequence[Variant]) -> dict[str, list[tuple[Variant, Variant]]]:
    """Ordered pairs (learned on, judged on): both orders within each of `groups`; real to noise and back, seeds equal."""
    found = {name: list(itertools.permutations(members, 2)) for name, members in groups(variants).items()}
    there = set(variants)
    real = [v for v in variants if v.images == "foolbox" and dataclasses.replace(v, images="noise") in there]
    both = [(v, dataclasses.replace(v, images="noise")) for v in real]
    return found | ({"real to noise": both, "noise to real": [(b, a) for a, b in both]} if both else {})


def shared_images(data: Mapping[Variant, Data]) -> list[int]:
    """How many images two mini-batches of real images have in common, for every pair of those that are there."""
    members = groups(list(data)).get("real, batch", [])
    files = [set(data[v].collection.manifest["image_batch"]["files"]) for v in members]
    return [len(a & b) for a, b in itertools.combinations(files, 2)]


def scores(data: Mapping[Variant, Data]) -> dict[str, pd.DataFrame]:
    """{proxy: float64, index cells, a column a variant}: sums over nodes, and jacov."""
    tables = {variant.name: network_scores(one) for variant, one in data.items()}
    return {proxy: pd.DataFrame({name: table[proxy] for name, table in tables.items()}) for proxy in SCORES}


def taus(data: Mapping[Variant, Data]) -> pd.DataFrame:
    """Kendall's tau with accuracy, percent: a row a proxy, a column a variant."""
    judged = next(iter(data.values())).judged
    return pd.DataFrame(
        {proxy: {v: metrics.kendall(s[v].to_numpy(), judged) for v in s} for proxy, s in scores(data).items()}
    ).T


def agreement(data: Mapping[Variant, Data]) -> pd.DataFrame:
    """Mean Kendall's tau, percent, between a proxy's scores in two variants: a row a proxy, a column a comparison."""
    pairs = {
        name: both for name, both in comparisons(list(data)).items() if name != "noise to real"
    }  # tau is symmetric
    return pd.DataFrame(
        {
            proxy: {
                name: np.mean([metrics.kendall(s[a.name].to_numpy(), s[b.name].to_numpy()) for a, b in both])
                for name, both in pairs.items()
            }
            for proxy, s in scores(data).items()
        }
    ).T


def variance_shares(values: np.ndarray) -> tuple[float, float, float, int]:
    """Where the variance of values float[n cells, k seeds] lies, percent: (between cells, seeds, rest), and cells used.

    "between cells" is the intraclass correlation ICC(2,1) of Shrout & Fleiss (1979), from the mean squares of the two-way
    table; "seeds" moves all cells alike, so no ranking sees it; "rest" is what moves cells against each other. A component
    estimated below 0 counts as 0. Cells with a value that is not finite are left out; NaN for fewer than two of either.
    """
    table = values[np.isfinite(values).all(axis=1)]
    n, k = table.shape
    if n < 2 or k < 2:
        return np.nan, np.nan, np.nan, n
    mean, of_cell, of_seed = table.mean(), table.mean(axis=1, keepdims=True), table.mean(axis=0, keepdims=True)
    rest = float(((table - of_cell - of_seed + mean) ** 2).sum() / ((n - 1) * (k - 1)))
    cells = max(0.0, (k * float(of_cell.var(ddof=1)) - rest) / k)
    seeds = max(0.0, (n * float(of_seed.var(ddof=1)) - rest) / n)
    whole = cells + seeds + rest
    return (100 * cells / whole, 100 * seeds / whole, 100 * rest / whole, n) if whole else (np.nan, np.nan, np.nan, n)


def shares(data: Mapping[Variant, Data], group: str) -> pd.DataFrame:
    """`variance_shares` of log10 |score| over the variants of a group, a row a proxy; columns cells, seeds, rest, n."""
    members = [v.name for v in groups(list(data))[group]]
    rows = {proxy: variance_shares(log_magnitude(s[members].to_numpy())) for proxy, s in scores(data).items()}
    return pd.DataFrame.from_dict(rows, orient="index", columns=["cells", "seeds", "rest", "n"])


def slotted_logs(data: Data, proxies: Sequence[str] = NODE_PROXIES) -> np.ndarray:
    """float64[n, K, L], log10 |value| of each node in its slot of the space; NaN where it is absent or dead."""
    place = {slot: i for i, slot in enumerate(space_named("nb201").SLOTS)}
    found = np.full((len(data), len(proxies), len(place)), np.nan)
    for row, one in zip(found, data.collection.statistics, strict=True):
        row[:, [place[node] for node in one.nodes]] = log_magnitude(np.stack([one.of(proxy) for proxy in proxies]))
    return found


def node_spread(
    data: Mapping[Variant, Data], group: str = "real, init", proxies: Sequence[str] = NODE_PROXIES
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(spread, relative): each a row a slot, a column a proxy; NaN where no cell has a value in every variant of the group.

    spread: std (ddof 1) over the group's variants of log10 |value|, in decades, averaged over the cells that have the node.
    relative: spread over the std between those cells of their means, so 1 where seeds move a node as much as cells differ.
    """
    logs = np.stack([slotted_logs(data[v], proxies) for v in groups(list(data))[group]])  # [k, n, K, L]
    with warnings.catch_warnings(action="ignore"):  # slots that no cell fills
        spread = np.nanmean(logs.std(axis=0, ddof=1), axis=0)
        between = np.nanstd(logs.mean(axis=0), axis=0, ddof=1)
    slots = list(space_named("nb201").SLOTS)
    relative = np.divide(spread, between, out=np.full_like(spread, np.nan), where=between > 0)
    return pd.DataFrame(spread.T, slots, list(proxies)), pd.DataFrame(relative.T, slots, list(proxies))


# Rankers. All `splits` are trained in one company (see `fit_many`), so a stored result belongs to all of them.


def carry_over(run: RankerRun, variants: tuple[Variant, ...], splits: int, store: Path, jobs: int = 1) -> pd.DataFrame:
    """Rankers trained on each variant, judged on the unseen cells in it and in those that `comparisons` pairs it with.

    run: cells, train, encoding, ...; its split is not used. variants: all of them must be there.
    A row each of learned, judged (names), standardised, split; kendall in percent; seconds: CPU, shared out over the rows.
    standardised: "learned": judged statistics are encoded with means and spreads of the training cells in the variant learned
    on; "judged": of the same cells in the judged variant, which needs no label. The paper's encoding has neither.
    Only what `store` (jsonl) lacks is trained, on `jobs` processes.
    """
    pairs = [(v, v) for v in variants] + [pair for both in comparisons(variants).values() for pair in both]
    targets = {a: [b for x, b in dict.fromkeys(pairs) if x == a] for a in variants}
    kept, data = RunStore(store), read(variants, run.cells or CELLS, run.dataset)
    keys = {a: {"what": "carried over", **_identity(run, data, targets[a], splits)} for a in variants}
    todo = [a for a in variants if kept.get(keys[a]) is None]
    work = (delayed(_carried)(run, variants, splits, a, targets[a]) for a in todo)
    results = Parallel(n_jobs=jobs, return_as="generator")(work)
    for a, result in zip(todo, tqdm(results, total=len(todo), unit="variant", disable=None), strict=True):
        kept.put(keys[a], result)
    return pd.DataFrame([{"learned": a.name, **row} for a in variants for row in (kept.get(keys[a]) or {})["rows"]])


def _identity(run: RankerRun, data: Mapping[Variant, Data], used: Sequence[Variant], splits: int) -> dict[str, Any]:
    """What decides a result: the run and its splits, the statistics used (the first ones to learn from), the labels."""
    one = data[used[0]]
    shards = {v.name: RunStore.key({"shards": data[v].collection.manifest["shards"]})[:16] for v in used}
    config = {**dataclasses.asdict(run), "split": list(range(splits)), "cells": len(one)}
    return {
        "method": experiments.METHOD_VERSION,
        **config,
        "statistics": list(shards.items()),
        "judged_on": one.judged_on,
    }


def _carried(
    run: RankerRun, variants: tuple[Variant, ...], splits: int, learned: Variant, targets: Sequence[Variant]
) -> dict[str, Any]:
    torch.set_num_threads(1)
    started, data, rows = time.process_time(), read(variants, run.cells or CELLS, run.dataset), []
    rankers, parts = _trained(run, data[learned], splits)
    modes = ("learned", "judged") if run.encoding == "aligned" else ("learned",)
    for target, mode in ((b, mode) for b in targets for mode in modes if b != learned or mode == "learned"):
        one, by = data[target], data[learned if mode == "learned" else target].collection.statistics
        for split, (ranker, (train, judged)) in enumerate(zip(rankers, parts, strict=True)):
            encoder = Encoder(run.encoding, run.proxies, space_named(run.space).SLOTS).fit([by[i] for i in train])
            statistics = encoder.transform([one.collection.statistics[i] for i in judged])
            score = ranker.predict(Inputs(statistics, one.adjacency[judged], one.operations[judged]))
            tau = metrics.kendall(score, one.judged[judged])
            rows.append({"judged": target.name, "standardised": mode, "split": split, "kendall": tau})
    seconds = (time.process_time() - started) / len(rows)
    return {"rows": [{**row, "seconds": seconds} for row in rows]}


def _trained(run: RankerRun, data: Data, splits: int, weight_decay: float = 1e-3) -> tuple[list[Any], list[Any]]:
    parts = [training_cells(len(data), run.train, split) for split in range(splits)]
    inputs = [inputs_for(run, data, train)[train] for train, _ in parts]
    config = dataclasses.replace(training_config(run, inputs[0]), weight_decay=weight_decay)
    return fit_many(inputs, [data.learn[train] for train, _ in parts], config, range(splits)), parts


def learned_spread(run: RankerRun, splits: int, weight_decay: float, store: Path) -> dict[str, Any]:
    """`weight_spread` of rankers trained on the base variant, averaged over splits; only trained if `store` lacks it.

    spread, mean: float64[K, L], by proxy of the run and slot of the space, as in the "aligned" encoding, which the run must
    have; rho: least and most over the layer's weights, it starts at -5; seconds: CPU.
    """
    started, data, kept = time.process_time(), read((BASE,), run.cells or CELLS, run.dataset), RunStore(store)
    key = {"what": "weight spread", "weight_decay": weight_decay, **_identity(run, data, [BASE], splits)}
    if (result := kept.get(key)) is None:
        models = [ranker.model for ranker in _trained(run, data[BASE], splits, weight_decay)[0]]
        spread, mean = np.mean([weight_spread(model) for model in models], axis=0)
        rho = torch.stack([_first_layer(model)[0].rho.detach() for model in models])
        result = {"spread": spread, "mean": mean, "rho": [float(rho.min()), float(rho.max())]}
        result = kept.put(key, {**result, "seconds": time.process_time() - started})
    return result | {name: np.array(result[name]).reshape(len(run.proxies), -1) for name in ("spread", "mean")}


def _first_layer(model: Model) -> tuple[Any, torch.Tensor]:
    """The first Bayesian layer, and float[S, l, D], how each of its S segments of l inputs comes from the D statistics."""
    branch: Any = model.statistics
    if hasattr(branch, "project"):  # MABN: the layer reads segments of a projection, the same weights for each
        weight = branch.project.weight.detach()
        return branch.before, weight.reshape(-1, branch.config.segment, weight.shape[1])
    layer = branch.layers[0]  # a perceptron's reads the statistics themselves
    return layer, torch.eye(layer.mu.shape[1]).unsqueeze(0)


def weight_spread(model: Model) -> tuple[np.ndarray, np.ndarray]:
    """What an input of size 1 brings to the outputs of the first Bayesian layer, float64[D] each: (spread, |mean|).

    spread: std of the outputs over draws of the weights; mean: of their mean weights; both root mean square over the outputs.
    In a perceptron of Bayesian layers these are sigma and |mu| of an input's own weights. MABN's first Bayesian layer has no
    weights of one input: it reads, with the same weights, each segment of a plain projection of all inputs, and its sigma and
    mu are carried through that projection P: spread^2 = mean over s, c of sum over l of sigma[c, l]^2 P[s, l, d]^2.
    """
    layer, projection = _first_layer(model)
    with torch.no_grad():
        sigma, mu, through = layer.sigma.double(), layer.mu.detach().double(), projection.double()
        spread = torch.einsum("cl,sld->scd", sigma**2, through**2).mean(dim=(0, 1)).sqrt()
        mean = (torch.einsum("cl,sld->scd", mu, through) ** 2).mean(dim=(0, 1)).sqrt()
    return spread.numpy(), mean.numpy()


def relation(
    weights: np.ndarray, nodes: np.ndarray, resamples: int = 1000, seed: int = 0
) -> tuple[float, float, float]:
    """Spearman's rho, percent, of two float[K, L] over the L slots, averaged over the K proxies, with a 95 % interval.

    Within a proxy, since proxies differ in level. The interval is a bootstrap over slots, all proxies of a slot together, as
    they belong together. Slots that are NaN in a proxy are left out of it. Raises BadInput for shapes that differ.
    """
    if weights.shape != nodes.shape or weights.ndim != 2:
        raise BadInput(f"got weights {weights.shape} and nodes {nodes.shape}; expected the same [K, L]")

    def rho(slots: np.ndarray) -> float:
        return float(np.mean([metrics.spearman(w[slots], v[slots]) for w, v in zip(weights, nodes, strict=True)]))

    count, generator = weights.shape[1], np.random.default_rng(seed)
    draws = [rho(slots) for slots in generator.integers(0, count, (resamples, count))]
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return rho(np.arange(count)), float(low), float(high)
