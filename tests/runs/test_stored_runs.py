"""Every run that a table plans in the profile `full` lies in the committed stores: nothing has to be trained to make it again."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from parzc_core import labels
from parzc_core.errors import LabelsMissing
from parzc_core.experiments import fig04_08_rank_correlation as fig04_08
from parzc_core.experiments import (
    parzc_plus,
    search_nb101,
    search_trainings,
    stability_rankers,
    width_nb101,
)
from parzc_core.experiments import table01_zero_cost_proxies as table01
from parzc_core.experiments import table02_rankers as table02
from parzc_core.experiments import table03_09_search as table03_09
from parzc_core.experiments import table05_autoformer as table05
from parzc_core.experiments import table06_08_ablation as table06_08
from parzc_core.experiments import table07_losses as table07
from parzc_core.experiments import table10_tuning as table10
from parzc_core.paths import ROOT
from parzc_core.quantization.ground_truth import FOLDER, PLANS, recreate
from parzc_core.runs import protocol, proxies, stand_ins, variants, vit_data
from parzc_core.runs.predictions import predict_unseen
from parzc_core.storage.run_store import RunStore
from parzc_core.tuning.trials import read_trials

FULL = ROOT / "results" / "full"


def store(table: str) -> Path:
    return FULL / table / "runs.jsonl"


def table_1() -> int:
    data, _ = table01.collected(list(proxies.COLUMNS))
    return len(table01.ranked(table01.planned(data, "full"), store("table01")))


def what_stands_in_for_nds() -> int:
    return len(stand_ins.ranked(stand_ins.truths(None), "full", store("nds_nb301")))


def table_2() -> int:
    """The cells whose row says that its training is whole; the others, trained for fewer epochs or splits, are replaced later."""
    rows = pd.read_csv(FULL / "table02" / "rows.csv")
    whole = rows[(rows["runs"] >= table02.SPLITS) & (rows["epochs"] == rows["published_epochs"])]
    there = set(zip(whole["row"], whole["column"], strict=True))
    found, planned = 0, set()
    for plan in [plan for name in table02.BENCHMARKS if (plan := table02.planned(name, "full")) is not None]:
        some = table02.only(plan, there)
        found += len(some.run(store("table02")))
        wider = [run for runs in table02.wider(plan).values() for run in runs]
        if all(RunStore(store("table02")).get(run.key()) for run in wider):  # as `--stored` has it
            table02.by_size(plan, store("table02"))
        planned |= {RunStore.key(run.key()) for run in (*plan.rankers, *plan.predictors, *wider)}
    assert [record["config"] for record in RunStore(store("table02")) if record["key"] not in planned] == []
    return found


def tables_3_and_9() -> int:
    return len(table03_09.run("full", FULL))


def searches_on_nas_bench_101() -> int:
    found = search_nb101.run("full", store("search_nb101"))
    assert set(found["method"]) >= {"random", "evolution", "npenas", "nasbot", "parzc"}
    return len(found)


def searches_by_trainings() -> int:
    return len(search_trainings.run("full", store("search_trainings")))


def table_5() -> int:
    there = {truth: found for truth in vit_data.truths() if (found := vit_data.read(truth))}
    plan = table05.planned(there, "full")
    return len(protocol.run_all([run for runs in plan.values() for run in runs], store("table05")))


def tables_6_and_8() -> int:
    plan = table06_08.planned("full")
    return sum(len(table06_08.run(part, store("table06"))) for part in (plan, table06_08.encodings(plan)))


def table_7() -> int:
    results, _ = table07.run(table07.planned("full"), store("table07"))
    return sum(map(len, results.values()))


def table_10() -> int:
    plan = table10.planned("full")
    trials = {name: read_trials(study, FULL / "table10" / "trials.csv") for name, study in plan.items()}
    assert {name: len(found) for name, found in trials.items()} == dict.fromkeys(plan, table10.trials_of("full"))
    found = [table10.finish(study, trials[name], store("table10")) for name, study in plan.items()]
    return len(table10.judge(found, 10, store("table10")))


def table_11() -> int:
    made = recreate(PLANS["fashion-mnist"], FOLDER / "fashion-mnist")
    assert np.isfinite(made.accuracy).all()
    return len(made.accuracy)


def figures_4_and_8() -> int:
    return len(predict_unseen(list(fig04_08.planned("full").values()), store("fig04_rank_correlation")))


def widths_of_nas_bench_101() -> int:
    plan = width_nb101.planned("full")
    return sum(len(predict_unseen(runs, store("width_nb101"))) for runs in plan.values())


def beyond_the_paper() -> int:
    parts = (parzc_plus.ranked, parzc_plus.ablated, parzc_plus.calibrated, parzc_plus.selected)
    return sum(len(part("full", store("parzc_plus"))) for part in parts)


def stability_of_rankers() -> int:
    rankers, splits = stability_rankers.planned("full", variants.CELLS)
    for decay in (1e-3, 0.0):
        stability_rankers.learned_spread(rankers[stability_rankers.MABN], splits, decay, store("stability"))
    return sum(
        len(stability_rankers.carry_over(run, variants.VARIANTS, splits, store("stability")))
        for run in rankers.values()
    )


PARTS = (
    *(table_1, what_stands_in_for_nds, table_2, tables_3_and_9, searches_on_nas_bench_101, searches_by_trainings),
    *(table_5, tables_6_and_8, table_7, table_10, table_11, figures_4_and_8, widths_of_nas_bench_101),
    *(beyond_the_paper, stability_of_rankers),
)


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS, ids=lambda part: part.__name__)
def test_every_planned_run_is_stored(part: Callable[[], int], monkeypatch: pytest.MonkeyPatch) -> None:
    for space, dataset in (("nb201", "cifar10"), ("nb201", "cifar100"), ("nb101", "cifar10"), ("autoformer", "cifar100")):
        try:
            if labels.judged(space, dataset)[1] != "test":
                pytest.skip("committed runs are judged on test accuracy, which is not on this machine")
        except LabelsMissing as error:
            pytest.skip(str(error))

    def compute(group: tuple[object, ...]) -> None:
        pytest.fail(f"not stored: {group[0]}")

    monkeypatch.setattr(protocol, "_evaluate", compute)
    assert part() > 0
