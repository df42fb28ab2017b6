"""Searching networks of one's own: what is picked, what a killed search goes on with, labels of any scale, what is refused."""

import copy
import dataclasses
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from parzc_core import describe, search_networks
from parzc_core.errors import BadInput, UnknownName
from parzc_core.own import searching
from parzc_core.own.ordering import order_of
from parzc_core.storage.lock import locked
from parzc_core.storage.run_store import RunStore

IMAGES = torch.randn(6, 1, 4, 4, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(6) % 3
WIDTHS = {f"{depth} of {width}": (depth, width) for depth in (0, 1, 2) for width in (2, 3, 5, 8, 12, 16, 24, 32)}
QUICK = dataclasses.replace(searching.PLUS, trees=20, steps=15)


def network(depth: int, width: int) -> nn.Module:
    hidden = [layer for _ in range(depth) for layer in (nn.ReLU(), nn.Linear(width, width))]
    return nn.Sequential(nn.Flatten(), nn.Linear(16, width), *hidden, nn.ReLU(), nn.Linear(width, 3))


def networks() -> dict[str, nn.Module]:
    torch.manual_seed(0)
    return {name: network(*sizes) for name, sizes in WIDTHS.items()}


ACCURACY = {name: 50 + 8 * np.log2(width) - 6 * depth + 0.3 * (depth * width % 5) for name, (depth, width) in WIDTHS.items()}
BEST = max(ACCURACY, key=lambda name: ACCURACY[name])


def look_up(name: str, _network: nn.Module) -> float:
    return ACCURACY[name]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "PLUS", QUICK)


@pytest.fixture(scope="module")
def described() -> Any:
    return describe(networks(), IMAGES, LABELS)


def search(described: Any, evaluate: Callable[[Any, nn.Module], float] = look_up, budget: int = 14, **options: Any) -> Any:
    return search_networks(networks(), evaluate, budget, described=described, **options)


def without_seconds(found: Any) -> pd.DataFrame:
    return found.trajectory.drop(columns="seconds")


def test_half_of_the_first_come_from_an_order_without_labels_and_the_others_by_chance(described: Any) -> None:
    order = order_of(described)[0]
    best = [described.names[i] for i in np.argsort(-order)[:3]]
    for seed in range(3):
        by_chance = search(None, method="random", seed=seed).trajectory["name"].tolist()
        first = search(described, seed=seed, start=6, budget=6).trajectory["name"].tolist()
        assert sorted(first[:3]) == sorted(best)
        assert first[3:] == [name for name in by_chance if name not in best][:3]
        assert search(described, seed=seed, start=6, ordered=0, budget=6).trajectory["name"].tolist() == by_chance[:6]
    with pytest.raises(BadInput, match="got ordered=7 and start=6"):
        search(described, start=6, ordered=7)


def test_networks_that_are_not_finite_are_not_among_the_first_of_the_order() -> None:
    some = networks()
    worst = max(some, key=lambda name: WIDTHS[name])
    with torch.no_grad():
        some[worst][1].weight[0, 0] = torch.nan  # type: ignore[index]
    with pytest.warns(UserWarning, match="not finite, so they are trained last"):
        found = search_networks(some, look_up, 6, IMAGES, LABELS, start=6, ordered=6)
    assert worst not in found.trajectory["name"].tolist()


