"""Blocks of generated text in Markdown files that are otherwise written by hand.

    <!-- claims:begin -->
    ...                             everything in between is replaced by `put(file, "claims", text)`
    <!-- claims:end -->
"""

from pathlib import Path

from parzc_core.errors import BadInput
from parzc_core.paths import write_whole


def marks(name: str) -> tuple[str, str]:
    """The lines before and after a block."""
    return f"<!-- {name}:begin -->", f"<!-- {name}:end -->"


def get(file: Path, name: str) -> str | None:
    """What stands in the block, without blank lines around it; None without such a file or block."""
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    begin, end = marks(name)
    _, opened, rest = text.partition(begin)
    inside, closed, _ = rest.partition(end)
    return inside.strip() if opened and closed else None


def put(file: Path, name: str, text: str) -> bool:
    """Replace what stands in the block; whether that changed the file.

    Raises BadInput if the file lacks the two lines or has them out of order.
    """
    begin, end = marks(name)
    old = file.read_text(encoding="utf-8") if file.is_file() else ""
    before, opened, rest = old.partition(begin)
    _, closed, after = rest.partition(end)
    if not opened or not closed:
        raise BadInput(f"{file} should hold the lines {begin} and {end}, in this order; add them where that block goes")
    new = f"{before}{begin}\n\n{text.strip()}\n\n{end}{after}"
    if new == old:
        return False
    write_whole(file, new)
    return True
