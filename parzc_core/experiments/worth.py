"""What ParZC's idea is worth: its two halves, every node's score and a mixer with Bayesian layers, each beside a plainer choice.

    results = run("full", RESULTS / "full" / "worth" / "runs.jsonl")  # a row a place, variation and split
    made = list(rows(results, "full"))
"""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.transforms import blended_transform_factory

from parzc_core.collecting.labelled import judgeable
from parzc_core.drawing.style import BLUE, GREEN, GREY, VERMILION, expect, new_figure
from parzc_core.paths import RESULTS
from parzc_core.profiles import profile as profile_named
from parzc_core.runs.plus import Cells
from parzc_core.runs.protocol import run_all
from parzc_core.runs.worth import FIRST as AFTER
from parzc_core.runs.worth import SHARE, WorthRun
from parzc_core.storage.rows import (
    Row,
    has_rows,
    paired_differences,
    read_rows,
    row_of_runs,
    rows_of_differences,
    summarise,
)

TABLE = "worth"
# Place -> its cells, and the fewest training cells of Table 2 there.
PLACES: dict[str, tuple[Cells, int]] = {"NB201-CF10": (Cells(), 78), "NB101-CF10": (Cells("nb101", width=32), 100)}
PRINTED, ALIGNED = "As printed", "Each node in its slot"
# The steps that other tables have, with as many labels: place -> {step: (table, row, column)}.
EARLIER = {
    "NB201-CF10": {
        PRINTED: ("table06", "Mixer+BN", "NB201-CF10 78"),
        ALIGNED: ("table06", "Mixer+BN (aligned)", "NB201-CF10 78"),
    },
    "NB101-CF10": {ALIGNED: ("table02", "MABN (aligned)", "NB101 S_100")},
}

_PROCESSES = WorthRun("nodes", "processes and trees")
_MABN = WorthRun("nodes", "MABN")
_THREE = replace(_MABN, members=3)
_BEST = replace(_THREE, reads="graph and nodes", proxies_first=True)
WHOLE = "Graph and every node"
SUMS, NODES, GRAPH_SUMS = "Seven sums", "Every node", "Graph and seven sums"
PLAIN, PERCEPTRON, THREE, FIRST, LAST = "Mixer of plain layers", "MLP", "Three members", "Proxies first", "The graph, too"
BESIDE, STEPS = "A quarter MABN beside it", "What helps MABN, step by step"
VARIATIONS: dict[str, dict[str, WorthRun]] = {
    "What is read, by processes and trees": {
        SUMS: replace(_PROCESSES, reads="sums"),
        "Seven sums, network-level scores": replace(_PROCESSES, reads="sums and scores"),
        NODES: _PROCESSES,
        "Graph": replace(_PROCESSES, reads="graph"),
        GRAPH_SUMS: replace(_PROCESSES, reads="graph and sums"),
        WHOLE: replace(_PROCESSES, reads="graph and nodes"),
        BESIDE: replace(_BEST, beside=True),
    },
    "What learns, from every node": {
        "Gaussian process": replace(_MABN, learns="process"),
        "Extra-trees": replace(_MABN, learns="trees"),
        PLAIN: replace(_THREE, learns="mixer"),
        PERCEPTRON: replace(_THREE, learns="MLP"),
    },
    STEPS: {
        "A token a node": replace(_MABN, reads="tokens", learns="tokens", classes=False),
        "Summaries of nodes": replace(_MABN, classes=False),
        "Isomorphic cells as one": _MABN,
        THREE: _THREE,
        "A prior on the weights": replace(_THREE, kl=0.1),
        FIRST: replace(_THREE, proxies_first=True),
        LAST: _BEST,
    },
}
# What a question of the conclusions is decided by: (variation, the one it is set against).
QUESTIONS = {
    "Every node over the seven sums": (NODES, SUMS),
    "Every node over the sums, beside the graph": (WHOLE, GRAPH_SUMS),
    "Bayesian layers over plain ones": (THREE, PLAIN),
    "Mixer over MLP": (PLAIN, PERCEPTRON),
    "Processes and trees over MABN": (NODES, THREE),
    "A first training on proxies": (FIRST, THREE),
    "MABN beside processes and trees": (BESIDE, WHOLE),
}
_COLOURS = dict(zip(VARIATIONS, (BLUE, GREEN, VERMILION), strict=True))


