import pytest
import torch

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.augmentation import SpecAugment, WarpFrequency
from lightning_voiceclone.testing import FeatureTransformConformance


class TestSpecAugment(FeatureTransformConformance):
    part = SpecAugment


class TestWarpFrequency(FeatureTransformConformance):
    part = WarpFrequency


def test_masks_are_bands_filled_with_the_rows_mean():
    torch.manual_seed(0)
    features = torch.randn(200, 30, 50)
    masked = SpecAugment(frequency_masks=1, frequency_width=8, time_masks=0)(features)
    changed = (masked != features).any(2)
    assert torch.equal(changed, (masked != features).all(2)), "a masked channel is masked in every frame"
    widths = changed.sum(1)
    assert sorted(set(widths.tolist())) == list(range(9))
    assert ((changed.int().diff(dim=1) == 1).sum(1) <= 1).all(), "one mask is one band"
    means = features.mean((1, 2))[:, None, None].expand_as(features)
    torch.testing.assert_close(masked[masked != features], means[masked != features])
    assert changed.any(0).all(), "every channel is masked in some row"


def test_stretches_of_time_keep_to_their_share():
    torch.manual_seed(0)
    features = torch.randn(300, 4, 20)
    changed = (SpecAugment(frequency_masks=0, time_masks=1, time_width=40)(features) != features).all(1)
    assert changed.sum(1).max() == 4
    assert changed.any(0).all()


def test_probability():
    torch.manual_seed(0)
    features = torch.randn(1000, 30, 50)
    assert torch.equal(SpecAugment(p=0.0)(features), features)
    touched = (SpecAugment(p=0.5)(features) != features).any(2).any(1).float().mean()
    assert 0.42 < touched < 0.55
    assert torch.equal(WarpFrequency(p=0.0)(features), features)


def test_warp_moves_a_peak_by_the_factor():
    peak = torch.exp(-0.5 * ((torch.arange(80) - 40.0) / 3) ** 2)[None, :, None].repeat(1, 1, 5)
    warped = WarpFrequency(low=1.2, high=1.2)(peak)
    assert (warped.argmax(1) == 48).all()
    assert (WarpFrequency(low=0.8, high=0.8)(peak).argmax(1) == 32).all()


def test_warp_interpolates_and_repeats_the_edge():
    line = torch.arange(10.0)[None, :, None]
    expected = (torch.arange(10.0) / 0.8).clamp(max=9)
    torch.testing.assert_close(WarpFrequency(low=0.8, high=0.8)(line)[0, :, 0], expected)


def test_frames_of_a_row_share_a_factor():
    torch.manual_seed(0)
    features = torch.randn(50, 20, 1).repeat(1, 1, 7)
    warped = WarpFrequency()(features)
    assert torch.equal(warped, warped[:, :, :1].expand_as(warped))


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: SpecAugment(time_masks=-1), "time_masks is -1"),
        (lambda: SpecAugment(time_share=1.5), "time_share is 1.5"),
        (lambda: SpecAugment(p=2), "p is 2"),
        (lambda: WarpFrequency(low=0), "low is 0"),
        (lambda: WarpFrequency(low=1.3), "low is 1.3"),
        (lambda: WarpFrequency(p=-0.1), "p is -0.1"),
    ],
)
def test_bad_settings_are_reported(make, told):
    with pytest.raises(ConfigurationError, match=told):
        make()


def test_groups_are_warped_each_by_itself_and_the_rest_is_kept():
    torch.manual_seed(0)
    parts = torch.randn(2, 30, 5), torch.randn(2, 20, 5), torch.randn(2, 3, 5)
    warp = WarpFrequency(low=1.2, high=1.2, groups=[30, 20])
    expected = [WarpFrequency(low=1.2, high=1.2)(part) for part in parts[:2]]
    assert torch.equal(warp(torch.cat(parts, 1)), torch.cat([*expected, parts[2]], 1))
    with pytest.raises(ConfigurationError, match=r"groups \[30, 20\] have 50 channels, but the features have 40"):
        warp(torch.randn(1, 40, 5))
    with pytest.raises(ConfigurationError, match="each group must have 1 channel"):
        WarpFrequency(groups=[0])
