"""AutoFormer-Tiny and PiT: strings, errors, counts against published networks and PyTorch's counter, slots, graphs."""

import json
import os
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

from parzc_core.collector import collect_statistics
from parzc_core.errors import BadInput
from parzc_core.spaces import space
from parzc_core.spaces.vit import autoformer, pit
from parzc_core.spaces.vit import blocks as vit_blocks

DEIT_TI = f"embed=192|depth=12|heads={','.join('3' * 12)}|mlp={','.join('4' * 12)}"
PIT_TI = "base=32|depth=2,6,4|heads=2,4,8|mlp=4"
FOLDER = Path(os.environ.get("PARZC_DATA", "")) / "vitbench"
needs_labels = pytest.mark.skipif(not FOLDER.is_dir(), reason="PARZC_DATA has no vitbench folder")
BOTH = pytest.mark.parametrize("module", [autoformer, pit], ids=["autoformer", "pit"])


@st.composite
def configs(draw: st.DrawFn) -> autoformer.Config:
    depth = draw(st.sampled_from(autoformer.DEPTH))
    heads = draw(st.lists(st.sampled_from(autoformer.HEADS), min_size=depth, max_size=depth))
    mlp = draw(st.lists(st.sampled_from(autoformer.MLP), min_size=depth, max_size=depth))
    return autoformer.Config(draw(st.sampled_from(autoformer.EMBED)), depth, tuple(heads), tuple(mlp))


# Strings


@settings(max_examples=40, deadline=None)
@given(configs())
def test_an_autoformer_string_and_its_config_are_the_same(config: autoformer.Config) -> None:
    assert autoformer.parse(str(config)) == config


def test_all_pits_are_there_once_and_read_back() -> None:
    archs = pit.all_archs()
    assert len(set(archs)) == len(archs) == pit.ARCH_COUNT == 4 * 10 * 10 * 4
    assert all(str(pit.parse(arch)) == arch for arch in archs)
    assert PIT_TI in archs


def test_autoformers_are_counted() -> None:
    assert autoformer.ARCH_COUNT == 3 * (4**12 + 4**13 + 4**14) == 1_056_964_608


@BOTH
def test_samples_are_distinct_and_begin_with_the_shorter_one(module: ModuleType) -> None:
    archs = module.sample(200, seed=1)
    assert len(set(archs)) == 200
    assert module.sample(50, seed=1) == archs[:50]
    assert module.sample(50, seed=2) != archs[:50]
    assert space(module.__name__.rpartition(".")[2]) is module


def test_autoformer_samples_every_choice_alike() -> None:
    found = [autoformer.parse(arch) for arch in autoformer.sample(1500, seed=0)]
    for of, choices in ((lambda c: c.embed, autoformer.EMBED), (lambda c: c.depth, autoformer.DEPTH)):
        shares = [sum(of(config) == choice for config in found) / 1500 for choice in choices]
        assert shares == pytest.approx([1 / 3] * 3, abs=0.06)
    assert np.mean([np.mean(config.heads) for config in found]) == pytest.approx(3.5, abs=0.02)
    assert np.mean([np.mean(config.mlp) for config in found]) == pytest.approx(3.75, abs=0.01)


def test_autoformer_samples_within_a_limit_of_parameters() -> None:
    archs = autoformer.sample(15, seed=0, most_parameters=6.2e6)
    sizes = [autoformer.parameters(arch) for arch in archs]
    assert max(sizes) <= 6.2e6
    assert archs != autoformer.sample(15, seed=0)
    with pytest.raises(BadInput, match="smallest architecture has 5,366,056"):
        autoformer.sample(1, seed=0, most_parameters=5e6)
    with pytest.raises(BadInput, match="ask for fewer, or for a higher limit"):
        autoformer.sample(3, seed=0, most_parameters=5_366_056)


