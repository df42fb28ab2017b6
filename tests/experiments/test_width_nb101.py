"""NAS-Bench-101 collected at two widths: where it is kept, and how well narrow statistics stand in for wide ones."""

import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from made_up_labels import judged_by

from parzc_core import metrics
from parzc_core.collecting.labelled import Data, folder_name, load
from parzc_core.collecting.one import CollectionConfig
from parzc_core.collecting.sample import collect, command
from parzc_core.errors import BadInput
from parzc_core.experiments import width_nb101
from parzc_core.runs import rankers
from parzc_core.runs.predictions import Prediction
from parzc_core.runs.rankers import RankerRun
from parzc_core.spaces import nb101

CELLS = [
    f"input>1{more}|{a}>2|{b}>3|output"
    for more in ("", ",2", ",3")
    for a in nb101.OPERATIONS
    for b in nb101.OPERATIONS
    if (a, b) != ("maxpool3x3", "maxpool3x3")
]
NARROW = CollectionConfig(space="nb101", cells=len(CELLS), batch=4, width=8, scores=("params",))


@pytest.fixture(scope="module")
def statistics(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("statistics") / "nb101"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(nb101, "sample", lambda count, seed: CELLS[:count])
        collect(NARROW, folder / folder_name("cifar10", 8), progress=False)
        wide = dataclasses.replace(NARROW, width=16, cells=20, scores=("params", "nwot"))
        collect(wide, folder / folder_name("cifar10"), progress=False)
    return folder.parent


@pytest.fixture(autouse=True)
def _use(statistics: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    truth = pd.Series(np.linspace(80, 94, len(CELLS)), index=CELLS)
    with judged_by(truth, statistics, monkeypatch):
        yield


def both() -> tuple[Data, Data]:
    return load("nb101", width=8), load("nb101")


def test_width_is_in_the_manifest_the_command_and_the_folder(statistics: Path) -> None:
    config = json.loads((statistics / "nb101" / "cifar10-width8" / "manifest.json").read_text())["config"]
    assert config["width"] == 8
    assert "--width 8" in command(NARROW)
    plain = dataclasses.replace(NARROW, width=None)
    assert "width" not in plain.plain()
    assert "--width" not in command(plain)


def test_networks_have_the_width_that_was_asked() -> None:
    narrow, wide = both()
    for data, stem in ((narrow, 8), (wide, 16)):
        one = data.collection.statistics[0]
        assert one.numel[one.nodes.index("stem.conv")] == 27 * stem
        expected = sum(p.numel() for p in nb101.build(CELLS[0], stem=stem).parameters())
        assert data.collection.scores["params"].iloc[0] == expected


def test_a_row_says_both_what_was_learned_from_and_what_judges() -> None:
    assert both()[0].note == "learns from made-up accuracy; judged on made-up accuracy"


def test_a_narrow_and_a_wide_run_are_different_runs() -> None:
    run = RankerRun("nb101", cells=20, train=10)
    assert run.key() != dataclasses.replace(run, width=8).key()


def test_inputs_have_room_for_the_papers_249_numbers() -> None:
    data, train = both()[0], np.arange(10)
    inputs = rankers.inputs_for(RankerRun("nb101", train=10, width=8), data, train)
    assert inputs.statistics is not None
    assert inputs.statistics.shape == (len(CELLS), 249)
    assert inputs.operations is not None
    assert inputs.operations.shape == (len(CELLS), 7)


def test_compare_proxies_compares_the_same_cells() -> None:
    narrow, wide = both()
    table = width_nb101.compare_proxies(narrow, wide, nb101.SLOTS)
    sums = [np.array([one.of("snip").sum() for one in d.collection.statistics[:20]]) for d in (narrow, wide)]
    assert table.loc["snip", "agreement"] == metrics.kendall(*sums)
    assert table.loc["snip", "narrow"] == metrics.kendall(sums[0], narrow.judged[:20])
    assert table.loc["l2_norm", "agreement"] > 50  # by the shapes of the layers alone
    assert table["nodes"].between(-100, 100).all()
    same = width_nb101.compare_proxies(wide, wide, nb101.SLOTS)
    assert (same[["agreement", "nodes"]] > 100 - 1e-9).all(axis=None)
    with pytest.raises(BadInput, match="other cells"):
        width_nb101.compare_proxies(wide, narrow, nb101.SLOTS)


def prediction(score: list[float], archs: tuple[str, ...] = ("a", "b", "c", "d")) -> Prediction:
    n = len(score)
    truth = np.arange(float(n))
    return Prediction(RankerRun(split=3), archs, np.array(score), truth, truth, np.zeros(n, dtype=bool), "")


def test_compare_rankers_compares_scores_on_the_same_cells() -> None:
    table = width_nb101.compare_rankers([prediction([0, 1, 2, 3])], [prediction([1, 0, 2, 3])])
    assert table.loc[3].round(6).to_dict() == {"narrow": 100.0, "wide": 66.666667, "agreement": 66.666667}
    with pytest.raises(BadInput, match="other cells"):
        width_nb101.compare_rankers([prediction([0, 1, 2, 3])], [prediction([0, 1, 2, 3], ("a", "b", "c", "e"))])


def test_conclusions_have_the_numbers_of_the_tables() -> None:
    values = {"grasp": (20, 22, 40), "plain": (10, 10, 45), "snip": (-15, -11, 88), "fisher": (-24, -20.5, 87)}
    proxies = pd.DataFrame.from_dict(values, orient="index", columns=["narrow", "wide", "agreement"])
    splits = pd.DataFrame({"narrow": [69.0, 70.0], "wide": [69.0, 69.4], "agreement": [88.0, 89.0]})
    rankers, two, most = width_nb101.conclusions(proxies, splits)
    assert "69.5 % on the statistics of 32 channels and 69.2 %" in rankers
    assert "a tau of 87 % or more, except for GraSP (40 %) and Plain (45 %)" in two
    assert "changes most for SNIP: -4.0 points" in most
