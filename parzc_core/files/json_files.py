"""Reading JSON that others wrote or a disk damaged: an object, not too deep or large, no key twice; else one clear error.

    manifest = load(folder / "manifest.json")
    record = loads(line, "line 3 of runs.jsonl")
"""

import json
from collections import Counter
from pathlib import Path
from typing import Any

from parzc_core.errors import BadInput

DEEPEST = 32  # levels of lists and objects; the deepest file that is read has eight
LARGEST = 1 << 30  # bytes


def load(path: Path, kind: type = dict, largest: int = LARGEST) -> Any:
    """What a JSON file holds. Raises BadInput, naming file and folder, as `loads` does."""
    path = Path(path)
    size = path.stat().st_size
    if size > largest:
        raise BadInput(f"{path} has {size:,} bytes; expected at most {largest:,}")
    return loads(path.read_bytes(), str(path), kind)


def loads(data: bytes | str, what: str, kind: type = dict) -> Any:
    """What a JSON text holds that `what` names. Raises BadInput: no JSON, nested deeper than DEEPEST, of another kind,
    an object that has a key twice.

    kind: dict, list, or object where anything will do.
    """
    try:
        found = json.loads(data, object_pairs_hook=_each_once)
    except BadInput as error:
        raise BadInput(f"{what} {error}") from None
    except RecursionError:
        raise BadInput(f"{what} is nested too deeply; expected at most {DEEPEST} levels of lists and objects") from None
    except ValueError as error:  # also what is no UTF-8, and a number of thousands of digits
        raise BadInput(f"{what} is no JSON ({brief(error)}): it is damaged or empty") from None
    if not isinstance(found, kind):
        raise BadInput(f"{what} holds {shown(found)}; expected a JSON {'object' if kind is dict else 'list'}")
    level = [found] if isinstance(found, dict | list) else []
    for _ in range(DEEPEST):
        below = (inner.values() if isinstance(inner, dict) else inner for inner in level)
        level = [each for inner in below for each in inner if isinstance(each, dict | list)]
    if level:
        raise BadInput(f"{what} is nested too deeply; expected at most {DEEPEST} levels of lists and objects")
    return found


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object of these keys and values: json would keep the last value of a key and say nothing."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = next(key for key, times in Counter(key for key, _ in pairs).items() if times > 1)
        raise BadInput(f"has a key more than once in an object: {shown(twice, 40)}; expected each once")
    return found


def brief(what: object, most: int = 120) -> str:
    """Its text on one line, cut off at `most` characters: what a foreign file says is not repeated by the page."""
    text = " ".join(str(what)[: 4 * most].split())
    return text if len(text) <= most else f"{text[:most]}…"


def shown(what: object, most: int = 120) -> str:
    """`brief` of what it is written as in Python; of what cannot be written, being nested without end, its type alone."""
    try:
        return brief(repr(what), most)
    except (RecursionError, ValueError):  # the second for a number of thousands of digits
        return f"a {type(what).__name__}"
