"""The table of the 12-epoch training, as its authors pickled it."""

import io
import pickle

import pandas as pd
import pytest

from parzc_core.files import fetch, pickles, registry
from parzc_core.files.pickles import UnsafePickle
from parzc_core.labels import nb201_12_epochs
from parzc_core.labels.nb201_12_epochs import EPOCHS
from parzc_core.search import runs
from parzc_core.search.benchmark import FULL


def test_a_pickle_that_is_no_such_table_is_refused() -> None:
    for content in (pickle.dumps({"cifar10-val": [1.0]}), pickle.dumps(io.BytesIO), b"\x80\x04"):
        with pytest.raises(UnsafePickle, match=r"mini\.pd"):
            pickles.loads_table(content, "mini.pd")


def test_both_files_hold_the_same() -> None:
    found = {
        path
        for path in (
            fetch.locate(registry.NB201_12_EPOCHS),
            *fetch.places(registry.entry(nb201_12_epochs.PINNED)).values(),
        )
        if path is not None and path.is_file()
    }
    if not found:
        pytest.skip("no 12-epoch labels")
    read = [nb201_12_epochs._table(path) for path in found]
    for table in read:
        pd.testing.assert_frame_equal(table, read[0], rtol=0, atol=0)
        assert list(table.columns) == list(runs.SECONDS)
        assert table.iloc[0].tolist() == pytest.approx([63.364, 31.84, 18.4667])
        assert set(table.index) == set(runs.benchmark("nb201", "cifar10", FULL).table.archs)
    assert EPOCHS == nb201_12_epochs.EPOCHS
