"""What stands in for the trainings of the Network Design Spaces: what is read, trained and said, and where it is missing."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nds_stores
import numpy as np
import pandas as pd
import pytest

from parzc_core.collecting.labelled import Data
from parzc_core.runs import nds_networks, stand_ins
from parzc_core.runs.stand_ins import (
    StandIn,
    made_here,
    nb301,
    overview,
    ranked,
    ranker_runs,
    rows,
    truths,
)


def there(monkeypatch: pytest.MonkeyPatch, counts: dict[str, int]) -> list[tuple[Any, ...]]:
    """So many architectures of each space are collected; returns what is asked for."""
    asked: list[tuple[Any, ...]] = []

    def load(*arguments: Any) -> Any:
        asked.append(arguments)
        return SizedData(arguments[2])

    monkeypatch.setattr(stand_ins, "judgeable", lambda space, *_: counts.get(space, 0))
    monkeypatch.setattr(stand_ins, "load", load)
    monkeypatch.setattr(nds_networks, "ceiling", lambda space: 62.5)
    return asked


class SizedData(SimpleNamespace):
    """Data of so many architectures, without any."""

    def __init__(self, count: int) -> None:
        super().__init__(count=count, note="judged on test accuracy")

    def __len__(self) -> int:
        return int(self.count)


def test_without_statistics_the_commands_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    there(monkeypatch, {"nb301": stand_ins.LEAST - 1})
    ones = truths()
    assert [one.column for one in ones] == [
        "NB301 surrogate",
        "DARTS on Fashion-MNIST",
        "ENAS on Fashion-MNIST",
        "NASNet on Fashion-MNIST",
    ]
    assert "parzc data fetch" in ones[0].note
    assert "parzc collect --space nb301 --dataset cifar10 --sample labelled --cells 725 --width 12" in ones[0].note
    made = rows("table01", ones, ranked(ones, "smoke", tmp_path), "smoke")
    assert [(row.table, row.origin, row.value, row.n) for row in made] == [("table01", "unavailable", None, 0)] * 4
    assert all("python -m parzc_core.runs.nds_networks" in row.note and "--cells 60" in row.note for row in made[1:])
    assert overview(made).empty


def test_no_more_cells_are_read_than_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = there(monkeypatch, {"nb301": 400})
    nb301(300), nb301()
    assert [one[2:] for one in asked] == [(300, 12), (400, 12)]


@pytest.mark.parametrize(
    ("count", "profile", "train", "splits"),
    [
        (700, "full", 420, 5),
        (700, "standard", 100, 5),
        (60, "full", 36, 10),
        (60, "standard", 36, 5),
        (60, "smoke", 36, 2),
    ],
)
def test_rankers_read_what_the_supplement_says(
    monkeypatch: pytest.MonkeyPatch, count: int, profile: str, train: int, splits: int
) -> None:
    there(monkeypatch, {"nb301": count})
    runs = ranker_runs(nb301(), profile)
    whole = count == 700 or profile == "full"  # else the paper's encoding alone
    expected = {"ParZC": "paper"} | ({"ParZC (aligned)": "aligned"} if whole else {})
    assert list(runs) == list(expected)
    for name, encoding in expected.items():
        assert [(run.split, run.encoding, run.train) for run in runs[name]] == [
            (i, encoding, train) for i in range(splits)
        ]
        assert {run.proxies for run in runs[name]} == {("synflow", "snip", "grad_norm", "fisher")}
        assert {run.parts for run in runs[name]} == {("Mixer", "BN")}  # no graph
        assert {run.width for run in runs[name]} == {12}
    if profile == "full":
        assert {run.epochs for each in runs.values() for run in each} == {296}


def test_the_truth_made_here_is_marked_as_such(monkeypatch: pytest.MonkeyPatch) -> None:
    there(monkeypatch, {"nds_enas": 60})
    one = made_here("nds_enas")
    assert (one.origin, one.ceiling, one.width) == ("recreated", 62.5, None)
    assert {(run.space, run.dataset) for each in ranker_runs(one, "smoke").values() for run in each} == {
        ("nds_enas", "fashion-mnist")
    }


def test_rows_are_means_over_splits_under_the_name_of_what_judges(
    monkeypatch: pytest.MonkeyPatch, made_up: Data
) -> None:
    one = StandIn("ENAS on Fashion-MNIST", "nds_enas", "fashion-mnist", None, "recreated", "a note", made_up, 62.5)
    results = pd.DataFrame(
        {
            "column": one.column,
            "row": ["ParZC"] * 2 + ["ParZC (aligned)"] * 2,
            "space": one.space,
            "train": 18,
            "epochs": 74,
            "n": 12,
            "kendall": [40.0, 50.0, 60.0, 80.0],
            "spearman": [50.0, 60.0, 70.0, 90.0],
        }
    )
    made = {(row.row, row.metric): row for row in rows("table01", [one], results, "full")}
    assert made["ParZC", "kendall"].value == 45
    assert made["ParZC (aligned)", "kendall"].value == 70
    assert made["ParZC (aligned)", "spearman"].value == 80
    assert "trained on 18, judged on 12 networks; a note" in made["ParZC", "kendall"].note
    found = made["ParZC", "kendall"]
    assert (found.runs, found.epochs, found.published_epochs) == (2, 74, 296)
    assert made["SNIP", "kendall"].value == pytest.approx(100)
    assert made["ceiling", "kendall"].value == 62.5
    assert {row.origin for row in made.values()} == {"recreated"}
    shown = overview(list(made.values()))
    assert shown.loc["ParZC", one.column] == 45
    assert shown.index[-1] == "ceiling"
    elsewhere = dataclasses.replace(one, column="DARTS on Fashion-MNIST", ceiling=None)
    two = overview(rows("table01", [one, elsewhere], results, "full"))
    assert np.isnan(two.loc["ParZC", "DARTS on Fashion-MNIST"])
    assert two.loc["SNIP"].tolist() == pytest.approx([100, 100])


@pytest.fixture
def made_up() -> Data:
    """Thirty architectures whose statistics order them as their accuracy does."""
    return nds_stores.data()
