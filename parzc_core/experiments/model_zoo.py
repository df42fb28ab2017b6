"""Networks that people use: which training-free scores order torchvision's ImageNet classifiers by published accuracy, and what
ParZC+ adds from a few of those accuracies.

    zoo = own.zoo.load()
    taus(zoo)                                       # every score, over all networks and within a recipe
    from_few(zoo, labels=20, seeds=range(10))       # ParZC+ from 20 published accuracies
    left_out(zoo)                                   # every family ranked by a ranker that has seen none of it
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from parzc_core import metrics
from parzc_core.drawing.style import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, expect, new_figure
from parzc_core.errors import BadInput
from parzc_core.own.networks import COUNTS
from parzc_core.own.ranking import NetworkRanker
from parzc_core.own.zoo import RECIPES, Zoo
from parzc_core.paper import PROXY_LABELS
from parzc_core.profiles import profile as profile_named
from parzc_core.storage.rows import Row, row_of_runs

TABLE = "model_zoo"
ALL = "All"
RANKERS = {"ParZC+": "parzc+", "Params": "params", "FLOPs": "flops"}
CHOSEN = "best on the labels"  # of RANKERS, the one that orders held-out labels best
DRAWS = {"smoke": 2, "standard": 5}  # of labels; other profiles MOST_DRAWS
MOST_DRAWS = 20
FEWEST = 5  # networks that a tau is worth
NOTE = "published top-1 on ImageNet (torchvision's weights)"
_MARKS = ("o", "s", "^", "v", "D", "P", "X", "*")  # of shapes that are told apart; a second round is hollow
_COLOURS = (BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, GREY)


def draws(profile: str) -> int:
    """How many draws of labels a profile judges."""
    return DRAWS.get(profile_named(profile).name, MOST_DRAWS)


def groups(zoo: Zoo) -> dict[str, pd.Series]:
    """{name of a group: accuracy of its networks}: all with their best weights, and those that share a recipe."""
    catalogue = zoo.catalogue
    found = {ALL: zoo.top1}
    for recipe in RECIPES:
        accuracy = catalogue["first"] if recipe == "first" else catalogue["top1"].where(catalogue["recipe"] == recipe)
        found[f"{recipe} recipe"] = accuracy.dropna()
    return {name: accuracy for name, accuracy in found.items() if len(accuracy) >= FEWEST}


def taus(zoo: Zoo) -> pd.DataFrame:
    """Kendall's tau (%) of every training-free score with accuracy, with its 95 % interval over networks.

    A row for each score and group: score, group, networks, kendall, ci_low, ci_high. Higher scores are expected to be better.
    """
    lines = []
    scores = zoo.scores()
    for name, accuracy in groups(zoo).items():
        truth = accuracy.to_numpy()
        for score, column in scores.items():
            values = column[accuracy.index].to_numpy(dtype=float)
            low, high = metrics.bootstrap_interval(metrics.kendall, values, truth)
            lines.append((score, name, len(truth), metrics.kendall(values, truth), low, high))
    return pd.DataFrame(lines, columns=["score", "group", "networks", "kendall", "ci_low", "ci_high"])


def from_few(zoo: Zoo, labels: int, seeds: Iterable[int]) -> pd.DataFrame:
    """Tau (%) with published accuracy of the networks whose accuracy was not given: a row a draw of labels, a column a ranker.

    labels: accuracies that are given, drawn by the seed. Columns: RANKERS, CHOSEN. Raises BadInput for too many labels.
    """
    count = len(zoo.networks)
    if not 2 <= labels <= count - FEWEST:
        raise BadInput(f"got {labels} labels; expected 2 to {count - FEWEST}, as {FEWEST} networks are to be ranked")
    lines: dict[int, dict[str, float]] = {}
    for seed in tqdm(list(seeds), unit="draw", disable=None):
        given = np.random.default_rng(seed).permutation(count)[:labels]
        accuracies = zoo.top1.iloc[given]
        unseen = zoo.top1.drop(accuracies.index)
        compared = _fitted(zoo, accuracies, tuple(RANKERS.values()), seed)  # the choice, which is one of them as it is alone
        found = {
            name: _tau_of(compared if ranker == compared.chosen else _fitted(zoo, accuracies, ranker, seed), unseen)
            for name, ranker in RANKERS.items()
        }
        lines[seed] = found | {CHOSEN: _tau_of(compared, unseen)}
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("seed")


def left_out(zoo: Zoo) -> pd.DataFrame:
    """Each network's accuracy as predicted by ParZC+ from the networks of all other families: a row for each network, in order.

    Columns: family, top1, predicted (percent), score.
    """
    parts = []
    for family, own in tqdm(zoo.catalogue.groupby("family"), unit="family", disable=None):
        ranking = _ranking(_fitted(zoo, zoo.top1.drop(own.index), "parzc+", 0))
        parts.append(ranking.loc[own.index, ["predicted", "score"]].assign(family=family, top1=own["top1"]))
    return pd.concat(parts).loc[zoo.catalogue.index, ["family", "top1", "predicted", "score"]]


def _fitted(zoo: Zoo, accuracies: pd.Series, ranker: str | Sequence[str], seed: int) -> NetworkRanker:
    return NetworkRanker.fit(zoo.networks, accuracies, ranker=ranker, seed=seed)


def _ranking(fitted: NetworkRanker) -> pd.DataFrame:
    assert fitted.ranking is not None
    return fitted.ranking


def _tau_of(fitted: NetworkRanker, unseen: pd.Series) -> float:
    """Kendall's tau (%) of its scores with the accuracies of these networks."""
    return metrics.kendall(_ranking(fitted)["score"][unseen.index].to_numpy(), unseen.to_numpy())


