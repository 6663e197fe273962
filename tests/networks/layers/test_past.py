"""What causal layers keep of the steps before, and convolutions as an export computes them."""

import pytest
import torch
from torch import nn

from lightning_voiceclone.networks.layers.past import Past, convolved, nothing_before, windows


@pytest.fixture
def exporting(monkeypatch):
    """A function that lets layers compute as in an export from then on."""
    return lambda: monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)


@pytest.mark.parametrize("dim", [1, 2])
def test_chunks_see_what_the_whole_does(dim):
    x = torch.randn(2, 3, 12)
    whole = Past().before(x if dim == 2 else x.transpose(1, 2), 4, dim=dim)
    assert whole.shape[dim] == 4 + 12
    state = nothing_before(x, 2, [(3, 4)])
    assert state["0"].shape == (2, 4, 3)
    for begin in range(0, 12, 3):
        past, part = Past(state), x[..., begin : begin + 3]
        seen = past.before(part if dim == 2 else part.transpose(1, 2), 4, dim=dim)
        assert torch.equal(seen, whole.narrow(dim, begin, 4 + 3))
        state = past.following
    assert torch.equal(state["0"], x[..., -4:].transpose(1, 2))


def test_steps_that_come_again_are_not_kept():
    x, past = torch.randn(1, 2, 5), Past(nothing_before(torch.zeros(1), 1, [(2, 3)]), again=2)
    past.before(x, 3)
    assert torch.equal(past.following["0"], x[..., :3].transpose(1, 2))


@pytest.mark.parametrize(("size", "distance"), [(3, 1), (5, 2), (1, 1)])
def test_windows_are_the_rows_of_each_step(size, distance):
    x = torch.randn(2, 14, 3)
    made = windows(x, size, distance)
    assert made.shape == (2, 14 - (size - 1) * distance, size, 3)
    for index in range(size):
        assert torch.equal(made[:, :, index], x.narrow(1, index * distance, made.shape[1]))


@pytest.mark.parametrize("settings", [
    {"kernel_size": 5, "dilation": 2}, {"kernel_size": 1, "bias": False}, {"kernel_size": 4, "stride": 2, "padding": 1},
])  # fmt: skip
def test_a_convolution_is_the_same_as_a_product(exporting, settings):
    conv, x = nn.Conv1d(3, 4, **settings).double(), torch.randn(2, 3, 14, dtype=torch.float64)
    expected = convolved(conv, x)
    bare = nn.functional.conv1d(x, conv.weight, conv.bias, conv.stride, 0, conv.dilation)
    torch.testing.assert_close(expected, bare, rtol=0, atol=1e-12)
    exporting()
    torch.testing.assert_close(convolved(conv, x), expected, rtol=0, atol=1e-12)
