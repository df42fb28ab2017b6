"""Ranking without labels: an order of untrained networks that is chosen on other spaces than the one it is judged on.

    found = judged("full")                          # {place: what was ordered there, and the accuracy that judges it}
    results, alone, theirs = taus(found, "full"), singles(found), on_their_cells(found, "full")
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from tqdm import tqdm

from parzc_core import metrics
from parzc_core.drawing.style import BLUE, GREEN, GREY, VERMILION, expect, new_figure
from parzc_core.errors import LabelsMissing
from parzc_core.experiments.label_free_inputs import PLACES, Networks, Place, accuracy, inputs
from parzc_core.experiments.label_free_orders import Choice, Known, Order, best_committees, choose, order
from parzc_core.paper import PROXY_LABELS, since
from parzc_core.predictors.label_free import ANY, COUNTS, SPREADS, Committee, agreed, together
from parzc_core.profiles import profile as profile_named
from parzc_core.proxies import NODE_PROXIES
from parzc_core.runs import vit_data
from parzc_core.runs.proxies import ndcg
from parzc_core.spaces import nb201
from parzc_core.storage.rows import Row

TABLE = "label_free"
OURS, VOTES, TAUGHT = "Label-free order", "Votes that agree", "Taught by other spaces"
ANY_VOTES = "Votes that any network has"
ADDED, HINDSIGHT = "Layers, NWOT, Jacov, Synflow added", "Weights and Jacov, chosen in hindsight"
ORDERS = (OURS, VOTES, TAUGHT, ANY_VOTES, ADDED, HINDSIGHT)
NAMES = PROXY_LABELS | dict(
    zip(COUNTS, ("Layers with a gradient", "Weights with a gradient", "Log weights, summed"), strict=True)
)
NAMES |= vit_data.LABELS | {f"{proxy}, nodes": f"Nodes that share {PROXY_LABELS[proxy]}" for proxy in SPREADS}
# Kendall's tau (%) that others print for NAS-Bench-201, in the order of its places.
ELSEWHERE = {name: since.PRINTED[name] for name in ("VKDNW aggregate", "AZ-NAS")}
NB201 = tuple(name for name, place in PLACES.items() if place.family == "NB201")
_STYLES = {OURS: ("o", VERMILION), VOTES: ("s", BLUE), TAUGHT: ("^", GREEN), HINDSIGHT: ("x", GREY)}


@dataclass(frozen=True)
class Amount:
    """cells: networks of a place that are judged, None: all. known: of those that choices are made on. trees, resamples."""

    cells: int | None
    known: int
    trees: int
    resamples: int


AMOUNTS = {"smoke": Amount(120, 60, 4, 20), "standard": Amount(None, 400, 60, 50), "full": Amount(None, 400, 120, 100)}


@dataclass(frozen=True, eq=False)
class Judged:
    """Networks of a place, how they were ordered, by what choice, and what judges: truth float64[n] percent, its note.

    simple: the committees of the votes that any network has.
    """

    networks: Networks
    choice: Choice
    simple: tuple[Committee, ...]
    order: Order
    truth: np.ndarray
    note: str


def judged(profile: str, places: Mapping[str, Place] = PLACES) -> dict[str, Judged]:
    """Every place that has its statistics and labels here, ordered by what the other families decide."""
    amount, found = _amount(profile), dict[str, Judged]()
    networks = _there(places, amount.cells)
    for family in tqdm(dict.fromkeys(one.family for one in networks.values()), unit="family", disable=None):
        own = {name: one for name, one in networks.items() if one.family == family}
        choice = chosen(own, {name: one for name, one in networks.items() if name not in own}, places, amount)
        simple = best_committees(choice.known, ANY)
        for name, one in own.items():
            made = order(one, choice)
            found[name] = Judged(one, choice, simple, made, *accuracy(places[name], list(one.votes.index), judged=True))
    return {name: found[name] for name in networks}


def chosen(
    own: Mapping[str, Networks], others: Mapping[str, Networks], places: Mapping[str, Place], amount: Amount
) -> Choice:
    """The choice for the places of one family, from the labels of the others; Transformers' labels decide nothing.

    Only votes that all places of the family have are considered.
    """
    pool = _votes_of_all(own)
    return choose(_known(others, pool, places, amount), pool, amount.trees)


def _votes_of_all(own: Mapping[str, Networks]) -> list[str]:
    return [str(vote) for vote in next(iter(own.values())).votes if all(vote in one.votes for one in own.values())]


def committees_to_keep(
    networks: Mapping[str, Networks], places: Mapping[str, Place] = PLACES
) -> dict[str, tuple[Committee, ...]]:
    """What `predictors/committees.json` keeps: those of each space that is searched, and ("") those of any network.

    networks: of all places, as many as they have.
    """
    amount, kept = _amount("full"), {}
    for family, space in (("NB201", "nb201"), ("NB101", "nb101")):
        pool = _votes_of_all({name: one for name, one in networks.items() if one.family == family})
        others = {name: one for name, one in networks.items() if one.family != family}
        kept[space] = best_committees(_known(others, pool, places, amount), pool)
    return kept | {"": best_committees(_known(networks, ANY, places, amount), ANY)}


def _known(networks: Mapping[str, Networks], pool: Sequence[str], places: Mapping[str, Place], amount: Amount) -> list[Known]:
    """The first networks of each place with their accuracy; those of Transformers decide nothing."""
    found = []
    for name, one in networks.items():
        if places[name].truth is None:
            front = one.front(amount.known, [vote for vote in pool if vote in one.votes])
            found.append(Known(front, accuracy(places[name], list(front.votes.index), judged=False)[0]))
    return found


def scores(one: Judged) -> dict[str, np.ndarray]:
    """{name: float64[n]} of ORDERS that the place has the votes for."""
    found = {OURS: one.order.score, VOTES: one.order.agreed, TAUGHT: one.order.taught}
    found[ANY_VOTES] = together(one.networks.votes, one.simple)[0]
    singles = single(one.networks)
    parts = ("Layers with a gradient", *(PROXY_LABELS[name] for name in ("nwot", "jacov", "synflow")))
    if all(part in singles for part in parts):
        found[ADDED] = sum((singles[part].rank().to_numpy() for part in parts), np.zeros(len(one.truth)))
    if "jacov" in one.networks.votes:
        found[HINDSIGHT] = agreed(one.networks.votes, Committee(("weights", "jacov"), 0.0, 0.0))[0]
    return found


def single(networks: Networks) -> pd.DataFrame:
    """Every single proxy: each vote, and each node-wise proxy's sum of magnitudes (as ranks)."""
    votes = networks.votes.rename(columns=NAMES)
    sums = {
        PROXY_LABELS[proxy]: networks.features[:, networks.names.index(f"{proxy}, total")].astype(float)
        for proxy in NODE_PROXIES
    }
    table = votes.join(pd.DataFrame(sums, index=votes.index))
    return table.loc[:, table.nunique() > 1]


