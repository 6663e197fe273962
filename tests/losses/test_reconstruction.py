import math

import pytest
import torch

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.losses.reconstruction import MultiResolutionSpectralLoss, feature_matching, masked_l1


@pytest.mark.slow
def test_masked_l1_by_hand():
    fake = torch.tensor([[[1.0, 2.0, 9.0]], [[0.0, 0.0, 9.0]]])
    real = torch.tensor([[[0.0, 4.0, 0.0]], [[3.0, 0.0, 0.0]]])
    mask = torch.tensor([[[1.0, 1.0, 0.0]], [[1.0, 0.0, 0.0]]])
    assert masked_l1(fake, real, mask).mean().item() == pytest.approx((1 + 2 + 3) / 3)


def test_masked_l1_averages_over_channels_and_bears_what_is_no_number_in_the_padding():
    fake = torch.full((1, 4, 2), 2.0, requires_grad=True)
    real = torch.zeros(1, 4, 2)
    real[:, :, 1] = float("nan")
    loss = masked_l1(fake, real, torch.tensor([[[1.0, 0.0]]]))
    loss.mean().backward()
    assert loss.mean().item() == 2.0
    assert fake.grad[0, :, 0].tolist() == [0.25] * 4
    assert masked_l1(fake, real, torch.zeros(1, 1, 2)).mean().item() == 0.0


def test_masked_l1_names_shapes_that_differ():
    with pytest.raises(ConfigurationError, match=r"\(1, 2, 3\).*\(1, 2, 4\)"):
        masked_l1(torch.zeros(1, 2, 3), torch.zeros(1, 2, 4), torch.ones(1, 1, 3))


def test_feature_matching_by_hand():
    real = [[torch.tensor([[1.0, 2.0]]), torch.tensor([[5.0]])], [torch.tensor([[0.0]]), torch.tensor([[8.0]])]]
    fake = [[torch.tensor([[2.0, 4.0]]), torch.tensor([[-5.0]])], [torch.tensor([[4.0]]), torch.tensor([[-8.0]])]]
    # (1.5 + 4) / 2: the logits, which differ most, do not count.
    assert feature_matching(real, fake).mean().item() == pytest.approx(2.75)


def test_feature_matching_moves_the_fake_alone():
    real = torch.zeros(3, requires_grad=True)
    fake = torch.ones(3, requires_grad=True)
    feature_matching([[real, real]], [[fake, fake]]).mean().backward()
    assert real.grad is None
    assert fake.grad.tolist() == pytest.approx([1 / 3] * 3)


def test_feature_matching_leaves_out_rows_that_have_no_counterpart():
    real = [[torch.tensor([[1.0], [2.0]]), torch.tensor([[5.0]])]]
    fake = [[torch.tensor([[9.0], [5.0]], requires_grad=True), torch.tensor([[5.0]])]]
    assert feature_matching(real, fake).mean().item() == pytest.approx((8 + 3) / 2)
    loss = feature_matching(real, fake, unpaired=1)
    loss.mean().backward()
    assert loss.values.tolist() == [0.0, 3.0]
    assert loss.weights.tolist() == [0.0, 1.0]
    assert loss.mean().item() == 3.0
    assert fake[0][0].grad.tolist() == [[0.0], [1.0]]
    assert feature_matching(real, fake, unpaired=2).mean().item() == 0.0  # and not a mean of nothing


def test_feature_matching_refuses_logits_alone_and_other_discriminators():
    map_ = torch.zeros(1)
    with pytest.raises(ConfigurationError, match="besides the logits"):
        feature_matching([[map_]], [[map_]])
    with pytest.raises(ConfigurationError, match=r"\[2\].*\[2, 2\]"):
        feature_matching([[map_, map_]], [[map_, map_]] * 2)


def test_spectral_loss_of_a_scaled_signal_by_hand():
    torch.manual_seed(0)
    real = torch.randn(2, 4000)
    # Half of the signal: convergence 1/2; the logarithms differ by ln 2 everywhere.
    loss = MultiResolutionSpectralLoss(resolutions=[(256, 64, 256), (512, 128, 300)])(real / 2, real)
    assert loss.mean().item() == pytest.approx(0.5 + math.log(2), abs=1e-3)


def test_spectral_loss_is_zero_for_equals_and_has_finite_slopes_at_silence():
    loss = MultiResolutionSpectralLoss()
    torch.manual_seed(0)
    real = 0.1 * torch.randn(1, 3000)
    assert loss(real, real).mean().item() == 0.0
    silence = torch.zeros(1, 3000, requires_grad=True)
    loss(silence, real).mean().backward()
    assert silence.grad.isfinite().all()


def test_spectral_loss_takes_short_sounds_and_names_bad_values():
    assert MultiResolutionSpectralLoss()(torch.zeros(1, 10), torch.ones(1, 10)).mean().isfinite()
    with pytest.raises(ConfigurationError, match="hop 0"):
        MultiResolutionSpectralLoss(resolutions=[(256, 0, 256)])
    with pytest.raises(ConfigurationError, match="empty"):
        MultiResolutionSpectralLoss(resolutions=[])
    with pytest.raises(ConfigurationError, match=r"\(1, 10\).*\(1, 11\)"):
        MultiResolutionSpectralLoss()(torch.zeros(1, 10), torch.zeros(1, 11))
