"""Figures 4 and 8: a ranker's order of the cells it has not seen against their true accuracy, over a space and its top.

    plan = planned("full")
    found = dict(zip(plan, predict_unseen(list(plan.values()), store), strict=True))
    taus = correlations(found)
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from parzc_core.collecting.labelled import judgeable
from parzc_core.drawing.ranks import rank_scatter
from parzc_core.drawing.style import expect, new_figure
from parzc_core.profiles import profile as profile_named
from parzc_core.report.verdicts import Ours, judge
from parzc_core.runs.predictions import Prediction, predict_unseen
from parzc_core.runs.proxies import EPOCHS, column_of
from parzc_core.runs.rankers import RankerRun
from parzc_core.storage.rows import Row, summarise

FIGURE_4, FIGURE_8 = "fig04_rank_correlation", "fig08_rank_correlation"
PRINTED = 78.24  # tau of figure 4, §4.4
# Panel -> space, data set, and channels of the networks whose statistics are read.
PANELS: dict[str, tuple[str, str, int | None]] = {
    "CIFAR-10": ("nb201", "cifar10", None),
    "CIFAR-100": ("nb201", "cifar100", None),
    "ImageNet16-120": ("nb201", "imagenet16-120", None),
    "NAS-Bench-101": ("nb101", "cifar10", 32),
}
MOST, ENOUGH = 15625, 1000  # cells that are used, and that a panel needs where the profile does not say
TRAIN, SHARE = 600, 0.6  # training cells, and their share at most: A.4


def cells_at_hand(profile: str) -> dict[str, int]:
    """{panel: cells with statistics and labels, at most as many as the profile uses}."""
    wanted = profile_named(profile).cells or MOST
    return {title: min(judgeable(*where), wanted) for title, where in PANELS.items()}


def planned(profile: str) -> dict[str, RankerRun]:
    """{panel: its ranker}; a panel of which too few cells are at hand is left out (see `left_out`)."""
    sizes, plan = profile_named(profile), {}
    for title, cells in cells_at_hand(profile).items():
        if cells >= (sizes.cells or ENOUGH):
            space, dataset, width = PANELS[title]
            train = min(TRAIN, int(SHARE * cells))
            epochs = sizes.epochs(EPOCHS[space], train)
            plan[title] = RankerRun(space, dataset, cells, train, size=sizes.model, width=width, epochs=epochs)
    return plan


def left_out(profile: str) -> dict[str, str]:
    """{panel that is not planned: why}."""
    enough, plan = profile_named(profile).cells or ENOUGH, planned(profile)
    return {
        title: f"{cells} cells with statistics and labels, {enough} needed"
        for title, cells in cells_at_hand(profile).items()
        if title not in plan
    }


def run(plan: Mapping[str, RankerRun], store: Path, jobs: int = 1) -> dict[str, Prediction]:
    """{panel: scores of the cells that its ranker was not trained on}; see `predict_unseen`."""
    return dict(zip(plan, predict_unseen(list(plan.values()), store, jobs), strict=True))


def correlations(found: Mapping[str, Prediction]) -> pd.DataFrame:
    """`Prediction.correlations` of every panel; index (panel, population), percent."""
    return pd.concat({title: item.correlations() for title, item in found.items()})


def beside_print(numbers: pd.DataFrame) -> str:
    """The printed tau of figure 4 beside ours, and its verdict, in words. numbers: of `correlations`, of one panel."""
    tau, low, high = _interval(numbers, "all unseen")
    verdict = judge(PRINTED, Ours(tau, low, high, runs=1), "trained correlation")
    return f"paper {PRINTED:.1f} %, ours {tau:.1f} % [{low:.1f}, {high:.1f}]: {': '.join(filter(None, verdict))}"


def search(found: Mapping[str, Prediction], best: int = 10) -> pd.DataFrame:
    """What training only the cells that a ranker likes best gives, a column a panel; see `Prediction.search`."""
    return pd.DataFrame({title: item.search(best) for title, item in found.items()})


def rows(figure: str, found: Mapping[str, Prediction], numbers: pd.DataFrame, profile: str) -> list[Row]:
    """The rows of FIGURE_4, which has the first panel alone, or of FIGURE_8: tau of each population, and the printed one.

    Of each panel also the share of the truly best 1 % of the cells that are in the tenth predicted best.
    """
    made, about = [], {"profile": profile, "origin": "reproduced"}
    titles: Sequence[str] = list(found) if figure == FIGURE_8 else list(PANELS)[:1]
    for title in titles:
        run, note = found[title].run, f"{found[title].note}; n is the number of cells judged; interval over cells"
        column = column_of(run.space, run.dataset)
        for what, line in numbers.loc[title].iterrows():
            rest: dict[str, Any] = {"ci_low": line["ci_low"], "ci_high": line["ci_high"], "seed": run.split, **about}
            place = (figure, "ParZC", f"{column} {what}", "kendall")
            made.append(Row(*place, line["kendall"], n=int(line["cells"]), note=note, **rest))
        best = found[title].found()
        share = summarise((100.0 * best).tolist())
        rest = {"ci_low": share.ci_low, "ci_high": share.ci_high, "seed": run.split, "profile": profile, "origin": "ours"}
        said = "share of the truly best 1 % of the unseen cells; n is their number; interval over them"
        place = (figure, "ParZC", f"{column} best 1% in predicted best 10%", "recall")
        made.append(Row(*place, share.mean, n=len(best), note=said, **rest))
    quoted: dict[str, Any] = {"profile": profile, "origin": "quoted", "note": "printed in Section 4.4"}
    return [*made, Row(figure, "ParZC (paper)", "NB201-CF10 all unseen", "kendall", PRINTED, **quoted)]


def space_and_top(item: Prediction, numbers: pd.DataFrame) -> Figure:
    """Figure 4: left all the cells that the ranker has not seen, right the truly best tenth, ranked among themselves.

    numbers: of `correlations`, of this panel: each half is titled with its tau and interval.
    """
    figure = new_figure(11, 4.6)
    halves = {"all unseen": "the space", "top 10%": "its top 10 %"}
    for ax, (what, name) in zip(figure.subplots(1, 2), halves.items(), strict=True):
        chosen, (tau, low, high) = item.populations()[what], _interval(numbers, what)
        title = f"{name}: τ = {tau:.1f} % [{low:.1f}, {high:.1f}]"
        rank_scatter(item.score[chosen], item.truth[chosen], 10, title, tau, ax)
    return figure


def rank_scatter_grid(
    panels: Mapping[str, tuple[ArrayLike, ArrayLike]], top_fraction: float = 0.1, best: int = 10
) -> Figure:
    """Figure 8: per data set one panel over all the cells given and one over its truly best `top_fraction`.

    panels: title -> (predicted float[n], truth float[n] in percent). Ranks and tau of a lower panel are among its own
    cells; the same cells carry the stars in both. One data set is drawn side by side, several in two rows.
    """
    expect(len(panels) > 0, "rank_scatter_grid got no panel; give at least one")
    expect(0 < top_fraction < 1, f"top_fraction should lie between 0 and 1, got {top_fraction}")
    count = len(panels)
    fig = new_figure(10.4, 4.3) if count == 1 else new_figure(4.4 * count, 8)
    axes = fig.subplots(1, 2, squeeze=False).T if count == 1 else fig.subplots(2, count, squeeze=False)
    for (whole, top), (title, (predicted, truth)) in zip(axes.T, panels.items(), strict=True):
        scores, accuracy = np.asarray(predicted, dtype=float), np.asarray(truth, dtype=float)
        rank_scatter(scores, accuracy, best, f"{title}: all judged cells", ax=whole)
        upper = accuracy >= np.nanquantile(accuracy, 1 - top_fraction)
        rank_scatter(scores[upper], accuracy[upper], best, f"{title}: top {top_fraction:.0%}", ax=top)
    return fig


def _interval(numbers: pd.DataFrame, what: str) -> tuple[float, float, float]:
    """Tau and both ends of its interval, of one population."""
    line = numbers.to_dict("index")[what]
    return float(line["kendall"]), float(line["ci_low"]), float(line["ci_high"])
