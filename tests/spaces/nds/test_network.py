"""Networks of the Network Design Spaces: published parameter counts, the arithmetic of a cell, what is dead, node names."""

import pytest
import torch
from hypothesis import given, settings
from nds_genotypes import DARTS_V2, P_DARTS, PC_DARTS
from spaces.nds.test_space import architectures
from torch import nn

from parzc_core.collecting import one as collection
from parzc_core.collecting.one import CollectionConfig
from parzc_core.collector import collect_statistics
from parzc_core.errors import BadInput
from parzc_core.images.batch import MiniBatch
from parzc_core.scores import registry
from parzc_core.spaces import NDS, nds
from parzc_core.spaces.nds import genotype as nds_genotype
from parzc_core.spaces.nds import network as nds_network
from parzc_core.spaces.nds import slots
from parzc_core.spaces.nds.genotype import Architecture, Cell

DARTS = nds.SPACES["nds_darts"]
IMAGES, LABELS = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0)), torch.tensor([0, 1])


def arch_of(genotype: dict, width: int = 36, depth: int = 20) -> str:
    return str(nds_genotype.from_genotype(DARTS.family, genotype, width, depth))


def convolutions(network: nn.Module) -> list[str]:
    return [name for name, module in network.named_modules() if isinstance(module, nn.Conv2d | nn.Linear)]


@pytest.mark.parametrize(
    ("genotype", "millions", "digits"),
    [(DARTS_V2, 3.349342, 6), (P_DARTS, 3.4, 1), (PC_DARTS, 3.6, 1)],  # as printed by their trainings and papers
)
def test_parameters_are_the_published_ones(genotype: dict, millions: float, digits: int) -> None:
    assert round(DARTS.parameters(arch_of(genotype)) / 1e6, digits) == millions


def test_flops_are_two_for_every_multiply_add() -> None:
    arch = nds.SPACES["nds_nasnet"].sample(1, seed=0, width=4, depth=4)[0]
    network = nds.SPACES["nds_nasnet"].build(arch, skip_dead=False)
    counted = []

    def count(module: nn.Module, given: tuple, output: torch.Tensor) -> None:
        counted.append(output[0, 0].numel() * module.weight.numel())  # every weight is used once at every output pixel

    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.Linear):
            module.register_forward_hook(count)
    network(torch.randn(2, 3, 16, 16))
    assert len(counted) == len(convolutions(network))
    assert nds.SPACES["nds_nasnet"].flops(arch, side=16) == 2 * sum(counted)


def test_the_network_level_scores_agree_with_the_counts() -> None:
    arch = DARTS.sample(1, seed=5, width=2, depth=3)[0]
    network = DARTS.build(arch, skip_dead=False)
    assert registry.score("params", network, IMAGES, LABELS) == DARTS.parameters(arch)
    assert registry.score("flops", network, IMAGES, LABELS) == DARTS.flops(arch, side=8)


RECEPTIVE = {
    **{"sep_conv_3x3": 5, "sep_conv_5x5": 9, "sep_conv_7x7": 13, "dil_conv_3x3": 5, "dil_conv_5x5": 9},
    **{"dil_sep_conv_3x3": 9, "conv_1x1": 1, "conv_3x3": 3, "conv_3x1_1x3": 3, "conv_7x1_1x7": 7},
    **{"max_pool_3x3": 3, "max_pool_5x5": 5, "max_pool_7x7": 7, "avg_pool_3x3": 3, "skip_connect": 1},
}
C = 4
WEIGHTS = {  # of convolutions; BatchNorm has 2 C more, twice where there are two
    **{f"sep_conv_{k}x{k}": 2 * (k * k * C + C * C) + 4 * C for k in (3, 5, 7)},
    **{f"dil_conv_{k}x{k}": k * k * C + C * C + 2 * C for k in (3, 5)},
    "dil_sep_conv_3x3": 2 * (9 * C + C * C) + 4 * C,
    "conv_1x1": C * C + 2 * C,
    "conv_3x3": 9 * C * C + 2 * C,
    "conv_3x1_1x3": 6 * C * C + 2 * C,
    "conv_7x1_1x7": 14 * C * C + 2 * C,
}


