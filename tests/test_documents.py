"""What the documents show works: their snippets, their commands in their smallest size, the files and places that they name."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from project_copy import tree_fixture, warmed_fixture, without_network  # noqa: F401
from warm import Warm

from parzc_core import cli, labels, paper, paths
from parzc_core.errors import LabelsMissing
from parzc_core.paths import ROOT
from parzc_core.storage.rows import read_rows

README = ROOT / "README.md"
# Written by hand, though some have generated blocks. Rendered tables of results are tested with what renders them.
DOCUMENTS = tuple(
    ROOT / name
    for name in (
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "docs/nas_checklist.md",
        "docs/setup.md",
        "docs/which_label.md",
        "parzc_core/collecting/README.md",
        "parzc_core/labels/README.md",
        "parzc_core/paper/inconsistencies.md",
        "parzc_core/predictors/plus/README.md",
        "results/README.md",
        "results/full/notebooks/README.md",
        "results/statistics/README.md",
    )
)
PLUS = ROOT / "parzc_core/predictors/plus/README.md"
TEXTS = {path: path.read_text(encoding="utf-8") for path in DOCUMENTS}
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]*)\)")
SNIPPETS = [
    pytest.param(code, id=f"{path.relative_to(ROOT)}: {code.splitlines()[-1]}"[:80])
    for path, text in TEXTS.items()
    for language, code in FENCE.findall(text)
    if language == "python"
]

# What a snippet leaves to the reader, and smaller sizes. By a line of the snippet: (code before, replacements, code after).
SETTING = """
from parzc_core.collecting.labelled import load
data = load("nb201", "cifar10", cells=60)
train = list(range(20))
"""
TRIED = """
from parzc_core.images.batch import minibatch
from parzc_core.spaces import nb201
batch = minibatch("cifar10")
network = nb201.build(nb201.arch(6111), channels=4, cells=1)
"""
SNIPPET_SETTINGS: dict[str, tuple[str, dict[str, str], str]] = {
    "scores = fit(inputs[:78]": (
        "",
        {"cells=1000": "cells=60", "[:78]": "[:20]", "[78:]": "[20:]"},
        "assert len(statistics.nodes) == statistics.values.shape[1] and scores.shape == (40,)",
    ),
    "def grad_mean": (
        "",
        {},
        TRIED + "from parzc_core.collector import collect_statistics\n"
        'assert collect_statistics(network, batch.images, batch.labels, ["grad_mean"]).proxies == ("grad_mean",)',
    ),
    "def confidence": (
        "",
        {},
        TRIED + "from parzc_core.scores.registry import network_proxies\n"
        'assert 0.1 < network_proxies(network, batch.images, batch.labels, ["confidence"])["confidence"] <= 1',
    ),
    "def isomorphism(": (
        "",
        {},
        """
import sys
from parzc_core import spaces
from parzc_core.collecting.one import CollectionConfig, architectures, batch_of, record
sys.modules["parzc_core.spaces.chains"] = sys.modules["__main__"]
spaces.NAMES = (*spaces.NAMES, "chains")
config = CollectionConfig(space="chains", cells=ARCH_COUNT, scores=("params",), share_isomorphic=True, width=4, batch=4)
archs = architectures(config)
assert len(set(archs)) == ARCH_COUNT
for arch in archs[:2]:
    made = record(config, arch, batch_of(config))
    assert set(made.statistics.nodes) == set(SLOTS) and made.scores["params"] > 0
assert spaces.stacked_graphs("chains", archs)[0].shape == (ARCH_COUNT, 5, 5)
""",
    ),
    "class CountsBranch": (
        SETTING,
        {},
        """
from parzc_core import encode
inputs = Inputs(encode(data.statistics), data.adjacency, data.operations)
assert ranker_with_counts(inputs[:20], data.learn[:20], epochs=1).predict(inputs[20:]).shape == (40,)
""",
    ),
    'PREDICTORS["nearest"]': (
        SETTING,
        {},
        """
