"""Node importance against data of which it is known which slot matters."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from figure_checks import NODES, check
from sklearn.ensemble import GradientBoostingRegressor

from parzc_core.collecting.labelled import load
from parzc_core.collector import NodeStatistics
from parzc_core.errors import BadInput
from parzc_core.experiments import fig02_05_importance
from parzc_core.experiments.fig02_05_importance import GBDTConfig, Importance, node_importance, slotted
from parzc_core.spaces import nb201

SLOTS = tuple(f"slot{i}" for i in range(8))
GROUPS = ("first", "first", "first", "middle", "middle", "last", "last", "last")
QUICK = GBDTConfig(estimators=60, learning_rate=0.1)


def statistics(nodes: tuple[str, ...], *rows: list[float]) -> NodeStatistics:
    names = ("snip", "plain")[: len(rows)]
    return NodeStatistics(nodes, names, np.array(rows), np.ones(len(nodes), np.int64), tuple(range(len(nodes))))


def run(values: np.ndarray, target: np.ndarray, config: GBDTConfig = QUICK) -> Importance:
    return node_importance(values, target, target, SLOTS, GROUPS, config)


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return np.random.default_rng(0).uniform(size=(400, 8))


@pytest.mark.parametrize("slot", [0, 4, 7])
def test_the_only_slot_that_matters_gets_all_of_it(noise: np.ndarray, slot: int) -> None:
    found = run(noise, 60 + 30 * noise[:, slot])
    assert found.impurity.sum() == pytest.approx(1)
    assert found.impurity[slot] > 0.97
    assert int(np.argmax(found.permutation)) == slot
    others = np.delete(found.permutation, slot)
    assert np.abs(others).max() < 1 < found.permutation[slot]
    assert found.groups["impurity"].idxmax() == found.groups["together"].idxmax() == GROUPS[slot]
    assert found.half_of_it == 1
    assert found.r2 > 95
    assert found.kendall > 90


def test_groups_add_up_and_count_their_nodes(noise: np.ndarray) -> None:
    found = run(noise, noise[:, 1] + 2 * noise[:, 6])
    assert found.groups.index.tolist() == ["first", "middle", "last"]
    assert found.groups["nodes"].tolist() == [3, 2, 3]
    assert found.groups["impurity"].sum() == pytest.approx(100)
    assert found.groups.loc["last", "impurity"] == pytest.approx(100 * found.impurity[5:].sum())
    assert found.groups.loc["middle", "permutation"] == pytest.approx(found.permutation[3:5].sum())
    assert (found.trained, found.held_out) == (320, 80)


def test_two_copies_of_a_slot_hide_each_other_but_not_together(noise: np.ndarray) -> None:
    values = noise.copy()
    values[:, 1] = values[:, 0]  # impurity and single permutations share the credit between the copies
    found = run(values, values[:, 0])
    alone = run(noise, noise[:, 0])
    assert found.permutation[:2].max() < 0.95 * alone.permutation[0]
    assert found.groups.loc["first", "together"] == pytest.approx(alone.groups.loc["first", "together"], rel=0.1)


def test_trend_is_positive_where_deep_slots_matter(noise: np.ndarray) -> None:
    weights = np.arange(8) ** 2.0
    assert run(noise, noise @ weights).depth_trend > 80
    assert run(noise, noise @ weights[::-1]).depth_trend < -80


def test_noise_says_so(noise: np.ndarray) -> None:
    found = run(noise, np.random.default_rng(1).normal(size=len(noise)))
    assert found.r2 < 10
    assert abs(found.kendall) < 30


def test_it_learns_one_accuracy_and_is_judged_on_the_other(noise: np.ndarray) -> None:
    found = node_importance(noise, noise[:, 0], -noise[:, 0], SLOTS, GROUPS, QUICK)
    assert found.r2 > 90
    assert found.kendall < -90


def test_defaults_are_the_papers(noise: np.ndarray) -> None:
    config = GBDTConfig()
    assert (config.estimators, config.learning_rate, config.depth, config.test_share, config.seed) == (
        500,
        0.05,
        3,
        0.2,
        42,
    )
    seen: dict[str, object] = {}

    class Spy(GradientBoostingRegressor):
        def fit(self, X: np.ndarray, y: np.ndarray) -> "Spy":
            seen.update(self.get_params(), cells=len(X))
            return super().fit(X, y)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("parzc_core.experiments.fig02_05_importance.GradientBoostingRegressor", Spy)
        run(noise[:50], noise[:50, 0], config)
    assert (seen["n_estimators"], seen["learning_rate"], seen["max_depth"]) == (500, 0.05, 3)
    assert (seen["random_state"], seen["cells"]) == (42, 40)


def test_every_node_in_its_slot_scaled_within_its_architecture() -> None:
    one = statistics(("slot7", "slot2", "slot0"), [5.0, 3.0, 1.0], [0.0, -1.0, 1.0])
    two = statistics(("slot1", "slot0"), [1e46, 3e46], [0.0, 0.0])
    assert slotted([one, two], "snip", SLOTS).tolist() == [[0, 0, 0.5, 0, 0, 0, 0, 1], [1, 0, 0, 0, 0, 0, 0, 0]]
    assert slotted([one, two], "plain", SLOTS).tolist() == [[1, 0, 0, 0, 0, 0, 0, 0.5], [0] * 8]


def test_values_that_are_not_finite_become_zero() -> None:
    broken = [statistics(("slot0", "slot1"), [np.nan, 1.0]), statistics(("slot0", "slot1"), [np.inf, 1.0])]
    assert slotted(broken, "snip", SLOTS).tolist() == [[0] * 8] * 2


def test_bad_input_is_refused(noise: np.ndarray) -> None:
    with pytest.raises(BadInput, match="no statistics"):
        slotted([], "snip", SLOTS)
    with pytest.raises(BadInput, match="no slot"):
        slotted([statistics(("elsewhere",), [1.0])], "snip", SLOTS)
    with pytest.raises(BadInput, match="was not collected"):
        slotted([statistics(("slot0",), [1.0])], "synflow", SLOTS)
    with pytest.raises(BadInput, match="expected \\[n, L\\]"):
        node_importance(noise, noise[:, 0], noise[:, 0], SLOTS, GROUPS[:-1])
    with pytest.raises(BadInput, match="expected \\[n, L\\]"):
        run(noise, noise[:-1, 0])
    with pytest.raises(BadInput, match="at least 10"):
        run(noise[:9], noise[:9, 0])
    with pytest.raises(BadInput, match="test share"):
        GBDTConfig(test_share=1)


def test_importance_along_depth_is_labelled_and_whole():
    rng = np.random.default_rng(0)
    drawn = {name: (NODES, rng.random(len(NODES))) for name in ("snip", "fisher", "plain", "synflow")}
    figure = fig02_05_importance.importance_along_depth(drawn)
    check(figure, ["SNIP", "Fisher", "stage 1", "stage 3", "reduction 1", "reduction 2", "GBDT impurity importance"])


def test_importance_bars_have_the_heights_given():
    height = np.linspace(0, 0.4, len(NODES))
    fig = fig02_05_importance.importance_along_depth({"snip": (NODES, height)})
    assert [bar.get_height() for bar in fig.axes[0].containers[0]] == pytest.approx(height.tolist())


def test_importance_of_another_length_is_refused():
    with pytest.raises(BadInput, match="snip"):
        fig02_05_importance.importance_along_depth({"snip": (NODES, [0.1])})


def test_every_slot_lies_in_a_part_of_the_network_and_a_figure_shows_its_proxies():
    parts = fig02_05_importance.parts_of_the_network()
    assert list(dict.fromkeys(parts)) == list(fig02_05_importance.STAGES)
    assert len(parts) == len(nb201.SLOTS)
    assert set(fig02_05_importance.FIGURES["fig02_importance"]) < set(fig02_05_importance.PROXIES)


def test_a_cell_without_a_path_is_not_connected():
    cells = [
        "|none~0|+|none~0|none~1|+|none~0|none~1|none~2|",
        "|none~0|+|none~0|none~1|+|skip_connect~0|none~1|none~2|",
    ]
    assert fig02_05_importance.connected(cells).tolist() == [False, True]


def test_both_tables_and_the_rows_say_what_the_trees_found():
    one = fig02_05_importance.Importance(
        ("a", "b"),
        np.array([0.25, 0.75]),
        np.array([1.0, 2.0]),
        pd.DataFrame({"impurity": [25.0, 75.0], "together": [3.0, 4.0]}, index=["stem", "head"]),
        r2=90.0,
        kendall=70.0,
        trained=8,
        held_out=2,
    )
    found = dict.fromkeys(fig02_05_importance.PROXIES, one)
    table = fig02_05_importance.summary(found)
    assert table.loc["SNIP"].tolist() == pytest.approx([25, 75, 1, 100, 90, 70])
    check_ = fig02_05_importance.beside_permutation(found).loc["SNIP"]
    assert check_.tolist() == pytest.approx([3, 4, 100, 2])
    assert fig02_05_importance.same_most_important_part(found) == len(found)
    data: Any = type("Cells", (), {"note": "judged on something", "__len__": lambda self: 10})()
    config = fig02_05_importance.settings("smoke")
    rows = fig02_05_importance.rows("fig02_importance", table, data, config, "smoke")
    assert {row.row for row in rows} == {"Synflow", "GradNorm", "Fisher"}
    units = {(row.column, row.metric): row.unit for row in rows}
    assert units["nodes with half of it", "nodes"] == "1"
    assert units["stem", "impurity_share"] == "%"


def test_trees_are_grown_once_and_read_afterwards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, store = GBDTConfig(estimators=3, repeats=1), tmp_path / "runs.jsonl"
    found = fig02_05_importance.run(config, 60, store)
    monkeypatch.setattr(fig02_05_importance.NodeRun, "evaluate", None)
    again = fig02_05_importance.run(config, 60, store)
    assert list(found) == [fig02_05_importance.ALL, fig02_05_importance.CONNECTED]
    for which, one in found.items():
        assert list(one) == list(fig02_05_importance.PROXIES)
        for proxy, importance in one.items():
            assert importance.groups.index.tolist() == list(fig02_05_importance.STAGES)
            assert importance.impurity.tolist() == again[which][proxy].impurity.tolist()
            pd.testing.assert_frame_equal(importance.groups, again[which][proxy].groups)
    connected = fig02_05_importance.connected(load(cells=60).collection.archs)
    one = found[fig02_05_importance.CONNECTED]["snip"]
    assert one.trained + one.held_out == connected.sum()
