"""Calibration images through a network: what every measurement on them has in common."""

import copy
from collections.abc import Callable, Iterable

import torch
from torch import nn

from parzc_core.errors import BadInput
from parzc_core.passes import nodes_of


def run_over(model: nn.Module, batches: Iterable[torch.Tensor], expected: str) -> None:
    """A forward pass of every batch that is not empty, without gradients. Raises BadInput where there is no image at all.

    expected: of the images, for the error.
    """
    images = 0
    with torch.no_grad():
        for batch in batches:
            if len(batch):
                images += len(batch)
                model(batch)
    if images == 0:
        raise BadInput(f"got a calibration set of zero images; expected {expected}")


def watch_inputs(
    network: nn.Module, batches: Iterable[torch.Tensor], look: Callable[[str, torch.Tensor], None]
) -> None:
    """look(layer, its input of a batch, flattened) for every layer that runs, in a copy of the network in eval mode."""
    model = copy.deepcopy(network).eval()

    def watch(name: str, node: nn.Module) -> None:
        node.register_forward_pre_hook(lambda module, inputs: look(name, inputs[0].detach().flatten()))

    for name, node in nodes_of(model).items():
        watch(name, node)
    run_over(model, batches, "at least one, better a few hundred")


def check_ends(layer: str, low: float, high: float) -> None:
    """Raises BadInput unless the ends of a layer's inputs are finite and in order."""
    if not low - high <= 0 or abs(low) == float("inf") or abs(high) == float("inf"):
        raise BadInput(f"the input of {layer} ranges from {low} to {high} over the calibration images; expected finite")
