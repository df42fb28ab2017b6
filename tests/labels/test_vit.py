"""ViT-Bench's labels: what is read, what is refused and why, files that are not what they should be."""

import hashlib
import os
from pathlib import Path

import pytest
import torch

from parzc_core.errors import BadInput, CorruptDownload, LabelsMissing, UnknownName
from parzc_core.files import registry
from parzc_core.labels import accuracy, architectures, judged, learned, vit
from parzc_core.spaces.vit import autoformer, pit

FOLDER = Path(os.environ.get("PARZC_DATA", "")) / "vitbench"
needs_labels = pytest.mark.skipif(not FOLDER.is_dir(), reason="PARZC_DATA has no vitbench folder")


def _rows(space: str, seed: int = 0) -> list[dict]:
    """Made-up rows in the files' form: accuracy i + offset of the column for row i, in tenths of a percent."""
    columns = [
        "c100_base_acc",
        "c100_kd_acc",
        "flower_base_acc",
        "flower_kd_acc",
        "chaoyang_base_acc",
        "chaoyang_kd_acc",
    ]
    columns += ["imagenet_super_acc"] if space == "autoformer" else []
    rows = []
    for i, arch in enumerate({"autoformer": autoformer, "pit": pit}[space].sample(100, seed)):
        if space == "autoformer":
            config = autoformer.parse(arch)
            parts = {"hidden_dim": config.embed, "depth": config.depth}
        else:
            config = pit.parse(arch)
            parts = {"base_dim": config.base, "depth": list(config.depth)}
        mlp = list(config.mlp) if space == "autoformer" else config.mlp
        parts |= {"num_heads": list(config.heads), "mlp_ratio": mlp}
        rows.append({"arch": parts, **{name: (10 * j + i) / 10 for j, name in enumerate(columns)}})
    return rows


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine whose PARZC_DATA has made-up files, pinned by their own checksums."""
    second = [{**row, "c100_base_acc": None, "imagenet_super_acc": 75.0} for row in _rows("autoformer", 1)]
    contents = {"gt_autoformer": _rows("autoformer"), "gt_autoformer_2": second, "gt_pit": _rows("pit")}
    files = []
    for name, rows in contents.items():
        path = tmp_path / "vitbench" / f"{name}.pth"
        path.parent.mkdir(exist_ok=True)
        torch.save(rows, path)
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
        line = {"url": "https://x/y", "size": 1, "licence": "MIT", "holds": "", "tables": (), "gain": ""}
        files.append(registry.LabelFile(name=f"vitbench/{name}.pth", sha256=sha256, **line))
    monkeypatch.setattr(registry, "FILES", tuple(files))
    monkeypatch.setenv("PARZC_DATA", str(tmp_path))
    monkeypatch.setenv("PARZC_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_each_data_set_and_source_has_its_own_column(machine) -> None:
    for place, (dataset, source) in enumerate(
        [(d, s) for d in ("cifar100", "flowers", "chaoyang") for s in ("base", "distilled")]
    ):
        found = accuracy("pit", dataset, "test", source)
        assert found.tolist() == [(10 * place + i) / 10 for i in range(100)]
        assert found.index.tolist() == pit.sample(100, 0)
        assert found.attrs["provenance"]["source"] == source
    assert accuracy("autoformer", "ImageNet", "test", "supernet").tolist() == [(60 + i) / 10 for i in range(100)]


def test_autoformer_takes_the_second_file_only_where_its_column_is_usable(machine) -> None:
    both = autoformer.sample(100, 0) + autoformer.sample(100, 1)
    assert accuracy("autoformer", "cifar100", "test", "distilled").index.tolist() == both
    for dataset, source in (("cifar100", "base"), ("flowers", "base"), ("imagenet", "supernet")):
        found = accuracy("autoformer", dataset, "test", source)
        assert found.index.tolist() == both[:100]
        assert found.attrs["provenance"]["version"] == "ViT-Bench gt_autoformer"
    assert architectures("autoformer", "imagenet") == both
    assert architectures("pit", "imagenet") == pit.sample(100, 0)


def test_unusable_columns_are_refused_with_the_reason(machine) -> None:
    with pytest.raises(
        BadInput, match="imagenet_super_acc of gt_autoformer_2 is not to be used: its values do not belong"
    ):
        vit.column("gt_autoformer_2", "imagenet_super_acc")
    with pytest.raises(BadInput, match="trained with distillation only"):
        vit.column("gt_autoformer_2", "flower_base_acc")
    assert vit.column("gt_autoformer", "imagenet_super_acc").iloc[3] == 6.3
    with pytest.raises(
        UnknownName, match=r"unknown column of gt_pit 'imagenet_super_acc'; expected one of: c100_base_acc"
    ):
        vit.column("gt_pit", "imagenet_super_acc")
    with pytest.raises(UnknownName, match="unknown file of ViT-Bench 'gt'"):
        vit.column("gt", "c100_kd_acc")


def test_what_is_published_nowhere_is_missing_with_advice(machine) -> None:
    with pytest.raises(LabelsMissing, match=r"has no validation accuracy of pit cifar100.*ask for the split 'test'"):
        accuracy("pit", "cifar100", "val")
    with pytest.raises(LabelsMissing, match="no base accuracy of autoformer imagenet; ask for the source 'supernet'"):
        accuracy("autoformer", "imagenet", "test")
    with pytest.raises(LabelsMissing, match="no supernet accuracy of autoformer flowers; ask for the source 'base'"):
        accuracy("autoformer", "flowers", "test", "supernet")
    with pytest.raises(UnknownName, match="unknown data set of pit 'imagenet'"):
        accuracy("pit", "imagenet", "test")


def test_rankers_are_judged_on_the_same_column_as_they_learn_from_and_rows_say_so(machine) -> None:
    for dataset, source in (("cifar100", "base"), ("imagenet", "supernet")):
        labels, split, provenance = judged("autoformer", dataset)
        assert (split, provenance["source"], len(labels)) == ("test", source, 100)
        assert f"({source}, ViT-Bench gt_autoformer)" in provenance["note"]
        known, split, provenance = learned("autoformer", dataset)
        assert split == "test"
        assert known.equals(labels)
        assert "learns from test accuracy" in provenance["note"]


def test_without_files_the_command_is_named(machine) -> None:
    for path in (machine / "vitbench").iterdir():
        path.unlink()
    with pytest.raises(
        LabelsMissing, match=r"vitbench/gt_pit\.pth in PARZC_DATA and in the cache; get it with `parzc data"
    ):
        accuracy("pit", "flowers", "test", "base")


def test_an_altered_file_is_refused(machine) -> None:
    path = machine / "vitbench" / "gt_pit.pth"
    path.write_bytes(path.read_bytes() + b"x")
    with pytest.raises(CorruptDownload, match=r"gt_pit\.pth is not the pinned file"):
        accuracy("pit", "flowers", "test", "base")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda rows: rows[:-1], "99 rows of 99 architectures; expected 100 different ones"),
        (lambda rows: [*rows[:-1], rows[0]], "100 rows of 99 architectures"),
        (lambda rows: [{**rows[0], "c100_kd_acc": 101.0}, *rows[1:]], "outside 0 to 100 percent"),
        (lambda rows: [{**rows[0], "c100_kd_acc": -1.0}, *rows[1:]], "outside 0 to 100 percent"),
        (lambda rows: [{**rows[0], "arch": {"depth": 12}}, *rows[1:]], "keys.*get it again"),
        (lambda rows: [{"c100_kd_acc": 1.0}, *rows[1:]], "does not hold ViT-Bench's pit"),
        (lambda rows: {"rows": rows}, "does not hold ViT-Bench's pit"),
        (lambda rows: _rows("autoformer"), "does not hold ViT-Bench's pit"),
    ],
)
def test_other_content_is_refused(damage, message) -> None:
    vit.table_of("pit", _rows("pit"), "gt_pit.pth")
    with pytest.raises(CorruptDownload, match=message):
        vit.table_of("pit", damage(_rows("pit")), "gt_pit.pth")


@needs_labels
def test_the_published_files() -> None:
    assert accuracy("autoformer", "cifar100", "test", "base").max() == 69.91
    assert accuracy("autoformer", "chaoyang", "test", "distilled").shape == (200,)
    assert accuracy("pit", "flowers", "test", "distilled").max() == 72.0605
    first = f"embed=192|depth=12|heads=4,4,3,4,3,3,4,4,3,3,3,4|mlp={'3.5,4,3.5,4,3.5,3.5,4,3.5,4,4,4,3.5'}"
    assert accuracy("autoformer", "flowers", "test", "base")[first] == 53.6835


@needs_labels
def test_the_reason_for_refusing_the_column_holds() -> None:
    spans = {}
    for file in vit.FILES["autoformer"]:
        values = vit._read("autoformer", file)["imagenet_super_acc"]
        embed = [autoformer.parse(arch).embed for arch in values.index]
        spans[file] = values.groupby(embed).agg(["min", "max"])
    good, bad = spans["gt_autoformer"], spans["gt_autoformer_2"]
    assert (good["max"] - good["min"]).max() <= 1.0
    assert good.round(1).to_numpy().tolist() == [[74.6, 75.4], [74.9, 75.5], [70.7, 71.7]]
    assert bad["min"].max() < 71.2
    assert bad["max"].min() > 75.4
