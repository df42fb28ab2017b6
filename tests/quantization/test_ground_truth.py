"""The recreated benchmark on scikit-learn's digits: a few steps of training, resumable evaluation, injected faults."""

import gzip
from pathlib import Path

import numpy as np
import pytest
import torch

from parzc_core.errors import BadInput
from parzc_core.images.fashion_mnist import FILES, Images, accuracy, digits, fashion_mnist, folder_of_fashion_mnist
from parzc_core.quantization import network as checkpoint
from parzc_core.quantization.bits import configuration, quantizable_layers, sample
from parzc_core.quantization.ground_truth import Evaluation, evaluate_all, fingerprint
from parzc_core.quantization.network import Recipe, ResNet18, train
from parzc_core.quantization.quantizer import quantize_weight
from parzc_core.quantization.ranges import renormalize
from parzc_core.storage.run_store import RunStore

RECIPE = Recipe(epochs=3, batch=64, width=8, flip=False, shift=1, limit=640)
QUICK = Evaluation(calibration=64, test=200, batch=64)


@pytest.fixture(scope="module")
def images() -> Images:
    return digits()


@pytest.fixture(scope="module")
def network(images: Images) -> torch.nn.Module:
    return train(images, RECIPE)[0]


def test_resnet18_has_the_published_size() -> None:
    network = ResNet18(classes=1000, channels=3)
    assert sum(p.numel() for p in network.parameters()) == 11689512
    assert len(quantizable_layers(network)) == 21
    assert quantizable_layers(network)[0] == "conv1"
    assert quantizable_layers(network)[-1] == "fc"


def test_training_learns_is_seeded_and_leaves_the_random_state(images: Images, network: torch.nn.Module) -> None:
    assert accuracy(network, images.test, images.test_labels) > 60
    short = Recipe(epochs=1, batch=64, width=8, limit=128)
    torch.manual_seed(5)
    before = torch.get_rng_state()
    first, second = (fingerprint(train(images, short)[0]) for _ in range(2))
    assert first == second != fingerprint(train(images, Recipe(**{**short.__dict__, "seed": 1}))[0])
    assert torch.equal(before, torch.get_rng_state())


