"""Stability of statistics and rankers, on made-up statistics in stores of the real format."""

import dataclasses
import itertools
import json

import numpy as np
import pytest
import scipy.stats
import torch

from parzc_core import experiments, stability, stability_rankers
from parzc_core.collector import NodeStatistics
from parzc_core.errors import BadInput
from parzc_core.experiments import RankerRun
from parzc_core.mabn import MABNConfig
from parzc_core.model import Model, ModelConfig
from parzc_core.proxies import NODE_PROXIES
from parzc_core.spaces import nb201
from parzc_core.stability import BASE, FEW, VARIANTS, Variant
from parzc_core.stability_rankers import carry_over, learned_spread, relation, weight_spread
from parzc_core.statistics_store import Record, StatisticsStore, pack

CELLS = 30
NODES = ("stem.0", "cells.0.layers.2.op.1", "classifier")
INITS = (BASE, Variant("foolbox", 0, 1), Variant("foolbox", 0, 2))
RUN = RankerRun(
    cells=CELLS, train=12, size="tiny", epochs=2, parts=("Mixer", "BN"), encoding="aligned", proxies=("snip", "fisher")
)


def made_up(variant: Variant, noise: float = 0.3) -> np.ndarray:
    """[cells, K, nodes]: an effect of the cell and node, times a noise of the variant."""
    own = np.random.default_rng([variant.batch, variant.init, len(variant.images)])
    effect = np.random.default_rng(7).normal(size=(CELLS, len(NODE_PROXIES), len(NODES)))
    return 10 ** (effect + noise * own.normal(size=effect.shape))


def write(variant: Variant, values: np.ndarray | None = None, archs: list[str] | None = None, **odd: object) -> None:
    """A store of the variant in one shard; `odd`: what its configuration says otherwise than it should."""
    archs = archs or nb201.sample(CELLS, 0)
    values = made_up(variant) if values is None else values
    numel, order = np.full(len(NODES), 9), tuple(range(len(NODES)))
    records = [
        Record(arch, NodeStatistics(NODES, NODE_PROXIES, one, numel, order), {"jacov": float(one[0].sum())}, i)
        for i, (arch, one) in enumerate(zip(archs, values, strict=True))
    ]
    store = StatisticsStore(variant.folder())
    store.folder.mkdir(parents=True)
    config = json.loads(json.dumps(dataclasses.asdict(variant.config()))) | odd
    files = [f"image{variant.batch + i}" for i in range(4)]
    store.open({"config": config, "image_batch": {"files": files}}, archs, [0])
    store.add(0, pack(records))


def clear() -> None:
    experiments.load.cache_clear()
    stability.read.cache_clear()


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, monkeypatch):
    monkeypatch.setattr(experiments, "STATISTICS", tmp_path / "statistics")
    clear()
    yield
    clear()


@pytest.fixture
def few():
    for variant in FEW:
        write(variant)
    return stability.read(FEW, CELLS)


def test_variants_differ_from_the_base_in_one_seed_and_the_kind_of_image():
    assert len(set(VARIANTS)) == len(VARIANTS) == 14
    assert BASE in FEW
    assert set(FEW) < set(VARIANTS)
    assert all(not (v.batch and v.init) for v in VARIANTS)
    config = Variant("noise", 2, 0).config()
    assert (config.images, config.batch_seed, config.init_seed, config.seed) == ("noise", 2, 0, 0)
    assert (BASE.config().batch_seed, BASE.config().init_seed, BASE.config().images) == (0, 0, "foolbox")
    assert len({v.folder() for v in VARIANTS}) == 14


def test_missing_names_the_command():
    write(BASE)
    absent = Variant("noise", 1, 0)
    found = stability.missing((BASE, absent), CELLS)
    assert list(found) == ["noise-batch1-init0"]
    words = found["noise-batch1-init0"]
    assert words.startswith("parzc collect ")
    for part in ("--images noise", "--batch-seed 1", "--init-seed 0", "--cells 1000", "--share-isomorphic"):
        assert f"{part} " in words
    assert words.endswith("--out results/statistics/nb201/stability/noise-batch1-init0")
    assert list(stability.missing((BASE,), CELLS + 1)) == [BASE.name]  # too few count as missing
    assert "--out" not in stability.missing((BASE,), CELLS + 1)[BASE.name]


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


