"""What a pass gives back to the containers of a network: one that still has its things is not written to."""

from collections import deque
from typing import Any

import pytest

from parzc_core import _state


class Counted(dict):
    """Counts what is written to it."""

    written = 0

    def clear(self) -> None:
        self.written += 1
        super().clear()


@pytest.mark.parametrize("changed", [{}, {"a": 2}, {"c": 3}])
def test_a_dict_is_written_to_only_if_it_has_other_things(changed: dict[str, int]) -> None:
    kept = {"a": [1], "b": [2]}
    container: Any = Counted(kept)
    container.update(changed)
    _state._refill(container, kept)
    assert container == kept
    assert list(container) == list(kept)
    assert container["a"] is kept["a"]
    assert container.written == (1 if changed else 0)


@pytest.mark.parametrize("kind", [list, deque])
def test_a_list_gets_the_very_things_that_it_had(kind: type) -> None:
    kept = [[1], [2]]
    container = kind([[1], [2]])  # equal, and others
    _state._refill(container, kept)
    assert [id(one) for one in container] == [id(one) for one in kept]