def test_it_finds_the_best_sooner_than_chance(described: Any, tmp_path: Path) -> None:
    behind: dict[str, list[list[float]]] = {"parzc_plus": [], "random": []}
    for seed in range(4):
        for method, losses in behind.items():
            given = described if method == "parzc_plus" else None
            found = search(given, method=method, seed=seed, start=5, ordered=0)
            losses.append((ACCURACY[BEST] - found.trajectory["best so far"]).tolist())
            assert found.trajectory["name"].is_unique
    np.testing.assert_array_equal([one[:5] for one in behind["parzc_plus"]], [one[:5] for one in behind["random"]])
    after = {method: np.mean(losses, axis=0)[9] for method, losses in behind.items()}
    assert after["parzc_plus"] < after["random"]
    assert np.mean(behind["parzc_plus"], axis=0)[-1] == 0  # the best of the 24 is among 14 trainings, whatever the seed

    found = search(described, start=5)
    rows = found.trajectory
    assert list(rows) == ["step", "name", "accuracy", "best so far", "predicted", "seconds"]
    assert rows.index.tolist() == list(range(1, 15))
    assert rows["step"].tolist() == [0] * 5 + [1] * 5 + [2] * 4
    assert rows["accuracy"].tolist() == [ACCURACY[name] for name in rows["name"]]
    assert rows["best so far"].tolist() == rows["accuracy"].cummax().tolist()
    assert rows["predicted"].isna().tolist() == [True] * 5 + [False] * 9
    assert np.abs(rows["predicted"] - rows["accuracy"]).max() < np.ptp(list(ACCURACY.values()))
    assert found.best == BEST
    assert repr(found) == (
        f"<parzc_plus search of 24 networks, seed 0: 14 trainings; best '{BEST}' with {ACCURACY[BEST]:.6g}, "
        f"training {1 + rows['name'].tolist().index(BEST)}>"
    )
    pd.testing.assert_frame_equal(pd.read_csv(found.to_csv(tmp_path / "a.csv"), index_col="training"), rows)
    with pytest.raises(BadInput, match="cannot write the trajectory"):
        found.to_csv(tmp_path)


KILLED = """
import os, signal, sys
from pathlib import Path
from test_searching import IMAGES, LABELS, QUICK, look_up, networks
from parzc_core.own import search_networks, searching
trained, searching.PLUS = [], QUICK

def evaluate(name, network):
    trained.append(name)
    if len(trained) == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return look_up(name, network)

search_networks(networks(), evaluate, 12, IMAGES, LABELS, start=4, store=sys.argv[1])
"""


@pytest.mark.slow
def test_a_killed_search_goes_on_to_the_same_result(tmp_path: Path) -> None:
    store = tmp_path / "deep" / "search.jsonl"
    command = [sys.executable, "-c", f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n{KILLED}", str(store)]
    assert subprocess.run(command, check=False).returncode == -signal.SIGKILL
    asked: list[str] = []

    def evaluate(name: str, network: nn.Module) -> float:
        asked.append(name)
        return look_up(name, network)

    gone_on = search_networks(networks(), evaluate, 12, IMAGES, LABELS, start=4, store=store)
    whole = search_networks(networks(), look_up, 12, IMAGES, LABELS, start=4)
    pd.testing.assert_frame_equal(without_seconds(gone_on), without_seconds(whole))
    assert asked == whole.trajectory["name"].tolist()[6:]


def test_an_error_of_evaluate_keeps_what_was_finished_and_a_larger_budget_goes_on(described: Any, tmp_path: Path) -> None:
    store, asked = tmp_path / "search.jsonl", []

    def evaluate(name: str, network: nn.Module) -> float:
        asked.append(name)
        if len(asked) == 8:
            raise RuntimeError("out of memory")
        return look_up(name, network) + torch.rand(1).item()  # of torch's generator, which is set for each network

    with pytest.raises(RuntimeError, match="out of memory") as raised:
        search(described, evaluate, start=5, store=store)
    assert raised.value.__notes__ == [f"in evaluate, of the network {asked[-1]!r}; what was finished is kept in {store}"]
    gone_on = search(described, evaluate, start=5, store=store)
    whole = search(described, evaluate, start=5)
    pd.testing.assert_frame_equal(without_seconds(gone_on), without_seconds(whole))
    before = len(asked)
    further = search(described, evaluate, 17, start=5, store=str(store))
    pd.testing.assert_frame_equal(further.trajectory.iloc[:14], gone_on.trajectory)
    assert asked[before:] == further.trajectory["name"].tolist()[14:]
    pd.testing.assert_frame_equal(without_seconds(further), without_seconds(search(described, evaluate, 17, start=5)))
    fewer = search(described, evaluate, 3, start=5, store=store)
    pd.testing.assert_frame_equal(fewer.trajectory, gone_on.trajectory.iloc[:3])


def test_what_is_half_written_is_trained_again(described: Any, tmp_path: Path) -> None:
    store = tmp_path / "search.jsonl"
    found = search(described, start=5, store=store)
    text = store.read_text()
    store.write_text(text[: len(text) - 20])
    asked: list[str] = []

    def evaluate(name: str, network: nn.Module) -> float:
        asked.append(name)
        return look_up(name, network)

    again = search(described, evaluate, start=5, store=store)
    assert asked == found.trajectory["name"].tolist()[-1:]
    pd.testing.assert_frame_equal(without_seconds(again), without_seconds(found))


@pytest.mark.parametrize("scale", [1e306, 1e-320])
def test_labels_at_the_ends_of_float64_are_searched(described: Any, scale: float) -> None:
    found = search(described, lambda name, _: scale * ACCURACY[name], 10, start=5).trajectory
    predicted = found["predicted"].iloc[5:] / scale
    assert np.isfinite(predicted).all()
    assert predicted.between(0, 150).all()


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e6])
def test_labels_of_any_scale_and_losses_are_searched_alike(described: Any, scale: float) -> None:
    found = search(described, start=5)
    scaled = search(described, lambda name, _: scale * ACCURACY[name] - 3 * scale, start=5)
    losses = search(described, lambda name, _: -scale * ACCURACY[name], start=5, lower_is_better=True)
    assert scaled.trajectory["name"].tolist() == losses.trajectory["name"].tolist() == found.trajectory["name"].tolist()
    for other, moved in ((scaled, 3 * scale), (losses, 0.0)):
        sign = -1 if other is losses else 1
        for column in ("predicted", "best so far"):
            got = sign * (other.trajectory[column] + moved) / scale
            np.testing.assert_allclose(got, found.trajectory[column], rtol=1e-5)
        assert other.best == found.best