def taus(found: Mapping[str, Judged], profile: str) -> pd.DataFrame:
    """A line for each place and order: place, order, kendall, ndcg, each with its 95 % interval over networks, n."""
    resamples, lines = _amount(profile).resamples, []
    for place, one in found.items():
        for name, score in scores(one).items():
            line: dict[str, Any] = {"place": place, "order": name, "n": len(one.truth)}
            for metric, statistic in (("kendall", metrics.kendall), ("ndcg", ndcg)):
                low, high = metrics.bootstrap_interval(statistic, score, one.truth, resamples)
                line |= {metric: statistic(score, one.truth), f"{metric} low": low, f"{metric} high": high}
            lines.append(line)
    return pd.DataFrame(lines)


def on_their_cells(found: Mapping[str, Judged], profile: str) -> pd.DataFrame:
    """Tau on the cells that ELSEWHERE is printed for, those of NAS-Bench-201 without an operation that leads nowhere.

    A line for each place and order: place, order, kendall, low, high (95 % over cells), n, printed (NaN for our orders). The
    single proxies that are printed too show that the cells are the same; their FLOPs leave pooling out, as Params do.
    """
    same = {since.ORDERED_AS.get(name, name): name for name in ("FLOPs", "Jacov", "NWOT", "Synflow")}
    lines = []
    for place in [name for name in NB201 if name in found]:
        one = found[place]
        keep = np.array([not nb201.leads_nowhere(str(arch)) for arch in one.networks.votes.index])
        made, alone = scores(one), single(one.networks)
        orders = {name: made[name] for name in (OURS, VOTES, ANY_VOTES)}
        orders |= {name: alone[name].to_numpy(dtype=float) for name in same if name in alone}
        for name, score in orders.items():
            judged = (score[keep], one.truth[keep])
            low, high = metrics.bootstrap_interval(metrics.kendall, *judged, _amount(profile).resamples)
            printed = since.PRINTED[same[name]][NB201.index(place)] if name in same else np.nan
            lines.append((place, name, metrics.kendall(*judged), low, high, int(keep.sum()), printed))
    return pd.DataFrame(lines, columns=["place", "order", "kendall", "low", "high", "n", "printed"])


