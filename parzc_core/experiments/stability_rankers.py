"""How well rankers carry over between variants of the statistics, and what their Bayesian weights know of them (limitation 3).

Rankers trained on one variant (`runs.variants`) are judged on others by `carry_over`; the learned spread of Bayesian weights is
compared with that of the nodes by `learned_spread` and `relation`. All splits are trained as one batch (see `fit_many`), so a
stored result belongs to all of them.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch

from parzc_core import metrics
from parzc_core.collecting.labelled import columns_read
from parzc_core.encoding import Encoder
from parzc_core.errors import BadInput
from parzc_core.profiles import profile as profile_named
from parzc_core.ranker import Inputs, Model
from parzc_core.runs.protocol import run_all
from parzc_core.runs.rankers import RankerRun, train_splits
from parzc_core.runs.variants import BASE, CELLS, Variant, commands_to_collect, comparisons, read
from parzc_core.spaces import space as space_named
from parzc_core.storage.rows import Row


@dataclass(frozen=True)
class CarriedRun:
    """Rankers trained on one variant, on every split, and judged on the unseen cells of several.

    run: cells, train, encoding, ...; its split is not used, cells=None means CELLS. targets: the first is `learned`.
    """

    run: RankerRun
    learned: Variant
    targets: tuple[Variant, ...]
    splits: int

    def key(self) -> dict[str, Any]:
        """The ranker and its splits, the columns of each variant that is read, the labels."""
        return {**_key(self.run, self.targets, self.splits), "kind": type(self).__name__}

    def evaluate(self) -> dict[str, Any]:
        """{"rows": one for each judged variant, way to standardise and split}."""
        run, used = self.run, (self.learned, *self.targets)
        started, data, rows = time.process_time(), read(tuple(dict.fromkeys(used)), run.cells or CELLS, run.dataset), []
        trained = train_splits(run, data[self.learned], range(self.splits))
        modes = ("learned", "judged") if run.encoding == "aligned" else ("learned",)
        pairs = ((b, mode) for b in self.targets for mode in modes if b != self.learned or mode == "learned")
        for target, mode in pairs:
            one, by = data[target], data[self.learned if mode == "learned" else target].collection.statistics
            for split, (ranker, _, train, judged) in enumerate(trained):
                encoder = Encoder(run.encoding, run.proxies, space_named(run.space).SLOTS).fit([by[i] for i in train])
                statistics = encoder.transform([one.collection.statistics[i] for i in judged])
                score = ranker.predict(Inputs(statistics, one.adjacency[judged], one.operations[judged]))
                tau = metrics.kendall(score, one.judged[judged])
                rows.append({"judged": target.name, "standardised": mode, "split": split, "kendall": tau})
        seconds = (time.process_time() - started) / len(rows)
        return {"rows": [{**row, "seconds": seconds} for row in rows]}


@dataclass(frozen=True)
class SpreadRun:
    """`weight_spread` of rankers trained on the base variant, averaged over splits. Raises BadInput as `learned_spread`."""

    run: RankerRun
    splits: int
    weight_decay: float

    def __post_init__(self) -> None:
        if self.run.encoding != "aligned" or "BN" not in self.run.parts:
            got = f"encoding={self.run.encoding!r}, parts={self.run.parts}"
            raise BadInput(f"got {got}; expected 'aligned' and parts with 'BN'")

    def key(self) -> dict[str, Any]:
        """The ranker and its splits, the columns of the base variant that are read, the labels."""
        key = _key(self.run, (BASE,), self.splits)
        return {**key, "kind": type(self).__name__, "weight_decay": self.weight_decay}

    def evaluate(self) -> dict[str, Any]:
        """{"spread", "mean": float64[K * L]; "rho": least and most; "seconds": CPU}."""
        started, data = time.process_time(), read((BASE,), self.run.cells or CELLS, self.run.dataset)
        trained = train_splits(self.run, data[BASE], range(self.splits), weight_decay=self.weight_decay)
        models = [ranker.model for ranker, *_ in trained]
        spread, mean = np.mean([weight_spread(model) for model in models], axis=0)
        rho = torch.stack([_first_layer(model)[0].rho.detach() for model in models])
        found = {"spread": spread, "mean": mean, "rho": [float(rho.min()), float(rho.max())]}
        return {**found, "seconds": time.process_time() - started}


MABN = "MABN (aligned)"


def planned(profile: str, cells: int) -> tuple[dict[str, RankerRun], int]:
    """({row: ranker, whose split is not used}, number of splits), each on so many cells."""
    sizes = profile_named(profile)
    run = RankerRun(cells=cells, size=sizes.model, epochs=sizes.epochs(200))
    aligned = replace(run, encoding="aligned")
    rankers = {"ParZC": run, "ParZC (aligned)": aligned, MABN: replace(aligned, parts=("Mixer", "BN"))}
    return rankers, 2 if profile == "smoke" else 3


def carry_over(run: RankerRun, variants: tuple[Variant, ...], splits: int, store: Path, jobs: int = 1) -> pd.DataFrame:
    """Rankers trained on each variant, judged on the unseen cells in it and in those that `comparisons` pairs it with.

    run: as in CarriedRun. Raises BadInput for variants that are not there.
    A row each of learned, judged (names), standardised, split; kendall in percent; seconds: CPU, shared out over the rows.
    standardised: "learned": judged statistics are encoded with means and spreads of the training cells in the variant learned
    on; "judged": of the same cells in the judged variant, which needs no label. The paper's encoding, which standardises nothing,
    has "learned" alone, as has the variant learned on.
    Only what `store` (jsonl) lacks is trained, on `jobs` processes.
    """
    if absent := commands_to_collect(variants, run.cells or CELLS, run.dataset):
        raise BadInput(
            f"the statistics of {', '.join(absent)} are not there; make them with: {'; '.join(absent.values())}"
        )
    pairs = [(v, v) for v in variants] + [pair for both in comparisons(variants).values() for pair in both]
    targets = {a: tuple(b for x, b in dict.fromkeys(pairs) if x == a) for a in variants}
    runs = [CarriedRun(run, a, targets[a], splits) for a in variants]
    found = run_all(runs, store, jobs, unit="variant")
    return pd.DataFrame([{"learned": one.learned.name, **row} for one in runs for row in found[one]["rows"]])


def learned_spread(run: RankerRun, splits: int, weight_decay: float, store: Path) -> dict[str, Any]:
    """`weight_spread` of rankers trained on the base variant, averaged over splits; only trained if `store` lacks it.

    spread, mean: float64[K, L], by proxy of the run and slot of the space, as in the "aligned" encoding, which the run must
    have; rho: least and most over the layer's weights, it starts at -5; seconds: CPU. Raises BadInput for other encodings, and
    for rankers without Bayesian layers.
    """
    one = SpreadRun(run, splits, weight_decay)
    result = run_all([one], store)[one]
    return result | {name: np.array(result[name]).reshape(len(run.proxies), -1) for name in ("spread", "mean")}


def _key(run: RankerRun, used: Sequence[Variant], splits: int) -> dict[str, Any]:
    """What decides a result: the ranker and its splits, the columns of the variants that are read, the labels."""
    data = read(tuple(used), run.cells or CELLS, run.dataset)
    one = data[used[0]]
    return {
        **run.identity(),
        "split": list(range(splits)),
        "cells": len(one),
        "statistics": [[v.name, columns_read(data[v].collection, run.proxies)] for v in used],
        "learned_from": one.learned_from,
        "judged_on": one.judged_on,
    }


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
    they belong together. Slots that are NaN in a proxy are left out of it; all three are NaN where a proxy is constant. Raises
    BadInput for shapes that differ.
    """
    if weights.shape != nodes.shape or weights.ndim != 2:
        raise BadInput(f"got weights {weights.shape} and nodes {nodes.shape}; expected the same [K, L]")

    def rho(slots: np.ndarray) -> float:
        return float(np.mean([metrics.spearman(w[slots], v[slots]) for w, v in zip(weights, nodes, strict=True)]))

    count, generator = weights.shape[1], np.random.default_rng(seed)
    whole = rho(np.arange(count))
    if np.isnan(whole):
        return np.nan, np.nan, np.nan
    draws = [rho(slots) for slots in generator.integers(0, count, (resamples, count))]
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return whole, float(low), float(high)


