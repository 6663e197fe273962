"""Norm over channels."""

import torch

from lightning_voiceclone.networks.layers.channel_norm import ChannelNorm


def test_channel_norm_sees_one_frame():
    norm = ChannelNorm(2)
    x = torch.tensor([[[1.0, 10.0], [3.0, 30.0]]])
    torch.testing.assert_close(norm(x), torch.tensor([[[-1.0, -1.0], [1.0, 1.0]]]), atol=1e-4, rtol=0)