@pytest.mark.parametrize("name", sorted({kind for one in nds.SPACES.values() for kind in one.OPERATIONS} - {"none"}))
def test_an_operation_sees_as_far_as_its_name_says(name: str) -> None:
    operation = nds_network._operation(name, C, 1)
    assert sum(p.numel() for p in operation.parameters()) == WEIGHTS.get(name, 0)
    for parameter in operation.parameters():
        nn.init.constant_(parameter, 0.5)
    ones = torch.ones(1, C, 17, 17)
    bumped = ones.clone()
    bumped[..., 8, 8] = 2
    operation.eval()
    assert operation(ones).shape == ones.shape
    changed = (operation(bumped) != operation(ones)).any(dim=1)[0]
    rows, columns = (changed.any(dim=axis).nonzero().flatten() for axis in (1, 0))
    for seen in (rows, columns):
        assert int(seen[-1] - seen[0]) + 1 == RECEPTIVE[name]
        assert int(seen[0] + seen[-1]) == 16  # as far to one side as to the other
    for side, half in ((8, 4), (7, 4)):
        assert nds_network._operation(name, C, 2)(torch.randn(2, C, side, side)).shape == (2, C, half, half)


def test_average_pooling_does_not_count_the_padding() -> None:
    pooled = nds_network._operation("avg_pool_3x3", 1, 1)(torch.ones(1, 1, 4, 4))
    assert torch.equal(pooled, torch.ones(1, 1, 4, 4))


def test_a_factorised_reduction_takes_even_and_odd_pixels() -> None:
    layer = nds_network.FactorizedReduction(1, 2).eval()
    for half in layer.halves:
        nn.init.ones_(half.weight)
    layer.bn = nn.Identity()
    image = torch.arange(16.0).reshape(1, 1, 4, 4)
    assert layer(image)[0].tolist() == [[[0, 2], [8, 10]], [[5, 7], [13, 15]]]
    with pytest.raises(BadInput, match="got 3 channels out of a reduction; expected an even number"):
        nds_network.FactorizedReduction(4, 3)


def test_a_cell_sums_what_its_nodes_read_and_joins_nodes_in_order() -> None:
    """With skips alone a node is a whole combination of the inputs a and b: 2 = a + b, 3 = 2 + a, 4 = 3 + b, 5 = 4 (and none)."""
    pairs = (("skip_connect", 0), ("skip_connect", 1), ("skip_connect", 2), ("skip_connect", 0))
    pairs += (("skip_connect", 3), ("skip_connect", 1), ("skip_connect", 4), ("none", 2))
    cell = nds_network.SearchedCell(Cell(pairs, (5, 3, 2)), (1, 1), 1, reduction=False, halve_first=False)
    cell.inputs = nn.ModuleList([nn.Identity(), nn.Identity()])
    a, b = torch.randn(2, 1, 2, 2), torch.randn(2, 1, 2, 2)
    torch.testing.assert_close(cell(a, b), torch.cat([2 * a + 2 * b, 2 * a + b, a + b], dim=1))


def test_a_cell_of_none_gives_zeros_that_later_nodes_may_add_to() -> None:
    pairs = (("none", 0), ("none", 1), ("sep_conv_3x3", 2), ("none", 0), *((("none", 0),) * 4))
    cell = nds_network.SearchedCell(Cell(pairs, (2, 3)), (4, 4), 4, reduction=True, halve_first=False).train()
    x = torch.randn(2, 4, 6, 6)
    assert cell(x, x).shape == (2, 8, 3, 3)
    assert not cell(x, x).any()
    nn.init.constant_(cell.nodes["3"]["0_sep_conv_3x3"][7].bias, 0.25)
    assert torch.equal(cell(x, x)[:, 4:], torch.full((2, 4, 3, 3), 0.25))


