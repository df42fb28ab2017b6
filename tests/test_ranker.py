"""Losses, metrics, MABN, NP and training against scipy, closed forms and invariants."""

import dataclasses
import itertools

import numpy as np
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from parzc_core import metrics
from parzc_core import ranker as inputs_module
from parzc_core.errors import BadInput, UnknownName
from parzc_core.gcn import NP, NPConfig, normalised
from parzc_core.losses import diff_kendall, loss, pairwise_rank_loss
from parzc_core.mabn import MABN, SIZES, BayesianLinear, MABNConfig, sampling
from parzc_core.predictors.base import Kinds
from parzc_core.predictors.pinat import PINATBranch, PINATConfig
from parzc_core.ranker import Inputs, Model, ModelConfig
from parzc_core.training import TrainingConfig, batches, fit, fit_many

numbers = st.lists(st.floats(-100, 100, width=32), min_size=3, max_size=12, unique=True)


@given(numbers, st.randoms())
def test_diff_kendall_becomes_scipys_tau_as_alpha_grows(values, random):
    other = list(values)
    random.shuffle(other)
    x, y = torch.tensor(values, dtype=torch.float64), torch.tensor(other, dtype=torch.float64)
    gap = min(abs(a - b) for a, b in itertools.combinations(values, 2))
    expected = scipy.stats.kendalltau(values, other).statistic
    assert float(diff_kendall(x, y, alpha=100 / gap)) == pytest.approx(expected, abs=1e-6)


@given(numbers)
def test_diff_kendall_is_odd_symmetric_and_bounded(values):
    x = torch.tensor(values, dtype=torch.float64)
    y = x.flip(0) ** 2
    value = float(diff_kendall(x, y))
    assert -1 <= value <= 1
    assert float(diff_kendall(-x, y)) == pytest.approx(-value, abs=1e-12)
    assert float(diff_kendall(y, x)) == pytest.approx(value, abs=1e-12)
    assert float(diff_kendall(x + 3, y - 7)) == pytest.approx(value, abs=1e-6)


def test_diff_kendall_by_hand():
    # one pair: sigmoid(a d) - sigmoid(-a d) on both sides
    s = lambda d: 1 / (1 + np.exp(-0.5 * d)) - 1 / (1 + np.exp(0.5 * d))  # noqa: E731
    got = float(diff_kendall(torch.tensor([1.0, 3.0]), torch.tensor([5.0, 4.0])))
    assert got == pytest.approx(s(-2) * s(1), rel=1e-6)


def test_diff_kendall_pulls_a_wrong_pair_apart():
    x = torch.tensor([0.0, 0.1], requires_grad=True)
    (-diff_kendall(x, torch.tensor([1.0, 0.0]))).backward()
    assert x.grad[0] < 0 < x.grad[1]  # descent raises the better one


def test_pairwise_rank_loss_by_hand():
    got = pairwise_rank_loss(torch.tensor([0.0, 1.0, 1.05]), torch.tensor([3.0, 1.0, 2.0]), margin=0.1)
    assert float(got) == pytest.approx((1.1 + 1.15 + 0.05) / 3, rel=1e-6)


def test_losses_add_up_and_bad_ones_are_refused():
    x, y = torch.randn(5), torch.randn(5)
    both = loss(x, y, {"mse": 2.0, "diff_kendall": 1.0})
    assert float(both) == pytest.approx(2 * float(((x - y) ** 2).mean()) - float(diff_kendall(x, y)), rel=1e-5)
    with pytest.raises(UnknownName, match=r"'hinge'.*diff_kendall"):
        loss(x, y, {"hinge": 1.0})
    with pytest.raises(BadInput, match="positive"):
        loss(x, y, {"mse": 0.0})
    with pytest.raises(BadInput, match="n >= 2"):
        diff_kendall(torch.zeros(1), torch.zeros(1))
    with pytest.raises(BadInput, match="alpha"):
        diff_kendall(x, y, alpha=0)


