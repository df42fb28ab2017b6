"""Stability of statistics, on made-up statistics in stores of the real format."""

import itertools

import numpy as np
import pytest
import scipy.stats
from stability_stores import CELLS, NODES, made_up, stores_in, write, write_few

from parzc_core.errors import BadInput
from parzc_core.experiments import stability
from parzc_core.experiments.stability import BASE, FEW, VARIANTS, Variant
from parzc_core.proxies import NODE_PROXIES
from parzc_core.spaces import nb201

INITS = (BASE, Variant("foolbox", 0, 1), Variant("foolbox", 0, 2))


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, monkeypatch):
    yield from stores_in(tmp_path / "statistics", monkeypatch)


@pytest.fixture
def few():
    return write_few()


def test_variants_differ_from_the_base_in_one_seed_and_the_kind_of_image():
    assert len(set(VARIANTS)) == len(VARIANTS) == 14
    assert BASE in FEW
    assert set(FEW) < set(VARIANTS)
    assert all(not (v.batch and v.init) for v in VARIANTS)
    config = Variant("noise", 2, 0).config()
    assert (config.images, config.batch_seed, config.init_seed, config.seed) == ("noise", 2, 0, 0)
    assert (BASE.config().batch_seed, BASE.config().init_seed, BASE.config().images) == (0, 0, "foolbox")
    assert len({v.folder() for v in VARIANTS}) == 14


def test_what_is_not_there_comes_with_its_command():
    write(BASE)
    absent = Variant("noise", 1, 0)
    found = stability.commands_to_collect((BASE, absent), CELLS)
    assert list(found) == ["noise-batch1-init0"]
    words = found["noise-batch1-init0"]
    assert words.startswith("parzc collect ")
    for part in ("--images noise", "--batch-seed 1", "--init-seed 0", "--cells 1000", "--share-isomorphic"):
        assert f"{part} " in words
    assert words.endswith("--out results/statistics/nb201/stability/noise-batch1-init0")
    assert list(stability.commands_to_collect((BASE,), CELLS + 1)) == [BASE.name]  # too few count as missing
    assert "--out" not in stability.commands_to_collect((BASE,), CELLS + 1)[BASE.name]


def test_read_gives_the_variants_that_are_there_the_base_first():
    with pytest.raises(BadInput, match="parzc collect"):
        stability.read(FEW, CELLS)
    other = Variant("noise", 0, 1)
    write(other)
    write(BASE)
    data = stability.read((other, *FEW), 20)
    assert list(data) == [BASE, other]
    assert [len(one) for one in data.values()] == [20, 20]
    assert data[other].collection.archs == nb201.sample(20, 0)
    assert np.allclose(data[other].collection.statistics[3].values, made_up(other)[3], rtol=1e-6)
    assert np.array_equal(data[other].judged, data[BASE].judged)


@pytest.mark.parametrize(
    "odd", [{"images": "noise"}, {"init_seed": 3}, {"share_isomorphic": False}, {"batch": 8}, {"proxies": ["snip"]}]
)
def test_a_variant_of_another_kind_of_collection_is_refused(odd):
    write(BASE)
    write(INITS[1], **odd)
    with pytest.raises(BadInput, match=rf"foolbox-batch0-init1.*{next(iter(odd))}.*parzc collect"):
        stability.read(INITS[:2], CELLS)


def test_a_variant_of_other_cells_is_refused():
    write(BASE)
    write(INITS[1], archs=nb201.sample(CELLS, 1))
    with pytest.raises(BadInput, match="another collection"):
        stability.read(INITS[:2], CELLS)


def test_groups_and_comparisons_differ_in_one_thing():
    assert {name: len(members) for name, members in stability.groups(VARIANTS).items()} == {
        "real, init": 5,
        "real, batch": 3,
        "noise, init": 5,
        "noise, batch": 3,
    }
    assert stability.groups([BASE]) == {}
    pairs = stability.comparisons(VARIANTS)
    assert {name: len(both) for name, both in pairs.items()} == {
        "real, init": 20,
        "real, batch": 6,
        "noise, init": 20,
        "noise, batch": 6,
        "real to noise": 7,
        "noise to real": 7,
    }
    for both in pairs.values():
        for a, b in both:
            assert sum((a.images != b.images, a.batch != b.batch, a.init != b.init)) == 1
    assert {a.images for a, _ in pairs["noise to real"]} == {"noise"}


def test_taus_are_scipys_of_the_sums_over_nodes(few):
    table = stability.taus(few)
    assert list(table.index) == [*NODE_PROXIES, "jacov"]
    assert list(table.columns) == [v.name for v in FEW]
    for variant in FEW:
        for k, proxy in enumerate(NODE_PROXIES):
            sums = made_up(variant)[:, k].sum(axis=1)
            expected = 100 * scipy.stats.kendalltau(sums, few[BASE].judged).statistic
            assert table.loc[proxy, variant.name] == pytest.approx(expected)


def test_taus_between_variants_are_means_over_the_pairs():
    for variant in INITS:
        write(variant)
    table = stability.taus_between(stability.read(INITS, CELLS))
    assert list(table.columns) == ["real, init"]
    sums = [made_up(v)[:, 5].sum(axis=1) for v in INITS]
    expected = [scipy.stats.kendalltau(a, b).statistic for a, b in itertools.combinations(sums, 2)]
    assert table.loc[NODE_PROXIES[5], "real, init"] == pytest.approx(100 * np.mean(expected))


