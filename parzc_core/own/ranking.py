"""Rank your own networks from the accuracies of a few of them. The ranking comes with its uncertainty.

    ranking = rank_networks(networks, images, labels, accuracies)   # {name: module}, a batch, {name: accuracy of some}
    ranking.sort_values("rank")

    ranker = NetworkRanker.fit(describe(networks, images, labels), accuracies)      # the same, to be kept
    ranker.save("ranker.npz")
    load_ranker("ranker.npz").rank(others, images, labels)                          # collects from the others alone
"""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from torch import nn

from parzc_core import training
from parzc_core.encoding import PAPER_PROXIES
from parzc_core.errors import BadInput, UnknownName, floats, is_whole, names_of, real, seed_of, whole
from parzc_core.metrics import kendall
from parzc_core.npz import Format, below, joined, making_sense, read_arrays, write_arrays
from parzc_core.own.models import CountModel, MABNModel, Model, PlusModel, tamed
from parzc_core.own.networks import COUNTS, PROXIES, Described, Name, describe
from parzc_core.own.ordering import ranks
from parzc_core.passes import Batch, Loss
from parzc_core.predictors.plus.learners import normal_scores
from parzc_core.training import FittedRanker, TrainingConfig

RANKERS = ("parzc+", "mabn", *COUNTS)
COMPARED = ("parzc+", *COUNTS)  # the default: of these the one that orders the labels best when they are held out
LEVEL = 90.0  # percent, of the intervals
LEAST = 4  # labels from which rankers are compared, and intervals are made
FORMAT = Format("parzc network ranker", 1, "saved ranker", "expected a file that NetworkRanker.save wrote")
Accuracies = Sequence[float] | np.ndarray | Mapping[str, float] | pd.Series


