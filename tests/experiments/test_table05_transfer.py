"""What spaces share, and rankers that go from one to another."""

import numpy as np
import pytest
import vit_stores

from parzc_core import metrics
from parzc_core.errors import BadInput, UnknownName
from parzc_core.experiments import table05_autoformer as table05
from parzc_core.experiments.table05_autoformer import DEPTH, ROLES, encoded, node_groups, transferred
from parzc_core.spaces import nb201
from parzc_core.spaces.vit import pit

STATISTICS = {
    space: {seed: [vit_stores.record(space, i, seed).statistics for i in range(count)] for seed in (0, 1)}
    for space, count in vit_stores.CELLS.items()
}


def test_nodes_go_to_thirds_of_the_depth_and_keep_their_role():
    arch = "embed=192|depth=12|heads=" + ",".join("3" * 12) + "|mlp=" + ",".join("4" * 12)
    nodes = vit_stores.nodes_of("autoformer", arch)
    found = node_groups("autoformer", nodes, ROLES)
    assert (found[0], found[1], found[-1]) == ("stem", "1.qkv", "head")
    assert [found.count(f"{third}.fc2") for third in "123"] == [4, 4, 4]
    assert node_groups("autoformer", nodes, DEPTH).count("2") == 16


def test_stages_are_thirds_and_poolings_are_shared_with_nobody():
    nodes = vit_stores.nodes_of("pit", "base=32|depth=2,6,4|heads=2,4,8|mlp=4")
    found = dict(zip(nodes, node_groups("pit", nodes, ROLES), strict=True))
    assert found["stages.1.5.mlp.fc1"] == "2.fc1"
    assert found["pools.0.conv"] is found["pools.1.fc"] is None
    assert (found["patch_embed"], found["head"]) == ("stem", "head")
    assert set(found.values()) - {None} == set(ROLES)


def test_nas_bench_201_has_depth_alone():
    found = dict(zip(nb201.SLOTS, node_groups("nb201", nb201.SLOTS, DEPTH), strict=True))
    assert set(found.values()) == set(DEPTH)
    assert (found["stem.0"], found["classifier"], found["cells.5.conv_a.op.1"]) == ("stem", "head", "2")
    with pytest.raises(BadInput, match="no roles"):
        node_groups("nb201", nb201.SLOTS, ROLES)
    with pytest.raises(UnknownName, match="unknown space with shared groups 'nb101'"):
        node_groups("nb101", [], DEPTH)


def test_an_encoding_is_the_standardised_mean_of_logs():
    statistics = STATISTICS["pit"][0]
    found = encoded("pit", statistics, ROLES, ["snip", "synflow"]).reshape(len(statistics), 2, len(ROLES))
    raw = [
        np.mean([np.log10(one.of("synflow")[i]) for i, node in enumerate(one.nodes) if pit.role(node)[0::2] == (2, "fc1")
                 and pit.role(node)[1]])
        for one in statistics
    ]  # fmt: skip
    expected = (np.array(raw) - np.mean(raw)) / np.std(raw)
    np.testing.assert_allclose(found[:, 1, ROLES.index("2.fc1")], np.clip(expected, -4, 4), atol=1e-5)


def test_a_ranker_carries_over_what_both_spaces_say_alike():
    accuracy = vit_stores.accuracy_of("autoformer").to_numpy()
    scores = transferred(
        ("autoformer", STATISTICS["autoformer"], accuracy), ("pit", {0: STATISTICS["pit"][0]}), epochs=15
    )
    assert scores.shape == (2, 24)  # a ranker for each seed of either
    judged = vit_stores.accuracy_of("pit").to_numpy()
    assert min(metrics.kendall(score, judged) for score in scores) > 20
    # It learns from labels of the other space alone: turned around, so is the order.
    turned = transferred(
        ("autoformer", STATISTICS["autoformer"], -accuracy), ("pit", {0: STATISTICS["pit"][0]}), epochs=15
    )
    assert max(metrics.kendall(score, judged) for score in turned) < -20


def test_spaces_that_share_nothing_are_refused():
    with pytest.raises(BadInput, match="from pit to nb201"):
        transferred(("pit", STATISTICS["pit"], np.zeros(24)), ("nb201", {}))
    assert set(table05.SHARED) == {("autoformer", "pit"), ("nb201", "autoformer"), ("nb201", "pit")}
