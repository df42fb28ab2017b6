"""Statistics joined with labels: what cannot be asked for is refused by name."""

from typing import Any

import pytest

from parzc_core.collecting.labelled import load
from parzc_core.errors import BadInput


@pytest.mark.parametrize(
    "given",
    [{"cells": 0}, {"cells": -5}, {"cells": 1.5}, {"cells": True}, {"cells": "10"}, {"cells": float("nan")}, {"width": 0},
     {"width": "8"}, {"space": None}, {"dataset": 10}, {"dataset": ["cifar10"]}, {"seeds": None}],
    ids=str,
)  # fmt: skip
def test_a_number_or_name_that_is_none_is_refused(given: dict[str, Any]) -> None:
    (name,) = given
    with pytest.raises(BadInput, match=rf"got {name}=.*; expected a (whole number of at least 1|name)"):
        load(**{"space": "nb201", "dataset": "cifar10", "cells": 10, **given})


def test_what_is_given_to_every_caller_cannot_be_changed_by_one() -> None:
    data = load("nb201", "cifar10", 10)
    for array in (data.learn, data.judged, data.adjacency, data.operations):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 0
    assert load(cells=10, dataset="cifar10", space="nb201") is data