def _autoformer(embed: object = 192, depth: object = 12, heads: object = "3", mlp: object = "4", n: int = 12) -> str:
    return f"embed={embed}|depth={depth}|heads={','.join([str(heads)] * n)}|mlp={','.join([str(mlp)] * n)}"


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        (_autoformer(embed=200), "an embedding dimension of 200; expected one of 192, 216, 240"),
        (_autoformer(embed="192,216"), "got 2 embedding dimensions and 1 depths"),
        (_autoformer(depth=11, n=11), "a depth of 11; expected one of 12, 13, 14"),
        (_autoformer(depth=13), "got 12 entries of heads for depth 13; expected one for each layer"),
        (_autoformer(heads=5), "among heads 5; expected one of 3, 4"),
        (_autoformer(heads=3.5), "among heads 3.5; expected one of 3, 4"),
        (_autoformer(mlp=3), "among mlp 3.0; expected one of 3.5, 4.0"),
        (_autoformer(mlp="x"), "mlp='x,x.*expected numbers separated by commas"),
        (_autoformer().replace("heads", "head"), "not an architecture of AutoFormer-Tiny.*expected the form embed=192"),
        ("", "not an architecture of AutoFormer-Tiny"),
        (None, "not an architecture of AutoFormer-Tiny"),
    ],
)
def test_a_bad_autoformer_gets_one_clear_error(arch: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        autoformer.parse(arch)


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        (PIT_TI.replace("32", "20"), "a base dimension of 20; expected one of 16, 24, 32, 40"),
        (PIT_TI.replace("mlp=4", "mlp=3"), "an MLP ratio of 3; expected one of 2, 4, 6, 8"),
        (PIT_TI.replace("mlp=4", "mlp=4,4"), "got 1 base dimensions and 2 MLP ratios"),
        (PIT_TI.replace("2,6,4", "2,6"), "got 2 entries of depth; expected one for each of 3 stages"),
        (PIT_TI.replace("2,4,8", "2,4,4,8"), "got 4 entries of heads"),
        (PIT_TI.replace("2,6,4", "2,5,4"), "in stage 2 a depth of 5; expected one of 4, 6, 8"),
        (PIT_TI.replace("2,6,4", "1,4,2"), "got 7 layers.*expected 12 to 14 in all"),
        (PIT_TI.replace("2,4,8", "2,8,4"), r"got heads \(2, 8, 4\); expected numbers that do not fall"),
        (PIT_TI.replace("2,4,8", "2,4,6"), "in stage 3 heads of 6"),
        (DEIT_TI, "not an architecture of PiT.*expected the form base=16"),
    ],
)
def test_a_bad_pit_gets_one_clear_error(arch: str, message: str) -> None:
    with pytest.raises(BadInput, match=message):
        pit.parse(arch)


def test_labels_with_other_keys_are_refused() -> None:
    for module in (autoformer, pit):
        with pytest.raises(BadInput, match=r"got an architecture with the keys \['depth'\]; expected"):
            module.from_labels({"depth": 12})


@BOTH
def test_bad_arguments_of_build_get_one_clear_error(module: ModuleType) -> None:
    arch = module.sample(1, 0)[0]
    for size in (0, 8, 225, 32.0):
        with pytest.raises(BadInput, match=f"got image_size={size}; expected 16"):
            module.build(arch, image_size=size)
    with pytest.raises(BadInput, match="got classes=1"):
        module.build(arch, image_size=32, classes=1)
    for count in (0, 10**7):
        with pytest.raises(BadInput, match=f"got a sample of {count} architectures"):
            module.sample(count, 0)
    with pytest.raises(BadInput, match=r"got the node 'blocks\.99\.attn\.qkv'"):
        module.role("blocks.99.attn.qkv")


@BOTH
def test_images_of_another_size_get_one_clear_error(module: ModuleType) -> None:
    network = module.build(module.sample(1, 0)[0], image_size=32, classes=5)
    for shape in ((2, 3, 48, 48), (2, 1, 32, 32), (3, 32, 32)):
        with pytest.raises(BadInput, match=r"expected \(N, 3, 32, 32\)"):
            network(torch.zeros(shape))
    with pytest.raises(BadInput, match=r"resize the images"):
        collect_statistics(network, torch.zeros(2, 3, 224, 224), torch.tensor([0, 1]), ["snip"])