@pytest.mark.parametrize("got", [float("nan"), float("inf"), None, "91.2", True, [1.0], torch.ones(2), 1j])
def test_what_is_no_accuracy_is_refused_by_name_and_the_rest_is_kept(got: Any, tmp_path: Path) -> None:
    store, asked = tmp_path / "search.jsonl", []

    def evaluate(name: str, _network: nn.Module) -> Any:
        asked.append(name)
        return ACCURACY[name] if len(asked) < 4 else got

    with pytest.raises(BadInput, match=r"evaluate returned .* expected a finite number, its accuracy; what was") as raised:
        search(None, evaluate, method="random", store=store)
    assert repr(asked[-1]) in str(raised.value)
    first, asked = asked[:3], []
    assert search(None, look_up, 4, method="random", store=store).trajectory["name"].tolist()[:3] == first


@pytest.mark.parametrize("got", [np.float32(50), 50, torch.tensor(50.0), np.array(50.0)])
def test_numbers_of_any_kind_are_taken(got: Any) -> None:
    found = search(None, lambda *_: got, 3, method="random")
    assert found.trajectory["accuracy"].tolist() == [50.0] * 3
    assert found.best == found.trajectory["name"].iloc[0]


@pytest.mark.parametrize("method", searching.METHODS)
def test_networks_are_built_anew_and_left_as_they_are(method: str) -> None:
    given = networks()
    before = copy.deepcopy({name: one.state_dict() for name, one in given.items()})
    built: list[str] = []

    def train(name: str, network: nn.Module) -> float:
        with torch.no_grad():
            for parameter in network.parameters():
                parameter.zero_()
        return ACCURACY[name]

    def builder(name: str) -> Callable[[], nn.Module]:
        def build() -> nn.Module:
            built.append(name)
            return network(*WIDTHS[name])

        return build

    batch = () if method == "random" else (IMAGES, LABELS)
    state = torch.get_rng_state()
    search_networks(given, train, 6, *batch, method=method, start=3)
    found = search_networks({name: builder(name) for name in given}, train, 6, *batch, method=method, start=3)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name][key]) for name, one in given.items() for key, value in one.state_dict().items())
    again = search_networks({name: builder(name) for name in given}, train, 6, *batch, method=method, start=3)
    pd.testing.assert_frame_equal(without_seconds(again), without_seconds(found))
    once = list(given) if batch else []
    assert built == 2 * (once + found.trajectory["name"].tolist())
    listed = search_networks(list(given.values()), lambda at, _: ACCURACY[list(given)[at]], 6, *batch, method=method, start=3)
    assert set(listed.trajectory["name"]) <= set(range(24))


