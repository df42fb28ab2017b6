"""The first notebook: its ranker, what it is compared with, and its favourites."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from parzc_core import metrics
from parzc_core.experiments import start_here
from parzc_core.ranker import Inputs

VALUES = np.array([3.0, 1.0, 2.0, 5.0, 4.0, 0.0])
UNSEEN = np.array([5, 0, 1, 2])


class Statistics:
    def __init__(self, value: float):
        self.value = value

    def sums(self) -> dict[str, float]:
        return {"snip": self.value, "plain": -self.value}


@pytest.fixture
def data() -> Any:
    archs = [f"cell {i}" for i in range(6)]
    collection = type("Collection", (), {"archs": archs, "statistics": [Statistics(v) for v in VALUES]})()
    judged = 90 + VALUES
    return type("Cells", (), {"collection": collection, "judged": judged, "learn": judged - 1, "judged_on": "test"})()


def test_the_ranker_is_mabn_on_aligned_statistics_in_the_size_of_the_profile() -> None:
    run = start_here.planned("smoke", train=16, split=3)
    assert (run.parts, run.encoding, run.size, run.train, run.split) == (("Mixer", "BN"), "aligned", "tiny", 16, 3)
    assert start_here.planned("full").epochs == 200


def test_sums_and_the_ranker_are_judged_on_the_same_cells_the_best_first(data: Any) -> None:
    table = start_here.beside_sums(data, UNSEEN, np.array([0.0, 1.0, 3.0, 2.0]))
    assert list(table.index) == ["snip", "MABN on node-wise statistics", "plain"]
    tau = metrics.kendall(np.array([0.0, 1.0, 3.0, 2.0]), data.judged[UNSEEN])
    assert table["Kendall's tau (%)"].tolist() == pytest.approx([100, tau, -100])


def test_favourites_are_unseen_cells_with_their_true_rank(data: Any) -> None:
    top = start_here.favourites(data, UNSEEN, np.array([9.0, 1.0, 2.0, 8.0]), np.full(4, 0.5), count=2)
    expected = {
        "cell": ["cell 5", "cell 2"],
        "score": [9.0, 8.0],
        "spread": [0.5, 0.5],
        "validation (%)": [89.0, 91.0],
        "test (%)": [90.0, 92.0],
        "true rank": [4, 2],
    }
    pd.testing.assert_frame_equal(top.reset_index(drop=True), pd.DataFrame(expected))


def test_trees_learn_from_the_training_cells_alone(data: Any) -> None:
    inputs = Inputs(VALUES[:, None].astype(np.float32))
    assert start_here.tau_of_trees(data, inputs, np.array([3, 4, 0, 1]), np.array([2, 5])) == 100
