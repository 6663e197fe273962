"""Style encoders: their contract, what of a recording decides the style, and what is refused."""

from dataclasses import replace

import pytest
import torch

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.networks.style_encoders.labels import StyleLabels
from lightning_voiceclone.networks.style_encoders.tokens import GlobalStyleTokens
from lightning_voiceclone.testing.conformance import StyleEncoderConformance
from lightning_voiceclone.testing.conformance.part import seeded
from lightning_voiceclone.testing.conformance.styles import random_script

SMALL = {"channels": 8, "tokens": 3, "heads": 2, "width": 8, "layers": 1}


class TestGlobalStyleTokens(StyleEncoderConformance):
    part = GlobalStyleTokens
    arguments = SMALL


class TestStyleLabels(StyleEncoderConformance):
    part = StyleLabels
    arguments = {"channels": 4}
    values = ("sad", "happy")


def test_a_style_is_a_mean_of_the_tokens():
    seeded()
    encoder, script = GlobalStyleTokens(**SMALL).eval(), random_script((50, 30), 6)
    shares = encoder.attention(script)
    assert shares.shape == (2, 2, 3)
    torch.testing.assert_close(shares.sum(2), torch.ones(2, 2))
    values = encoder.tokens.tanh().unflatten(1, (2, 4))
    means = torch.einsum("bhk,khd->bhd", shares, values) - values.mean(0)
    torch.testing.assert_close(encoder(script), means.flatten(1))


def test_neither_the_register_nor_the_speaker_decides_the_style():
    seeded()
    encoder, script = GlobalStyleTokens(**SMALL).eval(), random_script((50, 30), 6)
    higher = replace(script, f0=2 * script.f0, register=2 * script.register, speaker=torch.randn(2, 4))
    torch.testing.assert_close(encoder(higher), encoder(script), rtol=1e-4, atol=1e-5)
    livelier = replace(script, f0=torch.where(script.f0 > 0, script.f0**2 / 130, 0.0))
    assert (encoder(livelier) - encoder(script)).abs().max() > 1e-4


@pytest.mark.parametrize("lacking", ["f0", "voicing", "energy"])
def test_a_script_may_lack_what_the_model_has_not(lacking):
    seeded()
    vectors = GlobalStyleTokens(**SMALL)(replace(random_script((20, 1), 0), **{lacking: None}))
    assert vectors.isfinite().all()


def test_labels_and_the_nearest_of_them():
    encoder = StyleLabels(labels=["calm", "happy"], channels=4)
    assert encoder.read("happy").item() == 1
    torch.testing.assert_close(encoder(torch.tensor([1])), encoder.table.weight[1:])
    with pytest.raises(ConfigurationError) as error:
        encoder.read("hapy")
    assert str(error.value) == "no style is called 'hapy' (did you mean happy?); there are calm, happy"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: StyleLabels(labels=[]), "name one or more"),
        (lambda: StyleLabels(labels=["a", "a"]), "each once"),
        (lambda: StyleLabels(channels=0), "channels is 0"),
        (lambda: GlobalStyleTokens(channels=9, heads=2), "multiple of heads, 2"),
        (lambda: GlobalStyleTokens(kernel_size=4), "kernel_size is 4"),
        (lambda: GlobalStyleTokens(**SMALL).read("happy"), "from recordings, not from values such as 'happy'"),
    ],
)
def test_what_cannot_work_is_refused(make, words):
    with pytest.raises(ConfigurationError, match=words):
        make()
