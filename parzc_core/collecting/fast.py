"""The collector's passes over a tape: the values of `Passes` in less time.

`passes_of` gives them where a tape can write down every function of a network, and plain passes elsewhere. PARZC_PLAIN=1 asks
for plain ones everywhere.
"""

import functools
import os
from typing import Any, TypeVar

import torch
from torch import nn

from parzc_core import _fast_layers
from parzc_core.collecting.tape import Layer, NoRule, Sweep, Tape
from parzc_core.collecting.tape_flow import flow_of
from parzc_core.passes import Call, Flow, Gradients, Passes, cross_entropy

T = TypeVar("T", torch.Tensor, float)


def passes_of(network: nn.Module, images: torch.Tensor, labels: torch.Tensor, second_order: bool = False) -> Passes:
    """Passes of a network on one batch, which may be changed: over a tape, or plain ones. Raises BadInput as `Passes`.

    second_order: see `Passes`.
    """
    if os.environ.get("PARZC_PLAIN") != "1":
        try:
            return TapePasses(network, images, labels)
        except NoRule:
            pass
    return Passes(network, images, labels, consume=True, second_order=second_order)


def forget(passes: Passes) -> None:
    """Give back the memory of passes that were made; what is asked for again is computed again."""
    made = [name for name in vars(passes) if isinstance(getattr(type(passes), name, None), functools.cached_property)]
    for name in made:
        if name != "_start":  # the network as it was before all of them
            delattr(passes, name)


class TapePasses(Passes):
    """`Passes` whose derivatives come from a tape. Raises NoRule as well; the network is as it was then."""

    def __init__(self, network: nn.Module, images: torch.Tensor, labels: torch.Tensor):
        super().__init__(network, images, labels, consume=True)
        if not isinstance(self.inputs, torch.Tensor) or any(node.parameter != "weight" for node in self.nodes.values()):
            raise NoRule("several inputs, or torch's attention")
        _ = self.tape  # or NoRule

    @functools.cached_property
    def tape(self) -> Tape:
        with _fast_layers.without_faster_forms(self.model):
            return Tape(self.model, {id(node.weight): name for name, node in self.nodes.items()}, self.images)

    @property
    def logits(self) -> torch.Tensor:
        return self.tape.output.value

    @functools.cached_property
    def calls(self) -> list[Call]:  # type: ignore[override]
        return _calls(self.tape.layers)

    @functools.cached_property
    def _sweep(self) -> Sweep:
        cross_entropy(self.logits, self.labels)  # raises BadInput for odd labels
        g = torch.softmax(self.logits, 1)
        g[torch.arange(len(g)), self.labels] -= 1
        return self.tape.backward(g / len(g))[0]

    def _loss_along(self, t: torch.Tensor) -> torch.Tensor:
        """R{dL/dlogits}, from t = R{logits}: the mean cross-entropy's second derivative."""
        p = torch.softmax(self.logits, 1)
        return p * (t - (p * t).sum(1, keepdim=True)) / len(p)

    @functools.cached_property
    def _loss_gradients(self) -> Any:
        found = _of_nodes(self._sweep.weights)
        return [found.get(name) for name in self.nodes], [self._sweep.outputs.get(layer) for layer in self.tape.layers]

    @functools.cached_property
    def hessian_products(self) -> dict[str, float]:  # type: ignore[override]
        """As R{<W, g>} along g is <W, H g> + <g, g>, no H g is needed."""
        g = _of_nodes(self._sweep.weights)
        products = _of_nodes(self.tape.along(self._sweep, g, self._loss_along).products)
        return {name: products[name] - float(each.double().square().sum()) for name, each in g.items()}

    @functools.cached_property
    def hessian_gradients(self) -> Gradients:
        return Passes(self.model, self.inputs, self.labels, consume=True, second_order=True).hessian_gradients

    @functools.cached_property
    def _logit_gradients(self) -> list[torch.Tensor | None]:
        sweep, of_images = self.tape.backward(torch.ones_like(self.logits))
        found = _of_nodes(sweep.weights)
        return [of_images, *(found.get(name) for name in self.nodes)]

    @property
    def logit_gradients(self) -> Gradients:
        return self._by_node(self._logit_gradients[1:])

    @functools.cached_property
    def image_gradients(self) -> torch.Tensor | None:
        return self.tape.backward(torch.ones_like(self.logits), keep=False)[1]

    @functools.cached_property
    def flow(self) -> Flow:
        of_layers, layers = flow_of(self.tape)
        found = _of_nodes(of_layers)
        weights = {name: node.weight.detach().double().abs() for name, node in self.nodes.items()}
        return Flow(weights, {name: found.get(name) for name in self.nodes}, _calls(layers))


def _calls(layers: list[Layer]) -> list[Call]:
    return [Call(layer.name, layer.value, layer.value._version, layer) for layer in layers]


def _of_nodes(of_layers: dict[Layer, T]) -> dict[str, T]:
    """Summed over the calls of each node."""
    found: dict[str, T] = {}
    for layer, part in of_layers.items():
        found[layer.name] = found[layer.name] + part if layer.name in found else part
    return found
