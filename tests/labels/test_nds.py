"""Published trainings of the Network Design Spaces in their official form, and NAS-Bench-301's 725 cells."""

import json
import math
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from nds_genotypes import DARTS_V2, NASNET_A
from torch import nn

from parzc_core import labels
from parzc_core.collecting import one, sample
from parzc_core.collecting.one import CollectionConfig
from parzc_core.errors import BadInput, CorruptDownload, LabelsMissing, UnknownName
from parzc_core.files import status
from parzc_core.labels import nb301
from parzc_core.labels import nds as labels_nds
from parzc_core.spaces import nds
from parzc_core.spaces.nds import genotype as nds_genotype

DARTS = nds.SPACES["nds_darts"]
PUBLISHED = Path(os.environ.get("PARZC_DATA", "")) / nb301.FILE
needs_nb301 = pytest.mark.skipif(not PUBLISHED.is_file(), reason=f"PARZC_DATA has no {nb301.FILE}")


def entry(genotype: dict[str, Any], errors: list[float], width: int = 16, depth: int = 4, **more: Any) -> dict:
    """One trained network with every field of the official files."""
    return {
        "job_id": "a1",
        "rng_seed": 1,
        "exp_mem": 2.5,
        "params": 250_000,
        "flops": 38_000_000,
        "net": {"genotype": genotype, "width": width, "depth": depth, "aux": False, "drop_prob": 0.0},
        "optim": {"base_lr": 0.1, "wd": 0.0005, "max_ep": len(errors)},
        "act_mem": 1,
        "prec_time": {"train_fw_bw": 0.05, "test_fw": 0.02},
        "iter_time": 0.1,
        "min_test_top1": min(errors, default=math.nan),
        "train_ep_loss": [1.0] * len(errors),
        "train_ep_top1": [50.0] * len(errors),
        "test_ep_top1": errors,
        "train_it_loss": [1.0],
        "train_it_top1": [50.0],
        **more,
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PARZC_DATA", str(tmp_path))
    (tmp_path / "nds_data").mkdir()
    return tmp_path / "nds_data"


def test_accuracy_is_what_the_last_error_leaves(folder: Path) -> None:
    content = [entry(DARTS_V2, [60.0, 7.5, 8.25]), entry(DARTS_V2, [30.0, 10.0, 9.0], width=32, depth=20)]
    (folder / "DARTS.json").write_text(json.dumps(content))
    table = labels_nds.trainings("nds_darts")
    arch = str(nds_genotype.from_genotype(DARTS.family, DARTS_V2, 16, 4))
    assert table.index.tolist() == [arch, DARTS.resized(arch, 32, 20)]
    assert table["accuracy"].tolist() == [91.75, 91.0]
    assert table["best"].tolist() == [92.5, 91.0]
    assert table[["width", "depth", "epochs"]].to_numpy().tolist() == [[16, 4, 3], [32, 20, 3]]
    first = table.iloc[0]
    assert (first["params"], first["flops"], first["base_lr"], first["weight_decay"]) == (250e3, 38e6, 0.1, 0.0005)
    assert (first["seed"], bool(first["aux"])) == (1, False)
    assert table.attrs["provenance"]["source"] == "nds_data/DARTS.json"
    assert table.attrs["provenance"]["epochs"] == 3


def test_a_file_of_two_lists_is_both_in_order(folder: Path) -> None:
    content = {"top": [entry(NASNET_A, [10.0])], "mid": [entry(NASNET_A, [20.0], width=24)]}
    (folder / "NASNet.json").write_text(json.dumps(content))
    assert labels_nds.trainings("nds_nasnet")["accuracy"].tolist() == [90.0, 80.0]


def test_rankers_learn_and_are_judged_on_the_only_accuracy_there_is(folder: Path) -> None:
    """An architecture that was trained twice counts once, with the mean of both."""
    trained = [entry(DARTS_V2, [10.0]), entry(DARTS_V2, [9.0], width=24), entry(DARTS_V2, [12.0])]
    (folder / "DARTS.json").write_text(json.dumps(trained))
    truth, split, provenance = labels.judged("nds_darts", "cifar10")
    assert (truth.tolist(), split, provenance["source"]) == ([89.0, 91.0], "test", "nds_data/DARTS.json")
    learned, split, provenance = labels.learned("nds_darts", "cifar10")
    assert (learned.tolist(), split) == ([89.0, 91.0], "test")
    assert "learns from test accuracy of its training cells" in provenance["note"]
    with pytest.raises(LabelsMissing, match="no val accuracy of nds_darts was published"):
        labels.accuracy("nds_darts", "cifar10", "val")
    with pytest.raises(LabelsMissing, match=r"looked for nds_data/ENAS\.json .*download https.*unpack it there"):
        labels.judged("nds_enas", "cifar10")


def test_status_says_which_of_the_files_are_there(folder: Path) -> None:
    (folder / "PNAS_fix-w-d.json").write_text("[]")
    rows = status.status().set_index("data")["kind"]
    assert rows["nds_data/PNAS_fix-w-d.json"] == "PARZC_DATA"
    assert rows["nds_data/PNAS.json"] == "absent (no download)"
    assert sum(name.startswith("nds_data/") for name in rows.index) == 9


def test_labelled_architectures_can_be_the_sample(folder: Path) -> None:
    trained = [entry(DARTS_V2, [10.0], width=width, depth=depth) for width in (16, 24, 32) for depth in (4, 8, 8)]
    (folder / "DARTS.json").write_text(json.dumps(trained))
    config = CollectionConfig("nds_darts", cells=6, sample="labelled")
    archs = one.architectures(config)
    assert archs == list(dict.fromkeys(labels.judged("nds_darts", "cifar10")[0].index))
    assert len(archs) == 6
    assert one.architectures(CollectionConfig("nds_darts", cells=4, sample="labelled")) == archs[:4]
    assert "--sample labelled" in sample.command(config)
    assert "sample" not in CollectionConfig("nds_darts").plain()  # so that older stores stay what they were
    with pytest.raises(BadInput, match="got cells=7; expected at most 6"):
        one.architectures(CollectionConfig("nds_darts", cells=7, sample="labelled"))


def test_variants_are_files_of_their_own_and_read_again_when_they_change(folder: Path) -> None:
    (folder / "DARTS_fix-w-d.json").write_text(json.dumps([entry(DARTS_V2, [10.0])]))
    assert labels_nds.trainings("nds_darts", "fix-w-d")["accuracy"].tolist() == [90.0]
    (folder / "DARTS_fix-w-d.json").write_text(json.dumps([entry(DARTS_V2, [10.0]), entry(DARTS_V2, [12.5])]))
    assert labels_nds.trainings("nds_darts", "fix-w-d")["accuracy"].tolist() == [90.0, 87.5]
    with pytest.raises(LabelsMissing, match=r"looked for nds_data/DARTS\.json .*PARZC_DATA.*nds/data\.zip"):
        labels_nds.trainings("nds_darts")
    with pytest.raises(UnknownName, match="unknown variant of nds_nasnet 'fix-w-d'"):
        labels_nds.trainings("nds_nasnet", "fix-w-d")
    with pytest.raises(UnknownName, match="nds_resnet"):
        labels_nds.trainings("nds_resnet")


def test_a_training_that_diverged_is_kept_as_nan(folder: Path) -> None:
    (folder / "DARTS.json").write_text(json.dumps([entry(DARTS_V2, [20.0, math.nan])]))
    table = labels_nds.trainings("nds_darts")
    assert math.isnan(table["accuracy"].iloc[0])
    assert table["best"].iloc[0] == 80.0


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.9999])
def test_a_truncated_file_gives_one_clear_error(folder: Path, kept: float) -> None:
    text = json.dumps([entry(DARTS_V2, [10.0])] * 3)
    (folder / "DARTS.json").write_text(text[: int(kept * len(text))])
    with pytest.raises(BadInput, match=r"DARTS\.json is no whole JSON file .*cut off or altered: get it again"):
        labels_nds.trainings("nds_darts")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test_ep_top1": []}, "test_ep_top1 has 0 values"),
        ({"test_ep_top1": [93.0, 120.0]}, "expected errors of 0 to 100 percent"),
        ({"net": {"width": 16, "depth": 4}}, "KeyError: 'genotype'"),
        ({"net": {"genotype": {**DARTS_V2, "normal": [["conv_9x9", 0]] * 8}, "width": 16, "depth": 4}}, "unknown op"),
        ({"net": {"genotype": NASNET_A, "width": 16, "depth": 4}}, "got 10 operations .*expected 8"),
        ({"net": {"genotype": DARTS_V2, "width": 1, "depth": 4}}, "a reduction at width 1"),
        ({"params": "many"}, "got params='many'; expected a number of at least 0"),
        *[({"test_ep_top1": errors}, "test_ep_top1 has") for errors in ("85", {"6": 1}, [True], ["8"], [None], 8, [10**400])],
        *[({key: value}, f"got {key}=") for key in ("params", "flops") for value in (-1, math.nan, True, None, 10**400)],
        *[({"rng_seed": value}, "got rng_seed=") for value in ("1", True, None)],
        *[({"optim": {"base_lr": 0.1, "wd": value}}, "got wd=") for value in ("1", True, None)],
        *[({"net": {"genotype": DARTS_V2, "depth": 4, "width": width}}, "got width=") for width in (10**30, True, 16.0, "16")],
        *[({"net": {"genotype": DARTS_V2, "depth": 4, "width": 16, "aux": aux}}, "got aux=") for aux in ("false", 0, None)],
    ],
)
def test_a_bad_entry_is_named(folder: Path, change: dict, message: str) -> None:
    (folder / "DARTS.json").write_text(json.dumps([entry(DARTS_V2, [10.0]), {**entry(DARTS_V2, [10.0]), **change}]))
    with pytest.raises(BadInput, match=rf"entry 1 of DARTS\.json is not a trained network of nds_darts: .*{message}"):
        labels_nds.trainings("nds_darts")


