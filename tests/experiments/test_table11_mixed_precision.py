"""Table 11: the benchmark on a tiny plan, how scores are judged, and the rows."""

import json
import pickle
from collections import OrderedDict
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from parzc_core import cli, paper
from parzc_core.errors import BadInput, UnknownName
from parzc_core.experiments.table11_mixed_precision import (
    TABLE,
    differences,
    front,
    learned_scores,
    picks,
    proxy_scores,
    published_rows,
    rows,
    spearman_at,
    unseen,
)
from parzc_core.files.pickles import UnsafePickle
from parzc_core.mabn import SIZES, MABNConfig
from parzc_core.quantization import ground_truth, mq_bench
from parzc_core.quantization.bits import BitConfiguration, sample, size_in_bits
from parzc_core.quantization.ground_truth import PLANS, Plan, Recreated, recreate
from parzc_core.quantization.network import ResNet18
from parzc_core.quantization.own import rank_configurations
from parzc_core.quantization.quantizer import calibrate, quantize
from parzc_core.quantization.rankers import bits_alone, linear, parzc
from parzc_core.ranker import ModelConfig
from parzc_core.report.comparison import compare
from parzc_core.storage.run_store import RunStore
from parzc_core.training import TrainingConfig, fit

TINY = replace(PLANS["tiny"], recipe=replace(PLANS["tiny"].recipe, epochs=1, width=4, limit=128), count=24)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("made")


@pytest.fixture(scope="module")
def made(folder: Path) -> Recreated:
    return recreate(TINY, folder)


def test_the_second_call_computes_nothing(folder: Path, made: Recreated, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Plan, "images", lambda *_: pytest.fail("asked for images"))
    again = recreate(TINY, folder)
    np.testing.assert_array_equal(again.accuracy, made.accuracy)
    assert again.configurations == made.configurations
    assert again.sensitivities[1].eigenvalues == made.sensitivities[1].eigenvalues
    torch.testing.assert_close(again.sensitivities[0].orthogonalities, made.sensitivities[0].orthogonalities)
    assert json.loads((folder / "manifest.json").read_text())["plan"]["count"] == 24
    assert made.size.tolist() == [size_in_bits(made.network, bits) for bits in made.configurations]
    (folder / "checkpoint.npz").write_bytes(b"damaged")
    with pytest.raises(BadInput, match="delete it and train again"):
        recreate(TINY, folder)


def test_activations_of_their_own_are_other_configurations(made: Recreated, tmp_path: Path) -> None:
    other = recreate(replace(TINY, count=3), tmp_path, activations=(8,))
    assert {bits.activations for bits in other.configurations} == {(8,) * 21}
    assert other.key["activations"] == [8]
    assert made.key["activations"] is None


def test_without_images_the_error_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("parzc_core.images.fashion_mnist.folder_of_fashion_mnist", lambda *_: None)
    with pytest.raises(BadInput, match="parzc data fetch"):
        recreate(PLANS["fashion-mnist"], tmp_path)
    with pytest.raises(UnknownName, match="data set of the mixed-precision benchmark"):
        Plan("cifar10").images()


def test_the_best_that_has_been_made(tmp_path: Path) -> None:
    assert ground_truth.best(tmp_path) == "tiny"
    for name in ("digits", "fashion-mnist-width32", "fashion-mnist"):
        (tmp_path / name).mkdir()
        for file in ("manifest.json", "checkpoint.npz", "runs.jsonl"):
            (tmp_path / name / file).touch()
        assert ground_truth.best(tmp_path) != name  # one is missing
        (tmp_path / name / "sensitivities.jsonl").touch()
        assert ground_truth.best(tmp_path) == name
    assert ground_truth.best() in PLANS


