"""The summary in the README: what it names, that it replaces its own block alone, and that it is up to date."""

import re
from pathlib import Path

import pytest
from report_rows import CELL, put

from parzc_core.drawing import cells, style
from parzc_core.errors import BadInput
from parzc_core.report import readme as readme_
from parzc_core.report.readme import readme_block


def test_the_summary_names_key_cells_variants_counts_and_minutes(project):
    column = {"column": "NB201-CF10 78"}
    put(
        "table06",
        {"row": "NP+Mixer+BN", "value": 63.0, "ci_low": 62.0, "ci_high": 64.0, **column},
        {"row": "NP+Mixer+BN (aligned)", "value": 72.5, **column},
        minutes=33.3,
    )
    style.save_figure(cells.cell_graph(CELL), "fig06b_tsne", "full")
    lines = readme_.readme_summary().splitlines()
    (line,) = [line for line in lines if line.startswith("| Table 6 ")]
    assert "68.89 ±1.40 (variance) → 63.00 [62.00, 64.00] (-5.89) lower (reproduced)" in line
    assert "NP+Mixer+BN (aligned), NB201-CF10 78 Kendall: – → 72.50 new (ours)" in line
    assert "1 of 16 printed run (1 lower), 15 quoted, 1 ours" in line
    assert line.endswith("| 33.3 |")
    assert sum("(quoted)" in line for line in lines) == 10
    assert "[fig06b_tsne.png](figures/fig06b_tsne.png)" in "\n".join(lines)
    assert "| Figure 8 |" in "\n".join(lines)
    assert {len(re.findall(r"(?<!\\)\|", line)) for line in lines} == {6}


def test_the_readme_block_is_replaced_and_nothing_else(project):
    readme = Path(project / "README.md")
    with pytest.raises(BadInput, match="summary:begin"):
        readme_.update_readme()
    readme.write_text("# Title\n<!-- summary:begin -->\nold\n<!-- summary:end -->\nrest\n")
    assert readme_.update_readme() is True
    text = readme.read_text()
    assert text.startswith("# Title\n<!-- summary:begin -->\n")
    assert text.endswith("<!-- summary:end -->\nrest\n")
    assert "old" not in text
    assert readme_block() == readme_.readme_summary().strip()
    assert readme_.update_readme() is False
    readme.write_text("<!-- summary:end --> <!-- summary:begin -->")
    with pytest.raises(BadInput, match="summary:begin"):
        readme_.update_readme()


def test_the_readme_says_what_the_committed_rows_say():
    block = readme_block()
    if block is None:
        pytest.skip("README.md has no summary yet")
    assert block == readme_.readme_summary("full").strip(), "run `parzc report --readme`"
