"""A stored line of runs.jsonl made a run again, by its configuration alone: no plan of a table has to be made for it.

    run = again(record["config"])
    assert RunStore.key(run.key()) == record["key"]          # reads statistics and labels, as the run does
"""

import dataclasses
import typing
from collections.abc import Callable, Mapping
from types import UnionType
from typing import Any

from parzc_core.errors import BadInput
from parzc_core.experiments.fig02_05_importance import NodeRun
from parzc_core.experiments.fig02_encodings import ImportanceRun
from parzc_core.experiments.stability_rankers import CarriedRun, SpreadRun
from parzc_core.experiments.table10_tuning import DefaultRun, JudgedRun
from parzc_core.predictors.registry import configuration
from parzc_core.runs.plus import CalibrationRun, PlusRun, SelectionRun
from parzc_core.runs.predictions import PredictionRun
from parzc_core.runs.predictors import PredictorRun
from parzc_core.runs.protocol import Run
from parzc_core.runs.rankers import RankerRun
from parzc_core.runs.variants import VARIANTS, Variant
from parzc_core.runs.vit import FoldRun
from parzc_core.runs.worth import WorthRun
from parzc_core.search import method
from parzc_core.search.runs import SearchRun
from parzc_core.storage.run_store import plain
from parzc_core.tuning.objective import StudyConfig

Made = typing.TypeVar("Made")
Config = Mapping[str, Any]


def again(config: Config) -> Run:
    """The run of a stored configuration. Raises BadInput for a kind that is not known, as those of earlier versions."""
    kind = config.get("kind")
    if kind not in _KINDS:
        raise BadInput(f"a run of kind {kind or 'before kinds were stored'} cannot be made again; expected {', '.join(_KINDS)}")
    return _KINDS[kind](config)


def of(kind: type[Made], values: Config) -> Made:
    """The dataclass with those of the values that are its fields; lists become tuples, dicts the dataclasses of its hints."""
    hints = typing.get_type_hints(kind)
    known = {one.name for one in dataclasses.fields(kind) if one.init}  # type: ignore[arg-type]
    return kind(**{name: _typed(hints[name], value) for name, value in values.items() if name in known})


def _typed(hint: Any, value: Any) -> Any:
    """The value as JSON has it, as the hint says."""
    options = typing.get_args(hint) if isinstance(hint, UnionType) or typing.get_origin(hint) is typing.Union else (hint,)
    if isinstance(value, Mapping):
        kinds = [one for one in options if dataclasses.is_dataclass(one)]
        return of(kinds[0], value) if kinds else dict(value)  # type: ignore[arg-type]
    return tuple(_typed(None, one) for one in value) if isinstance(value, list | tuple) else value


def _changes(published: Any, stored: Config) -> tuple[tuple[str, Any], ...]:
    """What the stored settings change of a published configuration, as (name, value) pairs."""
    hints = typing.get_type_hints(type(published))
    changed = [(name, value) for name, value in stored.items() if _json(getattr(published, name, None)) != _json(value)]
    return tuple((name, _typed(hints[name], value)) for name, value in changed)


def _json(value: Any) -> Any:
    """As it is stored."""
    if dataclasses.is_dataclass(value) or hasattr(value, "tolist"):
        return _json(plain(value))
    if isinstance(value, Mapping):
        return {name: _json(one) for name, one in value.items()}
    return [_json(one) for one in value] if isinstance(value, list | tuple) else value


def _predictor(config: Config) -> PredictorRun:
    changes = _changes(configuration(config["predictor"], config["space"]), config["config"])
    return of(PredictorRun, {**config, "changes": changes})


def _search(config: Config) -> SearchRun:
    return of(SearchRun, {**config, "settings": _changes(method(config["method"]), config["settings"])})


def _variants(config: Config) -> tuple[Variant, ...]:
    named = {one.name: one for one in VARIANTS}
    return tuple(named[name] for name, _ in config["statistics"])


def _several(config: Config) -> RankerRun:
    """The ranker of a run over several splits, whose own split is not used."""
    return of(RankerRun, {name: value for name, value in config.items() if name != "split"})


def _carried(config: Config) -> CarriedRun:
    targets = _variants(config)
    return CarriedRun(_several(config), targets[0], targets, len(config["split"]))


def _spread(config: Config) -> SpreadRun:
    return SpreadRun(_several(config), len(config["split"]), config["weight_decay"])


def _judged(config: Config) -> JudgedRun:
    values = config["values"]
    return JudgedRun(of(StudyConfig, config), None if values is None else tuple(values.items()), config["first"])


_KINDS: dict[Any, Callable[[Config], Run]] = {
    "RankerRun": lambda config: of(RankerRun, config),
    "PredictorRun": _predictor,
    "PlusRun": lambda config: of(PlusRun, config),
    "CalibrationRun": lambda config: of(CalibrationRun, config),
    "SelectionRun": lambda config: of(SelectionRun, config),
    "WorthRun": lambda config: of(WorthRun, config),
    "PredictionRun": lambda config: PredictionRun(of(RankerRun, config)),
    "SearchRun": _search,
    "FoldRun": lambda config: of(FoldRun, config),
    "ImportanceRun": lambda config: of(ImportanceRun, config),
    "NodeRun": lambda config: of(NodeRun, config),
    "CarriedRun": _carried,
    "SpreadRun": _spread,
    "DefaultRun": lambda config: DefaultRun(of(StudyConfig, config)),
    "JudgedRun": _judged,
}