def test_taus_between_equal_statistics_is_whole_and_real_meets_noise(few):
    assert list(stability.taus_between(few)) == [
        "real, init",
        "real, batch",
        "noise, init",
        "noise, batch",
        "real to noise",
    ]
    write(INITS[2], made_up(BASE))
    table = stability.taus_between(stability.read((BASE, INITS[2]), CELLS))
    assert table["real, init"].tolist() == pytest.approx([100.0] * 8)


def test_variance_shares_are_those_of_known_variances():
    rng = np.random.default_rng(0)
    cells, seeds, rest = 2.0, 1.0, 0.5  # standard deviations
    n, k = 4000, 400
    values = cells * rng.normal(size=(n, 1)) + seeds * rng.normal(size=(1, k)) + rest * rng.normal(size=(n, k))
    whole = cells**2 + seeds**2 + rest**2
    found = stability.variance_shares(values)
    assert found[:3] == pytest.approx([100 * v**2 / whole for v in (cells, seeds, rest)], abs=3)
    assert sum(found[:3]) == pytest.approx(100)
    assert found[3] == n


def test_variance_shares_are_the_published_example():
    """Shrout & Fleiss (1979): six targets, four judges; ICC(2,1) = 0.29, from mean squares 11.24, 32.49, 1.02."""
    ratings = np.array([[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float)
    cells, seeds, rest, n = stability.variance_shares(ratings)
    assert cells == pytest.approx(29, abs=0.5)
    components = np.array([(11.24 - 1.02) / 4, (32.49 - 1.02) / 6, 1.02])
    assert [cells, seeds, rest] == pytest.approx(100 * components / components.sum(), abs=0.1)
    assert n == 6


def test_variance_shares_at_the_ends():
    column = np.random.default_rng(0).normal(size=(20, 1))
    assert stability.variance_shares(np.repeat(column, 4, axis=1)) == pytest.approx((100, 0, 0, 20))
    assert stability.variance_shares(column + np.arange(4.0))[2] == pytest.approx(0, abs=1e-9)
    assert stability.variance_shares(np.repeat(column.T, 5, axis=0)) == pytest.approx((0, 100, 0, 5))
    holed = np.repeat(column, 4, axis=1)
    holed[2, 1], holed[5, 0] = np.nan, np.inf
    assert stability.variance_shares(holed)[3] == 18
    assert np.isnan(stability.variance_shares(column)[:3]).all()  # a single seed
    assert np.isnan(stability.variance_shares(np.ones((5, 3)))[:3]).all()


def test_shares_of_statistics_equal_over_seeds_lie_between_cells():
    write(BASE)
    write(INITS[1], made_up(BASE))
    noisy = made_up(BASE)
    noisy[:, 5] *= 100.0  # snip: all cells alike, so it is the seed's
    write(INITS[2], noisy)
    data = stability.read(INITS, CELLS)
    table = stability.shares(data, "real, init")
    assert list(table.columns) == ["cells", "seeds", "rest", "n"]
    assert table.loc["fisher"].tolist() == pytest.approx([100, 0, 0, CELLS], abs=1e-3)
    logs = np.log10(made_up(BASE)[:, 5].sum(axis=1))
    of_seeds = np.var([0, 0, 2], ddof=1)
    expected = 100 * of_seeds / (of_seeds + logs.var(ddof=1))
    assert table.loc["snip", "seeds"] == pytest.approx(expected, abs=1e-3)
    with pytest.raises(BadInput, match="there are real, init"):
        stability.shares(data, "real, batch")


def test_node_spread_by_hand():
    k, dead = NODE_PROXIES.index("snip"), NODE_PROXIES.index("fisher")
    tables = []
    for seed in range(3):
        values = made_up(BASE, noise=0)
        values[:, k, 0] = 10.0 ** (np.arange(CELLS) + np.arange(CELLS) % 2 * seed)  # odd cells 0, 1, 2 decades higher
        values[:, k, 1] = -values[:, k, 1]  # the sign does not count
        values[:, k, 2] = 5.0 * 10**seed  # the cells do not differ
        values[:, dead, 0] = 0.0 if seed == 1 else 1.0  # dead in one variant of each cell
        tables.append(values)
    for variant, values in zip(INITS, tables, strict=True):
        write(variant, values)
    spread, relative = stability.node_spread(stability.read(INITS, CELLS))
    assert list(spread.index) == list(nb201.SLOTS)
    assert list(spread.columns) == list(NODE_PROXIES)
    assert spread.loc[NODES[0], "snip"] == pytest.approx(0.5, abs=1e-5)  # half of the cells have std(0, 1, 2) = 1
    means = np.arange(CELLS) + np.arange(CELLS) % 2
    assert relative.loc[NODES[0], "snip"] == pytest.approx(0.5 / means.std(ddof=1), abs=1e-5)
    assert spread.loc[NODES[1], "snip"] == pytest.approx(0, abs=1e-6)
    assert spread.loc[NODES[2], "snip"] == pytest.approx(1, abs=1e-6)
    assert np.isnan(relative.loc[NODES[2], "snip"])
    assert np.isnan(spread.loc[NODES[0], "fisher"])
    assert np.isfinite(spread.loc[NODES[1], "fisher"])
    assert spread.drop(index=list(NODES)).isna().all(axis=None)  # slots of no cell
    assert relative.drop(index=list(NODES)).isna().all(axis=None)


def test_shared_images_are_counted(few):
    assert stability.shared_images(few) == [3]  # image0..3 and image1..4
