"""The command `parzc`: what it says, its exit codes, and one line on stderr for what is wrong."""

import errno
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pandas as pd
import psutil
import pytest
import tqdm
from report_rows import put
from tiny_notebooks import write_notebook

from parzc_core import artifact, cli, paths
from parzc_core.cli import main
from parzc_core.cli_checks import Terminated
from parzc_core.errors import BadInput, WorkerDied
from parzc_core.pipeline import run as running
from parzc_core.pipeline import tasks
from parzc_core.search import Budget, TabularBenchmark, method
from parzc_core.search.methods.bohb import BOHB
from parzc_core.storage import workers


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("notebooks", "results", "figures", "report"):
        monkeypatch.setattr(paths, name.upper(), tmp_path / name)
    monkeypatch.setattr(paths, "STATISTICS", tmp_path / "results" / "statistics")
    meta = {"title": "Ablation", "makes": ["table06", "fig06b_tsne"], "order": 1}
    write_notebook(tmp_path / "notebooks" / "table06_ablation.ipynb", parzc=meta)
    write_notebook(tmp_path / "notebooks" / "explore.ipynb", parzc={"title": "Explore", "makes": [], "order": 2})
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], ["run", "status", "collect", "data", "benchmark", "report"]),
        (["benchmark"], ["collector"]),
        (["benchmark", "collector"], ["--peer", "--cells", "--seed", "--repeats", "--quick", "--readme", "--output"]),
        (["run"], ["--profile", "--jobs", "--dry-run", "--force", "--check", "smoke|standard|full|paper", "Run the notebooks"]),
        (["status"], ["--profile", "List each table"]),
        (
            ["collect"],
            ["--space", "--dataset", "--images", "--cells", "--seed", "--init-seed", "--batch", "--jobs", "--out"],
        ),
        (["data"], ["fetch", "status", "card"]),
        (["data", "fetch"], ["sha256"]),
        (["data", "status"], ["licence"]),
        (["claims"], ["CLAIM", "--json", "committed results"]),
        (["report"], ["--profile", "--readme", "report/index.html"]),
    ],
)
def test_help_explains(arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        main([*arguments, "--help"])
    assert leaving.value.code == 0
    said = " ".join(capsys.readouterr().out.split())
    assert [word for word in words if word not in said] == []


def test_help_is_quick_since_it_imports_nothing_heavy() -> None:
    code = "import sys, parzc_core.cli; print(sorted({'torch', 'pandas', 'doit', 'papermill', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_module_is_the_command() -> None:
    run = subprocess.run([sys.executable, "-m", "parzc_core", "--version"], capture_output=True, text=True, check=True)
    assert run.stdout.startswith("parzc ")


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "table99"], ["'table99'", "table06", "explore"]),
        (["run", "--profile", "huge"], ["'huge'", "smoke, standard, full, paper"]),
        (["status", "--profile", "huge"], ["'huge'"]),
        (["report", "--profile", "huge"], ["'huge'"]),
        (["collect", "--batch", "1", "--out", "nowhere"], ["batch=1"]),
        (["collect", "--images", "nowhere", "--out", "./nowhere"], ["as --out and as --images"]),
        (["collect", "--space", "nb999", "--out", "nowhere"], ["'nb999'"]),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(
    arguments: list[str], words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("parzc: ")
    assert said.err.count("\n") == 1
    assert [word for word in words if word not in said.err] == []


@pytest.mark.parametrize("jobs", ["0", "-1", "two"])
def test_jobs_is_a_positive_number(jobs: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(["run", "--jobs", jobs])
    assert leaving.value.code == 2
    assert f"got {jobs!r}; expected a whole number of at least 1" in capsys.readouterr().err


def test_dry_run_lists_and_runs_nothing(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "table06", "--profile", "smoke", "--dry-run"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0].split(maxsplit=1) == [
        "table06_ablation",
        "would run (not run yet, or failed or skipped the last time)",
    ]
    assert len(said) == 2
    assert sorted(path.name for path in project.iterdir()) == ["notebooks"]


def test_run_passes_on_and_its_exit_code_tells(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[Any] = []
    outcome = running.Outcome({"explore": 1.26, "report": 0.1}, {}, ["table06_ablation"], "report/index.html")

    def run(
        profile: str, jobs: int, experiments: tuple[artifact.Experiment, ...], force: bool, together: int
    ) -> running.Outcome:
        asked.append((profile, jobs, [item.name for item in experiments], force, together))
        return outcome

    monkeypatch.setattr(running, "run", run)
    assert main(["run", "--jobs", "3", "--force", "--together", "2"]) == 0
    assert asked == [("standard", 3, ["table06_ablation", "explore"], True, 2)]
    overview = "ran: explore 1.3 min; up to date: table06_ablation; report: report/index.html\n"
    assert capsys.readouterr().out == overview
    outcome.failed["explore"] = "worn out"
    assert main(["run"]) == 1
    assert "FAILED: explore" in capsys.readouterr().out


def test_stored_runs_alone_are_asked_for_and_what_is_left_out_is_said(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(running, "run", lambda *_: seen.append(workers.stored_alone()) or running.Outcome())
    monkeypatch.setenv(workers.STORED, "")  # undone after the test
    left = {"cells": 3, "runs": 15, "cpu_hours": 2.25, "runs_of_unknown_cost": 0}
    put("table06", {"row": "NP", "value": 30.0})
    manifest = project / "results" / "full" / "table06" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"left_out": left}))
    assert main(["run", "table06", "--profile", "full"]) == 0
    assert "left out" not in capsys.readouterr().out
    assert main(["run", "table06", "--profile", "full", "--stored"]) == 0
    assert seen == [False, True]
    said = "table06: 3 cells left out, which need 15 runs, about 2.2 CPU-hours; their earlier rows are kept and not judged"
    assert capsys.readouterr().out.splitlines()[-1] == said
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"left_out": left | {"runs_of_unknown_cost": 5}}))
    assert main(["run", "table06", "--profile", "full", "--stored"]) == 0
    assert "about 2.2 CPU-hours, and 5 runs of unknown cost; " in capsys.readouterr().out


