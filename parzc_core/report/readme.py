"""What READMEs say of the results, from the committed rows: the claims that matter most, and the key cells of each table."""

import math
import re
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from parzc_core import artifact, paths
from parzc_core.profiles import profile as profile_named
from parzc_core.report import beyond, captions, claims, comparison
from parzc_core.report.layout import METRICS, view
from parzc_core.report.tables import table_title
from parzc_core.report.verdicts import NOT_JUDGED
from parzc_core.storage import blocks, rows

# Block -> the file that has it, in the checkout.
FILES = {"claims": "README.md", "figure": "README.md", "added": "README.md", "summary": "results/README.md"}
# The cells that stand for a table: its row, and the (column, metric) pairs shown.
KEY_CELLS: dict[str, tuple[str, tuple[tuple[str, str], ...]]] = {
    "table01": (
        "ParZC",
        (("NB101-CF10", "kendall"), ("NB201-CF10", "kendall"), ("NB201-CF100", "kendall"), ("NB201-IMG16", "kendall")),
    ),
    "table02": ("ParZC", (("NB101 S_100", "kendall"), ("NB101 S_424 (all)", "kendall"), ("NB201 S'_78", "kendall"))),
    "table03": ("ParZC", (("CIFAR-10", "test_accuracy"), ("CIFAR-100", "test_accuracy"))),
    "table04": ("ParZC", (("Top-1 (%)", "accuracy"), ("Param (M)", "params"))),
    "table05": (
        "ParZC",
        (
            ("Autoformer-Ti", "kendall"),
            ("AutoFormer, ImageNet supernet", "kendall"),
            ("PiT, CIFAR-100 base", "kendall"),
        ),
    ),
    "table06": ("NP+Mixer+BN", (("NB201-CF10 78", "kendall"), ("NB201-CF10 78", "spearman"))),
    "table07": ("DiffKendall", (("NB101-CF10 178", "kendall"),)),
    "table08": ("NP+Mixer+BN", (("Run1", "kendall"), ("Run2", "kendall"), ("Run3", "kendall"))),
    "table09": ("ParZC", (("CIFAR-10 test", "accuracy"), ("CIFAR-100 test", "accuracy"))),
    "table11": ("ParZC", (("rho@100%", "spearman"), ("F-MNIST W+A rho@100%", "spearman"))),
}
SHOWN = "fig02_importance"  # the figure in README.md


def readme_summary(profile: str = "full") -> str:
    """Two Markdown tables: key cells (paper → ours [interval] verdict) and minutes of each table; what each figure says.

    Made from the rows and figures of the profile alone, so that it can be checked against what is committed.
    """
    profile = profile_named(profile).name
    lines = [
        "| | what | paper → ours [95 % interval] verdict (origin) | cells | CPU-minutes |",
        "|---|---|---|---|---|",
    ]
    summary = comparison.summary(profile, paths.RESULTS).set_index("table")
    for name, table in summary.iterrows():
        cells = "<br>".join(_key_cells(str(name), comparison.compare(str(name), profile, paths.RESULTS)))
        minutes = "–" if math.isnan(table["minutes"]) else f"{table['minutes']:.1f}"
        row = (table_title(str(name)), str(table["caption"]), cells, _counts(table), minutes)
        lines.append("| " + " | ".join(text.replace("|", "\\|") for text in row) + " |")
    counted = _counts(summary.drop(columns=["caption", "run", "minutes"]).sum())
    lines.append(f"| All tables | {_why(comparison.reasons(profile, paths.RESULTS))} | | {counted} | |")
    folder = paths.FIGURES if profile == "full" else paths.RESULTS / profile / "figures"
    shown_folder = "../figures" if profile == "full" else f"{profile}/figures"  # seen from results/
    lines += ["", "| figure | what it says | picture |", "|---|---|---|"]
    for name, said in _figures(profile):
        number = re.match(r"fig0*(\d+[a-z]?)_", name)
        drawn = (folder / f"{name}.png").is_file()
        link = f"[{name}.png]({shown_folder}/{name}.png)" if drawn else "not drawn yet"
        what = f"Figure {number[1]}" if number else "Ours"
        lines.append("| " + " | ".join(text.replace("|", "\\|") for text in (what, said, link)) + " |")
    return "\n".join(lines) + "\n"


