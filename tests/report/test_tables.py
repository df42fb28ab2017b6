"""Tables as Markdown, LaTeX and CSV: every printed number and origin is in them."""

import re

import pytest
from report_rows import put

from parzc_core import paper, paths
from parzc_core.errors import BadInput
from parzc_core.report import comparison, tables
from parzc_core.report.layout import view
from parzc_core.report.tables import render_csv


@pytest.mark.parametrize("table", paper.table_names())
def test_markdown_and_latex_hold_every_printed_number_and_origin(table, tmp_path):
    frame = comparison.compare(table, "full", tmp_path)
    markdown, latex = tables.render_markdown(frame), tables.render_latex(frame)
    for text in (markdown, latex):
        assert text.count("(quoted)") == len(frame)
        found = set(re.findall(r"-?\d+(?:\.\d+)?", text))
        for value in frame["paper"].dropna():
            assert any(float(number) == value for number in found), value
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) >= 3 for line in rows)
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == len(view(frame).blocks)
    for body in latex.split(r"\begin{tabular}{")[1:]:
        width = len(body.partition("}")[0])
        for line in re.findall(r"^(.*) \\\\$", body.partition(r"\midrule")[2], flags=re.M):
            assert len(re.findall(r"(?<!\\)&", line)) == width - 1, line


def test_the_wide_csv_has_a_line_a_row(tmp_path):
    frame = comparison.compare("table06", "full", tmp_path)
    lines = render_csv(frame).splitlines()
    assert [line.split(",")[0] for line in lines[1:]] == list(dict.fromkeys(frame["row"]))
    assert "NB201-CF10 78 kendall paper" in lines[0]
    assert "34.29" in lines[1]


def test_our_standard_deviation_is_in_every_rendering_and_not_in_the_note(project):
    column = {"column": "NB201-CF10 78"}
    put("table06", {"row": "NP", "value": 34.0, "n": 10, "std": 2.1436, "note": "judged on few cells", **column})
    frame = comparison.compare("table06", "full", paths.RESULTS)
    for text in (tables.render_markdown(frame), tables.render_latex(frame)):
        assert "34.00 std 2.144 (-0.29)" in text
        assert text.count("judged on few cells") == 1
    assert "NB201-CF10 78 kendall std" in render_csv(frame).splitlines()[0]
    assert ",2.1436," in render_csv(frame)
    (cell, *_) = view(frame).blocks[0].lines[0].cells
    assert cell is not None
    assert (cell.std, cell.count) == ("std 2.144", "n = 10")
    assert "std 2.144" not in cell.line


def test_view_refuses_an_empty_frame(tmp_path):
    with pytest.raises(BadInput, match="without rows"):
        tables.render_markdown(comparison.compare("table06", "full", tmp_path).iloc[:0])
