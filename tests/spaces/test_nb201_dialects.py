"""Cells as other libraries write them, against the benchmark's own index."""

import numpy as np
import pytest

from parzc_core.errors import BadInput, UnknownName
from parzc_core.files import pickles
from parzc_core.labels.nb201 import package_folder
from parzc_core.spaces import nb201

# Index 0 of the benchmark: its operations on the edges 01, 02, 12, 03, 13, 23.
FIRST = ("avg_pool_3x3", "nor_conv_1x1", "skip_connect", "nor_conv_1x1", "skip_connect", "skip_connect")


def test_the_first_cell_of_the_benchmark_in_every_dialect() -> None:
    assert nb201.parse(nb201.arch(0)) == FIRST
    matrix = np.array([[0, 0, 0, 0], [4, 0, 0, 0], [2, 1, 0, 0], [2, 1, 1, 0]])
    written = {
        "naslib": (4, 3, 3, 0, 0, 0),
        "digits": "421211",
        "hpobench": dict(zip(("1<-0", "2<-0", "2<-1", "3<-0", "3<-1", "3<-2"), FIRST, strict=True)),
        "aw_nas": matrix,
    }
    for dialect, cell in written.items():
        assert nb201.index(nb201.from_dialect(cell, dialect)) == 0, dialect
    assert nb201.from_dialect("(4, 3, 3, 0, 0, 0)", "naslib") == nb201.arch(0)
    assert nb201.from_dialect(matrix.tolist(), "aw_nas") == nb201.arch(0)


def test_digits_are_in_the_order_of_the_index() -> None:
    keys = list(pickles.load(package_folder() / "cifar10.pkl"))
    assert [nb201.index(nb201.from_dialect(key, "digits")) for key in keys[::50]] == list(range(0, len(keys), 50))


@pytest.mark.parametrize("index", [0, 1462, 6111, 15624])
def test_a_cell_written_in_a_dialect_is_that_cell(index: int) -> None:
    operations = dict(zip(((0, 1), (0, 2), (1, 2), (0, 3), (1, 3), (2, 3)), nb201.parse(nb201.arch(index)), strict=True))
    naslib = ["skip_connect", "none", "nor_conv_3x3", "nor_conv_1x1", "avg_pool_3x3"]
    order = ((0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3))
    assert nb201.index(nb201.from_dialect([naslib.index(operations[edge]) for edge in order], "naslib")) == index
    matrix = np.zeros((4, 4), dtype=int)
    for (i, j), operation in operations.items():
        matrix[j, i] = nb201.OPERATIONS.index(operation)
    assert nb201.index(nb201.from_dialect(matrix, "aw_nas")) == index


@pytest.mark.parametrize(
    ("cell", "dialect", "words"),
    [
        ((1, 2, 3), "naslib", "of naslib; expected 6 numbers from 0 to 4"),
        ((0, 0, 0, 0, 0, 5), "naslib", "from 0 to 4"),
        ((0, 0, 0, 0, 0, 1.0), "naslib", "from 0 to 4"),
        ("42121", "digits", "of digits"),
        ("42121x", "digits", "of digits"),
        (421211, "digits", "of digits"),
        ({"1<-0": "none"}, "hpobench", "with the keys 1<-0"),
        (np.eye(4, dtype=int), "aw_nas", "below the diagonal alone"),
        (np.zeros((3, 3), dtype=int), "aw_nas", "matrix"),
        ([[0], [0, 1]], "aw_nas", "matrix"),
    ],
)
def test_what_is_no_cell_of_the_dialect_is_refused(cell: object, dialect: str, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        nb201.from_dialect(cell, dialect)


def test_other_dialects_are_refused_by_name() -> None:
    with pytest.raises(UnknownName, match="dialect of NAS-Bench-201 'autodl'; expected one of: naslib, digits"):
        nb201.from_dialect((0,) * 6, "autodl")
