"""Train a ranker (§3.4, §4.1), predict with it, and keep it in a file.

Adam, small batches and a cosine schedule minimise a ranking loss on z-scored accuracy.
"""

import copy
import json
from collections.abc import Callable, Mapping, Sequence, Sized
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, is_dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints, overload

import numpy as np
import torch
from torch import nn

from parzc_core._denormals import flushed
from parzc_core._seeding import seeded
from parzc_core.checkpoints import epochs
from parzc_core.encoding import Encoder
from parzc_core.errors import BadInput, floats, real, seed_of, whole
from parzc_core.losses import check_loss, loss
from parzc_core.mabn import SIZES, MABNConfig, sampling
from parzc_core.npz import Format, below, joined, making_sense, read_arrays, write_arrays
from parzc_core.ranker import (
    GRAPH_BRANCHES,
    Inputs,
    Model,
    ModelConfig,
    Readable,
    as_inputs,
    check_finite,
    check_graphs,
    finite_rows,
)

FORMAT = Format("parzc ranker", 1, "saved ranker", "expected a file that FittedRanker.save wrote")


@dataclass(frozen=True)
class TrainingConfig:
    """How a ranker is trained. The defaults are the paper's for NAS-Bench-201 (§4.1), with a model sized for a CPU.

        >>> TrainingConfig(epochs=20, losses={"mse": 1.0, "diff_kendall": 0.5}).batch_size
        10

    model: None takes a MABN of the sizes `SIZES["cpu"]` for the inputs at hand.
    epochs: passes over the training architectures (the paper: 150 on NAS-Bench-101, 200 on NAS-Bench-201, 296 on NDS).
    batch_size, learning_rate, weight_decay: of Adam. losses: names of `losses.LOSSES` with weights. alpha: of DiffKendall.
    Raises BadInput (epochs below 1, batches below 2, a rate or weight that is not positive), UnknownName (losses).
    """

    model: ModelConfig | None = None
    epochs: int = 200
    batch_size: int = 10
    learning_rate: float = 1e-4
    weight_decay: float = 1e-3
    losses: dict[str, float] = field(default_factory=lambda: {"diff_kendall": 1.0})
    alpha: float = 0.5

    def __post_init__(self) -> None:
        check_loss(self.losses)
        if self.model is not None and not isinstance(self.model, ModelConfig):
            raise BadInput(f"got model={self.model!r}; expected a ModelConfig or None")
        for name in ("epochs", "batch_size"):
            whole(name, getattr(self, name))
        real("learning_rate", self.learning_rate)
        real("weight_decay", self.weight_decay, 0)
        real("alpha", self.alpha, 0, above=True)
        if self.epochs < 1 or self.batch_size < 2 or not self.learning_rate > 0:
            raise BadInput(
                f"got epochs={self.epochs}, batch_size={self.batch_size}, learning_rate={self.learning_rate}; "
                "expected at least 1 epoch, batches of at least 2 (a rank loss compares pairs) and a positive rate"
            )


