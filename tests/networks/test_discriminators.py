import pytest
import torch

from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError
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
        (PatchDiscriminator, {"norm": "batch"}, "batch.*weight, spectral or none"),
        (PatchDiscriminator, {"kernel_size": 2}, "kernel_size is 2"),
        (MultiScaleDiscriminator, {"width": 6}, "width 6 .*groups 4"),
        (MultiPeriodDiscriminator, {"periods": (0,)}, "periods"),
    ],
)
def test_values_that_cannot_work_are_named(part, arguments, message):
    with pytest.raises(ConfigurationError, match=message):
        part(CLONING, **arguments)
