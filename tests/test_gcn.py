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