@dataclass(frozen=True, eq=False)
class FittedRanker:
    """A trained ranker. Its scores can be compared with each other only, not with those of another ranker.

        scores = ranker.predict(inputs)                     # float64[n], higher means better
        mean, std = ranker.predict(inputs, samples=20)      # over draws of the Bayesian weights
        ranker.save("ranker.npz")                           # load_ranker("ranker.npz") gives it back

    model: the network, in eval mode. history: training loss of each epoch. seed: of the training and of the draws.
    config: how it was trained, with `model` filled in. encoder: fitted, if the ranker is to read node statistics.
    trained_on: what the caller says of the training data, as plain JSON, for example {"space": "nb201", "split": 0}.
    """

    model: Model
    history: tuple[float, ...]
    seed: int
    config: TrainingConfig = field(default_factory=TrainingConfig)
    encoder: Encoder | None = None
    trained_on: Mapping[str, Any] = field(default_factory=dict)

    @overload
    def predict(self, inputs: Readable, samples: Literal[0] = 0) -> np.ndarray: ...  # type: ignore[overload-overlap]
    @overload
    def predict(self, inputs: Readable, samples: int) -> tuple[np.ndarray, np.ndarray]: ...

    def predict(self, inputs: Readable, samples: int = 0) -> np.ndarray | tuple[np.ndarray, np.ndarray]:
        """Score n architectures; higher means better.

        inputs: float32[n, D], Inputs with graphs, or node statistics for a ranker with an encoder.
        samples: 0 uses mean weights and returns float64[n]. A positive number draws the Bayesian weights so often and returns
        their mean float64[n] and standard deviation float64[n]. The same call gives the same draws.
        Node statistics that are not finite give NaN: they are no score.
        Raises BadInput: negative samples, another D, no graph or no encoder where one is needed.
        """
        if whole("samples", samples) < 0:
            raise BadInput(f"got samples={samples}; expected 0 or a number of draws")
        asked = as_inputs(inputs, self.encoder)
        check_graphs(asked, self.model.config)
        where = device_for(self.model.config)
        known = finite_rows(inputs, self.encoder)
        try:
            model = self.model.eval().to(where)
            with torch.no_grad(), seeded(self.seed), sampling(model) if samples else nullcontext():
                draws = [
                    torch.cat([model(*_tensors(chunk, where)) for chunk in ([asked] if samples else asked.chunks())])
                    for _ in range(max(1, samples) if len(asked) else 0)
                ]
            scores = torch.stack(draws).double().cpu() if draws else torch.empty(1, 0, dtype=torch.float64)
        finally:
            self.model.to("cpu")
        if known is not None:
            scores[:, torch.from_numpy(~known)] = torch.nan
        if not samples:
            return scores[0].numpy()
        return scores.mean(dim=0).numpy(), scores.std(dim=0, unbiased=False).numpy()

    def save(self, path: str | Path) -> Path:
        """Keep all of the ranker in one file; returns its path. `load_ranker` reads it, with the same predictions.

        The file is an .npz of plain arrays and a JSON text ("about"), without pickle; it appears whole or not at all.
        Raises BadInput: weights that are not finite, a graph branch that is not registered, trained_on that is not plain JSON.
        """
        return write_arrays(path, self.arrays(), compressed=False)

    def arrays(self) -> dict[str, np.ndarray]:
        """All of the ranker as plain arrays by name; what it is stands in "about", a JSON text. Raises as `save`."""
        arrays = {f"model/{name}": tensor.numpy() for name, tensor in self.model.state_dict().items()}
        if bad := [name for name, array in arrays.items() if not np.isfinite(array).all()]:
            raise BadInput(f"got a ranker with weights that are not finite ({bad[0]}); its training diverged")
        branch = self.model.config.graph
        if branch is not None and GRAPH_BRANCHES.get(type(branch).__name__) is not type(branch):
            raise BadInput(f"got the graph branch {type(branch).__name__}; only one of @ranker.graph_branch can be saved")
        encoder, learned = (None, {}) if self.encoder is None else self.encoder.state()
        about = {
            "seed": self.seed,
            "config": asdict(replace(self.config, model=self.model.config)),
            "branch": branch and {"name": type(branch).__name__, "module": type(branch).__module__},
            "encoder": encoder,
            "trained_on": _plain_json(self.trained_on),
        }
        arrays |= {f"encoder/{name}": array for name, array in learned.items()}
        return joined(FORMAT, about, {"history": np.array(self.history, dtype=np.float64), **arrays})


def load_ranker(path: str | Path) -> FittedRanker:
    """Read a ranker that `FittedRanker.save` wrote.

        ranker = load_ranker("ranker.npz")
        ranker.predict(statistics), ranker.trained_on

    Nothing in the file is run. Raises BadInput: no such file, another kind of file, a newer format, a damaged file, weights
    that are not finite, a graph branch whose module is not imported.
    """
    return ranker_from(*read_arrays(path, FORMAT), path)


def ranker_from(about: dict[str, Any], arrays: dict[str, np.ndarray], path: str | Path) -> FittedRanker:
    """The ranker of what `FittedRanker.arrays` gave, `parted`; path: where it was read, for errors. Raises as `load_ranker`."""
    branch = about.get("branch")
    if isinstance(branch, dict) and branch.get("name") not in GRAPH_BRANCHES:
        raise BadInput(f"{path} has the graph branch {branch.get('name')}; import {branch.get('module')} first")
    with making_sense(path):
        return _ranker(about, arrays)


