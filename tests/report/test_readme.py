"""What READMEs say of the results: what it names, that it replaces its own blocks alone, and that it is up to date."""

import re

import pytest
from report_rows import CELL, put

from parzc_core import paths
from parzc_core.drawing import cells, style
from parzc_core.errors import BadInput
from parzc_core.experiments import label_free, label_free_few
from parzc_core.paper.claims import CLAIMS
from parzc_core.report import beyond
from parzc_core.report import readme as readme_
from parzc_core.search import regret
from parzc_core.storage import blocks

TRAINED, TAUS = ("NB201 S'_78", "NB101 S_100"), {"ParZC+": 80.0, "ParZC+ without graph": 75.0, "GATES": 70.0, "NP": 60.0}
NOTEBOOKS = paths.NOTEBOOKS
MADE = {
    "claims": readme_.readme_claims,
    "figure": readme_.readme_figure,
    "added": readme_.readme_added,
    "summary": readme_.readme_summary,
}


def test_the_summary_names_key_cells_variants_counts_and_minutes(project, monkeypatch):
    monkeypatch.setattr(paths, "NOTEBOOKS", NOTEBOOKS)
    column = {"column": "NB201-CF10 78"}
    put(
        "table06",
        {"row": "NP+Mixer+BN", "value": 63.0, "ci_low": 62.0, "ci_high": 64.0, **column},
        {"row": "NP+Mixer+BN (aligned)", "value": 72.5, **column},
        {"row": "NP+Mixer+BN, wider", "value": 74.5, **column},
        minutes=33.3,
    )
    style.save_figure(cells.cell_graph(CELL), "fig06b_tsne", "full")
    lines = readme_.readme_summary().splitlines()
    (line,) = [line for line in lines if line.startswith("| Table 6 ")]
    assert "68.89 ±1.40 (variance) → 63.00 [62.00, 64.00] (-5.89) lower (reproduced)" in line
    assert "NP+Mixer+BN (aligned), NB201-CF10 78 Kendall: 72.50 new (ours)" in line
    assert "1 of 16 printed run (1 lower), 15 quoted, 2 ours" in line
    assert "wider" not in line  # of what varies the row, the key cells have the aligned one and NP
    assert line.endswith("| 33.3 |")
    assert sum("(quoted)" in line for line in lines) == 10
    tables, figures = lines[: lines.index("")], lines[lines.index("") + 1 :]
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in tables} == {6}
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in figures} == {4}
    assert "[fig06b_tsne.png](../figures/fig06b_tsne.png)" in "\n".join(figures)
    named = [line.split(" | ")[0].removeprefix("| ") for line in figures[2:]]
    assert named[:3] == ["Figure 2", "Figure 4", "Figure 5"]
    assert "Ours" in named


def test_every_committed_figure_is_in_the_summary_with_what_it_says():
    lines = readme_.readme_summary().splitlines()
    for file in paths.FIGURES.glob("*.png"):
        (line,) = [line for line in lines if f"[{file.name}]" in line]
        assert "{" not in line
    (line,) = [line for line in lines if "[fig02_importance.png]" in line]
    assert line.split(" | ")[1] in readme_.readme_figure()


def test_each_block_is_replaced_in_its_file_and_nothing_else(project):
    put("table02", *({"row": row, "column": column, "value": tau} for column in TRAINED for row, tau in TAUS.items()))
    files = {name: project / file for name, file in readme_.FILES.items()}
    for folder in (project / "notebooks", files["summary"].parent):
        folder.mkdir(exist_ok=True)
    for name, file in files.items():
        with pytest.raises(BadInput, match=f"{name}:begin"):
            readme_.update_readme()
        before = file.read_text() if file.is_file() else "# Title\n"
        file.write_text(f"{before}<!-- {name}:begin -->\nreplaced\n<!-- {name}:end -->\nrest\n")
    assert readme_.update_readme() is True
    for name, text in ((name, make()) for name, make in MADE.items()):
        whole = files[name].read_text()
        assert whole.startswith("# Title\n<!-- ")
        assert whole.endswith(" -->\nrest\n")
        assert "\nreplaced\n" not in whole
        assert blocks.get(files[name], name) == text.strip()
    assert readme_.update_readme() is False


def test_the_claims_that_matter_most_have_verdict_and_notebook_below_how_many_hold(project):
    found = {"Mixer": 50.0, "MLP": 60.0}
    put("table06", *({"row": row, "column": "NB201-CF10 78", "value": tau} for row, tau in found.items()), minutes=17)
    head, *lines = [line for line in readme_.readme_claims().splitlines() if line]
    others = len(CLAIMS) - 1
    assert head.startswith(f"Of {len(CLAIMS)} claims 0 hold, 0 hold in part, 1 fails and {others} are not testable here;")
    assert len(lines) == sum(one.key for one in CLAIMS)
    (line,) = [line for line in lines if "*fails.*" in line]
    assert line.startswith("- **A mixer ranks better than an MLP** (§4.4, Table 6): *fails.* Mixer 50.0, MLP 60.0")
    assert line.endswith("[notebook](notebooks/table06_08_ablation.ipynb)")


def test_what_is_added_to_the_paper_names_the_best_other_row_and_skips_what_was_not_run(project):
    put("table02", *({"row": row, "column": column, "value": tau} for column in TRAINED for row, tau in TAUS.items()))
    (line,) = readme_.readme_added().splitlines()
    assert "80.0 from 78 cells of NAS-Bench-201 (GATES: 70.0) and 80.0 from 100 of NAS-Bench-101 (GATES: 70.0); in" in line
    assert line.endswith("[notebook](notebooks/table02_rankers.ipynb)")
    orders = {"Label-free order": 73.0, "Votes that agree": 74.0, "NWOT": 60.0, "Zen": 65.0}
    places = ("NB201-CF10", "NB101-CF10")
    put("label_free", *({"row": row, "column": column, "value": tau} for column in places for row, tau in orders.items()))
    assert len(readme_.readme_added().splitlines()) == 1  # the order beside labels was not run
    beside = {"ParZC+, from scratch": 69.0, "ParZC+ and the order": 76.0}
    orders = [{"row": row, "column": column, "value": tau} for column in places for row, tau in orders.items()]
    few = [{"row": row, "column": "NB201-CF10, 20 labels", "value": tau} for row, tau in beside.items()]
    put("label_free", *orders, *few)
    line = readme_.readme_added().splitlines()[-1]
    assert "from 69.0 to 76.0." in line
    assert "73.0 on NAS-Bench-201 (Zen: 65.0); in brackets the best single proxy" in line


def test_orders_without_labels_are_those_of_their_experiment():
    assert beyond.ORDERS == label_free.ORDERS
    assert (beyond.PLUS, beyond.ORDERED) == (regret.PLUS, regret.ORDERED)
    assert (label_free_few.GRAPHS, label_free_few.BOTH[label_free_few.GRAPHS]) == beyond.BESIDE


@pytest.mark.parametrize(("name", "made"), MADE.items())
def test_the_readme_says_what_the_committed_rows_say(name, made):
    block = blocks.get(paths.ROOT / readme_.FILES[name], name)
    assert block is not None
    assert block == made().strip(), "run `parzc report --profile full --readme`"
