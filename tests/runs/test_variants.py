"""Variants of a collection, on made-up statistics in stores of the real format."""

import numpy as np
import pandas as pd
import pytest
import scipy.stats
from stability_stores import CELLS, made_up, stores_in, write, write_few

from parzc_core.errors import BadInput
from parzc_core.proxies import NODE_PROXIES
from parzc_core.runs import variants
from parzc_core.runs.variants import BASE, FEW, VARIANTS, Variant
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
    found = variants.commands_to_collect((BASE, absent), CELLS)
    assert list(found) == ["noise-batch1-init0"]
    words = found["noise-batch1-init0"]
    assert words.startswith("parzc collect ")
    for part in ("--images noise", "--batch-seed 1", "--init-seed 0", "--cells 1000", "--share-isomorphic"):
        assert f"{part} " in words
    assert words.endswith("--out results/statistics/nb201/stability/noise-batch1-init0")
    assert list(variants.commands_to_collect((BASE,), CELLS + 1)) == [BASE.name]  # too few count as missing
    assert "--out" not in variants.commands_to_collect((BASE,), CELLS + 1)[BASE.name]


def test_read_gives_the_variants_that_are_there_the_base_first():
    with pytest.raises(BadInput, match="parzc collect"):
        variants.read(FEW, CELLS)
    other = Variant("noise", 0, 1)
    write(other)
    write(BASE)
    data = variants.read((other, *FEW), 20)
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
        variants.read(INITS[:2], CELLS)


def test_a_variant_of_other_cells_is_refused():
    write(BASE)
    write(INITS[1], archs=nb201.sample(CELLS, 1))
    with pytest.raises(BadInput, match="another collection"):
        variants.read(INITS[:2], CELLS)


def test_groups_and_comparisons_differ_in_one_thing():
    assert {name: len(members) for name, members in variants.groups(VARIANTS).items()} == {
        "real, init": 5,
        "real, batch": 3,
        "noise, init": 5,
        "noise, batch": 3,
    }
    assert variants.groups([BASE]) == {}
    pairs = variants.comparisons(VARIANTS)
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
    table = variants.taus(few)
    assert list(table.index) == [*NODE_PROXIES, "jacov"]
    assert list(table.columns) == [v.name for v in FEW]
    for variant in FEW:
        for k, proxy in enumerate(NODE_PROXIES):
            sums = made_up(variant)[:, k].sum(axis=1)
            expected = 100 * scipy.stats.kendalltau(sums, few[BASE].judged).statistic
            assert table.loc[proxy, variant.name] == pytest.approx(expected)


def test_extremes_are_of_each_kind_of_image():
    taus = pd.DataFrame(
        {"foolbox-batch0-init0": [10.0], "foolbox-batch0-init1": [30.0], "noise-batch0-init0": [-5.0]}, ["snip"]
    )
    assert variants.extremes(taus).loc["snip"].tolist() == [10, 30, -5, -5]