def test_correlations_are_scipys_in_percent_signed_and_count_what_is_left_out():
    rng = np.random.default_rng(0)
    x = rng.normal(size=50)
    y = -x + rng.normal(size=50)
    got = metrics.correlations(np.r_[x, np.nan, np.inf], np.r_[y, 1.0, 2.0])
    assert got.kendall == pytest.approx(100 * scipy.stats.kendalltau(x, y).statistic)
    assert got.spearman == pytest.approx(100 * scipy.stats.spearmanr(x, y).statistic)
    assert got.pearson == pytest.approx(100 * scipy.stats.pearsonr(x, y).statistic)
    assert got.kendall < 0
    assert (got.n, got.not_finite) == (50, 2)
    assert np.isnan(metrics.kendall(np.ones(5), np.arange(5.0)))


def test_top_k_precision_by_hand():
    assert metrics.top_k_precision(np.array([5, 4, 3, 2, 1]), np.array([1, 9, 8, 2, 3]), 2) == 50
    with pytest.raises(BadInput, match="k=6"):
        metrics.top_k_precision(np.arange(5), np.arange(5), 6)


def test_bootstrap_interval_covers_a_known_correlation():
    rng, inside = np.random.default_rng(1), 0
    for trial in range(40):
        x = rng.normal(size=200)
        y = 0.6 * x + 0.8 * rng.normal(size=200)  # Pearson 0.6
        low, high = metrics.bootstrap_interval(lambda a, b: metrics.correlations(a, b).pearson, x, y, 200, trial)
        inside += low < 60 < high
    assert 33 <= inside <= 40  # 95 % nominal


@pytest.mark.parametrize("mixing", ["segment", "channel"])
@pytest.mark.parametrize("bayesian", [True, False])
def test_mabn_shapes_and_determinism_in_eval(mixing, bayesian):
    torch.manual_seed(0)
    model = MABN(MABNConfig(20, projection=32, segment=8, width=6, depth=2, mixing=mixing, bayesian=bayesian))
    x = torch.randn(5, 20)
    model.eval()
    assert model(x).shape == (5,)
    assert torch.equal(model(x), model(x))
    assert sum(isinstance(m, BayesianLinear) for m in model.modules()) == (2 if bayesian else 0)
    with sampling(model):
        assert torch.equal(model(x), model(x)) is not bayesian
    with pytest.raises(BadInput, match=r"expected \[n, 20\]"):
        model(torch.randn(5, 19))


def test_mabn_without_spread_is_deterministic_even_when_sampling():
    model = MABN(MABNConfig(20, projection=32, segment=8, width=6, depth=1, dropout=0.0))
    x = torch.randn(3, 20)
    for layer in model.modules():
        if isinstance(layer, BayesianLinear):
            layer.rho.data.fill_(-200.0)
    assert torch.equal(model.train()(x), model.eval()(x))


def test_bayesian_linear_is_the_equation():
    layer = BayesianLinear(3, 2)
    layer.rho.data.normal_()
    x = torch.randn(4, 3)
    torch.manual_seed(7)
    got = layer.train()(x)
    torch.manual_seed(7)
    weight = layer.mu + torch.log(1 + torch.exp(layer.rho)) * torch.randn(2, 3)
    assert torch.allclose(got, x @ weight.T, atol=1e-6)
    draws = torch.stack([layer(torch.eye(3)) for _ in range(4000)])  # rows of W_b^T
    assert torch.allclose(draws.std(0).T, layer.sigma, rtol=0.1)
    assert torch.allclose(draws.mean(0).T, layer.mu, atol=float(4 * layer.sigma.max() / 4000**0.5))


def test_segments_meet_only_in_the_mean_when_channels_mix():
    """Swapping two segments changes nothing with mixing="channel" and something with mixing="segment"."""
    for mixing, same in (("channel", True), ("segment", False)):
        torch.manual_seed(0)
        model = MABN(MABNConfig(32, projection=32, segment=8, width=6, depth=2, mixing=mixing)).eval()
        model.project = torch.nn.Identity()
        x = torch.randn(4, 32)
        swapped = x.reshape(4, 4, 8)[:, [1, 0, 2, 3]].reshape(4, 32)
        assert torch.allclose(model(x), model(swapped), atol=1e-6) is same


