from functools import partial

import pytest
import torch

from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.losses.adversarial import MinMaxLoss
from lightning_voiceclone.networks.discriminators.mlp import MLPDiscriminator
from lightning_voiceclone.networks.discriminators.patch import PatchDiscriminator
from lightning_voiceclone.networks.discriminators.projection import SpeakerProjection
from lightning_voiceclone.networks.discriminators.spectra import MultiResolutionSTFTDiscriminator, WaveformDiscriminator
from lightning_voiceclone.networks.discriminators.waveform import MultiPeriodDiscriminator, MultiScaleDiscriminator
from lightning_voiceclone.testing.conditions import CLONING, random_condition
from lightning_voiceclone.testing.conformance import DiscriminatorConformance


class TestMLPDiscriminator(DiscriminatorConformance):
    part = MLPDiscriminator
    arguments = {"hidden": 16}


class TestPatchDiscriminator(DiscriminatorConformance):
    part = PatchDiscriminator
    arguments = {"width": 8}


class TestPatchDiscriminatorSpectral(DiscriminatorConformance):
    part = PatchDiscriminator
    arguments = {"width": 8, "layers": 2, "kernel_size": 5, "norm": "spectral"}


class TestPatchDiscriminatorMinibatch(DiscriminatorConformance):
    part = PatchDiscriminator
    arguments = {"width": 4, "layers": 2, "minibatch": True}


class TestMultiScaleDiscriminator(DiscriminatorConformance):
    part = MultiScaleDiscriminator
    arguments = {"width": 4, "layers": 2}


class TestMultiPeriodDiscriminator(DiscriminatorConformance):
    part = MultiPeriodDiscriminator
    arguments = {"width": 4, "layers": 3}


class TestMultiResolutionSTFTDiscriminator(DiscriminatorConformance):
    part = MultiResolutionSTFTDiscriminator
    arguments = {"width": 4, "layers": 3, "resolutions": ((128, 32), (64, 16))}


class TestWaveformDiscriminator(DiscriminatorConformance):
    part = WaveformDiscriminator
    arguments = {"period_width": 4, "resolution_width": 4, "periods": (2, 3), "resolutions": ((128, 32),)}


def test_mlp_gives_one_logit_a_frame():
    output = MLPDiscriminator(Dims(13), hidden=8, layers=3)(torch.randn(2, 13, 5))
    assert [[tuple(map_.shape) for map_ in maps] for maps in output] == [[(2, 8, 5), (2, 8, 5), (2, 1, 5)]]


def test_patch_halves_bands_and_frames_rounding_up():
    (maps,) = PatchDiscriminator(Dims(13), width=4, layers=3)(torch.randn(2, 13, 6))
    assert [tuple(map_.shape[1:]) for map_ in maps] == [(4, 7, 3), (8, 4, 2), (16, 2, 1), (1, 2, 1)]


def test_scales_and_periods_are_sub_discriminators():
    x = torch.randn(2, 1, 660)
    assert len(MultiScaleDiscriminator(Dims(1), width=4, layers=2, scales=2)(x)) == 2
    by_period = MultiPeriodDiscriminator(Dims(1), width=4, layers=2, periods=(2, 5))(x)
    assert [maps[-1].shape[-1] for maps in by_period] == [2, 5]


def test_fold_puts_every_pth_sample_in_a_column():
    folded = MultiPeriodDiscriminator(Dims(80), periods=(2, 3), width=2).view(torch.arange(7.0)[None, None], 1)
    assert folded[0, 0].tolist() == [[0, 1, 2], [3, 4, 5], [6, 6, 6]]


