"""Training: the same arguments give the same ranker, members share nothing; and saved rankers come back as they were."""

import dataclasses
import math
import pickle
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from ranker_toys import PINAT, small, toy

from parzc_core._seeding import seeded
from parzc_core.collector import NodeStatistics
from parzc_core.encoding import Encoder
from parzc_core.errors import BadInput
from parzc_core.losses import diff_kendall
from parzc_core.mabn import SIZES, MABNConfig
from parzc_core.npz import joined, read_arrays
from parzc_core.ranker import GRAPH_BRANCHES, Model, ModelConfig
from parzc_core.training import (
    FORMAT,
    FittedRanker,
    TrainingConfig,
    batches,
    device_for,
    fit,
    fit_many,
    load_ranker,
)


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


@pytest.mark.parametrize("seed", [0, 3])
def test_training_is_adam_with_decay_a_cosine_and_an_order_of_its_own(seed):
    """The same written out: one model, one optimiser, the formulas."""
    inputs, accuracy = toy(n=11)
    config = small(("MLP",), epochs=4, batch_size=4, losses={"mse": 1.0})
    config = dataclasses.replace(config, learning_rate=1e-2, weight_decay=0.1)
    got = fit(inputs, accuracy, config, seed=seed)

    torch.manual_seed(seed)
    model = Model(config.model).train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=0.1)
    x, y = torch.as_tensor(inputs.statistics), torch.as_tensor((accuracy - accuracy.mean()) / accuracy.std()).float()
    generator, history = torch.Generator().manual_seed(seed), []
    for epoch in range(4):
        optimizer.param_groups[0]["lr"] = 1e-2 * (1 + math.cos(math.pi * epoch / 4)) / 2
        order, total = torch.randperm(11, generator=generator), 0.0
        for rows in order.split(4):
            optimizer.zero_grad()
            value = ((model(x[rows], None, None) - y[rows]) ** 2).mean()
            value.backward()
            optimizer.step()
            total += float(value.detach()) * len(rows)
        history.append(total / 11)
    np.testing.assert_allclose(got.history, history, rtol=1e-4)
    with torch.no_grad():
        np.testing.assert_allclose(got.predict(inputs), model.eval()(x, None, None).numpy(), rtol=1e-3, atol=1e-5)


def test_orders_of_batches_differ_between_rankers_trained_together():
    inputs, accuracy = toy(n=11)
    config = dataclasses.replace(small(("MLP",), epochs=2), batch_size=4)
    seen = fit_many([inputs] * 2, [accuracy] * 2, config, seeds=(1, 2))
    alone = [fit(inputs, accuracy, config, seed=seed) for seed in (1, 2)]
    for together, one in zip(seen, alone, strict=True):
        np.testing.assert_allclose(together.history, one.history, rtol=1e-4)


def test_the_defaults_are_those_of_the_paper():
    """Section 4.1, NAS-Bench-201."""
    config = TrainingConfig()
    assert (config.epochs, config.batch_size, config.learning_rate, config.weight_decay) == (200, 10, 1e-4, 1e-3)
    assert (config.losses, config.alpha) == ({"diff_kendall": 1.0}, 0.5)
    assert TrainingConfig(epochs=1, batch_size=2).batch_size == 2  # the least that has a pair


@pytest.mark.parametrize(
    ("size", "there", "device"), [("cpu", True, "cpu"), ("printed", True, "cuda"), ("printed", False, "cpu")]
)
def test_a_gpu_trains_the_printed_sizes_alone(monkeypatch, size, there, device):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    config = ModelConfig(("Mixer", "BN"), MABNConfig(12, **SIZES[size]))
    assert device_for(config).type == device


def test_a_gpu_that_nobody_has_used_is_left_alone(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: pytest.fail("it was counted, so its generator would be asked"))
    with seeded(0):
        drawn = torch.rand(1)
    with seeded(0):
        assert torch.equal(drawn, torch.rand(1))


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


def statistics_of_toys(n: int = 12) -> list[NodeStatistics]:
    rng = np.random.default_rng(1)
    nodes = ("fc", "c", "b", "a")
    values = rng.lognormal(size=(n, 3, 4))
    return [
        NodeStatistics(nodes, ("synflow", "snip", "grad_norm"), one, np.ones(4, int), (3, 2, 1, 0)) for one in values
    ]


