"""DSS by hand on a block of one number a weight and by a plain loop on whole networks; NWOT of GELU networks by counting."""

import copy
import math

import numpy as np
import pytest
import torch
from torch import nn

from parzc_core.passes import Passes
from parzc_core.scores.registry import score, score_of
from parzc_core.spaces import nb201
from parzc_core.spaces.vit import autoformer, pit
from parzc_core.spaces.vit.blocks import Attention, Mlp

LABELS = torch.tensor([0, 1, 2, 1])


class Tiny(nn.Module):
    """One token of one channel: (N, 1, 1, 1) -> attention -> MLP -> (N, 2)."""

    def __init__(self) -> None:
        super().__init__()
        self.attn, self.mlp, self.head = Attention(1, 1, 1), Mlp(1, 1), nn.Linear(1, 2, bias=False)
        for module in self.modules():
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.mlp(self.attn(x.flatten(2)))[:, 0])


def test_dss_of_a_tiny_block_is_what_comes_out_by_hand() -> None:
    network = Tiny()
    q, k, v, p, f1, f2, h1, h2 = 2.0, -3.0, 0.5, -0.8, 1.5, -0.6, 0.7, -0.4
    with torch.no_grad():
        network.attn.qkv.weight.copy_(torch.tensor([[q], [k], [v]]))
        network.attn.proj.weight.fill_(p)
        network.mlp.fc1.weight.fill_(f1)
        network.mlp.fc2.weight.fill_(f2)
        network.head.weight.copy_(torch.tensor([[h1], [h2]]))
    passes = Passes(network, torch.randn(4, 1, 1, 1), LABELS % 2)
    # With one token the softmax is 1. All weights positive and an image of ones: R = (h1 + h2) f2 GELU(f1 p v).
    v, p, f1, f2, h = abs(v), abs(p), abs(f1), abs(f2), abs(h1) + abs(h2)
    u = f1 * p * v
    below = 0.5 * (1 + math.erf(u / math.sqrt(2)))  # Phi(u)
    slope = below + u * math.exp(-(u**2) / 2) / math.sqrt(2 * math.pi)  # GELU'(u)
    d_proj, d_v = h * f2 * slope * f1 * v, h * f2 * slope * f1 * p
    # Nuclear norms of matrices with one column: Euclidean norms. q and k get no gradient.
    diversity = d_v * math.sqrt(q**2 + k**2 + v**2) + d_proj * p
    saliency = h * f2 * slope * u + h * f2 * u * below
    assert score_of("synaptic_diversity", passes) == pytest.approx(diversity, rel=1e-6)  # weights are float32
    assert score_of("synaptic_saliency", passes) == pytest.approx(saliency, rel=1e-6)
    assert score_of("dss", passes) == pytest.approx(diversity + saliency, rel=1e-6)


@pytest.mark.parametrize(
    ("module", "arch"),
    [
        (pit, "base=16|depth=2,4,6|heads=2,2,4|mlp=2"),
        (autoformer, f"embed=192|depth=12|heads={','.join('3' * 12)}|mlp={','.join(['3.5'] * 12)}"),
    ],
    ids=["pit", "autoformer"],
)
def test_dss_is_a_plain_loop_over_the_layers(module, arch) -> None:
    torch.manual_seed(0)
    network = module.build(arch, image_size=16, classes=5)
    before = copy.deepcopy(network.state_dict())
    found = {
        name: score(name, network, torch.randn(4, 3, 16, 16), LABELS)
        for name in ("synaptic_diversity", "synaptic_saliency")
    }
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    positive = copy.deepcopy(network).double()
    with torch.no_grad():
        for parameter in positive.parameters():
            parameter.abs_()
    positive(torch.ones(1, 3, 16, 16, dtype=torch.float64)).sum().backward()
    diversity = saliency = 0.0
    for name, node in positive.named_modules():
        if name.endswith((".qkv", ".proj")):
            norms = [np.linalg.svd(m.detach().numpy())[1].sum() for m in (node.weight, node.weight.grad)]
            diversity += norms[0] * norms[1]
        elif name.endswith((".fc1", ".fc2")):
            saliency += float((node.weight.detach() * node.weight.grad).abs().sum())
    assert found["synaptic_diversity"] == pytest.approx(diversity, rel=1e-8)
    assert found["synaptic_saliency"] == pytest.approx(saliency, rel=1e-8)


def test_dss_is_not_there_without_attention_and_mlp() -> None:
    network = nb201.build(nb201.arch(1), channels=4, cells=1, classes=5)
    for name in ("dss", "synaptic_diversity", "synaptic_saliency"):
        assert np.isnan(score(name, network, torch.randn(4, 3, 8, 8), LABELS))


def test_dss_scales_with_the_head_and_does_not_see_the_images() -> None:
    torch.manual_seed(0)
    network = pit.build("base=16|depth=2,4,6|heads=2,2,4|mlp=2", image_size=16, classes=5)
    first = score("dss", network, torch.randn(4, 3, 16, 16), LABELS)
    assert score("dss", network, torch.randn(4, 3, 16, 16), LABELS) == first
    with torch.no_grad():
        network.head.weight.mul_(-4)
    assert score("dss", network, torch.randn(4, 3, 16, 16), LABELS) == pytest.approx(4 * first, rel=1e-9)


class Hidden(nn.Module):
    """Tokens through one MLP, with the activation given."""

    def __init__(self, activation: nn.Module) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.mlp, self.head = Mlp(4, 16), nn.Linear(4, 5)
        self.mlp.act = activation

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.mlp(x.flatten(2).transpose(1, 2)).mean(dim=1))


def test_nwot_of_gelu_counts_hidden_units_at_every_token() -> None:
    images = torch.randn(4, 4, 3, 3)
    network = Hidden(nn.GELU())
    positive = (network.mlp.fc1(images.flatten(2).transpose(1, 2)) > 0).flatten(1)  # (N, 9 tokens x 16 units)
    kernel = [[int((a == b).sum()) for b in positive] for a in positive]
    assert kernel[0][0] == 144
    expected = np.linalg.slogdet(np.array(kernel, dtype=float))[1]
    assert score("nwot", network, images, LABELS) == pytest.approx(expected, rel=1e-9)
    assert score("nwot", Hidden(nn.ReLU()), images, LABELS) == score("nwot", network, images, LABELS)
    assert np.isnan(score("nwot", Hidden(nn.Tanh()), images, LABELS))
