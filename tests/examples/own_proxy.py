"""A proxy of your own, beside Synflow, against published accuracies; two processes. It is one function."""

from parzc_core import compare_proxies
from parzc_core.proxies import NodeTensors, node_proxy


@node_proxy("gradient")
def grad_mean(node: NodeTensors) -> float:
    """Mean of |gradient|, which is zeros where a node does not reach the loss."""
    return float(node.gradient.double().abs().mean())


if __name__ == "__main__":
    print(compare_proxies("nb201", ["grad_mean", "synflow"], cells=300, jobs=2))