def test_evaluation_is_resumable(
    images: Images, network: torch.nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = sample(network, 4)
    store = RunStore(tmp_path / "runs.jsonl")
    first = evaluate_all(network, "digits", drawn[:2], store, lambda: images, QUICK)

    def refuse() -> Images:
        raise AssertionError("what is stored needs no images")

    assert evaluate_all(network, "digits", drawn[:2], RunStore(store.path), refuse, QUICK) == first
    with pytest.raises(AssertionError, match="needs no images"):
        evaluate_all(network, "digits", drawn, store, refuse, QUICK)
    assert evaluate_all(network, "digits", drawn, store, lambda: images, QUICK)[:2] == first
    assert len(store) == 4
    for other, data, evaluation in (
        (ResNet18(10, 1, 8).eval(), "digits", QUICK),
        (network, "others", QUICK),
        (network, "digits", Evaluation(**{**QUICK.__dict__, "clipping": "max"})),
    ):
        before = len(store)
        evaluate_all(other, data, drawn[:1], store, lambda: images, evaluation)
        assert len(store) == before + 1  # another network, data set or way of quantizing is another key


@pytest.mark.parametrize("clipping", ["max", "mse"])
@pytest.mark.parametrize("again", [False, True])
def test_eight_bits_keep_the_accuracy_two_bits_do_not(
    images: Images, network: torch.nn.Module, tmp_path: Path, clipping: str, again: bool
) -> None:
    both = [configuration(network, {}, rest=bits) for bits in (8, 2)]
    evaluation = Evaluation(calibration=1024, test=200, clipping=clipping, renormalize=again)
    rows = evaluate_all(network, "digits", both, RunStore(tmp_path / "runs.jsonl"), lambda: images, evaluation)
    # With few steps of training BatchNorm's averages lag behind, so measuring them again helps the float network too.
    whole = renormalize(network, images.train[:1024].split(256)) if again else network
    exact = accuracy(whole, images.test[:200], images.test_labels[:200])
    assert abs(rows[0]["accuracy"] - exact) <= 4
    assert rows[1]["accuracy"] < exact - 5
    assert rows[0]["size"] == 4 * rows[1]["size"]


def test_checkpoint_is_compact_and_corruption_is_one_clear_error(
    images: Images, network: torch.nn.Module, tmp_path: Path
) -> None:
    path = checkpoint.save(network, tmp_path / "checkpoint.npz")
    parameters = sum(p.numel() for p in network.parameters())
    assert path.stat().st_size < 1.3 * parameters
    again = checkpoint.load(ResNet18(10, 1, RECIPE.width), path).eval()
    torch.testing.assert_close(again.fc.weight, quantize_weight(network.fc.weight.detach(), 8))
    torch.testing.assert_close(quantize_weight(again.fc.weight.detach(), 8), again.fc.weight.detach())
    assert torch.equal(again.bn1.running_var, network.bn1.running_var)
    content = path.read_bytes()
    middle = len(content) // 2
    faults = (content[:middle], b"", b"no checkpoint", content[:middle] + b"\0" * 40 + content[middle + 40 :])
    for fault in faults:
        path.write_bytes(fault)
        fresh = ResNet18(10, 1, 8)
        before = fingerprint(fresh)
        with pytest.raises(BadInput, match=r"cannot be read .*delete it and train again"):
            checkpoint.load(fresh, path)
        assert fingerprint(fresh) == before
    path.write_bytes(content)
    with pytest.raises(BadInput, match="is not of this ResNet18"):
        checkpoint.load(ResNet18(10, 1, 4), path)


def test_fashion_mnist_from_a_folder(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)

    def idx(values: np.ndarray) -> bytes:
        lengths = b"".join(n.to_bytes(4, "big") for n in values.shape)
        return bytes((0, 0, 8, values.ndim)) + lengths + values.tobytes()

    pictures = generator.integers(256, size=(6, 28, 28), dtype=np.uint8)
    labels = np.arange(6, dtype=np.uint8)
    names = FILES
    for name, values in zip(names, (pictures, labels, pictures[:3], labels[:3]), strict=True):
        (tmp_path / name).write_bytes(gzip.compress(idx(values)))
    (tmp_path / names[1]).unlink()
    with pytest.raises(BadInput, match=r"no train-labels-idx1-ubyte.gz"):
        fashion_mnist(tmp_path)
    (tmp_path / names[1].removesuffix(".gz")).write_bytes(idx(labels))  # not gzipped is fine as well
    assert folder_of_fashion_mnist(tmp_path) == tmp_path
    found = fashion_mnist(tmp_path)
    assert found.train.shape == (6, 1, 32, 32)
    assert found.test_labels.tolist() == [0, 1, 2]
    assert float(found.train.mean()) == pytest.approx(0, abs=1e-5)
    inner = found.train[:, 0, 2:-2, 2:-2]
    assert np.corrcoef(inner.flatten(), pictures.flatten())[0, 1] == pytest.approx(1, abs=1e-6)
    (tmp_path / names[0]).write_bytes(gzip.compress(idx(pictures))[:-50])
    with pytest.raises(BadInput, match="cannot be unpacked"):
        fashion_mnist(tmp_path)
    (tmp_path / names[0]).write_bytes(gzip.compress(idx(pictures)[:-5]))
    with pytest.raises(BadInput, match="cut short"):
        fashion_mnist(tmp_path)


def test_the_first_folder_with_all_files_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine, debian, cache = tmp_path / "mine" / "fashion-mnist", tmp_path / "debian", tmp_path / "cache" / "fashion-mnist"
    monkeypatch.setenv("PARZC_DATA", str(mine.parent))
    monkeypatch.setenv("PARZC_CACHE", str(cache.parent))
    monkeypatch.setattr("parzc_core.images.fashion_mnist.DEBIAN", debian)
    assert folder_of_fashion_mnist() is None
    for folder in (cache, debian, mine):
        folder.mkdir(parents=True)
        for file in FILES[1:]:
            (folder / file).touch()
        assert folder_of_fashion_mnist() != folder  # one file is missing
        (folder / FILES[0].removesuffix(".gz")).touch()
        assert folder_of_fashion_mnist() == folder
    with pytest.raises(BadInput, match=r"no train-images-idx3-ubyte.gz"):
        folder_of_fashion_mnist(tmp_path)
