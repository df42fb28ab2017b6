"""What READMEs say of the results: what it names, that it replaces its own blocks alone, and that it is up to date."""

import re

import pytest
from report_rows import CELL, put

from parzc_core import paths
from parzc_core.drawing import cells, style
from parzc_core.errors import BadInput
from parzc_core.paper.claims import CLAIMS
from parzc_core.report import readme as readme_
from parzc_core.report.readme import readme_block

NOTEBOOKS = paths.NOTEBOOKS


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
    own, results = project / "README.md", project / "results" / "README.md"
    files = {"claims": own, "figure": own, "summary": results}
    for folder in (project / "notebooks", results.parent):
        folder.mkdir()
    for name, file in files.items():
        with pytest.raises(BadInput, match=f"{name}:begin"):
            readme_.update_readme()
        with file.open("a") as text:
            text.write(f"# Title\n<!-- {name}:begin -->\nreplaced\n<!-- {name}:end -->\nrest\n")
    assert readme_.update_readme() is True
    made_anew = {"claims": readme_.readme_claims, "figure": readme_.readme_figure, "summary": readme_.readme_summary}
    for name, made in ((name, make()) for name, make in made_anew.items()):
        text = files[name].read_text()
        assert f"# Title\n<!-- {name}:begin -->\n" in text
        assert f"<!-- {name}:end -->\nrest\n" in text
        assert "\nreplaced\n" not in text
        assert readme_block(name) == made.strip()
    assert readme_.update_readme() is False


def test_the_claims_that_matter_most_have_verdict_and_notebook_below_how_many_hold(project):
    found = {"Mixer": 50.0, "MLP": 60.0}
    put("table06", *({"row": row, "column": "NB201-CF10 78", "value": tau} for row, tau in found.items()), minutes=17)
    head, *lines = [line for line in readme_.readme_claims().splitlines() if line]
    assert head.startswith(f"Of {len(CLAIMS)} claims 0 hold, 0 hold in part, 1 fails and {len(CLAIMS) - 1} not testable here;")
    assert len(lines) == sum(one.key for one in CLAIMS)
    (line,) = [line for line in lines if "*fails.*" in line]
    assert line.startswith("- **A mixer ranks better than an MLP** (§4.4, Table 6): *fails.* Mixer 50.0, MLP 60.0")
    assert line.endswith("[notebook](notebooks/table06_08_ablation.ipynb)")


@pytest.mark.parametrize(
    ("name", "made"),
    [("claims", readme_.readme_claims), ("figure", readme_.readme_figure), ("summary", readme_.readme_summary)],
)
def test_the_readme_says_what_the_committed_rows_say(name, made):
    block = readme_block(name)
    assert block is not None
    assert block == made().strip(), "run `parzc report --profile full --readme`"
