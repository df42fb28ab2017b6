"""Ground truths made here, recomputed: what is untouched is bit-equal, what was altered is found, nothing is written."""

import dataclasses
import functools
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from parzc_core.experiments.table11_mixed_precision import learned_scores
from parzc_core.quantization.ground_truth import Evaluation, Plan, recreate
from parzc_core.quantization.network import Recipe
from parzc_core.runs import nds_networks
from parzc_core.storage.run_store import RunStore
from parzc_core.verifying import items, made_here, verify
from parzc_core.verifying.verdicts import DIFFERENT, EQUAL

NDS = nds_networks.Recipe(width=2, depth=3, side=8, images=96, val=40, test=40, epochs=1, batch=32)
PLAN = Plan(
    "digits",
    Recipe(epochs=1, batch=64, width=4, flip=False, limit=256),
    Evaluation(calibration=64, test=100, batch=64),
    **{"count": 20, "batches": 1, "batch": 8, "iterations": 1, "draws": 1},
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A training of an NDS network, and a small benchmark of Table 11 with its rankers."""
    folder = tmp_path_factory.mktemp("made")
    nds_networks.make(nds_networks.trainings(1, 1, NDS, None)[:1], folder / "truth" / "nds")
    benchmark = folder / "mixed_precision" / "small"
    learned_scores(recreate(PLAN, benchmark), 1, 2, RunStore(benchmark / "rankers.jsonl"))
    return folder


@pytest.fixture
def copied(made: Path, tmp_path: Path) -> Path:
    """To be altered."""
    return Path(shutil.copytree(made, tmp_path / "copied"))


def check(folder: Path, count: int, only: str = "") -> list[items.Checked]:
    found = items.draw(made_here.truths(folder, 0, expensive=True, wanted=lambda name: name.startswith(only)), count)
    return [one.check() for one in found.chosen]


def rewritten(file: Path, change: functools.partial[dict[str, Any]] | dict[str, Any], where: str = "") -> None:
    """The first line with another result, as if it had been stored so. where: what its configuration holds."""
    lines = [json.loads(line) for line in file.read_text().splitlines()]
    first = next(one for one in lines if where in json.dumps(one["config"]))
    RunStore(file).put(first["config"], first["result"] | (change(first["result"]) if callable(change) else change))


def test_what_is_untouched_is_bit_equal_and_nothing_is_written(copied: Path) -> None:
    before = {file: file.read_bytes() for file in copied.rglob("*") if file.is_file()}
    found = check(copied, 7)
    assert [one.verdict for one in found] == [EQUAL] * 7, [verify.line(one) for one in found]
    assert {each.what for one in found for each in one.found} == {
        *("Training: val", "Training: test", "Training: loss", "runs: accuracy", "runs: size"),
        *("rankers: predicted", "network: stored_accuracy", "network: float_accuracy"),
    }
    assert {file: file.read_bytes() for file in copied.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize(
    ("file", "change", "what"),
    [
        ("truth/nds/runs.jsonl", {"val": 99.0}, "Training: val"),
        ("truth/nds/runs.jsonl", {"loss": 9.0}, "Training: loss"),
        ("mixed_precision/small/rankers.jsonl", lambda result: {"predicted": result["predicted"][::-1]}, "rankers: predicted"),
    ],
)
def test_a_line_stored_with_another_result_is_different(copied: Path, file: str, change: Any, what: str) -> None:
    rewritten(copied / file, change, where="ParZC" if "rankers" in file else "")
    found = check(copied, 9, only=file.partition("/")[0])
    different = [one for one in found if one.verdict == DIFFERENT]
    assert what in {each.what for one in different for each in one.found if each.verdict == DIFFERENT}
    assert {each.what for one in found for each in one.found if each.verdict == DIFFERENT} == {what}


@pytest.mark.parametrize("change", [{"size": 1}, {"accuracy": -5.0}])
def test_a_bit_configuration_with_another_accuracy_or_size_is_different(copied: Path, change: dict[str, float]) -> None:
    store = RunStore(copied / "mixed_precision" / "small" / "runs.jsonl")
    for one in list(store):
        store.put(one["config"], one["result"] | change)
    found = [one for one in check(copied, 6, only="mixed") if one.of.startswith("runs")]
    assert found
    for one in found:
        assert [each.what for each in one.found if each.verdict == DIFFERENT] == [f"runs: {next(iter(change))}"]


def test_another_or_a_damaged_network_is_different(copied: Path) -> None:
    benchmark = copied / "mixed_precision" / "small"
    facts = json.loads((benchmark / "manifest.json").read_text())
    (benchmark / "manifest.json").write_text(json.dumps(facts | {"stored_accuracy": facts["stored_accuracy"] - 9}))
    network = next(one for one in check(copied, 4, only="mixed") if one.of == "checkpoint.npz")
    assert network.verdict == DIFFERENT
    other = recreate(dataclasses.replace(PLAN, recipe=dataclasses.replace(PLAN.recipe, seed=1)), copied / "other")
    shutil.copy(copied / "other" / "checkpoint.npz", benchmark)
    assert other.facts["plan"]["recipe"]["seed"] == 1
    lines = [one for one in check(copied, 5, only="mixed") if one.of.startswith("runs")]
    assert lines
    assert all(one.verdict == DIFFERENT and "it is another run here: its network is" in one.note for one in lines)
    (benchmark / "checkpoint.npz").write_bytes(b"no network")
    damaged = next(one for one in check(copied, 4, only="mixed") if one.of == "checkpoint.npz")
    assert damaged.verdict == DIFFERENT
    assert "cannot be read" in damaged.note


def test_an_edited_line_and_a_broken_manifest_are_different(copied: Path) -> None:
    file = copied / "truth" / "nds" / "runs.jsonl"
    file.write_text(file.read_text().replace('"loss": ', '"loss": 1'))
    (copied / "mixed_precision" / "small" / "manifest.json").write_text("{")
    with pytest.warns(UserWarning, match="its sha256 is not that of its result"):
        found = check(copied, 2)
    assert [one.verdict for one in found] == [DIFFERENT] * 2
    assert {one.name for one in found} == {"truth/nds", "mixed_precision/small"}


def test_what_needs_images_that_are_not_here_is_named(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(made_here, "folder_of_fashion_mnist", lambda: None)
    folder = Path(shutil.copytree(made, tmp_path / "results"))
    for place in ("truth/nds/runs.jsonl", "mixed_precision/small/runs.jsonl"):
        old = RunStore(folder / place)
        lines = [(one["config"] | {"data": "fashion-mnist"}, one["result"]) for one in old]
        old.path.unlink()
        for config, result in lines:
            RunStore(folder / place).put(config, result)
    manifest = folder / "mixed_precision" / "small" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"data": "digits"', '"data": "fashion-mnist"'))
    plan = verify.planned(0, 9, expensive=True, statistics=tmp_path, results=folder / "full")
    assert "left out: truth/nds: Fashion-MNIST is not here (`parzc data fetch` gets it)" in plan.announced()
    assert "left out: mixed_precision/small: network and accuracies: Fashion-MNIST is not here" in plan.announced()
    assert "layer sensitivities have no measured tolerance" in plan.announced()
    assert {item.name for item in plan.runs.chosen} == {"mixed_precision/small"}  # its rankers need no image
