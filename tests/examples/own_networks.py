"""A list of networks of your own, perceptrons on digits: 15 of 60 are trained to find a good one. Killed, it goes on."""

from functools import partial

import torch
from sklearn.datasets import load_digits
from torch import nn

from parzc_core import search_networks

X, Y = (torch.tensor(part) for part in load_digits(return_X_y=True))
X = X.float() / 16


def build(depth: int, width: int, act: type[nn.Module]) -> nn.Module:
    hidden = [layer for _ in range(depth - 1) for layer in (nn.Linear(width, width), act())]
    return nn.Sequential(nn.Linear(64, width), act(), *hidden, nn.Linear(width, 10))


def evaluate(name: str, network: nn.Module) -> float:
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(30):
        optimizer.zero_grad()
        nn.functional.cross_entropy(network(X[:300]), Y[:300]).backward()
        optimizer.step()
    return 100 * (network(X[300:]).argmax(1) == Y[300:]).float().mean().item()


sizes = [(d, w, act) for d in (1, 2, 3, 4) for w in (4, 8, 16, 32, 64) for act in (nn.ReLU, nn.Tanh, nn.Sigmoid)]
networks = {f"{d}x{w} {act.__name__}": partial(build, d, w, act) for d, w, act in sizes}

if __name__ == "__main__":
    found = search_networks(networks, evaluate, budget=15, images=X[:64], labels=Y[:64], store="search.jsonl")
    print(found.trajectory.to_string(), found, sep="\n")
