"""What every predictor behind the interface keeps to: it learns, is reproducible and invariant where it claims so."""

import dataclasses
import re
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from parzc_core import metrics
from parzc_core.errors import BadInput, UnknownName
from parzc_core.predictors import base
from parzc_core.predictors.base import Kinds
from parzc_core.predictors.nn_former import WarmSchedule
from parzc_core.predictors.optimise import Schedule
from parzc_core.predictors.registry import PREDICTORS, graphs_alone, predictor
from parzc_core.ranker import Inputs
from parzc_core.spaces import nb101, nb201

NETWORKS = ("NP", "NP (ours)", "ReNAS", "NAO", "GATES", "CTNAS", "TNASP", "PINAT", "CTNAS (best checkpoint)")
# Enough to learn ten cells by heart; the published rates are for thousands of steps, and dropout is against just that.
QUICK = {name: {"schedule": Schedule(300, 10, 1e-3)} for name in NETWORKS}
QUICK |= {name: {"schedule": Schedule(100, 10, 1e-3), "dropout": 0.0} for name in ("TNASP", "PINAT")}
QUICK["NAO"]["dropout"] = QUICK["GATES"]["dropout"] = QUICK["NP"]["dropout"] = 0.0
QUICK |= {"Arch2Vec": {"pretraining": Schedule(60, 10, 2e-3)}}
SMALL = {"width": 32, "depth": 2, "hidden": 64}  # twelve blocks take seconds
QUICK["NN-Former"] = {"schedule": WarmSchedule(100, 10, 3e-3), "dropout": 0.0, **SMALL}
SHORT = {name: {"schedule": Schedule(5, 10, 1e-3)} for name in NETWORKS}
SHORT |= {"Arch2Vec": {"pretraining": Schedule(5, 10, 1e-3)}}
SHORT["NN-Former"] = {"schedule": WarmSchedule(5, 10, 1e-3, average=0.5), **SMALL}
READ_GRAPHS = [name for name, entry in PREDICTORS.items() if entry.reads is graphs_alone]  # ParZC+ has tests of its own
SHORT |= {name: {"trees": 5} for name in READ_GRAPHS if name not in SHORT}


def graphs(space, archs):
    cells = [space.graph(arch) for arch in archs]
    return Inputs(None, np.stack([c.adjacency for c in cells]), np.stack([c.operations for c in cells]))


TEN = graphs(nb201, nb201.sample(10, seed=1))
OTHERS = graphs(nb201, nb201.sample(40, seed=2))
ACCURACY = np.random.default_rng(0).permutation(10) * 3.0 + 60


def reordered(inputs, order):
    return Inputs(None, inputs.adjacency[:, order][:, :, order], inputs.operations[:, order])


def short(name, **changes):
    return predictor(name, "nb201", **{**SHORT[name], **changes})


def rows(inputs, count):
    return inputs[np.arange(count)]


@pytest.mark.parametrize("name", READ_GRAPHS)
def test_it_learns_ten_cells_by_heart(name):
    fitted = predictor(name, "nb201", **QUICK.get(name, {})).fit(TEN, ACCURACY, seed=0)
    assert metrics.kendall(fitted.predict(TEN), ACCURACY) > 95


@pytest.mark.parametrize("name", READ_GRAPHS)
def test_a_seed_decides_everything_and_touches_nothing_else(name):
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    first, again, other = (short(name).fit(TEN, ACCURACY, seed=seed).predict(OTHERS) for seed in (3, 3, 4))
    assert torch.equal(torch.rand(3), expected)
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()
    assert first.shape == (40,)
    assert first.dtype == np.float64
    assert np.isfinite(first).all()


@pytest.mark.parametrize("name", [name for name in READ_GRAPHS if PREDICTORS[name].invariant])
def test_the_order_of_nodes_does_not_matter_where_a_method_claims_so(name):
    fitted = short(name).fit(TEN, ACCURACY, seed=0)
    order = np.random.default_rng(0).permutation(8)
    np.testing.assert_allclose(fitted.predict(reordered(OTHERS, order)), fitted.predict(OTHERS), rtol=1e-4, atol=1e-6)