def beside_theirs(theirs: pd.DataFrame) -> pd.DataFrame:
    """What `on_their_cells` found, and what others print, a row an order: "73.1 [72.4, 73.9]", or "62.1 [61.2, 63.0] (62.3)"."""
    said = [since.beside(*line) for line in theirs[["kendall", "low", "high", "printed"]].itertuples(index=False)]
    table = theirs.assign(said=said).pivot(index="order", columns="place", values="said")
    table = table.loc[list(dict.fromkeys(theirs["order"])), list(dict.fromkeys(theirs["place"]))]
    for name, values in ELSEWHERE.items():
        table.loc[name] = pd.Series({place: f"({value:.1f})" for place, value in zip(NB201, values, strict=True)})
    return table


def singles(found: Mapping[str, Judged]) -> pd.DataFrame:
    """A line for each place and single proxy: place, order, kendall, ndcg, n."""
    lines = []
    for place, one in found.items():
        for name, column in single(one.networks).items():
            score = column.to_numpy(dtype=float)
            tau, n = metrics.kendall(score, one.truth), int(np.isfinite(score).sum())
            lines.append({"place": place, "order": str(name), "kendall": tau, "ndcg": ndcg(score, one.truth), "n": n})
    return pd.DataFrame(lines)


def choices(found: Mapping[str, Judged]) -> pd.DataFrame:
    """A line a place: what was decided for it, on which other families."""
    lines = {}
    for place, one in found.items():
        made, choice = one.order, one.choice
        weights = sorted(made.weights.items(), key=lambda each: -each[1])
        asked = dict.fromkeys(vote for committee in choice.committees for vote in committee.votes)
        lines[place] = {
            "chosen on": _chosen_on(one),
            "votes that speak": ", ".join(f"{_name(name)} {weight:.2f}" for name, weight in weights if weight > 0),
            "silent": ", ".join(_name(name) for name in asked if name not in made.weights),
            "features": made.features,
            "agreement": made.agreement,
            "trusted from": choice.least,
            "decides": "taught ranker" if made.trusted else "votes, it among them",
        }
    return pd.DataFrame.from_dict(lines, orient="index")


def best_single(alone: pd.DataFrame) -> pd.DataFrame:
    """Of each place the single proxy with the highest tau, in hindsight: index place, columns order, kendall, ndcg."""
    return alone.loc[alone.groupby("place", sort=False)["kendall"].idxmax()].set_index("place")[["order", "kendall", "ndcg"]]


def rows(
    results: pd.DataFrame, alone: pd.DataFrame, theirs: pd.DataFrame, found: Mapping[str, Judged], profile: str
) -> Iterator[Row]:
    """What `taus`, `singles` and `on_their_cells` found, as rows."""
    for line in results.to_dict("records"):
        one = found[line["place"]]
        made = partial(Row, TABLE, line["order"], line["place"], n=line["n"], profile=profile, origin="ours")
        if line["order"] == HINDSIGHT:
            how = "chosen with NAS-Bench-201's labels: no label-free order"
        elif line["order"] == ADDED:
            how = "ranks added, nothing chosen"
        else:
            how = f"chosen on {_chosen_on(one)}"
        note = f"n networks, interval over them; {how}; {one.note}"
        for metric in ("kendall", "ndcg"):
            yield made(metric, line[metric], ci_low=line[f"{metric} low"], ci_high=line[f"{metric} high"], note=note)
    for line in theirs.to_dict("records"):
        note = f"n cells without an operation that leads nowhere, interval over them; {found[line['place']].note}"
        made = partial(Row, TABLE, line["order"], line["place"] + since.THEIRS, n=line["n"], profile=profile, origin="ours")
        yield made("kendall", line["kendall"], ci_low=line["low"], ci_high=line["high"], note=note)
    for line in alone.to_dict("records"):
        note = f"n networks; {found[line['place']].note}"
        for metric in ("kendall", "ndcg"):
            if np.isfinite(line[metric]):
                made = partial(Row, TABLE, line["order"], line["place"], n=line["n"], profile=profile, origin="ours")
                yield made(metric, line[metric], note=note)


def beside(results: pd.DataFrame, alone: pd.DataFrame) -> pd.DataFrame:
    """Kendall's tau (%), a row a place: every order, and the best single proxy in hindsight."""
    table = results.pivot(index="place", columns="order", values="kendall").reindex(columns=ORDERS)
    table = table.loc[list(dict.fromkeys(results["place"]))]
    table["best single proxy"] = best_single(alone)["kendall"]
    table["which"] = best_single(alone)["order"]
    return table


