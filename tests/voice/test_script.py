"""Scripts: what a recording says, rendered in any voice; and such that no recording was ever of."""

from dataclasses import replace

import pytest
import torch

from lightning_voiceclone.core.conditions import Script
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError, RecordingError
from lightning_voiceclone.features.prosody import median_f0
from lightning_voiceclone.networks.generators.conv import ConvGenerator
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_voice
from lightning_voiceclone.voice.options import RenderOptions

RATE = 16000


EVERYTHING = Dims(20, content=4, speaker=8, noise=2, pitch=True, energy=True)


def model(dims=EVERYTHING, **settings):
    return small_voice(dims, spread=0.3, **settings)


def speech(seconds=1.0, speaker=0):
    return torch.from_numpy(speech_like(seconds, speaker=speaker).audio)


def written(frames=50):
    """A script that was never a recording: a falling melody, a pause in the middle, nobody's embedding."""
    random = torch.Generator().manual_seed(0)
    voicing = torch.ones(1, frames)
    voicing[:, 20:30] = 0
    f0 = torch.linspace(150, 100, frames)[None] * voicing
    return Script(
        torch.tensor([frames]),
        torch.randn(1, 4, frames, generator=random),
        f0=f0,
        voicing=voicing,
        energy=torch.randn(1, frames, generator=random),
        register=median_f0(f0),
    )


@pytest.mark.slow
def test_converting_is_a_script_and_its_rendering():
    made = model(guidance=0.5)
    script, prompt = made.script(speech(), RATE), made.prompt([speech(1.5, 3)], RATE)
    for options in ({}, {"seed": 3}, {"speed": 1.5, "pitch_shift": 2.0}, {"guidance": 0.0}):
        rendered = made.render(script, prompt, RenderOptions(**options))
        assert torch.equal(rendered, made.convert(speech(), prompt, RATE, **options))
    assert torch.equal(made.render(script, prompt), made.render(script, prompt, RenderOptions()))


@pytest.mark.slow
def test_the_script_of_a_recording_by_its_analysis():
    made = model()
    script, analysis = made.script(speech(), RATE), made.analyze(speech()[None])
    assert script.lengths.tolist() == [100]
    assert torch.equal(script.content, made.content(analysis))
    assert torch.equal(script.speaker, made.embed(analysis))
    for name in ("f0", "voicing", "energy"):
        assert torch.equal(getattr(script, name), getattr(analysis, name))
    assert torch.equal(script.register, median_f0(analysis.f0))
    assert made.script(speech(), RATE, speaker=False).speaker is None


@pytest.mark.slow
def test_a_script_has_what_the_models_parts_compute():
    script = model(
        Dims(20, content=4, speaker=8), generator=lambda dims: ConvGenerator(replace(dims, speaker=0))
    ).script(speech(), RATE)
    # The generator takes no speaker embedding, so that guidance has no effect.
    assert script.tensors().keys() == {"lengths", "content"}
    noise = small_voice(Dims(20, noise=3))
    analysis = noise.analyze(speech()[None])
    assert noise.script_from_analysis(analysis).content.shape == (1, 0, 100)
    condition = noise.condition(noise.script_from_analysis(analysis))
    assert condition.tensors().keys() == {"lengths", "noise"}
    assert condition.noise.shape == (1, 3, 100)


def test_what_was_never_a_recording_is_rendered():
    made = model()
    prompt = made.prompt([speech(1.5, 3)], RATE)
    seen = []
    made.generator.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    audio = made.render(written(), prompt, RenderOptions(speed=0.5))
    assert len(audio) == 100 * 160
    assert audio.isfinite().all()
    assert len(seen) == 1
    assert float(median_f0(seen[0].f0)) == pytest.approx(float(prompt.register), rel=1e-5)


@pytest.mark.slow
def test_guidance_without_a_speaker_is_left_out_unless_it_is_set():
    made = model(guidance=0.5)
    prompt = made.prompt([speech(1.5, 3)], RATE)
    assert torch.equal(made.render(written(), prompt), made.render(written(), prompt, RenderOptions(guidance=0.0)))
    with pytest.raises(ConfigurationError, match=r"guidance is 0\.4, but the script has no speaker embedding"):
        made.render(written(), prompt, RenderOptions(guidance=0.4))
    guided = made.render(replace(written(), speaker=torch.randn(1, 8)), prompt, RenderOptions(guidance=0.4))
    assert not torch.equal(guided, made.render(written(), prompt))


@pytest.mark.slow
def test_models_that_cannot_convert_are_refused_with_the_reason():
    noise = small_voice(Dims(20, noise=3))
    with pytest.raises(ConfigurationError, match="has no content encoder: it cannot convert recordings"):
        noise.script(speech(), RATE)
    one_voice = small_voice(Dims(20, content=4))
    with pytest.raises(ConfigurationError, match="takes no reference: its output has one voice only"):
        one_voice.convert(speech(), None, RATE)
    with pytest.raises(ConfigurationError, match="no reference given; pass one"):
        model().convert(speech(), None, RATE)
    with pytest.raises(RecordingError, match="the source lasts"):
        model().script(torch.zeros(10), RATE)