@pytest.mark.parametrize(
    "parts", [("Mixer", "BN"), ("NP", "Mixer", "BN"), ("MLP",), ("BN",), ("NP",), ("PINAT", "Mixer", "BN")]
)
def test_a_saved_ranker_predicts_the_same_bits(parts, tmp_path):
    inputs, accuracy = toy()
    told = {"space": "nb201", "dataset": "cifar10", "cells": [1, 2, 3], "split": 0, "width": None}
    ranker = fit(inputs, accuracy, small(parts, epochs=2), seed=4, trained_on=told)
    path = ranker.save(tmp_path / "folder" / "kept.ranker")
    state = torch.get_rng_state()
    again = load_ranker(path)
    assert torch.equal(state, torch.get_rng_state())
    assert np.array_equal(again.predict(inputs), ranker.predict(inputs))
    for one, other in zip(again.predict(inputs, samples=5), ranker.predict(inputs, samples=5), strict=True):
        assert np.array_equal(one, other)
    assert (again.history, again.seed, again.config, again.trained_on) == (ranker.history, 4, ranker.config, told)
    assert again.model.config == ranker.model.config
    assert [file.name for file in path.parent.iterdir()] == ["kept.ranker"]


@pytest.mark.parametrize("scheme", ["paper", "aligned"])
def test_a_ranker_with_an_encoder_reads_node_statistics(scheme, tmp_path):
    statistics, accuracy = statistics_of_toys(), np.arange(8.0)
    encoder = Encoder(scheme, max_nodes=6).fit(statistics[:8])
    ranker = fit(statistics[:8], accuracy, TrainingConfig(epochs=1), encoder=encoder)
    assert np.array_equal(ranker.predict(statistics), ranker.predict(encoder.transform(statistics)))
    np.testing.assert_allclose(ranker.predict(statistics[:1]), ranker.predict(statistics)[:1], rtol=1e-4, atol=1e-6)
    again = load_ranker(ranker.save(tmp_path / "ranker.npz"))
    assert np.array_equal(again.predict(statistics), ranker.predict(statistics))
    assert np.array_equal(again.predict(statistics, samples=5), ranker.predict(statistics, samples=5))
    assert again.config.model.mabn.input_dim == encoder.transform(statistics).shape[1]
    with pytest.raises(BadInput, match="no encoder"):
        dataclasses.replace(again, encoder=None).predict(statistics)
    with pytest.raises(BadInput, match="not fitted"):
        fit(statistics[:8], accuracy, encoder=Encoder(scheme))


@pytest.fixture(scope="module")
def saved(tmp_path_factory) -> Path:
    """A ranker with an encoder, saved."""
    statistics = statistics_of_toys()
    encoder = Encoder("aligned").fit(statistics)
    ranker = fit(statistics, np.arange(12.0), TrainingConfig(epochs=1), encoder=encoder)
    return ranker.save(tmp_path_factory.mktemp("saved") / "ranker.npz")


def changed(saved: Path, path: Path, arrays: dict[str, np.ndarray] | None = None, **about) -> Path:
    """The saved ranker with other arrays or entries of its JSON text, and the checksum of those."""
    told, kept = read_arrays(saved, FORMAT)
    with open(path, "wb") as out:
        np.savez(out, **joined(FORMAT, {**told, **about}, {**kept, **(arrays or {})}))
    return path


