"""Losses have one value a row: that of the row alone, unless they state that rows couple."""

from functools import partial

import pytest
import torch
from torch.nn import functional as F

from lightning_voiceclone.losses.adversarial import HingeLoss, LeastSquaresLoss, MinMaxLoss, WassersteinLoss
from lightning_voiceclone.losses.consistency import cosine_distance, statistics_distance
from lightning_voiceclone.losses.mel import MultiResolutionMelLoss
from lightning_voiceclone.losses.reconstruction import MultiResolutionSpectralLoss, feature_matching, masked_l1
from lightning_voiceclone.losses.rows import RowLoss, mean_of_frames
from lightning_voiceclone.networks.variational import gaussian_kl

ROWS, CHANNELS, FRAMES = 3, 4, 30
LENGTHS = torch.tensor([30, 22, 25])
MASK = (torch.arange(FRAMES) < LENGTHS[:, None])[:, None].float()


def some(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


ONE, OTHER = some(ROWS, CHANNELS, FRAMES), some(ROWS, CHANNELS, FRAMES, seed=1)
OF_FRAMES = {
    "masked_l1": (masked_l1, ((ONE - OTHER).abs() * MASK).sum() / (MASK.sum() * CHANNELS)),
    "cosine": (cosine_distance, ((1 - F.cosine_similarity(ONE, OTHER, dim=1)) * MASK[:, 0]).sum() / MASK.sum()),
    "statistics": (lambda x, y, mask: statistics_distance(x, y, mask > 0, mask > 0), None),
    "kl": (lambda x, y, mask: RowLoss(gaussian_kl(x, y, mask), mask.sum((1, 2))),
           (-0.5 * (1 + OTHER - ONE.square() - OTHER.exp()) * MASK).sum() / (MASK.sum() * CHANNELS)),
}  # fmt: skip


@pytest.mark.parametrize("name", OF_FRAMES)
def test_a_rows_value_is_its_own_and_the_batchs_is_that_of_all_frames(name):
    loss, expected = OF_FRAMES[name]
    together = loss(ONE, OTHER, MASK)
    assert together.values.shape == together.weights.shape == (ROWS,)
    for row in range(ROWS):
        rows = slice(row, row + 1)
        alone = loss(ONE[rows], OTHER[rows], MASK[rows])
        torch.testing.assert_close(together.values[rows], alone.values, rtol=1e-6, atol=1e-7)
    if expected is not None:
        assert together.mean().item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize("loss", [MinMaxLoss(), LeastSquaresLoss(), HingeLoss(), WassersteinLoss()], ids=repr)
def test_adversarial_losses_have_the_value_of_all_logits(loss):
    real, fake = ([some(ROWS, 1, 7, seed=n), some(ROWS, 5, seed=n + 1)] for n in (0, 2))
    one = [logits.reshape(1, -1) for logits in real], [logits.reshape(1, -1) for logits in fake]
    assert loss.discriminator(real, fake).mean().item() == pytest.approx(loss.discriminator(*one).item(), abs=1e-6)
    assert loss.generator(fake).mean().item() == pytest.approx(loss.generator(one[1]).item(), abs=1e-6)


def test_distances_of_waveforms_and_which_of_them_couple_rows():
    fake, real = 0.1 * some(2, 3000), 0.1 * some(2, 3000, seed=1)
    mel, spectral = MultiResolutionMelLoss(16000), MultiResolutionSpectralLoss(resolutions=[(256, 64, 256)])
    assert mel(fake, real)[1].item() == pytest.approx(mel(fake[1:], real[1:]).item(), rel=1e-5)
    louder = torch.cat([10 * fake[:1], fake[1:]])
    assert mel(louder, real)[1] == mel(fake, real)[1]
    assert not spectral(fake, real).per_row
    assert spectral(louder, real).values[1] > 1.5 * spectral(fake, real).values[1]


def test_feature_matching_row_by_row():
    real, fake = ([[some(ROWS, 2, 5, seed=n), some(ROWS, 7, seed=n + 1), some(ROWS, 1)]] for n in (0, 4))
    matched = partial(feature_matching, unpaired=1)(real, fake)
    alone = feature_matching([[x[2:] for x in real[0]]], [[x[2:] for x in fake[0]]])
    assert matched.values[2] == pytest.approx(alone.values.item(), rel=1e-6)
    assert matched.weights.tolist() == [0, 1, 1]


def test_rows_of_a_larger_batch():
    loss = RowLoss(torch.tensor([2.0, 4.0]), torch.tensor([1.0, 3.0]), per_row=False).among(1, 4)
    assert (loss.values.tolist(), loss.weights.tolist(), loss.per_row) == ([0, 2, 4, 0], [0, 1, 3, 0], False)
    assert loss.mean() == 3.5
    assert RowLoss(torch.zeros(2), torch.zeros(2)).mean() == 0


def test_what_the_mask_leaves_out_may_be_anything():
    x = torch.tensor([[[1.0, torch.nan]]], requires_grad=True)
    loss = mean_of_frames(x, torch.tensor([[[1.0, 0.0]]]))
    loss.mean().backward()
    assert loss.values.tolist() == [1.0]
    assert x.grad.tolist() == [[[1.0, 0.0]]]
