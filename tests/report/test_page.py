"""The report: every printed value and origin is in it, nothing is fetched, names are escaped; tables agree."""

import json
import re

import pandas as pd
import pytest
from bs4 import BeautifulSoup, Tag
from report_rows import CELL, put

from parzc_core import paper, paths
from parzc_core.drawing import cells as cells_
from parzc_core.drawing import style as style_
from parzc_core.errors import UnknownName
from parzc_core.paper.claims import CLAIMS
from parzc_core.report import page as report
from parzc_core.report import readme
from parzc_core.storage import rows

NASTY = 'run <b>"twice"</b> & | more_$5\\'


def page(profile: str = "full") -> BeautifulSoup:
    return BeautifulSoup(report.build(profile).read_text(), "html.parser")


def section(soup: BeautifulSoup, name: str) -> Tag:
    found = soup.find(id=name)
    assert isinstance(found, Tag)
    return found


def cell(soup: BeautifulSoup, table: str, row: str, at: int) -> Tag:
    """The at-th cell of a row, by the row's name without its marks."""
    for line in section(soup, table).select(".paper-table tbody tr"):
        head = line.select_one("th")
        assert head is not None
        if next(head.stripped_strings) == row:
            return line.select("td")[at]
    raise AssertionError(f"no row {row!r} in {table}")


def texts(tag: Tag) -> str:
    return " ".join(tag.stripped_strings)


def test_claims_open_the_page_each_with_verdict_place_links_command_and_minutes(project):
    losses = {"MSE": 60.0, "Rank": 72.0, "DiffKendall": 70.0}
    others = [row for row in dict.fromkeys(paper.printed("table07")["row"]) if row not in losses]
    found = losses | dict.fromkeys(others, 60.0)
    put("table07", *({"row": row, "column": "NB101-CF10 178", "value": tau} for row, tau in found.items()), minutes=44)
    notebook("table07_losses", ["table07"])
    soup = page()
    first = soup.find("section")
    assert isinstance(first, Tag)
    assert (first["id"], len(first.select(".claim"))) == ("claims", len(CLAIMS))
    card = section(soup, "claim-loss")
    assert card["class"] == ["claim", "holds-in-part"]
    opening = "◐ holds in part DiffKendall alone is the best loss True in 5 of 6 comparisons, false in 1: +10.0"
    assert texts(card).startswith(opening)
    assert "Table 7 , table07_losses , parzc run table07_losses --profile full , 44 CPU-minutes" in texts(card)
    assert "Rule: Kendall's tau, on the same splits" in texts(card)
    assert card.select_one("svg.bars")
    assert [str(link["href"]) for link in card.select("a")] == ["#table07", "../notebooks/table07_losses.ipynb"]
    assert texts(section(soup, "claim-mixer")).startswith("○ not testable here")
    assert f"Of {len(CLAIMS)} claims 1 holds, 1 holds in part, 0 fail" in texts(first)
    assert first.select(".banner") == []


def test_a_smaller_profile_says_whose_claims_these_are(project):
    lower = {"row": "Mixer", "value": 50.0}, {"row": "MLP", "value": 60.0}
    put("table06", *({"column": "NB201-CF10 78", **row} for row in lower))
    higher = {"row": "Mixer", "value": 90.0}, {"row": "MLP", "value": 60.0}
    put("table06", *({"column": "NB201-CF10 78", **row} for row in higher), profile="smoke")
    soup = page("smoke")
    (banner,) = section(soup, "claims").select(".banner")
    assert "those of the committed results (profile full). This run of profile smoke" in texts(banner)
    assert texts(section(soup, "claim-mixer")).startswith("✘ fails")


def test_a_preliminary_claim_says_why(project):
    mixer = {"row": "Mixer", "value": 90.0, "runs": 2}, {"row": "MLP", "value": 60.0, "epochs": 20, "published_epochs": 200}
    put("table06", *({"column": "NB201-CF10 78", **row} for row in mixer))
    card = texts(section(page(), "claim-mixer"))
    assert card.startswith("✔ holds preliminary")
    assert "Preliminary: fewer than 5 runs in 1 of the 2 rows read; fewer epochs than published in 1 of the 2" in card


