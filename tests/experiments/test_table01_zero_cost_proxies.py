"""Table 1's NDS columns, end to end: trainings in the official form, their statistics, proxies and rankers."""

import json
from pathlib import Path

import numpy as np
import pytest

from parzc_core import paths
from parzc_core.collecting import labelled
from parzc_core.collecting.labelled import _labelled
from parzc_core.collecting.one import CollectionConfig
from parzc_core.collecting.sample import collect
from parzc_core.experiments import table01_zero_cost_proxies as table01
from parzc_core.runs import proxies
from parzc_core.runs.rankers import RankerRun, run_rankers
from parzc_core.spaces import nds

CELLS = 12


def genotype(arch: str) -> dict:
    """As the official files write it."""
    one = nds.SPACES["nds_darts"].parse(arch)
    return {
        "normal": one.normal.operations,
        "normal_concat": one.normal.concat,
        "reduce": one.reduction.operations,
        "reduce_concat": one.reduction.concat,
    }


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PARZC_DATA", str(tmp_path))
    for module in (paths, labelled, table01):
        monkeypatch.setattr(module, "STATISTICS", tmp_path / "statistics", raising=False)
    _labelled.cache_clear()
    return tmp_path


def test_without_trainings_or_statistics_what_is_missing_is_said(folder: Path) -> None:
    absent = table01.collected(["NDS-DARTS", "NDS-ENAS"])[1]
    assert "looked for nds_data/DARTS.json in the folder that PARZC_DATA names" in absent["NDS-DARTS"]["judged on"]
    assert "looked for nds_data/ENAS.json" in absent["NDS-ENAS"]["judged on"]


def test_proxies_and_rankers_are_judged_on_the_published_accuracy(folder: Path) -> None:
    (folder / "nds_data").mkdir()
    archs = nds.SPACES["nds_darts"].sample(CELLS, 0, width=2, depth=3)
    entries = [
        {
            "net": {"genotype": genotype(arch), "width": 2, "depth": 3},
            **{"params": 1, "flops": 1, "test_ep_top1": [90.0, nds.SPACES["nds_darts"].parameters(arch) / 100]},
        }
        for arch in archs
    ]
    (folder / "nds_data" / "DARTS.json").write_text(json.dumps(entries))
    said = table01.collected(["NDS-DARTS"])[1]["NDS-DARTS"]["judged on"]
    assert said.endswith("parzc collect --space nds_darts --dataset cifar10 --sample labelled --cells 1000")

    config = CollectionConfig("nds_darts", cells=CELLS, batch=4, scores=("params",), sample="labelled")
    collect(config, folder / "statistics" / "nds_darts" / "cifar10", progress=False)
    found, absent = table01.collected(["NDS-DARTS"], CELLS)
    assert absent == {}
    data = found["NDS-DARTS"]
    assert set(data.collection.archs) == set(archs)
    assert data.judged_on == "test"
    taus = proxies.proxy_correlations(data, resamples=5).set_index(["proxy", "metric"])["value"]
    assert taus["params", "kendall"] == pytest.approx(-100)  # the error is the number of parameters

    settings = proxies.RANKERS["nds_darts"]
    runs = [
        RankerRun("nds_darts", train=7, encoding=encoding, size="tiny", epochs=2, **settings)
        for encoding in ("paper", "aligned")
    ]
    results = run_rankers(runs, folder / "runs.jsonl")
    assert np.isfinite(results["kendall"]).all()
    assert results["n"].tolist() == [CELLS - 7] * 2
