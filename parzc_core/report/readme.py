"""What READMEs say of the results, from the committed rows: the claims that matter most, and the key cells of each table."""

import math
from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from parzc_core import paths
from parzc_core.profiles import profile as profile_named
from parzc_core.report import beyond, claims, comparison
from parzc_core.report.layout import METRICS, view
from parzc_core.report.tables import table_title
from parzc_core.report.verdicts import NOT_JUDGED
from parzc_core.storage import blocks, rows

FILES = {"claims": "README.md", "added": "README.md", "summary": "results/README.md"}  # block -> its file in the checkout
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
FIGURES = (
    ("fig02_importance", "Figure 2", "node-wise importance, three proxies"),
    ("fig04_rank_correlation", "Figure 4", "predicted rank against accuracy, NAS-Bench-201"),
    ("fig05_importance", "Figure 5", "node-wise importance, six proxies"),
    ("fig06a_tsne", "Figure 6a", "t-SNE of node-wise statistics, NAS-Bench-101"),
    ("fig06b_tsne", "Figure 6b", "t-SNE of node-wise statistics, NAS-Bench-201"),
    ("fig07_bayesian_weights", "Figure 7", "learned weight distributions"),
    ("fig08_rank_correlation", "Figure 8", "predicted rank against accuracy, each data set"),
    ("table01_since", "Ours", "proxies since the paper, and their aggregates, beside those of Table 1"),
    ("parzc_plus", "Ours", "ParZC+: coverage of its intervals, and which cells to evaluate next"),
    ("worth", "Ours", "what ParZC's idea is worth: every node's score, and a mixer with Bayesian layers"),
    ("search_regret", "Ours", "search: regret of the best so far at equal simulated cost"),
    ("search_nb101", "Ours", "search on NAS-Bench-101: regret of the best so far by trainings"),
    ("search_methods", "Ours", "search on NAS-Bench-201: what every method ends with after 100 trainings"),
    ("search_trainings", "Ours", "search on NAS-Bench-201: share of seeds that found the optimum, by trainings"),
    ("failed_trainings_nb101", "Ours", "NAS-Bench-101's failed trainings, and the losses of Table 7 with and without them"),
    ("width_nb101", "Ours", "NAS-Bench-101: statistics of narrow networks in place of wide ones"),
    ("mixed_precision_ranks", "Ours", "bit configurations: rank by each method against measured accuracy"),
    ("mixed_precision_fronts", "Ours", "bit configurations: what each method would pick at each size"),
    ("nds_nb301", "Ours", "Network Design Spaces: input lengths, and proxies of 725 DARTS cells beside published ones"),
    ("model_zoo", "Ours", "torchvision's ImageNet classifiers: proxies, and ParZC+ from a few published accuracies"),
    ("label_free", "Ours", "ranking without labels: tau and nDCG of an order that is chosen on other spaces"),
    ("stability", "Ours", "proxies and nodes over initialisations, batches and noise"),
)


def readme_summary(profile: str = "full") -> str:
    """A Markdown table: per table and figure what it shows, its key cells (paper → ours [interval] verdict), minutes.

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
    for name, title, what in FIGURES:
        drawn = (folder / f"{name}.png").is_file()
        link = f"[{name}.png]({shown_folder}/{name}.png)" if drawn else "not drawn yet"
        lines.append(f"| {title} | {what} | {link} | | |")
    return "\n".join(lines) + "\n"


def readme_claims() -> str:
    """The claims that matter most as a Markdown list, below how many hold; from the committed rows, whatever was run."""
    return f"{claims.summary(claims.judged_claims())}:\n\n{claims.key_claims(notebooks='notebooks/')}\n"


def readme_added() -> str:
    """What this project adds to the paper, as a Markdown list; from the committed rows, whatever was run."""
    return "\n".join(beyond.added(notebooks="notebooks/")) + "\n"


def update_readme(profile: str = "full") -> bool:
    """Put the claims and what is added into README.md, the summary into results/README.md; whether that changed a file.

    Raises BadInput where one of them lacks the lines around its block.
    """
    texts = {"claims": readme_claims(), "added": readme_added(), "summary": readme_summary(profile)}
    return any([blocks.put(_file(name), name, text) for name, text in texts.items()])


def _key_cells(table: str, frame: pd.DataFrame) -> Iterable[str]:
    """The key cells in words; with them those rows of ours that vary the key row ("ParZC (aligned)" beside "ParZC")."""
    if table not in KEY_CELLS:
        return ["settings as printed"]
    row, pairs = KEY_CELLS[table]
    block = {}
    for part in view(frame).blocks:
        for line in part.lines:
            for heading, cell in zip(part.columns, line.cells, strict=True):
                block[(line.name, heading.name, heading.label)] = cell
    variants = [
        name for name in dict.fromkeys(frame["row"]) if name == row or name.startswith((f"{row} (", f"{row}, "))
    ]
    words = []
    for name in variants:
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


def readme_block(name: str = "summary") -> str | None:
    """What stands in a block of FILES; None without the block."""
    return blocks.get(_file(name), name)
