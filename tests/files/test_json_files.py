"""Damaged and foreign JSON: one bounded line says what is wrong with which file."""

import contextlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from parzc_core.errors import BadInput
from parzc_core.files import json_files

bare = st.none() | st.booleans() | st.integers() | st.text()
anything = st.recursive(bare, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is no JSON"),
        ("{", "is no JSON"),
        ("\xff\xfe", "is no JSON"),
        ('{"a": ' + "9" * 5000 + "}", "is no JSON"),
        ("[" * 100_000, "nested too deeply"),
        ('{"a":' * 33 + "1" + "}" * 33, "nested too deeply"),
        ('"' + "long " * 1000 + '"', "expected a JSON object"),
        ("[1]", "expected a JSON object"),
        ("7", "expected a JSON object"),
    ],
)
def test_what_is_no_object_is_named_in_one_short_line(tmp_path, text, said):
    file = tmp_path / "table.json"
    file.write_bytes(text.encode("latin1"))
    with pytest.raises(BadInput, match=rf"table\.json.*{said}") as refused:
        json_files.load(file)
    assert len(str(refused.value)) < 300 + len(str(tmp_path))
    assert "\n" not in str(refused.value)


def test_kind_size_and_depth(tmp_path):
    file = tmp_path / "table.json"
    file.write_text("[1, 2]")
    assert json_files.load(file, list) == json_files.load(file, object) == [1, 2]
    with pytest.raises(BadInput, match=r"has 6 bytes; expected at most 5"):
        json_files.load(file, list, largest=5)
    deepest = '{"a":' * 32 + "1" + "}" * 32
    assert json_files.loads(deepest, "it") == json.loads(deepest)


@given(anything)
def test_objects_come_back_and_all_else_is_our_error(value):
    text = json.dumps(value)
    if isinstance(value, dict):
        assert json_files.loads(text, "it") == value
    else:
        with pytest.raises(BadInput):
            json_files.loads(text, "it")


@given(st.binary())
def test_of_any_bytes_only_our_error_comes(data):
    with contextlib.suppress(BadInput):
        json_files.loads(data, "it", object)


def test_a_text_is_cut_to_one_line():
    assert json_files.brief("a\n  b") == "a b"
    assert len(json_files.brief("x" * 10_000_000)) == 121