@pytest.mark.parametrize(("depth", "stages"), [(3, (1, 1, 1)), (4, (1, 1, 2)), (8, (2, 3, 3)), (20, (6, 7, 7))])
def test_reductions_stand_at_a_third_and_two_thirds(depth: int, stages: tuple[int, ...]) -> None:
    network = DARTS.build(DARTS.sample(1, seed=0, width=2, depth=depth)[0])
    assert tuple(len(stage) for stage in network.stages) == stages
    strides = [[cell.stride for cell in stage] for stage in network.stages]
    assert strides == [[2 if s and c == 0 else 1 for c in range(n)] for s, n in enumerate(stages)]
    channels = [[cell.channels for cell in stage] for stage in network.stages]
    assert channels == [[2 * 2**s] * n for s, n in enumerate(stages)]
    assert network(torch.randn(2, 3, 8, 8)).shape == (2, 10)


@given(architectures())
@settings(max_examples=settings().max_examples // 8, deadline=None)
def test_nodes_have_their_names_and_the_dead_get_no_gradient(given_: tuple[nds.NdsSpace, Architecture]) -> None:
    one, architecture = given_
    arch = str(architecture)
    torch.manual_seed(0)
    network = one.build(arch, classes=2)
    paths, live = slots.node_paths(architecture), set(one.isomorphism(arch).nodes)
    assert sorted(paths) == sorted(convolutions(network))
    nn.functional.cross_entropy(network(IMAGES), LABELS).backward()
    weights = {path: network.get_submodule(path).weight for path in paths}
    reached = {path for path, weight in weights.items() if weight.grad is not None}
    assert reached <= live
    if "none" not in one.OPERATIONS:
        assert reached == live

    whole = one.build(arch, classes=2, skip_dead=False)
    whole.load_state_dict(network.state_dict())
    torch.testing.assert_close(whole(IMAGES), network(IMAGES))


@pytest.mark.parametrize("name", NDS)
def test_statistics_are_collected_for_every_node(name: str) -> None:
    one = nds.SPACES[name]
    arch = one.sample(1, seed=2, width=2, depth=4)[0]
    network = one.build(arch)
    statistics = collect_statistics(network, IMAGES, LABELS)
    assert set(statistics.nodes) == set(slots.node_paths(one.parse(arch))) <= set(one.SLOTS)
    assert statistics.not_finite == 0
    nn.functional.cross_entropy(network(IMAGES), LABELS).backward()
    for node, value in zip(statistics.nodes, statistics.of("grad_norm"), strict=True):
        gradient = network.get_submodule(node).weight.grad
        assert value == pytest.approx(0.0 if gradient is None else float(gradient.norm()), rel=1e-3, abs=1e-5)
    live = one.isomorphism(arch).nodes
    dead = [statistics.of("grad_norm")[i] for i, node in enumerate(statistics.nodes) if node not in live]
    assert not any(dead)


def test_a_collection_takes_the_space_by_name_and_its_width() -> None:
    config = CollectionConfig(
        space="nds_enas",
        images="noise",
        batch=2,
        width=2,
        proxies=("snip", "l2_norm"),
        scores=("params", "flops", "nwot"),
    )
    one = nds.SPACES["nds_enas"]
    arch = one.sample(1, seed=0, width=16, depth=4)[0]
    record = collection.record(config, arch, MiniBatch(IMAGES, LABELS, 10, {}))
    assert set(record.statistics.nodes) == set(slots.node_paths(one.parse(arch)))
    narrow = one.resized(arch, width=2)
    assert record.scores["params"] == one.parameters(narrow)
    assert record.scores["flops"] == one.flops(narrow, side=8)


def test_bad_networks_say_what_is_wrong() -> None:
    arch = arch_of(DARTS_V2, 4, 4)
    with pytest.raises(BadInput, match="classes=1; expected"):
        DARTS.build(arch, classes=1)
    with pytest.raises(BadInput, match=r"got width 1 .*a reduction at width 1"):
        DARTS.build(arch, width=1)
    with pytest.raises(BadInput, match=r"a reduction at width 1, \(2, 16, 1, 1\); expected images of at least 3 x 3"):
        DARTS.build(arch)(torch.randn(2, 3, 2, 2))
    assert DARTS.build(arch)(torch.randn(2, 3, 3, 3)).shape == (2, 10)
