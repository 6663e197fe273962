"""Masks, and statistics over real frames."""

import pytest
import torch

from lightning_voiceclone.core.masking import keep, masked_mean_and_deviation, reach_mask


def test_masked_statistics_by_hand():
    x = torch.tensor([[[1.0, 3.0, 100.0], [2.0, 2.0, float("nan")]]])
    mean, deviation = masked_mean_and_deviation(x, torch.tensor([[[True, True, False]]]))
    assert mean.tolist() == [[2.0, 2.0]]
    assert deviation[0].tolist() == pytest.approx([1.0, 1e-5**0.5], rel=1e-4)


def test_long_means_in_half_precision():
    x = torch.full((1, 1, 5000), 1.0, dtype=torch.bfloat16)
    mean, deviation = masked_mean_and_deviation(x, torch.ones(1, 1, 5000, dtype=torch.bool))
    assert mean.dtype == deviation.dtype == torch.bfloat16
    assert mean.item() == 1.0


def test_masks():
    mask = reach_mask(torch.tensor([2, 0]), 3)
    assert mask.tolist() == [[[True, True, False]], [[False, False, False]]]
    assert keep(torch.ones(2, 1, 3), mask).sum().item() == 2
