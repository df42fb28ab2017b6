"""What the paper leaves open of ParZC's search: readings, ceilings and the sentence, worked by hand."""

import numpy as np
import pandas as pd
import pytest

from parzc_core.experiments import table03_09_readings as part
from parzc_core.search.judge import Judge
from parzc_core.search.runs import benchmark


def made(order: np.ndarray, labels: int = 20) -> pd.DataFrame:
    """A search that has the hundredth best at first, the second best one training after its labels, the best four later."""
    incumbents = [[int(order[rank]), 200, 1.0] for rank in (100, 1, 0)]
    return pd.DataFrame([{"settings": (("train", labels),), "incumbents": incumbents, "at": [3, labels + 1, labels + 5]}])


@pytest.fixture(scope="module")
def order() -> np.ndarray:
    return np.argsort(-benchmark("nb201", "cifar10", 200).table.fidelities[200].accuracy, kind="stable")


def test_one_search_has_all_readings_of_its_labels(order: np.ndarray) -> None:
    archs = benchmark("nb201", "cifar10", 200).table.archs
    found = part.readings(made(order))
    assert found == {(20, 1): [archs[order[1]]], (20, 5): [archs[order[0]]], (20, 20): [archs[order[0]]]}
    later = made(order)
    later["at"] = [[3, 22, 60]]
    assert part.readings(later)[20, 1] == [archs[order[100]]]  # the best of the labels, as the final one was no better


def test_the_plan_pays_for_labels_and_final_trainings() -> None:
    plan = part.planned("full")
    assert {(dict(run.settings)["train"], run.evaluations) for run in plan} == {(n, n + 20) for n in part.LABELS}
    assert len(plan) == 5 * len(part.LABELS)
    assert len(part.planned("smoke")) == 2


def test_ceilings_and_rows_and_the_sentence(order: np.ndarray) -> None:
    judge = Judge()
    if judge.missing:
        pytest.skip("no test labels on this machine")
    archs = benchmark("nb201", "cifar10", 200).table.archs
    tops = part.ceilings(judge)
    assert tops["Perfect on validation"] == archs[order[0]]
    assert judge.accuracy([tops["Perfect on test, 1 final"]], "cifar10", "test")[0] == judge.best("cifar10", "test")
    results = made(order)
    rows = {(row.row, row.column): row for row in part.rows(results, "full", judge)}
    expected = judge.accuracy([archs[order[1]]], "cifar100", "test")[0]
    assert rows["ParZC, 20 labels, 1 final", "CIFAR-100"].value == pytest.approx(expected)
    assert rows["Perfect on validation", "CIFAR-10"].origin == "ours"
    said = part.sentences(results, judge)
    assert said[0].startswith("**The printed 94.36 ± 0.01** on CIFAR-10 is reached by ")
    assert "of 3 readings" in said[0]
    assert part.sentences(pd.DataFrame(), judge) == []
