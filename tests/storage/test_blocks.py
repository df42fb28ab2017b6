"""Generated blocks in files that are otherwise written by hand: nothing else changes, and missing lines are named."""

from pathlib import Path

import pytest

from parzc_core.errors import BadInput
from parzc_core.storage import blocks


def test_a_block_is_replaced_and_nothing_else(tmp_path: Path) -> None:
    file = tmp_path / "a.md"
    file.write_text("# Title\n<!-- one:begin -->\nold\n<!-- one:end -->\nbetween\n<!-- two:begin -->\n<!-- two:end -->\nrest")
    assert blocks.put(file, "one", "new\nlines\n") is True
    assert file.read_text() == (
        "# Title\n<!-- one:begin -->\n\nnew\nlines\n\n<!-- one:end -->\nbetween\n<!-- two:begin -->\n<!-- two:end -->\nrest"
    )
    assert (blocks.get(file, "one"), blocks.get(file, "two")) == ("new\nlines", "")
    assert blocks.put(file, "one", "new\nlines") is False


LACKING = (None, "", "<!-- one:begin -->", "<!-- one:end --> <!-- one:begin -->", "<!-- two:begin --><!-- two:end -->")


@pytest.mark.parametrize("text", LACKING)
def test_a_file_without_the_block_is_named_and_left_alone(tmp_path: Path, text: str | None) -> None:
    file = tmp_path / "a.md"
    if text is not None:
        file.write_text(text)
    assert blocks.get(file, "one") is None
    with pytest.raises(BadInput, match=r"a\.md should hold the lines <!-- one:begin --> and <!-- one:end -->"):
        blocks.put(file, "one", "new")
    assert (file.read_text() if file.is_file() else None) == text
