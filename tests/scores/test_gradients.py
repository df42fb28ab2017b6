"""Scores made of gradients against plain loops of autograd, closed forms, and the invariances that hold."""

import copy
from fractions import Fraction

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from network_toys import Shared
from torch import nn

from parzc_core.errors import BadInput
from parzc_core.passes import Passes
from parzc_core.scores import eznas
from parzc_core.scores import gradients as network_gradients
from parzc_core.scores.registry import REGISTRY, score, score_of
from parzc_core.spaces import nb201

NAMES = ("logsynflow", "nasi", "knas", "gradsign", "ntk_condition", "eznas")
CELL = "|nor_conv_3x3~0|+|avg_pool_3x3~0|nor_conv_1x1~1|+|skip_connect~0|none~1|nor_conv_3x3~2|"


class Mixed(nn.Module):
    """Convolutions of every kind, one of them called twice, and a Linear layer on rows of the feature map."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.shared = nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 3, padding="same", groups=2), nn.BatchNorm2d(4))
        self.circular = nn.Sequential(
            nn.ReLU(), nn.Conv2d(4, 6, 3, padding=1, padding_mode="circular"), nn.BatchNorm2d(6)
        )
        self.strided = nn.Conv2d(6, 6, (3, 1), stride=(2, 1), padding=(2, 0), dilation=(2, 1), groups=6, bias=False)
        self.rows = nn.Linear(8, 3)
        self.head = nn.Linear(6, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.shared(self.shared(self.stem(x)))
        return self.head(self.rows(self.strided(self.circular(x)).tanh()).mean(dim=(2, 3)))


class Scaled(nn.Module):
    """A network with its logits multiplied."""

    def __init__(self, network: nn.Module, factor: float) -> None:
        super().__init__()
        self.network, self.factor = network, factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * self.network(x)


def cell(arch_str: str = CELL) -> nn.Module:
    return nb201.build(arch_str, channels=4, cells=1, classes=5)


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(6, 3, 8, 8, generator=generator, dtype=torch.float64)
    return images, torch.tensor([0, 1, 2, 3, 4, 0])


@pytest.fixture(params=[Mixed, cell])
def network(request) -> nn.Module:
    """In float64, so that no gradient's sign is a matter of rounding."""
    torch.manual_seed(2)
    return request.param().double()


@pytest.fixture
def linear() -> nn.Module:
    torch.manual_seed(3)
    return nn.Sequential(nn.Flatten(), nn.Linear(192, 5)).double()


def weights_of(network: nn.Module) -> list[torch.Tensor]:
    return [m.weight for m in network.modules() if isinstance(m, nn.Conv2d | nn.Linear)]


def flat(gradients: tuple[torch.Tensor | None, ...], weights: list[torch.Tensor]) -> np.ndarray:
    pairs = zip(gradients, weights, strict=True)
    return torch.cat([(torch.zeros_like(w) if g is None else g).flatten() for g, w in pairs]).detach().numpy()


def logit_rows(network: nn.Module, images: torch.Tensor) -> np.ndarray:
    """[N, weights], d(sum of image n's logits)/dw with the batch in train mode."""
    twin = copy.deepcopy(network).train()
    weights = weights_of(twin)
    return np.stack(
        [
            flat(torch.autograd.grad(twin(images)[n].sum(), weights, allow_unused=True), weights)
            for n in range(len(images))
        ]
    )


