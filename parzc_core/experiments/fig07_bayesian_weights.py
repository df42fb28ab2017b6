"""Figure 7 as this project draws it: what a neuron's histogram of weights is made of."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import ArrayLike

from parzc_core.drawing.style import BLUE, GREY, VERMILION, expect, new_figure


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
        ax.hist(drawn[:, neuron].ravel(), bins=bins, color=BLUE, label="sampled weights")
        ax.plot(mean[neuron], np.zeros(inputs), "|", color="black", markersize=7, markeredgewidth=1, clip_on=False,
                zorder=4, label="learned means")  # fmt: skip
        wide = spread[neuron].mean()
        ax.plot([-wide, wide], [0.93, 0.93], transform=ax.get_xaxis_transform(), color=VERMILION, linewidth=3,
                solid_capstyle="butt", label="mean learned spread, ± 1 std")  # fmt: skip
        ax.axvline(0, color=GREY, linewidth=0.6, zorder=1)
        ax.set_title(f"neuron {neuron + 1}", fontsize=10, fontweight="normal", pad=3)
        ax.locator_params(axis="x", nbins=3)
        ax.tick_params(labelsize=9)
    axes[0, 0].set_ylim(0, axes[0, 0].get_ylim()[1] * 1.15)
    fig.supxlabel("weight value", fontsize=11)
    fig.supylabel(f"count (of {draws} draws of {inputs} weights)", fontsize=11)
    fig.legend(*axes[0, 0].get_legend_handles_labels(), loc="outside upper center", ncols=4)
    return fig
