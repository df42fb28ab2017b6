"""The card of the committed statistics: what the manifests say, whole and up to date, and checksums that hold."""

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from parzc_core import cli, paths
from parzc_core.errors import BadInput
from parzc_core.storage import blocks, card

MANIFESTS = sorted(paths.STATISTICS.rglob("manifest.json"))
NAMES = [file.parent.relative_to(paths.STATISTICS).as_posix() for file in MANIFESTS]


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    return card.texts()


@pytest.fixture(scope="module")
def metadata(made: dict[str, str]) -> dict[str, Any]:
    return json.loads(made[card.METADATA])


@pytest.mark.parametrize("name", ["collections", "columns"])
def test_the_readme_says_what_the_manifests_say(made: dict[str, str], name: str) -> None:
    assert blocks.get(paths.STATISTICS / card.README, name) == made[name].strip(), "run `parzc data card`"


def test_the_committed_metadata_is_the_generated_one(made: dict[str, str]) -> None:
    assert (paths.STATISTICS / card.METADATA).read_text(encoding="utf-8") == made[card.METADATA], "run `parzc data card`"


def test_the_metadata_names_every_collection_with_the_checksum_of_its_manifest(metadata: dict[str, Any]) -> None:
    files = {part["@id"]: part for part in metadata["distribution"]}
    assert set(files) == {f"{name}/{part}" for name in NAMES for part in ("manifest.json", "shards")}
    for file, name in zip(MANIFESTS, NAMES, strict=True):
        assert files[f"{name}/manifest.json"]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
        shards = {path.name for path in paths.STATISTICS.glob(files[f"{name}/shards"]["includes"])}
        assert shards == set(json.loads(file.read_text())["shards"])


def test_every_shard_has_the_checksum_of_its_manifest() -> None:
    wrong = []
    for file in MANIFESTS:
        for name, digest in json.loads(file.read_text())["shards"].items():
            if hashlib.sha256((file.parent / name).read_bytes()).hexdigest() != digest:
                wrong.append(file.parent / name)
    assert wrong == []


def test_the_metadata_has_what_croissant_asks_for(metadata: dict[str, Any]) -> None:
    assert metadata["conformsTo"] == "http://mlcommons.org/croissant/1.0"
    for key in ("@context", "@type", "name", "description", "license", "version", "creator", "distribution", "recordSet"):
        assert metadata[key], key
    for part in metadata["distribution"]:
        needed = {"cr:FileObject": {"contentUrl", "sha256"}, "cr:FileSet": {"includes"}}[part["@type"]]
        assert {"@id", "name", "encodingFormat", *needed} <= set(part)
    for records in metadata["recordSet"]:
        fields = [field["@id"] for field in records["field"]]
        assert all(list(record) == fields for record in records["data"])
        assert records["key"]["@id"] in fields
        keys = [record[records["key"]["@id"]] for record in records["data"]]
        assert len(set(keys)) == len(keys)


def test_the_arrays_are_those_of_a_shard(metadata: dict[str, Any]) -> None:
    with np.load(MANIFESTS[0].parent / "shard-00000.npz") as shard:
        assert set(shard.files) == set(card.ARRAYS)
        for name, (kind, _) in card.ARRAYS.items():
            word, axes = kind.removesuffix("]").split("[")
            assert shard[name].dtype.name.startswith({"text": "str"}.get(word, word))
            assert shard[name].ndim == axes.count(",") + 1
    (arrays,) = [records for records in metadata["recordSet"] if records["name"] == "arrays"]
    assert [record["arrays/name"] for record in arrays["data"]] == list(card.ARRAYS)


def test_every_column_is_explained(metadata: dict[str, Any]) -> None:
    explained = {entry["name"]: entry["description"] for entry in metadata["variableMeasured"]}
    for file in MANIFESTS:
        config = json.loads(file.read_text())["config"]
        assert {*config["proxies"], *config["scores"]} <= set(explained)
    assert all(len(text) > 20 for text in explained.values())


def test_a_table_of_the_card_has_as_many_cells_in_each_line(made: dict[str, str]) -> None:
    for block in "\n\n".join((made["collections"], made["columns"])).split("\n\n"):
        assert len({line.replace(r"\|", "").count("|") for line in block.splitlines()}) == 1


def test_a_new_collection_changes_the_card_and_the_command_renews_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(paths, "STATISTICS", tmp_path)
    with pytest.raises(BadInput, match="holds no collections"):
        card.update()
    (smallest,) = [name for name in NAMES if name == "nds_darts/fashion-mnist"]
    shutil.copytree(MANIFESTS[NAMES.index(smallest)].parent, tmp_path / "nds_darts" / "small")
    with pytest.raises(BadInput, match="collections:begin"):
        card.update()
    (tmp_path / card.README).write_text("\n".join(line for name in ("collections", "columns") for line in blocks.marks(name)))
    said = []
    for _ in range(2):
        assert cli.main(["data", "card"]) == 0
        said.append(capsys.readouterr().out.strip())
    assert said == [f"{tmp_path}: card brought up to date", f"{tmp_path}: card was up to date"]
    assert "| `nds_darts/small` | 60 | fashion-mnist, foolbox | 7 |" in (tmp_path / card.README).read_text()
    assert "nds_darts/small/shard-*.npz" in (tmp_path / card.METADATA).read_text()
