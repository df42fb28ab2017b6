"""Tables as Markdown, LaTeX and CSV: every printed number and origin is in them."""

import io
import re

import pandas as pd
import pytest
from report_rows import put

from parzc_core import paper, paths
from parzc_core.errors import BadInput
from parzc_core.report import comparison, tables
from parzc_core.report.layout import view
from parzc_core.report.tables import render_csv


@pytest.mark.parametrize("table", paper.table_names())
def test_markdown_and_latex_hold_every_printed_number(table, tmp_path):
    frame = comparison.compare(table, "full", tmp_path)
    markdown, latex = tables.render_markdown(frame), tables.render_latex(frame)
    filled = frame[frame["paper"].notna() | (frame["metric"] == "text")]
    assert markdown.count("(quoted)") == len(filled)
    for text in (markdown, latex):
        found = set(re.findall(r"-?\d+(?:\.\d+)?", text))
        for value in frame["paper"].dropna():
            assert any(float(number) == value for number in found), value
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert all(len(re.findall(r"(?<!\\)\|", line)) >= 3 for line in rows)
    assert latex.count(r"\begin{tabular}") == latex.count(r"\end{tabular}") == len(view(frame).blocks) == 1


def columns(latex: str) -> list[list[str]]:
    """The cells of each row of a LaTeX table without its head; every row has as many as the table has columns."""
    found = []
    for body in latex.split(r"\begin{tabular}{")[1:]:
        width = len(body.partition("}")[0])
        for line in re.findall(r"^(.*) \\\\$", body.partition(r"\midrule")[2], flags=re.M):
            cells = re.split(r"(?<!\\)&", line)
            assert len(cells) == width, line
            found.append([cell.strip() for cell in cells])
    return found


@pytest.mark.parametrize("table", ["table01", "table02", "table05", "table06", "table11"])
def test_latex_has_numbers_alone_in_columns_of_numbers(table):
    number = r"-?[\d.]+"
    ours = rf"({number}( \[{number}, {number}\])?(\$\^{{(\\approx|\+|-)}}\$)?)?|({number}( \$\\pm\$ {number})?)?"
    for row in columns(tables.render_latex(comparison.compare(table, "full"))):
        for cell in row[1:]:
            assert re.fullmatch(ours, cell), cell


def test_the_csv_has_a_line_a_cell_and_a_header_that_a_program_can_read(tmp_path):
    frame = comparison.compare("table06", "full", tmp_path)
    back = pd.read_csv(io.StringIO(render_csv(frame)))
    assert len(back) == len(frame)
    assert all(name.isidentifier() for name in back.columns)
    assert back.iloc[0]["paper"] == 34.29


def test_texts_that_look_like_formulas_are_neutralised(project):
    notes = {"=1+1": "'=1+1", "-- see": "'-- see", "@x": "'@x", "+5": "+5", "-3.5": "-3.5", "plain": "plain"}
    put("table06", *({"row": text, "column": "NB201-CF10 78", "note": text} for text in notes))
    back = pd.read_csv(io.StringIO(render_csv(comparison.compare("table06", "full", paths.RESULTS))), dtype=str)
    own = back[back["origin"] == "ours"]
    assert own["row"].tolist() == own["note"].tolist() == list(notes.values())


def test_our_standard_deviation_is_in_markdown_and_csv_and_not_in_the_note(project):
    column = {"column": "NB201-CF10 78"}
    put("table06", {"row": "NP", "value": 34.0, "n": 10, "std": 2.1436, "note": "judged on few cells", **column})
    frame = comparison.compare("table06", "full", paths.RESULTS)
    text = tables.render_markdown(frame)
    assert "34.00 std 2.144 (-0.29)" in text
    assert text.count("judged on few cells") == 1
    assert ",2.1436," in render_csv(frame)
    (cell, *_) = view(frame).blocks[0].lines[0].cells
    assert cell is not None
    assert (cell.std, cell.count) == ("std 2.144", "n = 10")
    assert "std 2.144" not in cell.line


def test_printed_columns_come_first_and_small_values_are_shown(project):
    cells = [{"column": "CPU-hours: ranking", "metric": "cpu_hours", "unit": "h", "value": value} for value in (0.00004, 0.5)]
    other = {"row": "Mine", "column": "Top-1 (%)", "metric": "accuracy"}
    put("table04", {"row": "ParZC", **cells[0]}, {"row": "Mine", **cells[1]}, other)
    (block,) = view(comparison.compare("table04", "full", paths.RESULTS)).blocks
    assert [column.ours for column in block.columns] == [False, False, False, True]
    assert [column.heading for column in block.columns] == ["parameters (M)", "accuracy (%)", "GPU days", "CPU-hours"]
    last = {line.name: line.cells[-1] for line in block.lines}
    assert last["Deit-Ti"] is None
    assert [cell.ours for name in ("ParZC", "Mine") if (cell := last[name])] == ["0.000040", "0.500000"]


def test_view_refuses_an_empty_frame(tmp_path):
    with pytest.raises(BadInput, match="without rows"):
        tables.render_markdown(comparison.compare("table06", "full", tmp_path).iloc[:0])


def test_a_wide_table_is_cut_between_its_groups_and_loses_no_cell(project):
    made = [
        {"row": row, "column": f"after {n}", "metric": metric, "value": 10.0 * n + at, "origin": "ours"}
        for row in ("A", "B")
        for n in range(1, 9)
        for at, metric in enumerate(("val_accuracy", "test_accuracy"))
        if (row, n) != ("B", 8)
    ]
    put("search_trainings", *made)
    frame = comparison.own("search_trainings", "full", paths.RESULTS)
    (block,) = view(frame).blocks
    pieces = block.pieces(5)
    assert [len(piece.columns) for piece in pieces] == [4, 4, 4, 4]
    assert [column for piece in pieces for column in piece.columns] == list(block.columns)
    assert [[line.name for line in piece.lines] for piece in pieces] == [["A", "B"]] * 4
    assert [[line.name for line in piece.lines] for piece in block.pieces(2)][-1] == ["A"]
    assert [len(piece.columns) for piece in block.pieces(1)] == [2] * 8
    assert block.pieces(16) == (block,)
    markdown, latex = tables.render_markdown(frame), tables.render_latex(frame)
    assert sum(line.startswith("| ---") for line in markdown.splitlines()) == 2
    assert markdown.count("(ours)") == len(frame) == 30
    assert latex.count(r"\begin{tabular}") == 1
    assert len(columns(latex)) == 2