def test_a_network_without_finite_statistics_is_trained_last() -> None:
    given = networks()
    broken = "1 of 32"
    with torch.no_grad():
        next(given[broken].parameters())[0, 0] = float("nan")
    with pytest.warns(UserWarning, match=rf"networks \['{broken}'\] have statistics that are not finite.*trained last"):
        found = search_networks(given, look_up, 24, IMAGES, LABELS, start=2, seed=2)
    assert found.trajectory["name"].iloc[-1] == broken
    assert found.trajectory["name"].is_unique


def test_where_nothing_can_be_learned_chance_decides(described: Any) -> None:
    constant = search(described, lambda *_: 1.0, 24, start=2)
    assert set(constant.trajectory["name"]) == set(WIDTHS)
    assert constant.trajectory["predicted"].isna().all()
    one = network(0, 4)
    alike = search_networks({str(i): one for i in range(6)}, lambda name, _: float(name), 6, IMAGES, LABELS, start=2)
    assert set(alike.trajectory["name"]) == set("012345")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"budget": 25}, "budget of 25 trainings and 24 networks; expected at most one training each"),
        ({"budget": 0}, "budget=0; expected a whole number of at least 1"),
        ({"evaluate": 3}, "got 3 as evaluate; expected a function of"),
        ({"method": "bohb"}, "unknown method of a search 'bohb'; expected one of: parzc_plus, random"),
        ({"start": 1}, "start=1"),
        ({"seed": -1}, "seed=-1"),
        ({"weights": ()}, r"weights=\(\)"),
        ({"weights": (1.0, -1.0)}, "none below 0"),
        ({"networks": {}}, "no networks"),
        ({"networks": network(1, 2)}, "expected a list of modules"),
        ({"networks": {"a": 3, "b": network(1, 2)}, "budget": 2}, "network 'a': got int; expected an nn.Module, or a function"),
        ({"networks": {"a": lambda: 3}, "budget": 1}, "network 'a': got int; expected an nn.Module, or a function"),
        ({"images": None}, "without a batch; expected images and labels, or what `describe` gave"),
        ({"described": "x"}, "got a batch, and described as well"),
        ({"images": None, "described": "x"}, "got str as described"),
        ({"store": 3}, "got 3 as store; expected the path of a file"),
        ({"store": Path("/proc/nowhere/x.jsonl")}, "cannot write the store"),
    ],
)
def test_calls_that_do_not_fit_are_refused_before_anything_is_trained(changes: dict[str, Any], words: str) -> None:
    given: dict[str, Any] = {"networks": networks(), "evaluate": lambda *_: pytest.fail("it was trained"), "budget": 5}
    given |= {"images": IMAGES, "labels": LABELS, **changes}
    with pytest.raises((BadInput, UnknownName), match=words):
        search_networks(**given)


