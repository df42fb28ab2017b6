"""report/index.html: the paper's claims, and every table and figure beside ours, in one page that needs no network.

`build(profile)` gathers and fills template.html. Results the profile does not have are taken from the committed
profile "full", and the page says so; what was never run is quoted from the paper. `readme.update_readme` makes what
READMEs say from the same rows.
"""

import base64
import os
import struct
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
from parzc_core.files import json_files
from parzc_core.profiles import profile as profile_named
from parzc_core.report import agreement, captions, claims, comparison, headline, verdicts
from parzc_core.report.evidence import number
from parzc_core.report.layout import Cell, TableView, view
from parzc_core.report.tables import table_title, write_tables
from parzc_core.report.verdicts import NOT_JUDGED
from parzc_core.storage import rows as results

# What the paper's figures show; any other PNG in the folder of figures is shown under its own name. What a figure says comes from
# its notebook.
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
BANNERS = {
    "smoke": "This page was made by profile smoke, which tests that everything runs and is too small to say anything.",
    "standard": "This page was made by profile standard, with smaller models and fewer splits than the committed results.",
}
_JUDGING = (*comparison.JUDGED, NOT_JUDGED)
_FILES = (("CSV", "table.csv"), ("LaTeX", "table.tex"), ("rows", "rows.csv"))


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
    """One table as the page shows it. shown_profile: whose rows these are, "" for none.

    counts: as of `comparison.printed_counts`; where these rows are of a profile below "full", its verdicts as committed. Empty
    for a result of ours. reasons: why cells are not judged, and how many. links: (word, address relative to the report).
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
    links: tuple[tuple[str, str], ...]

    @property
    def verdicts(self) -> list[str]:
        """What its cells can be filtered by: verdicts, or whether they agree with the committed values; in the page's order."""
        found = {cell.agrees or cell.verdict for cell in self._cells()}
        return [name for name in (*comparison.VERDICTS, "agrees", "differs") if name in found]

    @property
    def origins(self) -> list[str]:
        """The origins of its cells, in the page's order."""
        found = {cell.origin for cell in self._cells()}
        return [name for name in results.ORIGINS if name in found]

    def _cells(self) -> list[Cell]:
        return [cell for block in self.view.blocks for line in block.lines for cell in line.cells if cell is not None]


@dataclass(frozen=True)
class Picture:
    """One figure. data: the PNG as a data URI, "" if it was not drawn; pdf: path relative to the report, or "".

    caption: what it is. message: what it says. width, height: of the PNG, so that the page keeps its place before it is drawn.
    """

    name: str
    caption: str
    message: str
    data: str
    width: int
    height: int
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
    tables, figures = _tables(profile, notebooks, beside), _figures(profile, notebooks)
    own = _own_tables(profile, notebooks, beside)
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
        titles={figure.name: figure.name for figure in figures} | {table.name: table.title for table in (*tables, *own)},
        panels=headline.panels(),
        banner=BANNERS.get(profile, ""),
        number=number,
        script=Markup((Path(__file__).parent / "page.js").read_text(encoding="utf-8")),
        own=own,
        sources=_sources(notebooks),
        tables=tables,
        figures=figures,
        notebooks=notebooks,
        origins=results.ORIGINS,
        verdicts=(*comparison.JUDGED, NOT_JUDGED, "new"),
        totals=comparison.printed_counts(
            pd.concat([comparison.compare(name, profile, paths.RESULTS) for name in paper.table_names()])
        ),
        reasons=_reasons(tables),
        rule=verdicts,
        beside=beside,
        committed_verdicts=profile not in verdicts.JUDGED_PROFILES,
        agreeing=agreement.sentence(beside),
        differing=beside[~beside["agrees"]].to_dict("records"),
        inconsistencies=_markdown(paper.INCONSISTENCIES),
    )
    return paths.write_whole(paths.REPORT / "index.html", page)


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
            status = json_files.load(item.status_file(profile))
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


def _tables(profile: str, notebooks: list[Notebook], beside: pd.DataFrame) -> list[Table]:
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
        counts |= comparison.printed_counts(frame)
        counts |= {verdict: count for verdict, count in comparison.printed_counts(judged).items() if verdict in _JUDGING}
        notebook = _maker(notebooks, name)
        tables.append(
            Table(
                name,
                table_title(name),
                paper.caption(name),
                view(frame, _agreeing(beside, name) if shown == profile else None),
                {key: int(counts[key]) for key in counts if key not in ("caption", "run", "minutes")},
                Counter(judged.loc[judged["verdict"] == NOT_JUDGED, "reason"]),
                shown,
                None if pd.isna(minutes) else minutes,
                notebook,
                _links(name, shown, notebook),
            )
        )
    return tables