def conclusions(
    results: pd.DataFrame, alone: pd.DataFrame, theirs: pd.DataFrame, found: Mapping[str, Judged]
) -> list[str]:
    """What was measured, a sentence or two each."""
    tau = results.pivot(index="place", columns="order", values="kendall")
    best, there = best_single(alone), [name for name in NB201 if name in found]
    said = []
    if there:
        ours = ", ".join(f"{tau[OURS][name]:.1f}" for name in there)
        others = "; ".join(f"{name} {', '.join(f'{value:.1f}' for value in values)}" for name, values in ELSEWHERE.items())
        same = ", ".join(f"{value:.1f}" for value in theirs[theirs["order"] == OURS]["kendall"])
        hindsight = ", ".join(f"{tau[HINDSIGHT][name]:.1f}" for name in there)
        said.append(f"**NAS-Bench-201** is ordered with a tau of {ours} on its three data sets, without any of its labels.")
        said.append(f"**Beside others.** On the cells that VKDNW's paper judges our order has {same}. It prints {others}.")
        choice = found[there[0]].choice
        heard = sum("jacov" in together(one.networks.votes, choice.committees)[1] for one in choice.known)
        said.append(
            f"**In hindsight** two votes alone, the weights that get a gradient and Jacov, give {hindsight}. Other spaces do not "
            f"suggest this pair: Jacov agrees with the other votes in {heard} of {len(choice.known)} of them and is dropped in "
            "the others."
        )
    low = results.pivot(index="place", columns="order", values="kendall low")[OURS]
    clear = [name for name in found if float(low[name]) > float(best["kendall"][name])]
    ahead = [name for name in found if name not in clear and float(tau[OURS][name]) > float(best["kendall"][name])]
    said.append(
        f"**The best single proxy**, chosen in hindsight, is below the interval of our order in {len(clear)} of {len(found)} "
        f"places ({'; '.join(clear) or 'none'}). In {len(ahead)} more its tau is lower, but inside the interval "
        f"({'; '.join(ahead) or 'none'})."
    )
    params = alone[alone["order"] == PROXY_LABELS["params"]].set_index("place")["kendall"]
    above = [name for name in found if float(tau[ANY_VOTES][name]) > float(params[name])]
    said.append(
        "**For networks of any kind** `order_networks` takes only the votes that every network has, without NWOT and Jacov. "
        f"It is better than the number of parameters in {len(above)} of {len(found)} places ({'; '.join(above) or 'none'})."
    )
    trusted = [name for name, one in found.items() if one.order.trusted]
    said.append(
        f"**The ranker taught by other spaces** decides alone in {'; '.join(trusted) or 'no place'}. Elsewhere it does not agree "
        "closely enough with the votes."
    )
    return said


def overview(results: pd.DataFrame, alone: pd.DataFrame) -> Figure:
    """Left Kendall's tau, right nDCG of the best tenth, a line a place: the order, its parts, and the best single proxy."""
    expect(len(results) > 0 and len(alone) > 0, "overview got no orders or no single proxies; nothing to draw")
    places = list(dict.fromkeys(results["place"]))
    figure = new_figure(12.5, 1.8 + 0.42 * len(places))
    axes = figure.subplots(1, 2, sharey=True)
    height = {place: len(places) - 1 - k for k, place in enumerate(places)}
    best = best_single(alone)
    for ax, metric, label in zip(axes, ("kendall", "ndcg"), ("Kendall's τ (%)", "nDCG of the best tenth (%)"), strict=True):
        for k, (name, (marker, colour)) in enumerate(_STYLES.items()):
            part = results[results["order"] == name]
            at = [height[place] + 0.24 - 0.16 * k for place in part["place"]]
            bars = np.abs(np.stack([part[metric] - part[f"{metric} low"], part[f"{metric} high"] - part[metric]]))
            ax.errorbar(part[metric], at, xerr=bars, fmt=marker, color=colour, markersize=6, linewidth=1.1, label=name)
        at = [height[place] for place in best.index]
        ax.plot(best[metric], at, "|", color="black", markersize=15, label="best single proxy, in hindsight")
        ax.axvline(0, color=GREY, linewidth=0.8)
        ax.set_xlabel(label)
    axes[0].set(yticks=list(height.values()), yticklabels=places)
    figure.legend(*axes[0].get_legend_handles_labels(), loc="outside lower center", ncols=3)
    return figure


def _there(places: Mapping[str, Place], cells: int | None) -> dict[str, Networks]:
    """Those with labels and statistics on this machine."""
    found = {}
    for name, place in places.items():
        try:
            accuracy(place, [], judged=True)
            found[name] = inputs(place, cells)
        except LabelsMissing:
            continue
    return found


def _chosen_on(one: Judged) -> str:
    """The families whose labels decided, in order."""
    return ", ".join(dict.fromkeys(each.networks.family for each in one.choice.known))


def _name(vote: str) -> str:
    return NAMES.get(vote, vote)


def _amount(profile: str) -> Amount:
    return AMOUNTS.get(profile_named(profile).name, AMOUNTS["full"])