def test_a_store_is_of_one_search(described: Any, tmp_path: Path) -> None:
    store = tmp_path / "search.jsonl"
    store.write_text("name,accuracy\nsmall,91.2\n")
    with pytest.raises(BadInput, match="holds no search of networks"):
        search(described, budget=3, store=store)
    assert "91.2" in store.read_text()
    store.unlink()
    search(described, budget=3, store=store)
    written = store.read_bytes()
    others = networks()
    others["0 of 2"] = network(1, 2)
    for words, changes in {
        r"seed=1 \(there 0\)": {"described": described, "seed": 1},
        r"lower_is_better=True \(there False\)": {"described": described, "lower_is_better": True},
        r"start=4 \(there None\)": {"described": described, "start": 4},
        r"method='random' \(there 'parzc_plus'\)": {"method": "random"},
        "other networks": {"networks": others, "images": IMAGES, "labels": LABELS},
        "other batch": {"images": -IMAGES, "labels": LABELS},
    }.items():
        given: dict[str, Any] = {"networks": networks(), "evaluate": look_up, "budget": 3, "store": store, **changes}
        with pytest.raises(BadInput, match=f"got .*{words}.* than the search that .*; repeat its call, or give another"):
            search_networks(**given)
    with locked(tmp_path / ".search.jsonl.search.lock"), pytest.raises(BadInput, match="another search writes"):
        search(described, budget=3, store=store)
    with pytest.raises(BadInput, match=r"with 23 networks from '0 of 3' on, and 24 networks from '0 of 2' on"):
        search(described[np.arange(1, 24)])
    with pytest.raises(BadInput, match="as store; expected the path of a file"):
        search(described, store=tmp_path)
    assert store.read_bytes() == written


@pytest.mark.parametrize("method", searching.METHODS)
@pytest.mark.parametrize("built", [False, True])
def test_a_store_is_not_gone_on_with_for_other_networks_of_the_same_names(method: str, built: bool, tmp_path: Path) -> None:
    def strided(stride: int) -> dict[str, Any]:
        made = {str(n): nn.Sequential(nn.Conv2d(1, n, 2, stride=stride), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(n, 3))
                for n in (2, 3, 4)}  # fmt: skip
        return {name: partial(copy.deepcopy, one) for name, one in made.items()} if built else dict(made)

    def count(_name: str, network: nn.Module) -> float:
        return float(sum(p.numel() for p in network.parameters()))

    given: dict[str, Any] = {"images": IMAGES, "labels": LABELS, "method": method, "store": tmp_path / "search.jsonl"}
    first = search_networks(strided(1), count, 2, **given)
    for others in (strided(2), {name: nn.Sequential(nn.Flatten(), nn.Linear(16, 3)) for name in "234"}):
        with pytest.raises(BadInput, match="got other networks than the search that"):
            search_networks(others, count, 2, **given)
    again = search_networks(strided(1), count, 3, **given)
    assert without_seconds(again).iloc[:2].equals(without_seconds(first))


def test_a_store_begun_before_it_told_networks_apart_by_their_modules_is_gone_on_with(tmp_path: Path) -> None:
    store, asked = tmp_path / "search.jsonl", []
    search(None, look_up, 3, method="random", store=store)
    records = [json.loads(line) for line in store.read_text().splitlines()]
    store.unlink()
    for record in records:
        del record["config"]["search"]["structure"]
        RunStore(store).put(record["config"], record["result"])

    def evaluate(name: str, network: nn.Module) -> float:
        asked.append(name)
        return look_up(name, network)

    search(None, evaluate, 4, method="random", store=store)
    assert len(asked) == 1


@pytest.mark.parametrize("other", [network(0, 4), network(1, 2), nn.Sequential(*network(0, 2), nn.Identity())])
def test_what_is_described_are_the_networks_given(described: Any, other: nn.Module) -> None:
    with pytest.raises(BadInput, match="described, whose network '0 of 2' has other layers"):
        search_networks(networks() | {"0 of 2": other}, look_up, 3, described=described)
    normed = networks()
    nn.utils.parametrizations.weight_norm(normed["0 of 2"][1])
    again = describe(normed, IMAGES, LABELS)
    assert len(search_networks(normed, look_up, 2, described=again).trajectory) == 2


class Uncopied(nn.Sequential):
    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("it holds a handle")


def test_a_network_that_cannot_be_copied_is_built_or_refused(described: Any) -> None:
    made = {name: Uncopied(*one) for name, one in networks().items()}
    with pytest.raises(BadInput, match=r"cannot be copied to be trained .*a handle.*; give a function that builds it"):
        search_networks(made, look_up, 2, described=described)
    builders = {name: partial(Uncopied, *one) for name, one in networks().items()}
    assert len(search_networks(builders, look_up, 2, described=described).trajectory) == 2
