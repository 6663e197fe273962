"""The mean of several states of one voice."""

from functools import partial

import pytest
import torch

from lightning_voiceclone.checkpoints.weight_average import mean_voice
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.networks.content_encoders.instance_norm import InstanceNormContentEncoder
from lightning_voiceclone.networks.generators.conv import ConvGenerator
from lightning_voiceclone.testing.voices import small_voice

WIDER = InstanceNormContentEncoder(Dims(20), channels=4, width=16, layers=1)


def voice(seed, *, layers=2, statistics=0.0, **parts):
    made = small_voice(
        Dims(20, content=4), generator=partial(ConvGenerator, width=8, layers=layers), seed=seed, **parts
    )
    made.normalizer.mean.add_(statistics)
    return made


@pytest.mark.slow
def test_each_weight_is_the_mean():
    one, two, three = (voice(seed).state_dict() for seed in (1, 2, 3))
    mean = mean_voice({name: voice(seed) for seed, name in enumerate("abc", 1)}).state_dict()
    for name, value in mean.items():
        if value.is_floating_point():
            assert torch.allclose(value, (one[name] + two[name] + three[name]) / 3, atol=1e-6)


@pytest.mark.slow
def test_the_mean_of_a_voice_with_itself_is_that_voice():
    alone = voice(1).state_dict()
    assert all(
        torch.equal(value, alone[name])
        for name, value in mean_voice({"a": voice(1), "b": voice(1)}).state_dict().items()
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"layers": 3}, "a.ckpt and b.ckpt have other generators"),
        ({"content_encoder": WIDER}, "other content_encoders"),
        ({"statistics": 1.0}, "statistics of other recordings"),
    ],
)
def test_models_that_have_no_mean_are_refused(changes, words):
    with pytest.raises(ConfigurationError, match=words):
        mean_voice({"a.ckpt": voice(1), "b.ckpt": voice(2, **changes)})
