"""report/index.html: the paper's claims, and every table and figure beside ours, in one page that needs no network.

`build(profile)` gathers and fills template.html. Results the profile does not have are taken from the committed
profile "full", and the page says so; what was never run is quoted from the paper. `readme.update_readme` makes what
READMEs say from the same rows.
"""

import base64
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import mistune
import pandas as pd
from markupsafe import Markup

from parzc_core import __version__, artifact, paper, paths
from parzc_core.profiles import profile as profile_named
from parzc_core.report import agreement, claims, comparison, verdicts
from parzc_core.report.layout import TableView, view
from parzc_core.report.tables import table_title, write_tables
from parzc_core.report.verdicts import NOT_JUDGED
from parzc_core.storage import rows

# What the paper's figures show; any other PNG in the folder of figures is shown under its own name.
FIGURE_TEXTS = {
    "fig02_importance": "Figure 2. Impurity importance of each node in boosted trees, along depth: three proxies",
    "fig04_rank_correlation": "Figure 4. Predicted rank against true accuracy, NAS-Bench-201; the best are starred",
    "fig05_importance": "Figure 5. Impurity importance of each node, along depth: six proxies",
    "fig06a_tsne": "Figure 6a. t-SNE of node-wise statistics, a panel a proxy, NAS-Bench-101",
    "fig06b_tsne": "Figure 6b. t-SNE of node-wise statistics, a panel a proxy, NAS-Bench-201",
    "fig07_bayesian_weights": "Figure 7. Sampled weights of a Bayesian layer, a panel a neuron, with mean and spread",
    "fig08_rank_correlation": "Figure 8. Predicted rank against true accuracy, a data set a column; below, the top",
    "stability": "Stability. Proxies over initialisations, batches and noise; how far each node's value moves",
}
MORE_FIGURES = ("fig06a_tsne",)  # told about once it is there


@dataclass(frozen=True)
class Notebook:
    """How a notebook ended. state: "ok", "failed", "skipped" or "not run"; error: why it failed or was skipped, or "".

    page: its HTML relative to the report, or "".
    """

    name: str
    title: str
    makes: tuple[str, ...]
    state: str
    minutes: float | None
    error: str
    page: str


@dataclass(frozen=True)
class Table:
    """One table of the paper as the page shows it. shown_profile: whose rows these are, "" for none.

    counts: as in `comparison.summary`; where these rows are of a profile below "full", its verdicts as committed.
    reasons: why cells are not judged, and how many.
    """

    name: str
    title: str
    caption: str
    view: TableView
    counts: Mapping[str, int]
    reasons: Mapping[str, int]
    shown_profile: str
    minutes: float | None
    notebook: Notebook | None


@dataclass(frozen=True)
class Picture:
    """One figure. data: the PNG as a data URI, "" if it was not drawn; pdf: path relative to the report, or ""."""

    name: str
    caption: str
    data: str
    pdf: str
    shown_profile: str
    notebook: Notebook | None


