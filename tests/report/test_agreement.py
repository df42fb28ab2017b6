"""Your run beside the committed one: which cells agree, what differs in how they were made, and what is not compared."""

import pytest
from report_rows import put

from parzc_core import paths
from parzc_core.errors import UnknownName
from parzc_core.report import page
from parzc_core.report.agreement import COLUMNS, agreement, sentence, write

COLUMN = {"column": "NB201-CF10 78"}


def both(here: dict, committed: dict, table: str = "table06") -> dict:
    """The line of one cell of both profiles."""
    put(table, COLUMN | here, profile="standard")
    put(table, COLUMN | committed)
    (found,) = agreement("standard").to_dict("records")
    return found


@pytest.mark.parametrize(
    ("here", "committed", "agrees"),
    [
        ((70.0, 69.0, 71.0), (66.0, 65.0, 67.0), True),  # 69 - 2 <= 67 + 2
        ((72.5, 71.5, 73.0), (66.0, 65.0, 67.0), False),  # 71.5 - 2 > 67 + 2
        ((62.0, 61.0, 62.5), (67.0, 66.6, 68.0), False),
        ((70.0, None, None), (66.0, None, None), True),  # 4 points apart
        ((70.1, None, None), (66.0, None, None), False),
    ],
)
def test_two_widened_intervals_that_overlap_agree(project, here: tuple, committed: tuple, agrees: bool) -> None:
    names = ("value", "ci_low", "ci_high")
    found = both(dict(zip(names, here, strict=True)), dict(zip(names, committed, strict=True)))
    assert found["agrees"] is agrees
    assert (found["here"], found["committed"]) == (here[0], committed[0])


def test_other_units_agree_within_two_percent_each(project) -> None:
    sizes = {"row": "ParZC", "column": "Param (M)", "metric": "params", "unit": "M"}
    assert both(sizes | {"value": 5.2}, sizes | {"value": 5.0}, "table04")["agrees"]
    assert not both(sizes | {"value": 5.3}, sizes | {"value": 5.0}, "table04")["agrees"]


def test_what_differs_in_the_making_is_told(project) -> None:
    found = both(
        {"runs": 5, "epochs": 40, "published_epochs": 200, "note": "judged on few"},
        {"runs": 10, "epochs": 200, "published_epochs": 200, "note": "judged on many"},
    )
    said = "model small, not cpu; 5 runs, not 10; 40 epochs, not 200; here: judged on few; committed: judged on many"
    assert found["made_differently"] == said
    assert both({}, {})["made_differently"] == ""


def test_costs_quotes_and_what_only_one_has_are_not_compared(project) -> None:
    seconds = {"metric": "seconds", "unit": "s"}
    quoted = {"row": "NP+BN", "value": 54.81, "origin": "quoted"}
    lost = {"row": "BN", "value": None, "note": "all equal"}
    for profile in ("smoke", "full"):
        put("table06", *(COLUMN | one for one in (seconds, quoted, lost, {"row": f"only {profile}"})), profile=profile)
        put(f"only_{profile}", COLUMN, profile=profile)
    found = agreement("smoke")
    assert tuple(found.columns) == COLUMNS
    assert sentence(found) == "0 of 0 cells agree with the committed results"
    assert len(agreement("full")) == 0
    with pytest.raises(UnknownName):
        agreement("fastest")


def test_the_table_is_written_and_shown_with_what_differs(project) -> None:
    put("table06", COLUMN | {"row": "NP", "value": 30.0}, COLUMN | {"row": "MLP", "value": 50.0}, profile="standard")
    put("table06", COLUMN | {"row": "NP", "value": 40.0}, COLUMN | {"row": "MLP", "value": 51.0})
    found, file = write("standard")
    assert sentence(found) == "1 of 2 cells agree with the committed results"
    assert file == paths.RESULTS / "standard" / "agreement.csv"
    assert [line.split(",")[-2] for line in file.read_text().splitlines()] == ["agrees", "differs", "agrees"]
    html = page.build("standard").read_text()
    assert "1 of 2 cells agree with the committed results" in html
    assert "NP, NB201-CF10 78, kendall" in html
    assert 'id="agreement"' not in page.build("full").read_text()
