"""ParZC: node-wise zero-cost statistics, and a mixer with Bayesian layers that learns to rank architectures from them."""

__version__ = "0.1.0"