@dataclass(frozen=True, eq=False)
class Calibration:
    """From scores to labels, with intervals: conformal prediction on scores of held-out networks.

    labels, places: float[u], the different labels and their normal scores g. intercept, slope: of the line g = a + b score.
    errors: float[m], |g - a - b score| / spread of each labelled network, when it was held out; ascending.

    A new network has a label inside the interval as often as claimed, whatever the networks are, if the labelled ones were
    drawn at random among all (and up to what one fit to all labels differs from the fits to a part).
    """

    labels: np.ndarray
    places: np.ndarray
    intercept: float
    slope: float
    errors: np.ndarray

    @classmethod
    def learn(cls, score: np.ndarray, spread: np.ndarray, labels: np.ndarray) -> "Calibration":
        """From held-out scores and spreads above 0 of the labelled networks, float[m] each."""
        g = normal_scores(labels)
        different, first = np.unique(labels, return_index=True)
        slope, intercept = np.polyfit(score, g, 1) if np.ptp(score) > 1e-9 else (0.0, float(g.mean()))
        # Each error is that from the line through the others (its leverage says how much the line gave way to it).
        leverage = 1 / len(g) + (score - score.mean()) ** 2 / max(np.sum((score - score.mean()) ** 2), 1e-12)
        errors = np.sort(np.abs(g - intercept - slope * score) / (1 - np.minimum(leverage, 0.9)) / spread)
        return cls(different, g[first], float(intercept), float(slope), errors)

    @property
    def widening(self) -> float:
        """What a spread is multiplied by to be the standard deviation of a score's error."""
        return float(np.sqrt(np.mean(self.errors**2))) / max(abs(self.slope), 0.1)

    def predict(self, score: np.ndarray, spread: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(label, low, high), float64[n] each; ends are NaN where there are too few labels for that level (percent)."""
        middle = self.intercept + self.slope * score
        rank = math.ceil((len(self.errors) + 1) * level / 100)
        half = np.full(len(score), np.nan) if rank > len(self.errors) else self.errors[rank - 1] * spread
        return self._label(middle), self._label(middle - half), self._label(middle + half)

    def _label(self, g: np.ndarray) -> np.ndarray:
        """The label at normal scores g: lines between those known, and the outer tenths' slope beyond them."""
        if len(self.labels) < 2:
            return np.full(len(g), self.labels[0])
        found = np.interp(g, self.places, self.labels)
        step = max(1, len(self.labels) // 10)
        for end, inner, beyond in ((0, step, g < self.places[0]), (-1, -1 - step, g > self.places[-1])):
            slope = (self.labels[end] - self.labels[inner]) / (self.places[end] - self.places[inner])
            found = np.where(beyond, self.labels[end] + slope * (g - self.places[end]), found)
        return np.where(np.isfinite(g), found, np.nan)


@dataclass(frozen=True, eq=False)
class NetworkRanker:
    """A ranker that was fitted to networks of one's own; it ranks any network, and collects from that one alone.

    chosen: of RANKERS. compared: Kendall's tau (%) of each ranker that was compared, on the labels when they were held out.
    ranking: of the networks of the fit, see `rank_networks`. batch, proxies: what statistics are collected with.
    """

    chosen: str
    model: Model
    calibration: Calibration | None
    compared: Mapping[str, float]
    proxies: tuple[str, ...]
    batch: str
    ranking: pd.DataFrame | None = None

    @classmethod
    def fit(
        cls,
        networks: Described,
        accuracies: Accuracies,
        *,
        ranker: str | Sequence[str] = COMPARED,
        encoding: str = "paper",
        encoded: Sequence[str] | None = None,
        config: TrainingConfig | None = None,
        samples: int = 20,
        level: float = LEVEL,
        seed: int = 0,
    ) -> "NetworkRanker":
        """Learn from the networks whose accuracy is known; the arguments are those of `rank_networks`.

        networks: of `describe` or `collect_space`. encoded: the proxies that MABN reads (None: those of the paper).
        Raises as `rank_networks`.
        """
        known = known_labels(accuracies, networks.names)
        names = _rankers(ranker)
        whole("samples", samples, 1)
        seed_of(seed)
        real("level", level, 0, 100, above=True)
        if encoded is None:
            encoded = [name for name in PAPER_PROXIES if name in networks.statistics[0].proxies]
        usable = networks.usable("get no score")
        there = networks[usable]
        train = np.flatnonzero(np.isfinite(known[usable]))
        if len(train) < 2:
            raise BadInput(
                f"got {len(train)} networks with an accuracy and finite statistics; expected at least 2 to learn from"
            )
        labels = known[usable][train]

        def new(name: str) -> Model:
            if name == "mabn":
                return MABNModel(tuple(encoded), encoding, config, samples)
            return PlusModel() if name == "parzc+" else CountModel(name)

        small, _ = tamed(labels)
        models = {name: new(name).fit(there, train, small, seed) for name in names}
        held_out = {name: model.held_out() for name, model in models.items()} if len(train) >= LEAST else {}
        compared = {name: kendall(score, labels) for name, (score, _) in held_out.items()}
        chosen = max(names, key=lambda name: np.nan_to_num(compared.get(name, np.nan), nan=-200.0))
        calibration = None
        if chosen in held_out and (held_out[chosen][1] > 0).all():
            calibration = Calibration.learn(*held_out[chosen], labels)
        made = cls(chosen, models[chosen], calibration, compared, networks.statistics[0].proxies, networks.batch)
        ranking = made.rank(networks, level=level)
        object.__setattr__(made, "ranking", ranking.assign(accuracy=known))
        return made

    def rank(
        self,
        networks: Described | Sequence[nn.Module] | Mapping[str, nn.Module],
        images: Batch | None = None,
        labels: Any = None,
        *,
        names: Sequence[str] | None = None,
        space: Any = None,
        loss: Loss | None = None,
        level: float = LEVEL,
    ) -> pd.DataFrame:
        """A row for each network as in `rank_networks`; `accuracy` is NaN. images, labels: the batch of the fit.

        networks: modules, which are collected from, or what `describe` gave. names, space, loss: see `describe`.
        Raises BadInput: networks without a batch, or without proxies that the ranker reads; and as `describe`.
        """
        real("level", level, 0, 100, above=True)
        if not isinstance(networks, Described):
            if images is None:
                raise BadInput("got networks without a batch; expected images and labels, those of the fit")
            networks = describe(networks, images, labels, self.proxies, names=names, space=space, loss=loss)
        missing = [name for name in self.proxies if name not in networks.statistics[0].proxies]
        if missing:
            raise BadInput(f"got networks without {', '.join(missing)}; the ranker reads {', '.join(self.proxies)}")
        if networks.batch != self.batch:
            warnings.warn("these networks saw another batch than those of the fit; scores may differ by that", stacklevel=2)
        usable = networks.usable()
        values = np.full((5, len(networks)), np.nan)
        if len(usable):
            score, spread = self.model.predict(networks[usable])
            values[:2, usable] = score, spread
            if self.calibration is not None:
                values[1, usable] = spread * self.calibration.widening
                values[2:, usable] = self.calibration.predict(score, spread, level)
        score, spread, predicted, low, high = values
        ranking = pd.DataFrame(
            {
                "accuracy": np.nan,
                "score": score,
                "spread": spread,
                "rank": ranks(score),
                "predicted": predicted,
                "low": low,
                "high": high,
            }
        )
        return ranking.set_axis(networks.index).join(networks.frame())

    def save(self, path: str | Path) -> Path:
        """Keep the ranker in one file, whose path is returned; `load_ranker` reads it, with the same predictions.

        The file is an .npz of plain arrays and a JSON text ("about"), without pickle; it appears whole or not at all. The ranking
        of the fit's networks is not kept.
        """
        plain, learned = self.model.state()
        about: dict[str, Any] = {"chosen": self.chosen, "model": plain, "compared": dict(self.compared)}
        about |= {"proxies": list(self.proxies), "batch": self.batch, "calibration": None}
        arrays = {f"model/{name}": array for name, array in learned.items()}
        if (found := self.calibration) is not None:
            about["calibration"] = {"intercept": found.intercept, "slope": found.slope}
            arrays |= {f"calibration/{name}": getattr(found, name) for name in ("labels", "places", "errors")}
        return write_arrays(path, joined(FORMAT, about, arrays))


def load_ranker(path: str | Path) -> NetworkRanker | FittedRanker:
    """Read a ranker that `NetworkRanker.save`, or `FittedRanker.save`, wrote. Nothing in the file is run.

    Raises BadInput: no such file, another kind of file, a newer format, a damaged file.
    """
    about, arrays = read_arrays(path, training.FORMAT, FORMAT)
    if about["format"] != FORMAT.name:
        return training.ranker_from(about, arrays, path)
    with making_sense(path):
        (chosen,) = _rankers(about["chosen"])
        proxies, compared = names_of("proxies", about["proxies"]), {k: float(v) for k, v in about["compared"].items()}
        if odd := [name for name, array in arrays.items() if array.dtype.kind not in "biuf" and not name.endswith("/about")]:
            raise BadInput(f"{odd[0]} has the dtype {arrays[odd[0]].dtype}; expected numbers")
        model: Model = PlusModel() if chosen == "parzc+" else MABNModel(()) if chosen == "mabn" else CountModel(chosen)
        calibration = None
        if about["calibration"] is not None:
            labels, places, errors = (arrays[f"calibration/{name}"] for name in ("labels", "places", "errors"))
            line = about["calibration"]
            if not labels.ndim == places.ndim == errors.ndim == 1 or len(labels) != len(places) or not len(labels) * len(errors):
                raise BadInput(f"its calibration has arrays of shapes {labels.shape}, {places.shape}, {errors.shape}")
            calibration = Calibration(labels, places, float(line["intercept"]), float(line["slope"]), errors)
        model.restore(about["model"], below("model/", arrays))
        return NetworkRanker(chosen, model, calibration, compared, proxies, str(about["batch"]))


def rank_networks(
    networks: Sequence[nn.Module] | Mapping[str, nn.Module],
    images: Batch,
    labels: Any,
    accuracies: Accuracies,
    *,
    names: Sequence[str] | None = None,
    ranker: str | Sequence[str] | None = None,
    proxies: Sequence[str] | None = None,
    encoding: str | None = None,
    config: TrainingConfig | None = None,
    space: Any = None,
    loss: Loss | None = None,
    samples: int = 20,
    level: float = LEVEL,
    seed: int = 0,
) -> pd.DataFrame:
    """Learn to rank from the networks whose accuracy is known, and rank all of them (§3, on networks of any kind).

    networks: n modules, or {name: module}; each maps images to logits and has a Conv2d or Linear layer. They are neither trained
    nor changed. names: of the networks of a list. images, labels, loss: one batch for all networks, see `collect_statistics`.
    accuracies: a Series or dict by name (by position without names); missing or NaN means unknown. Or a list: the accuracies of
    the first m networks, 2 <= m <= n. Any scale will do if higher is better (negate a loss).
    ranker: "parzc+", ParZC+'s learners on summaries of statistics; "mabn", the paper's; "params" or "flops" alone. Of several,
    the one that orders held-out labels best is taken (None: COMPARED). space: see `describe`.
    proxies: None for those that the ranker reads. encoding, config, samples: MABN's, see `Encoder` and TrainingConfig; a given
    encoding or config asks for MABN. level: percent, of the intervals.

    Returns a row for each network, in the order given, indexed by name. Columns: accuracy (NaN if not given); score (in standard
    deviations over the networks, higher is predicted better); spread (standard deviation of its error, from held-out labels if
    there are LEAST or more); rank (1 is predicted best; equal scores share a rank); predicted, low, high (the predicted label and
    the ends of its interval; NaN with too few labels: an interval of 90 % needs 9); nodes, params, flops; the sum of each proxy
    over nodes, which is the usual training-free score; not_finite (how many statistics are NaN or infinite). A network with such
    statistics gets no score (NaN) and no rank (missing), the ranker does not learn from it, and a warning names it. If the ranker
    cannot tell any networks apart, scores are 0 and the spread is NaN.
    Raises BadInput: fewer than two accuracies or more than networks, one that is not finite, a name that no network has, a
    network without nodes or that does not take the batch (which one it is, is said), samples below 1, fewer than two networks to
    learn from; UnknownName for rankers, proxies and encodings.
    """
    of_mabn = encoding is not None or config is not None
    chosen = _rankers(("mabn" if of_mabn else COMPARED) if ranker is None else ranker)
    if of_mabn and "mabn" not in chosen:
        raise BadInput(f"got ranker={ranker!r} with an encoding or a config, which are MABN's; leave them out or take 'mabn'")
    read = PAPER_PROXIES if "mabn" in chosen and "parzc+" not in chosen else PROXIES
    collected = read if proxies is None else names_of("proxies", proxies)
    _check_early(networks, names, accuracies)
    whole("samples", samples, 1)
    seed_of(seed)
    described = describe(networks, images, labels, collected, names=names, space=space, loss=loss)
    encoded = PAPER_PROXIES if proxies is None else tuple(collected)
    options: dict[str, Any] = {"encoded": encoded, "encoding": encoding or "paper", "config": config, "samples": samples}
    fitted = NetworkRanker.fit(described, accuracies, ranker=chosen, level=level, seed=seed, **options)
    assert fitted.ranking is not None
    return fitted.ranking


def known_labels(accuracies: Accuracies, names: Sequence[Name]) -> np.ndarray:
    """float64[n], the label of each network, NaN where it is not known. Raises BadInput."""
    if not isinstance(accuracies, Mapping | pd.Series):
        values = floats("accuracies", accuracies)
        if values.ndim != 1 or not 2 <= len(values) <= len(names):
            raise BadInput(
                f"got {len(names)} networks and accuracies of shape {values.shape}; expected the accuracies of the first "
                "networks, at least 2 and at most one each, or a Series by name"
            )
        if not np.isfinite(values).all():
            place = int(np.flatnonzero(~np.isfinite(values))[0])
            raise BadInput(
                f"accuracy {place} is {values[place]}; put networks whose accuracy is not known behind the others, or give a "
                "Series by name"
            )
        return np.concatenate([values, np.full(len(names) - len(values), np.nan)])
    given = pd.Series(accuracies)
    keys = [int(key) if is_whole(key) else key for key in given.index]
    values = floats("accuracies", given.to_numpy())
    at = {name: i for i, name in enumerate(names)}
    unknown = [key for key in keys if key not in at]
    if unknown or len(set(keys)) < len(keys):
        what = f"an accuracy of {unknown[0]!r}, which is no network" if unknown else "a network's accuracy more than once"
        named = f"{names[0]!r}, {names[1]!r}, …" if len(names) > 1 else repr(names[0])
        raise BadInput(f"got {what}; expected names of networks ({named}), each once at most")
    if np.isinf(values).any():
        raise BadInput(f"the accuracy of {keys[int(np.flatnonzero(np.isinf(values))[0])]!r} is infinite; leave it out")
    if np.isfinite(values).sum() < 2:
        raise BadInput(f"got {int(np.isfinite(values).sum())} accuracies that are known; expected at least 2")
    known = np.full(len(names), np.nan)
    known[[at[key] for key in keys]] = values
    return known


def _check_early(networks: Any, names: Sequence[str] | None, accuracies: Accuracies) -> None:
    """Raises BadInput for accuracies that do not fit, before anything is collected."""
    if isinstance(networks, Mapping):
        known_labels(accuracies, names_of("names of networks", networks))
    elif isinstance(networks, Sequence) and not isinstance(networks, nn.Module | str):
        known_labels(accuracies, tuple(range(len(networks))) if names is None else names_of("names of networks", names))


def _rankers(ranker: str | Sequence[str]) -> tuple[str, ...]:
    """The names, checked. Raises BadInput, UnknownName."""
    chosen = names_of("rankers", ranker)
    if not chosen:
        raise BadInput(f"got no ranker; expected one of {', '.join(RANKERS)}")
    for name in chosen:
        if name not in RANKERS:
            raise UnknownName.of("ranker", name, RANKERS)
    return chosen
