"""A comparison frame rendered as Markdown, LaTeX and CSV, and written beside the rows it was made from."""

import math
import re
from pathlib import Path

import pandas as pd

from parzc_core import paper, paths
from parzc_core.report import comparison
from parzc_core.report.layout import Cell, view
from parzc_core.storage import rows as results


def render_markdown(frame: pd.DataFrame) -> str:
    """Pipe tables of a comparison frame: `printed → ours [interval] std (delta) verdict (origin)`, notes below.

    A wide block is cut into several tables.
    """
    shown = view(frame)
    parts = []
    for block in shown.pieces(_MOST):
        header = ["", *("<br>".join(filter(None, (column.name, column.heading))) for column in block.columns)]
        rows = [
            [
                _marked(line.name, line.marks),
                *(_marked(cell.line_with_std, cell.marks) if cell else "" for cell in line.cells),
                *line.attributes,
            ]
            for line in block.lines
        ]
        header += block.attributes
        body = [header, ["---"] * len(header), *[[_pipe(text) for text in row] for row in rows]]
        parts.append("\n".join("| " + " | ".join(row) + " |" for row in body))
    notes = [f"- {text}" for text in shown.general] + [f"- ({mark}) {text}" for mark, text in shown.notes]
    if notes:
        parts.append("\n".join(text.replace("<", "&lt;") for text in notes))
    return "\n\n".join(parts) + "\n"


_OWN = {
    "label_free": "Ranking without labels",
    "model_zoo": "Model zoo",
    "nds_nb301": "NDS and NAS-Bench-301",
    "parzc_plus": "ParZC+",
    "search_nb101": "Search on NAS-Bench-101",
    "search_trainings": "Search by number of trainings",
    "table01_since": "Table 1 since the paper",
    "width_nb101": "Width on NAS-Bench-101",
    "worth": "What ParZC's idea is worth",
}
_MOST, _MOST_TEX = 12, 24  # columns of a table that is not cut
_SIGNS = {"matches": r"\approx", "higher": "+", "lower": "-"}


def render_latex(frame: pd.DataFrame) -> str:
    """A booktabs tabular per block, of a wide one several, escaped, plain ASCII but for letters of names.

    A printed column becomes two, the paper's and ours with its 95 % interval; a verdict is a raised sign behind ours, which a
    comment at the end explains. Words that fit no column of numbers (notes, reasons, origins) are in table.csv and table.md.
    """
    shown = view(frame)
    parts = ["% needs \\usepackage{booktabs}"]
    for block in shown.pieces(_MOST_TEX):
        wide = [1 if column.ours else 2 for column in block.columns]
        kinds = ["r" if column.label else "l" for column in block.columns]
        groups, at = [], 0
        for name, count, _ in block.groups:
            groups.append(rf"\multicolumn{{{sum(wide[at : at + count])}}}{{c}}{{{_tex(name)}}}")
            at += count
        headings = []
        for column, width in zip(block.columns, wide, strict=True):
            headings.append(rf"\multicolumn{{{width}}}{{c}}{{{_tex(column.heading)}}}")
        sources = [word for width in wide for word in ("paper", "ours")[2 - width :]]
        count = len(block.attributes)
        spec = "".join(kind * width for kind, width in zip(kinds, wide, strict=True))
        lines = [rf"\begin{{tabular}}{{l{spec}{'l' * count}}}", r"\toprule"]
        for texts in (groups, headings):
            lines.append(" & ".join(["", *texts, *[""] * count]) + r" \\")
        lines += [" & ".join(["", *sources, *map(_tex, block.attributes)]) + r" \\", r"\midrule"]
        for line in block.lines:
            texts = [_tex(line.name)]
            for cell, width in zip(line.cells, wide, strict=True):
                texts += (_tex_cell(cell) if cell else ("", ""))[2 - width :]
            lines.append(" & ".join([*texts, *map(_tex, line.attributes)]) + r" \\")
        parts.append("\n".join([*lines, r"\bottomrule", r"\end{tabular}"]))
    if any(cell and cell.verdict in _SIGNS for block in shown.blocks for line in block.lines for cell in line.cells):
        parts.append("% raised signs: approx, the printed value matches ours; +, ours is higher; -, ours is lower")
    return "\n\n".join(parts) + "\n"


def _tex_cell(cell: Cell) -> tuple[str, str]:
    """What the paper prints, and ours with its interval and the sign of its verdict."""
    spread = cell.spread.partition(" ")[0].replace("±", " ± ")
    ours = f"{cell.ours} {cell.interval}".strip() if not math.isnan(cell.number) else ""
    sign = f"$^{{{_SIGNS[cell.verdict]}}}$" if cell.verdict in _SIGNS else ""
    return _tex(cell.paper + spread), _tex(ours) + sign


def render_csv(frame: pd.DataFrame) -> str:
    """A line a cell: row, column, metric, printed value, ours with interval and std, delta, verdict, reason, origin and note.

    The header is plain identifiers. A text that a spreadsheet would take for a formula has an apostrophe in front.
    """
    return neutral(frame).to_csv(index=False, lineterminator="\n")


def neutral(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with an apostrophe before each text that begins with = + - @ or a control character and is no number."""
    return frame.map(lambda value: f"'{value}" if isinstance(value, str) and _formula(value) else value)


def _formula(text: str) -> bool:
    if not text.startswith(("=", "+", "-", "@", "\t", "\r", "\n")):
        return False
    try:
        float(text)
    except ValueError:
        return True
    return False


def write_tables(profile: str) -> list[Path]:
    """table.csv, table.md and table.tex beside the rows of every table that was run in that profile, ours too; their paths."""
    written = []
    for table in (*paper.table_names(), *comparison.own_names(profile, paths.RESULTS)):
        if not results.has_rows(table, profile, paths.RESULTS):
            continue
        printed = table in paper.table_names()
        frame = (comparison.compare if printed else comparison.own)(table, profile, paths.RESULTS)
        if frame.empty:
            continue
        head = f"{table_title(table)}, profile {profile}" + (f": {paper.caption(table)}" if printed else "")
        texts = {
            "csv": render_csv(frame),
            "md": f"**{head}**\n\n{render_markdown(frame)}",
            "tex": f"% {head}\n{render_latex(frame)}",
        }
        folder = paths.RESULTS / profile / table
        written += [paths.write_whole(folder / f"table.{suffix}", text) for suffix, text in texts.items()]
    return written


def table_title(table: str) -> str:
    """ "Table 6" of "table06", "Figure 6a, its numbers" of "fig06a_tsne"; of a result of ours its name, "ParZC+"."""
    if found := re.fullmatch(r"(table|fig)0*(\d+[a-z]?)(_.*)?", table):
        return f"Table {found[2]}" if found[1] == "table" else f"Figure {found[2]}, its numbers"
    return _OWN.get(table, table.replace("_", " ").capitalize())


def _marked(text: str, marks: tuple[str, ...]) -> str:
    return f"{text} ({', '.join(marks)})" if marks else text


def _pipe(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")


_TEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "→": r"$\to$", "±": r"$\pm$",
        "–": "--", "†": r"\dag{}", "‡": r"\ddag{}", "τ": r"$\tau$", "ρ": r"$\rho$", "×": r"$\times$", "−": "$-$",
        "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}"}  # fmt: skip
_TEX |= {letter: f"\\{letter}" for letter in "&%$#_{}"}


def _tex(text: str) -> str:
    return "".join(_TEX.get(letter, letter) for letter in text)
