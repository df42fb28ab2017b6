"""What runs of `worth` read: sums, tokens and summaries of the same statistics; no label but those of the training cells."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import rankdata

from parzc_core.collecting.labelled import training_cells
from parzc_core.errors import UnknownName
from parzc_core.predictors.plus.features import columns, plus_inputs
from parzc_core.runs import worth
from parzc_core.runs.plus import Cells
from parzc_core.runs.proxies import network_scores
from parzc_core.runs.worth import READS, WorthRun, reading, standard_blocks
from parzc_core.spaces import nb201

CELLS = Cells(cells=120)
SMALL = WorthRun("nodes", "MABN", CELLS, train=30, size="tiny", steps=30, trees=10)


def test_sums_rank_cells_as_table_1_does() -> None:
    data = CELLS.data
    table = network_scores(data)
    for column, proxy in zip(reading(data, "sums").blocks["sums"].T, columns(data)[0], strict=True):
        value = table[proxy].to_numpy()
        assert np.array_equal(rankdata(column), rankdata(np.where(np.isfinite(value), value, -np.inf)))


def test_tokens_are_the_nodes_of_a_cell_in_their_slots() -> None:
    data = CELLS.data
    proxies, _ = columns(data)
    found = reading(data, "tokens").blocks["tokens"].reshape(len(data), len(nb201.SLOTS), len(proxies))
    one = data.statistics[7]
    absent = [i for i, slot in enumerate(nb201.SLOTS) if slot not in one.nodes]
    assert (found[7, absent] == -3).all()
    there = [nb201.SLOTS.index(node) for node in one.nodes]
    logs = np.log10(np.abs(np.array(one.of("snip"), dtype=float)))
    assert np.corrcoef(found[7, there, proxies.index("snip")], logs)[0, 1] == pytest.approx(1, abs=1e-6)


@pytest.mark.parametrize("reads", READS)
def test_what_is_read_is_what_it_is_called(reads: str) -> None:
    data = CELLS.data
    blocks = set(reading(data, reads).blocks)
    everything = set(plus_inputs(data).blocks)
    assert bool(blocks & {"graph", "paths"}) == ("graph" in reads)
    assert ("sums" in blocks) == ("sums" in reads)
    assert ("scores" in blocks) == ("scores" in reads)
    assert bool(blocks & (everything - {"graph", "paths", "scores"})) == ("nodes" in reads)
    for classes in (True, False):
        made, place = standard_blocks(reading(data, reads), classes)
        assert all(len(block) == place.max() + 1 for block in made)
        assert len(place) == len(data)


def test_labels_of_other_cells_are_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    data = CELLS.data
    train, _ = training_cells(len(data), 30, 0)
    other = replace(data, learn=np.where(np.isin(np.arange(len(data)), train), data.learn, 1.0))
    runs = [SMALL, replace(SMALL, proxies_first=True), replace(SMALL, learns="processes and trees"), replace(SMALL, beside=True)]
    honest = [run.evaluate()["kendall"] for run in runs]
    worth._reading.cache_clear()
    monkeypatch.setattr(Cells, "data", property(lambda self: other))
    assert [run.evaluate()["kendall"] for run in runs] == honest


def test_every_setting_changes_the_key_and_bad_ones_are_named() -> None:
    changed = [replace(SMALL, split=1), replace(SMALL, members=2), replace(SMALL, kl=0.1), replace(SMALL, proxies_first=True)]
    changed += [replace(SMALL, reads="sums"), replace(SMALL, learns="mixer"), replace(SMALL, beside=True)]
    keys = [repr(run.key()) for run in (SMALL, *changed)]
    assert len(set(keys)) == len(keys)
    with pytest.raises(UnknownName, match="what is read"):
        WorthRun("node", "MABN")
    with pytest.raises(UnknownName, match="what learns"):
        WorthRun("nodes", "mabn")