def places(profile: str) -> dict[str, tuple[Cells, int]]:
    """Those whose statistics and labels are on this machine; below "full" the first alone, in "smoke" some cells of it."""
    sizes = profile_named(profile)
    wanted = dict(list(PLACES.items())[: None if sizes.name in ("full", "paper") else 1])
    there = {name: (replace(cells, cells=sizes.cells), train) for name, (cells, train) in wanted.items()}
    return {name: one for name, one in there.items() if judgeable(one[0].space, one[0].dataset, one[0].width)}


def planned(profile: str) -> dict[tuple[str, str, str], list[WorthRun]]:
    """{(place, group, variation): a run a split}."""
    sizes, found = profile_named(profile), dict[tuple[str, str, str], list[WorthRun]]()
    small: dict[str, Any] = {
        "smoke": {"size": "tiny", "steps": 20, "trees": 10, "members": 1},
        "standard": {"size": "small", "steps": 300},
    }.get(sizes.name, {})
    for place, (cells, train) in places(profile).items():
        for group, named in VARIATIONS.items():
            for name, run in named.items():
                made = replace(run, where=cells, train=train, **small)
                found[place, group, name] = [replace(made, split=split) for split in range(_splits(sizes.name))]
    return found


def _splits(profile: str) -> int:
    return {"smoke": 1, "standard": 2}.get(profile, 5)


def run(profile: str, store: Path, jobs: int = 1) -> pd.DataFrame:
    """Columns place, group, row, split, kendall, seconds and what else `judgement` gives. Compute missing runs in parallel."""
    plan = planned(profile)
    found = run_all([one for runs in plan.values() for one in runs], store, jobs)
    return pd.DataFrame([
        {"place": place, "group": group, "row": name, "split": one.split, **found[one]}
        for (place, group, name), runs in plan.items()
        for one in runs
    ])  # fmt: skip


def earlier(profile: str, folder: Path = RESULTS) -> pd.DataFrame:
    """The steps of EARLIER that were run in that profile: columns place, row, kendall, low, high. folder: of results."""
    lines = []
    for place, named in EARLIER.items():
        for name, (table, row, column) in named.items():
            for one in read_rows(table, profile, folder).to_dict("records") if has_rows(table, profile, folder) else ():
                if (one["row"], one["column"], one["metric"]) == (row, column, "kendall"):
                    lines.append((place, name, one["value"], one["ci_low"], one["ci_high"]))
    return pd.DataFrame(lines, columns=["place", "row", "kendall", "low", "high"])


def means(results: pd.DataFrame, begun: pd.DataFrame) -> pd.DataFrame:
    """A line a place and variation, in order: place, group, row, kendall and its 95 % interval over splits, seconds.

    begun: of `earlier`; its lines come first in the group of steps, without seconds.
    """
    lines: list[tuple[Any, ...]] = []
    for (place, group), both in results.groupby(["place", "group"], sort=False):
        if group == STEPS:
            first = begun[begun["place"] == place]
            lines += [(place, group, *line, math.nan) for line in first.drop(columns="place").itertuples(index=False)]
        for row, part in both.groupby("row", sort=False):
            mean, _, low, high = summarise(part["kendall"].tolist())
            lines.append((place, group, row, mean, low, high, part["seconds"].mean()))
    return pd.DataFrame(lines, columns=["place", "group", "row", "kendall", "low", "high", "seconds"])


def answers(results: pd.DataFrame) -> pd.DataFrame:
    """`paired_differences` of every question, a row a place and question: index (place, question)."""
    found = {str(place): paired_differences(_scores(part), QUESTIONS) for place, part in results.groupby("place", sort=False)}
    return pd.concat(found, names=["place", "question"])


def _scores(part: pd.DataFrame) -> pd.DataFrame:
    """Tau, a row a split and a column a variation."""
    return part.pivot(index="split", columns="row", values="kendall")


def settings() -> dict[str, Any]:
    """For the manifest: the training with labels that follows one on proxies, and the share of MABN beside ParZC+."""
    return {"first": AFTER, "share": SHARE}


def verdict(difference: pd.Series) -> str:
    """Whether it helps, hurts or makes no clear difference: its interval is above 0, below 0, or holds it."""
    low, high = difference["ci_low"], difference["ci_high"]
    if not np.isfinite([low, high]).all():
        return "one split says too little"
    return "helps" if low > 0 else "hurts" if high < 0 else "no clear difference"


def rows(results: pd.DataFrame, profile: str) -> Iterator[Row]:
    """Kendall's tau of every variation, and the paired differences of the questions."""
    about: dict[str, Any] = {"profile": profile, "origin": "ours"}
    for (place, group, name), part in results.groupby(["place", "group", "row"], sort=False):
        note = f"{str(group)[0].lower()}{str(group)[1:]}; {_column(str(place))}"
        yield row_of_runs(TABLE, str(name), str(place), "kendall", part["kendall"].tolist(), note=note, **about)
    for place, part in results.groupby("place", sort=False):
        yield from rows_of_differences(TABLE, str(place), _scores(part), QUESTIONS.values(), **about)


