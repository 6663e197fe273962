import pytest
import torch

from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.networks.content_encoders.features import FeatureContentEncoder
from lightning_voiceclone.networks.content_encoders.instance_norm import InstanceNormContentEncoder, instance_norm
from lightning_voiceclone.networks.speaker_encoders.statistics import StatisticsSpeakerEncoder
from lightning_voiceclone.testing.conformance import ContentEncoderConformance, SpeakerEncoderConformance


class TestInstanceNormContentEncoder(ContentEncoderConformance):
    part = InstanceNormContentEncoder
    arguments = {"channels": 6, "width": 16, "layers": 2}


class TestGuidedContentEncoder(ContentEncoderConformance):
    part = InstanceNormContentEncoder
    arguments = {"channels": 6, "width": 16, "layers": 1, "stride": 3, "guidance": 0.1}


class TestFeatureContentEncoder(ContentEncoderConformance):
    part = FeatureContentEncoder


class TestStatisticsSpeakerEncoder(SpeakerEncoderConformance):
    part = StatisticsSpeakerEncoder
    arguments = {"channels": 6, "width": 16, "layers": 2}


@pytest.mark.parametrize("part", [InstanceNormContentEncoder, StatisticsSpeakerEncoder])
def test_whole_encoder_in_half_precision(part):
    torch.manual_seed(0)
    encoder, x = part(Dims(20), channels=8, width=16).eval(), torch.randn(1, 20, 60)
    half = encoder.bfloat16()(x.bfloat16())
    assert half.dtype == torch.bfloat16
    assert half.isfinite().all()


def test_instance_norm_forgets_gain_and_level_of_each_band():
    torch.manual_seed(0)
    x, mask = torch.randn(1, 4, 50), torch.ones(1, 1, 50)
    louder = x * torch.tensor([2.0, 0.5, 3.0, 1.0])[:, None] + torch.tensor([5.0, -3.0, 0.0, 1.0])[:, None]
    torch.testing.assert_close(instance_norm(louder, mask), instance_norm(x, mask), atol=1e-3, rtol=1e-3)


def test_content_does_not_depend_on_a_fixed_colouring_of_the_spectrum():
    torch.manual_seed(0)
    encoder = InstanceNormContentEncoder(Dims(20), channels=8, width=16).eval()
    x = torch.randn(1, 20, 60)
    torch.testing.assert_close(encoder(x + torch.randn(1, 20, 1)), encoder(x), atol=1e-3, rtol=1e-3)


def test_content_is_normalised_and_guidance_bounds_it():
    torch.manual_seed(0)
    x = torch.randn(2, 20, 61)
    content = InstanceNormContentEncoder(Dims(20), channels=8, width=16)(x)
    assert content.shape == (2, 8, 31)
    torch.testing.assert_close(content.mean(-1), torch.zeros(2, 8), atol=1e-4, rtol=0)
    torch.testing.assert_close(content.var(-1, correction=0), torch.ones(2, 8), atol=1e-2, rtol=0)
    guided = InstanceNormContentEncoder(Dims(20), channels=8, width=16, guidance=0.1)(x)
    assert 0.3 < guided.min() < 0.5 < guided.max() < 0.7


def test_frame_rate_follows_the_stride():
    encoder = InstanceNormContentEncoder(Dims(20, frame_rate=62.5), stride=2)
    assert encoder.frame_rate == 31.25


def test_embedding_has_unit_spread_and_depends_on_the_average_spectrum():
    torch.manual_seed(0)
    encoder = StatisticsSpeakerEncoder(Dims(20), channels=32).eval()
    x = torch.randn(1, 20, 80)
    embedding = encoder(x)
    assert embedding.std(correction=0).item() == pytest.approx(1, abs=1e-2)
    coloured = encoder(x + torch.randn(1, 20, 1))
    assert (coloured - embedding).abs().mean() > 0.01


@pytest.mark.parametrize(
    ("part", "arguments", "told"),
    [
        (InstanceNormContentEncoder, {"guidance": 0.0}, "guidance is 0.0"),
        (InstanceNormContentEncoder, {"stride": 0}, "stride is 0"),
        (InstanceNormContentEncoder, {"kernel_size": 4}, "kernel_size is 4"),
        (StatisticsSpeakerEncoder, {"channels": 1}, "channels is 1"),
    ],
)
def test_values_that_cannot_work_are_named(part, arguments, told):
    with pytest.raises(ConfigurationError, match=told):
        part(Dims(20), **arguments)
