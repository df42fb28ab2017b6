"""Rankers between variants of the statistics, and the spread of their weights, on made-up statistics in real stores."""

import dataclasses

import numpy as np
import pytest
import scipy.stats
import torch
from stability_stores import CELLS, made_up, stores_in, write, write_few

from parzc_core import encoding
from parzc_core.errors import BadInput
from parzc_core.experiments.stability_rankers import carry_over, learned_spread, relation, weight_spread
from parzc_core.mabn import MABNConfig
from parzc_core.ranker import Model, ModelConfig
from parzc_core.runs import rankers
from parzc_core.runs.rankers import RankerRun
from parzc_core.runs.variants import BASE, FEW, Variant, read
from parzc_core.spaces import nb201

INITS = (BASE, Variant("foolbox", 0, 1))
RUN = RankerRun(
    cells=CELLS, train=12, size="tiny", epochs=2, parts=("Mixer", "BN"), encoding="aligned", proxies=("snip", "fisher")
)


@pytest.fixture(autouse=True)
def _in_tmp_path(tmp_path, monkeypatch):
    yield from stores_in(tmp_path / "statistics", monkeypatch)


@pytest.fixture
def few():
    return write_few()


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
    monkeypatch.setattr(rankers, "fit_many", lambda *_, **__: pytest.fail("trained again"))
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
    data = read(variants, CELLS)
    _, (ranker, _, train, judged) = rankers.train_splits(run, data[BASE], range(2))
    both = [*data[BASE].collection.statistics, *data[INITS[1]].collection.statistics]
    inputs = encoding.encode(both, "aligned", run.proxies, train, slots=nb201.SLOTS)[CELLS:][judged]
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
    monkeypatch.setattr(rankers, "fit_many", lambda *_, **__: pytest.fail("trained again"))
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