def test_a_key_that_an_entry_has_twice_is_refused(folder: Path) -> None:
    text = json.dumps([entry(DARTS_V2, [10.0])])
    (folder / "DARTS.json").write_text(text.replace('"params"', '"params": 1, "params"'))
    with pytest.raises(BadInput, match=r"DARTS\.json.* has a key more than once in an object: 'params'"):
        labels_nds.trainings("nds_darts")


@pytest.mark.parametrize("content", ["[]", "{}", '{"top": []}', "3"])
def test_what_holds_no_networks_is_refused(folder: Path, content: str) -> None:
    (folder / "DARTS.json").write_text(content)
    with pytest.raises(BadInput, match="expected a list of trained networks, not empty"):
        labels_nds.trainings("nds_darts")


COMPACT = (
    "[[(0, 3), (1, 3), (0, 3), (1, 3), (1, 3), (0, 2), (0, 2), (2, 5)], "
    "[(0, 0), (1, 0), (2, 2), (1, 0), (0, 0), (2, 2), (2, 2), (1, 0)]]"
)


def test_a_compact_cell_is_its_architecture() -> None:
    assert nb301.architecture(COMPACT, 36, 20) == str(nds_genotype.from_genotype(DARTS.family, DARTS_V2, 36, 20))


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (COMPACT.replace("(2, 5)", "(2, 7)"), "operation 7 is not in 0 to 6"),
        (COMPACT.replace("(2, 5)", "(5, 5)"), "node 5 reads node 5"),
        (COMPACT[:-1], "eight pairs each"),
        ("[[(0, 1)]]", "eight pairs each"),
    ],
)
def test_a_bad_compact_cell_is_named(bad: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        nb301.architecture(bad)


def test_a_file_of_cells_becomes_a_table(tmp_path: Path) -> None:
    scores = {name: {"score": float(i), "time": 1.0} for i, name in enumerate(nb301.SCORES)}
    cell = {"idx": "1", "arch": COMPACT, "val_accuracy": 93.5, **scores, "jacov": {"score": -1e8, "time": 1.0}}
    path = tmp_path / "cells.json"
    path.write_text(json.dumps({"cifar10": {COMPACT: cell}}))
    table = nb301.read(path)
    assert table.index.tolist() == [nb301.architecture(COMPACT)]
    assert list(table.columns) == ["accuracy", *nb301.SCORES]
    assert (table["accuracy"].iloc[0], table["synflow"].iloc[0]) == (93.5, nb301.SCORES.index("synflow"))
    assert math.isnan(table["jacov"].iloc[0])
    whole = path.read_text()
    path.write_text(whole.replace('{"cifar10": {', f'{{"cifar10": {{"{COMPACT}": {json.dumps(cell)}, '))
    with pytest.raises(BadInput, match=r"has a key more than once in an object: '\[\["):
        nb301.read(path)
    for wrong in ({"val_accuracy": True}, {"val_accuracy": "93.5"}, {"snip": {"score": True}}, {"flops": {"score": "3"}}):
        path.write_text(json.dumps({"cifar10": {COMPACT: cell | wrong}}))
        with pytest.raises(BadInput, match=rf"got {list(wrong)[-1]}=.*expected a finite number"):
            nb301.read(path)
    path.write_text(whole)
    for broken in (path.read_text()[:200], json.dumps({"cifar10": {COMPACT: {"val_accuracy": 93.5}}}), "[]"):
        path.write_text(broken)
        with pytest.raises(BadInput, match=r"cells\.json cannot be read"):
            nb301.read(path)


def test_without_the_file_its_address_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PARZC_DATA", str(tmp_path))
    monkeypatch.setenv("PARZC_CACHE", str(tmp_path / "cache"))
    with pytest.raises(
        LabelsMissing,
        match=r"no nasbench301/zc_nasbench301\.json in PARZC_DATA or in the cache; get it with `parzc data fetch`",
    ):
        nb301.published()
    (tmp_path / "nasbench301").mkdir()
    (tmp_path / nb301.FILE).write_text("{}")
    with pytest.raises(CorruptDownload, match=r"got sha256 .*expected 537e9abd"):
        nb301.published()


@needs_nb301
def test_the_725_published_cells_are_those_of_the_darts_space() -> None:
    """Published parameters are ours without the affine parameters that BatchNorm has inside a cell's operations: exactly."""
    table = nb301.published()
    assert len(table) == table.index.nunique() == 725
    assert table["accuracy"].between(85, 96).all()
    assert table.notna().all().all()
    truth, split, provenance = labels.judged("nb301", "cifar10")
    assert (truth.tolist(), split) == (table["accuracy"].tolist(), "val")
    assert "not a training" in provenance["note"]
    for arch, published in table["params"].iloc[::30].items():
        with torch.device("meta"):
            network = DARTS.build(str(arch))
        affine = sum(
            2 * module.num_features
            for name, module in network.named_modules()
            if isinstance(module, nn.BatchNorm2d) and ".nodes." in name
        )
        assert sum(p.numel() for p in network.parameters()) - affine == round(published * 1e6)