def readme_figure() -> str:
    """The picture that README.md shows, and what it says with the committed numbers."""
    picture = f"![importance of nodes along the depth](figures/{SHOWN}.png)"
    return f"{picture}\n\n*Figure 2 made anew. {dict(_figures('full')).get(SHOWN, '')}*\n"


def readme_claims() -> str:
    """The claims that matter most as a Markdown list, below how many hold; from the committed rows, whatever was run."""
    return f"{claims.summary(claims.judged_claims())}:\n\n{claims.key_claims(notebooks='notebooks/')}\n"


def readme_added() -> str:
    """What this project adds to the paper, as a Markdown list; from the committed rows, whatever was run."""
    return "\n".join(beyond.added(notebooks="notebooks/")) + "\n"


def update_readme(profile: str = "full") -> bool:
    """Put claims, a figure and what is added into README.md, the summary into results/README.md; whether that changed a file.

    Raises BadInput where one of them lacks the lines around its block.
    """
    made = {"claims": readme_claims(), "figure": readme_figure(), "added": readme_added(), "summary": readme_summary(profile)}
    return any([blocks.put(_file(name), name, text) for name, text in made.items()])


def _figures(profile: str) -> list[tuple[str, str]]:
    """(name, what it says) of every figure that a notebook has a caption for, those of the paper first.

    Where no sentence of the caption has its numbers in the profile's rows, the notebook's title stands for it.
    """
    experiments = artifact.discover()
    made = [(name, captions.filled(text, profile) or item.title) for item in experiments for name, text in item.captions.items()]
    return sorted(made, key=lambda one: one[0] if one[0].startswith("fig") else "figures of ours")


def _key_cells(table: str, frame: pd.DataFrame) -> Iterable[str]:
    """The key cells in words; with them those of the same row with aligned nodes and with NP, where they were run."""
    if table not in KEY_CELLS:
        return ["settings as printed"]
    row, pairs = KEY_CELLS[table]
    block = {}
    for part in view(frame).blocks:
        for line in part.lines:
            for heading, cell in zip(part.columns, line.cells, strict=True):
                block[(line.name, heading.name, heading.label)] = cell
    rows_there = set(frame["row"])
    words = []
    for name in (each for each in (row, f"{row} (aligned)", f"{row} (NP)") if each in rows_there):
        for column, metric in pairs:
            cell = block.get((name, column, METRICS[metric]))
            if cell is not None:
                words.append(f"{name}, {column} {METRICS[metric]}: {cell.line}")
    return words


def _counts(table: pd.Series) -> str:
    """Printed numbers that were run, their verdicts, and what else there is: "24 of 98 printed run (24 matches), 40 ours"."""
    judged = [f"{table[name]} {name}" for name in (*comparison.JUDGED, NOT_JUDGED) if table[name]]
    run = f"{table['covered']} of {table['printed']} printed run" + (f" ({', '.join(judged)})" if judged else "")
    others = [origin for origin in rows.ORIGINS if origin != "reproduced" and table[f"origin_{origin}"]]
    return ", ".join([run] * bool(table["printed"]) + [f"{table[f'origin_{origin}']} {origin}" for origin in others])


def _why(reasons: pd.Series) -> str:
    """Why printed numbers that were run are not judged, with how many."""
    told = "; ".join(f"{reason} ({cells})" for reason, cells in reasons.items())
    return f"Not judged: {told}" if told else "every table of the paper"


def _file(name: str) -> Path:
    return paths.ROOT / FILES[name]
