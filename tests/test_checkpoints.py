"""A training that was killed and started again gives the bits of one that was not, and leaves nothing behind."""

import dataclasses
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from ranker_toys import small, toy

from parzc_core import checkpoints
from parzc_core.checkpoints import forget, kept_as
from parzc_core.predictors import arch2vec
from parzc_core.predictors.nn_former import WarmSchedule
from parzc_core.predictors.optimise import Schedule
from parzc_core.predictors.registry import predictor
from parzc_core.ranker import Inputs
from parzc_core.runs.protocol import run_all
from parzc_core.training import fit_many

SCHEDULE = Schedule(6, 4, 1e-3, cosine=True)
LONG = Schedule(200, 4, 1e-3, cosine=True)
INPUTS, ACCURACY = toy()
GRAPHS = Inputs(None, INPUTS.adjacency, INPUTS.operations)


def ranker(*parts):
    found = fit_many([INPUTS, INPUTS], [ACCURACY, -ACCURACY], small(parts, epochs=6, batch_size=4), seeds=(1, 2))
    return [np.concatenate([one.predict(INPUTS) for one in found]).tolist(), [one.history for one in found]]


def rival(name):
    arch2vec._PRETRAINED.clear()
    field = "pretraining" if name == "Arch2Vec" else "schedule"
    nodes = {"edges": ()} if name in ("PINAT", "NAO") else {}  # the toy's operations are on nodes
    schedule = WarmSchedule(6, 4, 1e-3, average=0.5) if name == "NN-Former" else SCHEDULE
    sizes = {"width": 16, "depth": 1, "hidden": 32} if name == "NN-Former" else {}
    fitted = predictor(name, "nb201", **{field: schedule}, **nodes, **sizes).fit(GRAPHS, ACCURACY, seed=3)
    each = fitted.predict_each(GRAPHS) if name == BEST else []
    return [scores.tolist() for scores in (fitted.predict(GRAPHS), *each)]


BEST = "CTNAS (best checkpoint)"
KINDS = ("MABN", "ParZC", "NP", "TNASP", "PINAT", "NAO", "Arch2Vec", "NN-Former", BEST)


def trained(kind):
    """Scores of a small training of that kind."""
    if kind in ("MABN", "ParZC"):
        return ranker(*(("NP",) if kind == "ParZC" else ()), "Mixer", "BN")
    return rival(kind)


class Killed(Exception):
    pass


