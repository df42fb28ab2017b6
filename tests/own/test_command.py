"""`parzc rank`: networks of a file, accuracies of a table, a ranker that is kept and taken up; what is wrong is one line."""

import re
from pathlib import Path

import pandas as pd
import pytest

from parzc_core import cli
from parzc_core.own.command import read_accuracies

NETWORKS = """
import torch
from torch import nn

torch.manual_seed(0)
hidden = [[layer for _ in range(depth) for layer in (nn.ReLU(), nn.Linear(8, 8))] for depth in range(7)]
networks = {
    f"net{i}": nn.Sequential(nn.Flatten(), nn.Linear(16, 8), *hidden[i], nn.Linear(8, 3)) for i in range(1, 7)
}

def batch():
    return torch.randn(6, 1, 4, 4), torch.arange(6) % 3
"""


@pytest.fixture
def files(tmp_path: Path) -> tuple[Path, Path]:
    (tmp_path / "mine.py").write_text(NETWORKS)
    (tmp_path / "accuracies.csv").write_text("name,accuracy\nnet4,60\nnet1,90\nnet2,80\nnet5,\nnet6,40\n")
    return tmp_path / "mine.py", tmp_path / "accuracies.csv"


def test_networks_of_a_file_are_ranked_kept_and_ranked_again(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    script, accuracies = map(str, files)
    kept, out = str(tmp_path / "ranker.npz"), str(tmp_path / "ranking.csv")
    assert cli.main(["rank", script, "--accuracies", accuracies, "--save", kept, "--out", out]) == 0
    said = capsys.readouterr().out
    assert "ranked by" in said
    assert "held out: parzc+" in said
    ranking = pd.read_csv(out, index_col="name")
    assert ranking["accuracy"].isna().to_dict() == {f"net{i}": i in (3, 5) for i in range(1, 7)}
    assert cli.main(["rank", script, "--load", kept]) == 0
    assert "net3" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "accuracies", "words"),
    [
        ("networks = {}", "name,accuracy\na,1\n", "without `batch`"),
        ("raise SystemExit(3)", "name,accuracy\na,1\n", "mine.py, line 1: SystemExit: 3"),
        ("a = 1\nb = (\n", "name,accuracy\na,1\n", r"mine\.py, line 2: SyntaxError: "),
        ("def f():\n    raise SystemExit(3)\n\nnetworks = batch = f", "name,accuracy\na,1\n", "failed: SystemExit: 3"),
        ("1 / 0", "name,accuracy\na,1\n", "line 1: ZeroDivisionError"),
        (NETWORKS, "name,accuracy\nother,1\nnet1,2\n", "'other', which is no network"),
        (NETWORKS, "name,accuracy\n", "got 0 accuracies"),
        (NETWORKS, "net1,90\nnet2,80\nnet4,60\n", "'90' as the heading"),
        (NETWORKS, "name,accuracy\nnet1,True\nnet2,False\n", "no numbers, such as 'True'"),
        (NETWORKS + "networks = list(networks.values())", "name,accuracy\n²,1\n1,2\n", "'²', which is no network"),
        (NETWORKS + "networks['bad'] = lambda: 1 / 0", None, "network 'bad': the function that builds it failed: ZeroDivision"),
        (NETWORKS, "name\nnet1\n", "expected a name and an accuracy"),
        (NETWORKS, "name,accuracy\nnet1,90,5\nnet2,80,1\n", "3 fields in line 2; expected 2, .* decimal one .* as a point"),
        (NETWORKS, "name;accuracy\nnet1;90,5\nnet2;80,1\n", "columns name;accuracy; expected a name and an accuracy"),
        (NETWORKS, "name,accuracy,Accuracy\nnet1,90,10\nnet2,80,20\n", "of more columns one that is called accuracy"),
        (NETWORKS, "name,epochs,top1\nnet1,10,90\nnet2,20,80\n", "columns name, epochs, top1; .* one that is called accuracy"),
        (NETWORKS, "name,accuracy\nnet1,9_0\nnet2,80\n", "no numbers, such as '9_0'"),
        (NETWORKS, "name,accuracy\nnet1,good\nnet2,bad\n", "no numbers, such as 'good'"),
        (NETWORKS.replace("torch.arange(6) % 3", "1 / 0"), "name,accuracy\na,1\n", r"batch\(\) of .* failed: ZeroDivisionError"),
    ],
)
def test_what_is_wrong_is_one_line(
    code: str, accuracies: str | None, words: str, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "mine.py").write_text(code)
    (tmp_path / "accuracies.csv").write_text(accuracies or "")
    given = ["--accuracies", str(tmp_path / "accuracies.csv")] if accuracies else []
    assert cli.main(["rank", str(tmp_path / "mine.py"), *given]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert re.search(words, said), said


@pytest.mark.parametrize(
    "lines",
    ["name,accuracy\nNA,90\n1,80\nnull,60\nnone,\nnan,nan\n", "name,accuracy\nNA,90,\n1,80,\nnull,60,\nnone,,\n",
     "name,seed,accuracy\nNA,3,90\n1,4,80\nnull,5,60\n", "name, seed, Accuracy\nNA,3,90\n1,4,80\nnull,5,60\n",
     "\ufeffnetwork,top1,\r\nNA,90\r\n1,80,\r\n,,\r\n\r\nnull,60,,\r\nnone\r\n"],
    ids=["names that pandas takes for missing", "commas at the ends of lines", "a column between", "blanks and capitals",
         "as a spreadsheet writes it"],
)  # fmt: skip
def test_accuracies_are_read_as_they_are_written(lines: str, tmp_path: Path) -> None:
    (tmp_path / "accuracies.csv").write_bytes(lines.encode())
    assert read_accuracies(tmp_path / "accuracies.csv").dropna().to_dict() == {"NA": 90, "1": 80, "null": 60}


def test_a_level_that_is_none_is_refused_without_accuracies_too(
    files: tuple[Path, Path], capsys: pytest.CaptureFixture
) -> None:
    assert cli.main(["rank", str(files[0]), "--level", "101"]) == 2
    assert "got level=101" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--out", "--save"])
@pytest.mark.parametrize("name", ["mine.py", "accuracies.csv"])
def test_an_input_is_not_written_over(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture, option: str, name: str
) -> None:
    before = (tmp_path / name).read_bytes()
    command = ["rank", str(files[0]), "--accuracies", str(files[1]), "--ranker", "params"]
    assert cli.main([*command, option, str(tmp_path / name)]) == 2
    assert re.fullmatch(rf"parzc: got .*{name} as output, which is the input .*\n", capsys.readouterr().err)
    assert (tmp_path / name).read_bytes() == before


def test_one_file_is_not_both_outputs(files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    both = [part for option in ("--out", "--save") for part in (option, str(tmp_path / "both"))]
    assert cli.main(["rank", str(files[0]), "--accuracies", str(files[1]), "--ranker", "params", *both]) == 2
    assert "expected two files" in capsys.readouterr().err


def test_without_accuracies_networks_are_ordered_and_nothing_can_be_kept(
    files: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    script, out = str(files[0]), str(tmp_path / "order.csv")
    assert cli.main(["rank", script, "--out", out]) == 0
    assert "ordered without accuracies" in capsys.readouterr().out
    assert sorted(pd.read_csv(out, index_col="name")["rank"]) == [1, 2, 3, 4, 5, 6]
    for more in (["--save", str(tmp_path / "ranker.npz")], ["--ranker", "params"]):
        assert cli.main(["rank", script, *more]) == 2
        assert "no accuracies; expected --accuracies FILE" in capsys.readouterr().err
    assert cli.main(["rank", script, "--accuracies", str(files[1]), "--load", "ranker.npz"]) == 2
    assert "expected one of --accuracies FILE and --load RANKER" in capsys.readouterr().err
