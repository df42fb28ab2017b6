"""A few labels: does an order that other spaces teach still help, and where is it better to start from scratch?

    lines = few_labels(found, "full")               # found: of `label_free.judged`
    sentences(lines), figure(lines), list(rows(lines, found, "full"))

Each ranker is fitted to the same 10, 20 or 50 random networks of a place and judged on its others:

- SUMMARIES: ParZC+'s learners on the features that every space has (`label_free_inputs`), from scratch.
- GRAPHS: ParZC+ as it is, with graphs, from scratch. NAS-Bench-201 and NAS-Bench-101 alone.
- either "and the order": its normal scores, to which `weight` times those of the label-free order are added.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from parzc_core import metrics
from parzc_core.collecting.labelled import unlabelled
from parzc_core.drawing.style import BLUE, GREY, ORANGE, expect, new_figure
from parzc_core.experiments.label_free import TABLE, Judged
from parzc_core.experiments.label_free_inputs import PLACES, Place, accuracy
from parzc_core.predictors.plus.features import PlusInputs, plus_features
from parzc_core.predictors.plus.learners import normal_scores
from parzc_core.predictors.plus.model import ParZCPlus, PlusConfig
from parzc_core.profiles import profile as profile_named
from parzc_core.storage.rows import Row, row_of_runs, summarise

ALONE, SUMMARIES, GRAPHS = "Label-free order, the same networks", "Summaries, from scratch", "ParZC+, from scratch"
BOTH = {SUMMARIES: "Summaries and the order", GRAPHS: "ParZC+ and the order"}
LABELS = (10, 20, 50)
# The order counts as so many labels times its tau on those that are there. Chosen among 15, 20, 30 and 60, by the taus of all
# places, on other draws than those reported.
WORTH = 30
TREES = 200
WITH_GRAPHS = ("NB201", "NB101")
_RANKERS = {  # as drawn: colour, dashes, marker
    ALONE: (GREY, ":", ""),
    SUMMARIES: (BLUE, "--", "o"),
    BOTH[SUMMARIES]: (BLUE, "-", "s"),
    GRAPHS: (ORANGE, "--", "^"),
    BOTH[GRAPHS]: (ORANGE, "-", "D"),
}


@dataclass(frozen=True)
class Amount:
    """labels: how many are given. draws: of the networks that have them. cells: networks of a place, at most."""

    labels: tuple[int, ...]
    draws: int
    cells: int


AMOUNTS = {"smoke": Amount((10,), 2, 60), "standard": Amount(LABELS, 3, 1000), "full": Amount(LABELS, 10, 3000)}


def few_labels(found: Mapping[str, Judged], profile: str, places: Mapping[str, Place] = PLACES) -> pd.DataFrame:
    """A line for each place, number of labels, draw and ranker: kendall (%), n judged. Half of a place's networks are judged."""
    amount, lines = _amount(profile), []
    for name, one in found.items():
        count = min(len(one.truth), amount.cells)
        known = accuracy(places[name], list(one.networks.votes.index[:count]), judged=False)[0]
        inputs = {SUMMARIES: summaries(one, count)} | graphs(places[name], count)
        for labels in (each for each in amount.labels if 2 * each <= count):
            for draw in range(amount.draws):
                taus, n = _taus(inputs, one.order.score[:count], known, one.truth[:count], labels, draw)
                lines += [
                    {"place": name, "labels": labels, "draw": draw, "ranker": ranker, "kendall": tau, "n": n}
                    for ranker, tau in taus.items()
                ]
    return pd.DataFrame(lines, columns=["place", "labels", "draw", "ranker", "kendall", "n"])


def _taus(
    inputs: Mapping[str, PlusInputs], order: np.ndarray, known: np.ndarray, truth: np.ndarray, labels: int, draw: int
) -> tuple[dict[str, float], int]:
    """Kendall's tau (%) of each ranker on the networks without a label, and how many these are."""
    places = np.random.default_rng([draw, labels]).permutation(len(truth))
    train, rest = places[:labels], np.sort(places[labels:])
    taus, taught = {ALONE: metrics.kendall(order[rest], truth[rest])}, normal_scores(order[rest])
    share = weight(order[train], known[train])
    for ranker, given in inputs.items():
        parts = ("statistics",) if ranker == SUMMARIES else PlusConfig().parts
        model = ParZCPlus(PlusConfig(parts=parts, isomorphic=ranker == GRAPHS, trees=TREES))
        own = normal_scores(model.fit_predict(given, train, known[train], draw)[0][rest])
        taus |= {ranker: metrics.kendall(own, truth[rest]), BOTH[ranker]: metrics.kendall(own + share * taught, truth[rest])}
    return taus, len(rest)


def weight(order: np.ndarray, known: np.ndarray) -> float:
    """How much the order counts beside a ranker that has `known` labels: 0 where it contradicts them; less with more labels."""
    return WORTH * max(0.0, metrics.kendall(order, known) / 100) / len(known)


