"""What the README shows works: its snippets, its commands in their smallest size, and the paths that it names."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from parzc_core import cli, labels
from parzc_core.errors import LabelsMissing
from parzc_core.paths import ROOT

README = (ROOT / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
SNIPPETS = [code for language, code in BLOCKS if language == "python"]

# What README leaves to the reader, and smaller sizes. By a line of the snippet: (code before, replacements, code after).
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
    "collect_statistics(network": ("", {}, "assert len(statistics.nodes) == statistics.values.shape[1]"),
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
    'predictor("GATES"': (
        SETTING + "from parzc_core.predictors.registry import PREDICTORS\n"
        'inputs, accuracy = PREDICTORS["GATES"].reads(data, train), data.learn',
        {'predictor("GATES", "nb201")': 'predictor("GATES", "nb201", layers=(16,), pairs=1)'},
        "",
    ),
    'method("evolution")': ("", {"200_000": "20_000"}, "assert found.chosen"),
    "ParZCPlus()": ("train = list(range(20))", {'load("nb201", "cifar10")': 'load("nb201", "cifar10", cells=60)'}, ""),
}

# Every command that README names, and the smallest command that does the same. {out} is an empty folder.
Command = tuple[str, ...]
QUICK: dict[str, Command] = {
    r"parzc run [table06 fig02 …] --profile smoke\|standard\|full\|paper --jobs N": (
        "run table06 fig02 --profile smoke --jobs 2 --together 2 --dry-run",
        "run --profile full --dry-run",
    ),
    "parzc run": ("run paper_audit --profile smoke",),
    "parzc status": tuple(f"status --profile {name}" for name in ("smoke", "standard", "full", "paper")),
    "parzc tune --space table10 --trials 60 --jobs 2": ("tune --help",),
    "parzc mixed-precision --plan fashion-mnist --jobs 2": ("mixed-precision --help",),
    "parzc collect --dataset cifar10 --cells 15625 --share-isomorphic --jobs 2": (
        "collect --dataset cifar10 --cells 2 --width 4 --batch 4 --share-isomorphic --out {out}",
    ),
    "parzc benchmark collector --peer PATH": ("benchmark collector --help",),
    "parzc data status": ("data status",),
    "parzc data fetch": ("data fetch --help",),  # tests/files/test_fetch.py fetches, from a server of its own
    "parzc claims": ("claims", "claims mixer loss --json"),
    "parzc report": ("report --profile full",),
}
SLOW: dict[str, Command] = {
    "parzc run": ("run table06 fig02 --profile smoke --jobs 2 --together 2",),
    "parzc tune": ("tune --space table10 --trials 1 --size tiny --cells 60 --train 20 --out {out}/study.sqlite",),
    "parzc mixed-precision": ("mixed-precision --plan tiny --out {out}",),
    "parzc benchmark collector": ("benchmark collector --quick --output {out}/collector.json",),
}
MAKE = ("make reproduce", "make test", "make test-slow", "make reproduce PROFILE=smoke", "make lab")


@pytest.fixture(scope="session")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what git has of the project, as a clone would be."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("no git here")
    copied = tmp_path_factory.mktemp("tree")
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (copied / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copied / name)
    return copied


def in_tree(tree: Path, command: Sequence[str]) -> str:
    """What the command says, run in the copy, with the copy's code, and nothing fetched from elsewhere."""
    own = {name: value for name, value in os.environ.items() if name not in ("PARZC_RESULTS", "PARZC_FIGURES", "PARZC_REPORT")}
    nowhere = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy"), "http://127.0.0.1:9")
    threads = {name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
    run = subprocess.run(
        command, cwd=tree, env=own | nowhere | threads | {"PYTHONPATH": str(tree)}, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, f"{' '.join(command)}\n{run.stdout[-2000:]}\n{run.stderr[-4000:]}"
    return run.stdout


def settings_of(snippet: str) -> tuple[str, dict[str, str], str]:
    (found,) = [value for line, value in SNIPPET_SETTINGS.items() if line in snippet]
    return found


@pytest.mark.parametrize("snippet", SNIPPETS, ids=[re.sub(r"\W+", "-", code.splitlines()[-1])[:40] for code in SNIPPETS])
def test_a_snippet_runs(tree: Path, snippet: str) -> None:
    before, changes, after = settings_of(snippet)
    if "load(" in before + snippet or "TabularBenchmark(" in snippet:
        try:
            labels.accuracy("nb201", "cifar10", "val")
        except LabelsMissing as missing:
            pytest.skip(str(missing))
    for old, new in changes.items():
        assert old in snippet
        snippet = snippet.replace(old, new)
    in_tree(tree, [sys.executable, "-c", "\n".join((before, snippet, after))])


def named(word: str) -> set[str]:
    """Commands of README that begin with the word: lines of blocks without a language, and what stands in backticks."""
    lines = [line.partition("#")[0].strip() for language, block in BLOCKS if not language for line in block.splitlines()]
    prose = re.sub(r"^```.*?^```$", "", README, flags=re.MULTILINE | re.DOTALL)
    return {text for text in (*lines, *re.findall(r"`([^`\n]+)`", prose)) if text.startswith(f"{word} ")}


def test_every_command_of_the_readme_is_run_here() -> None:
    """A new command in README is added to QUICK or MAKE above."""
    assert named("parzc") == set(QUICK)
    assert named("make") - {"make test-slow"} == set(MAKE) - {"make test-slow"}
    assert all(any(command.startswith(short) for command in QUICK) for short in SLOW)


@pytest.mark.parametrize("command", [c for commands in QUICK.values() for c in commands])
def test_a_command_works(tree: Path, tmp_path: Path, command: str) -> None:
    in_tree(tree, [sys.executable, "-m", "parzc_core", *command.format(out=tmp_path).split()])


@pytest.mark.slow
@pytest.mark.parametrize("command", [c for commands in SLOW.values() for c in commands])
def test_a_command_does_its_work(tree: Path, tmp_path: Path, command: str) -> None:
    in_tree(tree, [sys.executable, "-m", "parzc_core", *command.format(out=tmp_path).split()])


@pytest.mark.parametrize("line", [line for line in sorted(named("parzc")) if "…" not in line and line != "parzc run"])
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


def test_every_file_that_the_readme_names_is_there() -> None:
    places = (ROOT, ROOT / "parzc_core", ROOT / "notebooks")
    linked = re.findall(r"\]\((?!https?:)([^)#]+)\)", README)
    written = re.findall(r"`([\w./-]+(?:\.(?:py|ipynb|csv|md)|/))`", README)
    stem = {"notebooks/X.ipynb", "parzc_core/experiments/X.py", "tests/experiments/test_X.py"}
    made = {"report/index.html", "manifest.json", "PARZC_DATA/nasbench101/", *stem}
    assert [name for name in {*linked, *written} - made if not any((place / name).exists() for place in places)] == []
