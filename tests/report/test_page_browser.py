"""The page in headless Chromium, at two widths, light and dark: it sorts, filters, tells notes, and lands on links."""

import html
import json
import re
import subprocess
from pathlib import Path

import pytest
from browsers import CHROMIUM

from parzc_core import paths
from parzc_core.report import page as report

pytestmark = [pytest.mark.slow, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")]
LOOK = """
const report = {};
const $ = (selector) => document.querySelector(selector), all = (selector) => [...document.querySelectorAll(selector)];
const names = (rows) => rows.map((row) => row.cells[0].textContent.replace(/\\s*i?\\s*$/, "").trim());
const wait = (ms) => new Promise((done) => setTimeout(done, ms));
addEventListener("error", (event) => { report.error = String(event.message); });
addEventListener("load", async () => {
  document.documentElement.style.scrollBehavior = "auto";
  report.width = innerWidth;
  report.dark = matchMedia("(prefers-color-scheme: dark)").matches;
  report.colour = getComputedStyle(document.body).backgroundColor;
  report.overflow = document.documentElement.scrollWidth - innerWidth;
  const rows = () => [...$("#table01 .paper-table tbody").rows];
  report.printed = names(rows());
  const sort = all("#table01 button.sort")[4];
  const values = () => rows().map((row) => row.cells[4].dataset.v).filter(Boolean).map(Number);
  sort.click(); report.down = values();
  sort.click(); report.up = values();
  sort.click(); report.again = names(rows());
  const form = $("#table01 form.tools"), fire = () => form.dispatchEvent(new Event("input", {bubbles: true}));
  const seen = () => names(rows().filter((row) => !row.hidden));
  form.elements.row.value = "syn"; fire(); report.found = seen();
  form.elements.row.value = ""; form.elements.verdict.value = "higher"; fire(); report.higher = seen();
  report.lit = all("#table01 td.cell:not(.dim)").map((cell) => cell.dataset.k);
  form.reset(); await wait(20); report.all = seen().length;
  const cell = all("#table01 td.noted")[3];
  cell.querySelector(".info").focus(); report.focused = $("#balloon").textContent;
  cell.querySelector(".info").blur();
  cell.querySelector(".info").click(); report.tapped = $("#balloon").textContent;
  const box = $("#balloon").getBoundingClientRect();
  report.inside = box.left >= 0 && box.right <= innerWidth;
  document.dispatchEvent(new KeyboardEvent("keydown", {key: "Escape"})); report.closed = $("#balloon").hidden;
  const scroll = $("#table02 .scroll");
  scroll.scrollLeft = 200; scroll.scrollTop = 300; await wait(20);
  const corner = scroll.getBoundingClientRect();
  report.stuckLeft = Math.abs($("#table02 tbody th.name").getBoundingClientRect().left - corner.left);
  report.stuckTop = Math.abs($("#table02 thead").getBoundingClientRect().top - corner.top);
  report.missed = {};
  for (const link of all("header a, a.dot, a.tile")) {
    location.hash = link.hash; await wait(5);
    const at = $(link.hash).getBoundingClientRect(), end = scrollY + innerHeight >= document.documentElement.scrollHeight - 2;
    if (!end && (at.top < 0 || at.top > 120)) report.missed[link.hash] = at.top;
  }
  report.firstScreen = $(".dots").offsetTop;
  parent.postMessage(JSON.stringify(report), "*");
});
"""
# Chromium's window has at least 500 px, a frame in it any width.
FRAME = """<!DOCTYPE html><pre id="out"></pre><script>
addEventListener("message", (event) => { document.getElementById("out").textContent = event.data; });
</script><iframe src="looked.html" style="width:WIDTHpx;height:1000px;border:0"></iframe>"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of the committed results, with the script that looks at it."""
    folder = tmp_path_factory.mktemp("report")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(paths, "REPORT", folder)
        patch.setattr(report, "write_tables", lambda profile: [])
        text = report.build("full").read_text()
    return paths.write_whole(folder / "looked.html", text.replace("</body>", f"<script>{LOOK}</script></body>"))


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [1440, 420])
def test_the_page_in_a_browser(built: Path, width: int, dark: bool) -> None:
    command = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={built.parent / 'browser'}"]
    frame = paths.write_whole(built.with_name(f"{width}.html"), FRAME.replace("WIDTH", str(width)))
    command += ["--window-size=1500,1100", "--virtual-time-budget=20000", "--dump-dom", frame.as_uri()]
    command[1:1] = ["--blink-settings=preferredColorScheme=0"] * dark
    dom = subprocess.run(command, capture_output=True, text=True, timeout=900, check=True).stdout
    found = re.search(r'<pre id="out">(.*?)</pre>', dom, flags=re.DOTALL)
    assert found
    assert found[1], "the script did not come to its end"
    seen = json.loads(html.unescape(found[1]))
    assert "error" not in seen
    assert seen["width"] == width
    assert seen["dark"] == dark
    assert (seen["colour"] == "rgb(18, 22, 27)") == dark
    assert seen["overflow"] <= 0
    assert seen["down"] == sorted(seen["down"], reverse=True)
    assert seen["up"] == sorted(seen["up"])
    assert len(seen["up"]) > 10
    assert seen["again"] == seen["printed"]
    assert seen["found"] == [name for name in seen["printed"] if "syn" in name.lower()]
    assert 0 < len(seen["higher"]) < len(seen["printed"])
    assert set(seen["lit"]) == {"higher"}
    assert seen["all"] == len(seen["printed"])
    assert "judged on" in seen["focused"]
    assert seen["tapped"] == seen["focused"]
    assert seen["inside"]
    assert seen["closed"]
    assert max(seen["stuckLeft"], seen["stuckTop"]) < 3
    assert seen["missed"] == {}
    if width == 1440:
        assert seen["firstScreen"] < 500