class Boom:
    """Unpickled, it would make a file."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_file_with_a_pickle_is_refused_and_not_run(saved, tmp_path):
    made, path = tmp_path / "made", tmp_path / "ranker"
    path.write_bytes(pickle.dumps(Boom(made)))
    with pytest.raises(BadInput, match="no saved ranker"):
        load_ranker(path)
    torch.save(Boom(made), path)
    with pytest.raises(BadInput, match="no saved ranker"):
        load_ranker(path)
    changed(saved, path, {"history": np.array([Boom(made)], dtype=object)})
    with pytest.raises(BadInput, match=r"damaged.*allow_pickle=False"):
        load_ranker(path)
    assert not made.exists()


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.9, 0.9999])
def test_a_truncated_file_is_refused(saved, tmp_path, share):
    content = saved.read_bytes()
    (tmp_path / "cut").write_bytes(content[: int(share * len(content))])
    with pytest.raises(BadInput, match=r"damaged|no saved ranker"):
        load_ranker(tmp_path / "cut")


def test_an_altered_file_is_refused(saved, tmp_path):
    content = bytearray(saved.read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "altered").write_bytes(content)
    with pytest.raises(BadInput, match="damaged: the checksum"):
        load_ranker(tmp_path / "altered")


@pytest.mark.parametrize(
    ("about", "says"),
    [
        ({"version": 2}, "version 2 of the format; this parzc reads version 1"),
        ({"version": None}, "version None"),
        ({"format": "another"}, "no saved ranker"),
        ({"config": {}}, "damaged"),
        ({"config": {"epochs": 1, "depth": 3}}, "damaged"),
        ({"encoder": {"scheme": "paper"}}, "damaged"),
        ({"branch": {"name": "Unheard", "module": "somewhere.else"}}, "graph branch Unheard; import somewhere.else"),
    ],
)
def test_a_file_that_this_version_cannot_read_says_why(saved, tmp_path, about, says):
    with pytest.raises(BadInput, match=says):
        load_ranker(changed(saved, tmp_path / "other", **about))


def test_wrong_arrays_are_refused(saved, tmp_path):
    with np.load(saved) as file:
        weight = file["model/statistics.project.weight"]
        mean = file["encoder/mean_"]
    path = tmp_path / "other"
    for name, value, says in (
        ("model/statistics.project.weight", weight[:-1], "sizes"),
        ("model/statistics.project.weight", weight.astype(np.float64), "sizes"),
        ("model/statistics.more", weight, "sizes"),
        ("model/statistics.project.weight", np.full_like(weight, np.nan), "not finite"),
        ("encoder/mean_", mean[1:], "finite means"),
        ("encoder/mean_", np.full_like(mean, np.inf), "finite means"),
    ):
        with pytest.raises(BadInput, match=f"damaged.*{says}"):
            load_ranker(changed(saved, path, {name: value}))


def test_files_that_are_not_there_or_of_another_kind_are_refused(tmp_path):
    with pytest.raises(BadInput, match="No such file"):
        load_ranker(tmp_path / "missing")
    with open(tmp_path / "other.npz", "wb") as file:
        np.savez(file, a=np.zeros(3))
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as file:
        file.writestr("readme.txt", "hello")
    np.save(tmp_path / "other.npy", np.zeros(3))
    for name in ("other.npz", "other.zip", "other.npy"):
        with pytest.raises(BadInput, match="no saved ranker"):
            load_ranker(tmp_path / name)


def test_what_cannot_be_kept_is_not_saved(tmp_path, monkeypatch):
    inputs, accuracy = toy()
    ranker = fit(inputs, accuracy, small(("PINAT", "Mixer", "BN"), epochs=1))
    monkeypatch.delitem(GRAPH_BRANCHES, "PINATBranch")
    with pytest.raises(BadInput, match="graph branch PINATBranch"):
        ranker.save(tmp_path / "ranker")
    for told in ({"cells": (1, 2)}, {"cells": np.arange(3)}, {"accuracy": float("nan")}, {1: "one"}):
        with pytest.raises(BadInput, match="plain JSON"):
            fit(inputs, accuracy, trained_on=told)
    diverged = fit(inputs, accuracy, small(("MLP",), epochs=1))
    next(diverged.model.parameters()).data.fill_(float("nan"))
    with pytest.raises(BadInput, match="not finite"):
        diverged.save(tmp_path / "ranker")
    assert list(tmp_path.iterdir()) == []


def test_another_process_reads_a_saved_ranker_and_names_the_branch_that_it_lacks(tmp_path):
    inputs, accuracy = toy()
    mabn = fit(inputs.statistics, accuracy, small(("Mixer", "BN"), epochs=1))
    mabn.save(tmp_path / "mabn")
    fit(inputs, accuracy, small(("PINAT", "Mixer"), epochs=1)).save(tmp_path / "pinat")
    np.save(tmp_path / "inputs.npy", inputs.statistics)
    code = """if True:
        import sys, numpy as np
        from parzc_core.training import load_ranker
        print(load_ranker("mabn").predict(np.load("inputs.npy")).tobytes().hex())
        try:
            load_ranker("pinat")
        except ValueError as error:
            print(error)
    """
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True)
    scores, refusal = run.stdout.splitlines()
    np.testing.assert_allclose(np.frombuffer(bytes.fromhex(scores)), mabn.predict(inputs.statistics), rtol=1e-5)
    assert refusal == "pinat has the graph branch PINATBranch; import parzc_core.predictors.pinat first"


def test_a_ranker_made_by_hand_can_be_saved(tmp_path):
    inputs, accuracy = toy()
    fitted = fit(inputs, accuracy, small(("MLP",), epochs=1))
    again = load_ranker(FittedRanker(fitted.model, (), 0).save(tmp_path / "ranker"))
    assert np.array_equal(again.predict(inputs), fitted.predict(inputs))


@pytest.mark.parametrize("alpha", [0.5, 4.0])
def test_the_first_loss_is_that_of_the_initial_weights_with_the_alpha_of_the_configuration(alpha):
    inputs, accuracy = toy()
    config = small(("MLP",), epochs=1, batch_size=10, alpha=alpha)
    with seeded(3):
        model = Model(config.model)
    z = torch.as_tensor((accuracy - accuracy.mean()) / accuracy.std()).float()
    with torch.no_grad():
        expected = -diff_kendall(model(torch.as_tensor(inputs.statistics), None, None), z, alpha)
    assert fit(inputs, accuracy, config, seed=3).history == pytest.approx([float(expected)], rel=1e-4)


def test_each_member_of_a_batch_has_noise_of_its_own():
    """Equal data, equal seeds: only dropout and the draws of weights tell the two apart, and they are drawn in training."""
    inputs, accuracy = toy()
    for parts, dropout, noisy in ((("MLP",), 0.0, False), (("MLP",), 0.5, True), (("BN",), 0.0, True)):
        config = small(parts, epochs=2)
        sizes = dataclasses.replace(config.model.mabn, dropout=dropout)
        config = dataclasses.replace(config, model=dataclasses.replace(config.model, mabn=sizes))
        one, other = fit_many([inputs] * 2, [accuracy] * 2, config, seeds=(5, 5))
        assert (one.history != other.history) is noisy, parts


def test_two_architectures_or_equal_accuracies_are_enough_and_one_is_not():
    inputs, accuracy = toy(n=2)
    assert np.isfinite(fit(inputs, accuracy, small(("MLP",), epochs=1)).predict(inputs)).all()
    assert np.isfinite(fit(inputs, np.full(2, 93.0), small(("MLP",), epochs=1)).predict(inputs)).all()
    with pytest.raises(BadInput, match="at least 2"):
        fit(inputs[:1], accuracy[:1], small(("MLP",), epochs=1))


def test_every_member_is_checked():
    inputs, accuracy = toy()
    holed = dataclasses.replace(inputs, statistics=np.where(inputs.statistics > 2, np.inf, inputs.statistics))
    assert not np.isfinite(holed.statistics).all()
    with pytest.raises(BadInput, match="not finite"):
        fit_many([inputs, holed], [accuracy] * 2, small(("MLP",), epochs=1), seeds=(0, 1))
    with pytest.raises(BadInput, match="one size for all members"):
        fit_many([inputs, inputs[:9]], [accuracy, accuracy[:9]], small(("MLP",), epochs=1), seeds=(0, 1))


def test_statistics_that_are_not_finite_have_no_score_where_the_ranker_reads_them():
    statistics = statistics_of_toys()
    encoder = Encoder("paper", ("snip", "grad_norm")).fit(statistics)
    ranker = fit(statistics, np.arange(12.0), TrainingConfig(epochs=1), encoder=encoder)
    for proxy, read in (("synflow", False), ("snip", True), ("grad_norm", True)):
        values = statistics[4].values.copy()
        values[statistics[4].proxies.index(proxy), 1] = np.inf
        holed = [*statistics[:4], dataclasses.replace(statistics[4], values=values), *statistics[5:]]
        for scores in (ranker.predict(holed), *ranker.predict(holed, samples=3)):
            assert np.flatnonzero(np.isnan(scores)).tolist() == ([4] if read else [])
        if read:
            with pytest.raises(BadInput, match=r"architectures \[4\] are not finite"):
                fit(holed, np.arange(12.0), TrainingConfig(epochs=1), encoder=encoder)


def test_a_last_batch_of_two_stays_one_and_of_one_joins():
    assert [len(part) for part in batches(torch.arange(8), 3)] == [3, 3, 2]
    assert [len(part) for part in batches(torch.arange(7), 3)] == [3, 4]
    assert [len(part) for part in batches(torch.arange(1), 3)] == [1]


def test_scores_are_float64_and_draws_are_of_the_rankers_seed():
    inputs, accuracy = toy()
    ranker = fit(inputs, accuracy, small(("Mixer", "BN"), epochs=1), seed=5)
    assert [part.dtype for part in (ranker.predict(inputs), *ranker.predict(inputs, samples=2))] == [np.float64] * 3
    other = dataclasses.replace(ranker, seed=6)
    assert np.array_equal(other.predict(inputs), ranker.predict(inputs))
    assert not np.array_equal(other.predict(inputs, samples=3)[0], ranker.predict(inputs, samples=3)[0])


@pytest.mark.parametrize("bad", [{"epochs": 0}, {"learning_rate": 0.0}, {"learning_rate": -1e-3}, {"weight_decay": -1e-3}])
def test_rates_and_epochs_below_their_least_are_refused(bad):
    with pytest.raises(BadInput, match=next(iter(bad))):
        TrainingConfig(**bad)
