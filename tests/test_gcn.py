"""NP against Equation 1, and that the order of the nodes does not matter."""

import numpy as np
import pytest
import torch

from parzc_core.errors import BadInput
from parzc_core.gcn import NP, NPConfig, normalised


def test_normalised_adjacency_is_equation_1():
    a = torch.tensor([[[0.0, 1.0], [0.0, 0.0]]])
    d = np.diag([2**-0.5, 1.0])
    expected = d @ np.array([[1.0, 1.0], [0.0, 1.0]]) @ d
    np.testing.assert_allclose(normalised(a)[0].numpy(), expected, rtol=1e-6)


def test_np_does_not_depend_on_how_nodes_are_numbered():
    torch.manual_seed(0)
    model = NP(NPConfig(7)).eval()
    adjacency, operations = torch.bernoulli(torch.full((3, 6, 6), 0.5)).triu(1), torch.randint(0, 7, (3, 6))
    order = torch.randperm(6)
    permuted = adjacency[:, order][:, :, order]
    assert torch.allclose(model(adjacency, operations), model(permuted, operations[:, order]), atol=1e-5)
    assert not torch.allclose(model(adjacency, operations), model(adjacency.roll(1, 0), operations), atol=1e-4)
    with pytest.raises(BadInput, match=r"\[n, N, N\]"):
        model(adjacency, operations[:, :4])


def test_np_is_its_equations():
    """A convolution is the mean of ReLU(A^T H W+) and ReLU(A H W-); then come LayerNorm, the mean over nodes and the head."""
    torch.manual_seed(0)
    model = NP(NPConfig(5, width=6, depth=2, outputs=3)).eval()
    adjacency, operations = torch.bernoulli(torch.full((3, 4, 4), 0.5)).triu(1), torch.randint(0, 5, (3, 4))
    along, against = normalised(adjacency.mT), normalised(adjacency)
    h = model.embedding(operations)
    for layer, norm in zip(model.layers, model.norms, strict=True):
        forth, back = h @ layer.forward_weight.weight.T, h @ layer.backward_weight.weight.T
        h = norm((torch.relu(along @ forth) + torch.relu(against @ back)) / 2)
    torch.testing.assert_close(model(adjacency, operations), model.head(h.mean(dim=1)))


@pytest.mark.parametrize("name", ["operations", "width", "depth", "hidden", "outputs"])
def test_a_size_below_one_is_refused(name):
    with pytest.raises(BadInput, match=f"{name}=0; expected a whole number of at least 1"):
        NPConfig(**{"operations": 7, name: 0})


def test_np_has_the_papers_depth_and_drops_out_in_its_head():
    config = NPConfig(7)
    assert (config.width, config.depth, config.hidden, config.dropout, config.outputs) == (64, 3, 64, 0.05, 1)
    model = NP(NPConfig(7, dropout=0.25))
    assert [m.p for m in model.head if isinstance(m, torch.nn.Dropout)] == [0.25]
    one = torch.zeros(1, 6, 6), torch.zeros(1, 6, dtype=torch.int64)
    assert model.eval()(*one).shape == (1,)
    with pytest.raises(BadInput, match=r"dropout=1\.5"):
        NPConfig(7, dropout=1.5)
