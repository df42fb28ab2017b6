"""A comparison frame rendered as Markdown, LaTeX and CSV, and written beside the rows it was made from."""

from pathlib import Path

import pandas as pd

from parzc_core import paper, paths
from parzc_core.report import comparison
from parzc_core.report.layout import view
from parzc_core.storage import rows as results


def render_markdown(frame: pd.DataFrame) -> str:
    """Pipe tables of a comparison frame: `printed → ours [interval] std (delta) verdict (origin)`, notes below."""
    shown = view(frame)
    parts = []
    for block in shown.blocks:
        header = ["", *(f"{column}<br>{metric}" if metric else column for column, metric in block.columns)]
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


def render_latex(frame: pd.DataFrame) -> str:
    """A booktabs tabular per block, escaped, plain ASCII but for letters of names; notes follow as a list."""
    shown = view(frame)
    parts = ["% needs \\usepackage{booktabs}"]
    for block in shown.blocks:
        width = len(block.columns)
        upper = " & ".join(["", *(rf"\multicolumn{{{n}}}{{c}}{{{_tex(name)}}}" for name, n in block.groups)])
        lower = " & ".join(["", *(_tex(metric) for _, metric in block.columns), *map(_tex, block.attributes)])
        lines = [rf"\begin{{tabular}}{{l{'r' * width}{'l' * len(block.attributes)}}}", r"\toprule"]
        lines += [upper + " &" * len(block.attributes) + r" \\", lower + r" \\", r"\midrule"]
        for line in block.lines:
            texts = [_tex_marked(line.name, line.marks)]
            texts += [_tex_marked(cell.line_with_std, cell.marks) if cell else "" for cell in line.cells]
            lines.append(" & ".join([*texts, *map(_tex, line.attributes)]) + r" \\")
        parts.append("\n".join([*lines, r"\bottomrule", r"\end{tabular}"]))
    notes = [_tex(text) for text in shown.general] + [rf"$^{{{mark}}}$ {_tex(text)}" for mark, text in shown.notes]
    if notes:
        items = "\n".join(rf"\item[] {text}" for text in notes)
        parts.append(f"\\begin{{itemize}}\n{items}\n\\end{{itemize}}")
    return "\n\n".join(parts) + "\n"


def render_csv(frame: pd.DataFrame) -> str:
    """The wide table: a line a row, and per column and metric printed value, ours, interval, std, verdict, reason, origin."""
    fields = ["paper", "paper_spread", "ours", "ci_low", "ci_high", "std", "delta", "verdict", "reason", "origin"]
    columns: dict[str, pd.Series] = {}
    for (column, metric), group in frame.groupby(["column", "metric"], sort=False):
        part = group.set_index("row")
        if metric == "text":
            part = part.assign(paper=part["note"])
        columns |= {f"{column} {metric} {field}": part[field] for field in fields}
    wide = pd.DataFrame(columns).reindex(list(dict.fromkeys(frame["row"])))
    return wide.to_csv(index_label="row", lineterminator="\n")


def write_tables(profile: str) -> list[Path]:
    """table.csv, table.md and table.tex beside the rows of every table that was run in that profile; their paths."""
    written = []
    for table in paper.table_names():
        if not results.has_rows(table, profile, paths.RESULTS):
            continue
        frame = comparison.compare(table, profile, paths.RESULTS)
        head = f"{table_title(table)}, profile {profile}: {paper.caption(table)}"
        texts = {
            "csv": render_csv(frame),
            "md": f"**{head}**\n\n{render_markdown(frame)}",
            "tex": f"% {head}\n{render_latex(frame)}",
        }
        folder = paths.RESULTS / profile / table
        written += [paths.write_whole(folder / f"table.{suffix}", text) for suffix, text in texts.items()]
    return written


def table_title(table: str) -> str:
    """ "Table 6" of "table06"."""
    return f"Table {int(table.removeprefix('table'))}"


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


def _tex_marked(text: str, marks: tuple[str, ...]) -> str:
    return _tex(text) + (rf"$^{{{','.join(marks)}}}$" if marks else "")
