"""Figure 7: what a Bayesian layer learns about uncertainty, and what a neuron's histogram of weights is made of.

    run = planned("full")
    rankers = {DECAYED: ranker, CONTROL: control}
    table = spreads(layers_of(rankers))
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import seaborn
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from parzc_core import metrics
from parzc_core.drawing.style import BLUE, GREY, VERMILION, expect, new_figure
from parzc_core.mabn import BayesianLinear
from parzc_core.profiles import profile as profile_named
from parzc_core.runs.rankers import RankerRun
from parzc_core.storage.rows import Row
from parzc_core.training import FittedRanker

FIGURE = "fig07_bayesian_weights"
DECAYED, CONTROL = "weight decay 1e-3", "no weight decay"
START = -5.0  # rho, before training
BATCH, EPOCHS = 10, 200  # §4.1

Layers = dict[tuple[str, str], BayesianLinear]  # (ranker, "first" or "last") -> its Bayesian layer


def planned(profile: str) -> RankerRun:
    """The full model: on 600 training cells in "full" and "paper", else on 78."""
    sizes, train = profile_named(profile), 600 if profile in ("full", "paper") else 78
    return RankerRun(cells=sizes.cells, train=train, size=sizes.model, epochs=sizes.epochs(EPOCHS, train))


def layers_of(rankers: Mapping[str, FittedRanker]) -> Layers:
    """Both Bayesian layers of every ranker: before its mixer ("first") and behind it ("last")."""
    found: Layers = {}
    for name, ranker in rankers.items():
        branch: Any = ranker.model.statistics
        found |= {(name, "first"): branch.before, (name, "last"): branch.after}
    return found


def spreads(layers: Layers) -> pd.DataFrame:
    """A row a layer: mean, least and most of rho, mean learned spread, and std of the means within a neuron."""
    lines = {}
    for key, layer in layers.items():
        rho = layer.rho.detach().double().numpy()
        lines[key] = {
            "rho, mean": rho.mean(),
            "rho, least": rho.min(),
            "rho, most": rho.max(),
            "spread, mean": float(layer.sigma.detach().mean()),
            "std of the means in a neuron": float(layer.mu.detach().std(dim=1).mean()),
        }
    return pd.DataFrame(lines).T


def movement(table: pd.DataFrame, run: RankerRun) -> str:
    """How far rho of the last layer moved beside what weight decay alone does, in words. table: of `spreads`.

    Adam moves a parameter by about the learning rate a step where its gradient keeps its sign; a cosine schedule halves it.
    """
    line = table.to_dict("index")[DECAYED, "last"]
    steps = run.epochs * math.ceil(run.train / BATCH)
    moved, alone, apart = line["rho, mean"] - START, run.learning_rate * steps / 2, line["rho, most"] - line["rho, least"]
    return (
        f"rho of the last layer moved by {moved:+.4f} in {steps:,} steps; by weight decay alone: {alone:+.4f}.\n"
        f"All its weights moved alike: largest minus smallest rho is {apart:.1e}."
    )


def spread_and_misplacement(score: np.ndarray, spread: np.ndarray, truth: np.ndarray) -> metrics.Correlations:
    """How the predicted spread of a score and the distance between its predicted and its true rank go together."""
    places = [pd.Series(values).rank().to_numpy() for values in (score, truth)]
    return metrics.correlations(spread, np.abs(places[0] - places[1]))


def rows(table: pd.DataFrame, knows: metrics.Correlations, run: RankerRun, note: str, profile: str) -> list[Row]:
    """The rows of the figure: of `spreads` and of `spread_and_misplacement`. note: what judges."""
    common: dict[str, Any] = {"profile": profile, "origin": "reproduced", "seed": run.split}
    shown = (
        ("rho", "rho, mean", "mean over the layer; starts at -5"),
        ("spread", "spread, mean", "mean learned standard deviation of a weight"),
        ("std_of_means", "std of the means in a neuron", "mean over neurons"),
    )
    lines: dict[Any, dict[Any, float]] = table.to_dict("index")
    made = []
    for (name, part), line in lines.items():
        for metric, field, said in shown:
            about = {**common, "unit": "1", "n": run.train, "note": f"{said}; n training cells"}
            made.append(Row(FIGURE, f"{part} layer", name, metric, line[field], **about))
    place = (FIGURE, "predicted spread", "rank error", "spearman")
    return [*made, Row(*place, knows.spearman, n=knows.n, unit="%", note=f"{note}; n cells", **common)]


def neuron_weights(mu: ArrayLike, sigma: ArrayLike, draws: int = 400, seed: int = 0) -> Figure:
    """A panel a neuron: sampled values of all its weights, the initial range, and the learned spread to scale.

    mu, sigma: float[n, inputs], learned mean and standard deviation of every weight of n neurons. The bar in each panel is as
    long as two learned standard deviations (their mean over the neuron's weights); all panels share both axes.
    """
    mean, spread = np.asarray(mu, dtype=float), np.asarray(sigma, dtype=float)
    expect(mean.ndim == 2 and mean.size > 0, f"neuron_weights got means of shape {mean.shape}; expected [n, inputs]")
    expect(spread.shape == mean.shape, f"neuron_weights got spreads of shape {spread.shape} for means {mean.shape}")
    count, inputs = mean.shape
    drawn = mean + spread * np.random.default_rng(seed).standard_normal((draws, *mean.shape))
    columns = min(7, count)
    rows = -(-count // columns)
    fig = new_figure(1 + 1.75 * columns, 1.1 + 1.5 * rows)
    axes = fig.subplots(rows, columns, squeeze=False, sharex=True, sharey=True)
    start = 1 / np.sqrt(inputs)  # kaiming_uniform with a = sqrt(5) draws from [-1 / sqrt(inputs), 1 / sqrt(inputs)]
    edge = max(float(np.abs(drawn).max()), start) * 1.05
    bins = np.linspace(-edge, edge, 91).tolist()
    for neuron, ax in enumerate(axes.flat):
        if neuron >= count:
            ax.set_axis_off()
            continue
        ax.axvspan(-start, start, color="#EEF2F6", linewidth=0, zorder=0, label="range of the initial means")
        seaborn.histplot(x=drawn[:, neuron].ravel(), bins=bins, color=BLUE, alpha=1, linewidth=0, ax=ax, label="sampled weights")
        ax.plot(mean[neuron], np.zeros(inputs), "|", color="black", markersize=7, markeredgewidth=1, clip_on=False,
                zorder=4, label="learned means")  # fmt: skip
        wide = spread[neuron].mean()
        ax.plot([-wide, wide], [0.93, 0.93], transform=ax.get_xaxis_transform(), color=VERMILION, linewidth=3,
                solid_capstyle="butt", label="mean learned spread, ± 1 std")  # fmt: skip
        ax.axvline(0, color=GREY, linewidth=0.6, zorder=1)
        ax.set_title(f"neuron {neuron + 1}", fontsize=10, fontweight="normal", pad=3)
        ax.set_ylabel("")
        ax.locator_params(axis="x", nbins=3)
        ax.tick_params(labelsize=9)
    axes[0, 0].set_ylim(0, axes[0, 0].get_ylim()[1] * 1.15)
    fig.supxlabel("weight value", fontsize=11)
    fig.supylabel(f"count (of {draws} draws of {inputs} weights)", fontsize=11)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return fig