def test_agreement_is_the_mean_tau_over_the_pairs():
    for variant in INITS:
        write(variant)
    table = stability.agreement(stability.read(INITS, CELLS))
    assert list(table.columns) == ["real, init"]
    sums = [made_up(v)[:, 5].sum(axis=1) for v in INITS]
    expected = [scipy.stats.kendalltau(a, b).statistic for a, b in itertools.combinations(sums, 2)]
    assert table.loc[NODE_PROXIES[5], "real, init"] == pytest.approx(100 * np.mean(expected))


def test_agreement_of_equal_statistics_is_whole_and_real_meets_noise(few):
    assert list(stability.agreement(few)) == [
        "real, init",
        "real, batch",
        "noise, init",
        "noise, batch",
        "real to noise",
    ]
    write(INITS[2], made_up(BASE))
    table = stability.agreement(stability.read((BASE, INITS[2]), CELLS))
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


def test_carry_over_reads_what_was_stored(few, tmp_path, monkeypatch):
    variants, store = (BASE, FEW[1], FEW[3]), tmp_path / "runs.jsonl"
    first = carry_over(RUN, variants, 2, store)
    assert list(first.columns) == ["learned", "judged", "standardised", "split", "kendall", "seconds"]
    rows = set(first[["learned", "judged", "standardised"]].itertuples(index=False, name=None))
    pairs = [(BASE, FEW[1]), (FEW[1], BASE), (BASE, FEW[3]), (FEW[3], BASE)]
    assert rows == {(v.name, v.name, "learned") for v in variants} | {
        (a.name, b.name, mode) for a, b in pairs for mode in ("learned", "judged")
    }
    assert len(first) == 2 * len(rows)
    assert first["kendall"].between(-100, 100).all()
    monkeypatch.setattr(stability_rankers, "fit_many", lambda *_: pytest.fail("trained again"))
    assert carry_over(RUN, variants, 2, store).equals(first)
    with pytest.raises(pytest.fail.Exception, match="trained again"):
        carry_over(dataclasses.replace(RUN, epochs=3), variants, 2, store)


def test_carry_over_judges_as_the_ranker_alone_would(tmp_path):
    """Equal statistics carry over whole; shifted by a factor, they do when standardised where they are judged, by hand else."""
    write(BASE)
    write(INITS[1], 30.0 * made_up(BASE))
    run, variants = dataclasses.replace(RUN, epochs=30, learning_rate=3e-3), INITS[:2]
    table = carry_over(run, variants, 2, tmp_path / "runs.jsonl").set_index(["learned", "judged", "standardised"])
    own, there = (table.loc[(BASE.name, v.name, "judged" if v != BASE else "learned"), "kendall"] for v in variants)
    assert there.tolist() == pytest.approx(own.tolist(), abs=0.7)  # one pair of 18 cells is 0.65
    data = stability.read(variants, CELLS)
    (_, ranker), parts = stability_rankers._trained(run, data[BASE], 2)
    train, judged = parts[1]
    both = [*data[BASE].collection.statistics, *data[INITS[1]].collection.statistics]
    inputs = experiments.encode(both, "aligned", run.proxies, train, slots=nb201.SLOTS)[CELLS:][judged]
    truth = data[BASE].judged[judged]
    expected = 100 * scipy.stats.kendalltau(ranker.predict(inputs), truth).statistic
    moved = table.loc[(BASE.name, INITS[1].name, "learned")].set_index("split")["kendall"]
    assert moved[1] == pytest.approx(expected)


