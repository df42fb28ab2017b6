"""A space of your own, perceptrons on digits: collected once into a folder, ranked from the accuracies of 20."""

from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier
from torch import nn

from parzc_core import NetworkRanker, collect_space


class Perceptrons:
    def sample(self, count: int, seed: int) -> list[str]:
        every = [f"{depth}x{width}" for depth in range(1, 7) for width in range(2, 42, 2)]
        return np.random.default_rng(seed).permutation(every)[:count].tolist()

    def build(self, arch: str) -> nn.Module:
        sizes = [64, *layers_of(arch), 10]
        layers = [layer for pair in pairwise(sizes) for layer in (nn.Linear(*pair), nn.ReLU())]
        return nn.Sequential(nn.Flatten(), *layers[:-1])


def layers_of(arch: str) -> list[int]:
    depth, width = map(int, arch.split("x"))
    return [width] * depth


if __name__ == "__main__":
    x, y = load_digits(return_X_y=True)
    images, labels = torch.tensor(x[:64] / 16, dtype=torch.float32), torch.tensor(y[:64])
    described = collect_space(Perceptrons(), images, labels, "perceptrons", count=100, jobs=2)
    trained = [MLPClassifier(layers_of(a), max_iter=30).fit(x[:300], y[:300]) for a in described.names[:20]]
    accuracies = pd.Series([100 * m.score(x[300:], y[300:]) for m in trained], described.names[:20])
    for ranker in ("parzc+", "mabn"):
        print(NetworkRanker.fit(described, accuracies, ranker=ranker).ranking.sort_values("rank").head())
