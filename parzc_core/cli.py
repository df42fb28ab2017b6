"""The command `parzc`: run notebooks, see what is there and which claims hold, collect statistics, get labels, tune, report."""

import argparse
import dataclasses
import json
import os
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from parzc_core import __version__, cli_data, cli_own, cli_verify, paths
from parzc_core.cli_checks import (
    Terminated,
    check_arguments,
    interrupt_behind,
    line_of,
    number,
    one_line_warnings,
    positive,
    print_anything,
    seed,
    sigterm_as_interrupt,
    whole_number,
)
from parzc_core.errors import BadInput, UnknownName
from parzc_core.profiles import PROFILES, profile

Command = Callable[..., argparse.ArgumentParser]  # (name, function, help) to the new command's parser


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command. Exit code 0: done; 1: not all succeeded; 2: bad input, or something that cannot be read or written;
    130: interrupted; 143: terminated."""
    print_anything()
    options = _parser().parse_args(arguments)
    given = sys.argv[1:] if arguments is None else arguments
    with one_line_warnings(), sigterm_as_interrupt():
        try:
            check_arguments(given)
            paths.data_folder()  # says where PARZC_DATA is no folder
            return options.command(options)
        except (Exception, KeyboardInterrupt) as error:
            if (interrupt := interrupt_behind(error)) is not None:
                from parzc_core.storage.workers import end_children

                end_children()
                ended, code = ("terminated", 143) if isinstance(interrupt, Terminated) else ("interrupted", 130)
                print(f"parzc: {ended}; the same command goes on from here", file=sys.stderr)
                return code
            if isinstance(error, BrokenPipeError):  # whoever read the output went away
                sys.stdout = open(os.devnull, "w")  # noqa: SIM115  nothing is left to say at the end
                return 1
            if (line := line_of(error)) is None:
                raise
            print(f"parzc: {line}", file=sys.stderr)
            return 2


def _run(options: argparse.Namespace) -> int:
    from parzc_core import artifact
    from parzc_core.pipeline import run as run_
    from parzc_core.pipeline import tasks

    name = profile(options.profile).name
    chosen = artifact.select(options.names, artifact.discover())
    if options.dry_run:
        reasons = run_.plan(name, chosen)
        for item in chosen:
            reason = reasons[item.name] or ("--force" if options.force else None)
            said = "up to date" if reason is None else f"would run ({reason})"
            if reason is not None and (missing := tasks.unmet(item)) is not None:
                said = f"would be skipped ({missing})"
            print(f"{item.name:32} {said}")
        print(f"{tasks.REPORT_TASK:32} would be built")
        return 0
    if options.scheduler is not None:
        from parzc_core.storage import workers

        count = workers.ask(options.scheduler)
        print(f"missing runs are computed by the {count} workers of the Dask scheduler at {options.scheduler}")
        os.environ[workers.SCHEDULER] = options.scheduler  # the notebooks' kernels inherit it
    if options.stored:
        from parzc_core.storage import workers

        os.environ[workers.STORED] = "1"
    print(run_.outlook(name, chosen, options.force), file=sys.stderr)
    outcome = run_.run(name, options.jobs, chosen, options.force, options.together)
    print(outcome.overview())
    for made in dict.fromkeys(made for item in chosen for made in item.makes if options.stored):
        if left := run_.left_out(made, name):
            print(f"{made}: {left['cells']} cells left out, {_needed(left)}; their earlier rows are kept and not judged")
    differs = _beside_committed(name)
    return 1 if outcome.failed or (options.check and differs) else 0


def _needed(left: dict[str, Any]) -> str:
    """The runs that cells left out need, and their CPU-hours."""
    unknown = f", and {left['runs_of_unknown_cost']} runs of unknown cost" if left["runs_of_unknown_cost"] else ""
    return f"which need {left['runs']} runs, about {left['cpu_hours']:.1f} CPU-hours{unknown}"


def _beside_committed(profile: str) -> bool:
    """Tell how many cells of the profile agree with the committed results; whether any differs."""
    from parzc_core.report import agreement

    if profile == agreement.COMMITTED or not (paths.RESULTS / agreement.COMMITTED).is_dir():
        return False
    found, file = agreement.write(profile)
    if len(found):
        print(f"{agreement.sentence(found)}: {file}")
    return not found["agrees"].all()


def _status(options: argparse.Namespace) -> int:
    from parzc_core import artifact
    from parzc_core.files import json_files
    from parzc_core.pipeline import run as run_

    name = profile(options.profile).name
    experiments = artifact.discover()
    reasons = run_.plan(name, experiments)
    lines = [("RESULT", "NOTEBOOK", "THERE", "ROWS BY ORIGIN", "MINUTES", "STATE")]
    skipped = {}
    for item in experiments:
        file = item.status_file(name)
        last = json_files.load(file) if file.is_file() else {}
        spent = run_.minutes(item, name)
        minutes = "-" if spent is None else f"{spent:.1f}"
        state = "up to date" if reasons[item.name] is None else "to be run"
        if last.get("status") in ("failed", "skipped"):
            state = last["status"]
        if state == "skipped":
            skipped[item.name] = " ".join(last["error"].split())
        for made in item.makes:
            product = item.product(made, name)
            there = "yes" if product.is_file() else "optional" if made in item.optional else "no"
            lines.append((made, item.name, there, _origins(item.rows(made, name)), minutes, state))
        if not item.makes:
            lines.append(("-", item.name, "yes" if item.output(name).is_file() else "no", "-", minutes, state))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    print(f"profile {name}")
    for line in lines:
        print("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())
    for notebook, reason in skipped.items():
        print(f"{notebook}: skipped: {reason}")
    return 0


def _origins(rows: Path) -> str:
    """How many rows of a file are ours, quoted, recreated, reproduced, unavailable; "-" without a file, or "damaged"."""
    from parzc_core.files import csv_files

    if not rows.is_file():
        return "-"
    try:
        heading, lines = csv_files.loads(rows.read_bytes(), ["origin"])
    except BadInput:
        return "damaged"
    counts = Counter(line[heading.index("origin")] for line in lines)
    return ", ".join(f"{count} {origin}" for origin, count in sorted(counts.items())) or "none"


def _tune(options: argparse.Namespace) -> int:
    from parzc_core.experiments import table10_tuning
    from parzc_core.runs.rankers import RankerRun
    from parzc_core.tuning.objective import SPLIT, StudyConfig
    from parzc_core.tuning.study import run_study
    from parzc_core.tuning.trials import save_trials

    base = RankerRun(dataset=options.dataset, cells=options.cells, train=options.train, split=SPLIT)
    study = StudyConfig(options.space, options.size, base, seed=options.seed)
    file = options.out or paths.RESULTS / "tuning" / f"{options.space}.sqlite"
    if file.suffix in (".csv", ".jsonl"):
        raise BadInput(f"got --out {file}; expected another ending, such as .sqlite: trials go beside it, to a .csv and a .jsonl")
    paths.check_writable(file)
    trials = run_study(study, file, options.trials, options.jobs)
    kept = save_trials(trials, file.with_suffix(".csv"))
    found = table10_tuning.finish(study, trials, file.with_suffix(".jsonl"))
    best = ", ".join(f"{name} {value:.4g}" for name, value in found.best.items())
    print(
        f"best of {len(found.complete)} trials trained to their end ({len(trials)} in all): {best}\n"
        f"Kendall's tau on the study's own validation parts: {found.complete['value'].max():.1f} %, of the defaults "
        f"{found.default:.1f} %; `parzc run table10` measures such a gain on other cells\n{file}, {kept.name}"
    )
    return 0


def _notebooks(options: argparse.Namespace) -> int:
    from parzc_core import artifact
    from parzc_core.pipeline import executed

    paths.checkout("the results that notebooks are executed from")
    chosen = artifact.select(options.names, artifact.discover())
    if options.text:
        print(f"text renewed: {', '.join(executed.renew_text(chosen)) or 'none'}")
        return 0
    made = executed.keep(chosen, options.minutes)
    for name, one in made.items():
        changed = f"; other values than the committed rows of {', '.join(one.rows)}" if one.rows else ""
        print(f"{name}: {one.reason or f'{one.bytes / 1e6:.2f} MB, {one.minutes:.1f} minutes'}{changed}")
    return 1 if any(one.reason.startswith("failed") for one in made.values()) else 0


def _settings(texts: Sequence[str], kind: Any) -> dict[str, Any]:
    """Settings of a search method from texts such as "start=10", each of the type of its default. Raises BadInput."""
    defaults = {field.name: field.default for field in dataclasses.fields(kind) if field.repr}
    read: dict[type, Callable[[str], Any]] = {
        bool: {"true": True, "false": False}.__getitem__, int: whole_number, float: number, str: str
    }  # fmt: skip
    types = {name: read[type(value)] for name, value in defaults.items() if type(value) in read}
    found: dict[str, Any] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            found[name] = types[name](value)
        except (KeyError, argparse.ArgumentTypeError):
            known = ", ".join(f"{name}={defaults[name]}" for name in types) or "none"
            raise BadInput(f"got --set {text[:60]!r}; {kind.name} has the settings {known}") from None
    return found


def _search(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from parzc_core.drawing.style import save_as
    from parzc_core.experiments import table03_09_search
    from parzc_core.search import Budget, TabularBenchmark, method

    chosen = method(options.method, **_settings(options.set, method(options.method)))
    stem = f"{options.method}-{options.space}-{options.dataset}-seed{options.seed}"
    folder = options.out or paths.RESULTS / "searches"
    benchmark = TabularBenchmark(options.space, options.dataset)  # first, as a folder is made of its names
    paths.check_writable(folder / f"{stem}.csv")
    with tqdm(total=options.trainings, unit="training", disable=None) as bar:
        found = chosen.run(benchmark, Budget(evaluations=options.trainings), options.seed, lambda step: bar.update())
    steps = found.table()
    better = steps[steps["best"] != steps["best"].shift()]
    print(better.reset_index()[["training", "accuracy", "arch"]].round(2).to_string(index=False))
    best = float(benchmark.table.fidelities[benchmark.table.full].accuracy.max())
    title = f"{options.method} on {options.space} {options.dataset}, seed {options.seed}"
    own = sum(seconds for part, seconds in found.seconds.items() if part != "collecting")
    print(
        f"{len(found.steps)} trainings, {own:.0f} CPU-seconds of the method's own; found {found.chosen} with "
        f"{benchmark.full_accuracy(found.chosen):.2f} %; the best of the space has {best:.2f} %"
    )
    paths.write_whole(folder / f"{stem}.csv", steps.to_csv())
    print(save_as(table03_09_search.one_search(steps, best, title), folder / f"{stem}.png"), f"{stem}.csv")
    return 0


def _mixed_precision(options: argparse.Namespace) -> int:
    from parzc_core.quantization import ground_truth

    if options.plan not in ground_truth.PLANS:
        raise UnknownName.of("plan", options.plan, ground_truth.PLANS)
    folder = options.out or ground_truth.FOLDER / options.plan
    for activations in (None, (8,)):
        made = ground_truth.recreate(ground_truth.PLANS[options.plan], folder, activations, options.images, options.jobs)
        bits = "as few bits as the weights" if activations is None else "8 bits"
        print(
            f"{len(made.accuracy)} configurations, activations of {bits}: {made.accuracy.min():.1f} to "
            f"{made.accuracy.max():.1f} % (the float network {made.facts['float_accuracy']:.1f} %)"
        )
    print(f"network, accuracies and layer sensitivities are in {folder}")
    return 0


def _report(options: argparse.Namespace) -> int:
    from parzc_core.report import page, readme

    name = profile(options.profile).name
    paths.checkout("the results that a report is made of")
    print(f"report: {page.build(name)}")
    if options.readme:
        print(f"README.md: {'brought up to date' if readme.update_readme(name) else 'was up to date'}")
    return 0


def _claims(options: argparse.Namespace) -> int:
    from parzc_core.paper.claims import CLAIMS, claim
    from parzc_core.report import claims

    paths.checkout("the results that claims are decided by")
    judged = claims.judged_claims([claim(name) for name in dict.fromkeys(options.names)] or CLAIMS)
    print(json.dumps([one.record() for one in judged], indent=2) if options.json else claims.table(judged))
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="parzc",
        allow_abbrev=False,  # `--job 2` must not start a run of half an hour
        description="Regenerates the tables and figures of ParZC and sets every number beside the paper's.",
    )
    parser.add_argument("--version", action="version", version=f"parzc {__version__}")
    commands = parser.add_subparsers(title="commands", required=True, metavar="COMMAND")

    def command(name: str, function: object, help: str, under: Any = commands) -> argparse.ArgumentParser:
        added: argparse.ArgumentParser = under.add_parser(name, help=help, description=help, allow_abbrev=False)
        added.set_defaults(command=function)
        return added

    def group(name: str, help: str, about: str) -> Any:
        added = commands.add_parser(name, help=help, description=about, allow_abbrev=False)
        return added.add_subparsers(title="commands", required=True, metavar="COMMAND")

    add_run(command)
    add_status(command)
    cli_data.add(command, group)
    add_tune(command)
    add_search(command)
    add_notebooks(command)
    cli_own.add(command)
    cli_verify.add(command)
    add_mixed_precision(command)
    add_claims(command)
    add_report(command)
    return parser


def _with_profile(added: argparse.ArgumentParser) -> None:
    sizes = "smoke: minutes, to see that all works; standard: every table; full: all splits; paper: printed sizes"
    added.add_argument(
        "--profile", default="standard", metavar="|".join(PROFILES), help=f"how much is run ({sizes})"
    )


def add_run(command: Command) -> None:
    """`parzc run`."""
    run = command("run", _run, "Run the notebooks that are not up to date, then build the report.")
    run.add_argument("names", nargs="*", metavar="TABLE|FIGURE", help="such as table06, fig02 or explore; all without")
    _with_profile(run)
    run.add_argument("--jobs", type=positive, default=1, metavar="N", help="worker processes in all (1)")
    run.add_argument(
        "--together", type=positive, default=1, metavar="N", help="notebooks that run at once and share the processes (1)"
    )
    run.add_argument(
        "--scheduler", metavar="ADDRESS", help="Dask scheduler whose workers compute missing runs (tcp://host:8786)"
    )
    run.add_argument(
        "--stored", action="store_true", help="train nothing: make what stored runs give, and say what is left out"
    )
    run.add_argument("--dry-run", action="store_true", help="only list what would be run, and why")
    run.add_argument("--force", action="store_true", help="run also what is up to date")
    run.add_argument("--check", action="store_true", help="exit code 1 where a cell differs from the committed results")


def add_status(command: Command) -> None:
    """`parzc status`."""
    _with_profile(
        command("status", _status, "List each table and figure: whether it is there, its rows, minutes, state.")
    )


def add_tune(command: Command) -> None:
    """`parzc tune`."""
    tune = command(
        "tune", _tune, "Search hyper-parameters of the ranker with Optuna; resumes, and shares its file with others."
    )
    tune.add_argument("--space", default="table10", help="what is searched: table10 or a4 (table10)")
    tune.add_argument("--size", default="cpu", help="printed (as in the paper, for a GPU), cpu, small or tiny (cpu)")
    tune.add_argument("--trials", type=positive, default=60, metavar="N", help="of the study in all (60)")
    tune.add_argument("--jobs", type=positive, default=1, metavar="N", help="worker processes (1)")
    tune.add_argument("--dataset", default="cifar10", help="of NAS-Bench-201 (cifar10)")
    tune.add_argument("--train", type=positive, default=78, metavar="N", help="training cells that the study has (78)")
    tune.add_argument(
        "--cells", type=positive, default=3000, metavar="N", help="of the sample they are drawn from (3000)"
    )
    tune.add_argument("--seed", type=seed, default=0, help="seed of the sampler (0)")
    tune.add_argument("--out", type=Path, metavar="FILE", help="sqlite file (results/tuning/SPACE.sqlite)")


def add_search(command: Command) -> None:
    """`parzc search`."""
    search = command("search", _search, "Search a benchmark once: what is trained, what is found, as a table and a picture.")
    search.add_argument("--space", default="nb201", help="nb201 or nb101 (nb201)")
    search.add_argument("--dataset", default="cifar10", help="cifar10, cifar100 or imagenet16-120 (cifar10)")
    search.add_argument("--method", default="parzc_plus", help="such as parzc_plus, parzc, robot, evolution (parzc_plus)")
    search.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="settings of the method, such as ordered=10")
    search.add_argument("--trainings", type=positive, default=60, metavar="N", help="networks that it may train (60)")
    search.add_argument("--seed", type=seed, default=0, help="of everything random (0)")
    search.add_argument("--out", type=Path, metavar="FOLDER", help="output folder (results/searches)")


def add_notebooks(command: Command) -> None:
    """`parzc notebooks`."""
    books = command("notebooks", _notebooks, "Execute notebooks from stored runs; keep small copies in results/full/notebooks.")
    books.add_argument("names", nargs="*", metavar="TABLE|FIGURE", help="such as table06, fig02 or explore; all without")
    books.add_argument(
        "--minutes", type=positive, default=5, metavar="N", help="a notebook that takes longer is stopped (5)"
    )
    books.add_argument("--text", action="store_true", help="run nothing; renew the text of copies whose code is unchanged")


def add_mixed_precision(command: Command) -> None:
    """`parzc mixed-precision`."""
    mixed = command(
        "mixed-precision", _mixed_precision, "Make Table 11's ground truth: train, quantize, measure; resumes."
    )
    mixed.add_argument("--plan", default="fashion-mnist", help="fashion-mnist, fashion-mnist-width32, digits or tiny")
    mixed.add_argument("--images", type=Path, metavar="FOLDER", help="Fashion-MNIST's files (wherever they are found)")
    mixed.add_argument("--jobs", type=positive, default=1, help="worker processes (1)")
    mixed.add_argument("--out", type=Path, metavar="FOLDER", help="output folder (results/mixed_precision/PLAN)")


def add_claims(command: Command) -> None:
    """`parzc claims`."""
    told = command("claims", _claims, "List what the paper claims, with verdicts from the committed results.")
    told.add_argument("names", nargs="*", metavar="CLAIM", help="such as mixer or loss; all without")
    told.add_argument("--json", action="store_true", help="as JSON, with rule, place, command and CPU-minutes")


def add_report(command: Command) -> None:
    """`parzc report`."""
    report = command("report", _report, "Build report/index.html from the results that are there.")
    _with_profile(report)
    report.add_argument("--readme", action="store_true", help="also renew README.md (claims) and results/README.md")
