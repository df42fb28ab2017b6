"""The page that says which label is which: what is committed is what the loaders say."""

import pytest

from parzc_core import cli, labels
from parzc_core.errors import LabelsMissing
from parzc_core.labels import which
from parzc_core.paths import ROOT


@pytest.fixture(scope="module")
def page() -> str:
    try:
        return which.page()
    except LabelsMissing as missing:
        pytest.skip(f"not all labels are on this machine: {missing}")


def test_the_committed_page_is_the_generated_one(page: str) -> None:
    assert page == (ROOT / "docs" / "which_label.md").read_text(encoding="utf-8"), "run: parzc data labels > docs/which_label.md"


def test_every_published_accuracy_of_the_loaders_has_its_meaning() -> None:
    for space, dataset, split, source in labels.offered():
        known = (space, dataset, split) in which.MEANINGS or (space, "*", split) in which.MEANINGS
        without = split == "val" and space in ("autoformer", "pit")  # none is published
        assert known or without or source in (which.MADE_HERE, "nds_data"), (space, dataset, split, source)
    with pytest.raises(KeyError):
        which.meaning("pit", "cifar100", "val")


def test_cifar_10_has_two_sets_of_trainings() -> None:
    val, test = (which.meaning("nb201", "cifar10", split) for split in labels.SPLITS)
    assert (val.trained, test.trained) == ("half of the training images", "all training images")
    assert "cifar10-valid" in val.api


def test_the_page_answers_the_questions_of_the_benchmarks_users(page: str) -> None:
    for number in (27, 35, 38, 39):
        assert f"issues/{number})" in page
    optimum = labels.accuracy("nb201", "cifar10", "test", "v1.0").max()
    assert f"its highest mean is {optimum:.2f} %" in page


def test_the_command_prints_the_page(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(which, "page", lambda: "# the page\n")
    assert cli.main(["data", "labels"]) == 0
    assert capsys.readouterr().out == "# the page\n"