def rows(free: pd.DataFrame, few: Mapping[int, pd.DataFrame], families: pd.DataFrame, profile: str) -> list[Row]:
    """What `taus`, `from_few` (by number of labels) and `left_out` found, as rows."""
    rest: dict[str, Any] = {"profile": profile, "origin": "ours"}
    made = [
        Row(
            TABLE, PROXY_LABELS[str(line["score"])], str(line["group"]), "kendall", line["kendall"], n=int(line["networks"]),
            ci_low=line["ci_low"], ci_high=line["ci_high"], note=f"over n networks; {NOTE}", **rest,
        )
        for line in free.to_dict("records")
    ]  # fmt: skip
    for labels, table in few.items():
        note = f"n draws of {labels} networks to learn from, judged on the others; {NOTE}"
        made += [
            row_of_runs(TABLE, f"{name}, {labels} labels", ALL, "kendall", table[name].tolist(), note=note, **rest)
            for name in table
        ]
    tau, low, high = family_tau(families)
    note = f"each of {families['family'].nunique()} families predicted from the others; over n networks; {NOTE}"
    rest |= {"n": len(families), "ci_low": low, "ci_high": high, "note": note}
    return [*made, Row(TABLE, "ParZC+, family left out", ALL, "kendall", tau, **rest)]


def family_tau(families: pd.DataFrame) -> tuple[float, float, float]:
    """Tau (%) of the accuracies predicted for families that were left out, with its 95 % interval over networks."""
    predicted, truth = families["predicted"].to_numpy(), families["top1"].to_numpy()
    return (metrics.kendall(predicted, truth), *metrics.bootstrap_interval(metrics.kendall, predicted, truth))


def by_labels(few: Mapping[int, pd.DataFrame]) -> pd.DataFrame:
    """Mean tau (%) of each ranker over draws, a row for each number of labels, and how often (%) ParZC+ is above both counts."""
    lines = {}
    for labels, found in few.items():
        above = (found["ParZC+"] > found[["Params", "FLOPs"]].max(axis=1)).mean()
        lines[labels] = found.mean().to_dict() | {"draws": len(found), "ParZC+ above both (%)": 100 * float(above)}
    return pd.DataFrame.from_dict(lines, orient="index").rename_axis("labels")


def by_family(families: pd.DataFrame) -> pd.DataFrame:
    """A row a family: networks, mean error of the prediction (points), tau (%) within it (NaN for fewer than FEWEST)."""
    lines = {}
    for family, part in families.groupby("family"):
        tau = metrics.kendall(part["predicted"].to_numpy(), part["top1"].to_numpy()) if len(part) >= FEWEST else np.nan
        lines[str(family)] = (len(part), float((part["predicted"] - part["top1"]).mean()), tau)
    return pd.DataFrame.from_dict(lines, orient="index", columns=["networks", "mean error", "tau within (%)"])