def test_with_nothing_run_every_printed_value_is_there_and_quoted(project):
    soup = page()
    for name in paper.table_names():
        shown = section(soup, name).select("td.cell")
        printed = paper.printed(name)
        printed = printed[printed["value"].notna() | (printed["metric"] == "text")]  # what is printed empty is empty here
        assert len(shown) == len(printed), name
        assert [texts(badge) for badge in section(soup, name).select(".badge")] == ["quoted"] * len(printed), name
        values = [next(tag.stripped_strings) for tag in shown]
        numbers = (
            sorted(float(value) for value in values if re.fullmatch(r"-?\d+(\.\d+)?", value))
            if name != "table10"
            else []
        )
        expected = sorted(printed["value"].dropna())
        assert numbers == pytest.approx(expected), name
        spreads = re.findall(r"±([\d.]+)", texts(section(soup, name)))
        assert sorted(map(float, spreads)) == pytest.approx(sorted(printed["spread"].dropna())), name
        assert "every value is quoted" in texts(section(soup, name))
        assert paper.caption(name) in texts(section(soup, name))
    assert texts(cell(soup, "table10", "Depth", 0)) == "[2, 8] quoted"
    assert texts(cell(soup, "table08", "NP", 3)).startswith("50.50")  # the printed zero is kept
    assert "NAS-Bench-201" in texts(section(soup, "inconsistencies"))
    assert not list(project.rglob("table.*"))


def test_the_page_fetches_nothing(project):
    style_.save_figure(cells_.cell_graph(CELL), "fig02_importance", "full")
    put("table06", {"column": "NB201-CF10 78", "row": "NP", "note": "see http://example.org"})
    html = report.build("full").read_text()
    soup = BeautifulSoup(html, "html.parser")
    assert soup.find_all(["link", "iframe", "object", "embed", "base"]) == []
    (script,) = soup.find_all("script")
    assert script.attrs == {}
    assert not re.search(r"fetch|XMLHttpRequest|import|https?:|innerHTML|eval", script.text)
    targets = [
        str(tag.get(key)) for tag in soup.find_all(True) for key in ("src", "href", "srcset", "data") if tag.get(key)
    ]
    assert targets
    for target in targets:
        assert target.startswith(("#", "data:image/png;base64,", "../", "notebooks/")), target[:60]
    style = soup.find("style")
    assert isinstance(style, Tag)
    assert "url(" not in style.text
    assert "@import" not in style.text
    for target in targets:
        if target.startswith("#"):
            assert soup.find(id=target[1:]), target


def test_a_cell_shows_paper_ours_interval_delta_verdict_and_origin(project):
    put(
        "table01",
        {
            "value": 75.0,
            "ci_low": 74.0,
            "ci_high": 76.5,
            "n": 5,
            "std": 1.23456,
            "note": "judged on validation accuracy",
        },
        {"metric": "spearman", "value": 91.0, "ci_low": 90.0, "ci_high": 92.0, "origin": "recreated"},
        {"row": "Plain", "value": -3.0},
        {"row": "SNIP", "value": None, "origin": "unavailable", "note": "out of memory"},
        minutes=12.34,
    )
    soup = page()
    spearman, kendall = (cell(soup, "table01", "ParZC", at) for at in (2, 3))
    assert texts(kendall) == "70.6 75.0 [74.0, 76.5] +4.4 ▲ higher reproduced c std 1.235, n = 5"
    assert "v-higher" in kendall["class"]
    assert texts(spearman) == "90.4 91.0 [90.0, 92.0] +0.6 ≈ matches recreated n = 1"
    assert "+ new ours" in texts(cell(soup, "table01", "Plain", 3))
    assert texts(cell(soup, "table01", "SNIP", 3)).startswith("43.0 unavailable")
    assert texts(cell(soup, "table01", "Params", 0)) == "37.0 quoted"
    for shown in section(soup, "table01").select("td.cell"):
        (badge,) = shown.select(".badge")
        assert texts(badge) in rows.ORIGINS
    assert "12.3 CPU-minutes" in texts(section(soup, "table01"))
    assert "c judged on validation accuracy" in texts(section(soup, "table01"))
    overview = texts(section(soup, "dashboard"))
    assert "1 reproduced" in overview
    assert "2 of 182" in overview
    assert "▲ 1 higher" in overview


def test_the_paper_table_keeps_its_layout_when_rows_are_added(project):
    put("table01", {"row": "Plain"}, {"row": "Jacov", "value": None, "origin": "unavailable", "note": "no"})
    soup = page()
    (table,) = section(soup, "table01").select(".paper-table")
    heads = [th.text for th in table.select("tr.upper th")]
    assert heads == ["", *dict.fromkeys(paper.printed("table01")["column"])]
    assert {th["colspan"] for th in table.select("tr.upper th[colspan]")} == {"2"}
    assert [th.text for th in table.select("thead tr:last-child th")] == ["", *["Spearman (%)", "Kendall (%)"] * 7]
    for name in paper.table_names():  # printed columns stay together
        assert len(section(soup, name).select(".paper-table")) == 1
    words = [th.text for th in section(soup, "table03").select("tr.upper th")]
    assert words[-2:] == ["method", "applicable space"]


