"""Images: the mini-batch on which statistics are computed, and Fashion-MNIST."""

from parzc_core.images.batch import MiniBatch, minibatch

__all__ = ["MiniBatch", "minibatch"]
