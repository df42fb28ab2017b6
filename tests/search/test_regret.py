"""Regret of the best so far, by what was spent."""

from pathlib import Path

import numpy as np

from parzc_core.search import method, runs
from parzc_core.search.benchmark import FULL, Budget
from parzc_core.search.regret import curves
from parzc_core.search.runs import SearchRun, run_searches

RUNS = [SearchRun("random", evaluations=9, seed=seed) for seed in range(3)]


def test_regret_is_a_step_function_of_cost(tmp_path: Path) -> None:
    found = run_searches(RUNS[:1], tmp_path / "runs.jsonl")
    steps = method("random").run(runs.benchmark("nb201", "cifar10", FULL), Budget(evaluations=9), 0).table()
    at = steps["cost"].to_numpy()
    regret = curves(found, np.array([at[0] - 1, *(at + 0.1)]))
    assert np.isnan(regret[0, 0])
    np.testing.assert_allclose(regret[0, 1:], 91.6067 - steps["best"], atol=1e-3)
    later = curves(found, at + 0.1 + sum(found["seconds"][0].values()), charged=True)
    np.testing.assert_allclose(later, regret[:, 1:])
