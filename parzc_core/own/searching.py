"""Search a list of networks of one's own: ParZC+ picks which untrained network is trained next.

    found = search_networks(networks, evaluate, 30, images, labels, store="search.jsonl")    # 30 trainings; goes on after a kill
    found.best, found.trajectory

`evaluate(name, network)` trains a network and returns its accuracy. It is called for networks that were not trained before.
"""

import copy
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from torch import nn
from torch.nn.parameter import is_lazy
from tqdm import tqdm

from parzc_core._networks import uncompiled, weight_nodes
from parzc_core._seeding import seeded
from parzc_core.errors import BadInput, UnknownName, floats, real, seed_of, whole
from parzc_core.own.models import PLUS, PlusModel, differ, tamed
from parzc_core.own.networks import Described, Given, Name, built, describe, kinds_of, named, said_of
from parzc_core.own.ordering import order_of
from parzc_core.passes import Batch
from parzc_core.paths import check_writable, write_whole
from parzc_core.predictors.plus.model import ParZCPlus
from parzc_core.predictors.plus.picking import WEIGHTS, first_picks, picks
from parzc_core.storage.lock import Locked, locked
from parzc_core.storage.run_store import RunStore

METHODS = ("parzc_plus", "random")
DECIMALS = 9  # of standardised labels; beyond them is rounding, which is to decide nothing
MOST_AT_FIRST = 20  # networks
VERSION = 2  # raised when a search would go another way, so that stores of an earlier one are refused
Evaluate = Callable[[Any, nn.Module], float]
Picked = tuple[list[int], list[float]]  # positions of the networks to be trained next, and what they are predicted to reach


@dataclass(frozen=True, eq=False, repr=False)
class NetworkSearch:
    """What `search_networks` found.

    method, seed, lower_is_better: as given. networks: how many there were to choose from. trajectory: a row a training, indexed
    by its number ("training", from 1): step (0: before any fit; later ones: picked by the fit of so many), name, accuracy (what
    `evaluate` returned), best so far, predicted (before it was trained: its score on the scale of the accuracies, by the line
    through those that were trained; NaN where it was drawn by chance), seconds (of `evaluate`).
    """

    method: str
    seed: int
    lower_is_better: bool
    networks: int
    trajectory: pd.DataFrame

    def __repr__(self) -> str:
        at = self._best
        return (
            f"<{self.method} search of {self.networks} networks, seed {self.seed}: {len(self.trajectory)} trainings; "
            f"best {self.best!r} with {self.trajectory['accuracy'].loc[at]:.6g}, training {at}>"
        )

    @property
    def best(self) -> Any:
        """Name of the best network; of equal ones that which was trained first."""
        return self.trajectory["name"].loc[self._best]

    @property
    def _best(self) -> int:
        values = self.trajectory["accuracy"]
        return cast(int, values.idxmin() if self.lower_is_better else values.idxmax())

    def to_csv(self, path: str | Path) -> Path:
        """Write the trajectory, whole or not at all; returns the path. Raises BadInput where it cannot be written."""
        try:
            return write_whole(Path(path), self.trajectory.to_csv())
        except (TypeError, OSError) as error:
            raise BadInput(f"cannot write the trajectory to {path!r}: {error}") from error


