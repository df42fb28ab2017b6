"""Published labels of NAS-Bench-101: known values, agreement of the sources, and what is learned from and judged on."""

import shutil
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

from parzc_core import paths
from parzc_core.errors import BadInput, CorruptDownload, LabelsMissing, UnknownName
from parzc_core.files import registry
from parzc_core.labels import accuracy, judged, learned, nb101, parameters
from parzc_core.spaces import nb101_cells

COUNT = 423_624
DATA = paths.data_folder()
PINNED = ("nasbench101/accuracies.pkl.gz", "nasbench101/params.pkl.gz")
HERE = [] if DATA is None else [name for name in (*PINNED, registry.NB101_COMPACT) if (DATA / name).is_file()]
needs_all = pytest.mark.skipif(len(HERE) < 3, reason="PARZC_DATA does not hold the three tables of NAS-Bench-101")


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine with an empty PARZC_DATA and an empty cache; the cells of the space are those of this machine."""
    cells = nb101_cells.all_cells() if len(HERE) == 3 else None
    monkeypatch.setattr(nb101_cells, "all_cells", lambda: cells)
    monkeypatch.setenv("PARZC_DATA", str(tmp_path))
    monkeypatch.setenv("PARZC_CACHE", str(tmp_path / "cache"))
    (tmp_path / "nasbench101").mkdir()
    return tmp_path


# On every machine


def test_without_files_everything_names_what_gets_them(machine):
    for call in (
        lambda: accuracy("nb101", "cifar10", "test"),
        lambda: accuracy("nb101", "cifar10", "test", "cached-metrics"),
        lambda: judged("nb101", "cifar10"),
        lambda: learned("nb101", "cifar10"),
    ):
        with pytest.raises(
            LabelsMissing, match=r"no test accuracy of nb101 cifar10.*cached-metrics with `parzc data fe"
        ):
            call()
    with pytest.raises(LabelsMissing, match=r"no parameters of nb101.*`parzc data fetch`"):
        parameters("nb101")
    with pytest.raises(
        LabelsMissing, match=r"no val accuracy.*only nasbench101/nasbench_only108\.tfrecord has it.*put it"
    ):
        accuracy("nb101", "cifar10", "val")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (("nb101", "cifar100", "test"), r"data set of nb101 'cifar100'.*: cifar10$"),
        (("nb101", "cifar10", "val", "compact"), r"val accuracy 'compact'.*: best, tfrecord$"),
        (("nb101", "cifar10", "test", "v1.0"), r"'v1\.0'.*: best, compact, cached-metrics, tfrecord$"),
    ],
)
def test_unknown_names_list_the_known_ones(arguments, named):
    with pytest.raises(UnknownName, match=named):
        accuracy(*arguments)


def test_a_wrong_file_of_the_user_is_named_and_not_passed_over(machine):
    (machine / registry.NB101_COMPACT).write_bytes(b"half a fi")
    for call in (lambda: accuracy("nb101", "cifar10", "test"), lambda: parameters("nb101")):
        with pytest.raises(
            CorruptDownload,
            match=r"nb101_all_423624\.npz is not the pinned file.*lies in PARZC_DATA: replace or remove it",
        ):
            call()


# With the published files


@needs_all
def test_known_values():
    test = accuracy("nb101", "cifar10", "test", "compact")
    assert len(test) == test.index.nunique() == COUNT
    assert test.max() == pytest.approx(94.3176, abs=5e-5)
    assert test.idxmax().count("|") == 6
    assert test.between(9, 100).all()
    assert test.name == "nb101 cifar10 test"
    assert test.attrs["provenance"] == {
        "source": "compact",
        "version": "NAS-Bench-101",
        "epochs": 108,
        "licence": "MIT",
        "seeds": "mean of a cell's 3 runs",
    }


@needs_all
def test_each_value_is_the_mean_of_three_runs():
    """The benchmark counted right answers among 9,984 images: three times the mean is a whole number of them."""
    hits = accuracy("nb101", "cifar10", "test") / 100 * 3 * 9984
    assert np.abs(hits - hits.round()).max() < 1e-3
    assert (hits.round() % 3 != 0).mean() > 0.6  # which the mean of one run would not give


@needs_all
def test_both_sources_are_the_same_table():
    compact, cached = (accuracy("nb101", "cifar10", "test", source) for source in ("compact", "cached-metrics"))
    pd.testing.assert_series_equal(compact, cached, check_exact=True)
    assert cached.attrs["provenance"]["source"] == "cached-metrics"


@needs_all
def test_rows_are_in_the_order_of_the_cells_hashes():
    cells = nb101_cells.all_cells()
    rows = [0, 1, 4789, COUNT - 1]
    archs = nb101_cells.arch_strings(cells.matrices[rows], cells.operations[rows])
    test = accuracy("nb101", "cifar10", "test")
    assert list(test.index[rows]) == archs
    assert test.argmax() == 4789
    with np.load(DATA / registry.NB101_COMPACT) as file:
        assert file["hash"].astype(str).tolist() == cells.hashes.tolist()
        np.testing.assert_array_equal(100 * file["test_acc_108_mean"], test)


@needs_all
def test_parameters_in_millions():
    published = parameters("nb101")
    assert len(published) == COUNT
    assert (published.min(), published.max()) == (0.227274, 49.979274)
    # The smallest cell is one projection, a 1x1 convolution with its norm; by hand with the stem and the classifier.
    widths = [128] * 4 + [256] * 3 + [512] * 3
    expected = (9 * 3 * 128 + 2 * 128) + sum(a * b + 2 * b for a, b in pairwise(widths)) + (512 * 10 + 10)
    assert published["input>1|output"] == pytest.approx(expected / 1e6, abs=1e-9)


@needs_all
def test_what_can_be_fetched_gives_the_same_as_the_users_table(machine):
    for name in PINNED:
        assert name in {file.name for file in registry.FILES}
        shutil.copy(DATA / name, machine / name)
    for each in (nb101._compact, nb101._metrics, nb101._index):
        each.cache_clear()
    fetched, fetched_parameters = accuracy("nb101", "cifar10", "test"), parameters("nb101")
    assert fetched.attrs["provenance"]["source"] == "cached-metrics"
    shutil.copy(DATA / registry.NB101_COMPACT, machine / registry.NB101_COMPACT)
    assert accuracy("nb101", "cifar10", "test").attrs["provenance"]["source"] == "compact"
    pd.testing.assert_series_equal(fetched_parameters, parameters("nb101"), check_exact=True)


@needs_all
def test_rankers_learn_from_test_accuracy_and_say_so(machine):
    shutil.copy(DATA / registry.NB101_COMPACT, machine / registry.NB101_COMPACT)
    series, split, provenance = learned("nb101", "cifar10")
    truth, judged_on, about = judged("nb101", "cifar10")
    assert split == judged_on == "test"
    pd.testing.assert_series_equal(series, truth)
    assert provenance["note"] == (
        "learns from test accuracy of its training cells, as NAS-Bench-101's validation accuracy is not on this machine"
    )
    assert about["note"] == "judged on test accuracy (compact, NAS-Bench-101)"


@needs_all
@pytest.mark.parametrize("source", ["compact", "cached-metrics"])
def test_a_result_can_be_changed_without_changing_the_next(source):
    for read in (lambda: accuracy("nb101", "cifar10", "test", source), lambda: parameters("nb101")):
        changed = read()
        changed.iloc[:] = 0.0
        changed.attrs.clear()
        assert read().max() > 49


@needs_all
def test_single_runs_of_a_table_of_means_are_refused():
    with pytest.raises(BadInput, match=r"single runs of nb101 cifar10 test.*compact"):
        accuracy("nb101", "cifar10", "test", seeds="all")