def _ranker(about: dict[str, Any], arrays: dict[str, np.ndarray]) -> FittedRanker:
    """The ranker of a file. What is wrong with it raises one of several errors."""
    if about["branch"] is not None:
        kind = GRAPH_BRANCHES[about["branch"]["name"]]
        about["config"]["model"]["graph"] = _made(kind, about["config"]["model"]["graph"])
    config = _made(TrainingConfig, about["config"])
    weights = below("model/", arrays)
    with torch.device("meta"):  # sizes alone, so that no wrong size takes memory
        expected = {name: (tuple(t.shape), t.dtype) for name, t in Model(config.model).state_dict().items()}
    if {name: (value.shape, torch.from_numpy(value).dtype) for name, value in weights.items()} != expected:
        raise BadInput("its weights do not have the sizes of its configuration")
    if bad := [name for name, value in weights.items() if not np.isfinite(value).all()]:
        raise BadInput(f"its weights {bad[0]} are not finite")
    with seeded(0):
        model = Model(config.model)
    model.load_state_dict({name: torch.from_numpy(value) for name, value in weights.items()})
    encoder = None
    if about["encoder"] is not None:
        encoder = Encoder.from_state(about["encoder"], below("encoder/", arrays))
    history = tuple(arrays["history"].astype(np.float64).tolist())
    return FittedRanker(model.eval(), history, int(about["seed"]), config, encoder, dict(about["trained_on"]))


def _made(kind: type, values: Mapping[str, Any]) -> Any:
    """A dataclass from what `asdict` and JSON made of it."""
    hints, given = get_type_hints(kind), {}
    for name, value in values.items():
        inner = next((hint for hint in (hints[name], *get_args(hints[name])) if is_dataclass(hint)), None)
        if inner is not None and isinstance(value, dict):
            value = _made(inner, value)  # type: ignore[arg-type]
        given[name] = tuple(value) if isinstance(value, list) else value
    return kind(**given)