@pytest.fixture(autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def often(monkeypatch):
    """A checkpoint after every epoch."""
    monkeypatch.setattr(checkpoints, "EVERY", 0.0)


@pytest.fixture
def killed_at(monkeypatch):
    """From a call on, the training ends with an exception as soon as so many checkpoints are written."""

    def at(count, real=checkpoints._save):
        written = []

        def save(path, record):
            real(path, record)
            written.append(record["epoch"])
            if len(written) == count:
                monkeypatch.setattr(checkpoints, "_save", real)
                raise Killed

        monkeypatch.setattr(checkpoints, "_save", save)

    return at


def epochs_run(monkeypatch):
    """Epochs that are trained from now on."""
    found, real = [], checkpoints.epochs

    def watched(total, parts):
        for epoch in real(total, parts):
            found.append(epoch)
            yield epoch

    for module in ("training", "predictors.optimise", "predictors.nn_former"):
        monkeypatch.setattr(f"parzc_core.{module}.epochs", watched)
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_a_training_that_was_killed_goes_on_with_the_same_bits(kind, often, killed_at, tmp_path, monkeypatch):
    expected = trained(kind)
    stem = tmp_path / "checkpoints" / "key"
    for count in (2, 3):  # killed after epoch 2, and again after epoch 5
        killed_at(count)
        with pytest.raises(Killed), kept_as(stem):
            trained(kind)
    torch.manual_seed(99)  # another process draws other numbers before
    run = epochs_run(monkeypatch)
    with kept_as(stem) as kept:
        assert trained(kind) == expected
    assert run == [6]
    assert kept.earlier > 0
    with kept_as(stem):  # killed between the end and the store
        assert trained(kind) == expected
    assert run == [6]
    assert [path.name for path in stem.parent.iterdir()] == ["key-0.pt"]
    forget(stem)
    assert list(tmp_path.iterdir()) == []


def test_trainings_of_one_run_keep_a_file_each(often, killed_at, tmp_path, monkeypatch):
    def both():
        return trained("NP"), trained("MABN"), trained("NP")

    expected = both()
    killed_at(9)
    with pytest.raises(Killed), kept_as(tmp_path / "key"):
        both()
    run = epochs_run(monkeypatch)
    with kept_as(tmp_path / "key"):
        assert both() == expected
    assert run == [4, 5, 6, *range(1, 7)]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["key-0.pt", "key-1.pt", "key-2.pt"]
    forget(tmp_path / "other")
    assert len(list(tmp_path.iterdir())) == 3


def test_a_training_without_a_checkpoint_has_all_its_epochs_to_go(often, tmp_path):
    with kept_as(tmp_path / "key") as kept:
        trained("MABN")
    assert kept.earlier == 0.0


def test_a_short_training_writes_nothing(tmp_path):
    with kept_as(tmp_path / "checkpoints" / "key"):
        trained("MABN")
    assert list(tmp_path.iterdir()) == []


def test_the_caller_finds_its_random_state_as_it_was(often, tmp_path, killed_at):
    killed_at(3)
    with pytest.raises(Killed), kept_as(tmp_path / "key"):
        trained("TNASP")
    torch.manual_seed(5)
    state = torch.get_rng_state()
    with kept_as(tmp_path / "key"):
        trained("TNASP")
    assert torch.equal(state, torch.get_rng_state())


def test_a_damaged_checkpoint_is_named_and_ignored(often, killed_at, tmp_path):
    expected = trained("NP")
    killed_at(3)
    with pytest.raises(Killed), kept_as(tmp_path / "key"):
        trained("NP")
    content = (tmp_path / "key-0.pt").read_bytes()
    altered = bytearray(content)
    altered[len(content) // 2] ^= 1
    for damaged in (b"", content[:-1], bytes(altered), b"{}" * 50):
        (tmp_path / "key-0.pt").write_bytes(damaged)
        with kept_as(tmp_path / "key") as kept, pytest.warns(UserWarning, match=r"key-0\.pt is damaged"):
            assert trained("NP") == expected
        assert kept.earlier == 0


def test_the_checkpoint_of_another_training_is_named_and_ignored(often, killed_at, tmp_path):
    killed_at(3)
    with pytest.raises(Killed), kept_as(tmp_path / "key"):
        trained("NP")
    expected = trained("MABN")
    with kept_as(tmp_path / "key"), pytest.warns(UserWarning, match=r"key-0\.pt is the checkpoint of another"):
        assert trained("MABN") == expected


def test_where_nothing_can_be_written_the_training_goes_on(often, tmp_path, monkeypatch):
    def full(path, content):
        raise OSError("the disk is full")

    expected = trained("NP")
    monkeypatch.setattr(checkpoints, "write_whole", full)
    with kept_as(tmp_path / "key"), pytest.warns(UserWarning, match=r"no checkpoint was written to .*full"):
        assert trained("NP") == expected


@dataclasses.dataclass(frozen=True)
class Trained:
    """A run for `run_all`, and a group of two."""

    kind: str
    killed: bool = False

    def key(self):
        return {"kind": self.kind}

    def evaluate(self):
        return {"scores": trained(self.kind), "seconds": 1.0}


@dataclasses.dataclass(frozen=True)
class Half(Trained):
    half: int = 0

    def key(self):
        return {"kind": self.kind, "half": self.half}

    def group(self):
        return Half(self.kind, half=0), Half(self.kind, half=1)

    def evaluate_group(self):
        scores, history = trained(self.kind)
        return [{"scores": [scores, history], "seconds": 1.0} for _ in range(2)]


@pytest.mark.parametrize("run", [Trained("TNASP"), Half("MABN", half=1)])
def test_run_all_goes_on_stores_and_forgets(run, often, killed_at, tmp_path):
    expected = trained(run.kind)
    killed_at(4)
    with pytest.raises(Killed):
        run_all([run], tmp_path / "runs.jsonl")
    assert [path.suffix for path in (tmp_path / "checkpoints").iterdir()] == [".pt"]
    result = run_all([run], tmp_path / "runs.jsonl")[run]
    assert np.array_equal(np.array(result["scores"], dtype=object), np.array(_plain(expected), dtype=object))
    assert result["seconds"] > 1
    assert not (tmp_path / "checkpoints").exists()
    assert run_all([run], tmp_path / "runs.jsonl")[run] == result


def _plain(value):
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


KILLED = """if True:
    import sys
    from pathlib import Path
    import test_checkpoints
    from parzc_core import checkpoints
    checkpoints.EVERY = 0.0
    test_checkpoints.SCHEDULE = test_checkpoints.LONG
    test_checkpoints.run_all([test_checkpoints.Trained("TNASP")], Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_a_process_killed_at_any_moment_is_gone_on_with(tmp_path, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "SCHEDULE", LONG)
    expected, run = trained("TNASP"), Trained("TNASP")
    folder, store = tmp_path / "checkpoints", tmp_path / "runs.jsonl"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(store)], cwd=Path(__file__).parent)
    deadline = time.monotonic() + 900
    while not list(folder.glob("*.pt")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not store.exists()
    trained_again = epochs_run(monkeypatch)
    result = run_all([run], store)[run]
    assert result["scores"] == expected
    assert 0 < len(trained_again) < LONG.epochs
    assert result["seconds"] > 1
    assert not folder.exists()


@pytest.fixture
def clock(monkeypatch):
    """CPU-seconds that a test sets; a checkpoint is due every 120."""
    now = [1000.0]
    monkeypatch.setattr("time.process_time", lambda: now[0])
    return now


def test_checkpoints_are_kept_every_so_many_seconds_and_at_the_end_of_a_long_training(clock, tmp_path, monkeypatch):
    saved, real = [], checkpoints._save
    monkeypatch.setattr(checkpoints, "_save", lambda path, record: (saved.append(record["epoch"]), real(path, record)))
    for total, seconds, expected in ((3, 39.0, []), (7, 40.0, [3, 6, 7]), (2, 60.0, [2]), (1, 119.9, []), (2, 150.0, [1, 2])):
        saved.clear()
        with kept_as(tmp_path / f"{total} {seconds}") as kept:
            kept.saved = clock[0]
            for _ in checkpoints.epochs(total, {"weights": torch.zeros(3)}):
                clock[0] += seconds
        assert (saved, kept.earlier) == (expected, 0)


def test_seconds_of_earlier_processes_add_up_over_trainings(clock, tmp_path):
    def train(stop: int) -> float:
        with kept_as(tmp_path / "key") as kept:
            for _ in range(2):
                for epoch in checkpoints.epochs(4, {"weights": torch.zeros(3)}):
                    clock[0] += 120.0
                    if epoch == stop:
                        break
            return kept.earlier

    assert [train(stop) for stop in (3, 0, 0)] == [0, 2 * 240, 2 * 480]  # of two trainings two epochs were kept, then all four


def test_inside_the_block_alone_something_is_kept(often, tmp_path):
    with kept_as(tmp_path / "one"), kept_as(tmp_path / "two"):
        list(checkpoints.epochs(1, {}))
    with pytest.raises(Killed), kept_as(tmp_path / "one"):
        raise Killed
    list(checkpoints.epochs(1, {}))
    with kept_as(None):
        list(checkpoints.epochs(1, {}))
    assert [path.name for path in tmp_path.iterdir()] == ["two-0.pt"]


BEGINNINGS = {
    "more epochs": (3, {"w": torch.zeros(2, 3)}),
    "another name": (2, {"v": torch.zeros(2, 3)}),
    "another shape": (2, {"w": torch.zeros(3, 2)}),
    "another type": (2, {"w": torch.zeros(2, 3, dtype=torch.int32)}),
    "another number": (2, {"w": torch.zeros(2, 3), "seed": [1]}),
}


@pytest.mark.parametrize("what", BEGINNINGS)
def test_a_training_that_begins_otherwise_does_not_go_on(what, often, tmp_path, monkeypatch):
    seeds = {"seed": [0]} if "number" in what else {}
    with kept_as(tmp_path / "key"):
        assert list(checkpoints.epochs(2, {"w": torch.zeros(2, 3), **seeds})) == [1, 2]
    with kept_as(tmp_path / "key"):
        assert list(checkpoints.epochs(2, {"w": torch.zeros(2, 3), **seeds})) == []
    total, parts = BEGINNINGS[what]
    with kept_as(tmp_path / "key"), pytest.warns(UserWarning, match="of another training"):
        assert next(checkpoints.epochs(total, parts)) == 1
    monkeypatch.setattr(torch, "__version__", "0.1")
    with kept_as(tmp_path / "key"), pytest.warns(UserWarning, match="of another training"):
        assert next(checkpoints.epochs(2, {"w": torch.zeros(2, 3), **seeds})) == 1


def test_parts_are_put_back_in_place(often, tmp_path):
    def parts():
        return {"tensor": torch.zeros(3), "orders": {0: torch.Generator().manual_seed(1)}, "history": []}

    torch.manual_seed(2)
    with kept_as(tmp_path / "key"):
        first = parts()
        for epoch in checkpoints.epochs(2, first):
            first["tensor"] += torch.rand(3, generator=first["orders"][0]) + torch.rand(3)
            first["history"].append(epoch)
    drawn = torch.rand(1), torch.rand(1, generator=first["orders"][0])
    torch.manual_seed(2)
    with kept_as(tmp_path / "key"):
        again = parts()
        assert list(checkpoints.epochs(2, again)) == []
    assert torch.equal(again["tensor"], first["tensor"])
    assert again["history"] == [1, 2]
    assert (torch.rand(1), torch.rand(1, generator=again["orders"][0])) == drawn


def test_forgetting_removes_half_written_files_and_an_empty_folder_alone(tmp_path):
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    for name in ("key-0.pt", ".key-1.pt.tmp", "keys-0.pt"):
        (folder / name).write_bytes(b"")
    forget(folder / "key")
    assert [path.name for path in folder.iterdir()] == ["keys-0.pt"]
    forget(folder / "keys")
    assert list(tmp_path.iterdir()) == []
