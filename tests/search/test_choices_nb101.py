"""NAS-Bench-101 as a space to search in: mutants, draws and distances of its cells."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from parzc_core.errors import BadInput, UnknownName
from parzc_core.search import choices
from parzc_core.search.choices_nb101 import CellsOfNB101
from parzc_core.spaces import nb101

SPACE = CellsOfNB101()
SMALL = "input>1|conv3x3-bn-relu>2|output"


@settings(max_examples=30, deadline=None)
@given(st.integers(0, nb101.ARCH_COUNT - 1), st.integers(0, 2**31))
def test_a_mutant_is_another_cell_named_as_the_benchmark_names_it(index: int, seed: int) -> None:
    arch = nb101.arch(index)
    mutant = SPACE.mutate(arch, np.random.default_rng(seed))
    cell = nb101.parse(mutant)
    assert cell.hash != nb101.parse(arch).hash
    assert mutant == str(cell.canonical())
    assert SPACE.mutate(arch, np.random.default_rng(seed)) == mutant


def test_a_small_cell_grows_and_a_change_of_operation_is_among_its_mutants() -> None:
    generator = np.random.default_rng(0)
    mutants = [SPACE.mutate(SMALL, generator) for _ in range(300)]
    sizes = {len(nb101.parse(mutant).ops) for mutant in mutants}
    assert {3, 4, 5} <= sizes
    assert "input>1|conv1x1-bn-relu>2|output" in mutants
    assert SMALL not in mutants


def test_a_draw_is_uniform_over_the_cells() -> None:
    generator = np.random.default_rng(1)
    drawn = [nb101.parse(SPACE.sample(generator)) for _ in range(400)]
    seven = np.mean([len(cell.ops) == 7 for cell in drawn])
    assert seven == pytest.approx(359_082 / 423_624, abs=0.06)  # cells with seven vertices (Ying et al., 2019)
    assert len(SPACE) == 423_624


def test_a_distance_counts_edges_and_operations_that_differ() -> None:
    other = SMALL.replace("3x3", "1x1")
    longer = "input>1,2|conv3x3-bn-relu>2|output"  # one edge more
    one, two, three = SPACE.one_hot([SMALL, other, longer])
    assert np.sum((one - two) ** 2) == 2
    assert np.sum((one - three) ** 2) == 2
    assert np.sum((two - three) ** 2) == 4


@pytest.mark.parametrize("name", ["reinforce", "bohb"])
def test_a_method_that_chooses_each_place_for_itself_says_so(name: str) -> None:
    with pytest.raises(BadInput, match=f"{name} chooses each place for itself; in nb101"):
        choices.independent(SPACE, name)
    assert choices.independent(choices.NB201, name) is choices.NB201


def test_an_unknown_space_is_named() -> None:
    with pytest.raises(UnknownName, match=r"nb301.*nb201, nb101"):
        choices.search_space("nb301")
