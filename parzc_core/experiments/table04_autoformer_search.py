"""Table 4: ParZC searches AutoFormer's space within a limit of parameters, from statistics of small images.

At 64x64 a network sees 17 tokens in place of 197. A ranker learns from the labelled architectures' statistics at that size, and
ranks those of a random sample; no architecture is trained, and none of the sample has a label. Of the table's hand-made
networks the parameters are counted from their published settings (224x224, 1,000 classes).
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from parzc_core import paths
from parzc_core.collecting.labelled import Data
from parzc_core.collecting.one import CollectionConfig
from parzc_core.collecting.sample import command
from parzc_core.drawing.style import BLUE, GREY, VERMILION, new_figure
from parzc_core.encoding import PAPER_PROXIES, Encoder, slotted_logs
from parzc_core.errors import BadInput, UnknownName
from parzc_core.metrics import spearman
from parzc_core.runs import vit, vit_data
from parzc_core.runs.judging import intervals_of_mean
from parzc_core.runs.vit_data import Truth
from parzc_core.spaces.vit import autoformer
from parzc_core.spaces.vit import blocks as vit_blocks
from parzc_core.spaces.vit.blocks import CLASSES, IMAGE_SIZE, PATCH
from parzc_core.storage.rows import Row
from parzc_core.storage.statistics import Collection, StatisticsStore
from parzc_core.training import fit_many

TABLE = "table04"
MOST_PARAMETERS = 6.2e6
CANDIDATES = 2000
SIDE = 64  # pixels
PURPOSES = ("labelled", "search")
AS_WIDE = "those as wide as the candidates"
EMBED = 192  # dimensions that every embedding within MOST_PARAMETERS has
_TOKENS = (IMAGE_SIZE // PATCH) ** 2 + 1  # of a 224x224 image


def config(purpose: str) -> CollectionConfig:
    """What is collected: of the "labelled" architectures, to learn from, or of the sample to "search". Raises UnknownName."""
    if purpose not in PURPOSES:
        raise UnknownName.of("purpose of a collection", purpose, PURPOSES)
    labelled = purpose == "labelled"
    return CollectionConfig(
        space="autoformer",
        dataset="imagenet",
        cells=vit_data.CELLS["autoformer"] if labelled else CANDIDATES,
        proxies=PAPER_PROXIES,
        scores=(),
        width=SIDE,
        sample="labelled" if labelled else None,
        most_parameters=None if labelled else MOST_PARAMETERS,
    )


def folder(purpose: str) -> Path:
    """Where these statistics are."""
    return paths.STATISTICS / "autoformer" / f"imagenet{SIDE}-{purpose}"


def commands_to_collect() -> dict[str, str]:
    """{"search: 100 of 2000": command that collects it} for what is not all there."""
    there = {purpose: StatisticsStore(folder(purpose)).complete() for purpose in PURPOSES}
    return {
        f"{purpose}: {count} of {config(purpose).cells}": (
            f"{command(config(purpose))} --out results/statistics/autoformer/{folder(purpose).name}"
        )
        for purpose, count in there.items()
        if count < config(purpose).cells
    }


def read(purpose: str, count: int | None = None) -> Collection | None:
    """The collection as far as it goes (at most `count`); None where fewer than `vit_data.LEAST` are there.

    Raises BadInput where the folder holds another collection, CorruptShard.
    """
    there = min(StatisticsStore(folder(purpose)).complete(), count or config(purpose).cells)
    if there < vit_data.LEAST:
        return None
    return vit_data.read_as(config(purpose), folder(purpose), there)


def labelled(truth: Truth, collection: Collection) -> Data:
    """The architectures of the collection that this ground truth has. Raises LabelsMissing, BadInput (fewer than LEAST)."""
    kept = vit_data.labelled(truth, collection)
    if (count := len(kept.archs)) < vit_data.LEAST:
        raise BadInput(f"{count} collected architectures have a label of {truth.column}; expected {vit_data.LEAST}")
    return vit_data.with_labels(truth, kept)


def small_against_large(small: Collection, large: Collection) -> pd.Series:
    """Spearman's rho, percent, of a node's value in small and in large images, over the architectures; median over nodes.

    A value a proxy of PAPER_PROXIES. Both must begin with the same architectures, else BadInput.
    """
    n = min(len(small.archs), len(large.archs))
    if small.archs[:n] != large.archs[:n]:
        raise BadInput("the two collections hold other architectures; expected the labelled ones in both")
    few, many = (slotted_logs(one.statistics[:n], PAPER_PROXIES, autoformer.SLOTS) for one in (small, large))
    found = {}
    for k, proxy in enumerate(PAPER_PROXIES):
        both = [np.isfinite(few[:, k, slot]) & np.isfinite(many[:, k, slot]) for slot in range(len(autoformer.SLOTS))]
        rhos = [
            spearman(few[there, k, slot], many[there, k, slot]) for slot, there in enumerate(both) if there.sum() >= 10
        ]
        found[proxy] = float(np.median(rhos)) if rhos else float("nan")
    return pd.Series(found, name="rho (%)")


def cross_validated(
    truth: Truth, learn: Data, folds: int = 10, epochs: int = vit.EPOCHS
) -> dict[str, dict[str, tuple[float, float, float]]]:
    """{encoding: {"all" or AS_WIDE: (tau, ci_low, ci_high)}}, percent: how rankers on small images rank unseen architectures.

    AS_WIDE: the architectures whose embedding has EMBED dimensions, as that of every candidate has. Intervals are over
    architectures.
    """
    like = np.array([autoformer.parse(arch).embed == EMBED for arch in learn.collection.archs])
    found: dict[str, dict[str, tuple[float, float, float]]] = {}
    for encoding in vit.RANKERS.values():
        run = vit.FoldRun(truth, encoding, folds=folds, seeds=(0,), epochs=epochs)
        scores = np.array(vit.cross_validated(run, {0: learn})["scores"])
        found[encoding] = {}
        for what, part in (("all", np.full(len(like), True)), (AS_WIDE, like)):
            tau, _, low, high = intervals_of_mean(scores[:, part], learn.judged[part])["kendall"]
            found[encoding][what] = tau, low, high
    return found


def better_encoding(taus: Mapping[str, Mapping[str, tuple[float, float, float]]]) -> str:
    """The encoding that ranks architectures as wide as the candidates better. taus: of `cross_validated`."""
    return max(taus, key=lambda encoding: taus[encoding][AS_WIDE][0])


@dataclass(frozen=True, eq=False)
class SearchResult:
    """ranked: a row an architecture, best first: arch, score (mean over rankers, in spreads of the training architectures),
    spread (std over rankers), parameters. seconds: CPU-seconds of "collecting", "training" and "ranking".
    """

    ranked: pd.DataFrame
    seconds: Mapping[str, float]


def search(
    learn: Data, sample: Collection, encoding: str = "aligned", epochs: int = vit.EPOCHS, rankers: int = 5
) -> SearchResult:
    """Rank the sample by rankers that learned from all architectures of `learn`, with different seeds.

    Raises BadInput where the sample holds an architecture to learn from, which would not be a search.
    """
    if both := set(learn.collection.archs) & set(sample.archs):
        raise BadInput(f"{len(both)} architectures of the sample are among those to learn from; leave them out")
    started = time.process_time()
    encoder = Encoder(encoding, PAPER_PROXIES, autoformer.SLOTS, autoformer.MAX_NODES).fit(learn.statistics)
    known = encoder.transform(learn.statistics)
    fitted = fit_many(
        [known] * rankers, [learn.learn] * rankers, vit.training(known.shape[1], epochs), seeds=range(rankers)
    )
    trained = time.process_time()
    unseen = encoder.transform(sample.statistics)
    scores = []
    for ranker in fitted:
        own = ranker.predict(known)
        scores.append((ranker.predict(unseen) - own.mean()) / (own.std() or 1.0))
    table = pd.DataFrame(
        {
            "arch": sample.archs,
            "score": np.mean(scores, axis=0),
            "spread": np.std(scores, axis=0),
            "parameters": [autoformer.parameters(arch) for arch in sample.archs],
        }
    ).sort_values("score", ascending=False, ignore_index=True, kind="stable")
    collected = sum(float(one.manifest.get("cpu_seconds", 0.0)) for one in (learn.collection, sample))
    seconds = {"collecting": collected, "training": trained - started, "ranking": time.process_time() - trained}
    return SearchResult(table, seconds)


def candidates(found: SearchResult) -> Figure:
    """Score of every candidate against its parameters, and the chosen one with the spread of its score."""
    figure = new_figure(6.5, 4.2)
    ax = figure.subplots()
    millions, best = found.ranked["parameters"] / 1e6, found.ranked.iloc[0]
    ax.scatter(millions, found.ranked["score"], s=6, color=GREY, alpha=0.6, label=f"{len(millions):,} candidates")
    chosen = best["parameters"] / 1e6, best["score"], best["spread"]
    ax.errorbar(*chosen, fmt="D", color=VERMILION, label="chosen, its spread")
    ax.axvline(MOST_PARAMETERS / 1e6, color=BLUE, linestyle="--", label="limit")
    ax.set(xlabel="parameters (millions)", ylabel="score (training spreads)", title="What ParZC makes of the candidates")
    figure.legend(loc="outside lower center", ncols=3)
    return figure


def _linear(inputs: int, outputs: int, bias: bool = True) -> int:
    return (inputs + bias) * outputs


def deit_tiny() -> int:
    """DeiT-Ti (Touvron et al., ICML 2021, Table 1): embedding 192, 12 layers, 3 heads, MLP ratio 4; ViT-Ti alike.

    It lies in AutoFormer's space but for the relative positions.
    """
    twelve = {key: ",".join([value] * 12) for key, value in (("heads", "3"), ("mlp", "4"))}
    return autoformer.parameters(f"embed=192|depth=12|heads={twelve['heads']}|mlp={twelve['mlp']}", relative=False)


def autoformer_tiny() -> int:
    """AutoFormer-Ti (Chen et al., ICCV 2021), the released one: embedding 192, 13 layers, 64 dimensions a head.

    Some layers have an MLP ratio of 3.0, which the space of Table 4 has not; its blocks are the same.
    """
    ratios = (3.5, 3.5, 3.0, 3.5, 3.0, 3.0, 4.0, 4.0, 3.5, 4.0, 3.5, 4.0, 3.5)
    heads = (3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 4, 3, 3)
    width = 192
    blocks = sum(
        vit_blocks.block_parameters(width, h, autoformer.HEAD_DIM, int(width * ratio), relative=True)
        for h, ratio in zip(heads, ratios, strict=True)
    )
    stem = _linear(3 * PATCH**2, width) + width + _TOKENS * width
    return stem + blocks + 2 * width + _linear(width, CLASSES)


def tnt_tiny() -> int:
    """TNT-Ti (Han et al., NeurIPS 2021, Table 1): 12 layers, outer width 192, inner width 12, 16 pixels a patch."""
    outer, inner, pixels, layers = 192, 12, 16, 12

    def block(width: int) -> int:
        """Queries, keys and values have no bias here."""
        attention = _linear(width, 3 * width, bias=False) + _linear(width, width)
        return attention + _linear(width, 4 * width) + _linear(4 * width, width) + 4 * width

    joined = 2 * inner + _linear(pixels * inner, outer)  # pixels of a patch to its token, in each layer
    stem = _linear(3 * 7**2, inner) + pixels * inner  # a convolution of 7x7; positions of pixels
    stem += 2 * pixels * inner + _linear(pixels * inner, outer) + 2 * outer + outer + _TOKENS * outer
    return stem + layers * (block(outer) + block(inner) + joined) + 2 * outer + _linear(outer, CLASSES)


def pvt_tiny() -> int:
    """PVT-Tiny (Wang et al., ICCV 2021, Table 1): four stages of two layers."""
    widths, ratios, reductions, sides = (64, 128, 320, 512), (8, 8, 4, 4), (8, 4, 2, 1), (56, 28, 14, 7)
    total = _linear(3 * 4**2, widths[0]) + sum(_linear(4 * before, after) for before, after in pairwise(widths))
    for width, ratio, reduction, side in zip(widths, ratios, reductions, sides, strict=True):
        shrunk = _linear(width * reduction**2, width) + 2 * width if reduction > 1 else 0  # of keys and values
        mlp = _linear(width, ratio * width) + _linear(ratio * width, width)
        total += 2 * width + side**2 * width  # norm of the patch embedding, positions
        total += 2 * (_linear(width, 3 * width) + _linear(width, width) + shrunk + mlp + 4 * width)
    return (
        total + 2 * widths[-1] + 2 * widths[-1] + _linear(widths[-1], CLASSES)
    )  # class token and its position, norm, head


COUNTS: dict[str, Callable[[], int]] = {  # by the rows of Table 4
    "Deit-Ti": deit_tiny,
    "ViT-Ti": deit_tiny,
    "TNT-Ti": tnt_tiny,
    "PVT-Tiny": pvt_tiny,
    "AutoFormer-Ti": autoformer_tiny,
}


def count_rows(printed: pd.DataFrame, profile: str) -> list[Row]:
    """Parameters of Table 4's hand-made networks, counted; millions. printed: `paper.printed("table04")`."""
    known = printed[printed["metric"] == "params"].set_index("row")["value"]
    notes = {"AutoFormer-Ti": "the released settings, with relative and absolute positions"}
    return [
        _rounded(name, count() / 1e6, profile, notes.get(name, "counted from the published settings"))
        for name, count in COUNTS.items()
        if name in known
    ]


