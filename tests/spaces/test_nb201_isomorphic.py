"""Isomorphic cells: counts, and statistics that carry over exactly, which a network with its weights moved alike confirms."""

import random
from dataclasses import replace

import numpy as np
import pytest
import torch

from parzc_core.collecting import one as collection
from parzc_core.collecting.one import COUNTING_SCORES, CollectionConfig, records
from parzc_core.collector import collect_statistics
from parzc_core.errors import BadInput
from parzc_core.images.batch import MiniBatch
from parzc_core.scores.registry import score
from parzc_core.spaces import nb201, nb201_cells
from parzc_core.spaces.nb201_cells import canonical, expression, representative

BUILD = nb201.build
SCORES = ("params", "flops", "jacov", "nwot", "zico")


def unique(arch: str, zeros: bool) -> str:
    """A cell as nested sums with skip connections composed. zeros: `#` stands for a term that is zero, as the benchmark's
    authors count unique cells; otherwise such terms are dropped."""
    operations, nodes, edge = nb201.parse(arch), ["x"], 0
    for end in (1, 2, 3):
        terms = []
        for start in range(end):
            operation, source = operations[edge], nodes[start]
            edge += 1
            if operation == "none" or source in ("#", ""):
                terms += ["#"] if zeros else []
            else:
                terms.append(source if operation == "skip_connect" else f"({source})@{operation}")
        nodes.append("+".join(sorted(terms)) if zeros or len(terms) < 2 else f"[{'+'.join(sorted(terms))}]")
    return nodes[3]


def test_the_classes_and_how_they_relate_to_the_published_count():
    archs = nb201.all_archs()
    assert len({unique(arch, zeros=True) for arch in archs}) == 6466  # Dong & Yang, 2020, section 2.1
    assert len({unique(arch, zeros=False) for arch in archs}) == 5773
    assert len({representative(arch) for arch in archs}) == len({canonical(arch)[0] for arch in archs}) == 5260
    rng = random.Random(0)
    for arch in rng.sample(archs, 400):
        there = representative(arch)
        assert canonical(there)[0] == canonical(arch)[0]
        assert representative(there) == there
        live = sum(operation != "none" for operation in nb201.parse(there))
        assert live <= sum(operation != "none" for operation in nb201.parse(arch))
        assert len(expression(there).convolutions) == sum("conv" in operation for operation in nb201.parse(there))


def test_the_stored_representatives_are_those_that_are_found():
    archs = nb201.all_archs()
    assert [archs[i] for i in nb201_cells.find_representatives()] == [representative(arch) for arch in archs]
    assert all(nb201.to_string(nb201.parse(arch)) == arch for arch in archs)
    with pytest.raises(BadInput, match="not a NAS-Bench-201 architecture"):
        representative("|none~0|")


def test_a_convolution_that_two_others_read_is_not_two_equal_ones():
    one = nb201.to_string(["nor_conv_3x3", "skip_connect", "none", "none", "nor_conv_1x1", "nor_conv_1x1"])
    shared = nb201.to_string(["nor_conv_3x3", "none", "skip_connect", "none", "nor_conv_1x1", "nor_conv_1x1"])
    twice = nb201.to_string(["nor_conv_3x3", "nor_conv_3x3", "none", "none", "nor_conv_1x1", "nor_conv_1x1"])
    assert len({canonical(arch)[0] for arch in (one, shared, twice)}) == 3
    assert len(expression(shared).convolutions) == 3
    assert len(expression(twice).convolutions) == 4


def test_pooling_of_equal_sums_is_one_and_a_doubled_sum_is_not_a_single_one():
    pools = nb201.to_string(["avg_pool_3x3", "avg_pool_3x3", "none", "none", "skip_connect", "skip_connect"])
    same = nb201.to_string(["avg_pool_3x3", "none", "skip_connect", "none", "skip_connect", "skip_connect"])
    single = nb201.to_string(["avg_pool_3x3", "none", "none", "none", "skip_connect", "none"])
    assert canonical(pools)[0] == canonical(same)[0] != canonical(single)[0]


