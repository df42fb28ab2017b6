"""Small networks on scikit-learn's digits, with which `search_your_own` shows how to rank one's own.

    networks = built(widths=(4, 16), depths=(1, 2, 3))
    accuracies = [trained_accuracy(network, images, labels, train, test, epochs=2) for network in networks.values()]
"""

import copy
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from sklearn.datasets import load_digits
from torch import nn

from parzc_core import metrics
from parzc_core.drawing.style import BLUE, GREY, ORANGE, new_figure
from parzc_core.own import Described, NetworkRanker
from parzc_core.own.networks import COUNTS

CLASSES, SIDE = 10, 8  # of the digits; pixels
KINDS = ("perceptron", "convolution")
ACTIVATIONS = (nn.ReLU, nn.Tanh, nn.Sigmoid)
SUMS = ("params", "synflow", "snip", "grad_norm")  # scores without training that are judged beside the rankings


def built(widths: Sequence[int], depths: Sequence[int]) -> dict[str, nn.Sequential]:
    """{"convolution 2x16 ReLU": network} of every kind, activation, width and depth; initial weights are torch's draws."""
    return {
        f"{kind} {depth}x{width} {act.__name__}": network(kind, depth, width, act)
        for kind in KINDS
        for act in ACTIVATIONS
        for width in widths
        for depth in depths
    }


def network(kind: str, depth: int, width: int, act: type[nn.Module]) -> nn.Sequential:
    """A perceptron or a convolutional network of `depth` layers of `width`: float32[N, 1, 8, 8] to logits [N, 10]."""
    if kind == "perceptron":
        layers = [layer for i in range(depth) for layer in (nn.Linear(width if i else SIDE**2, width), act())]
        return nn.Sequential(nn.Flatten(), *layers, nn.Linear(width, CLASSES))
    layers = [layer for i in range(depth) for layer in (nn.Conv2d(width if i else 1, width, 3, padding=1), act())]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(4 * width, CLASSES))


def digits() -> tuple[torch.Tensor, torch.Tensor]:
    """(images float32[1797, 1, 8, 8] in [0, 1], labels int64[1797])."""
    found = load_digits()
    return torch.tensor(found.images / 16, dtype=torch.float32).unsqueeze(1), torch.tensor(found.target)


def trained_accuracy(
    network: nn.Module, images: torch.Tensor, labels: torch.Tensor, train: torch.Tensor, test: torch.Tensor, epochs: int
) -> float:
    """Test accuracy, percent, of a copy that is trained on the images at `train` and judged on those at `test`."""
    trained = copy.deepcopy(network)
    optimizer = torch.optim.Adam(trained.parameters(), lr=1e-2)
    for batch in [part for _ in range(epochs) for part in train[torch.randperm(len(train))].split(32)]:
        optimizer.zero_grad()
        nn.functional.cross_entropy(trained(images[batch]), labels[batch]).backward()
        optimizer.step()
    return 100 * (trained(images[test]).argmax(1) == labels[test]).float().mean().item()


def taus(unseen: pd.DataFrame, scores: Sequence[str]) -> pd.DataFrame:
    """Kendall's tau (%) with measured accuracy and its 95 % interval over networks, of `scores` and SUMS; columns of `unseen`."""
    truth = unseen["measured"].to_numpy()
    lines = {}
    for name in (*scores, *SUMS):
        score = unseen[name].to_numpy()
        interval = metrics.bootstrap_interval(metrics.kendall, score, truth)
        lines[name] = (metrics.kendall(score, truth), *interval)
    return pd.DataFrame.from_dict(lines, orient="index", columns=["tau (%)", "ci_low", "ci_high"])


def over_draws(described: Described, measured: Sequence[float], known: int, draws: int) -> pd.DataFrame:
    """A row a draw of the networks whose accuracy is given: tau (%) on the others of `rank_networks`, of params and of flops.

    described, measured: all networks, in one order. The first draw gives the first `known`; the others are random.
    """
    truth, drawn, lines = np.array(measured), np.random.default_rng(0), []
    for draw in range(draws):
        order = drawn.permutation(len(truth)) if draw else np.arange(len(truth))
        given, others = order[:known], order[known:]
        ranker = NetworkRanker.fit(described, {described.names[i]: truth[i] for i in given})
        assert ranker.ranking is not None
        scores = {"ranking": ranker.ranking["score"], **{name: ranker.ranking[name] for name in COUNTS}}
        lines.append({name: metrics.kendall(score.to_numpy()[others], truth[others]) for name, score in scores.items()})
    return pd.DataFrame(lines, index=pd.RangeIndex(1, draws + 1, name="draw"))


def over_draws_said(found: pd.DataFrame, known: int) -> str:
    """The mean of `over_draws` and its range, in a sentence."""
    mean, tau = found.mean(), found["ranking"]
    others = " and ".join(f"{name} {mean[name]:.1f}" for name in COUNTS)
    return (
        f"**Over {len(found)} draws of {known} given accuracies** the ranking has a mean tau of {mean['ranking']:.1f} % "
        f"({tau.min():.1f} to {tau.max():.1f}) on the other networks; {others}."
    )


def conclusions(found: pd.DataFrame, pairs: pd.DataFrame) -> list[str]:
    """What the ranking is worth, in two sentences. found: of `taus`, ParZC's scores first. pairs: of `sure_pairs`."""
    tau, right = found["tau (%)"], pairs["order right (%)"]
    ours = [name for name in tau.index if str(name).startswith("ParZC")]
    best = str(tau.drop(ours).idxmax())
    said = ", ".join(f"{name} {tau[name]:.0f}" for name in ours)
    return [
        f"**Tau on networks whose accuracy was not given:** {said}; {best} alone has {tau[best]:.0f} and needs no accuracy.",
        f"**Pairs in the right order:** {right['sure']:.0f} % of those that the ranking is sure of, {right['not sure']:.0f} % of "
        "the others. Sure pairs should nearly all be right.",
    ]


def predicted_and_measured(ranking: pd.DataFrame) -> Figure:
    """Score against measured accuracy, bars of two spreads, and crosses for the networks whose accuracy was given.

    ranking: of `rank_networks`, indexed by the names that `built` gives, with measured accuracy.
    """
    unseen = ranking[ranking["accuracy"].isna()]
    figure = new_figure(7.2, 4.4)
    ax = figure.subplots()
    looks: Mapping[str, tuple[str, str]] = {"perceptron": ("o", BLUE), "convolution": ("s", ORANGE)}
    for kind, (marker, colour) in looks.items():
        part = unseen[unseen.index.str.startswith(kind)]
        bars, label = 2 * part["spread"], f"{kind}, not given"
        ax.errorbar(part["measured"], part["score"], bars, fmt=marker, color=colour, label=label)
    given = len(ranking) - len(unseen)
    ax.plot(ranking["accuracy"], ranking["score"], "x", color=GREY, label=f"the {given} given")
    ax.set(xlabel="measured accuracy (%)", ylabel="score (standard deviations)")
    ax.set_title("Predicted and measured; bars: ± 2 spreads")
    figure.legend(loc="outside lower center", ncols=3)
    return figure