def test_notes_are_given_once_and_stand_where_they_hold(project):
    note = "judged on validation accuracy"
    put(
        "table06",
        *(
            {"row": "MLP", "column": "NB201-CF10 78", "metric": metric, "note": note}
            for metric in ("kendall", "spearman")
        ),
        {"row": "NP", "column": "NB201-CF10 78", "note": note},
    )
    soup = page()
    notes = [texts(item) for item in section(soup, "table06").select(".notes li")]
    assert notes == ["All cells: the caption calls the spread a standard deviation", f"a {note}"]
    assert "a" not in texts(cell(soup, "table06", "MLP", 0)).split()  # the row says it
    assert "reproduced a" in texts(cell(soup, "table06", "NP", 0))


def test_results_of_full_stand_in_and_the_header_says_so(project):
    put("table07", {"row": "MSE", "column": "NB101-CF10 178", "value": 61.0})
    put("table08", {"row": "NP", "column": "Run1", "value": 33.0})
    put("table08", {"row": "NP", "column": "Run1", "value": 44.0}, profile="standard")
    soup = page("standard")
    assert "From profile full" in texts(section(soup, "table07"))
    assert "61.00" in texts(cell(soup, "table07", "MSE", 0))
    assert "Results of profile standard" in texts(section(soup, "table08"))
    assert "44.00" in texts(cell(soup, "table08", "NP", 0))
    assert (paths.RESULTS / "standard" / "table08" / "table.md").is_file()
    assert not (paths.RESULTS / "standard" / "table07").exists()


def test_a_smaller_profile_shows_the_committed_verdicts(project):
    put("table06", {"row": "NP", "column": "NB201-CF10 78", "value": 60.0}, profile="standard")
    put("table06", {"row": "NP", "column": "NB201-CF10 78", "value": 34.0})
    soup = page("standard")
    assert "○ not judged: a profile below full" in texts(cell(soup, "table06", "NP", 0))
    line = section(soup, "dashboard").select(".overview tbody tr")[5]
    assert "≈ 1 matches" in texts(line)
    assert "not judged" not in texts(line)
    assert "those of the committed profile full" in texts(section(soup, "dashboard"))


def test_names_and_notes_are_escaped_everywhere(project):
    put("table06", {"row": NASTY, "column": "NB201-CF10 78", "note": NASTY + "!"})
    soup = page()
    assert soup.find("b", string='"twice"') is None
    assert NASTY in texts(section(soup, "table06"))
    folder = paths.RESULTS / "full" / "table06"
    markdown = (folder / "table.md").read_text()
    line = next(line for line in markdown.splitlines() if line.startswith("| run"))
    assert len(re.findall(r"(?<!\\)\|", line)) == 4  # a row of three columns: no pipe of the name counts
    assert "<b>" not in markdown
    latex = (folder / "table.tex").read_text()
    assert r"\textless{}b\textgreater{}" in latex
    assert r"\& \textbar{} more\_\$5\textbackslash{}" in latex
    frame = pd.read_csv(folder / "table.csv", index_col="row")
    assert frame.loc[NASTY, "ours"] == 50.0


def notebook(name: str, makes: list[str], **meta: object) -> None:
    cells = [
        {"cell_type": "code", "metadata": {"tags": ["parameters"]}, "source": "profile = 'standard'", "outputs": []}
    ]
    content = {"cells": cells, "metadata": {"parzc": {"title": f"About {name}", "makes": makes, "order": 1, **meta}}}
    paths.write_whole(paths.NOTEBOOKS / f"{name}.ipynb", json.dumps(content | {"nbformat": 4, "nbformat_minor": 5}))


def test_status_minutes_error_and_page_of_notebooks(project):
    notebook("table06", ["table06"])
    notebook("fig06_tsne", ["fig06b_tsne"])
    notebook("waiting", ["table09"])
    folder = paths.REPORT / "notebooks" / "smoke"
    paths.write_whole(folder / "table06.status.json", json.dumps({"status": "ok", "minutes": 1.25, "error": None}))
    paths.write_whole(folder / "table06.html", "<p>done</p>")
    failed = {"status": "failed", "minutes": 0.5, "error": "ValueError: a < b"}
    paths.write_whole(folder / "fig06_tsne.status.json", json.dumps(failed))
    soup = page("smoke")
    overview = {texts(line.select("td")[0]): line for line in section(soup, "dashboard").select("tbody tr")}
    assert "ok" in texts(overview["Table 6"])
    assert "1.2" in texts(overview["Table 6"])
    link = overview["Table 6"].select_one("a[href^=notebooks]")
    assert link is not None
    assert (paths.REPORT / str(link["href"])).is_file()
    assert "failed" in texts(overview["fig06b_tsne"])
    assert "not run" in texts(overview["Table 9"])
    listed = section(soup, "notebooks")
    assert "ValueError: a < b" in texts(listed)
    assert [texts(line.select("td")[2]) for line in listed.select("tbody tr")] == ["failed", "ok", "not run"]


