"""Figures 4 and 8: what is planned and left out, the rows, and what the panels show."""

import json
from typing import Any

import numpy as np
import pytest
from figure_checks import check, words

from parzc_core import paths
from parzc_core.experiments import fig04_08_rank_correlation as fig04_08
from parzc_core.runs.predictions import Prediction
from parzc_core.runs.rankers import RankerRun


def at_hand(patch: pytest.MonkeyPatch, nb101: int = 11_000) -> None:
    patch.setattr(fig04_08, "judgeable", lambda space, *_: 15_625 if space == "nb201" else nb101)


def prediction(run: RankerRun, seed: int = 0) -> Prediction:
    rng = np.random.default_rng(seed)
    truth = rng.normal(90, 2, 300)
    twin = np.arange(300) < 30
    return Prediction(run, tuple(map(str, range(300))), truth + rng.normal(0, 2, 300), truth, truth, twin, "a note")


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> dict[str, Prediction]:
    at_hand(monkeypatch)
    return {title: prediction(run, i) for i, (title, run) in enumerate(fig04_08.planned("smoke").items())}


def test_a_panel_has_600_training_cells_or_six_tenths_of_few(monkeypatch: pytest.MonkeyPatch) -> None:
    at_hand(monkeypatch)
    plan = fig04_08.planned("full")
    assert {title: (run.cells, run.train, run.width) for title, run in plan.items()} == {
        "CIFAR-10": (15_625, 600, None),
        "CIFAR-100": (15_625, 600, None),
        "ImageNet16-120": (15_625, 600, None),
        "NAS-Bench-101": (11_000, 600, 32),
    }
    assert {run.epochs for title, run in plan.items() if title != "NAS-Bench-101"} == {200}
    assert {run.train for run in fig04_08.planned("smoke").values()} == {180}
    assert fig04_08.left_out("full") == {}


def test_a_panel_with_too_few_cells_is_left_out_and_said(monkeypatch: pytest.MonkeyPatch) -> None:
    at_hand(monkeypatch, nb101=900)
    assert "NAS-Bench-101" not in fig04_08.planned("full")
    assert fig04_08.left_out("full") == {"NAS-Bench-101": "900 cells with statistics and labels, 1000 needed"}


def test_committed_runs_are_those_of_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = (paths.RESULTS / "full" / "fig04_rank_correlation" / "runs.jsonl").read_text().splitlines()
    stored = [json.loads(line)["config"] for line in lines]
    at_hand(monkeypatch)
    for title, run in fig04_08.planned("full").items():
        wanted = json.loads(json.dumps({**run.identity(), "kind": "PredictionRun"}))
        assert any(wanted.items() <= config.items() for config in stored), title


def test_rows_are_one_a_population_and_the_printed_value(found: dict[str, Prediction]) -> None:
    numbers = fig04_08.correlations(found)
    four, eight = (fig04_08.rows(name, found, numbers, "smoke") for name in (fig04_08.FIGURE_4, fig04_08.FIGURE_8))
    assert [(row.row, row.column) for row in four] == [
        ("ParZC", "NB201-CF10 all unseen"),
        ("ParZC", "NB201-CF10 no twin"),
        ("ParZC", "NB201-CF10 top 10%"),
        ("ParZC", "NB201-CF10 best 1% in predicted best 10%"),
        ("ParZC (paper)", "NB201-CF10 all unseen"),
    ]
    assert [row.n for row in four[:3]] == [300, 270, 30]
    assert four[0].value == numbers.loc[("CIFAR-10", "all unseen"), "kendall"]
    assert len(eight) == 4 * 4 + 1
    assert (eight[-1].origin, eight[-1].value) == ("quoted", 78.24)


def test_the_printed_tau_gets_a_verdict_in_words(found: dict[str, Prediction]) -> None:
    numbers = fig04_08.correlations(found).loc["CIFAR-10"].assign(kendall=80.0, ci_low=79.0, ci_high=81.0)
    assert fig04_08.beside_print(numbers) == "paper 78.2 %, ours 80.0 % [79.0, 81.0]: not judged: fewer than 5 runs"
    assert fig04_08.search(found).loc["best accuracy", "CIFAR-10"] == found["CIFAR-10"].truth.max()


def test_figure_4_has_the_space_and_its_top(found: dict[str, Prediction]) -> None:
    figure = fig04_08.space_and_top(found["CIFAR-10"], fig04_08.correlations(found).loc["CIFAR-10"])
    check(figure, ["predicted rank (1 = best)", "true accuracy (%)", "10 truly best"])
    titles: list[Any] = [ax.get_title() for ax in figure.axes]
    assert [title.split(":")[0] for title in titles] == ["the space", "its top 10 %"]
    assert any(text.startswith("30 cells") for text in words(figure))


def test_the_grid_is_labelled_and_whole() -> None:
    truth = np.random.default_rng(0).normal(90, 2, 300)
    figure = fig04_08.rank_scatter_grid({"CIFAR-10": (truth, truth), "CIFAR-100": (-truth, truth)})
    said = ["CIFAR-10: all judged cells", "CIFAR-100: top 10%", "300 cells, Kendall's τ = -100.0 %"]
    check(figure, said)


def test_the_upper_panel_holds_the_truly_best_tenth() -> None:
    truth = np.arange(200.0)
    whole, top = fig04_08.rank_scatter_grid({"x": (-truth, truth)}, best=3).axes
    assert sum(len(dots.get_offsets()) for dots in whole.collections) == 200
    assert min(dots.get_offsets()[:, 1].min() for dots in top.collections) >= 179
    assert whole.collections[1].get_offsets()[:, 1].tolist() == top.collections[1].get_offsets()[:, 1].tolist()


def test_how_many_of_the_best_cells_are_among_those_predicted_best_is_a_row(found: dict[str, Prediction]) -> None:
    item = found["CIFAR-10"]
    best, chosen = np.argsort(-item.truth)[:3], set(np.argsort(-item.score)[:30].tolist())
    expected = 100 * np.mean([cell in chosen for cell in best])
    (row,) = [r for r in fig04_08.rows(fig04_08.FIGURE_4, found, fig04_08.correlations(found), "smoke") if r.metric == "recall"]
    assert (row.value, row.n, row.origin) == (pytest.approx(expected), 3, "ours")
