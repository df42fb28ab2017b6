"""Executed notebook -> one HTML file that needs no network: pictures and formulas are embedded, whatever could run is taken out.

nbconvert's page loads MathJax, require.js and Mermaid from the web. Here formulas are drawn as SVG by matplotlib's
mathtext instead; one that mathtext cannot draw stays readable as its LaTeX source.
"""

import base64
import html
import io
import re

from bs4 import BeautifulSoup
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import math_to_image
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import IPythonRenderer, MarkdownWithMath
from nbformat import NotebookNode

_INLINE_POINTS, _BLOCK_POINTS = 10.5, 13.0


def formula(latex: str, points: float = _INLINE_POINTS) -> str:
    """HTML of a formula given without its dollar signs: an embedded SVG on the baseline of the text, or the source."""
    source = " ".join(latex.split())
    picture = io.BytesIO()
    try:
        depth = math_to_image(f"${source}$", picture, prop=FontProperties(size=points), format="svg")
    except ValueError:  # outside the subset that mathtext knows
        return f"<code>{html.escape(source)}</code>"
    data = base64.b64encode(picture.getvalue()).decode()
    return (
        f'<img class="formula" alt="{html.escape(source)}" src="data:image/svg+xml;base64,{data}" '
        f'style="display:inline;max-width:100%;vertical-align:-{depth:.2f}pt"/>'
    )


class _Renderer(IPythonRenderer):
    """nbconvert's own Markdown renderer, but for its formulas."""

    def inline_math(self, body: str) -> str:
        return formula(body)

    def block_math(self, body: str) -> str:
        return f'<span style="display:block;text-align:center;margin:.8em 0">{formula(body, _BLOCK_POINTS)}</span>'


def _markdown(source: str) -> str:
    renderer = _Renderer(escape=False, embed_images=True, exclude_anchor_links=True)
    return MarkdownWithMath(renderer=renderer).render(source)


# What can run, fetch, or stand in for another page.
_ACTIVE = ("script", "iframe", "frame", "object", "embed", "applet", "base", "link", "form")
_ADDRESSES = ("href", "src", "xlink:href", "action", "formaction", "data", "poster", "background", "to", "values", "from")
_SCHEME = re.compile(r"(?:javascript|vbscript):|data:(?!image/(?:png|jpeg|gif|webp|svg\+xml)[;,])", re.IGNORECASE)
_BACK = '<p style="margin:.6rem 1rem 0;font:15px sans-serif"><a href="{address}">← ParZC, reproduced: the report</a></p>'


def to_html(notebook: NotebookNode, title: str, report: str = "") -> str:
    """The notebook as a self-contained page with JupyterLab's look. report: address of the report, to which it links back."""
    exporter = HTMLExporter(template_name="lab", embed_images=True, filters={"markdown2html": _markdown})
    page, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": title}})
    soup = sanitised(page)
    if report and soup.body:
        soup.body.insert(0, BeautifulSoup(_BACK.format(address=html.escape(report)), "html.parser"))
    return str(soup)


def sanitised(page: str) -> BeautifulSoup:
    """The page without anything that runs or loads another page: scripts, frames, event handlers, srcdoc, script addresses."""
    soup = BeautifulSoup(page, "html.parser")
    for tag in soup.find_all(True):
        if tag.decomposed:
            continue
        if tag.name in _ACTIVE or (tag.name == "meta" and str(tag.get("http-equiv", "")).lower() == "refresh"):
            tag.decompose()
            continue
        for name in list(tag.attrs):
            value = re.sub(r"[\x00-\x20\x7f-\x9f]", "", str(tag[name]))  # a browser ignores them in a scheme
            active = name.lower().startswith("on") or name.lower() == "srcdoc"
            if active or (name.lower() in _ADDRESSES and _SCHEME.match(value)):
                del tag[name]
    return soup
