"""One notebook in its own process: parameters, whole output or none, errors, the HTML page, and no orphan kernels."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
from tiny_notebooks import texts, wait_for, write_notebook

from parzc_core.artifact import known_parameters
from parzc_core.errors import BadInput, UnknownName
from parzc_core.pipeline.notebook import NotebookFailed, main, run_notebook, typed


def leftovers(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


def test_runs_with_parameters_environment_and_html(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PARZC_DATA", "labels")  # relative to where the command was typed
    source = write_notebook(
        tmp_path / "in" / "one.ipynb",
        r"#md A formula $\tau = \frac{2}{n}$, and $\nosuchmacro{x} < 3$."
        + "\n\n"
        + r"$$W = \mu + \log(1 + e^\rho)\epsilon$$",
        "import os\nprint(profile, jobs + 1, os.environ['OMP_NUM_THREADS'], os.environ['PARZC_DATA'], os.getcwd())",
        "from IPython.display import SVG, display\ndisplay(SVG('<svg xmlns=\"http://www.w3.org/2000/svg\"/>'))",
    )
    output = run_notebook(source, {"profile": "smoke", "jobs": 4}, tmp_path / "out" / "one.ipynb")
    assert texts(output).split() == ["smoke", "5", "1", str(tmp_path / "labels"), str(tmp_path / "in")]
    assert "OMP_NUM_THREADS" not in os.environ  # only the kernel got it

    page = output.with_suffix(".html").read_text()
    assert "<script" not in page
    assert not re.search(r"""<(?:img|link|iframe)[^>]*(?:src|href)=["']?https?:""", page)
    assert page.count('class="formula"') == 2
    assert "\\nosuchmacro{x} &lt; 3" in page  # what cannot be drawn stays readable
    assert sorted(path.name for path in output.parent.iterdir()) == ["one.html", "one.ipynb"]


def test_unknown_parameter_is_refused_before_anything_runs(tmp_path: Path) -> None:
    source = write_notebook(tmp_path / "one.ipynb", f"open({str(tmp_path / 'ran')!r}, 'w')")
    with pytest.raises(UnknownName, match=r"'profil'.*expected one of: profile, jobs"):
        run_notebook(source, {"profil": "smoke"}, tmp_path / "out.ipynb")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.ipynb"]


def test_known_parameters_are_the_assignments_of_the_tagged_cell(tmp_path: Path) -> None:
    source = write_notebook(
        tmp_path / "a.ipynb", "other = 3", parameters="profile = 'x'  # why\nsizes: list = [\n  1,\n]\nx == 3"
    )
    assert known_parameters(source) == ("profile", "sizes")
    assert known_parameters(write_notebook(tmp_path / "b.ipynb", "x = 1", parameters=None)) == ()


@pytest.mark.parametrize("content", [None, "{", "[]", '{"cells": 3}'])
def test_what_is_no_notebook_is_one_clear_error(tmp_path: Path, content: str | None) -> None:
    source = tmp_path / "bad.ipynb"
    if content is not None:
        source.write_text(content)
    with pytest.raises(BadInput, match=r"bad\.ipynb"):
        run_notebook(source, {}, tmp_path / "out.ipynb")


