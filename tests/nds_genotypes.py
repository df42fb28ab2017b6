"""Published genotypes, as facts: what each node's two operations are and read (kind, node), and which nodes are joined."""

from typing import Any


def genotype(normal: str, normal_concat: list[int], reduce: str, reduce_concat: list[int]) -> dict[str, Any]:
    """From "KIND NODE" pairs; kinds: s3, s5, s7 separable, d3, d5 dilated, m, a pooling, i skip, c7 conv_7x1_1x7."""
    kinds = {
        **{f"s{k}": f"sep_conv_{k}x{k}" for k in (3, 5, 7)},
        **{f"d{k}": f"dil_conv_{k}x{k}" for k in (3, 5)},
        "m": "max_pool_3x3",
        "a": "avg_pool_3x3",
        "i": "skip_connect",
        "c7": "conv_7x1_1x7",
    }
    words = {"normal": normal.split(), "reduce": reduce.split()}
    cells = {
        name: [[kinds[kind], int(node)] for kind, node in zip(w[::2], w[1::2], strict=True)]
        for name, w in words.items()
    }
    return {**cells, "normal_concat": normal_concat, "reduce_concat": reduce_concat}


ALL = [2, 3, 4, 5]
DARTS_V2 = genotype("s3 0 s3 1 s3 0 s3 1 s3 1 i 0 i 0 d3 2", ALL, "m 0 m 1 i 2 m 1 m 0 i 2 i 2 m 1", ALL)
P_DARTS = genotype("i 0 d3 1 i 0 s3 1 s3 1 s3 3 s3 0 d5 4", ALL, "a 0 s5 1 s3 0 d5 2 m 0 d3 1 d3 1 d5 3", ALL)
PC_DARTS = genotype("s3 1 i 0 s3 0 d3 1 s5 0 s3 1 a 0 d3 1", ALL, "s5 1 m 0 s5 1 s5 2 s3 0 s3 3 s3 1 s3 2", ALL)
NASNET_A = genotype(
    "s5 1 s3 0 s5 0 s3 0 a 1 i 0 a 0 a 0 s3 1 i 1",
    [2, 3, 4, 5, 6],
    "s5 1 s7 0 m 1 s7 0 a 1 s5 0 i 3 a 2 s3 2 m 1",
    [4, 5, 6],
)
AMOEBANET_A = genotype(
    "a 0 m 1 s3 0 s5 2 s3 0 a 3 s3 1 i 1 i 0 a 1",
    [4, 5, 6],
    "a 0 s3 1 m 0 s7 2 s7 0 a 1 m 0 m 1 c7 0 s3 5",
    [3, 4, 6],
)