inputs = PREDICTORS["nearest"].reads(data, train)
assert nearest.fit(inputs[train], data.learn[train], 0).predict(inputs).shape == (60,)
""",
    ),
    'predictor("GATES"': (
        SETTING + "from parzc_core.predictors.registry import PREDICTORS\n"
        'inputs, accuracy = PREDICTORS["GATES"].reads(data, train), data.learn',
        {'predictor("GATES", "nb201")': 'predictor("GATES", "nb201", layers=(16,), pairs=1)'},
        "",
    ),
    "HillClimbing(": ("", {"200_000": "20_000"}, "assert found.chosen"),
    "row_of_runs(": ("", {}, "from parzc_core import paths; assert (paths.RESULTS / 'smoke/my_table/rows.csv').is_file()"),
    "ParZCPlus()": (
        "",
        {'load("nb201", "cifar10")': 'load("nb201", "cifar10", cells=60)', "range(78)": "range(20)"},
        "assert len(score) == len(spread) == 60",
    ),
    'accuracy("nb201"': ("", {}, "assert len(validation) == 15625"),
    "store = collect(": (
        "",
        {"cells=200": "cells=2", "share_isomorphic=True": "share_isomorphic=True, width=4, batch=4", "jobs=2": "jobs=1"},
        "assert len(collection.archs) == 2",
    ),
    "StatisticsStore(": ("", {}, "assert len(collection.archs) == 1000"),
    "np.load(": (
        "",
        {},
        """
from parzc_core.storage.statistics import StatisticsStore
records = StatisticsStore("results/statistics/nb201/cifar10").read_shard(0)
assert len(records) == len(values) == len(nodes)
for record, of, names in zip(records, values, nodes):
    assert record.statistics.nodes == tuple(names) and (record.statistics.values == of).all()
