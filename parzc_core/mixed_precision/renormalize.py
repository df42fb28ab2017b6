"""BatchNorm's statistics again, measured in the quantized network: few bits shift the means that it had learned."""

import copy
from collections.abc import Iterable

import torch
from torch import nn

from parzc_core.mixed_precision.calibration_pass import run_over


def renormalize(network: nn.Module, batches: Iterable[torch.Tensor]) -> nn.Module:
    """A copy in eval mode whose BatchNorm running statistics are the means over the batches; weights stay.

    batches: float32[N, ...] each, N >= 2, the calibration images. The caller's network is left as it was. Raises BadInput for
    zero images.
    """
    model = copy.deepcopy(network).eval()
    norms = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    momenta = [norm.momentum for norm in norms]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # torch's word for the plain mean over batches
        norm.train()
    run_over(model, batches, "at least one batch of two or more")
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    return model.eval()