def within(carried: Mapping[str, pd.DataFrame], variants: Sequence[Variant]) -> pd.DataFrame:
    """Mean tau (%) of rankers judged in the variant they learned from: a row a variant, a column a ranker.

    carried: {ranker: of `carry_over`}.
    """
    return pd.DataFrame(
        {
            ranker: found[found["learned"] == found["judged"]].groupby("learned")["kendall"].mean()
            for ranker, found in carried.items()
        }
    ).reindex([variant.name for variant in variants])


def between(carried: Mapping[str, pd.DataFrame], variants: Sequence[Variant]) -> pd.DataFrame:
    """Tau (%) by ranker, comparison of variants and standardisation: mean, std and number. carried: as of `within`."""
    names = {(a.name, b.name): name for name, both in comparisons(variants).items() for a, b in both}
    moved = pd.concat(carried, names=["ranker"]).reset_index("ranker")
    places = zip(moved["learned"], moved["judged"], strict=True)
    moved["comparison"] = [names.get(pair, "same variant") for pair in places]
    return moved.groupby(["ranker", "comparison", "standardised"])["kendall"].agg(["mean", "std", "size"])


def relations(learned: Mapping[float, Mapping[str, Any]], moves: np.ndarray) -> pd.DataFrame:
    """`relation` of the learned spreads and means with the nodes' own: a row a weight decay and what is learned.

    learned: {weight decay: of `learned_spread`}. moves: float64[K, L], relative spread of the nodes, see `node_spread`.
    """
    lines = {
        (f"weight decay {decay:g}", what): relation(result[what], moves)
        for decay, result in learned.items()
        for what in ("spread", "mean")
    }
    return pd.DataFrame(lines, index=["rho (%)", "ci_low", "ci_high"]).T


def rows(alone: pd.DataFrame, known: pd.DataFrame, splits: int, note: str, profile: str) -> list[Row]:
    """`within` and `relations` as rows of the table of stability."""
    about: dict[str, Any] = {"n": splits, "profile": profile, "origin": "ours"}
    made = [
        Row("stability", str(ranker), str(variant), "kendall", tau, note=f"n splits, 78 cells; {note}", **about)
        for ranker, column in alone.to_dict().items()
        for variant, tau in column.items()
    ]
    said = "n splits; over nodes, mean of the proxies; interval over nodes"
    lines: dict[Any, dict[Any, float]] = known.to_dict("index")
    for (decay, what), line in lines.items():
        place = ("stability", f"MABN's {what}, {decay}", "variation over initialisations", "spearman")
        ends = {"ci_low": line["ci_low"], "ci_high": line["ci_high"]}
        made.append(Row(*place, line["rho (%)"], note=said, **about | ends))
    return made