def test_check_makes_a_difference_from_the_committed_results_an_error(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcome = running.Outcome({}, {}, ["explore"], "report/index.html")
    monkeypatch.setattr(running, "run", lambda *_: outcome)
    put("table06", {"row": "NP", "value": 30.0}, {"row": "MLP", "value": 50.0}, profile="smoke")
    put("table06", {"row": "NP", "value": 30.5}, {"row": "MLP", "value": 58.0})
    assert main(["run", "--profile", "smoke"]) == 0
    said = capsys.readouterr().out.splitlines()[-1]
    file = project / "results" / "smoke" / "agreement.csv"
    assert said == f"1 of 2 cells agree with the committed results: {file}"
    assert file.is_file()
    assert main(["run", "--profile", "smoke", "--check"]) == 1
    assert main(["run", "--profile", "full", "--check"]) == 0
    put("table06", {"row": "NP", "value": 30.0}, {"row": "MLP", "value": 58.0}, profile="smoke")
    assert main(["run", "--profile", "smoke", "--check"]) == 0


def test_without_labels_run_says_why_and_status_and_dry_run_know(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PARZC_DATA", str(project / "no labels"))
    monkeypatch.setenv("PARZC_CACHE", str(project / "no labels"))
    monkeypatch.setattr(tasks, "build_report", lambda profile: {"path": "index.html"})
    about = {"title": "T", "makes": ["table02", "table07"], "order": 3, "needs": ["nb101/cifar10"]}
    write_notebook(project / "notebooks" / "table02_predictors.ipynb", parzc=about)
    reason = "no test accuracy of nb101 cifar10 on this machine"

    assert main(["run", "table02", "--profile", "smoke"]) == 0
    said = capsys.readouterr()
    assert said.out == "ran: nothing; skipped: table02_predictors; report: index.html\n"
    assert f"table02_predictors: skipped: {reason}" in said.err

    assert main(["status", "--profile", "smoke"]) == 0
    lines = capsys.readouterr().out.splitlines()
    rows = [line.split() for line in lines if line.startswith(("table02 ", "table07 "))]
    assert rows == [[made, "table02_predictors", "no", "-", "-", "skipped"] for made in ("table02", "table07")]
    assert [line for line in lines if reason in line] == [lines[-1]]
    assert lines[-1].startswith("table02_predictors: skipped: ")

    assert main(["run", "--profile", "smoke", "--dry-run"]) == 0
    planned = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in planned if f"would be skipped ({reason}" in line] == ["table02_predictors"]


@pytest.mark.parametrize(
    "arguments",
    [["run", "--job", "2"], ["run", "--dry"], ["collect", "--cell", "5"], ["report", "--prof", "smoke"], ["--vers"],
     ["benchmark", "collector", "--rep", "2"], ["claims", "--js"]],
)  # fmt: skip
def test_an_abbreviated_option_is_refused(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(arguments)
    assert leaving.value.code == 2
    assert "usage: parzc" in capsys.readouterr().err


@pytest.mark.parametrize("seed", ["-1", "1.5", "4294967296", "9" * 5000, "one", "²"])
@pytest.mark.parametrize(
    "command",
    ["collect --seed", "collect --batch-seed", "collect --init-seed", "tune --seed", "search --seed",
     "benchmark collector --seed", "rank networks.py --seed", "verify --seed"],
)  # fmt: skip
def test_an_odd_seed_is_refused(command: str, seed: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        main([*command.split(), seed])
    assert leaving.value.code == 2
    said = capsys.readouterr().err.splitlines()[-1]
    assert "expected a whole number from 0 to 4294967295" in said
    assert len(said) < 300


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "/a/full/disk.csv"), "cannot use '/a/full/disk.csv': No space left"),
        (OSError(errno.ENOSPC, "No space left on device"), "cannot use: No space left on device; check path"),
        (OSError(errno.EROFS, "Read-only file system", b"/read/only"), "cannot use '/read/only': Read-only"),
        (PermissionError(errno.EACCES, "Permission denied", Path("/secret")), "cannot use '/secret': Permission denied"),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "file/below"), "cannot use 'file/below': Not a directory"),
        (OSError(errno.ENAMETOOLONG, "File name too long", "x" * 5000), "xxx…xxx"),
        (OSError("something else"), "cannot use: something else"),
        (MemoryError(), "memory ran out"),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to"), "memory ran out"),
        (WorkerDied("a worker process was killed"), "a worker process was killed"),
        (type("OperationalError", (Exception,), {})("database or disk is full"), "study's file: database or disk is full"),
    ],
)
def test_what_the_system_refuses_is_one_line_and_exit_code_2(
    error: Exception, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(_: object) -> int:
        raise error

    monkeypatch.setattr(cli, "_claims", refused)
    assert main(["claims"]) == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.startswith("parzc: ")
    assert (err.count("\n"), len(err) < 300) == (1, True)


def test_a_fault_of_the_project_shows_its_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr(cli, "_claims", broken)
    with pytest.raises(ZeroDivisionError):
        main(["claims"])


@pytest.mark.usefixtures("project")
def test_a_labels_folder_that_is_not_there_is_said_once_by_every_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    for number, arguments in enumerate((["status"], ["data", "status"], ["run", "table06", "--dry-run"])):
        monkeypatch.setenv("PARZC_DATA", nowhere := str(tmp_path / f"nowhere{number}"))
        assert main(arguments) == 0
        said = f"parzc: PARZC_DATA is set to {nowhere!r}, which is no folder: it is ignored\n"
        assert capsys.readouterr().err == said


def test_run_says_first_what_it_will_run_and_for_about_how_long(
    project: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(running, "run", lambda *_: running.Outcome())

    def said(*arguments: str) -> str:
        assert main(["run", *arguments]) == 0
        return capsys.readouterr().err

    all_of_it = "2 of 2 notebooks are run: table06_ablation (unknown), explore (unknown)"
    assert said("--profile", "smoke") == f"profile smoke: {all_of_it}\n"
    for profile, minutes in (("full", 25.5), ("standard", 3.4)):
        file = project / "results" / profile / "table06" / "manifest.json"
        file.parent.mkdir(parents=True)
        file.write_text(json.dumps({"minutes": minutes}))
        if profile == "full":
            told = said("--profile", "smoke", "table06")
            assert told.endswith("(unknown); the committed results of the profile full took 26 minutes\n")
    told = said()
    assert "2 of 2 notebooks are run: table06_ablation (3.4 min), explore (unknown); about 3 minutes by earlier runs" in told


def test_a_broken_status_or_manifest_is_one_line(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = project / "results" / "smoke" / "table06" / "manifest.json"
    file.parent.mkdir(parents=True)
    for content in (b"", b"[1]", b"{" * 5000, b"\xff"):
        file.write_bytes(content)
        assert main(["status", "--profile", "smoke"]) == 2
        err = capsys.readouterr().err
        assert f"parzc: {file} " in err
        assert (err.count("\n"), len(err) < 400 + len(str(file))) == (1, True)


@pytest.mark.parametrize("arguments", [["search", "--out"], ["benchmark", "collector", "--quick", "--output"]])
def test_where_nothing_can_be_written_that_is_said_before_the_work(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    for place in (tmp_path / "file" / "below" / "x", tmp_path / ("x" * 300) / "x"):
        assert main([*arguments, str(place)]) == 2
        assert capsys.readouterr().err.startswith("parzc: cannot use '/")


@pytest.mark.parametrize("text", ["start", "start=", "start=1.5", "ordered=x", "weights=3", "given=1", "nothing=1"])
def test_a_setting_that_a_search_method_does_not_have_is_one_line(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["search", "--set", text, "--out", "nowhere"]) == 2
    assert f"got --set {text!r}; parzc_plus has the settings start=20, ordered=0, mutants=0" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "value"), [("two=false", False), ("two=true", True)])
def test_a_setting_that_is_yes_or_no(text: str, value: bool) -> None:
    assert cli._settings([text], BOHB()) == {"two": value}
    with pytest.raises(BadInput, match="got --set 'two=0'; bohb has the settings"):
        cli._settings(["two=0"], BOHB())


def test_settings_reach_the_search_method(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given = ["search", "--method", "evolution", "--trainings", "9", "--out", str(tmp_path)]
    found = []
    for settings in ([], ["--set", "population=3", "sample=2"]):
        assert main([*given, *settings]) == 0
        found.append(pd.read_csv(tmp_path / "evolution-nb201-cifar10-seed0.csv")["arch"].tolist())
    expected = method("evolution", population=3, sample=2).run(TabularBenchmark("nb201", "cifar10"), Budget(evaluations=9), 0)
    assert found[1] == [step.arch for step in expected.steps] != found[0]


def test_a_search_shows_its_progress_its_trajectory_and_a_picture(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bar = tqdm.tqdm
    monkeypatch.setattr(tqdm, "tqdm", lambda **options: bar(**{**options, "disable": False}))  # as in a terminal
    assert main(["search", "--method", "random", "--trainings", "9", "--seed", "3", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr()
    assert "9/9" in said.err
    steps = pd.read_csv(tmp_path / "random-nb201-cifar10-seed3.csv", index_col="training")
    assert steps.index.tolist() == list(range(1, 10))
    better = steps[steps["accuracy"] > steps["best"].shift(fill_value=0.0)]
    table = [line.split() for line in said.out.splitlines()[: len(better) + 1]]
    assert table[0] == ["training", "accuracy", "arch"]
    assert [int(line[0]) for line in table[1:]] == better.index.tolist()
    assert [line[2] for line in table[1:]] == better["arch"].tolist()
    own = r"9 trainings, \d+ CPU-seconds of the method's own"
    assert re.search(rf"{own}; found {re.escape(better['arch'].iloc[-1])} with", said.out)
    assert (tmp_path / "random-nb201-cifar10-seed3.png").stat().st_size > 10_000
    found = method("random").run(TabularBenchmark(), Budget(evaluations=9), 3)
    assert len(repr(found)) < 250
    pd.testing.assert_frame_equal(found.table(), steps)


SLEEPERS = """
import sys, time
from parzc_core import cli
from parzc_core.storage import workers

def sleeps(_):
    print("at work", flush=True)
    time.sleep(120)  # as long as a command that nothing ends would take

cli._claims = lambda options: list(workers.run(sleeps, [(0,), (1,)], 2))
sys.exit(cli.main(["claims"]))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_sigterm_ends_a_command_and_its_workers_as_ctrl_c_does(number: signal.Signals) -> None:
    command = [sys.executable, "-c", SLEEPERS]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        assert [run.stdout.readline() for _ in range(2)] == ["at work\n"] * 2
        children = psutil.Process(run.pid).children(recursive=True)
        run.send_signal(number)
        said = run.communicate(timeout=900)[1]
    ended = {signal.SIGTERM: (143, "terminated"), signal.SIGINT: (130, "interrupted")}[number]
    assert (run.returncode, f"parzc: {ended[1]}; the same command goes on from here" in said) == (ended[0], True), said
    assert "Traceback" not in said
    assert len(children) >= 2
    assert psutil.wait_procs(children, timeout=900)[1] == []


def test_interrupted_is_130(monkeypatch: pytest.MonkeyPatch, project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(running, "run", run)
    assert main(["run"]) == 130
    assert capsys.readouterr().err.splitlines()[1:] == ["parzc: interrupted; the same command goes on from here"]


@pytest.mark.parametrize(("interrupt", "code"), [(KeyboardInterrupt, 130), (Terminated, 143)])
@pytest.mark.parametrize("error", [BrokenPipeError, RuntimeError, OSError])
def test_what_a_library_raises_over_an_interrupt_is_that_interrupt(
    monkeypatch: pytest.MonkeyPatch,
    project: Path,
    capsys: pytest.CaptureFixture[str],
    interrupt: type[KeyboardInterrupt],
    code: int,
    error: type[Exception],
) -> None:
    def run(*_: object) -> None:
        try:
            raise interrupt
        finally:
            raise error("a pipe to a worker")

    monkeypatch.setattr(running, "run", run)
    assert main(["run"]) == code
    assert "the same command goes on from here" in capsys.readouterr().err


def test_status_tells_results_origins_minutes_and_state(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = project / "results" / "smoke" / "table06" / "rows.csv"
    rows.parent.mkdir(parents=True)
    rows.write_text('note,origin\n"two\nlines",reproduced\n,quoted\n,reproduced\n')
    record = {"status": "failed", "minutes": 2.34}
    folder = project / "report" / "notebooks" / "smoke"
    folder.mkdir(parents=True)
    (folder / "table06_ablation.status.json").write_text(json.dumps(record))
    assert main(["status", "--profile", "smoke"]) == 0
    table = [line.split(maxsplit=3) for line in capsys.readouterr().out.splitlines()[2:]]
    assert table == [
        ["table06", "table06_ablation", "yes", "1 quoted, 2 reproduced  2.3      failed"],
        ["fig06b_tsne", "table06_ablation", "no", "-                       2.3      failed"],
        ["-", "explore", "no", "-                       -        to be run"],
    ]


def test_collect_passes_every_option(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from parzc_core.collecting import sample
    from parzc_core.collecting.one import CollectionConfig

    asked: list[Any] = []

    def collect(config: CollectionConfig, folder: Path, **more: Any) -> SimpleNamespace:
        asked.append((config, folder, more))
        return SimpleNamespace(manifest={"computed": 5, "cpu_seconds": 12.3})

    monkeypatch.setattr(sample, "collect", collect)
    config = CollectionConfig(
        "nb201", "cifar100", "noise", 7, 1, 3, 2, 4, ("snip", "synflow"), ("jacov",), share_isomorphic=True
    )
    command = sample.command(config).split()  # what the manifest says made it
    assert (
        main([*command[1:], "--out", str(tmp_path), "--jobs", "2", "--scheduler", "tcp://a:1", "--shard-size", "9"])
        == 0
    )
    running = {"jobs": 2, "scheduler": "tcp://a:1", "shard_size": 9}
    assert asked == [(config, tmp_path, {**running, "progress": True, "mix_versions": False})]
    assert "7 cells of nb201 (5 computed, 12 CPU-seconds)" in capsys.readouterr().out
    assert main(["collect", "--proxies", "--scores", "jacov", "--out", str(tmp_path)]) == 0
    assert asked[-1][0] == CollectionConfig(proxies=(), scores=("jacov",))
    assert main(["collect", "--proxies", "--scores", "--out", str(tmp_path)]) == 2
    assert "got neither proxies nor scores" in capsys.readouterr().err
    assert main([*sample.command(CollectionConfig(sums=True)).split()[1:], "--out", str(tmp_path)]) == 0
    assert asked[-1][0] == CollectionConfig(sums=True)


def test_fetch_says_what_is_missing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    from parzc_core.files import fetch, registry

    here = [fetch.Outcome(registry.FILES[0], "present")]
    monkeypatch.setattr(fetch, "fetch", lambda: here)
    assert main(["data", "fetch"]) == 0
    here.append(fetch.Outcome(registry.FILES[1], "offline", "no answer"))
    assert main(["data", "fetch"]) == 1
    assert registry.FILES[1].name in capsys.readouterr().out


def test_report_renews_the_readme_only_if_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from parzc_core.report import page, readme

    asked: list[str] = []
    monkeypatch.setattr(page, "build", lambda profile: Path(f"{profile}.html"))
    monkeypatch.setattr(readme, "update_readme", lambda profile: asked.append(profile) or True)
    assert main(["report", "--profile", "full"]) == 0
    assert (asked, capsys.readouterr().out) == ([], "report: full.html\n")
    assert main(["report", "--profile", "full", "--readme"]) == 0
    assert asked == ["full"]


def test_claims_are_listed_as_text_or_json(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    put("table06", *({"row": row, "column": "NB201-CF10 78", "value": tau} for row, tau in (("Mixer", 50.0), ("MLP", 60.0))))
    assert main(["claims", "mixer"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("fails  A mixer ranks better than an MLP (§4.4, Table 6) [mixer]\n       Mixer 50.0, MLP 60.0")
    assert main(["claims", "--json"]) == 0
    records = {record["id"]: record for record in json.loads(capsys.readouterr().out)}
    assert (records["mixer"]["verdict"], records["loss"]["verdict"]) == ("fails", "not testable here")
    assert records["mixer"]["command"] == "parzc run table06_08_ablation --profile full"
    assert main(["claims", "everything"]) == 2
    assert "unknown claim 'everything'" in capsys.readouterr().err


def test_an_error_of_the_project_has_no_traceback(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: SimpleNamespace) -> int:
        raise BadInput("got a; expected b")

    monkeypatch.setattr(cli, "_report", broken)
    assert main(["report"]) == 2
    assert capsys.readouterr().err == "parzc: got a; expected b\n"


@pytest.mark.parametrize("profile", ["smoke", "standard", "full", "paper"])
def test_status_works_on_the_project_itself(profile: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A line for each result that a notebook declares, optional ones too; the committed results are there."""
    assert main(["status", "--profile", profile]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines()]
    experiments = artifact.discover()
    assert [tuple(line[:2]) for line in lines[2:] if line[0] != "-" and line[1:2] and "skipped:" not in line] == [
        (made, item.name) for item in experiments for made in item.makes
    ]
    if profile == "full":
        assert {line[2] for line in lines[2:] if line[0] != "-" and "skipped:" not in line} == {"yes"}
        table06 = next(line for line in lines if line[0] == "table06")
        manifest = json.loads((paths.RESULTS / "full" / "table06" / "manifest.json").read_text())
        assert f"{manifest['minutes']:.1f}" in table06
        assert {"ours", "quoted"} & {*next(line for line in lines if line[0] == "worth")}  # a figure with rows
    (optional,) = [made for item in experiments for made in item.optional]
    there = artifact.select([optional], experiments)[0].product(optional, profile).is_file()
    assert next(line[2] for line in lines if line[0] == optional) == ("yes" if there else "optional")


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert main(["collect", "--cells", "2", "--width", "4", "--out", str(tmp_path / "file" / "x")]) == 2
    said = capsys.readouterr().err
    assert "cannot use" in said
    assert "check path" in said
