"""Attention over a bounded stretch of time: finite context, and memory that grows with the length alone."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class LocalAttention(nn.Module):
    """Each step attends to those at most ``reach`` steps away, wherever it stands in the recording.

    Scores are query . key / sqrt(width of a head), plus a learned number for each head and distance (Shaw et al. 2018,
    in the form of Raffel et al. 2020). Steps are taken in blocks of ``reach``, each of which sees its neighbours
    (Beltagy et al. 2020), so that an hour costs an hour's worth of a minute.

    Args:
        width: channels; a multiple of heads.
        heads: sets of scores.
        reach: steps to the left and to the right.
    """

    distance: Tensor

    def __init__(self, width: int, heads: int, reach: int):
        super().__init__()
        self.heads, self.reach = heads, reach
        self.joint = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.bias = nn.Parameter(torch.zeros(heads, 2 * reach + 1))
        steps = torch.arange(3 * reach)[None] - torch.arange(reach)[:, None] - reach
        self.register_buffer("distance", steps, persistent=False)  # of key and query, (reach, 3 * reach)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, width) as x; keys outside the mask (B, T, 1) have no part in the others."""
        batch, steps, width = x.shape
        padded = F.pad(self.joint(x), (0, 0, 0, -steps % self.reach))
        query, key, value = padded.unflatten(2, (3, self.heads, -1)).unbind(2)
        query = query.unflatten(1, (-1, self.reach)).flatten(0, 1).transpose(1, 2)  # (B * blocks, heads, reach, d)
        scores = self._scores(mask, padded.shape[1])
        attended = F.scaled_dot_product_attention(query, self._near(key), self._near(value), scores)
        return self.out(attended.transpose(1, 2).reshape(batch, -1, width)[:, :steps])

    def _near(self, x: Tensor) -> Tensor:
        """(B * blocks, heads, 3 * reach, d): what each block sees of x (B, T, heads, d)."""
        around = F.pad(x, (0, 0, 0, 0, self.reach, self.reach))
        return around.unfold(1, 3 * self.reach, self.reach).flatten(0, 1).transpose(2, 3)

    def _scores(self, mask: Tensor, steps: int) -> Tensor:
        """What is added to the scores, (B * blocks, heads, reach, 3 * reach): -inf for what a step must not see."""
        seen = F.pad(mask[..., 0] > 0, (self.reach, steps - mask.shape[1] + self.reach))
        seen = seen.unfold(1, 3 * self.reach, self.reach).flatten(0, 1)[:, None, None]
        near = self.distance.abs() <= self.reach
        bias = self.bias[:, self.distance.clamp(-self.reach, self.reach) + self.reach]
        # Every step sees itself, so that padding gives finite numbers too.
        allowed = (seen & near) | (self.distance == 0)
        return torch.where(allowed, bias, torch.full((), -math.inf, dtype=bias.dtype, device=bias.device))


class LocalTransformerBlock(nn.Module):
    """x + attention(norm(x)), then x + dense(norm(x)) (Vaswani et al. 2017, with the norms first).

    Args:
        width: channels.
        hidden: channels between the two dense layers.
        heads: of the attention.
        reach: steps to either side that it sees.
    """

    def __init__(self, width: int, hidden: int, heads: int, reach: int):
        super().__init__()
        self.attention_norm = nn.LayerNorm(width)
        self.attention = LocalAttention(width, heads, reach)
        self.dense_norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, hidden)
        self.contract = nn.Linear(hidden, width)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, T, width) as x, of which the mask (B, T, 1) tells the real steps."""
        x = x + self.attention(self.attention_norm(x), mask)
        return x + self.contract(F.gelu(self.expand(self.dense_norm(x))))