def test_a_skipped_notebook_is_told_quietly_and_its_tables_are_quoted(project):
    reason = "no labels of nb101 <here>; get them"
    notebook("table02", ["table02", "table07", "table09", "fig06a_tsne"])
    record = {"status": "skipped", "minutes": None, "error": reason}
    paths.write_whole(paths.REPORT / "notebooks" / "smoke" / "table02.status.json", json.dumps(record))
    put("table07", {"row": "MSE", "column": "NB101-CF10 178", "value": 61.0}, minutes=4.5)
    put("table09", {"row": "NP", "column": "NB101-CF10 178", "value": 52.0}, profile="smoke")
    soup = page("smoke")

    (line,) = section(soup, "notebooks").select("tbody tr")
    assert [texts(cell) for cell in line.select("td")][:4] == [
        "table02",
        f"About table02 Skipped: {reason}",
        "skipped",
        "–",
    ]
    assert line.select("details, pre, .failed") == []
    assert soup.select("span.failed") == []

    assert "Skipped on this machine ( why ): every value is quoted" in texts(section(soup, "table02"))
    assert {texts(badge) for badge in section(soup, "table02").select(".badge")} == {"quoted"}
    assert "Not run yet: every value is quoted" in texts(section(soup, "table03"))
    assert "From profile full" in texts(section(soup, "table07"))
    overview = {
        str(anchor["href"])[1:]: [texts(cell) for cell in line.select("td")][2:4]
        for line in section(soup, "dashboard").select(".overview tbody tr")
        if (anchor := line.select_one("a"))
    }
    assert overview["table02"] == ["skipped", "–"]
    assert overview["table07"] == ["skipped (from profile full)", "4.5"]
    assert overview["table09"] == ["skipped (results of an earlier run)", "–"]


def test_figures_are_embedded_with_a_link_to_their_pdf(project):
    style_.save_figure(cells_.cell_graph(CELL), "fig04_rank_correlation", "full")
    style_.save_figure(cells_.cell_graph(CELL), "my_own", "smoke")
    soup = page("smoke")
    drawn = section(soup, "fig04_rank_correlation")
    assert drawn.select_one("img[src^='data:image/png;base64,']")
    assert "from profile full" in texts(drawn)
    pdf = drawn.select_one("a[href$='.pdf']")
    assert pdf is not None
    assert (paths.REPORT / str(pdf["href"])).resolve().is_file()
    assert section(soup, "my_own").select_one("img")
    assert "Not drawn yet" in texts(section(soup, "fig08_rank_correlation"))


def test_building_twice_gives_the_same_bytes(project):
    put("table06", {"row": "NP", "column": "NB201-CF10 78"}, minutes=3)
    first = report.build("full").read_bytes()
    tables = {file: file.read_bytes() for file in paths.RESULTS.rglob("table.*")}
    assert report.build("full").read_bytes() == first
    assert tables == {file: file.read_bytes() for file in paths.RESULTS.rglob("table.*")}
    assert len(tables) == 3


def test_an_unknown_profile_is_refused(project):
    with pytest.raises(UnknownName, match="fastest"):
        report.build("fastest")
    with pytest.raises(UnknownName, match="fastest"):
        readme.readme_summary("fastest")


def test_a_run_without_a_number_is_told_from_one_that_could_not_be_made(project):
    put("table06", {"row": "NP", "column": "NB201-CF10 78", "value": None, "note": "the score was constant"})
    assert texts(cell(page(), "table06", "NP", 0)).startswith("34.29 ±0.42 (variance) no value")


def test_a_difference_that_rounds_to_zero_has_no_minus(project):
    put("table01", {"value": 70.58})
    assert "+0.0 ≈ matches" in texts(cell(page(), "table01", "ParZC", 3))


