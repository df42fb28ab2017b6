"""The first notebook: its ranker, what it is compared with, and its favourites."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from figure_checks import check

from parzc_core import metrics
from parzc_core.collecting import labelled
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


def test_another_ranker_has_the_size_of_the_profile() -> None:
    run = start_here.planned("smoke", train=16, split=3)
    assert (run.parts, run.encoding, run.size, run.train, run.split) == (("NP", "Mixer", "BN"), "aligned", "tiny", 16, 3)
    assert start_here.planned("full", train=78).epochs == 200
    assert start_here.planned("full", start_here.SHIPPED.train) == start_here.SHIPPED
    assert start_here.planned("full", 78, dataset="cifar100").dataset == "cifar100"


class TestCommittedRanker:
    """The ranker that the first notebook loads: small, and as good as it says, in every profile."""

    @pytest.fixture(scope="class")
    def loaded(self) -> Any:
        data = labelled.load()
        return data, *start_here.ranker("smoke", data)

    def test_its_training_cells_are_told_apart(self, loaded: Any) -> None:
        data, _, _, learned, unseen = loaded
        expected, others = labelled.training_cells(len(data), start_here.SHIPPED.train, start_here.SHIPPED.split)
        assert learned.tolist() == expected.tolist()
        assert unseen.tolist() == others.tolist()

    def test_it_predicts_what_is_claimed(self, loaded: Any) -> None:
        data, ranker, inputs, _, unseen = loaded
        tau = metrics.kendall(ranker.predict(inputs[unseen]), data.judged[unseen])
        assert tau == pytest.approx(ranker.trained_on["kendall"], abs=0.2)
        assert tau > 80
        some = unseen[:2000]
        sums = pd.DataFrame([data.statistics[i].sums() for i in some])
        assert max(metrics.kendall(values.to_numpy(), data.judged[some]) for _, values in sums.items()) < tau - 20


def test_sums_the_ranker_and_trees_are_judged_on_the_same_cells_the_best_first(data: Any) -> None:
    inputs, learned = Inputs(VALUES[:, None].astype(np.float32)), np.array([3, 4, 0, 1])
    taus = start_here.beside_sums(data, inputs, learned, UNSEEN, np.array([0.0, 1.0, 3.0, 2.0]))
    tau = metrics.kendall(np.array([0.0, 1.0, 3.0, 2.0]), data.judged[UNSEEN])
    assert taus.drop(start_here.TREES).to_dict() == pytest.approx({"SNIP": 100, start_here.PARZC: tau, "Plain": -100})
    assert taus.tolist() == sorted(taus, reverse=True)
    said = start_here.says(taus, 2)
    assert "learned from 2 accuracies" in said
    assert "The best proxy, SNIP, reads none and has 100.0 %" in said
    check(start_here.tau_bars(taus), ["SNIP", start_here.PARZC, "Kendall's tau with accuracy, unseen cells (%)"])


def test_favourites_are_unseen_cells_with_their_true_rank(data: Any) -> None:
    asked: list[tuple[list[float], int]] = []

    class Ranker:
        def predict(self, inputs: Inputs, samples: int) -> tuple[np.ndarray, np.ndarray]:
            asked.append((inputs.statistics[:, 0].tolist(), samples))  # type: ignore[index]
            return np.zeros(2), np.array([0.5, 0.25])

    ranker: Any = Ranker()
    inputs = Inputs(VALUES[:, None].astype(np.float32))
    top = start_here.favourites(data, ranker, inputs, UNSEEN, np.array([9.0, 1.0, 2.0, 8.0]), count=2, draws=7)
    expected = {
        "cell": ["cell 5", "cell 2"],
        "score": [9.0, 8.0],
        "spread": [0.5, 0.25],
        "validation (%)": [89.0, 91.0],
        "test (%)": [90.0, 92.0],
        "true rank": [4, 2],
    }
    pd.testing.assert_frame_equal(top, pd.DataFrame(expected))
    assert asked == [([0.0, 2.0], 7)]


def test_trees_learn_from_the_training_cells_alone(data: Any) -> None:
    inputs = Inputs(VALUES[:, None].astype(np.float32))
    assert start_here.tau_of_trees(data, inputs, np.array([3, 4, 0, 1]), np.array([2, 5])) == 100
