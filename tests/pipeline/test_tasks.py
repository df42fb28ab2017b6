"""Discovery, and that only what changed is run again, on a tiny project."""

import os

import pytest
from tiny_notebooks import write_notebook
from tiny_project import Project, meta, project_fixture, quick_fixture  # noqa: F401

from parzc_core import artifact, labels
from parzc_core.errors import BadInput, CorruptDownload, LabelsMissing, UnknownName
from parzc_core.files import registry
from parzc_core.paths import ROOT
from parzc_core.pipeline import dependencies, run, tasks


def test_discovery_is_by_metadata_in_order(project: Project) -> None:
    project.notebook("b", order=2, makes=("table06", "table08"))
    project.notebook("a", order=9)
    write_notebook(project.root / "notebooks" / "scratch.ipynb", "1 / 0")
    assert [(item.name, item.makes, item.parameters) for item in artifact.discover()] == [
        ("b", ("table06", "table08"), ("profile", "jobs")),
        ("a", (), ("profile", "jobs")),
    ]


@pytest.mark.parametrize(
    "broken",
    ["text", {}, {"title": "x", "makes": "table06", "order": 1}, {"title": "x", "makes": [], "order": "1"}],
)
def test_broken_metadata_is_one_clear_error(project: Project, broken: dict[str, object]) -> None:
    write_notebook(project.root / "notebooks" / "odd.ipynb", parzc=broken)
    with pytest.raises(BadInput, match=r"odd\.ipynb.*expected title"):
        artifact.discover()


def test_discovery_refuses_two_makers_and_a_missing_profile(project: Project) -> None:
    project.notebook("a", makes=("table06",))
    second = project.notebook("b", makes=("table06",))
    with pytest.raises(BadInput, match=r"table06 is made by a\.ipynb and by b\.ipynb"):
        artifact.discover()
    write_notebook(second, parameters="jobs = 1", parzc=meta())
    with pytest.raises(BadInput, match=r"b\.ipynb has no parameter 'profile'"):
        artifact.discover()


def test_selection_by_notebook_table_figure_or_beginning(project: Project) -> None:
    project.notebook("fig02_05_importance", order=3, makes=("fig02_importance", "fig05_importance"))
    project.notebook("table06_ablation", order=1, makes=("table06",))
    project.notebook("fig06_tsne", order=2, makes=("fig06b_tsne",))
    found = artifact.discover()

    def names(*asked: str) -> list[str]:
        return [item.name for item in artifact.select(asked, found)]

    everything = ["table06_ablation", "fig06_tsne", "fig02_05_importance"]
    assert names() == everything
    assert names("fig05") == names("fig02_importance") == names("fig02") == ["fig02_05_importance"]
    assert names("fig06b", "table06") == ["table06_ablation", "fig06_tsne"]
    for unknown in ("table0", "tab", "fig0", "table07", ""):
        with pytest.raises(UnknownName, match=r"expected one of: .*fig06b_tsne.*table06"):
            names(unknown)


@pytest.mark.usefixtures("quick")
def test_only_what_changed_is_run_again(project: Project) -> None:
    first = write_notebook(project.root / "notebooks" / "first.ipynb", parameters="profile = 'full'", parzc=meta(1))
    second = project.notebook("second", "print(jobs)", order=2)
    assert set(project.plan().values()) == {"not run yet, or failed or skipped the last time"}
    outcome = project.run()
    assert list(outcome.minutes) == ["first", "second", "report"]
    assert outcome.report == "report of smoke"
    outputs = project.root / "report" / "notebooks" / "smoke"
    assert (outputs / "first.ipynb").read_text() == 'profile="smoke"'  # it has no parameter jobs
    assert (outputs / "second.ipynb").read_text() == 'profile="smoke" jobs=1'
    assert project.status("first") == project.status("first") | {"status": "ok", "error": None, "title": "A title"}

    assert project.plan() == {"first": None, "second": None}
    outcome = project.run()
    assert (list(outcome.minutes), outcome.current) == (["report"], ["first", "second"])

    project.notebook("second", "print(jobs + 1)", order=2)
    assert project.plan() == {"first": None, "second": f"changed: {second}"}
    assert list(project.run().minutes) == ["second", "report"]
    assert list(project.run("first", force=True).minutes) == ["first", "report"]

    (outputs / "first.html").unlink()
    assert project.plan() == {"first": f"missing: {outputs / 'first.html'}", "second": None}
    os.utime(first, ns=(1, 1))  # touched, not changed
    project.run()
    assert list(project.plan().values()) == [None, None]

    assert run.plan("full", artifact.discover())["second"] is not None  # each profile has its own record