def test_rows_never_stand_in_the_columns_of_the_paper(made: Recreated, monkeypatch: pytest.MonkeyPatch) -> None:
    scores, seconds = proxy_scores(made)
    learned, more = learned_scores(made, repeats=2, epochs=1)
    assert learned["ParZC"].shape == (2, 24)
    found = rows("toy W+A", made, scores | learned, seconds | more, "smoke")
    printed = set(paper.printed(TABLE)["column"])
    assert {row.column for row in found} & printed == set()
    assert {row.origin for row in found} == {"recreated"}
    assert all("as read here" in row.note for row in found if row.row == "EMQ" and row.metric == "spearman")
    by = {(row.row, row.column): row for row in found}
    size = pd.Series(made.size).corr(pd.Series(made.accuracy), method="spearman")
    assert by["BParams", "toy W+A rho@100%"].value == pytest.approx(100 * size)
    assert {row for row, _ in by} >= set(paper.printed(TABLE)["row"])
    monkeypatch.delenv("PARZC_DATA", raising=False)
    assert published_rows("smoke") == []


def test_sentences_give_the_order_of_the_committed_rows() -> None:
    compared = compare(TABLE, "full")
    said = differences(compared, ["F-MNIST W+A"])
    assert len(said) == 3
    column = compared[compared["column"] == "F-MNIST W+A rho@100%"].set_index("row")["ours"]
    assert f"SNIP {column['SNIP']:.1f}" in said[0]
    assert said[0].index("SNIP") < said[0].index("HAWQ-V2 ")
    assert "a regression on the bits alone" in said[2]
    assert differences(compared, ["another"]) == []


def test_published_accuracies_are_in_the_columns_of_the_paper(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    bits = rng.integers(2, 5, size=(30, 18))
    monkeypatch.setattr("parzc_core.quantization.mq_bench.read", lambda: Known(bits, bits[:, 14].astype(float)))
    found = published_rows("smoke")
    assert [row.column for row in found] == ["rho@20%", "rho@50%", "rho@100%"]
    assert {row.origin for row in found} == {"reproduced"}
    assert (found[2].value or 0) > 20  # the layer with the most weights decides here


class Known:
    def __init__(self, bits: np.ndarray, accuracy: np.ndarray) -> None:
        self.bits, self.accuracy = bits, accuracy


def test_a_users_own_network() -> None:
    convolutions = (nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU())
    network = nn.Sequential(*convolutions, nn.Flatten(), nn.Linear(16, 5), nn.ReLU(), nn.Linear(5, 3))
    loader = [(torch.randn(8, 1, 6, 6), torch.arange(8) % 3)]
    table = rank_configurations(network, loader, choices=(2, 4, 6), count=12)
    assert table["HAWQ-V2"].is_monotonic_decreasing
    assert len(table) == 12
    best: Any = table["bits"][0]
    assert isinstance(best, BitConfiguration)
    assert {*best.weights[1:-1]} <= {2, 4, 6}
    assert isinstance(quantize(network, best, calibrate(network, [loader[0][0]])), nn.Module)
    by_size = rank_configurations(network, loader, count=5, by="BParams", proxies=())
    assert by_size["BParams"].tolist() == sorted((size_in_bits(network, one) for one in by_size["bits"]), reverse=True)
    for empty in ([], [(torch.zeros(0, 1, 6, 6), torch.zeros(0, dtype=torch.int64))]):
        with pytest.raises(BadInput, match="calibration set of zero images"):
            rank_configurations(network, empty)
    with pytest.raises(BadInput, match="got 1 bits"):
        rank_configurations(network, loader, choices=(1, 2))
    with pytest.raises(UnknownName, match="proxy of a bit configuration"):
        rank_configurations(network, loader, by="Guess")


def test_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], made: Recreated
) -> None:
    asked = []

    def remember(plan: Plan, folder: Path, activations: object, source: object, jobs: int) -> Recreated:
        asked.append((plan, folder, activations, source, jobs))
        return made

    monkeypatch.setattr(ground_truth, "recreate", remember)
    assert cli.main(["mixed-precision", "--plan", "tiny", "--jobs", "2", "--out", str(tmp_path)]) == 0
    assert asked == [(PLANS["tiny"], tmp_path, kind, None, 2) for kind in (None, (8,))]
    assert "24 configurations" in capsys.readouterr().out
    assert cli.main(["mixed-precision", "--plan", "cifar10"]) == 2
    assert "unknown plan 'cifar10'" in capsys.readouterr().err