def _plain_json(values: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of values that JSON keeps as they are. Raises BadInput."""
    if not isinstance(values, Mapping):
        raise BadInput(f"got trained_on={values!r}; expected plain JSON: texts as keys")
    try:
        kept = json.loads(json.dumps(dict(values), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise BadInput(f"got trained_on={values!r}; expected plain JSON: {error}") from None
    if kept != dict(values):
        raise BadInput(f"got trained_on={values!r}; expected plain JSON: lists for tuples, texts as keys")
    return kept


def fit(
    inputs: Readable,
    accuracy: np.ndarray,
    config: TrainingConfig | None = None,
    seed: int = 0,
    encoder: Encoder | None = None,
    trained_on: Mapping[str, Any] | None = None,
    device: str | None = None,
) -> FittedRanker:
    """Train a ranker; the same arguments give the same ranker.

        ranker = fit(inputs, accuracy, TrainingConfig(epochs=50), seed=0)
        ranker = fit(statistics, accuracy, encoder=Encoder("paper").fit(statistics), trained_on={"space": "nb201"})

    inputs: n training architectures: float32[n, D], Inputs with graphs, or node statistics with an encoder.
    accuracy: float[n], percent; only its z-score is used. encoder: fitted; the ranker then reads node statistics.
    trained_on: plain JSON that says what the training data were; it is kept with the ranker.
    device: where it is trained, such as "cpu" or "cuda"; None: see `device_for`. The ranker is given back on the CPU.
    The caller's random generator is left as it was.
    Raises BadInput: lengths differ, fewer than two architectures, accuracy that is not finite, trained_on not plain JSON.
    """
    if encoder is not None and not isinstance(encoder, Encoder):
        raise BadInput(f"got encoder={encoder!r}; expected an Encoder, fitted")
    kept = _plain_json(trained_on or {})
    asked, finite = as_inputs(inputs, encoder), finite_rows(inputs, encoder)
    if finite is not None and not finite.all():
        bad = np.flatnonzero(~finite).tolist()
        raise BadInput(f"the statistics of architectures {bad} are not finite; leave them out of the training")
    (ranker,) = fit_many([asked], [accuracy], config, [seed], device=device)
    return replace(ranker, encoder=encoder, trained_on=kept)


def fit_many(
    inputs: Sequence[np.ndarray | Inputs],
    accuracy: Sequence[np.ndarray],
    config: TrainingConfig | None = None,
    seeds: Sequence[int] = (0,),
    watch: "Callable[[int, list[FittedRanker]], None] | None" = None,
    device: str | None = None,
) -> list[FittedRanker]:
    """Train several rankers in step, one for each seed: five small models cost little more than one.

        rankers = fit_many([inputs] * 5, [accuracy] * 5, config, seeds=range(5))

    inputs, accuracy: of each ranker, as in `fit`; all have the same number n of architectures.
    Initial weights, the order of batches and the optimiser state are each ranker's own. The noise of Bayesian layers and of
    dropout is drawn for all at once, so a ranker is repeated exactly only if the same ones are trained as one batch.
    watch: called after each epoch with its number, from 1, and the rankers as they are then. What it raises ends the training.
    Inside `checkpoints.kept_as` a training that was killed goes on; `watch` is not called again for epochs done before.
    Raises BadInput as `fit`, and where the numbers of architectures differ.
    """
    if config is not None and not isinstance(config, TrainingConfig):
        raise BadInput(f"got config={config!r}; expected a TrainingConfig")
    config = config or TrainingConfig()
    parts = [as_inputs(item) for item in inputs]
    seeds = [seed_of(seed) for seed in seeds]
    if not len(parts) == len(accuracy) == len(seeds):
        raise BadInput(f"got {len(parts)} inputs, {len(accuracy)} accuracies, {len(seeds)} seeds; expected as many of each")
    if not parts:
        raise BadInput("got no inputs; expected those of at least one ranker")
    for item in parts:
        check_finite(item)
    targets = [
        torch.as_tensor(z_score(item, values), dtype=torch.float32)
        for item, values in zip(parts, accuracy, strict=True)
    ]
    if len({len(target) for target in targets}) != 1:
        raise BadInput(f"got {[len(target) for target in targets]} architectures; expected one size for all members")
    model_config = config.model or _default_model(parts[0])
    for item in parts:
        check_graphs(item, model_config)
    config = replace(config, model=model_config)
    where = device_for(model_config, device)
    with seeded(0), torch.enable_grad(), flushed():
        models = []
        for seed in seeds:
            torch.manual_seed(seed)
            models.append(Model(model_config))
        tensors = [_tensors(item, where) for item in parts]
        histories = _train(models, tensors, torch.stack(targets).to(where), seeds, config, watch)
    return [
        FittedRanker(model.eval(), history, seed, config)
        for model, history, seed in zip(models, histories, seeds, strict=True)
    ]


def device_for(config: ModelConfig, device: str | None = None) -> torch.device:
    """Where a model is trained and asked: the device named; None takes a GPU, where there is one, for the printed sizes alone.

    The smaller models of the other profiles take less time on a CPU, and the committed results are theirs.
    Raises BadInput for a device that is not there.
    """
    if device is None:
        printed = config.mabn.width >= SIZES["printed"]["width"]
        return torch.device("cuda" if printed and torch.cuda.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, TypeError, AssertionError) as error:
        raise BadInput(f"got device={device!r}, which cannot be used here: {str(error).splitlines()[0]}") from None
    if found.type == "meta":
        raise BadInput("got device='meta', which holds no numbers; expected 'cpu' or 'cuda'")
    return found


def z_score(inputs: Sized, accuracy: np.ndarray) -> np.ndarray:
    """float64[n], accuracy less its mean, over its standard deviation. Raises BadInput (lengths, fewer than two, not finite)."""
    target = floats("accuracies", accuracy)
    if target.ndim != 1 or len(inputs) != len(target) or len(target) < 2:
        raise BadInput(f"got {len(inputs)} inputs and accuracy of shape {target.shape}; expected the same number, at least 2")
    if not np.isfinite(target).all():
        raise BadInput(f"got {int((~np.isfinite(target)).sum())} accuracies that are not finite; leave those cells out")
    return standardised(target)


def standardised(values: np.ndarray) -> np.ndarray:
    """Mean 0 and standard deviation 1; zeros where all are equal."""
    return (values - values.mean()) / (values.std() or 1.0)


def _train(
    models: list[Model],
    tensors: list[tuple[torch.Tensor | None, ...]],
    y: torch.Tensor,
    seeds: Sequence[int],
    config: TrainingConfig,
    watch: Callable[[int, list[FittedRanker]], None] | None,
) -> list[tuple[float, ...]]:
    """Trains the models in place and returns the loss history of each. y: float32[members, n]."""
    stacked_state = torch.func.stack_module_state(list[nn.Module](models))[0]  # {name: [members, ...]}
    state = {name: value.detach().to(y.device).requires_grad_(True) for name, value in stacked_state.items()}
    skeleton = copy.deepcopy(models[0]).to("meta").train()
    by_part = zip(*tensors, strict=True)
    stacked = [None if parts[0] is None else torch.stack([part for part in parts if part is not None]) for parts in by_part]

    def objective(weights: dict[str, torch.Tensor], target: torch.Tensor, *batch: torch.Tensor | None) -> torch.Tensor:
        prediction = torch.func.functional_call(skeleton, weights, batch)
        return loss(prediction, target, config.losses, config.alpha)

    axes = (0, 0, *(None if part is None else 0 for part in stacked))
    objectives = torch.vmap(objective, in_dims=axes, randomness="different")
    optimizer = torch.optim.Adam(state.values(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=config.epochs)
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    member = torch.arange(len(models), device=y.device).unsqueeze(1)
    history: list[list[float]] = []
    changing: dict[str, Any] = {"weights": state, "optimizer": optimizer, "schedule": schedule}
    changing |= {"orders": dict(enumerate(generators)), "history": history}
    if y.device.type == "cuda":
        changing["random of the device"] = torch.cuda.default_generators[y.device.index or 0]
    for epoch in epochs(config.epochs, changing):
        order = torch.stack([torch.randperm(y.shape[1], generator=generator) for generator in generators]).to(y.device)
        total = torch.zeros(len(models), device=y.device)
        for rows in batches(order, config.batch_size):  # [members, batch]
            batch = (None if part is None else part[member, rows] for part in stacked)
            values = objectives(state, y[member, rows], *batch)
            optimizer.zero_grad(set_to_none=True)
            values.sum().backward()  # no weight is shared, so each member gets the gradient of its own loss
            optimizer.step()
            total += values.detach() * rows.shape[1]
        schedule.step()
        history.append((total / y.shape[1]).tolist())
        if watch is not None:
            _copy_weights(state, models)
            watch(epoch, [FittedRanker(model, (), seed, config) for model, seed in zip(models, seeds, strict=True)])
    _copy_weights(state, models)
    return [tuple(losses) for losses in zip(*history, strict=True)]


def _copy_weights(state: dict[str, torch.Tensor], models: list[Model]) -> None:
    with torch.no_grad():
        for i, model in enumerate(models):
            for name, parameter in model.named_parameters():
                parameter.copy_(state[name][i])


def _tensors(inputs: Inputs, device: torch.device | str = "cpu") -> tuple[torch.Tensor | None, ...]:
    parts = (inputs.statistics, inputs.adjacency, inputs.operations)
    return tuple(None if part is None else torch.tensor(part, device=device) for part in parts)


def _default_model(inputs: Inputs) -> ModelConfig:
    if inputs.statistics is None:
        raise BadInput("got inputs without statistics and no model; expected a ModelConfig of what reads the graph")
    return ModelConfig(parts=("Mixer", "BN"), mabn=MABNConfig(inputs.statistics.shape[1], **SIZES["cpu"]))  # type: ignore[arg-type]


def batches(order: torch.Tensor, size: int) -> list[torch.Tensor]:
    """Cut positions int64[..., n] into batches [..., size].

        >>> [part.tolist() for part in batches(torch.arange(7), 3)]
        [[0, 1, 2], [3, 4, 5, 6]]

    A last batch of one architecture has no pair to compare, so it joins the one before.
    """
    parts = list(order.split(size, dim=-1))
    if len(parts) > 1 and parts[-1].shape[-1] < 2:
        parts[-2:] = [torch.cat(parts[-2:], dim=-1)]
    return parts
