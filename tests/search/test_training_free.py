"""Training-free searches: the best of a sample by a score, worked by hand."""

import json
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from parzc_core.errors import BadInput
from parzc_core.search import training_free
from parzc_core.search.training_free import PROTOCOLS, best_of_samples


@pytest.fixture
def collection(monkeypatch):
    """Ten architectures; NWOT rises with the number, but for one that is not finite; five of them have GradSign."""
    archs = [f"arch{i}" for i in range(10)]
    nwot = np.arange(10.0)
    nwot[9] = np.nan
    scores = pd.DataFrame({"nwot": nwot, "gradsign": [*range(5, 0, -1), *[np.nan] * 5], "ntk_condition": -nwot}, index=archs)
    made = SimpleNamespace(archs=archs, scores=scores, scored={"gradsign": 5})
    monkeypatch.setattr(training_free, "unlabelled", lambda space, dataset, cells: SimpleNamespace(collection=made))
    return made


def test_the_whole_as_a_sample_gives_the_best_every_time(collection):
    found = best_of_samples("NWOT", draws=3, sample=10)
    assert found.archs == ("arch8",)  # what is not finite loses; of one sample there is one draw
    found = best_of_samples("GradSign", draws=2, sample=5)
    assert (found.archs, found.pool, found.apart) == (("arch0",), 5, 1)
    assert len(best_of_samples("NWOT", draws=3, sample=4).archs) == 3
    assert best_of_samples("NWOT", draws=3, sample=4).apart == 2


def test_a_sample_finds_the_best_in_its_share_of_draws(collection):
    found = best_of_samples("NWOT", draws=4000, sample=3, seed=1)
    share = np.mean([arch == "arch8" for arch in found.archs])
    assert share == pytest.approx(0.3, abs=0.03)
    assert best_of_samples("NWOT", draws=5, sample=3, seed=1).archs == found.archs[:5]


def test_the_ranks_of_two_scores_are_added(collection):
    worth = {f"arch{i}": 0 for i in range(10)}
    found = best_of_samples("TE-NAS", draws=20, sample=10)
    assert set(found.archs) <= set(worth) - {"arch9"}  # ranks of opposite order sum to the same for all but the missing one


def test_what_is_not_collected_is_none_and_bad_input_is_refused(collection):
    assert best_of_samples("EZNAS", sample=5) is None
    assert best_of_samples("GradSign", sample=6) is None
    with pytest.raises(BadInput, match="expected one of NWOT, TE-NAS"):
        best_of_samples("SPOS")
    with pytest.raises(BadInput, match="at least 1 of each"):
        best_of_samples("NWOT", draws=0)


def test_seconds_of_collecting_are_those_of_the_stores_that_have_the_scores(tmp_path, monkeypatch):
    monkeypatch.setattr(training_free.paths, "STATISTICS", tmp_path)
    stores = {"nb201/cifar10": (["nwot", "zen"], 50.0), "nb201/scores/cifar10/ntk": (["ntk_condition"], 8.0)}
    for folder, (scores, seconds) in stores.items():
        (tmp_path / folder).mkdir(parents=True)
        manifest = {"config": {"scores": scores, "proxies": ["snip"]}, "cpu_seconds": seconds, "architectures": 20}
        (tmp_path / folder / "manifest.json").write_text(json.dumps(manifest))
    assert training_free.collecting("NWOT", sample=10) == (25.0, ["nwot", "snip", "zen"])
    assert training_free.collecting("TE-NAS", sample=10)[0] == 29.0
    assert training_free.collecting("KNAS", sample=10) is None


def test_every_protocol_is_a_row_of_table_3():
    from parzc_core import paper

    assert set(PROTOCOLS) <= set(paper.printed("table03")["row"])
