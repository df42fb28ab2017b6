"""The list of claims: enough of them, each with a place, a rule, a notebook and a command that exist."""

import json
import re

import pytest

from parzc_core import artifact, cli
from parzc_core.errors import UnknownName
from parzc_core.paper.claims import CLAIMS, Claim, claim, of_notebook
from parzc_core.paths import NOTEBOOKS, RESULTS
from parzc_core.report.claims import RULES

EXPERIMENTS = {item.name: item for item in artifact.discover()}
EACH = pytest.mark.parametrize("one", CLAIMS, ids=lambda one: one.id)


def test_there_are_at_least_sixteen_and_nine_of_them_matter_most() -> None:
    assert len(CLAIMS) >= 16
    assert sum(one.key for one in CLAIMS) == 9
    for field in ("id", "title", "said", "rule"):
        assert len({getattr(one, field) for one in CLAIMS}) == len(CLAIMS), field


def test_each_has_one_rule_and_no_rule_is_left_over() -> None:
    assert set(RULES) == {one.id for one in CLAIMS}


@EACH
def test_its_place_is_in_the_paper(one: Claim) -> None:
    tables = [int(number) for found in re.findall(r"Tables? ([\d and]+)", one.place) for number in re.findall(r"\d+", found)]
    figures = [int(number) for found in re.findall(r"Figures? ([\d and]+)", one.place) for number in re.findall(r"\d+", found)]
    sections = [float(number) for number in re.findall(r"§([\d.]+)", one.place)]
    assert tables or figures or sections
    assert all(1 <= number <= 11 for number in tables)
    assert all(1 <= number <= 8 for number in figures)
    assert all(1 <= number < 5 for number in sections)


@EACH
def test_its_notebook_makes_the_result_and_its_command_runs_it(one: Claim) -> None:
    made = EXPERIMENTS[one.notebook].makes
    assert one.table in made
    assert (RESULTS / "full" / one.table / "rows.csv").is_file()
    options = cli._parser().parse_args(one.command.split()[1:])
    assert [item.name for item in artifact.select(options.names, artifact.discover())] == [one.notebook]
    assert options.profile == "full"


@EACH
def test_it_is_told_in_short_sentences(one: Claim) -> None:
    assert not one.title.endswith(".")
    assert one.said.endswith(".")
    assert one.rule.endswith((".", "?"))
    assert len(one.title.split()) <= 16


@pytest.mark.parametrize("stem", sorted(EXPERIMENTS))
def test_a_notebook_ends_with_its_claims_and_one_without_claims_does_not(stem: str) -> None:
    cells = [cell for cell in json.loads((NOTEBOOKS / f"{stem}.ipynb").read_text())["cells"] if cell["cell_type"] == "code"]
    with_claims = [at for at, cell in enumerate(cells) if "claims_of(" in "".join(cell["source"])]
    if of_notebook(stem):
        assert with_claims == [len(cells) - 1]
        assert f'claims_of("{stem}")' in "".join(cells[-1]["source"])
    else:
        assert with_claims == []


def test_an_unknown_claim_is_named_with_what_is_near() -> None:
    assert claim("mixer").table == "table06"
    with pytest.raises(UnknownName, match="mixxer"):
        claim("mixxer")