@settings(max_examples=40, deadline=None)
@given(st.integers(10, 80), st.integers(0, 500), st.sampled_from([20, 50, 100]))
def test_spearman_at_is_scipys_among_the_best(n: int, seed: int, top: int) -> None:
    score, accuracy = np.random.default_rng(seed).normal(size=(2, n))
    k = n * top // 100
    for by, values in (("score", score), ("accuracy", accuracy)):
        best = sorted(range(n), key=lambda i: -values[i])[:k]
        expected = 100 * scipy.stats.spearmanr(score[best], accuracy[best]).statistic
        assert spearman_at(score, accuracy, top, by) == pytest.approx(expected, nan_ok=True)
    assert spearman_at(accuracy, accuracy, top) == pytest.approx(100)
    assert spearman_at(-accuracy, accuracy, top) == pytest.approx(-100)  # signed, and the top is the method's own


def test_spearman_at_refuses() -> None:
    x = np.arange(10.0)
    with pytest.raises(BadInput, match="top=10"):
        spearman_at(x, x, 10)
    with pytest.raises(BadInput, match="all finite"):
        spearman_at(np.where(x > 8, np.nan, x), x, 100)
    with pytest.raises(UnknownName, match="order of the top"):
        spearman_at(x, x, 50, by="size")


def test_a_held_out_configuration_is_never_learned_from(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    features, accuracy = rng.normal(size=(43, 3)).astype(np.float32), rng.normal(size=43)
    seen_by: list[set[float]] = []

    def spy(parts, targets, wanted, seeds):  # type: ignore[no-untyped-def]
        assert len(parts) == 10
        seen_by.extend(set(target) for target in targets)
        return [np.full(len(wanted), float(i)) + wanted[:, 0] for i in range(len(parts))]

    store = RunStore(tmp_path / "rankers.jsonl")
    predicted, _ = unseen(features, accuracy, spy, repeats=2, store=store, key={"who": "spy"})
    assert predicted.shape == (2, 43)
    assert all(len(seen) in (38, 39) for seen in seen_by)
    for value in accuracy:
        assert sum(value not in seen for seen in seen_by) == 2  # held out once a repeat
    # A ranker's own offset is taken off: 0 to 9 above would else order the folds.
    assert np.corrcoef(predicted[0], features[:, 0])[0, 1] > 0.97
    assert not np.allclose(predicted[0], predicted[1])
    assert np.array_equal(unseen(features, accuracy, None, 2, store=store, key={"who": "spy"})[0], predicted)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        unseen(features, accuracy, None, 2, store=store, key={"who": "another"})  # type: ignore[arg-type]
    with pytest.raises(BadInput, match="30 folds"):
        unseen(features, accuracy, spy, 1, folds=30)


def of_bits() -> tuple[np.ndarray, np.ndarray]:
    bits = bits_alone(sample(ResNet18(width=4), 120))
    assert bits.shape == (120, 42)
    return bits, bits @ np.linspace(0, 1, 42) ** 3


def test_the_linear_ranker_finds_a_linear_truth() -> None:
    bits, truth = of_bits()
    found = linear([bits[:80], bits[:81]], [truth[:80], truth[:81]], bits, [0, 1])
    assert [len(scores) for scores in found] == [120, 120]
    assert min(scipy.stats.spearmanr(scores[81:], truth[81:]).statistic for scores in found) > 0.95


def test_parzc_is_mabn_on_standardised_columns_each_in_its_place() -> None:
    """Against `fit`, one ranker at a time; of two that have as many configurations the seed decides."""
    bits, truth = of_bits()
    parts = [slice(0, 40), slice(0, 41), slice(1, 42)]
    found = parzc([bits[part] for part in parts], [truth[part] for part in parts], bits, [0, 1, 2], epochs=2)
    mean, std = bits[:40].mean(axis=0), bits[:40].std(axis=0)
    scaled = ((bits - mean) / np.where(std > 0, std, 1)).astype(np.float32)
    mabn = MABNConfig(42, **SIZES["tiny"])  # type: ignore[arg-type]
    alone = fit(scaled[:40], truth[:40], TrainingConfig(ModelConfig(("Mixer", "BN"), mabn), 2), seed=0)
    np.testing.assert_allclose(found[0], alone.predict(scaled), rtol=1e-4, atol=1e-5)
    assert not np.allclose(found[1], found[2])


def test_front_and_picks() -> None:
    size, accuracy = np.array([4.0, 1.0, 3.0, 2.0, 1.0]), np.array([80.0, 50.0, 90.0, 60.0, 55.0])
    assert front(size, accuracy).tolist() == [4, 3, 2]
    assert picks(np.array([9.0, 1, 2, 3, 0]), size, [1, 2, 3.5, 4]).tolist() == [1, 3, 3, 0]
    with pytest.raises(BadInput, match=r"budget of 0\.5 bits"):
        picks(size, size, [0.5, 2])


class TestPublishedFile:
    def write(self, tmp_path: Path, content: object) -> Path:
        path = tmp_path / "mqbench101" / "PTQ-GT.pkl"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(pickle.dumps(content))
        return path

    def test_is_read_from_text_and_lists(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PARZC_DATA", str(tmp_path))
        assert mq_bench.read() is None
        row = [4, 3, 2] * 6
        content = {
            0: {"bit_cfg": str(row), "acc": 68.5},
            1: {"bit_cfg": str(tuple(row)), "acc": 1},
            2: {"bit_cfg": row, "acc": 2},
        }
        self.write(tmp_path, content)
        found = mq_bench.read()
        assert found is not None
        assert found.bits.tolist() == [row] * 3
        assert found.accuracy.tolist() == [68.5, 1, 2]

    def test_other_content_is_one_clear_error(self, tmp_path: Path) -> None:
        good = {"bit_cfg": [4] * 18, "acc": 60.0}
        for entry in ({**good, "bit_cfg": [4] * 17}, {**good, "bit_cfg": [1] * 18}, {**good, "acc": 101}):
            with pytest.raises(BadInput, match="expected 18 from 2 to 8"):
                mq_bench.read(self.write(tmp_path, {0: good, 1: entry}))
        odd = [{**good, "acc": acc} for acc in (True, "60", None)] + [{**good, "bit_cfg": bytes([4] * 18)}]
        for entry in ({"acc": 60.0}, [4] * 18, {**good, "bit_cfg": "four"}, *odd):
            with pytest.raises(BadInput, match="entry 1 is"):
                mq_bench.read(self.write(tmp_path, {0: good, 1: entry}))
        with pytest.raises(BadInput, match=r"no accuracy above 0\.7; expected percent"):
            mq_bench.read(self.write(tmp_path, {0: {**good, "acc": 0.7}, 1: {**good, "acc": 0.6}}))
        with pytest.raises(BadInput, match="expected a dict"):
            mq_bench.read(self.write(tmp_path, [good]))
        with pytest.raises(UnsafePickle):
            mq_bench.read(self.write(tmp_path, OrderedDict({0: good})))

    def test_sizes(self) -> None:
        ones = np.ones((1, 18), dtype=np.int64)
        every = sum(p.numel() for name, p in ResNet18(1000, 3).named_parameters() if p.ndim > 1)
        assert mq_bench.sizes(ones).tolist() == [every]
        fc, block = ones.copy(), ones.copy()
        fc[0, 17], block[0, 6] = 2, 2  # the second layer of the second stage's first block, with the 1x1 beside it
        assert mq_bench.sizes(fc) - every == 512 * 1000
        assert mq_bench.sizes(block) - every == 9 * 128 * 128 + 64 * 128
        with pytest.raises(BadInput, match="expected \\[n, 18\\]"):
            mq_bench.sizes(ones[:, :5])