def test_bad_sizes_are_refused():
    with pytest.raises(BadInput, match="multiple"):
        MABNConfig(10, projection=30, segment=16)
    with pytest.raises(UnknownName, match="segment, channel"):
        MABNConfig(10, mixing="tokens")
    with pytest.raises(BadInput, match="dropout"):
        MABNConfig(10, dropout=1.0)
    assert SIZES["printed"]["projection"] // SIZES["printed"]["segment"] == 47


def test_normalised_adjacency_is_equation_1():
    a = torch.tensor([[[0.0, 1.0], [0.0, 0.0]]])
    d = np.diag([2**-0.5, 1.0])
    expected = d @ np.array([[1.0, 1.0], [0.0, 1.0]]) @ d
    np.testing.assert_allclose(normalised(a)[0].numpy(), expected, rtol=1e-6)


def test_np_does_not_depend_on_how_nodes_are_numbered():
    torch.manual_seed(0)
    model = NP(NPConfig(7)).eval()
    adjacency, operations = torch.bernoulli(torch.full((3, 6, 6), 0.5)).triu(1), torch.randint(0, 7, (3, 6))
    order = torch.randperm(6)
    permuted = adjacency[:, order][:, :, order]
    assert torch.allclose(model(adjacency, operations), model(permuted, operations[:, order]), atol=1e-5)
    assert not torch.allclose(model(adjacency, operations), model(adjacency.roll(1, 0), operations), atol=1e-4)
    with pytest.raises(BadInput, match=r"\[n, N, N\]"):
        model(adjacency, operations[:, :4])


COMBINATIONS = [
    ("NP",),
    ("Mixer",),
    ("MLP",),
    ("BN",),
    ("NP", "Mixer"),
    ("NP", "BN"),
    ("Mixer", "BN"),
    ("NP", "Mixer", "BN"),
]
PINAT = PINATBranch(6, PINATConfig(Kinds(5, 7, none=0), depth=1, dropout=0.0))


def toy(n: int = 10) -> tuple[Inputs, np.ndarray]:
    rng = np.random.default_rng(0)
    adjacency = np.triu(rng.integers(0, 2, (n, 6, 6)), 1).astype(np.float32)
    inputs = Inputs(rng.normal(size=(n, 30)).astype(np.float32), adjacency, rng.integers(0, 7, (n, 6)))
    return inputs, rng.normal(size=n) + 90


def small(parts: tuple[str, ...], **more) -> TrainingConfig:
    sizes = MABNConfig(30, projection=64, segment=16, width=16, depth=1, dropout=0.0)
    return TrainingConfig(
        model=ModelConfig(parts, sizes, embedding=16, graph=PINAT if "PINAT" in parts else None),
        learning_rate=3e-3,
        weight_decay=0.0,
        **more,
    )


@pytest.mark.parametrize("parts", [*COMBINATIONS, ("PINAT", "Mixer", "BN")])
def test_every_combination_of_table_6_overfits_ten_cells(parts):
    inputs, accuracy = toy()
    ranker = fit(inputs, accuracy, small(parts, epochs=150), seed=0)
    assert metrics.kendall(ranker.predict(inputs), accuracy) > 90
    bayesian = any(isinstance(m, BayesianLinear) for m in ranker.model.modules())
    assert bayesian == ("BN" in parts)


def test_fit_is_deterministic_given_a_seed_and_leaves_the_callers_generator():
    inputs, accuracy = toy()
    torch.manual_seed(3)
    first = fit(inputs, accuracy, small(("Mixer", "BN"), epochs=3), seed=1)
    after = torch.rand(1)
    torch.manual_seed(3)
    assert torch.equal(after, torch.rand(1))
    again = fit(inputs, accuracy, small(("Mixer", "BN"), epochs=3), seed=1)
    other = fit(inputs, accuracy, small(("Mixer", "BN"), epochs=3), seed=2)
    assert np.array_equal(first.predict(inputs), again.predict(inputs))
    assert not np.array_equal(first.predict(inputs), other.predict(inputs))
    mean, spread = first.predict(inputs, samples=20)
    assert mean.shape == spread.shape == (10,)
    assert (spread > 0).all()
    assert np.array_equal(mean, first.predict(inputs, samples=20)[0])