def _own_tables(profile: str, notebooks: list[Notebook], beside: pd.DataFrame) -> list[Table]:
    """The results that no table of the paper has, those of notebooks first in their order."""
    there = {chosen: comparison.own_names(chosen, paths.RESULTS) for chosen in ("full", profile)}
    order = [made for notebook in notebooks for made in notebook.makes]
    names = sorted({*there["full"], *there[profile]}, key=lambda name: (name.startswith("fig"), *_place(order, name)))
    tables = []
    for name in names:
        shown = profile if name in there[profile] else "full"
        frame = comparison.own(name, shown, paths.RESULTS)
        if frame.empty:
            continue
        minutes = results.read_manifest(name, shown, paths.RESULTS).get("minutes")
        notebook = _maker(notebooks, name)
        tables.append(
            Table(
                # A figure of the same name has the anchor.
                f"{name}-numbers",
                table_title(name),
                notebook.title if notebook else "",
                view(frame, _agreeing(beside, name) if shown == profile else None),
                {},
                {},
                shown,
                None if minutes is None else float(minutes),
                notebook,
                _links(name, shown, notebook),
            )
        )
    return tables


def _place(order: list[str], name: str) -> tuple[int, str]:
    return (order.index(name) if name in order else len(order), name)


def _agreeing(beside: pd.DataFrame, name: str) -> dict[tuple[str, str, str], bool]:
    """{(row, column, metric): whether it agrees with its committed value} of a result."""
    cells = beside[beside["table"] == name]
    return dict(zip(zip(cells["row"], cells["column"], cells["metric"], strict=True), cells["agrees"], strict=True))


def _links(name: str, shown: str, notebook: Notebook | None) -> tuple[tuple[str, str], ...]:
    """The files behind a table that are there: its renderings and rows, its notebook, and the source of its experiment."""
    folder = paths.RESULTS / shown / name
    files = [(word, folder / file) for word, file in _FILES if shown]
    if notebook:
        executed = paths.REPORT / notebook.page if notebook.page else paths.NOTEBOOKS / f"{notebook.name}.ipynb"
        source = paths.PACKAGE / "experiments" / f"{notebook.name}.py"
        files += [("notebook", executed), ("source", source)]
    return tuple((word, _address(file)) for word, file in files if file.is_file())


def _address(file: Path) -> str:
    """A file's address relative to the report. Their folders are side by side, so that links survive a move of all."""
    return Path(os.path.relpath(file, paths.REPORT)).as_posix()


def _figures(profile: str, notebooks: list[Notebook]) -> list[Picture]:
    """The paper's figures first, drawn or not, then whatever else was drawn, by name."""
    folders = {profile: paths.RESULTS / profile / "figures", "full": paths.FIGURES}
    drawn = sorted({file.stem for folder in folders.values() for file in folder.glob("*.png")})
    names = [name for name in FIGURE_TEXTS if name in drawn or name not in MORE_FIGURES]
    messages = {made: text for item in artifact.discover() for made, text in item.captions.items()}
    pictures = []
    for name in [*names, *(name for name in drawn if name not in FIGURE_TEXTS)]:
        shown = next((chosen for chosen in (profile, "full") if (folders[chosen] / f"{name}.png").is_file()), "")
        data = pdf = message = ""
        width = height = 0
        if shown:
            content = (folders[shown] / f"{name}.png").read_bytes()
            data = "data:image/png;base64," + base64.b64encode(content).decode()
            width, height = struct.unpack(">II", content[16:24])  # of the PNG's first chunk
            file = folders[shown] / f"{name}.pdf"
            pdf = _address(file) if file.is_file() else ""
            message = captions.filled(messages.get(name, ""), agreement.COMMITTED)
            if message and shown != agreement.COMMITTED:
                message = f"In the committed results: {message}"
        caption = FIGURE_TEXTS.get(name, name.replace("_", " ").capitalize())
        pictures.append(Picture(name, caption, message, data, width, height, pdf, shown, _maker(notebooks, name)))
    return pictures


def _markdown(file: Path) -> Markup:
    """A Markdown file of the project as HTML, its headings two levels down; raw HTML in it is shown, not obeyed."""
    if not file.is_file():
        return Markup("<p>The list is not there.</p>")
    lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
    text = "".join(f"##{line}" if line.startswith("#") else line for line in lines)
    return Markup(mistune.create_markdown(escape=True, plugins=["table"])(text))
