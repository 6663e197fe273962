"""Frames put together: as torch.nn.functional.fold does it, sample for sample."""

import pytest
import torch

from lightning_voiceclone.vocoders.overlap_add import overlap_add


@pytest.mark.parametrize(
    ("n_fft", "hop", "frames"), [(640, 160, 50), (1024, 160, 31), (1024, 161, 9), (512, 128, 1), (400, 200, 5)]
)
def test_it_equals_folding_and_so_does_what_is_exported(n_fft, hop, frames, monkeypatch):
    torch.manual_seed(0)
    window, some = torch.hann_window(n_fft), torch.randn(2, frames, n_fft)
    both = torch.cat([some, window.square().expand(1, frames, -1)]).transpose(1, 2)
    size, cut = (frames - 1) * hop + n_fft, (n_fft - hop) // 2
    folded = torch.nn.functional.fold(both, (1, size), (1, n_fft), stride=(1, hop))[:, 0, 0, cut : cut + frames * hop]
    made = overlap_add(some, window, hop)
    assert torch.equal(made, folded[:-1] / folded[-1].clamp(min=1e-3))
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    torch.testing.assert_close(overlap_add(some, window, hop), made, rtol=0, atol=1e-6)