def test_a_dozen_numbers_stand_beside_the_claims(project):
    put(
        "table03",
        {"row": "RS (w/o sharing)", "column": "CIFAR-10", "metric": "test_accuracy", "value": 93.0},
        {"row": "Optimal", "column": "CIFAR-10", "metric": "test_accuracy", "value": 94.5},
        {"column": "CIFAR-10", "metric": "test_accuracy", "value": 93.75, "ci_low": 93.3, "ci_high": 94.2},
    )
    put("table01", {"value": 75.0, "ci_low": 74.0, "ci_high": 76.5})
    dots = {texts(dot): dot for dot in section(page(), "claims").select("a.dot")}
    (tau,) = [dot for said, dot in dots.items() if said == "NAS-Bench-201, CIFAR-10 Table 1 70.6 → 75.0"]
    assert tau["href"] == "#table01"
    (share,) = [dot for said, dot in dots.items() if said.startswith("CIFAR-10 Table 3")]
    assert texts(share).endswith("→ 0.50")
    ends = {mark["class"][0]: mark["style"] for mark in share.select(".track i") if mark["class"] != ["tick"]}
    assert ends["range"] == "left:20.0%;width:60.0%"
    assert ends["ours-dot"] == "left:50.0%"
    assert sum("not run" in said for said in dots) == len(dots) - 2 == 9


def test_results_of_ours_have_tables_too_below_those_of_the_paper(project):
    notebook("study", ["study"])
    cells = [{"row": "a", "column": "x", "value": 12.5}, {"row": "b", "column": "x", "value": 13.0}]
    other = {"row": "c", "column": "y", "metric": "cpu_hours", "unit": "h", "value": 0.00046}
    put("study", *({**cell, "origin": "ours", "note": "judged\nhere"} for cell in (*cells, other)), minutes=2)
    soup = page()
    shown = section(soup, "study-numbers")
    assert texts(shown.select("h2")[0]) == "Study. About study"
    blocks = shown.select(".paper-table")
    assert [[texts(th) for th in block.select("tbody th")] for block in blocks] == [["a", "b"], ["c"]]
    assert [texts(th) for th in blocks[1].select("thead tr:last-child th")] == ["", "CPU-hours"]
    assert texts(blocks[1].select("td.cell")[0]).startswith("0.00046 ours")
    assert shown.select(".verdict") == []
    links = {texts(link): str(link["href"]) for link in shown.select(".links a")}
    assert list(links) == ["CSV", "LaTeX", "rows", "notebook"]
    assert all((paths.REPORT / address).resolve().is_file() for address in links.values())


def test_what_a_table_can_be_sorted_and_filtered_by_stands_in_its_cells(project):
    put("table01", {"value": 75.0, "ci_low": 74.0, "ci_high": 76.5, "note": "said"}, {"row": "Plain", "value": -3.0})
    soup = page()
    mine = cell(soup, "table01", "ParZC", 3)
    assert (mine["data-v"], mine["data-k"], mine["data-o"]) == ("75.0", "higher", "reproduced")
    quoted = cell(soup, "table01", "Params", 0)
    assert (quoted["data-v"], quoted["data-k"], quoted["data-o"]) == ("37.0", "", "quoted")
    form = section(soup, "table01").select_one("form.tools")
    assert form is not None
    assert [texts(one) for one in form.select("select[name=origin] option")] == ["any origin", "reproduced", "quoted", "ours"]
    for mark in section(soup, "table01").select(".marks a"):
        assert soup.find(id=str(mark["href"])[1:]), mark


def test_a_cell_of_a_smaller_profile_says_whether_it_agrees(project):
    for profile, values in (("standard", (60.0, 40.0)), ("full", (61.0, 50.0))):
        cells = zip(("NP", "MLP"), values, strict=True)
        put("table06", *({"row": row, "column": "NB201-CF10 78", "value": value} for row, value in cells), profile=profile)
    soup = page("standard")
    assert "agrees with committed" in texts(cell(soup, "table06", "NP", 0))
    differs = cell(soup, "table06", "MLP", 0)
    assert "differs with committed" not in texts(differs)
    assert "differs from committed" in texts(differs)
    assert differs["data-k"] == "differs"
    assert "profile standard, with smaller models" in texts(section(soup, "claims").select(".banner")[0])


def test_pictures_have_a_size_and_a_message_with_computed_numbers(project):
    style_.save_figure(cells_.cell_graph(CELL), "study", "full")
    said = "It reaches {study: a | x | kendall}. It is cheap ({study: b | x | kendall})."
    notebook("study", ["study"], captions={"study": said})
    put("study", {"row": "a", "column": "x", "value": 12.56, "origin": "ours"})
    shown = section(page(), "study")
    picture = shown.select_one("img")
    assert picture is not None
    assert int(str(picture["width"])) > int(str(picture["height"])) > 50
    assert "Study. It reaches 12.6." in texts(shown)
    assert "cheap" not in texts(shown)
