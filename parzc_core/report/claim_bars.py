"""A small picture of a claim's comparisons: a line each, with two values and their 95 % intervals on one scale.

    drawn(outcome.answers, ("ParZC", "the best other"))   # an <svg>, coloured by the page's style sheet

It is drawn as text, so that the page needs no other file, follows its light or dark colours, and stays sharp at any size.
"""

from collections.abc import Sequence

from markupsafe import Markup, escape

from parzc_core.report.evidence import Answer, number

WIDTH, MARGIN, LINE, LEGEND = 340, 8, 32, 17  # of the picture, in its own units
_MOST = 12  # comparisons; more would be a table


def drawn(answers: Sequence[Answer], legend: tuple[str, str]) -> Markup:
    """The picture of those answers that have a bar; empty without one, or with more than twelve."""
    bars = [answer.bar for answer in answers if answer.bar is not None]
    if not bars or len(bars) > _MOST:
        return Markup("")
    spans = [span for bar in bars for span in (bar.ours, bar.other) if span is not None]
    least, most = min(min(span) for span in spans), max(max(span) for span in spans)
    least, most = (min(least, 0.0), max(most, 0.0)) if least - (most - least) / 2 < 0 else (least, most)
    wide = (most - least) or 1.0

    def at(value: float) -> str:
        return f"{MARGIN + (WIDTH - 2 * MARGIN) * (value - least) / wide:.1f}"

    height = LINE * len(bars) + 2 * LEGEND
    zero = (
        f'<line class="zero" x1="{at(0)}" x2="{at(0)}" y1="2" y2="{LINE * len(bars) + 4}"/>'
        if least <= 0 <= most
        else ""
    )
    parts = [zero]
    for place, bar in enumerate(bars):
        top = LINE * place
        parts.append(f'<text x="{MARGIN}" y="{top + 11}">{escape(bar.label)}</text>')
        for span, kind, y in ((bar.other, "other", top + 19), (bar.ours, "mine", top + 24)):
            if span is not None:
                value, low, high = span
                parts.append(f'<line class="{kind}" x1="{at(low)}" x2="{at(high)}" y1="{y}" y2="{y}"/>')
                parts.append(f'<circle class="{kind}" cx="{at(value)}" cy="{y}" r="3.2"/>')
    y = LINE * len(bars) + LEGEND - 3
    digits = 2 if wide < 2 else 0 if wide > 20 else 1
    parts.append(f'<text class="end" x="{MARGIN}" y="{y}">{number(least, digits)}</text>')
    parts.append(f'<text class="end" x="{WIDTH - MARGIN}" y="{y}" text-anchor="end">{number(most, digits)}</text>')
    mine, other = legend
    keys = [(kind, word) for kind, word in (("mine", mine), ("other", other)) if word]
    for number_of, (kind, word) in enumerate(keys):
        x, middle = MARGIN + 3 + number_of * WIDTH / 2, y + LEGEND - 4
        parts.append(f'<circle class="{kind}" cx="{x:.1f}" cy="{middle}" r="3.2"/>')
        parts.append(f'<text x="{x + 8:.1f}" y="{middle + 3.5}">{escape(word)}</text>')
    said = escape("; ".join(answer.text for answer in answers))
    return Markup(
        f'<svg class="bars" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{said}">{"".join(parts)}</svg>'
    )
