"""Stability of statistics, on made-up statistics in stores of the real format."""

import itertools

import numpy as np
import pytest
import scipy.stats
from stability_stores import CELLS, NODES, made_up, stores_in, write, write_few

from parzc_core.errors import BadInput
from parzc_core.experiments import stability
from parzc_core.proxies import NODE_PROXIES
from parzc_core.runs.variants import BASE, Variant, read
from parzc_core.spaces import nb201

INITS = (BASE, Variant("foolbox", 0, 1), Variant("foolbox", 0, 2))


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, monkeypatch):
    yield from stores_in(tmp_path / "statistics", monkeypatch)


@pytest.fixture
def few():
    return write_few()


def test_taus_between_variants_are_means_over_the_pairs():
    for variant in INITS:
        write(variant)
    table = stability.taus_between(read(INITS, CELLS))
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
    table = stability.taus_between(read((BASE, INITS[2]), CELLS))
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
    data = read(INITS, CELLS)
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
    spread, relative = stability.node_spread(read(INITS, CELLS))
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