def test_heads_that_do_not_divide_the_embedding_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(autoformer, "HEADS", (3, 4, 5))  # all of the space's own divide
    config = autoformer.Config(216, 12, (3,) * 11 + (5,), (4.0,) * 12)
    with pytest.raises(BadInput, match="embedding dimension 216 is not divisible by 5 heads"):
        autoformer.build(config, 32, head_dim=None)
    with pytest.raises(BadInput, match="got head_dim=0"):
        autoformer.build(config, 32, head_dim=0)


# Counts


def test_parameters_are_those_of_published_networks() -> None:
    # DeiT-Ti is in the space but for the relative positions: 5,717,416 parameters, 1.26 billion multiply-adds (1.3 in print).
    assert autoformer.parameters(DEIT_TI, relative=False) == 5_717_416
    assert autoformer.flops(DEIT_TI, relative=False) / 2e9 == pytest.approx(1.26, abs=0.01)
    # PiT-Ti: 4.9 million, 0.7 billion.
    assert pit.parameters(PIT_TI) / 1e6 == pytest.approx(4.85, abs=0.005)
    assert pit.flops(PIT_TI) / 2e9 == pytest.approx(0.70, abs=0.01)


def test_the_released_autoformer_ti_has_about_5_7_million_parameters() -> None:
    # Its layers; some of its ratios are below the 3.5 that the space of Table 4 begins with.
    heads = [3] * 10 + [4, 3, 3]
    ratios = [3.5, 3.5, 3.0, 3.5, 3.0, 3.0, 4.0, 4.0, 3.5, 4.0, 3.5, 4.0, 3.5]
    blocks = sum(
        vit_blocks.block_parameters(192, h, 64, int(192 * r), relative=True) for h, r in zip(heads, ratios, strict=True)
    )
    rest = autoformer.parameters(DEIT_TI, relative=False) - 12 * vit_blocks.block_parameters(192, 3, 64, 768, False)
    assert (blocks + rest) / 1e6 == pytest.approx(5.7, abs=0.2)  # 5.87 with relative and absolute positions
    assert (
        autoformer.parameters(_autoformer(mlp=3.5)) < blocks + rest < autoformer.parameters(_autoformer(240, 14, n=14))
    )


@settings(max_examples=3, deadline=None)
@given(configs(), st.sampled_from([16, 32, 48]), st.booleans())
def test_autoformer_counts_are_those_of_the_network(config: autoformer.Config, size: int, relative: bool) -> None:
    with torch.device("meta"):  # shapes only
        network = autoformer.build(config, size, classes=7, relative=relative)
    assert sum(p.numel() for p in network.parameters()) == autoformer.parameters(config, 7, size, relative)
    assert _counted(network, size) == autoformer.flops(config, 7, size, relative)


@settings(max_examples=3, deadline=None)
@given(st.integers(0, pit.ARCH_COUNT - 1), st.sampled_from([16, 40, 64]))
def test_pit_counts_are_those_of_the_network(index: int, size: int) -> None:
    arch = pit.all_archs()[index]
    with torch.device("meta"):
        network = pit.build(arch, size, classes=7)
    assert sum(p.numel() for p in network.parameters()) == pit.parameters(arch, 7, size)
    assert _counted(network, size) == pit.flops(arch, 7, size)


def _counted(network: torch.nn.Module, size: int) -> int:
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        network(torch.zeros(1, 3, size, size, device="meta"))
    return counter.get_total_flops()


@needs_labels
def test_every_labelled_architecture_is_in_its_space() -> None:
    for file, module in (("gt_autoformer", autoformer), ("gt_autoformer_2", autoformer), ("gt_pit", pit)):
        rows = json.loads((FOLDER / f"{file}.json").read_text())
        archs = {str(module.from_labels(row["arch"])) for row in rows}
        assert len(archs) == 100
        assert {str(module.parse(arch)) for arch in archs} == archs
    labelled = [pit.parse(arch) for arch in archs]
    assert len({config.depth for config in labelled}) == len({config.heads for config in labelled}) == 10


# Modules


@BOTH
def test_an_image_does_not_see_the_others(module: ModuleType) -> None:
    torch.manual_seed(0)
    network = module.build(module.sample(1, 0)[0], image_size=32, classes=5).double()
    images = torch.randn(3, 3, 32, 32, dtype=torch.float64)
    together = network(images)
    torch.testing.assert_close(together, torch.cat([network(images[i : i + 1]) for i in range(3)]))
    moved = images.flip(3)
    assert not torch.allclose(network(moved), together)  # but its places count