def search_networks(
    networks: Mapping[str, Given] | Sequence[Given],
    evaluate: Evaluate,
    budget: int,
    images: Batch | None = None,
    labels: Any = None,
    *,
    method: str = "parzc_plus",
    start: int | None = None,
    ordered: int | None = None,
    weights: Sequence[float] = WEIGHTS,
    described: Described | None = None,
    store: str | Path | None = None,
    lower_is_better: bool = False,
    seed: int = 0,
) -> NetworkSearch:
    """Find a good one among untrained networks by training `budget` of them.

        found = search_networks(networks, evaluate, 30, images, labels, store="search.jsonl")
        found.best                        # name of the best network
        found.trajectory                  # a row a training
        found.to_csv("search.csv")
        search_networks(networks, evaluate, 30, method="random")      # to compare with: chance alone

    networks: {name: module}, or a list (names are positions then); in place of a module there may be a function without arguments
    that builds it. They are left as they are. evaluate: (name, network) to accuracy: trains the network, a fresh copy, and
    returns a finite number of any scale, the higher the better; for losses give `lower_is_better`. Inside it torch's random
    numbers are set by `seed` and the network. budget: trainings, at most one a network. images, labels: the batch that
    statistics are collected from, see `describe`, which happens once; or described: what `describe` or `collect_space` gave of
    the same networks. Random search needs neither.

    method: "parzc_plus": `start` networks (None: a third of the budget, at most 20), of which `ordered` (None: half) come from
    the first of `order_networks` and the others are drawn at random; then, again and again, ParZC+'s learners are fitted to all
    that is trained, and for each of `weights` the network of highest score + weight x spread is trained. "random": all are drawn
    at random. A network whose statistics are not finite is trained last, and a warning says so.

    store: a file that gets every training as it ends. The same call goes on from there after a kill, to the same result as
    without one if `evaluate` draws its random numbers from torch alone; one with a larger budget goes on further.

    Raises BadInput: a budget larger than the list, what evaluate returned is no finite number (the network is named, and what
    was finished is in the store), a network that is none or does not take the batch, a store that another search or another
    process writes, or that cannot be written; UnknownName for methods. What evaluate raises is passed on.
    """
    names, given = named(networks)
    if not callable(evaluate):
        raise BadInput(f"got {evaluate!r} as evaluate; expected a function of (name, network) that returns its accuracy")
    if whole("budget", budget, 1) > len(names):
        raise BadInput(f"got a budget of {budget} trainings and {len(names)} networks; expected at most one training each")
    if method not in METHODS:
        raise UnknownName.of("method of a search", method, METHODS)
    first = max(2, min(MOST_AT_FIRST, budget // 3)) if start is None else whole("start", start, 2)
    from_order = first // 2 if ordered is None else whole("ordered", ordered, 0)
    if from_order > first:
        raise BadInput(f"got ordered={from_order} and start={first}; expected no more networks from the order than to start with")
    weighed = floats("weights", weights)
    if weighed.ndim != 1 or not weighed.size or not (np.isfinite(weighed) & (weighed >= 0)).all():
        raise BadInput(f"got weights={weights!r}; expected at least one number, none below 0")
    settings: dict[str, Any] = {"version": VERSION, "method": method, "seed": seed_of(seed)}
    settings |= {"lower_is_better": bool(lower_is_better), "networks": _digest(list(names))}
    with _opened(store) as kept:
        pool = None
        if method == "parzc_plus":
            found = _described(names, given, images, labels, described, seed)
            pool = _Pool(found, tuple(weighed.tolist()), seed)
            settings |= {"networks": _digest(_structure(found)), "batch": found.batch, "start": start, "ordered": from_order}
            settings |= {"proxies": list(found.statistics[0].proxies), "weights": list(pool.weights)}
        if kept is not None:
            settings = _checked(kept, settings | {"structure": _digest(_modules(names, given, seed))})
        order = np.random.default_rng(seed).permutation(len(names)).tolist()
        draw = pool.first(order, first, from_order) if pool is not None else order
        rows = _trained(names, given, evaluate, int(budget), draw, pool, kept, settings)
    frame = pd.DataFrame(rows, index=pd.RangeIndex(1, len(rows) + 1, name="training"))
    best = frame["accuracy"].cummin() if lower_is_better else frame["accuracy"].cummax()
    frame.insert(3, "best so far", best)
    return NetworkSearch(method, int(seed), bool(lower_is_better), len(names), frame)


def _trained(
    names: Sequence[Name],
    given: Sequence[Given],
    evaluate: Evaluate,
    budget: int,
    first: list[int],
    pool: "_Pool | None",
    kept: RunStore | None,
    settings: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """The rows of the trajectory. What is stored is taken from there: picks too, so that a killed search need not rank again."""
    place = {name: i for i, name in enumerate(names)}
    sign = -1.0 if settings["lower_is_better"] else 1.0
    known: dict[int, float] = {}  # signed so that higher is better, in the order in which they were trained
    rows: list[dict[str, Any]] = []

    def stored(about: Mapping[str, Any], made: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        config = {"search": settings, **about}
        found = None if kept is None else kept.get(config)
        if found is None:
            found = made()
            if kept is not None:
                kept.put(config, found)
        return found

    def next_ones(step: int) -> dict[str, Any]:
        if step == 0 or pool is None:
            picked, predicted = first, [np.nan] * len(first)
        else:
            picked, predicted = pool.pick(known, step)
        told = [None if np.isnan(value) else sign * value for value in predicted]
        return {"picked": [names[i] for i in picked], "predicted": told}

    def training(at: int) -> dict[str, Any]:
        started = time.perf_counter()
        accuracy = _evaluated(names[at], given[at], evaluate, int(settings["seed"]), at, kept)
        return {"accuracy": accuracy, "seconds": round(time.perf_counter() - started, 3)}

    step = 0
    with tqdm(total=budget, unit="training", disable=None) as bar:
        while len(rows) < budget:
            plan = stored({"step": step}, lambda: next_ones(step))  # noqa: B023 - called at once
            for name, predicted in zip(plan["picked"], plan["predicted"], strict=True):
                at = place[name]
                result = stored({"training": name}, lambda: training(at))  # noqa: B023 - called at once
                known[at] = sign * result["accuracy"]
                rows.append({"step": step, "name": name, "accuracy": result["accuracy"],
                             "predicted": np.nan if predicted is None else predicted, "seconds": result["seconds"]})  # fmt: skip
                bar.update()
                bar.set_postfix_str(f"best {sign * max(known.values()):.6g}")
                if len(rows) == budget:
                    break
            step += 1
    return rows


class _Pool:
    """The networks as ParZC+ reads them, and which of them it picks."""

    def __init__(self, described: Described, weights: tuple[float, ...], seed: int):
        self.weights, self.seed, self.count = weights, seed, len(described)
        self.usable = described.usable("are trained last")
        self.row_of = {int(at): row for row, at in enumerate(self.usable)}
        self.described = described[self.usable]
        self.inputs = PlusModel().prepared(self.described) if len(self.usable) else None

    def first(self, shuffled: list[int], count: int, ordered: int) -> list[int]:
        """Those to begin with: `ordered` of the first of an order without labels, then others as they come in `shuffled`."""
        found: list[int] = []
        if self.inputs is not None and ordered:
            rows = [self.row_of[at] for at in shuffled if at in self.row_of]
            found = self.usable[first_picks(order_of(self.described)[0], self.inputs.classes, rows, ordered)].tolist()
        return list(dict.fromkeys([*found, *shuffled]))[:count]

    def pick(self, known: Mapping[int, float], step: int) -> Picked:
        """For each of the weights a network that is not known, as long as there are any. The same step draws the same numbers."""
        generator = np.random.default_rng([self.seed, step])
        seed, chance = int(generator.integers(2**31)), generator.random(self.count)
        rows = np.array([self.row_of[at] for at in known if at in self.row_of], dtype=np.int64)
        accuracy = np.array([value for at, value in known.items() if at in self.row_of])
        if self.inputs is None or len(rows) < 2 or np.ptp(accuracy) == 0 or not differ(self.inputs):  # nothing to learn from
            return self._others(known, chance, [])
        # Trees take differences of labels for none where they are as small as rounding: labels of any scale are standardised.
        small, exponent = tamed(accuracy)
        middle, scale = float(small.mean()), float(small.std())
        labels = np.round((small - middle) / scale, DECIMALS)
        score, spread = ParZCPlus(PLUS, "unchanged").fit_predict(self.inputs, rows, labels, seed)
        predicted = np.full(self.count, np.nan)
        if np.ptp(score[rows]) > 1e-9:
            line = np.polyfit(score[rows], labels, 1)
            predicted[self.usable] = np.ldexp(middle + scale * np.polyval(line, score), exponent)
        best = picks(score, spread, set(rows.tolist()), chance[self.usable], self.inputs.classes, self.weights)
        found, _ = self._others(known, chance, self.usable[best].tolist())
        return found, predicted[found].tolist()

    def _others(self, known: Mapping[int, float], chance: np.ndarray, picked: list[int]) -> Picked:
        """What is picked, filled up by chance; those that can be ranked come first."""
        last = np.isin(np.arange(self.count), self.usable, invert=True)
        left = [int(at) for at in np.lexsort((chance, last)) if at not in known and at not in picked]
        found = (picked + left)[: len(self.weights)]
        return found, [np.nan] * len(found)


def _described(
    names: tuple[Name, ...], given: Sequence[Given], images: Batch | None, labels: Any, described: Described | None, seed: int
) -> Described:
    """What is known of the networks, collected where it was not given. Raises BadInput."""
    if described is None:
        if images is None:
            raise BadInput("got networks without a batch; expected images and labels, or what `describe` gave of the networks")
        if all(isinstance(name, str) for name in names):
            return describe(dict(zip(cast(tuple[str, ...], names), given, strict=True)), images, labels, seed=seed)
        return describe(list(given), images, labels, seed=seed)
    if images is not None:
        raise BadInput("got a batch, and described as well; expected one of them")
    if not isinstance(described, Described):
        raise BadInput(f"got {type(described).__name__} as described; expected what `describe` or `collect_space` gives")
    if described.names != names:
        raise BadInput(
            f"got described with {len(described)} networks from {described.names[0]!r} on, and {len(names)} networks from "
            f"{names[0]!r} on; expected the same names in the same order"
        )
    for at, (name, one) in enumerate(zip(names, given, strict=True)):
        if isinstance(one, nn.Module) and not _are_of(described, at, one):
            raise BadInput(f"got described, whose network {name!r} has other layers than the one given; expected the same ones")
    return described


def _are_of(described: Described, at: int, network: nn.Module) -> bool:
    """Whether the statistics at a place can be of the network: the kinds of its modules, and the sizes of plain weights."""
    one = described.statistics[at]
    sizes = dict(zip(one.nodes, one.numel.tolist(), strict=True))
    try:
        nodes = weight_nodes(uncompiled(network))
    except BadInput:  # all its weights are derived
        nodes = {}
    same = all(sizes.get(name, node.weight.numel()) == node.weight.numel() for name, node in nodes.items())
    return same and kinds_of(network) == dict(described.modules[at])


def _evaluated(name: Name, given: Given, evaluate: Evaluate, seed: int, at: int, kept: RunStore | None) -> float:
    """What the user's function returns of a fresh copy of the network. Raises BadInput where that is no finite number."""
    with said_of(name):
        network = built(given, seed)
    if network is given:
        try:
            network = copy.deepcopy(network)
        except MemoryError:
            raise
        except Exception as error:  # whatever a __deepcopy__ raises
            told = f"the network {name!r} cannot be copied to be trained ({type(error).__name__}: {error})"
            raise BadInput(f"{told}; give a function that builds it") from error
    finished = "give store=FILE to keep what is finished" if kept is None else f"what was finished is kept in {kept.path}"
    with seeded(int(np.random.default_rng([seed, at]).integers(2**31))):
        try:
            got: Any = evaluate(name, network)
        except Exception as error:
            error.add_note(f"in evaluate, of the network {name!r}; {finished}")
            raise
    try:
        return real("accuracy", got.item() if hasattr(got, "item") and not isinstance(got, str) else got)
    except (BadInput, TypeError, ValueError, RuntimeError):
        raise BadInput(
            f"evaluate returned {got!r:.80} for the network {name!r}; expected a finite number, its accuracy; {finished}"
        ) from None


def _structure(described: Described) -> list[Any]:
    """What tells other networks apart: names, nodes, their sizes, kinds of module; not the weights, which may be drawn anew."""
    parts = zip(described.names, described.statistics, described.modules, strict=True)
    return [[name, list(one.nodes), one.numel.tolist(), dict(modules)] for name, one, modules in parts]


def _modules(names: Sequence[Name], given: Sequence[Given], seed: int) -> list[Any]:
    """What tells other networks apart whatever the method reads of them: modules, their settings, shapes; not the weights."""
    found: list[Any] = []
    for name, one in zip(names, given, strict=True):
        with said_of(name):
            network = built(one, seed)
        modules = [
            [path, type(module).__qualname__, module.extra_repr() if type(module).__module__.startswith("torch.") else ""]
            for path, module in network.named_modules()
        ]
        tensors = [*network.named_parameters(), *network.named_buffers()]
        shapes = [[path, None if is_lazy(tensor) else list(tensor.shape)] for path, tensor in tensors]
        found.append([name, modules, shapes])
    return found


def _digest(content: list[Any]) -> str:
    return RunStore.key({"content": content})[:16]


@contextmanager
def _opened(store: str | Path | None) -> Iterator[RunStore | None]:
    """The store, held against other processes. Raises BadInput."""
    if store is None:
        yield None
        return
    if not isinstance(store, str | Path) or Path(store).is_dir():
        raise BadInput(f"got {store!r} as store; expected the path of a file, such as search.jsonl")
    path = Path(store)
    try:
        check_writable(path)
    except OSError as error:
        raise BadInput(f"cannot write the store {path}: {error}") from error
    with ExitStack() as held:
        try:
            held.enter_context(locked(path.with_name(f".{path.name}.search.lock"), wait=False))
        except Locked:
            raise BadInput(f"another search writes {path}; wait for its end, or give another store") from None
        yield RunStore(path)


def _checked(kept: RunStore, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings under which the store has its runs. Raises BadInput where it is of another search, or of none."""
    if not kept.path.exists() or not kept.path.stat().st_size:
        return dict(settings)
    with warnings.catch_warnings(record=True) as told:  # of lines that are no run: of another kind of file each is one
        warnings.simplefilter("always")
        found = [record["config"].get("search") for record in kept]
    if not found or not all(isinstance(one, dict) for one in found):
        raise BadInput(f"{kept.path} holds no search of networks; give another store")
    for warning in told:
        warnings.warn(warning.message, stacklevel=3)
    if not any("structure" in one for one in found):  # begun before it was kept
        settings = {name: value for name, value in settings.items() if name != "structure"}
    other = {name for one in found for name in {*one, *settings} if one.get(name) != settings.get(name)}
    if other:
        begun = found[0]
        names = [name for name in (*settings, *(name for name in begun if name not in settings)) if name in other]
        alike = {"networks": "other networks", "structure": "other networks", "batch": "other batch or loss"}
        said = dict.fromkeys(alike.get(name, f"{name}={settings.get(name)!r} (there {begun.get(name)!r})") for name in names)
        raise BadInput(f"got {', '.join(said)} than the search that {kept.path} holds; repeat its call, or give another store")
    return dict(settings)
