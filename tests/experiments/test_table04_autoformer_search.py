"""Table 4: counted parameters, the search on made-up statistics, its rows."""

import dataclasses
import itertools
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import vit_stores
from torch import nn

from parzc_core import labels, paper, paths
from parzc_core.encoding import PAPER_PROXIES
from parzc_core.errors import BadInput, UnknownName
from parzc_core.experiments import table04_autoformer_search as table04
from parzc_core.runs import vit_data
from parzc_core.runs.vit_data import Truth
from parzc_core.spaces.vit import autoformer
from parzc_core.storage import rows as results
from parzc_core.storage.statistics import StatisticsStore, pack

BASE = Truth("autoformer", "cifar100", "base")
PRINTED = paper.printed("table04")


@pytest.fixture
def stores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table04, "CANDIDATES", 25)
    monkeypatch.setitem(vit_stores.CELLS, "search", 25)
    monkeypatch.setitem(vit_stores.ARCHS, "search", autoformer.sample(25, 9, 6.2e6))
    monkeypatch.setattr(labels, "accuracy", lambda space, *rest: vit_stores.accuracy_of(space))
    monkeypatch.setattr(vit_data, "CELLS", {"autoformer": 40, "pit": 24})
    monkeypatch.setattr(paths, "STATISTICS", tmp_path)


def write(purpose: str, count: int | None = None, **odd: object) -> None:
    archs = vit_stores.ARCHS["autoformer" if purpose == "labelled" else "search"]
    store = StatisticsStore(table04.folder(purpose))
    store.folder.mkdir(parents=True)
    starts = list(range(0, len(archs), 5))
    store.open({"config": table04.config(purpose).plain() | odd, "image_batch": {}}, archs, starts)
    for number, start in enumerate(starts):
        if start + 5 <= (count or len(archs)):
            members = [
                vit_stores.record_of("autoformer", archs[i], i, seed=len(purpose)) for i in range(start, start + 5)
            ]
            store.add(number, pack(members), seconds=2.0)


def test_counts_are_those_in_print() -> None:
    printed = PRINTED[PRINTED["metric"] == "params"].set_index("row")["value"]
    for name in ("Deit-Ti", "ViT-Ti", "TNT-Ti", "PVT-Tiny"):
        assert table04.COUNTS[name]() / 1e6 == pytest.approx(printed[name], abs=0.05)
    assert table04.autoformer_tiny() == 5_867_944  # printed as 5.7: see the relative positions


def test_a_block_of_pvt_has_the_counted_parameters() -> None:
    """The first stage's layer, built: attention with keys and values of a shrunk map, and an MLP."""
    width = 64
    layers = nn.ModuleList(
        [
            *(nn.LayerNorm(width) for _ in range(3)),
            nn.Linear(width, width),
            nn.Linear(width, 2 * width),
            nn.Linear(width, width),
            nn.Conv2d(width, width, 8, 8),
            nn.Linear(width, 8 * width),
            nn.Linear(8 * width, width),
        ]
    )
    one = table04.pvt_tiny()
    built = sum(p.numel() for p in layers.parameters())
    shrunk = table04._linear(width * 64, width) + 2 * width
    mlp = table04._linear(width, 8 * width) + table04._linear(8 * width, width)
    assert built == table04._linear(width, 3 * width) + table04._linear(width, width) + shrunk + mlp + 4 * width
    assert one > 2 * built


def test_the_best_ranked_is_found_with_what_it_cost(stores, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table04, "time", SimpleNamespace(process_time=itertools.count(step=2.5).__next__))
    write("labelled")
    write("search")
    learn, sample = table04.labelled(BASE, table04.read("labelled")), table04.read("search")
    found = table04.search(learn, sample, epochs=20, rankers=3)
    assert sorted(found.ranked["arch"]) == sorted(sample.archs)
    assert found.ranked["score"].is_monotonic_decreasing
    depths = [autoformer.parse(arch).depth for arch in found.ranked["arch"]]
    assert np.mean(depths[:8]) > np.mean(depths[-8:])  # made-up accuracy is depth
    assert found.ranked["parameters"].tolist() == [autoformer.parameters(arch) for arch in found.ranked["arch"]]
    assert found.ranked["parameters"].max() <= 6.2e6
    assert found.seconds["collecting"] == pytest.approx(2 * 8 + 2 * 5)
    assert (found.seconds["training"], found.seconds["ranking"]) == (2.5, 2.5)
    again = table04.search(learn, sample, epochs=20, rankers=3)
    pd.testing.assert_frame_equal(found.ranked, again.ranked)


def test_what_is_collected_so_far_is_searched_and_the_rest_named(stores) -> None:
    assert table04.read("search") is None
    write("search", count=20)
    assert len(table04.read("search").archs) == 20
    assert len(table04.read("search", 20).archs) == 20
    commands = table04.commands_to_collect()
    assert "--most-parameters 6200000.0" in commands["search: 20 of 25"]
    assert "--sample labelled" in commands["labelled: 0 of 40"]


def test_rows_are_counted_found_or_quoted_with_a_reason(stores) -> None:
    ranked = pd.DataFrame({"arch": ["a"], "score": [1.0], "spread": [0.1], "parameters": [6_050_000]})
    found = table04.SearchResult(ranked, {"collecting": 3600.0, "training": 36.0, "ranking": 0.0})
    rows = table04.count_rows(PRINTED, "smoke") + table04.found_rows(found, "smoke", "made up")
    rows += table04.quoted_rows(PRINTED, rows, "smoke")
    by_cell = {(row.row, row.column): row for row in rows}
    assert len(by_cell) == len(rows)
    assert (by_cell["ParZC", "Param (M)"].value, by_cell["ParZC", "Param (M)"].origin) == (6.05, "recreated")
    assert by_cell["ParZC", "CPU-hours: in all"].value == pytest.approx(1.01)
    assert {row.origin for row in rows if row.metric in ("accuracy", "gpu_days")} == {"quoted"}
    assert "ImageNet" in by_cell["ParZC", "Top-1 (%)"].note
    assert by_cell["TF-TAS-Ti", "Param (M)"].origin == "quoted"
    values = PRINTED.dropna(subset="value")
    assert set(zip(values["row"], values["column"], strict=True)) <= set(by_cell)
    results.write_rows("table04", rows, "smoke", {}, folder=paths.STATISTICS)


def test_small_images_are_compared_node_by_node(stores) -> None:
    write("labelled")
    one = table04.read("labelled")
    assert table04.small_against_large(one, one).tolist() == pytest.approx([100.0] * len(PAPER_PROXIES))
    shuffled = dataclasses.replace(one, archs=one.archs[::-1])
    with pytest.raises(BadInput, match="hold other architectures"):
        table04.small_against_large(one, shuffled)


def test_bad_searches_are_refused(stores) -> None:
    with pytest.raises(UnknownName, match="unknown purpose of a collection 'serch'"):
        table04.config("serch")
    write("search", width=32)
    with pytest.raises(BadInput, match="another collection"):
        table04.read("search")
    write("labelled")
    collection = table04.read("labelled")
    learn = table04.labelled(BASE, collection)
    with pytest.raises(BadInput, match="40 architectures of the sample are among those to learn from"):
        table04.search(learn, collection)
    few = vit_data.part(collection, range(5))
    with pytest.raises(BadInput, match="5 collected architectures have a label of AutoFormer, CIFAR-100 base"):
        table04.labelled(BASE, few)
