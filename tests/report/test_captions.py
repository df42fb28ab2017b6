"""Captions: every figure says something, with numbers that are in the committed rows."""

import pytest
from report_rows import put

from parzc_core import artifact, paths
from parzc_core.report import captions
from parzc_core.report.comparison import our_rows

CAPTIONS = {made: text for item in artifact.discover() for made, text in item.captions.items()}


def test_every_figure_has_a_caption() -> None:
    assert {file.stem for file in paths.FIGURES.glob("*.png")} == set(CAPTIONS)


@pytest.mark.parametrize("name", sorted(CAPTIONS))
def test_numbers_of_a_caption_are_in_the_committed_rows(name: str) -> None:
    asked = captions.places(CAPTIONS[name])
    assert CAPTIONS[name].count("{") == len(asked)
    for table, *cell in asked:
        assert tuple(cell) in our_rows(table, "full", paths.RESULTS), (table, cell)
    said = captions.filled(CAPTIONS[name], "full")
    assert "{" not in said
    assert said.count(".") >= 1


def test_numbers_are_filled_in_and_a_sentence_without_its_number_is_left_out(project) -> None:
    gap = {"row": "b", "column": "x", "metric": "gap", "unit": "points", "value": 0.123}
    put("study", {"row": "a", "column": "x", "value": 12.54}, gap)
    text = "It has {study: a | x | kendall} %. It lacks {study: c | x | kendall} %. It is {study: b | x | gap} below."
    assert captions.filled(text, "full") == "It has 12.5 %. It is 0.12 below."
    assert captions.filled("Plain words. {study: a | x | kendall} % it is.", "full") == "Plain words. 12.5 % it is."
