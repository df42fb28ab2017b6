"""Executed notebook -> one HTML file that needs no network: pictures and formulas are embedded, scripts are taken out.

nbconvert's page loads MathJax, require.js and Mermaid from the web. Here formulas are drawn as SVG by matplotlib's
mathtext instead; one that mathtext cannot draw stays readable as its LaTeX source.
"""

import base64
import html
import io

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


def to_html(notebook: NotebookNode, title: str) -> str:
    """The notebook as a self-contained page with JupyterLab's look."""
    exporter = HTMLExporter(template_name="lab", embed_images=True, filters={"markdown2html": _markdown})
    page, _ = exporter.from_notebook_node(notebook, {"metadata": {"name": title}})
    soup = BeautifulSoup(page, "html.parser")
    for script in soup("script"):
        script.decompose()
    return str(soup)
