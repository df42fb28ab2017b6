"""Profiles: how long a ranker is trained."""

import pytest

from parzc_core.errors import UnknownName
from parzc_core.profiles import PROFILES, profile


@pytest.mark.parametrize(
    ("name", "printed", "cells", "epochs"),
    [
        ("paper", 200, 600, 200),
        ("full", 200, 600, 200),
        ("full", 150, 4236, 150),
        ("standard", 200, 78, 200),  # 1,600 batches, all of them
        ("standard", 200, 600, 26),
        ("standard", 200, 640, 25),  # 64 batches each: all 1,600
        ("standard", 200, 641, 24),  # 65 batches each
        ("standard", 200, 40_000, 1),  # one epoch is the least
        ("smoke", 200, 600, 10),
        ("smoke", 5, 600, 1),
    ],
)
def test_epochs_end_at_the_most_steps_of_a_profile(name: str, printed: int, cells: int, epochs: int) -> None:
    assert profile(name).epochs(printed, cells) == epochs


@pytest.mark.parametrize("name", PROFILES)
def test_no_profile_trains_longer_than_printed(name: str) -> None:
    assert all(1 <= profile(name).epochs(150, cells) <= 150 for cells in (1, 10, 11, 172, 424, 4236))


def test_an_unknown_profile_is_named_with_the_ones_that_exist() -> None:
    with pytest.raises(UnknownName, match=r"'fast'.*smoke.*standard.*full.*paper"):
        profile("fast")
