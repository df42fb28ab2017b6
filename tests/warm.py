"""A process that has imported what commands need and forks for each: importing torch takes longer than most commands."""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SERVER = """
import json, os, sys, traceback, types
import pandas, scipy.stats, sklearn.ensemble, sklearn.linear_model, torch
import parzc_core.cli, parzc_core.collecting.labelled, parzc_core.experiments, parzc_core.images.batch, parzc_core.training

def child(given):
    os.chdir(given["cwd"])
    for number, name in ((0, os.devnull), (1, given["out"]), (2, given["err"])):
        os.dup2(os.open(name, os.O_RDWR | os.O_CREAT), number)
    sys.argv = given["argv"]
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    exec(compile(given["code"], given["argv"][0], "exec"), main.__dict__)

while line := sys.stdin.readline():
    if (pid := os.fork()) == 0:
        child(json.loads(line))
        break
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""


class Warm:
    """Such a process. `run` is `subprocess.run` of this Python with a program, and takes what it takes without the imports."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self.process, self.folder = process, folder

    def run(self, code: str, arguments: Sequence[str] = (), cwd: Path | None = None) -> "subprocess.CompletedProcess[str]":
        """A program in a fresh `__main__`. arguments: of sys.argv, after the program. cwd: the server's folder without."""
        told: dict[str, Any] = {name: str(self.folder / f"std{name}") for name in ("out", "err")}
        for name in told.values():
            Path(name).unlink(missing_ok=True)
        command = ["-c", *arguments]
        told |= {"code": code, "argv": command, "cwd": str(cwd or ".")}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        print(json.dumps(told), file=self.process.stdin, flush=True)
        ended = int(self.process.stdout.readline())
        return subprocess.CompletedProcess(command, ended, *(Path(told[name]).read_text() for name in ("out", "err")))

    def command(self, arguments: Sequence[str]) -> "subprocess.CompletedProcess[str]":
        """`parzc` with arguments."""
        return self.run("import sys; from parzc_core.cli import main; sys.exit(main())", arguments)


@contextmanager
def warm(cwd: Path, env: Mapping[str, str], folder: Path) -> Iterator[Warm]:
    """Start it; it ends with the block. folder: for what its children say."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", SERVER], cwd=cwd, env=dict(env), text=True, **pipes) as process:  # type: ignore[call-overload]
        yield Warm(process, folder)
        process.stdin.close()