def softmax_residual(linear: nn.Module, batch: tuple[torch.Tensor, torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Softmax minus one-hot label [N, C], and the inputs [N, D]: the gradient of image n's loss is their outer product."""
    x = batch[0].flatten(1).numpy()
    logits = x @ linear[1].weight.detach().numpy().T + linear[1].bias.detach().numpy()
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return p - np.eye(5)[batch[1].numpy()], x


def test_logsynflow_of_one_layer_is_log_two_of_every_weight(linear, batch):
    assert score("logsynflow", linear, *batch) == pytest.approx(
        float(linear[1].weight.detach().abs().sum()) * np.log(2), rel=1e-9
    )


def test_logsynflow_is_the_formula_without_batchnorm(network, batch):
    twin = copy.deepcopy(network)
    for module in twin.modules():
        for name, child in list(module.named_children()):
            if isinstance(child, nn.BatchNorm2d):
                setattr(module, name, nn.Identity())
    with torch.no_grad():
        for parameter in twin.parameters():
            parameter.abs_()
    weights = weights_of(twin)
    gradients = torch.autograd.grad(twin(torch.ones_like(batch[0][:1])).sum(), weights, allow_unused=True)
    expected = np.abs(flat(tuple(weights), weights)) @ np.log(np.abs(flat(gradients, weights)) + 1)
    assert score("logsynflow", network, *batch) == pytest.approx(expected, rel=1e-9)


def test_nasi_in_closed_form(linear, batch):
    residual, x = softmax_residual(linear, batch)
    assert score("nasi", linear, *batch) == pytest.approx(np.sum((residual.T @ x / 6) ** 2), rel=1e-9)


def test_nasi_is_the_squared_norm_over_all_weights(network, batch):
    twin = copy.deepcopy(network).train()
    weights = weights_of(twin)
    g = flat(torch.autograd.grad(F.cross_entropy(twin(batch[0]), batch[1]), weights, allow_unused=True), weights)
    assert score("nasi", network, *batch) == pytest.approx(g @ g, rel=1e-9)


def test_knas_is_the_mean_of_the_gram_matrix(network, batch):
    rows = logit_rows(network, batch[0])
    assert score("knas", network, *batch) == pytest.approx((rows @ rows.T).mean(), rel=1e-9)


def test_gradsign_in_closed_form(linear, batch):
    residual, x = softmax_residual(linear, batch)
    signs = np.sign(residual[:, :, None] * x[:, None, :])
    assert score("gradsign", linear, *batch) == np.abs(signs.sum(axis=0)).sum()


def test_gradsign_is_the_loop_over_batches_of_one(network, batch):
    twin = copy.deepcopy(network).train()
    weights, signs = weights_of(twin), 0.0
    for image, label in zip(*batch, strict=True):
        loss = F.cross_entropy(twin(image[None]), label[None])
        signs = signs + np.sign(flat(torch.autograd.grad(loss, weights, allow_unused=True), weights))
    assert score("gradsign", network, *batch) == np.abs(signs).sum()


def test_gradsign_in_single_precision_differs_only_by_rounding(batch):
    torch.manual_seed(4)
    network, images = cell(), batch[0].float()
    exact = score("gradsign", copy.deepcopy(network).double(), *batch)
    assert score("gradsign", network, images, batch[1]) == pytest.approx(exact, rel=0.01)


def test_gradsign_refuses_what_has_no_single_image(batch):
    normed = nn.Sequential(nn.Flatten(), nn.Linear(192, 5), nn.BatchNorm1d(5)).double()
    with pytest.raises(BadInput, match="more than 1 value per channel"):
        score("gradsign", normed, *batch)
    folded = nn.Sequential(
        nn.Flatten(0, 1), nn.Flatten(), nn.Linear(64, 5), nn.Unflatten(0, (6, 3)), nn.Flatten(1)
    ).double()
    with pytest.raises(BadInput, match="18 samples of a batch of 6"):
        score("gradsign", folded, *batch)


class Coupled(nn.Module):
    """Each image gets the mean of the batch, or its sequence stands along the first axis."""

    def __init__(self, how: str) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.how, self.stem, self.fc = how, nn.Linear(3, 6), nn.Linear(6, 4)
        self.gru = nn.GRU(6, 6, batch_first=how != "sequences")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = torch.tanh(self.stem(x.flatten(2).transpose(1, 2)[:, :4]))  # [N, 4, C]
        if self.how == "sequences":
            h = torch.tanh(self.gru(h.transpose(0, 1))[0]).transpose(0, 1)
        elif self.how == "mean of the batch":
            h = h + h.mean(0, keepdim=True)
        elif self.how == "drawn":
            h = h * torch.rand(len(h), 1, 1)
        return self.fc(h.mean(1))


@pytest.mark.parametrize("how", ["mean of the batch", "", "drawn", "sequences"])
def test_gradsign_refuses_what_couples_images(how):
    images, labels = torch.randn(4, 3, 4, 4), torch.tensor([0, 1, 2, 3])
    words = {"mean of the batch": "an image alone has other logits", "sequences": "expects the images in the first axis"}
    if how in words:
        with pytest.raises(BadInput, match=words[how]):
            score("gradsign", Coupled(how), images, labels)
    else:
        assert np.isfinite(score("gradsign", Coupled(how), images, labels))


@pytest.mark.parametrize("name", ["nasi", "knas", "ntk_condition"])
def test_a_weight_that_two_layers_share_counts_once(name):
    images, labels = torch.randn(4, 3, 4, 4), torch.tensor([0, 1, 2, 3])
    two, one = (score(name, Shared(layers, 48, torch.tanh), images, labels) for layers in (2, 1))
    assert two == one


def test_ntk_condition_is_that_of_the_coupled_batch(network, batch):
    rows = logit_rows(network, batch[0])
    values = np.linalg.eigvalsh(rows @ rows.T)
    assert score("ntk_condition", network, *batch) == pytest.approx(-values[-1] / values[0], rel=1e-6)


def test_ntk_condition_takes_the_first_eight_images_for_the_whole_batch(batch):
    torch.manual_seed(5)
    network, images = cell().double(), torch.randn(10, 3, 8, 8, dtype=torch.float64)
    labels = torch.zeros(10, dtype=torch.int64)
    passes = Passes(network, images, labels)
    assert score_of("ntk_condition", passes) == score("ntk_condition", network, images[:8], labels[:8])
    all_ten = network_gradients.ntk_condition(passes, images=10)
    values = np.linalg.eigvalsh(logit_rows(network, images) @ logit_rows(network, images).T)
    assert all_ten == pytest.approx(-values[-1] / values[0], rel=1e-6)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_ntk_condition_is_minus_infinity_for_equal_images(batch, dtype):
    torch.manual_seed(6)
    images = batch[0].to(dtype).clone()
    images[3] = images[1]
    assert score("ntk_condition", cell().to(dtype), images, batch[1]) == -np.inf


def test_ntk_condition_does_not_depend_on_the_scale_of_the_logits(network, batch):
    first = score("ntk_condition", network, *batch)
    assert score("ntk_condition", Scaled(network, 1e-3), *batch) == pytest.approx(first, rel=1e-6)
    assert first <= -1
    assert score("knas", Scaled(network, 3.0), *batch) == pytest.approx(9 * score("knas", network, *batch), rel=1e-6)


def test_the_order_of_the_images_does_not_matter(network, batch):
    order = torch.tensor([3, 5, 1, 0, 4, 2])
    for name in NAMES:
        first, permuted = (score(name, network, *b) for b in (batch, (batch[0][order], batch[1][order])))
        assert permuted == pytest.approx(first, rel=1e-6), name


def squared_norm(matrices: np.ndarray) -> float:
    """The square of EZNAS's program, with determinants computed in whole numbers (Laplace's expansion)."""

    def determinant(m: np.ndarray) -> int:
        if len(m) == 1:
            return int(m[0, 0])
        minors = [np.delete(np.delete(m, 0, axis=0), j, axis=1) for j in range(len(m))]
        return sum((-1) ** j * int(m[0, j]) * determinant(minor) for j, minor in enumerate(minors) if m[0, j])

    def sigmoid_log(d: int) -> Fraction:
        return Fraction(1, 2) if d < 0 else Fraction(d, d + 1)

    flat_matrices = np.sign(matrices).reshape(-1, *matrices.shape[-2:])
    return float(sum(sigmoid_log(determinant(m)) ** 2 for m in flat_matrices))


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 5).flatmap(lambda n: arrays(np.int8, (3, 2, n, n), elements=st.integers(-1, 1))))
def test_eznas_program_on_matrices_of_signs(matrices):
    got = eznas._program(torch.tensor(matrices).float() * 0.1)
    assert got == pytest.approx(np.sqrt(squared_norm(matrices)), rel=1e-9, abs=1e-12)


