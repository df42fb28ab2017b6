"""Reading CSV that a disk damaged: a heading, and lines of as many fields; else one clear error."""

import csv
import io
from collections.abc import Sequence

from parzc_core.errors import BadInput
from parzc_core.files.json_files import brief


def loads(data: bytes, needed: Sequence[str]) -> tuple[list[str], list[list[str]]]:
    """The heading, and the fields of each line below it. needed: columns. Raises BadInput, saying what is wrong with it."""
    try:
        heading, *lines = csv.reader(io.StringIO(data.decode(), newline=""), strict=True)
    except (ValueError, csv.Error) as error:  # no line, no UTF-8, no CSV
        raise BadInput(f"is damaged or empty ({brief(error)})") from None
    if lacking := [name for name in needed if name not in heading]:
        raise BadInput(f"lacks the column {', '.join(lacking)}; another version wrote it")
    for number, line in enumerate(lines, start=1):
        if len(line) != len(heading):
            raise BadInput(f"is damaged: row {number} has {len(line)} fields; expected {len(heading)}")
    return heading, lines
