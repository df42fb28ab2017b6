"""Network Design Spaces without their networks: strings, rules and errors, sampler, graphs, slots, sizes."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from nds_genotypes import AMOEBANET_A, DARTS_V2, NASNET_A

from parzc_core.errors import BadInput, UnknownName
from parzc_core.spaces import NDS, nds, space
from parzc_core.spaces.nds import genotype as nds_genotype
from parzc_core.spaces.nds import slots as nds_slots
from parzc_core.spaces.nds.genotype import Architecture, Cell

DARTS, ENAS, NASNET = (nds.SPACES[f"nds_{name}"] for name in ("darts", "enas", "nasnet"))
V2 = (
    "36x20/sep_conv_3x3~0|sep_conv_3x3~1+sep_conv_3x3~0|sep_conv_3x3~1+sep_conv_3x3~1|skip_connect~0"
    "+skip_connect~0|dil_conv_3x3~2>2,3,4,5/max_pool_3x3~0|max_pool_3x3~1+skip_connect~2|max_pool_3x3~1"
    "+max_pool_3x3~0|skip_connect~2+skip_connect~2|max_pool_3x3~1>2,3,4,5"
)
each_space = pytest.mark.parametrize("name", NDS)


@st.composite
def architectures(draw: st.DrawFn, name: str | None = None) -> tuple[nds.NdsSpace, Architecture]:
    """Any valid architecture, small."""
    one = nds.SPACES[name or draw(st.sampled_from(NDS))]

    def cell() -> Cell:
        nodes = range(2, 2 + one.family.nodes)
        operations = tuple(
            (draw(st.sampled_from(one.OPERATIONS)), draw(st.integers(0, node - 1))) for node in nodes for _ in range(2)
        )
        return Cell(operations, tuple(draw(st.lists(st.sampled_from(nodes), min_size=1, unique=True))))

    return one, Architecture(cell(), cell(), draw(st.integers(2, 3)), draw(st.integers(3, 6)))


@each_space
def test_the_spaces_have_the_published_sizes(name: str) -> None:
    """Kinds of operation, nodes, joined nodes, and cells in billions."""
    printed = {
        "nds_nasnet": (13, 5, True, 71_465_842),
        "nds_amoeba": (8, 5, True, 556_628),
        "nds_pnas": (8, 5, False, 556_628),
        "nds_enas": (5, 5, True, 5_063),
        "nds_darts": (8, 4, False, 242),
    }
    family = nds.SPACES[name].family
    got = (len(set(family.operations)), family.nodes, family.loose, (family.cells + 5 * 10**8) // 10**9)
    assert got == printed[name]
    assert family.cells**2 * 15 == space(name).ARCH_COUNT
    assert space(name) is nds.SPACES[name]


@given(architectures())
@settings(max_examples=50, deadline=None)
def test_a_string_gives_its_architecture_back(given_: tuple[nds.NdsSpace, Architecture]) -> None:
    one, architecture = given_
    assert one.parse(str(architecture)) == architecture


def test_a_genotype_of_the_usual_form_gives_the_string() -> None:
    family = DARTS.family
    assert str(nds_genotype.from_genotype(family, DARTS_V2, 36, 20)) == V2
    assert str(nds_genotype.from_genotype(NASNET.family, NASNET_A, 33, 20)).endswith(">4,5,6")
    nds_genotype.from_genotype(nds.SPACES["nds_amoeba"].family, AMOEBANET_A, 36, 20)
    assert DARTS.resized(V2, 16) == "16x20" + V2[5:]
    assert DARTS.resized(V2, depth=8) == "36x8" + V2[5:]


@pytest.mark.parametrize("genotype", [NASNET_A, AMOEBANET_A])
def test_published_cells_join_their_loose_ends(genotype: dict) -> None:
    for kind in ("normal", "reduce"):
        assert list(nds_genotype.loose_ends([tuple(pair) for pair in genotype[kind]])) == genotype[f"{kind}_concat"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "sep_conv_3x3~0|sep",
            "sep_conv_9x9~0|sep",
            "unknown operation 'sep_conv_9x9' in the normal cell .*none, max_p",
        ),
        ("skip_connect~0|dil", "skip_connect~5|dil", "node 5 reads node 5 in the normal cell.*earlier one, 0 to 4"),
        ("max_pool_3x3~0|max_pool_3x3~1+", "max_pool_3x3~0|max_pool_3x3~2+", "node 2 reads node 2 in the reduction"),
        ("36x20", "1x20", "got width 1 .*at least 2: a reduction at width 1"),
        ("36x20", "36x2", "got depth 2 .*at least 3"),
        ("36x20", "36", "not an architecture of DARTS.*expected the form 16x4/skip_connect~0"),
        (">2,3,4,5/", ">2,3,4,6/", r"got the output \[2, 3, 4, 6\] in the normal cell"),
        (">2,3,4,5/", ">2,2/", "different nodes of 2 to 5"),
        (">2,3,4,5/", ">1,2/", "different nodes of 2 to 5"),
        (">2,3,4,5/", ">/", "expected nodes after its '>'"),
        ("+skip_connect~0|dil_conv_3x3~2>", ">", "got 6 operations in the normal cell.*expected 8"),
        ("|dil_conv_3x3~2>", ">", "got the node 'skip_connect~0'.*OP~0|OP~1"),
    ],
)
def test_bad_strings_say_what_is_wrong(old: str, new: str, message: str) -> None:
    assert old in V2
    with pytest.raises(BadInput, match=message):
        DARTS.parse(V2.replace(old, new, 1))


def test_what_is_no_architecture_at_all_is_refused() -> None:
    with pytest.raises(BadInput, match="not an architecture of ENAS: None"):
        ENAS.parse(None)
    with pytest.raises(BadInput, match="those of ENAS are skip_connect"):
        nds_genotype.from_genotype(ENAS.family, {**NASNET_A, "normal": [["sep_conv_7x7", 0]] * 10}, 16, 4)
    with pytest.raises(BadInput, match=r"cannot be read .KeyError: 'reduce'"):
        nds_genotype.from_genotype(DARTS.family, {k: v for k, v in DARTS_V2.items() if k != "reduce"}, 16, 4)
    with pytest.raises(BadInput, match="not a whole number"):
        nds_genotype.from_genotype(DARTS.family, {**DARTS_V2, "normal_concat": [2.0]}, 16, 4)
    with pytest.raises(BadInput, match=r"got width 16\.5"):
        nds_genotype.from_genotype(DARTS.family, DARTS_V2, 16.5, 4)
    with pytest.raises(UnknownName, match="nds_dart'"):
        space("nds_dart")


@each_space
def test_samples_are_valid_different_and_prefixes_of_longer_ones(name: str) -> None:
    one = nds.SPACES[name]
    archs = one.sample(40, seed=3)
    assert len(set(archs)) == 40
    assert one.sample(15, seed=3) == archs[:15]
    assert one.sample(15, seed=4) != archs[:15]
    narrow = one.sample(15, seed=3, width=4, depth=5)
    for arch, small in zip(archs, narrow, strict=False):
        assert one.resized(arch, 4, 5) == small
        architecture = one.parse(arch)
        for cell in (architecture.normal, architecture.reduction):
            read = {source for _, source in cell.operations}
            unread = tuple(node for node in range(2, 2 + one.family.nodes) if node not in read)
            assert cell.concat == (unread if one.family.loose else tuple(range(2, 6 if "darts" in name else 7)))
    with pytest.raises(BadInput, match="sample of 0"):
        one.sample(0, seed=0)
    for width in (0, 1):
        with pytest.raises(BadInput, match=f"got width {width}"):
            one.sample(1, seed=0, width=width)


def test_samples_draw_each_choice_uniformly() -> None:
    archs = [ENAS.parse(arch) for arch in ENAS.sample(600, seed=0)]
    kinds = Counter(name for a in archs for cell in (a.normal, a.reduction) for name, _ in cell.operations)
    assert max(abs(kinds[name] / 12000 - 0.2) for name in ENAS.OPERATIONS) < 0.02  # 5 standard deviations
    last = Counter(source for a in archs for cell in (a.normal, a.reduction) for _, source in cell.operations[-2:])
    assert max(abs(last[source] / 2400 - 1 / 6) for source in range(6)) < 0.04
    assert max(abs(n / 600 - 1 / 3) for n in Counter(a.width for a in archs).values()) < 0.1
    assert sorted(Counter(a.depth for a in archs)) == [4, 8, 12, 16, 20]
    assert max(abs(n / 600 - 1 / 5) for n in Counter(a.depth for a in archs).values()) < 0.09


def test_the_graph_joins_both_cells() -> None:
    got = DARTS.graph(V2)
    kinds = [*DARTS.OPERATIONS, "in 0", "in 1", "out"]
    names = [kinds[code] for code in got.operations]
    assert names[:4] == ["in 0", "in 1", "sep_conv_3x3", "sep_conv_3x3"]
    assert names[9:14] == ["dil_conv_3x3", "out", "in 0", "in 1", "max_pool_3x3"]
    assert DARTS.GRAPH_KINDS == len(kinds) == max(got.operations) + 1
    fed_by = {j: np.flatnonzero(got.adjacency[:, j]).tolist() for j in range(22)}
    assert fed_by[2] == fed_by[4] == [0]
    assert fed_by[9] == [2, 3]  # the dilated convolution reads node 2, both of whose operations feed it
    assert fed_by[10] == list(range(2, 10))
    assert fed_by[0] == fed_by[1] == []
    assert fed_by[11] == fed_by[12] == [10]  # the normal cell's output is what a reduction reads
    assert fed_by[15] == [13, 14]  # the reduction's node 3: its first operation reads node 2,
    assert fed_by[16] == [12]  # its second input 1
    assert not np.tril(got.adjacency).any()


@each_space
def test_slots_hold_every_node_once(name: str) -> None:
    one = nds.SPACES[name]
    assert len(set(one.SLOTS)) == len(one.SLOTS)
    assert (one.SLOTS[0], one.SLOTS[-1]) == ("stem.0", "classifier")
    place = {slot: i for i, slot in enumerate(one.SLOTS)}
    for arch in one.sample(25, seed=1) + one.sample(5, seed=2, depth=3):
        paths = nds_slots.node_paths(one.parse(arch))
        assert len(paths) <= one.MAX_NODES
        assert [place[path] for path in paths] == sorted(place[path] for path in paths)
        live = one.isomorphism(arch)
        assert live.representative == arch
        assert set(live.nodes) <= set(paths)


@pytest.mark.parametrize(
    ("name", "printed"), [("amoeba", 708), ("darts", 500), ("enas", 688), ("nasnet", 630), ("pnas", 728)]
)
def test_the_papers_input_lengths_fit_the_longest_of_a_sample(name: str, printed: int) -> None:
    """The supplement ("Details for NDS") prints four times these nodes; the longest possible has 844, or 684 (DARTS)."""
    one = nds.SPACES[f"nds_{name}"]
    lengths = [len(nds_slots.node_paths(one.parse(arch))) for arch in one.sample(300, seed=0, width=16, depth=20)]
    assert min(lengths) >= 4 + 2 * 20
    assert (684 if name == "darts" else 844) == one.MAX_NODES
    assert abs(max(lengths) / printed - 1) < 0.15
