"""The page of an executed notebook: nothing in it runs, and it links back to the report."""

import nbformat
import pytest
from bs4 import BeautifulSoup, Tag

from parzc_core.pipeline.html import sanitised, to_html


@pytest.mark.parametrize(
    "active",
    [
        "<img src='x' onerror='alert(1)'>",
        "<a href='javascript:alert(1)'>x</a>",
        "<a href=' jaVa&#10;script:alert(1)'>x</a>",
        "<a href='vbscript:x'>x</a>",
        "<a href='data:text/html,<script>alert(1)</script>'>x</a>",
        "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
        "<div srcdoc='x' ONCLICK='alert(1)'>x</div>",
        "<svg onload='alert(1)'><a xlink:href='javascript:alert(1)'><text>x</text></a></svg>",
        "<form action='javascript:alert(1)'><button formaction='javascript:alert(1)'>x</button></form>",
        "<object data='javascript:alert(1)'></object><embed src='x'><base href='http://example.org/'>",
        "<meta http-equiv='refresh' content='0;url=javascript:alert(1)'><script>alert(1)</script>",
    ],
)
def test_what_runs_is_taken_out(active: str) -> None:
    soup = sanitised(f"<p>before</p>{active}<p>after</p>")
    for tag in soup.find_all(True):
        assert tag.name not in ("script", "iframe", "object", "embed", "base", "meta", "form")
        for name, value in tag.attrs.items():
            assert not name.lower().startswith("on")
            assert name != "srcdoc"
            assert "script:" not in "".join(str(value).split()).lower()
            assert not str(value).startswith("data:text")
    assert [text for text in soup.stripped_strings if text in ("before", "after")] == ["before", "after"]


def test_pictures_and_links_stay() -> None:
    kept = "<img src='data:image/png;base64,AA=='><a href='https://example.org/javascript:x'>x</a><a href='database/x.html'>y</a>"
    soup = sanitised(kept)
    assert len(soup.find_all(src=True)) == 1
    assert len(soup.find_all(href=True)) == 2


def test_a_notebook_links_back_and_its_outputs_are_sanitised() -> None:
    output = nbformat.v4.new_output("display_data", data={"text/html": "<b onmouseover='alert(1)'>shown</b>"})
    cell = nbformat.v4.new_code_cell("1", outputs=[output])
    text = nbformat.v4.new_markdown_cell("<img src=x onerror=alert(1)> and [a link](javascript:alert(1))")
    page = BeautifulSoup(to_html(nbformat.v4.new_notebook(cells=[cell, text]), "one", "../../index.html"), "html.parser")
    assert isinstance(page.body, Tag)
    link = page.body.select_one("a")
    assert link is not None
    assert (link["href"], link.text) == ("../../index.html", "← ParZC, reproduced: the report")
    assert "shown" in page.text
    assert "onmouseover" not in str(page)
    assert "onerror=" not in str(page)
    assert page.select("[href^='javascript']") == []