@pytest.mark.usefixtures("quick")
def test_other_labels_or_statistics_are_a_change(project: Project) -> None:
    project.notebook("only")
    project.run()
    for name in (registry.FILES[0].name, registry.FILES[-1].name):
        file = project.root / "labels" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
        assert project.plan() == {"only": "other label files are at hand"}
        project.run()
    (project.root / "results" / "statistics").mkdir()
    (project.root / "results" / "statistics" / "manifest.json").write_text("{}")
    assert "manifest.json" in str(project.plan()["only"])


@pytest.mark.usefixtures("quick")
def test_other_stored_runs_are_a_change_for_each_notebook_that_reads_them(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that a notebook stores itself are none; nor is a file that was touched."""
    own, read, other = (project.root / "results" / "smoke" / name / "runs.jsonl" for name in ("table06", "table03", "table07"))
    for file in (own.with_name("rows.csv"), own, read, other):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("first\n")
    project.notebook("writer", order=1, makes=("table06",))
    stand_in = tasks.command

    def writing(experiment: artifact.Experiment, profile: str, jobs: int) -> list[str]:
        made = stand_in(experiment, profile, jobs)
        at = made.index("-c") + 1
        more = f"\nopen({str(own)!r}, 'a').write('its own')" if experiment.name == "writer" else ""
        return [*made[:at], made[at] + more, *made[at + 1 :]]

    monkeypatch.setattr(tasks, "command", writing)
    project.notebook("reader", 'folder / "table03" / "runs.jsonl"', order=2)
    project.notebook("alone", order=3)
    project.run()
    current = dict.fromkeys(("writer", "reader", "alone"))
    assert own.read_text() == "first\nits own"
    assert project.plan() == current

    for file, changed in ((own, "writer"), (read, "reader"), (other, None)):
        os.utime(file, ns=(1, 1))
        assert project.plan() == current
        size = file.stat().st_size
        file.write_text("merged".ljust(size, "\n"))  # as many bytes as before
        assert project.plan() == current | ({changed: "its stored runs changed"} if changed else {})
        project.run()
        assert project.plan() == current
    read.unlink()
    assert project.plan()["reader"] == "its stored runs changed"


def test_every_committed_store_is_read_by_the_notebook_that_makes_its_table() -> None:
    found = {file for item in artifact.discover() for file in dependencies.stores_read(item, "full")}
    assert found >= {file for file in (ROOT / "results").rglob("runs.jsonl")}


@pytest.mark.usefixtures("quick")
def test_a_failure_is_recorded_and_the_others_still_run(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    bad = project.notebook("bad", "raise RuntimeError('worn out')", order=1)
    project.notebook("forgetful", order=2, makes=("table06",))
    project.notebook("good", order=3)
    outcome = project.run()
    assert list(outcome.failed) == ["bad", "forgetful"]
    assert outcome.report == "report of smoke"
    assert project.status("bad")["status"] == "failed"
    assert "RuntimeError: worn out" in str(project.status("bad")["error"])
    assert "did not write: rows.csv" in str(project.status("forgetful")["error"])
    assert project.status("good")["status"] == "ok"
    assert "FAILED: bad, forgetful" in outcome.overview()
    assert "[1/4] bad: FAILED" in capsys.readouterr().err

    project.notebook("bad", "print('mended')", order=1)
    assert bad.exists()
    (project.root / "results" / "smoke" / "table06").mkdir(parents=True)
    (project.root / "results" / "smoke" / "table06" / "rows.csv").write_text("origin")
    outcome = project.run()
    assert (list(outcome.minutes), outcome.failed) == (["bad", "forgetful", "report"], {})
    assert project.status("bad")["error"] is None


@pytest.mark.usefixtures("quick")
def test_a_notebook_without_its_labels_is_skipped_until_they_come(
    project: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The project's folders of labels are empty, so that NAS-Bench-101 has none; NAS-Bench-201 always has some."""
    ran = project.root / "ran"
    project.notebook("bad", f"open({str(ran)!r}, 'w')", order=1, makes=("table02",), needs=["nb101/cifar10"])
    project.notebook("good", order=2, needs=["nb201/cifar10"])
    rows = project.root / "results" / "smoke" / "table02" / "rows.csv"
    page = project.root / "report" / "notebooks" / "smoke" / "bad.html"
    for earlier in (rows, page):
        earlier.parent.mkdir(parents=True, exist_ok=True)
        earlier.write_text("of an earlier run")
    with pytest.raises(LabelsMissing) as missing:
        labels.judged("nb101", "cifar10")
    reason = str(missing.value)

    for force, others in ((False, ["good", "report"]), (False, ["report"]), (True, ["good", "report"])):
        outcome = project.run(force=force)
        assert (outcome.skipped, outcome.failed, list(outcome.minutes)) == ({"bad": reason}, {}, others)
        assert outcome.report == "report of smoke"
        assert "skipped: bad; report: " in outcome.overview()
        assert "FAILED" not in outcome.overview()
        said = capsys.readouterr().err.splitlines()
        assert [line for line in said if "skipped" in line] == [f"[1/3] bad: skipped: {reason}"]
        assert project.plan() == {"bad": "not run yet, or failed or skipped the last time", "good": None}
        record = {"status": "skipped", "error": reason, "minutes": None, "makes": ["table02"]}
        assert project.status("bad") == project.status("bad") | record
    assert project.status("good")["status"] == "ok"
    assert not ran.exists()
    assert {rows.read_text(), page.read_text()} == {"of an earlier run"}

    monkeypatch.setattr(labels, "judged", lambda space, dataset: None)
    assert project.run().skipped == {}
    assert ran.exists()
    assert project.status("bad")["status"] == "ok"
    assert project.plan()["bad"] is None


def test_every_need_is_asked_for_and_each_reason_said_once(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def judge(space: str, dataset: str) -> None:
        asked.append((space, dataset))
        if space != "here":
            raise LabelsMissing(f"no {space}")

    monkeypatch.setattr(labels, "judged", judge)
    project.notebook("all", needs=["x/a", "here/b", "y/c", "x/d"])
    project.notebook("none", order=2)
    everything, nothing = artifact.discover()
    assert (tasks.unmet(everything), tasks.unmet(nothing)) == ("no x; no y", None)
    assert asked == [("x", "a"), ("here", "b"), ("y", "c"), ("x", "d")]


@pytest.mark.parametrize("need", ["nb999/cifar10", "nb101/cifar100"])
@pytest.mark.usefixtures("quick")
def test_a_need_that_no_benchmark_has_is_the_authors_mistake(project: Project, need: str) -> None:
    project.notebook("odd", needs=[need])
    project.notebook("good", order=2)
    (odd, _) = artifact.discover()
    with pytest.raises(BadInput, match=rf"odd\.ipynb needs labels '{need}': unknown .* expected one of: "):
        tasks.unmet(odd)
    outcome = project.run()
    assert (list(outcome.failed), outcome.skipped) == (["odd"], {})
    assert "Traceback" not in outcome.failed["odd"]
    assert (project.status("odd")["status"], project.status("good")["status"]) == ("failed", "ok")
    assert project.status("odd")["error"] == outcome.failed["odd"]


@pytest.mark.usefixtures("quick")
def test_corrupt_labels_are_a_failure_and_no_reason_to_skip(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def judge(space: str, dataset: str) -> None:
        raise CorruptDownload("got another file")

    monkeypatch.setattr(labels, "judged", judge)
    project.notebook("only", needs=["nb101/cifar10"])
    outcome = project.run()
    assert (outcome.failed, outcome.skipped) == ({"only": "got another file"}, {})


@pytest.mark.parametrize("needs", ["nb101/cifar10", ["nb101"], [["nb101", "cifar10"]], ["a/b/c"], ["/cifar10"], {}, 1])
def test_needs_of_another_form_are_one_clear_error(project: Project, needs: object) -> None:
    project.notebook("odd", needs=needs)
    with pytest.raises(BadInput, match=r"odd\.ipynb.* has needs .*expected a list of space/dataset, such as"):
        artifact.discover()


@pytest.mark.usefixtures("quick")
def test_a_failed_report_is_a_failure(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(profile: str) -> dict[str, str]:
        raise BadInput("no rows")

    project.notebook("only")
    monkeypatch.setattr(tasks, "build_report", broken)
    outcome = project.run()
    assert list(outcome.failed) == ["report"]
    assert "report: not built" in outcome.overview()


def test_an_optional_result_may_be_left_out(project: Project) -> None:
    project.notebook("some", order=1, makes=("table01", "fig06a_tsne"), optional=["fig06a_tsne"])
    (one,) = artifact.discover()
    assert [product.name for product in one.products("smoke")] == ["rows.csv"]
    assert artifact.select(["fig06a"], [one]) == (one,)
    project.notebook("odd", order=2, makes=("table02",), optional=["table03"])
    with pytest.raises(BadInput, match=r"odd\.ipynb.* has optional .*expected a list of some of makes"):
        artifact.discover()
