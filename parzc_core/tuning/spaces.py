"""The two spaces of hyper-parameters that the paper prints, Table 10's and that of A.4's text, as settings of our ranker.

They disagree (see `paper_audit.ipynb`), so both are kept. Each has four sizes: "printed", as in the paper, for a GPU; "cpu",
"small" and "tiny", in which the model's sizes (and below "cpu" the epochs) are what a CPU trains, and all else is as printed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from parzc_core.errors import BadInput, UnknownName
from parzc_core.training import TrainingConfig

Value = int | float
# What a setting sets: fields of MABNConfig, of ModelConfig and of TrainingConfig.
_MABN, _MODEL, _TRAINING = ("width", "depth", "dropout", "projection"), ("embedding",), ("epochs", "batch_size")


@dataclass(frozen=True)
class Setting:
    """A range, ends included. name: as the paper prints it. sets: the field of ours. step: of whole numbers; 0 for real ones.

    log: drawn uniformly in its logarithm. printed: the paper's range, as text.
    """

    name: str
    sets: str
    low: Value
    high: Value
    step: int
    log: bool
    printed: str

    @property
    def range(self) -> str:
        """As text, such as "[16, 64]"."""
        return f"[{self.low:g}, {self.high:g}]"


@dataclass(frozen=True)
class TuningSpace:
    """A space of one size. fixed: settings that the paper prints as one value; absent: those of parts our ranker lacks."""

    name: str
    size: str
    settings: tuple[Setting, ...]
    fixed: dict[str, int]
    absent: dict[str, str]


# name: (sets, step, log, printed range, {size: its own range}); a range of a size that is not given is the printed one.
_Ranges = dict[str, tuple[str, int, bool, tuple[Value, Value], dict[str, tuple[Value, Value]]]]
SIZES = ("printed", "cpu", "small", "tiny")
_TABLE10: _Ranges = {
    "Dimension": ("width", 1, True, (256, 4096), {"cpu": (16, 64), "small": (8, 32), "tiny": (4, 8)}),
    "Depth": ("depth", 1, False, (2, 8), {"cpu": (1, 4), "small": (1, 2), "tiny": (1, 2)}),
    "Dropout": ("dropout", 0, False, (0.1, 0.5), {}),
    "Batch Size": ("batch_size", 1, True, (16, 128), {}),
    "Epochs": ("epochs", 1, False, (50, 300), {"small": (25, 100), "tiny": (5, 10)}),
    "Learning Rate": ("learning_rate", 0, True, (1e-4, 1e-2), {}),
}
_A4: _Ranges = {
    "n_layers": ("depth", 1, False, (2, 5), {"cpu": (1, 4), "small": (1, 2), "tiny": (1, 2)}),
    "pine_hidden": ("embedding", 1, True, (8, 128), {}),
    "d_word_model": ("projection", 16, False, (256, 1024), {"cpu": (128, 512), "small": (64, 256), "tiny": (16, 64)}),
    "d_inner": ("width", 1, True, (256, 1024), {"cpu": (16, 64), "small": (8, 32), "tiny": (4, 8)}),
    "epoch": ("epochs", 1, False, (20, 300), {"small": (20, 100), "tiny": (5, 10)}),
    "dropout": ("dropout", 0, False, (0.01, 0.5), {}),
}
_ATTENTION = "a size of PINAT's attention layers; our graph branch is NP, which has none"
_SPACES: dict[str, tuple[_Ranges, dict[str, int], dict[str, str]]] = {
    "table10": (_TABLE10, {"Patch Size": 16, "Max Seq Length": 4096}, {}),
    "a4": (_A4, {}, {"n_head": f"[3, 8]: {_ATTENTION}", "d_kv": f"[32, 128]: {_ATTENTION}"}),
}
SPACES = tuple(_SPACES)


def tuning_space(name: str, size: str = "cpu") -> TuningSpace:
    """The space "table10" or "a4", of one of SIZES. Raises UnknownName.

    How the paper's names are read: Dimension and d_inner are the mixer's width; Depth and n_layers its blocks; d_word_model the
    length of the input projection; pine_hidden, in PINAT a layer of the graph branch, the embedding in which graph and statistics
    are added; Patch Size the segment; Max Seq Length a bound on the input's length, which 294 or 249 statistics do not reach.
    """
    if name not in _SPACES:
        raise UnknownName.of("space of hyper-parameters", name, SPACES)
    if size not in SIZES:
        raise UnknownName.of("size of a space of hyper-parameters", size, SIZES)
    ranges, fixed, absent = _SPACES[name]
    settings = []
    for called, (sets, step, log, printed, own) in ranges.items():
        low, high = own.get(size, printed)
        settings.append(Setting(called, sets, low, high, step, log, f"[{printed[0]:g}, {printed[1]:g}]"))
    return TuningSpace(name, size, tuple(settings), fixed, absent)


def apply(space: TuningSpace, values: Mapping[str, Value], config: TrainingConfig) -> TrainingConfig:
    """`config` with the values of the space's settings; batches hold at least as many architectures as a rank loss needs.

    values: {name of a setting: value}. Raises BadInput for other names than the space's, and values out of range.
    """
    if config.model is None:
        raise BadInput("got a TrainingConfig without a model; expected one, whose sizes the settings change")
    known = {setting.name: setting for setting in space.settings}
    if set(values) != set(known):
        raise BadInput(f"got the settings {', '.join(values)}; expected exactly {', '.join(known)}")
    for name, setting in known.items():
        if not setting.low <= values[name] <= setting.high:
            raise BadInput(f"got {name}={values[name]}; the space has {setting.range}")
    given: dict[str, Any] = {known[name].sets: value for name, value in values.items()}
    mabn = replace(config.model.mabn, **{field: given[field] for field in _MABN if field in given})
    model = replace(config.model, mabn=mabn, **{field: given[field] for field in _MODEL if field in given})
    rest = {field: given[field] for field in (*_TRAINING, "learning_rate") if field in given}
    return replace(config, model=model, **rest)