def test_eznas_program_sees_a_singular_matrix_through_rounding():
    generator = np.random.default_rng(0)
    matrices = generator.choice([-1.0, 1.0], size=(200, 32, 32))
    matrices[:, 7] = (matrices[:, 3] + matrices[:, 5]) / 2  # ternary, and a combination of two other rows
    assert eznas._program(torch.tensor(matrices)) == 0.0


class Branches(nn.Module):
    """Two ReLU-Conv-BatchNorm layers that read one tensor, a depthwise-separable one, and one that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, stride=2, padding=1)
        self.left = nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.right = nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
        self.separable = nn.Sequential(
            nn.ReLU(), nn.Conv2d(4, 4, 3, padding=1, groups=4), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)
        )
        self.unused = nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
        self.bare = nn.Sequential(nn.ReLU(), nn.Conv2d(4, 4, 1))
        self.last = nn.ReLU()
        self.head = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor, parts: dict[str, torch.Tensor] | None = None) -> torch.Tensor:
        stem = self.stem(x)
        left, right = (stem, stem) if parts is None else (stem.clone(), stem.clone())
        both = self.left(left) + self.right(right)
        if parts is not None:  # the inputs of the two branches told apart
            parts.update(left=left, right=right, both=both)
        return self.head(self.last(self.bare(self.separable(both))).square().mean(dim=(2, 3)))


def test_eznas_is_the_mean_over_its_layers(batch):
    torch.manual_seed(7)
    network, parts = Branches().double(), {}
    logits = copy.deepcopy(network).train()(batch[0], parts)
    gradients = torch.autograd.grad(logits.sum(), [parts["left"], parts["right"], parts["both"]])
    assert gradients[0].shape == (6, 4, 4, 4)
    layers = [np.sqrt(squared_norm(g.numpy())) for g in gradients]
    assert min(layers) > 0
    assert score("eznas", network, *batch) == pytest.approx(sum(layers) / 4, rel=1e-9)  # the unused layer counts as 0


def test_eznas_counts_dead_convolutions_of_a_cell(batch):
    torch.manual_seed(8)
    alive = cell("|none~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|avg_pool_3x3~2|").double()
    dead = cell("|nor_conv_1x1~0|+|nor_conv_3x3~0|none~1|+|skip_connect~0|none~1|avg_pool_3x3~2|").double()
    dead.load_state_dict(alive.state_dict(), strict=False)
    layers = 3 + 4  # one in each of the three cells, two in each reduction
    expected = score("eznas", alive, *batch) * layers / (layers + 3)
    assert expected > 0
    assert score("eznas", dead, *batch) == pytest.approx(expected, rel=1e-9)


def test_eznas_is_nan_without_such_layers(linear, batch):
    assert np.isnan(score("eznas", linear, *batch))
    layer = nn.Sequential(
        nn.ReLU(), nn.Conv2d(3, 5, 3), nn.BatchNorm2d(5), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    assert score("eznas", layer.double(), *batch) > 0
    assert np.isnan(score("eznas", layer.double(), batch[0][..., :4], batch[1]))  # maps that are not square


def test_a_network_whose_output_is_constant(batch):
    constant = cell("|none~0|+|none~0|none~1|+|none~0|none~1|none~2|").double()
    scores = {name: score(name, constant, *batch) for name in NAMES}
    assert scores == {name: -np.inf if name == "ntk_condition" else 0.0 for name in NAMES}


def test_scores_leave_network_passes_and_generator_alone(batch):
    torch.manual_seed(10)
    network, images = cell().eval(), batch[0].float()
    before, state = copy.deepcopy(network.state_dict()), torch.random.get_rng_state()
    alone = {name: score(name, network, images, batch[1]) for name in NAMES}
    shared = Passes(network, images, batch[1])
    forwards = {name: module.__dict__.get("forward") for name, module in shared.model.named_modules()}
    for _ in range(2):
        assert {name: score_of(name, shared) for name in reversed(NAMES)} == alone
    assert {name: module.__dict__.get("forward") for name, module in shared.model.named_modules()} == forwards
    assert not any(m._forward_pre_hooks or m._forward_hooks for m in (*shared.model.modules(), *network.modules()))
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert not network.training
    assert all(p.requires_grad and p.grad is None for p in network.parameters())
    assert set(NAMES) <= set(REGISTRY)
