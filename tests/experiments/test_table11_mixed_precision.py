"""Table 11 end to end on a tiny plan: built, resumed, judged as rows; and the ranking of a user's own network."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from test_mixed_quantizer import small
from torch import nn

from parzc_core import cli, paper
from parzc_core.errors import BadInput, UnknownName
from parzc_core.experiments.table11_mixed_precision import TABLE, learned_scores, proxy_scores, published_rows, rows
from parzc_core.quantization import ground_truth
from parzc_core.quantization.bits import BitConfiguration, size_in_bits
from parzc_core.quantization.ground_truth import PLANS, Plan, Recreated, recreate
from parzc_core.quantization.own import rank_configurations
from parzc_core.quantization.quantizer import calibrate, quantize

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
    assert {row.origin for row in found if row.row != "EMQ"} == {"recreated"}
    assert {row.origin for row in found if row.row == "EMQ"} == {"unavailable"}
    by = {(row.row, row.column): row for row in found}
    size = pd.Series(made.size).corr(pd.Series(made.accuracy), method="spearman")
    assert by["BParams", "toy W+A rho@100%"].value == pytest.approx(100 * size)
    assert {row for row, _ in by} >= set(paper.printed(TABLE)["row"])
    monkeypatch.delenv("PARZC_DATA", raising=False)
    assert published_rows("smoke") == []


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
    network = small()
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