def test_a_sinusoid_is_in_one_bin_with_its_phase_and_a_compressed_magnitude():
    discriminator = MultiResolutionSTFTDiscriminator(Dims(80), resolutions=[(64, 16)], width=2)
    time = torch.arange(640.0)
    seen = discriminator.view(0.5 * torch.cos(2 * torch.pi * 8 / 64 * time)[None, None], 0)[0, :, :, 20]
    magnitude = seen.square().sum(0).sqrt()
    assert int(magnitude.argmax()) == 8
    assert magnitude[8].item() == pytest.approx((0.5 * 64 / 4) ** 0.3, rel=1e-3)  # amplitude x sum of the window / 2
    assert seen[1, 8].abs() < 1e-3 * seen[0, 8].abs()  # frame 20 begins at a whole number of periods


@pytest.mark.slow
def test_training_computes_only_the_drawn_sub_discriminators():
    discriminator = WaveformDiscriminator(Dims(80), scales=1, period_width=2, resolution_width=2, scale_width=4, draw=2)
    audio = torch.randn(1, 1, 2000)
    assert len(discriminator(audio)) == 9  # nothing drawn yet
    drawn = set()
    for seed in range(30):
        torch.manual_seed(seed)
        discriminator.begin_step()
        assert len(discriminator(audio)) == 2
        assert torch.equal(discriminator(audio)[0][-1], discriminator(audio)[0][-1])
        drawn |= set(discriminator._drawn)
    assert drawn == set(range(9))
    assert len(discriminator.eval()(audio)) == 9


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"draw": 9}, "from 1 to 8"),
        ({"draw": 0}, "from 1 to 8"),
        ({"periods": (), "resolutions": ()}, "has no sub-discriminators"),
        ({"resolutions": [(64, 128)]}, "0 < hop <= n_fft"),
    ],
)
def test_settings_without_sub_discriminators_are_refused(settings, words):
    with pytest.raises(ConfigurationError, match=words):
        WaveformDiscriminator(Dims(80), **settings)


def test_spectral_norm_bounds_the_weights():
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(Dims(13), width=8, layers=2, norm="spectral").train()
    for _ in range(30):  # the power iteration runs once a step
        discriminator(torch.randn(2, 13, 9))
    for convolution in discriminator.convolutions:
        assert torch.linalg.matrix_norm(convolution.weight.flatten(1), 2).item() == pytest.approx(1, abs=0.02)


def test_projection_is_an_inner_product():
    projection = SpeakerProjection(Dims(4, speaker=2), 4)
    with torch.no_grad():
        projection.project.weight.copy_(torch.tensor([[1.0, 0], [0, 1], [1, 1], [0, 0]]))
    hidden = torch.tensor([[1.0], [2], [3], [4]])[None]
    condition = random_condition(Dims(4, noise=1), [1])
    condition = type(condition)(lengths=condition.lengths, speaker=torch.tensor([[2.0, 5.0]]))
    # V s = (2, 5, 7, 0); its product with h is 2 + 10 + 21 = 33, over the root of 4 channels.
    assert projection(torch.ones(1, 1, 1), hidden, condition).item() == pytest.approx(1 + 33 / 2)


@pytest.mark.parametrize("part", [MLPDiscriminator, PatchDiscriminator])
def test_padding_counts_as_nothing(part):
    torch.manual_seed(0)
    discriminator = part(CLONING).eval()
    condition = random_condition(CLONING, [12, 5])
    x = torch.randn(2, 20, 12)
    other = x.clone()
    other[1, :, 5:] = 9.0
    assert torch.equal(discriminator(x, condition)[0][-1], discriminator(other, condition)[0][-1])