def _column(place: str) -> str:
    cells, train = PLACES[place]
    return f"{train} training cells of {cells.space}"


def conclusions(results: pd.DataFrame) -> list[str]:
    """A sentence a question with both places' numbers, and the recommendation that follows from their verdicts."""
    told, table = [], answers(results)
    verdicts = {}
    for question in QUESTIONS:
        lines = table.xs(question, level="question")
        verdicts[question] = [verdict(line) for _, line in lines.iterrows()]
        numbers = "; ".join(
            f"{place} {line['our mean difference']:+.1f} [{line['ci_low']:+.1f}, {line['ci_high']:+.1f}]: {said}"
            for (place, line), said in zip(lines.iterrows(), verdicts[question], strict=True)
        )
        told.append(f"**{question}** (points of tau): {numbers}.")
    seconds = results.groupby("row")["seconds"].mean()
    return [*told, f"**Recommendation.** {recommendation(verdicts, seconds[NODES] / seconds[THREE])}"]


def recommendation(verdicts: dict[str, list[str]], time: float) -> str:
    """What to do, from the verdicts of QUESTIONS in every place. time: of processes and trees, over that of MABN."""

    def helps(question: str) -> bool:
        return all(one == "helps" for one in verdicts[question])

    alone, beside = helps("Every node over the seven sums"), helps("Every node over the sums, beside the graph")
    keep = "Keep every node's score" if alone else "Sums are enough"
    if alone and not beside:
        keep += " where no graph is read (with the graph, sums are as good in "
        said = verdicts["Every node over the sums, beside the graph"]
        keep += f"{sum(one != 'helps' for one in said)} of {len(said)} places)"
    bayes = "Bayesian layers help" if helps("Bayesian layers over plain ones") else "plain layers are as good as Bayesian ones"
    if helps("MABN beside processes and trees"):
        learner = "and set a mixer that was first trained on proxies beside processes and trees"
    elif helps("Processes and trees over MABN"):
        learner = "and learn with processes and trees instead of a mixer, which adds nothing to them"
    elif "hurts" in verdicts["Processes and trees over MABN"]:
        learner = "and learn with a mixer where it is the better one"
    else:
        learner = "and learn with processes and trees, which are nowhere worse than a mixer and take "
        learner += f"{100 * time:.0f} % of its time"
    return f"{keep}; {bayes}; {learner}."


def overview(table: pd.DataFrame) -> Figure:
    """A panel a place: tau of every variation with its interval over splits, grouped by question. table: of `means`."""
    expect(len(table) > 0, "overview got no variations; nothing to draw")
    there = list(dict.fromkeys(table["place"]))
    names = list(dict.fromkeys(zip(table["group"], table["row"], strict=True)))
    order, heads, at = {}, {}, 0.0
    for group, name in names:
        if group not in heads:
            heads[group] = at
            at += 1.0
        order[group, name] = at
        at += 1.0
    figure = new_figure(6.2 + 3.2 * len(there), 1.2 + 0.27 * at)
    axes = figure.subplots(1, len(there), sharey=True, squeeze=False)[0]
    for ax, place in zip(axes, there, strict=True):
        for line in table[table["place"] == place].to_dict("records"):
            height, colour = order[line["group"], line["row"]], _COLOURS[line["group"]]
            ends = [[line["kendall"] - line["low"]], [line["high"] - line["kendall"]]]
            known = np.isfinite(ends).all()
            ax.errorbar(line["kendall"], height, xerr=ends if known else None, fmt="o", color=colour, markersize=5)
        for group, height in heads.items():
            transform = blended_transform_factory(ax.transAxes, ax.transData)
            ax.text(0.02, height, group, transform=transform, color=_COLOURS[group], va="center", fontweight="bold", fontsize=9)
        best = table[(table["place"] == place) & (table["row"] == WHOLE)]["kendall"]
        for value in best:
            ax.axvline(value, color=GREY, linewidth=0.8, linestyle="--")
        ax.set(title=f"{place}, {PLACES[place][1]} labels", xlabel=f"Kendall's τ (%); dashed: {WHOLE.lower()}")
        ax.grid(axis="x", alpha=0.4)
    axes[0].set(yticks=list(order.values()), yticklabels=[name for _, name in order], ylim=(at - 0.3, -0.7))
    return figure