@pytest.fixture
def double(monkeypatch):
    """Small networks in double precision, in which only a wrong correspondence can make a difference."""

    def build(arch: str, **rest: object) -> torch.nn.Module:
        return BUILD(arch, channels=4, cells=5, **rest).double()

    monkeypatch.setattr(nb201, "build", build)
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(6, 3, 16, 16, generator=generator, dtype=torch.float64)
    return MiniBatch(images, torch.tensor([0, 1, 2, 3, 4, 0]), 10, {})


def with_weights_moved(arch: str, skip_dead: bool) -> torch.nn.Module:
    """The cell's own network, its layers holding what the corresponding ones of the representative were drawn as."""
    isomorphism = nb201.isomorphism(arch)
    torch.manual_seed(0)
    there = dict(nb201.build(isomorphism.representative).named_modules())
    torch.manual_seed(0)
    network = nb201.build(arch, skip_dead=skip_dead)
    here = dict(network.named_modules())
    for node, source in isomorphism.nodes.items():
        here[node].load_state_dict(there[source].state_dict())
    return network


def members(count: int) -> list[str]:
    """Cells that are not their class's representative, half of them with dead convolutions."""
    archs = [arch for arch in nb201.all_archs() if representative(arch) != arch]
    random.Random(5).shuffle(archs)
    dead = [a for a in archs if len(expression(a).convolutions) < sum("conv" in o for o in nb201.parse(a))]
    whole = [a for a in archs if len(expression(a).convolutions) == sum("conv" in o for o in nb201.parse(a))]
    return dead[: count // 2] + whole[: count - count // 2]


@pytest.mark.parametrize("part", [slice(1, None, 3), pytest.param(slice(None), marks=pytest.mark.slow)])
def test_shared_records_equal_the_members_own_network_with_weights_moved_alike(double, part):
    config = CollectionConfig(scores=SCORES, share_isomorphic=True)
    for arch in members(12)[part]:
        (got,) = records(config, representative(arch), [(7, arch)], double)
        expected = collect_statistics(with_weights_moved(arch, skip_dead=True), double.images, double.labels)
        assert (got.arch, got.position) == (arch, 7)
        assert got.statistics.nodes == expected.nodes
        assert got.statistics.execution_order == expected.execution_order
        assert got.statistics.numel.tolist() == expected.numel.tolist()
        for proxy in expected.proxies:
            scale = np.abs(expected.of(proxy)).max()
            np.testing.assert_allclose(got.statistics.of(proxy), expected.of(proxy), rtol=1e-6, atol=1e-9 * scale)
        alive = len(nb201.isomorphism(arch).nodes) == len(expected.nodes)
        network = with_weights_moved(arch, skip_dead=False)
        for name in SCORES:
            if alive or name not in COUNTING_SCORES or name in ("params", "flops"):
                assert got.scores[name] == pytest.approx(score(name, network, double.images, double.labels), rel=1e-9)


def test_dead_convolutions_count_with_the_members_own_weights(double):
    arch = next(arch for arch in members(2) if len(nb201.isomorphism(arch).nodes) < len(nb201.SLOTS))
    config = CollectionConfig(scores=("nwot",))
    (got,) = records(config, representative(arch), [(0, arch)], double)
    torch.manual_seed(0)
    network = nb201.build(arch, skip_dead=False)
    norms = {
        name: float(m.weight.detach().norm()) for name, m in network.named_modules() if name in got.statistics.nodes
    }
    dead = [node for node in got.statistics.nodes if node not in nb201.isomorphism(arch).nodes]
    assert dead
    l2_norm = dict(zip(got.statistics.nodes, got.statistics.of("l2_norm"), strict=True))
    assert all(l2_norm[node] == pytest.approx(norms[node]) for node in dead)
    assert got.scores["nwot"] == pytest.approx(score("nwot", network, double.images, double.labels))


def test_the_representative_gets_what_its_own_collection_gives(double):
    config, member = CollectionConfig(scores=("jacov", "params")), members(1)[0]
    arch = representative(member)
    (got,) = records(config, arch, [(3, arch)], double)
    alone = collection.record(config, arch, double)
    assert np.array_equal(got.statistics.values, alone.statistics.values)
    assert got.scores == alone.scores
    assert got.position == 3
    (shared,) = records(config, arch, [(0, member)], double)
    one = collection.record(replace(config, share_isomorphic=True), member, double)
    assert np.array_equal(one.statistics.values, shared.statistics.values)