def found_rows(found: SearchResult, profile: str, note: str) -> list[Row]:
    """Parameters of the chosen architecture, and the cost of the search in hours of one core, as ParZC's."""
    rest: dict[str, Any] = {"profile": profile, "origin": "reproduced", "note": note}
    best = found.ranked.iloc[0]
    # Another network than the paper's, which is not printed.
    rows = [_rounded("ParZC", best["parameters"] / 1e6, profile, f"{best['arch']}; {note}", "recreated")]
    for part, value in {**found.seconds, "in all": sum(found.seconds.values())}.items():
        rows.append(Row(TABLE, "ParZC", f"CPU-hours: {part}", "cpu_hours", value / 3600, unit="h", **rest))
    return rows


def unavailable_rows(profile: str) -> list[Row]:
    """In place of `found_rows` where too little is collected: no value, and the commands that collect it."""
    about: dict[str, Any] = {"unit": "M", "n": 0, "profile": profile, "origin": "unavailable"}
    why = "no search: " + "; ".join(commands_to_collect().values())
    return [Row(TABLE, "ParZC", "Param (M)", "params", None, note=why, **about)]


def quoted_rows(printed: pd.DataFrame, rows: list[Row], profile: str) -> list[Row]:
    """The printed values that are not among `rows`, each with the reason why it is not run."""
    done = {(row.row, row.column) for row in rows}
    reasons = {
        "accuracy": "quoted: needs a training on ImageNet",
        "gpu_days": "quoted: days of a GPU; ours are hours of a CPU core",
        "params": "quoted: its architecture is not printed",
    }
    return [
        Row(
            TABLE, c["row"], c["column"], c["metric"], c["value"], unit=c["unit"], n=0, profile=profile,
            origin="quoted", note=reasons[c["metric"]],
        )
        for c in printed.dropna(subset="value").to_dict("records")
        if (c["row"], c["column"]) not in done
    ]  # fmt: skip


def _rounded(name: str, millions: float, profile: str, note: str, origin: str = "reproduced") -> Row:
    """A number that the paper prints with one decimal: the interval is what rounds to the same, to half a digit."""
    return Row(
        TABLE,
        name,
        "Param (M)",
        "params",
        millions,
        unit="M",
        ci_low=millions - 0.05,
        ci_high=millions + 0.05,
        profile=profile,
        origin=origin,
        note=f"{note}; the interval is half of the last printed digit",
    )
