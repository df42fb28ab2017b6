"""Attention and relative positions of the Vision Transformers, against PyTorch and their formula."""

import torch
import torch.nn.functional as F

from parzc_core.spaces.vit import blocks


def test_attention_is_pytorchs() -> None:
    torch.manual_seed(0)
    attention = blocks.Attention(channels=6, heads=2, head_dim=3).double()
    x = torch.randn(4, 5, 6, dtype=torch.float64)
    expected, _ = F.multi_head_attention_forward(
        *(x.transpose(0, 1),) * 3,
        embed_dim_to_check=6,
        num_heads=2,
        in_proj_weight=attention.qkv.weight,
        in_proj_bias=attention.qkv.bias,
        bias_k=None,
        bias_v=None,
        add_zero_attn=False,
        dropout_p=0.0,
        out_proj_weight=attention.proj.weight,
        out_proj_bias=attention.proj.bias,
    )
    torch.testing.assert_close(attention(x), expected.transpose(0, 1))


def test_relative_positions_are_their_formula() -> None:
    torch.manual_seed(0)
    side, d, heads = 3, 4, 2
    attention = blocks.Attention(6, heads, d, side).double()
    x = torch.randn(1, side * side + 1, 6, dtype=torch.float64)
    q, k, v = attention.qkv(x)[0].view(-1, 3, heads, d).unbind(1)  # (L, heads, d)

    def vector(table: blocks.RelativePosition, i: int, j: int) -> torch.Tensor:
        if i == 0 or j == 0:
            return table.vertical[0] + table.horizontal[0]
        rows, columns = (j - 1) // side - (i - 1) // side, (j - 1) % side - (i - 1) % side
        return table.vertical[rows + 15] + table.horizontal[columns + 15]

    tokens = range(side * side + 1)
    mixed = torch.zeros(len(tokens), heads, d, dtype=torch.float64)
    for i in tokens:
        for h in range(heads):
            logits = torch.stack([q[i, h] @ (k[j, h] + vector(attention.keys, i, j)) for j in tokens])
            weights = (logits / d**0.5).softmax(0)
            mixed[i, h] = sum(weights[j] * (v[j, h] + vector(attention.values, i, j)) for j in tokens)
    torch.testing.assert_close(attention(x)[0], attention.proj(mixed.flatten(1)))


def test_relative_distances_are_cut_off() -> None:
    table = blocks.RelativePosition(side=17, head_dim=1)
    rows = table.rows[1:, 1:].view(17, 17, 17, 17)  # of token (row, column), of token (row, column)
    assert (rows.min(), rows.max()) == (1, 29)
    assert rows[0, 0, 14, 0] == rows[0, 0, 16, 0] == 29
    assert rows[0, 0, 13, 5] == 28
    assert table.columns[1, 18] == 15  # the token below: same column