def test_the_grids_of_pit_are_27_14_and_7() -> None:
    network = pit.build("base=16|depth=2,6,4|heads=2,2,2|mlp=2", classes=5)
    seen: list[int] = []
    for stage in network.stages:
        stage.register_forward_hook(lambda _, inputs, output: seen.append(inputs[0].shape[1]))
    with torch.no_grad():
        network(torch.zeros(1, 3, 224, 224))
    assert seen == [27**2 + 1, 14**2 + 1, 7**2 + 1]


# Slots, collector, graphs


@BOTH
def test_the_collector_runs_and_every_node_has_a_slot(module: ModuleType) -> None:
    torch.manual_seed(0)
    archs = {
        autoformer: _autoformer(192, 14, 3, 3.5, n=14),
        pit: "base=16|depth=3,8,2|heads=2,2,4|mlp=2",
    }
    network = module.build(archs[module], image_size=32, classes=5)
    statistics = collect_statistics(network, torch.randn(2, 3, 32, 32), torch.tensor([0, 3]))
    assert set(statistics.nodes) <= set(module.SLOTS)
    assert len(set(module.SLOTS)) == len(module.SLOTS)
    by_layers = {autoformer: 2 + 4 * 14, pit: 2 + 4 * 13 + 4}
    assert len(statistics.nodes) == by_layers[module] <= module.MAX_NODES
    assert statistics.nodes[0] == "head"
    assert statistics.nodes[-1] == "patch_embed"
    executed = [statistics.nodes[i] for i in statistics.execution_order]
    inside = [node for node in executed if not node.startswith("pools")]
    assert inside == [slot for slot in module.SLOTS if slot in inside]  # slots are in the order of execution
    assert statistics.not_finite == 0
    for proxy in ("snip", "synflow", "fisher", "grad_norm"):
        assert (statistics.of(proxy) > 0).all(), proxy


def test_pit_can_have_as_many_nodes_as_it_says() -> None:
    most = max(pit.all_archs(), key=lambda arch: sum(pit.parse(arch).depth))
    network = pit.build(most, 16, 5)
    linear = [m for m in network.modules() if isinstance(m, torch.nn.Linear | torch.nn.Conv2d)]
    assert len(linear) == pit.MAX_NODES == 62


def test_roles() -> None:
    assert autoformer.role("patch_embed") == (0, "patch_embed")
    assert autoformer.role("head") == (-1, "head")
    assert autoformer.role("blocks.13.attn.proj") == (14, "proj")
    assert pit.role("stages.2.5.mlp.fc1") == (3, 6, "fc1")
    assert pit.role("pools.0.conv") == (1, 0, "conv")
    assert pit.role("patch_embed") == (0, 0, "patch_embed")
    assert pit.role("head") == (4, 0, "head")
    assert len({pit.role(slot) for slot in pit.SLOTS}) == len(pit.SLOTS)
    assert len({autoformer.role(slot) for slot in autoformer.SLOTS}) == len(autoformer.SLOTS)


@BOTH
def test_graphs_are_chains_that_tell_architectures_apart(module: ModuleType) -> None:
    archs = pit.all_archs() if module is pit else autoformer.sample(300, 0)
    codes = set()
    for arch in archs:
        graph = module.graph(arch)
        used = int((graph.operations != module.GRAPH_KINDS - 1).sum())
        expected = np.zeros((module.GRAPH_PLACES, module.GRAPH_PLACES))
        expected[range(used - 1), range(1, used)] = 1
        np.testing.assert_array_equal(graph.adjacency, expected)
        assert graph.operations[0] == module.GRAPH_KINDS - 3
        assert graph.operations[used - 1] == module.GRAPH_KINDS - 2
        assert graph.operations.max() < module.GRAPH_KINDS
        codes.add(tuple(graph.operations.tolist()))
    assert len(codes) == len(archs)
    assert module.isomorphism(archs[0]).representative == archs[0]
