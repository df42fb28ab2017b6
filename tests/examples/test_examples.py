"""What a user can copy works: each example is a script of at most 20 lines of code, run here in its smallest size."""

import re
from pathlib import Path

import pytest
from project_copy import tree_fixture, warmed_fixture, without_network  # noqa: F401
from warm import Warm

from parzc_core.paths import ROOT

FOLDER = Path(__file__).parent
SMALLER = {
    "own_proxy": {"cells=300": "cells=4"},
    "own_space": {
        **{"count=100": "count=24", "[:20]": "[:12]", "max_iter=30": "max_iter=3"},
        "ranker=ranker)": "ranker=ranker, config=__import__('parzc_core').training.TrainingConfig(epochs=2))",
    },
    "own_networks": {"budget=15": "budget=7"},
    "own_predictor": {"cells=1000": "cells=100", "np.arange(78)": "np.arange(30)"},
    "own_search": {"evaluations=100": "evaluations=10"},
}
SAID = {
    "own_proxy": r"grad_mean +-?\d.*\nsynflow +-?\d",
    "own_space": r"(?s)accuracy.*\n\d+x\d+ .*accuracy.*\n\d+x\d+ ",
    "own_networks": r"<parzc_plus search of 60 networks, seed 0: 7 trainings; best '\dx\d",
    "own_predictor": r"^-?\d",
    "own_search": r"Step\(",
}


def test_every_example_is_here() -> None:
    assert {path.stem for path in FOLDER.glob("own_*.py")} == set(SMALLER)
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert all(f"tests/examples/{name}.py" in text for name in SMALLER)


@pytest.mark.parametrize("name", SMALLER)
def test_an_example_works_in_at_most_20_lines(warmed: Warm, name: str, tmp_path: Path) -> None:
    code = (FOLDER / f"{name}.py").read_text()
    body = [line for line in code.split('"""', 2)[2].splitlines() if line.strip()]
    assert len([line for line in body if not line.startswith(("import ", "from "))]) <= 20
    for large, small in SMALLER[name].items():
        assert large in code
        code = code.replace(large, small)
    run = warmed.run(code, cwd=tmp_path)
    assert run.returncode == 0, run.stderr[-2000:]
    assert re.search(SAID[name], run.stdout), run.stdout


def test_what_runs_in_the_copy_writes_in_the_copy_whatever_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HOME", "RESULTS", "FIGURES", "REPORT"):
        monkeypatch.setenv(f"PARZC_{name}", str(ROOT))
    assert not [name for name, value in without_network(FOLDER).items() if name.startswith("PARZC_") and value == str(ROOT)]