def summaries(one: Judged, count: int) -> PlusInputs:
    """The features that every space has, of the first `count` networks of a place."""
    features = one.networks.features[:count]
    blocks = {"statistics": features[:, np.ptp(features, axis=0) > 0]}
    return PlusInputs(blocks, blocks, np.arange(count))


def graphs(place: Place, count: int) -> dict[str, PlusInputs]:
    """ParZC+'s own inputs of the same networks, the first of the place; nothing for a place that has no graphs."""
    if place.family not in WITH_GRAPHS:
        return {}
    return {GRAPHS: plus_features(unlabelled(place.space, place.dataset, None, place.width))[np.arange(count)]}


def differences(lines: pd.DataFrame) -> pd.DataFrame:
    """What the order adds to a ranker, on the same draws: place, labels, ranker, mean, low, high (points of tau), n."""
    wide = lines.pivot(index=["place", "labels", "draw"], columns="ranker", values="kendall")
    found = []
    for (place, labels), group in wide.groupby(["place", "labels"], sort=False):
        for ranker, both in BOTH.items():
            if ranker in group and group[ranker].notna().all():
                mean, _, low, high = summarise((group[both] - group[ranker]).tolist())
                found.append((place, labels, ranker, mean, low, high, len(group)))
    return pd.DataFrame(found, columns=["place", "labels", "ranker", "mean", "low", "high", "n"])


def table(lines: pd.DataFrame) -> pd.DataFrame:
    """Mean tau (%) over draws: a row a place and number of labels, a column a ranker."""
    wide = lines.pivot_table(index=["place", "labels"], columns="ranker", values="kendall", sort=False)
    return wide.reindex(columns=[name for name in _RANKERS if name in wide])


def rows(lines: pd.DataFrame, found: Mapping[str, Judged], profile: str) -> Iterator[Row]:
    """Each ranker's mean over draws, and what the order adds."""
    for (place, labels, ranker), group in lines.groupby(["place", "labels", "ranker"], sort=False):
        column, taus = f"{place}, {labels} labels", group["kendall"].tolist()
        note = f"interval over draws; {group['n'].iloc[0]} networks; {found[str(place)].note}"
        yield row_of_runs(TABLE, str(ranker), column, "kendall", taus, profile=profile, origin="ours", note=note)
    for line in differences(lines).to_dict("records"):
        one, column = f"{BOTH[line['ranker']]} - {line['ranker']}", f"{line['place']}, {line['labels']} labels"
        about = {"profile": profile, "origin": "ours", "note": "interval over draws, paired", "runs": line["n"], "n": line["n"]}
        yield Row(TABLE, one, column, "kendall_difference", line["mean"], ci_low=line["low"], ci_high=line["high"], **about)


def sentences(lines: pd.DataFrame) -> list[str]:
    """Where the order helps, a sentence for each ranker and number of labels."""
    said = []
    for (ranker, labels), group in differences(lines).groupby(["ranker", "labels"], sort=False):
        helps, hurts = group[group["low"] > 0], group[group["high"] < 0]
        told = [f"**{ranker}, {labels} labels**: the order helps in {len(helps)} of {len(group)} places{_listed(helps)}"]
        if len(hurts):
            told.append(f"it hurts in {len(hurts)}{_listed(hurts)}")
        said.append(f"{'; '.join(told)}.")
    return said


def figure(lines: pd.DataFrame) -> Figure:
    """Tau by number of labels, a panel a place."""
    expect(len(lines) > 0, "label_free_labels got no rankers; nothing to draw")
    places = list(dict.fromkeys(lines["place"]))
    across = min(4, len(places))
    drawn = new_figure(3.4 * across, 0.9 + 2.5 * -(-len(places) // across))
    panels = np.ravel(drawn.subplots(-(-len(places) // across), across, squeeze=False, sharex=True))
    for ax in panels[len(places) :]:
        ax.set_axis_off()
    for ax, place in zip(panels, places, strict=False):
        here = lines[lines["place"] == place]
        for ranker, (colour, dash, marker) in _RANKERS.items():
            taus = here[here["ranker"] == ranker].groupby("labels")["kendall"]
            if len(taus):
                ax.plot(taus.mean(), color=colour, linestyle=dash, marker=marker, markersize=5, label=ranker)
        ax.set(title=place, xscale="log", xticks=LABELS, xticklabels=[str(each) for each in LABELS])
        ax.minorticks_off()
    for ax in panels[max(0, len(places) - across) : len(places)]:
        ax.tick_params(labelbottom=True)
        ax.set_xlabel("labels")
    for ax in panels[::across]:
        ax.set_ylabel("Kendall's τ (%)")
    known = {label: line for ax in panels for line, label in zip(*ax.get_legend_handles_labels(), strict=True)}
    drawn.legend(known.values(), known.keys(), loc="outside lower center", ncols=3)
    return drawn


def _listed(group: pd.DataFrame) -> str:
    told = "; ".join(f"{line.place} {line.mean:+.1f}" for line in group.itertuples())
    return f" ({told})" if told else ""


def _amount(profile: str) -> Amount:
    return AMOUNTS.get(profile_named(profile).name, AMOUNTS["full"])