def test_pinat_without_positions_does_not_see_the_order_of_nodes_and_with_them_does():
    order = np.random.default_rng(0).permutation(7)
    ten, others = (graphs(nb101, nb101.sample(count, seed=seed)) for count, seed in ((10, 1), (40, 2)))
    for positions in (True, False):
        changes = {**SHORT["PINAT"], "positions": positions}
        fitted = predictor("PINAT", "nb101", **changes).fit(ten, ACCURACY, seed=0)
        a, b = fitted.predict(others), fitted.predict(reordered(others, order))
        assert np.allclose(a, b, rtol=1e-4, atol=1e-5) is not positions


@pytest.mark.parametrize("name", ["ReNAS", "GATES", "CTNAS", "CTNAS (best checkpoint)"])
def test_comparisons_use_the_order_of_accuracies_alone(name):
    one, two = (short(name).fit(TEN, values, seed=0).predict(OTHERS) for values in (ACCURACY, np.exp(ACCURACY / 9)))
    np.testing.assert_allclose(one, two, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("name", READ_GRAPHS)
def test_scores_of_an_architecture_do_not_depend_on_the_company(name):
    fitted = short(name).fit(TEN, ACCURACY, seed=0)
    np.testing.assert_allclose(fitted.predict(rows(OTHERS, 7)), fitted.predict(OTHERS)[:7], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", READ_GRAPHS)
def test_a_spread_is_finite_and_only_there_where_it_is_said_to_be(name):
    fitted = short(name).fit(TEN, ACCURACY, seed=0)
    if not fitted.has_spread:
        with pytest.raises(BadInput, match="no spread"):
            fitted.predict(OTHERS, samples=4)
        return
    (mean, spread), (mean_again, spread_again) = (fitted.predict(OTHERS, samples=8) for _ in range(2))
    assert mean.shape == spread.shape == (40,)
    assert np.isfinite(mean).all()
    assert (spread >= 0).all()
    assert spread.max() > 0
    np.testing.assert_array_equal(mean, mean_again)
    np.testing.assert_array_equal(spread, spread_again)
    scores = fitted.predict(OTHERS)
    assert np.abs(mean - scores).max() <= 10 * spread.max() + 1e-9  # of the same scores
    np.testing.assert_array_equal(fitted.predict(OTHERS), scores)  # dropout is off again


@pytest.mark.parametrize("name", READ_GRAPHS)
def test_cells_of_nas_bench_101_of_different_sizes(name):
    archs = [
        "input>1|conv3x3-bn-relu>2|output",
        "input>1,2|conv1x1-bn-relu>2|output",
        "input>1,2|maxpool3x3>3|conv3x3-bn-relu>3|output",
        "input>1,2,3|conv1x1-bn-relu>2|conv3x3-bn-relu>3|maxpool3x3>4|output",
    ]
    cells = graphs(nb101, archs)
    fitted = predictor(name, "nb101", **SHORT[name]).fit(cells, np.array([94.0, 90.0, 93.0, 92.0]), seed=0)
    scores = fitted.predict(cells)
    assert np.isfinite(scores).all()
    assert len(np.unique(scores)) > 1


@pytest.mark.parametrize("name", READ_GRAPHS)
def test_bad_input_is_refused_with_what_was_expected(name):
    new = short(name)
    with pytest.raises(BadInput, match="before"):
        new.predict(TEN)
    with pytest.raises(BadInput, match="without a graph"):
        new.fit(Inputs(np.zeros((10, 3), dtype=np.float32)), ACCURACY, seed=0)
    with pytest.raises(BadInput, match=r"\(10, 8, 7\) and \(10, 8\); expected \[n, N, N\]"):
        new.fit(Inputs(None, TEN.adjacency[:, :, :7], TEN.operations), ACCURACY, seed=0)
    with pytest.raises(BadInput, match="expected 0 to 6"):
        new.fit(Inputs(None, TEN.adjacency, TEN.operations + 1), ACCURACY, seed=0)
    with pytest.raises(BadInput, match="10 inputs and accuracy of shape"):
        new.fit(TEN, ACCURACY[:9], seed=0)
    with pytest.raises(BadInput, match="not finite"):
        new.fit(TEN, np.where(ACCURACY > 80, np.nan, ACCURACY), seed=0)
    with pytest.raises(BadInput, match="at least 2"):
        new.fit(rows(TEN, 1), ACCURACY[:1], seed=0)
    fitted = new.fit(TEN, ACCURACY, seed=0)
    smaller = Inputs(None, OTHERS.adjacency[:, :7, :7], OTHERS.operations[:, :7])
    with pytest.raises(BadInput, match=r"expected \[n, 8, 8\]"):
        fitted.predict(smaller)


def test_graphs_that_are_read_only_are_copied_in_one_place():
    kept = rows(TEN, 10)
    for array in (kept.adjacency, kept.operations):
        array.setflags(write=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # torch warns of tensors on such an array
        adjacency, operations = Kinds.of("nb201").tensors(kept)
    assert np.array_equal(adjacency, kept.adjacency)
    assert np.array_equal(operations, kept.operations)
    assert (adjacency.dtype, operations.dtype) == (torch.float32, torch.int64)
    adjacency.zero_()
    assert kept.adjacency.any()
    with pytest.raises(BadInput, match=r"expected \[n, 7, 7\]"):
        Kinds.of("nb201").tensors(kept, 7)
    texts = {path.name: path.read_text(encoding="utf-8") for path in Path(base.__file__).parent.glob("*.py")}
    copying = re.compile(r"torch\.tensor\(?,? ?(adjacency|operations|self)")
    assert [name for name, text in texts.items() if copying.search(text)] == ["base.py"]


def test_the_registry():
    assert {"NP", "ReNAS", "NAO", "Arch2Vec", "GATES", "CTNAS", "TNASP", "PINAT"} <= set(PREDICTORS)
    with pytest.raises(UnknownName, match="one of: NP, NP"):
        predictor("SPOS", "nb201")
    with pytest.raises(UnknownName, match="kind of features"):
        predictor("graph extra-trees", "nb201", features=("zero-cost",))
    with pytest.raises(UnknownName, match="model of trees"):
        predictor("graph extra-trees", "nb201", model="oak")
    assert Kinds.of("nb201") == Kinds(5, 7, none=0)
    assert Kinds.of("nb101") == Kinds(3, 6, none=None)
    for wrong in (Kinds(5, 7, none=0), Schedule(1, 2, 0.1)):
        field = dataclasses.fields(wrong)[0].name
        with pytest.raises(BadInput, match="expected at least"):
            dataclasses.replace(wrong, **{field: 0})


def test_a_shortened_training_of_a_large_set_has_fewer_epochs_at_a_larger_rate_within_its_limit():
    schedule = Schedule(300, 10, 1e-4, cosine=True)
    short = [schedule.shortened(count, 2400) for count in (50, 78, 156, 1563)]
    assert [one.epochs for one in short] == [300, 300, 150, 15]
    assert [one.learning_rate for one in short] == pytest.approx([1e-4, 1e-4, 2e-4, 5e-4])
    constant = Schedule(300, 10, 1e-4).shortened(1563, 2400)
    assert (constant.epochs, constant.learning_rate) == (15, 1e-4)
    assert Schedule(2, 10, 1e-3).shortened(10**6, 1).epochs == 1


def test_an_epoch_has_every_architecture_once_and_drops_a_last_batch_that_is_not_full_where_it_says_so():
    for count, kept, dropped in ((78, 8, 7), (80, 8, 8), (81, 8, 8), (7, 1, 1), (10, 1, 1)):
        found = [Schedule(1, 10, 1e-3, drop_last=drop).batches(count) for drop in (False, True)]
        assert [len(one) for one in found] == [kept, dropped]
        assert sorted(torch.cat(found[0]).tolist()) == list(range(count))
        assert len(set(torch.cat(found[1]).tolist())) == min(count, max(10, count // 10 * 10))
