"""Attention over a bounded stretch: the same as full attention with a band, in blocks."""

import math

import pytest
import torch
from torch.nn import functional as F

from lightning_voiceclone.networks.local_attention import LocalAttention, LocalTransformerBlock
from lightning_voiceclone.testing.conformance.part import assert_gradients_reach


def attention(reach, width=12, heads=3):
    torch.manual_seed(0)
    made = LocalAttention(width, heads, reach)
    torch.nn.init.normal_(made.bias)
    return made


def rows(steps, lengths, width=12):
    torch.manual_seed(1)
    mask = (torch.arange(steps) < torch.tensor(lengths)[:, None])[..., None].float()
    return torch.randn(len(lengths), steps, width), mask


def naively(made, x, mask):
    """Each step by itself: softmax over its neighbours of query . key / sqrt(d) and the distance's own number."""
    query, key, value = made.joint(x).chunk(3, dim=2)
    found = torch.zeros_like(x)
    size = x.shape[2] // made.heads
    for row in range(len(x)):
        for step in range(x.shape[1]):
            near = [
                other
                for other in range(max(0, step - made.reach), min(x.shape[1], step + made.reach + 1))
                if mask[row, other, 0] or other == step
            ]
            for head in range(made.heads):
                part = slice(head * size, (head + 1) * size)
                scores = key[row, near, part] @ query[row, step, part] / math.sqrt(size)
                weights = (scores + made.bias[head, [other - step + made.reach for other in near]]).softmax(0)
                found[row, step, part] = weights @ value[row, near, part]
    return made.out(found)


@torch.no_grad()
@pytest.mark.parametrize(("steps", "reach"), [(1, 4), (3, 4), (4, 4), (5, 4), (13, 4), (17, 5), (9, 1), (7, 20)])
def test_in_blocks_as_step_by_step(steps, reach):
    made = attention(reach)
    x, mask = rows(steps, [steps, max(steps - 3, 1)])
    torch.testing.assert_close(made(x, mask), naively(made, x, mask), rtol=0, atol=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("steps", [11, 12, 13])
def test_in_blocks_as_torchs_attention_with_a_band(steps):
    made = attention(4)
    torch.nn.init.zeros_(made.bias)
    x, mask = rows(steps, [steps, steps - 5])
    place = torch.arange(steps)
    band = (place[:, None] - place).abs() <= 4
    seen = (band & (mask[:, None, :, 0] > 0)) | torch.eye(steps, dtype=torch.bool)
    query, key, value = made.joint(x).unflatten(2, (3, 3, 4)).permute(2, 0, 3, 1, 4)
    full = F.scaled_dot_product_attention(query, key, value, seen[:, None])
    torch.testing.assert_close(made(x, mask), made.out(full.transpose(1, 2).flatten(2)), rtol=0, atol=1e-5)


@torch.no_grad()
def test_a_change_is_seen_as_far_as_the_reach_and_no_farther():
    made = attention(4)
    x, mask = rows(30, [30])
    moved = x.clone()
    moved[0, 13] += 5
    seen = (made(moved, mask) - made(x, mask)).abs().amax(2)[0] > 0
    assert seen.nonzero().flatten().tolist() == list(range(9, 18))


@torch.no_grad()
def test_the_padding_does_not_leak_and_gives_finite_numbers():
    made = attention(4)
    x, mask = rows(15, [15, 6])
    scrambled = torch.where(mask > 0, x, 1e4)
    torch.testing.assert_close(made(scrambled, mask)[1, :6], made(x, mask)[1, :6], rtol=0, atol=0)
    torch.testing.assert_close(made(x, mask)[1, :6], made(x[1:, :6], mask[1:, :6])[0], rtol=0, atol=1e-6)
    assert made(scrambled, mask).isfinite().all()


def test_the_number_of_a_distance_draws_attention_to_it():
    made = attention(3)
    with torch.no_grad():
        made.bias[:] = -30.0
        made.bias[:, 1] = 0.0  # of the step two before
        x, mask = rows(10, [10])
        value = made.joint(x)[..., 24:]
        torch.testing.assert_close(made(x, mask)[:, 2:], made.out(value)[:, :-2], rtol=0, atol=1e-5)
    made(x, mask).square().mean().backward()
    assert_gradients_reach(made)


@torch.no_grad()
def test_a_block_is_attention_then_dense_layers_each_beside_the_way_past_it():
    torch.manual_seed(0)
    block = LocalTransformerBlock(12, 16, 3, 4)
    x, mask = rows(10, [10, 7])
    beside = x + naively(block.attention, block.attention_norm(x), mask)
    dense = torch.nn.Sequential(block.dense_norm, block.expand, torch.nn.GELU(), block.contract)
    torch.testing.assert_close(block(x, mask), beside + dense(beside), rtol=0, atol=1e-5)


@torch.no_grad()
def test_half_precision():
    made = attention(4)
    x, mask = rows(13, [13, 9])
    half = LocalAttention(12, 3, 4).bfloat16()
    half.load_state_dict(made.state_dict())
    told = half(x.bfloat16(), mask.bfloat16())
    assert told.dtype == torch.bfloat16
    single = made(x, mask)
    torch.testing.assert_close(told.float(), single, rtol=0, atol=0.05)
    with torch.autocast("cpu", torch.bfloat16):
        mixed = made(x, mask)
    assert mixed.dtype == torch.bfloat16
    torch.testing.assert_close(mixed.float(), single, rtol=0, atol=0.05)
