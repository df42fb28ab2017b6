"""NAS-Bench-101 without failed trainings: from single runs, inferred from their means, and in what rankers read."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from labels.test_nb101 import COUNT, needs_all

from parzc_core import labels
from parzc_core.errors import BadInput, UnknownName
from parzc_core.labels import nb101_failed
from parzc_core.labels.nb101_failed import CHANCE, failed_runs, taught, trained, without_failed

ACCURACY = st.floats(80.0, 95.0)


@given(st.lists(st.tuples(ACCURACY, ACCURACY, ACCURACY, st.integers(0, 3)), min_size=1, max_size=20))
def test_failed_runs_are_inferred_from_means_as_they_are_known_from_single_runs(cells):
    """Whatever runs of 80 to 95 % the cells had, and however many of the three ended at chance."""
    runs = np.array([cell[:3] for cell in cells])
    failed = np.array([cell[3] for cell in cells])
    runs[np.arange(3) >= 3 - failed[:, None]] = CHANCE
    table = pd.DataFrame(runs, columns=["run1", "run2", "run3"])
    mean = table.mean(axis=1)
    assert failed_runs(mean).tolist() == failed.tolist()
    known, inferred = trained(table), trained(mean.to_frame())
    assert (known.attrs, inferred.attrs) == ({"inferred": False}, {"inferred": True})
    np.testing.assert_allclose(inferred, known, rtol=1e-12)
    expected = [cell[:3][: 3 - k] if (k := cell[3]) < 3 else [CHANCE] for cell in cells]
    np.testing.assert_allclose(known, [np.mean(values) for values in expected], rtol=1e-12)


@pytest.mark.parametrize("edge", [80.0, 95.0])
@pytest.mark.parametrize("failed", [0, 1, 2])
def test_failed_runs_are_seen_at_both_edges(edge: float, failed: int) -> None:
    """Runs of 95, 95 and chance: rounding puts what is inferred from their mean just above 95."""
    runs = [CHANCE] * failed + [edge] * (3 - failed)
    for mean in (np.mean(runs), np.sum(runs) / 3, np.mean(runs[::-1])):
        assert failed_runs(pd.Series([mean])).tolist() == [failed]


def test_a_poor_cell_is_left_as_it_is_where_no_failed_run_explains_its_mean():
    mean = pd.Series([45.0, 55.0, 70.0, 79.0, 90.0, 31.0])
    assert failed_runs(mean).tolist() == [0] * 6
    pd.testing.assert_series_equal(without_failed(mean), mean)


def test_a_cell_that_never_trained_teaches_the_mean_of_the_others():
    assert taught(pd.Series([90.0, CHANCE, 92.0])).tolist() == [90.0, 91.0, 92.0]


def test_other_spaces_have_no_such_labels():
    with pytest.raises(BadInput, match=r"nb201 without failed runs.*expected nb101"):
        labels.accuracy("nb201", "cifar10", "val", None, "trained")
    with pytest.raises(UnknownName, match=r"choice of seeds 'median'.*mean, trained, all"):
        labels.accuracy("nb201", "cifar10", "val", None, "median")  # type: ignore[call-overload]


@needs_all
def test_published_means_have_the_failed_runs_that_pinats_constants_tell_of():
    """Its code normalises test accuracy by the mean and deviation of all means, failed runs and all: 89.67984 and 5.799569."""
    mean = labels.accuracy("nb101", "cifar10", "test")
    assert len(mean) == COUNT
    assert mean.mean() == pytest.approx(89.67984, abs=1e-4)
    assert mean.std() == pytest.approx(5.799569, abs=1e-4)
    counts = failed_runs(mean).value_counts()
    assert counts[3] == (mean < 30).sum() == 662
    assert ((mean - CHANCE).abs() < 0.01).sum() > 600  # nearly all of these are at just this chance
    assert 3500 < counts[1] < 3800
    assert 1200 < counts[2] < 1350
    beside = mean.between(66.7, 70) | mean.between(53.3, 56.6)  # as wide as half of where one failed run is seen
    assert beside.sum() < 0.1 * counts[1]


@needs_all
def test_rankers_and_judges_get_them_with_a_note():
    series, split, provenance = labels.judged("nb101", "cifar10", "trained")
    known, learned_from, source = labels.learned("nb101", "cifar10", "trained")
    assert (split, learned_from) == ("test", "test")
    assert provenance["note"].endswith("failed runs left out, as inferred from means of three")
    assert provenance["seeds"] == "mean of a cell's 3 runs that trained"
    assert source["inferred"]
    assert series.min() == pytest.approx(labels.accuracy("nb101", "cifar10", "test").min())
    assert known.min() >= nb101_failed.FAILED
    assert known.std() == pytest.approx(2.8, abs=0.1)  # of 5.8 with them