""",
    ),
}

# Every command that the documents name, and the smallest command that does the same. {out} is an empty folder.
Command = tuple[str, ...]
QUICK: dict[str, Command] = {
    r"parzc run [table06 fig02 …] --profile smoke\|standard\|full\|paper": (
        "run table06 fig02 --profile smoke --jobs 2 --together 2 --dry-run",
        "run --profile full --dry-run",
    ),
    "parzc run": ("run paper_audit --profile smoke",),
    "parzc run NAME --profile full --jobs N": ("run --help",),
    "parzc run NAME --stored": ("run paper_audit --profile smoke --stored --dry-run",),
    "parzc run --check": ("run --profile smoke --check --dry-run",),
    "parzc status": tuple(f"status --profile {name}" for name in ("smoke", "standard", "full", "paper")),
    "parzc tune": ("tune --help",),
    "parzc data labels": ("data labels",),
    "parzc rank my_networks.py --accuracies accuracies.csv": ("rank --help",),  # tests/own/test_command.py ranks
    "parzc compare --proxies synflow snip --cells 300": ("compare --proxies synflow snip --cells 300",),
    "parzc compare --use mine.py --proxies grad_mean synflow --cells 300": ("compare --help",),
    "parzc search": ("search --method random --trainings 5 --out {out}",),
    "parzc mixed-precision": ("mixed-precision --help",),
    "parzc ranker": ("ranker --help",),
    "parzc ranker --space nb201 --dataset cifar10": ("ranker --help",),
    "parzc notebooks": ("notebooks --help",),
    "parzc notebooks --text": ("notebooks --text table06",),
    "parzc collect": ("collect --help",),
    "parzc collect --dataset cifar10 --cells 15625 --share-isomorphic --jobs 2": (
        "collect --dataset cifar10 --cells 2 --width 4 --batch 4 --share-isomorphic --out {out}",
    ),
    "parzc benchmark collector": ("benchmark collector --help",),
    "parzc benchmark collector --peer PATH": ("benchmark collector --help",),
    "parzc benchmark collector --readme": ("benchmark collector --readme",),
    "parzc data card": ("data card",),
    "parzc data status": ("data status",),
    "parzc data fetch": ("data fetch --help",),  # tests/files/test_fetch.py fetches, from a server of its own
    "parzc verify": ("verify --cells 1 --runs 0 --only nb201/stability/noise*",),
    "parzc verify --only NAME": ("verify --help",),
    "parzc claims": ("claims", "claims mixer loss --json"),
    "parzc report": ("report --profile full --readme",),
    "parzc report --profile full --readme": ("report --help",),
}
SLOW: dict[str, Command] = {
    "parzc verify": ("verify",),
    "parzc ranker": ("ranker --train 20 --epochs 1 --out {out}/ranker.npz",),
    "parzc run": ("run table06 fig02 --profile smoke --jobs 2 --together 2",),
    "parzc tune": ("tune --space table10 --trials 1 --size tiny --cells 60 --train 20 --out {out}/study.sqlite",),
    "parzc mixed-precision": ("mixed-precision --plan tiny --out {out}",),
    "parzc benchmark collector": ("benchmark collector --quick --output {out}/collector.json",),
}
MAKE = (
    *("make reproduce", "make test", "make test-slow", "make reproduce PROFILE=smoke", "make lab", "make setup", "make lock"),
    *("make help", "make clean", "make setup PYTHON=/path/to/python3.13"),
)


def in_tree(tree: Path, command: Sequence[str]) -> str:
    """What a command says, run in the copy of the project."""
    env = without_network(tree)
    return said(subprocess.run(command, cwd=tree, env=env, capture_output=True, text=True, check=False))


def said(run: "subprocess.CompletedProcess[str]") -> str:
    """Its output, where it went well."""
    assert run.returncode == 0, f"{' '.join(run.args)}\n{run.stdout[-2000:]}\n{run.stderr[-4000:]}"
    return run.stdout


def settings_of(snippet: str) -> tuple[str, dict[str, str], str]:
    (found,) = [value for line, value in SNIPPET_SETTINGS.items() if line in snippet]
    return found


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_a_snippet_runs(warmed: Warm, snippet: str) -> None:
    before, changes, after = settings_of(snippet)
    if "load(" in before + snippet or "TabularBenchmark(" in snippet:
        try:
            labels.accuracy("nb201", "cifar10", "val")
        except LabelsMissing as missing:
            pytest.skip(str(missing))
    for old, new in changes.items():
        assert old in snippet
        snippet = snippet.replace(old, new)
    said(warmed.run("\n".join((before, snippet, after))))


def named(word: str) -> set[str]:
    """Commands of the documents that begin with the word: lines of blocks without a language, and what stands in backticks."""
    found = []
    for text in TEXTS.values():
        plain = [line for kind, block in FENCE.findall(text) if not kind for line in block.splitlines()]
        found += [line.partition("#")[0].strip() for line in plain]
        found += re.findall(r"`([^`\n]+)`", FENCE.sub("", text))
    return {command for command in found if command.startswith(f"{word} ")}


def test_every_command_of_the_documents_is_run_here() -> None:
    """A new command in a document is added to QUICK or MAKE above."""
    assert named("parzc") == set(QUICK)
    assert named("make") == set(MAKE)
    assert all(any(command.startswith(short) for command in QUICK) for short in SLOW)


@pytest.mark.parametrize("command", [c for commands in QUICK.values() for c in commands])
def test_a_command_works(warmed: Warm, tmp_path: Path, command: str) -> None:
    said(warmed.command(command.format(out=tmp_path).split()))


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for commands in SLOW.values() for c in commands])
def test_a_command_does_its_work(tree: Path, tmp_path: Path, command: str) -> None:
    in_tree(tree, [sys.executable, "-m", "parzc_core", *command.format(out=tmp_path).split()])


@pytest.mark.parametrize("line", [line for line in sorted(named("parzc")) if not re.search(r"…| NAME | N$", line)])
def test_a_command_is_understood_as_it_stands(line: str) -> None:
    """All its options exist; nothing is run."""
    assert callable(cli._parser().parse_args(line.split()[1:]).command)


@pytest.mark.parametrize("line", MAKE)
def test_make_knows_its_targets(tree: Path, line: str) -> None:
    assert in_tree(tree, [*line.split(), "--dry-run", "--old-file=setup"])


@pytest.mark.slow
def test_make_reproduce_in_its_smallest_form(tree: Path) -> None:
    """In the environment at hand; .ci/run sets one up from the lock."""
    (tree / ".venv").symlink_to(sys.prefix)
    said = in_tree(tree, ["make", "reproduce", "PROFILE=smoke", "JOBS=2", "--old-file=setup"])
    assert "FAILED" not in said
    assert (tree / "report" / "index.html").is_file()


def places(heading: str) -> str:
    """The anchor of a heading, as repository browsers make it."""
    return re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")


def tracked(pattern: str) -> list[Path]:
    listed = subprocess.run(["git", "ls-files", "-z", pattern], cwd=ROOT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("no git here")
    return [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_every_document_is_tested() -> None:
    rendered = {path for path in tracked("*.md") if path.match("results/full/*/table.md")}
    assert {*tracked("*.md")} - rendered <= {*DOCUMENTS}


def test_every_link_leads_somewhere() -> None:
    broken = []
    for path in {*tracked("*.md"), *DOCUMENTS}:
        text = FENCE.sub("", path.read_text(encoding="utf-8"))
        for link in LINK.findall(text):
            name, _, anchor = link.partition("#")
            target = path.parent / name if name else path
            if not target.exists():
                broken.append(f"{path.relative_to(ROOT)}: {link}")
            elif anchor:
                headings = re.findall(r"^#+ (.+)$", FENCE.sub("", target.read_text(encoding="utf-8")), re.MULTILINE)
                broken += [f"{path.relative_to(ROOT)}: {link}"] * (anchor not in map(places, headings))
    assert broken == []


def test_every_file_that_a_document_names_is_there() -> None:
    stem = {"notebooks/X.ipynb", "parzc_core/experiments/X.py", "tests/experiments/test_X.py"}
    made = {"report/index.html", "manifest.json", "rows.csv", "table.md", *stem}
    missing = []
    for path, text in TEXTS.items():
        for name in set(re.findall(r"`([\w./-]+(?:\.(?:py|ipynb|csv|md|cff|toml|json)|/))`", text)) - made:
            if name.startswith("PARZC_DATA/"):
                continue
            where = (ROOT, ROOT / "parzc_core", ROOT / "notebooks", path.parent)
            missing += [f"{path.relative_to(ROOT)}: {name}"] * (not any((folder / name).exists() for folder in where))
    assert missing == []


def test_the_readme_is_short() -> None:
    text = TEXTS[README]
    assert len(text.splitlines()) <= 150
    assert len(text.encode()) <= 9 * 1024


def test_the_readme_says_in_ten_lines_what_to_write() -> None:
    (code,) = [code for kind, code in FENCE.findall(TEXTS[README]) if kind == "python"]
    assert sum(bool(line.strip()) and not line.startswith(("from ", "import ")) for line in code.splitlines()) <= 10


def test_the_table_of_parzc_plus_is_that_of_the_rows() -> None:
    table = re.findall(r"^\| (\d+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$", TEXTS[PLUS], re.MULTILINE)
    assert len(table) == 5
    rows = read_rows("parzc_plus", "full", paths.RESULTS)
    found = rows[rows["metric"] == "kendall"].set_index(["row", "column"])["value"]
    printed = paper.printed("table02").set_index(["row", "column"])["value"]
    for cells, ours, rival, theirs in table:
        column = f"NB201-CF10 {cells}"
        assert (ours, rival) == tuple(f"{found[row, column]:.1f}" for row in ("ParZC+", "GRAF-like + proxies"))
        assert float(theirs) == printed["ParZC", f"NB201 S'_{cells}"]