def test_the_papers_encoding_has_one_way_to_be_judged(few, tmp_path):
    table = carry_over(dataclasses.replace(RUN, encoding="paper"), FEW[:2], 1, tmp_path / "runs.jsonl")
    assert set(table["standardised"]) == {"learned"}
    assert len(table) == 4


def test_carry_over_refuses_variants_that_are_not_there(few, tmp_path):
    with pytest.raises(BadInput, match=r"foolbox-batch2-init0.*parzc collect.*--batch-seed 2"):
        carry_over(RUN, (BASE, Variant("foolbox", 2, 0)), 1, tmp_path / "runs.jsonl")


@pytest.mark.parametrize("parts", [("Mixer", "BN"), ("BN",), ("NP", "Mixer", "BN")])
def test_weight_spread_is_that_of_drawn_outputs(parts):
    torch.manual_seed(0)
    sizes = MABNConfig(6, projection=12, segment=4, width=5, depth=1)
    model = Model(ModelConfig(parts, sizes))
    branch = model.statistics
    layer = branch.before if "Mixer" in parts else branch.layers[0]
    with torch.no_grad():
        layer.rho.uniform_(-3, 1)
        spread, mean = weight_spread(model)
        base = torch.zeros(1, 6)
        layer.sampling = True
        for d in range(6):
            unit = base.clone()
            unit[0, d] = 1
            read = (lambda x: branch.split(branch.project(x))) if "Mixer" in parts else (lambda x: x)
            alone = read(unit) - read(base)  # what the input brings, without the projection's bias
            draws = torch.stack([layer.train()(alone) for _ in range(4000)])
            assert spread[d] == pytest.approx(float(draws.var(dim=0).mean().sqrt()), rel=0.05)
            assert mean[d] == pytest.approx(float((draws.mean(dim=0) ** 2).mean().sqrt()), rel=0.1)


def test_learned_spread_is_stored(few, tmp_path, monkeypatch):
    store = tmp_path / "runs.jsonl"
    first = learned_spread(RUN, 2, 1e-3, store)
    assert first["spread"].shape == first["mean"].shape == (2, len(nb201.SLOTS))
    assert (first["spread"] > 0).all()
    assert -5.1 < first["rho"][0] <= first["rho"][1] < -4.9  # hardly moved in two epochs
    other = learned_spread(RUN, 2, 0.0, store)
    assert not np.array_equal(other["spread"], first["spread"])  # weight decay is part of the key
    monkeypatch.setattr(stability_rankers, "fit_many", lambda *_: pytest.fail("trained again"))
    again = learned_spread(RUN, 2, 1e-3, store)
    assert np.array_equal(again["spread"], first["spread"])
    for odd in ({"encoding": "paper"}, {"parts": ("Mixer",)}):
        with pytest.raises(BadInput, match="'aligned' and parts with 'BN'"):
            learned_spread(dataclasses.replace(RUN, **odd), 2, 1e-3, store)


def test_relation_is_the_rank_correlation_within_proxies():
    rng = np.random.default_rng(0)
    nodes = rng.normal(size=(2, 40))
    up = np.exp(nodes) + np.array([[0.0], [1000.0]])  # monotone in each proxy, another level in the second
    assert relation(up, nodes, 50) == pytest.approx((100, 100, 100))
    assert relation(np.stack([up[0], -up[1]]), nodes, 50)[0] == pytest.approx(0)
    weights = nodes + rng.normal(size=nodes.shape)
    nodes[1, :5] = np.nan
    expected = np.mean(
        [
            scipy.stats.spearmanr(weights[0], nodes[0]).statistic,
            scipy.stats.spearmanr(weights[1, 5:], nodes[1, 5:]).statistic,
        ]
    )
    value, low, high = relation(weights, nodes, 200)
    assert value == pytest.approx(100 * expected)
    assert low < value < high
    assert 10 < high - low < 80
    assert np.isnan(relation(weights, np.stack([nodes[0], np.ones(40)]))).all()
    with pytest.raises(BadInput, match=r"\[K, L\]"):
        relation(weights, nodes[:1])