def test_failure_keeps_the_old_output_and_success_clears_the_failure(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source, output = write_notebook(tmp_path / "one.ipynb", "print('first')"), tmp_path / "out.ipynb"
    failed = tmp_path / "out.failed.ipynb"
    run_notebook(source, {}, output)
    old, old_page = output.read_bytes(), output.with_suffix(".html").read_bytes()

    write_notebook(source, "print('reached')", "value = 0", "1 / value", "print('not reached')")
    assert main([str(source), str(output), "profile=smoke"]) == 1
    said = capsys.readouterr().out
    assert "ZeroDivisionError" in said
    assert "1 / value" in said
    assert "\x1b" not in said
    assert (output.read_bytes(), output.with_suffix(".html").read_bytes()) == (old, old_page)
    assert texts(failed) == "reached\n"
    assert leftovers(tmp_path) == []

    write_notebook(source, "print('mended')")
    run_notebook(source, {}, output)
    assert texts(output) == "mended\n"
    assert not failed.exists()


def test_a_kernel_that_dies_is_a_failure(tmp_path: Path) -> None:
    source = write_notebook(tmp_path / "one.ipynb", "import os, signal\nos.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(NotebookFailed, match="one failed"):
        run_notebook(source, {}, tmp_path / "out.ipynb")
    assert not (tmp_path / "out.ipynb").exists()
    assert leftovers(tmp_path) == []


def test_command_line_reads_json_and_refuses_what_is_no_pair(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = write_notebook(tmp_path / "one.ipynb", "print(type(jobs).__name__, profile)")
    assert main([str(source), str(tmp_path / "out.ipynb"), "jobs"]) == 2
    assert "expected key=value" in capsys.readouterr().out
    assert main([str(source), str(tmp_path / "out.ipynb"), "jobs=2.5", "profile=a b"]) == 0
    assert texts(tmp_path / "out.ipynb").split() == ["float", "a", "b"]


@pytest.mark.parametrize("metadata", [{}, {"kernelspec": None}, {"kernelspec": {"name": "python3"}}])
def test_a_notebook_without_kernelspec_runs_and_a_false_is_false(tmp_path: Path, metadata: dict[str, object]) -> None:
    source = write_notebook(tmp_path / "one.ipynb", "print('on' if flag else 'off')", parameters="flag = True")
    source.write_text(json.dumps({**json.loads(source.read_text()), "metadata": metadata}))
    assert main([str(source), str(tmp_path / "out.ipynb"), "flag=False"]) == 0
    assert texts(tmp_path / "out.ipynb") == "off\n"


@pytest.mark.parametrize(
    ("default", "given", "value"),
    [
        (True, "False", False),
        (True, "false", False),
        (False, "True", True),
        (True, False, False),
        (1, "3", 3),
        (1, "2.5", 2.5),
        (0.5, "2", 2.0),
        (0.5, 2, 2.0),
        ("a", "5", "5"),
        ("a", "None", "None"),
        ("a", '"5"', "5"),
        ("a", 5, "5"),
        ([1], "[2, 3]", [2, 3]),
        ((1, 2), "[2, 3]", (2, 3)),
        ([1], "('x', True)", ["x", True]),
        ({}, '{"a": false}', {"a": False}),
        (None, "5", 5),
        (None, "True", True),
        (None, "text", "text"),
        (3, "None", None),
    ],
)
def test_parameters_have_the_type_of_the_default(default: object, given: object, value: object) -> None:
    found = typed("name", given, default)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(("default", "given"), [(True, "1"), (True, "yes"), (1, "True"), (1, "a"), ([1], "3"), ({}, "[]")])
def test_a_parameter_of_another_type_is_refused(default: object, given: str) -> None:
    with pytest.raises(BadInput, match="the notebook's default is"):
        typed("name", given, default)


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_no_kernel_outlives_its_run(tmp_path: Path, number: signal.Signals) -> None:
    """SIGTERM ends the kernel and its workers; after SIGKILL the kernel notices by itself."""
    note = tmp_path / "pids"
    source = write_notebook(
        tmp_path / "one.ipynb",
        "import os, subprocess, time\nfrom pathlib import Path\n"
        "worker = subprocess.Popen(['sleep', '300'])\n"
        f"Path({str(note)!r}).write_text(f'{{os.getpid()}} {{worker.pid}}')\ntime.sleep(300)",
    )
    run = subprocess.Popen([sys.executable, "-m", "parzc_core.pipeline.notebook", str(source), str(tmp_path / "out.ipynb")])
    wait_for(lambda: note.exists() and len(note.read_text().split()) == 2)
    kernel, worker = map(int, note.read_text().split())
    run.send_signal(number)
    assert run.wait(timeout=900) == (143 if number == signal.SIGTERM else -number)
    wait_for(lambda: not psutil.pid_exists(kernel))
    if number == signal.SIGTERM:
        assert not psutil.pid_exists(worker)
        assert leftovers(tmp_path) == []
    elif psutil.pid_exists(worker):
        os.kill(worker, signal.SIGKILL)  # nobody was left to end it
    assert not (tmp_path / "out.ipynb").exists()