def build(profile: str) -> Path:
    """Write report/index.html (and the rendered tables beside the rows of `profile`); the path of the page.

    Raises UnknownName for a profile there is not, BadInput where rows break their schema.
    """
    profile = profile_named(profile).name
    write_tables(profile)
    notebooks = _notebooks(profile)
    beside = agreement.agreement(profile)
    tables, figures = _tables(profile, notebooks), _figures(profile, notebooks)
    judged = claims.judged_claims()
    loader = jinja2.FileSystemLoader(Path(__file__).parent)
    environment = jinja2.Environment(
        loader=loader, autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["minutes"] = lambda value: "–" if value is None else f"{value:.1f}"
    page = environment.get_template("template.html").render(
        profile=profile,
        version=__version__,
        claims=judged,
        claims_summary=claims.summary(judged),
        claim_counts=claims.counts(judged),
        titles={table.name: table.title for table in tables} | {figure.name: figure.name for figure in figures},
        sources=_sources(notebooks),
        tables=tables,
        figures=figures,
        notebooks=notebooks,
        origins=rows.ORIGINS,
        verdicts=(*comparison.JUDGED, NOT_JUDGED, "new"),
        totals=_total(table.counts for table in tables),
        reasons=_reasons(tables),
        rule=verdicts,
        beside=beside,
        committed_verdicts=profile not in verdicts.JUDGED_PROFILES,
        agreeing=agreement.sentence(beside),
        differing=beside[~beside["agrees"]].to_dict("records"),
        inconsistencies=_markdown(paper.INCONSISTENCIES),
    )
    return paths.write_whole(paths.REPORT / "index.html", page)


def _total(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    return {str(name): int(value) for name, value in pd.DataFrame(list(counts)).sum().items()}


def _reasons(tables: Iterable[Table]) -> dict[str, int]:
    """Why cells of the tables shown are not judged, and how many, most first."""
    found: Counter[str] = Counter()
    for table in tables:
        found.update(table.reasons)
    return dict(found.most_common())


def _notebooks(profile: str) -> list[Notebook]:
    """The notebooks of the project in their order, each with how its last run in this profile ended."""
    found = []
    for item in artifact.discover():
        status: dict[str, Any] = {}
        if item.status_file(profile).is_file():
            status = json.loads(item.status_file(profile).read_text())
        page = item.output(profile).with_suffix(".html")
        link = page.relative_to(paths.REPORT).as_posix() if page.is_file() else ""
        state = str(status.get("status", "not run"))
        error = str(status.get("error") or "")
        found.append(Notebook(item.name, item.title, item.makes, state, status.get("minutes"), error, link))
    return found


def _sources(notebooks: Iterable[Notebook]) -> dict[str, str]:
    """{notebook: its executed page, or else the notebook itself}, relative to the report."""
    folder = Path(os.path.relpath(paths.NOTEBOOKS, paths.REPORT)).as_posix()
    return {notebook.name: notebook.page or f"{folder}/{notebook.name}.ipynb" for notebook in notebooks}


def _maker(notebooks: Iterable[Notebook], made: str) -> Notebook | None:
    return next((notebook for notebook in notebooks if made in notebook.makes), None)


def _tables(profile: str, notebooks: list[Notebook]) -> list[Table]:
    summaries = {name: comparison.summary(name, paths.RESULTS).set_index("table") for name in {profile, "full"}}
    tables = []
    for name in paper.table_names():
        shown = next((chosen for chosen in (profile, "full") if summaries[chosen].loc[name, "run"]), "")
        counts: dict[Any, Any] = summaries[shown or profile].loc[name].to_dict()
        frame = comparison.compare(name, shown or profile, paths.RESULTS)
        minutes = float(counts["minutes"])
        judged = frame
        if shown and shown not in verdicts.JUDGED_PROFILES and summaries["full"].loc[name, "run"]:
            judged = comparison.compare(name, "full", paths.RESULTS)
            counts |= summaries["full"].loc[name, [*comparison.JUDGED, NOT_JUDGED]].to_dict()
        tables.append(
            Table(
                name,
                table_title(name),
                paper.caption(name),
                view(frame),
                {key: int(counts[key]) for key in counts if key not in ("caption", "run", "minutes")},
                Counter(judged.loc[judged["verdict"] == NOT_JUDGED, "reason"]),
                shown,
                None if pd.isna(minutes) else minutes,
                _maker(notebooks, name),
            )
        )
    return tables


def _figures(profile: str, notebooks: list[Notebook]) -> list[Picture]:
    """The paper's figures first, drawn or not, then whatever else was drawn, by name."""
    folders = {"full": paths.FIGURES, profile: paths.RESULTS / profile / "figures"} | {"full": paths.FIGURES}
    drawn = sorted({file.stem for folder in folders.values() for file in folder.glob("*.png")})
    names = [name for name in FIGURE_TEXTS if name in drawn or name not in MORE_FIGURES]
    pictures = []
    for name in [*names, *(name for name in drawn if name not in FIGURE_TEXTS)]:
        shown = next((chosen for chosen in (profile, "full") if (folders[chosen] / f"{name}.png").is_file()), "")
        data = pdf = ""
        if shown:
            data = "data:image/png;base64," + base64.b64encode((folders[shown] / f"{name}.png").read_bytes()).decode()
            file = folders[shown] / f"{name}.pdf"
            # The report's folder and those of the figures are side by side, so that the link survives a move of all.
            pdf = Path(os.path.relpath(file, paths.REPORT)).as_posix() if file.is_file() else ""
        caption = FIGURE_TEXTS.get(name, name.replace("_", " "))
        pictures.append(Picture(name, caption, data, pdf, shown, _maker(notebooks, name)))
    return pictures


def _markdown(file: Path) -> Markup:
    """A Markdown file of the project as HTML, its headings two levels down; raw HTML in it is shown, not obeyed."""
    if not file.is_file():
        return Markup("<p>The list is not there.</p>")
    text = "".join(f"##{line}" if line.startswith("#") else line for line in file.read_text().splitlines(keepends=True))
    return Markup(mistune.create_markdown(escape=True, plugins=["table"])(text))