def conclusions(free: pd.DataFrame, few: Mapping[int, pd.DataFrame], families: pd.DataFrame) -> list[str]:
    """What the tables say, a sentence each."""
    best = {}
    for group, part in free.groupby("group", sort=False):
        ours = part.set_index("score")["kendall"].rename(index=PROXY_LABELS)
        counts = [PROXY_LABELS[name] for name in COUNTS]
        best[str(group)] = [f"{part.idxmax()} {part.max():.0f} %" for part in (ours.drop(counts), ours[counts])]
    proxy, count = best.pop(ALL)
    said = [f"**Over all networks** the best proxy is {proxy}, the best count {count}."]
    within = [f"{group}: {proxy} and {count}" for group, (proxy, count) in best.items()]
    said.append(f"**Within a recipe**, best proxy and best count: {'; '.join(within)}.")
    learned = []
    for labels, found in few.items():
        mean = found.mean()
        better = mean[["Params", "FLOPs"]].max()
        learned.append(f"{labels}: {mean['ParZC+']:.0f} % (the better count {better:.0f}, {CHOSEN} {mean[CHOSEN]:.0f})")
    said.append(f"**ParZC+ from a few accuracies**, tau on the other networks by number of labels: {'; '.join(learned)}.")
    tau, low, high = family_tau(families)
    said.append(f"**Networks of an unseen family** are ordered with a tau of {tau:.0f} % [{low:.0f}, {high:.0f}].")
    return said


def overview(free: pd.DataFrame, families: pd.DataFrame) -> Figure:
    """Left, tau of every score over all networks and within each recipe; right, accuracy as predicted without its family."""
    expect(len(free) > 0 and len(families) > 0, "overview got no scores or no predictions; nothing to draw")
    figure = new_figure(13, 5.6)
    left, right = figure.subplots(1, 2, width_ratios=(1, 1.1))
    names = list(free.loc[free["group"] == ALL].sort_values("kendall")["score"])
    for place, (group, part) in enumerate(free.groupby("group", sort=False)):
        part, shift = part.set_index("score").loc[names], 0.27 - 0.18 * place
        middle = part["kendall"].to_numpy()
        bars = np.abs(np.stack([middle - part["ci_low"], part["ci_high"] - middle]))
        left.errorbar(
            middle, np.arange(len(names)) + shift, xerr=bars, fmt=_MARKS[place], color=_COLOURS[place], markersize=6,
            linewidth=1.2, label=f"{group} ({int(part['networks'].iloc[0])} networks)",
        )  # fmt: skip
    left.axvline(0, color=GREY, linewidth=0.8)
    left.set(yticks=range(len(names)), yticklabels=[PROXY_LABELS[name] for name in names])
    left.set_xlabel("Kendall's τ with top-1 accuracy (%)")
    title = "a network with weights of two recipes counts in both" if _twice(free) else None
    left.legend(loc="upper center", bbox_to_anchor=(0.4, -0.12), ncols=2, title=title)
    for place, (family, part) in enumerate(families.groupby("family")):
        marker, colour = _MARKS[place % len(_MARKS)], _COLOURS[place % len(_COLOURS)]
        face = colour if place < len(_MARKS) else "white"
        right.plot(part["predicted"], part["top1"], marker, color=colour, markerfacecolor=face, markeredgewidth=1.4, markersize=7,
                   label=str(family))  # fmt: skip
    ends = [float(families[["top1", "predicted"]].min().min()) - 1, float(families[["top1", "predicted"]].max().max()) + 1]
    right.plot(ends, ends, color=GREY, linewidth=0.8)
    right.set(xlabel="predicted from the other families (%)", ylabel="top-1 accuracy on ImageNet (%)")
    right.legend(loc="center left", bbox_to_anchor=(1.01, 0.5))
    return figure


def _twice(free: pd.DataFrame) -> bool:
    """Whether recipes have more networks together than there are: some come with weights of several."""
    count = free.groupby("group")["networks"].first()
    return bool(count.drop(ALL, errors="ignore").sum() > count.get(ALL, np.inf))
