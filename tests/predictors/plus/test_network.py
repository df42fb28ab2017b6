"""What a MABN may get beside labels: divergence, tokens, members and a first training do what they say."""

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from parzc_core import metrics
from parzc_core.errors import BadInput, UnknownName
from parzc_core.mabn import BayesianLinear
from parzc_core.predictors.plus import network
from parzc_core.predictors.plus.network import KINDS, Known, NetworkLearner

GENERATOR = np.random.default_rng(0)
X = GENERATOR.normal(size=(400, 12)).astype(np.float32)
TRUTH = X[:, 0] + 0.5 * X[:, 5]
ACCURACY = 80 + 5 * TRUTH
SMALL = {"size": "tiny", "members": 1, "steps": 150}


def tau(learner: NetworkLearner) -> float:
    return metrics.kendall(learner.predict([X[30:]], spread=False)[0], TRUTH[30:])


def test_the_divergence_is_that_of_torch() -> None:
    torch.manual_seed(0)
    model = torch.nn.Sequential(BayesianLinear(3, 4, rho=-2.0), torch.nn.ReLU(), BayesianLinear(4, 1))
    parts = [kl_divergence(Normal(layer.mu, layer.sigma), Normal(0.0, network.PRIOR)) for layer in (model[0], model[2])]
    expected = torch.cat([part.flatten() for part in parts]).mean()
    assert network.divergence(model).item() == pytest.approx(expected.item(), rel=1e-5)
    assert network.divergence(torch.nn.Linear(2, 2)).item() == 0


def test_the_prior_draws_weights_towards_itself() -> None:
    def size(kl: float) -> float:
        learner = NetworkLearner("MABN", **SMALL, kl=kl).fit([X[:30]], ACCURACY[:30], seed=0)
        return network.divergence(learner._networks[0]).item()

    assert size(10.0) < 0.9 * size(0.0)


@pytest.mark.parametrize("kind", KINDS)
def test_each_network_learns_and_is_repeated(kind: str) -> None:
    fits = [NetworkLearner(kind, **SMALL, proxies=3).fit([X[:30, :6], X[:30, 6:]], ACCURACY[:30], seed=4) for _ in range(2)]
    scores = [fit.predict([X[:, :6], X[:, 6:]], spread=False)[0] for fit in fits]
    assert np.array_equal(*scores)
    assert metrics.kendall(scores[0][30:], TRUTH[30:]) > 25
    bayesian = [module for module in fits[0]._networks[0].modules() if isinstance(module, BayesianLinear)]
    assert bool(bayesian) == (kind in ("MABN", "tokens"))


def test_tokens_keep_nodes_apart() -> None:
    """Nodes that change places change the score: each has a position of its own."""
    torch.manual_seed(0)
    model = network.network("tokens", 12, "tiny", proxies=3).eval()
    x = torch.from_numpy(X[:5])
    swapped = x.reshape(5, 4, 3)[:, [1, 0, 2, 3]].reshape(5, 12)
    assert model(x).shape == (5,)
    assert not torch.allclose(model(x), model(swapped))
    with pytest.raises(BadInput, match="12 features for tokens of 5"):
        network.network("tokens", 12, "tiny", proxies=5)
    with pytest.raises(UnknownName, match="network"):
        network.network("mabn", 12, "tiny")


def test_members_are_averaged_and_differ() -> None:
    learner = NetworkLearner("MLP", members=3, size="tiny", steps=40).fit([X[:30]], ACCURACY[:30], seed=1)
    mean, spread = learner.predict([X], spread=True)
    alone = [(network._scores(one, X) - middle) / scale
             for one, (middle, scale) in zip(learner._networks, learner._scaling, strict=True)]  # fmt: skip
    assert mean == pytest.approx(np.mean(alone, axis=0))
    assert spread == pytest.approx(np.std(alone, axis=0))
    assert (spread > 0).all()


def test_a_first_training_without_labels_is_what_few_labels_go_on_from() -> None:
    known = Known([X], TRUTH + 0.3 * GENERATOR.normal(size=len(X)), steps=150)
    few = np.arange(8)
    without = NetworkLearner("MABN", **SMALL | {"steps": 20}).fit([X[few]], ACCURACY[few], seed=0)
    first = NetworkLearner("MABN", **SMALL | {"steps": 20, "rate": 1e-4}, first=known).fit([X[few]], ACCURACY[few], seed=0)
    assert tau(first) > 50 > tau(without)
    # The first training is one member's, whatever labels follow.
    start = network._started(known, "MABN", "tiny", 1, 0)
    assert network._started(known, "MABN", "tiny", 1, 0) is start
    other = NetworkLearner("MABN", **SMALL | {"steps": 1, "rate": 1e-9}, first=known).fit([X[few]], -ACCURACY[few], seed=3)
    assert torch.allclose(other._networks[0].state_dict()["project.weight"], start["project.weight"], atol=1e-6)