def test_accuracy_is_used_by_z_score_alone():
    inputs, accuracy = toy()
    config = small(("Mixer", "BN"), epochs=3)
    a, b = fit(inputs, accuracy, config).predict(inputs), fit(inputs, 3 * accuracy - 100, config).predict(inputs)
    np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 41), st.integers(2, 12))
def test_every_architecture_is_in_one_batch_and_no_batch_is_single(n, size):
    parts = batches(torch.stack([torch.randperm(n), torch.arange(n)]), size)
    assert [sorted(row.tolist()) for row in torch.cat(parts, dim=1)] == [list(range(n))] * 2
    assert min(part.shape[1] for part in parts) >= 2


@pytest.mark.parametrize("parts", [("MLP",), ("Mixer",), ("NP", "Mixer"), ("PINAT", "Mixer")])
def test_rankers_trained_together_are_those_trained_alone_where_there_is_no_noise(parts):
    """Without dropout and Bayesian noise only rounding may differ, so nothing leaks from one member into another."""
    data = [toy(n=11) for _ in range(3)]
    accuracies = [values + np.random.default_rng(i).normal(size=11) for i, (_, values) in enumerate(data)]
    config = small(parts, epochs=3)
    config = dataclasses.replace(config, learning_rate=1e-3, losses={"mse": 1.0, "rank": 1.0, "diff_kendall": 1.0})
    config = dataclasses.replace(config, model=dataclasses.replace(config.model, graph_dropout=0.0))
    together = fit_many([inputs for inputs, _ in data], accuracies, config, seeds=(0, 1, 2))
    for i, ranker in enumerate(together):
        alone = fit(data[i][0], accuracies[i], config, seed=i)
        np.testing.assert_allclose(ranker.predict(data[i][0]), alone.predict(data[i][0]), rtol=1e-3, atol=1e-4)
        np.testing.assert_allclose(ranker.history, alone.history, rtol=1e-3, atol=1e-5)
    assert together[0].history != together[1].history


def test_bad_training_input_is_refused():
    inputs, accuracy = toy()
    with pytest.raises(BadInput, match="same number"):
        fit(inputs, accuracy[:-1])
    with pytest.raises(BadInput, match="not finite"):
        fit(inputs, np.r_[accuracy[:-1], np.nan])
    with pytest.raises(BadInput, match="batches of at least 2"):
        TrainingConfig(batch_size=1)
    with pytest.raises(BadInput, match="MLP not beside"):
        ModelConfig(("MLP", "BN"), MABNConfig(3))
    for parts, branch in ((("NP", "PINAT"), PINAT), (("PINAT", "Mixer"), None)):
        with pytest.raises(BadInput, match="one of NP, PINAT at most"):
            ModelConfig(parts, MABNConfig(3), graph=branch)


def test_scores_in_chunks_are_those_of_all_at_once(monkeypatch):
    inputs, accuracy = toy()
    ranker = fit(inputs, accuracy, small(("NP", "Mixer", "BN"), epochs=3))
    whole = ranker.predict(inputs)
    monkeypatch.setattr(inputs_module, "CHUNK", 4)
    np.testing.assert_allclose(ranker.predict(inputs), whole, rtol=1e-5, atol=1e-6)
    alone = fit(inputs.statistics, accuracy, small(("Mixer",), epochs=2))
    assert alone.predict(inputs.statistics).shape == (10,)


@pytest.mark.parametrize("graph", ["NP", "PINAT"])
def test_fusion_adds_the_two_embeddings(graph):
    torch.manual_seed(0)
    sizes = MABNConfig(30, projection=64)
    model = Model(ModelConfig((graph, "Mixer", "BN"), sizes, embedding=16, graph=PINAT if graph == "PINAT" else None)).eval()
    inputs, _ = toy(4)
    x, a, o = (torch.as_tensor(part) for part in (inputs.statistics, inputs.adjacency, inputs.operations))
    expected = model.regressor(model.statistics(x) + model.graph(a, o)).squeeze(1)
    assert torch.equal(model(x, a, o), expected)