@pytest.mark.parametrize(
    ("part", "arguments", "message"),
    [
        (PatchDiscriminator, {"norm": "layer"}, "layer.*weight, spectral, batch or none"),
        (PatchDiscriminator, {"kernel_size": 2}, "kernel_size is 2"),
        (MultiScaleDiscriminator, {"width": 6}, "width 6 .*groups 4"),
        (MultiPeriodDiscriminator, {"periods": (0,)}, "periods"),
    ],
)
def test_values_that_cannot_work_are_named(part, arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        part(CLONING, **arguments)


ALL = [partial(MLPDiscriminator, hidden=8), partial(PatchDiscriminator, width=4, layers=2),
       partial(MultiScaleDiscriminator, width=4, layers=1, scales=2),
       partial(MultiPeriodDiscriminator, width=4, layers=1, periods=(2, 3)),
       partial(MultiResolutionSTFTDiscriminator, width=4, layers=2, resolutions=((64, 16),)),
       partial(WaveformDiscriminator, period_width=4, resolution_width=4, scale_width=4, periods=(2,),
               resolutions=((64, 16),), scales=1)]  # fmt: skip


@pytest.mark.parametrize("part", ALL, ids=lambda part: part.func.__name__)
def test_minibatch_deviation_couples_rows_and_is_of_the_logits_alone(part):
    torch.manual_seed(0)
    discriminator = part(Dims(6), minibatch=True).eval()
    assert not discriminator.per_row
    assert part(Dims(6)).per_row
    x = torch.randn(3, 6 if discriminator.takes == "features" else 1, 200)
    far = torch.cat([x[:1], 5 * x[1:]])
    for maps, others in zip(discriminator(x), discriminator(far), strict=True):
        assert all(torch.allclose(map_[0], other[0]) for map_, other in zip(maps[:-1], others[:-1], strict=True))
        assert (maps[-1][0] - others[-1][0]).abs().max() > 1e-6


def trained_against_a_collapse(discriminator, steps=120):
    """Share of right logits, of batches of 8 rows: real ones are drawn alone, fake ones are 8 copies of one draw."""
    torch.manual_seed(0)
    optimizer, loss = torch.optim.Adam(discriminator.parameters(), 1e-2), MinMaxLoss()
    for _ in range(steps):
        real, fake = torch.randn(8, 3, 1), torch.randn(1, 3, 1).expand(8, -1, -1)
        logits = [[discriminator(x)[0][-1]] for x in (real, fake)]
        optimizer.zero_grad()
        loss.discriminator(*logits).mean().backward()
        optimizer.step()
    with torch.no_grad():
        fakes = torch.stack([discriminator(torch.randn(1, 3, 1).expand(8, -1, -1))[0][-1] for _ in range(64)])
        reals = torch.stack([discriminator(torch.randn(8, 3, 1))[0][-1] for _ in range(64)])
    return float((reals > fakes).float().mean())


@pytest.mark.slow
def test_a_collapse_is_noticed_by_minibatch_deviation_alone():
    """Each generated row is like a real one; only together they are not."""
    torch.manual_seed(0)
    assert trained_against_a_collapse(MLPDiscriminator(Dims(3), hidden=16, minibatch=True)) > 0.9
    assert trained_against_a_collapse(MLPDiscriminator(Dims(3), hidden=16)) < 0.7


def test_batch_norm_makes_hidden_numbers_alike_in_scale_and_leaves_logits():
    torch.manual_seed(0)
    discriminator = PatchDiscriminator(Dims(6), width=4, layers=2, norm="batch").train()
    assert not discriminator.per_row
    (maps,) = discriminator(100 * torch.randn(4, 6, 40) + 50)
    before = discriminator.convolutions[0](100 * torch.randn(4, 6, 40)[:, None] + 50)
    torch.testing.assert_close(before.std((0, 2, 3)), torch.ones(4), rtol=0, atol=0.05)
    assert all(map_.abs().max() < 20 for map_ in maps[:-1])
    assert "judge.weight" in dict(discriminator.named_parameters())


@pytest.mark.parametrize("part", ALL[:2], ids=lambda part: part.func.__name__)
def test_dropout_drops_its_share_in_training_alone(part):
    torch.manual_seed(0)
    discriminator, x = part(Dims(6), dropout=0.4), torch.randn(4, 6, 200)
    dropped = (discriminator.train()(x)[0][0] == 0).float().mean()
    assert dropped == pytest.approx(0.4, abs=0.03)
    assert (discriminator.eval()(x)[0][0] == 0).float().mean() < 0.01
