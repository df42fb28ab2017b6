"""Importance by encoding and seed: what is run, stored and said of depth."""

import numpy as np
import pandas as pd
import pytest
from figure_checks import check

from parzc_core.errors import UnknownName
from parzc_core.experiments import fig02_encodings as encodings
from parzc_core.experiments.fig02_encodings import ImportanceRun
from parzc_core.runs.protocol import run_all
from parzc_core.spaces import nb201


def test_importance_of_both_encodings_is_stored_and_drawn(tmp_path):
    plan = [ImportanceRun("snip", "nb201", encoding, 60, seed, 5) for encoding in encodings.ROWS for seed in (42, 43)]
    found = run_all(plan, tmp_path / "runs.jsonl")
    assert all(len(result["importance"]) == len(nb201.SLOTS) for result in found.values())
    assert all(sum(result["importance"]) == pytest.approx(1, abs=1e-5) for result in found.values())
    assert all(result["n"] == 60 for result in found.values())
    table = encodings.table(found)
    assert table["encoding"].tolist() == ["paper", "paper", "slots", "slots"]
    assert encodings.overview(table).shape == (1, 2)
    figure = encodings.importance_by_encoding(found)
    starts = "place in the input (0: the classifier, the deepest; later ones padded)"
    check(figure, ["SNIP", "NAS-Bench-201", starts, "GBDT impurity importance"])


def test_the_papers_encoding_moves_nodes_up_and_the_other_does_not():
    paper, slots = (ImportanceRun("snip", "nb201", encoding, 30).values() for encoding in ("paper", "slots"))
    assert paper.shape == slots.shape == (30, 98)
    for one, other in zip(paper, slots, strict=True):
        assert sorted(one[one > 0]) == pytest.approx(sorted(other[other > 0]), rel=1e-6)
    assert (paper[:, -30:] != 0).mean() < (slots[:, -30:] != 0).mean()


def test_depth_first_order_is_not_depth():
    depth = encodings.depth_of_places("nb201", "paper", 30)
    filled = depth[np.isfinite(depth)]
    assert filled[0] > 0.8  # depth-first order starts at the classifier
    assert filled[-1] < 0.2
    assert len(filled) <= len(depth)
    assert encodings.depth_of_places("nb201", "slots", 30).tolist() == np.linspace(0, 1, 98).tolist()
    (said,) = encodings.sentences_of_places({"nb201": 30})
    assert said.startswith("NB201-CF10: place in the input")


def test_keys_know_the_settings():
    one = ImportanceRun("snip", cells=30)
    assert one.key() != ImportanceRun("snip", cells=30, encoding="slots").key()
    assert one.key()["trees"] == 500
    with pytest.raises(UnknownName, match="paper, slots"):
        ImportanceRun("snip", encoding="aligned")


def test_a_plan_has_both_encodings_and_the_proxies_of_its_profile():
    small = encodings.planned("smoke")
    assert {run.encoding for run in small} == {"paper", "slots"}
    assert {run.space for run in small} == {"nb201"}
    assert len({run.seed for run in encodings.planned("full")}) == 3


def test_measures_of_depth_by_hand():
    depth = np.linspace(0, 1, 6)
    found = encodings.measures([0, 0.1, 0.1, 0.2, 0.2, 0.4], depth)
    assert found["shallow_third_share"] == pytest.approx(10)
    assert found["deep_third_share"] == pytest.approx(60)
    assert found["depth_trend"] == found["place_trend"] > 90
    turned = encodings.measures([0, 0.1, 0.1, 0.2, 0.2, 0.4], depth[::-1])
    assert turned["depth_trend"] < -90 < 90 < turned["place_trend"]
    assert turned["shallow_third_share"] == pytest.approx(60)
    padded = encodings.measures([0, 0.1, 0.1, 0.2, 0.2, 0.4, 0], np.append(depth, np.nan))
    assert padded == pytest.approx(found)


PROXIES = ("synflow", "grad_norm", "fisher")


def toy(trend: float) -> pd.DataFrame:
    shares = {"place_trend": 0.0, "deep_third_share": 60.0, "shallow_third_share": 10.0}
    base = {"space": "nb201", "encoding": "paper", "n": 10, **shares}
    return pd.DataFrame(
        [{**base, "proxy": p, "seed": s, "depth_trend": trend + s} for s in (0, 1, 2) for p in PROXIES]
    )


@pytest.mark.parametrize(
    ("trend", "verdict"), [(50, "Deeper nodes matter more"), (-50, "matter less"), (-1, "Depth makes no clear difference")]
)
def test_the_sentence_follows_the_interval(trend, verdict):
    (said,) = encodings.sentences(toy(trend))
    assert verdict in said
    assert "third of the places holds 10 %" in said


def test_rows_have_the_mean_and_every_proxy_with_an_interval_over_seeds():
    rows = encodings.rows("fig02_importance", toy(50), {"nb201": "judged on test"}, "full")
    by_cell = {(row.row, row.column, row.metric): row for row in rows}
    mean = by_cell["GBDT", "NB201-CF10", "depth_trend"]
    assert (mean.value, mean.n, mean.origin) == (51, 3, "ours")
    assert mean.ci_low < 51 < mean.ci_high
    assert by_cell["Fisher", "NB201-CF10, paper encoding", "deep_third_share"].value == 60
    assert len(rows) == 4 * (1 + 3)
    assert encodings.rows("fig05_importance", toy(50), {"nb201": "judged on test"}, "full") == []  # three of its six proxies
