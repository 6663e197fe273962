"""Saying it faster, slower, higher and lower."""

import pytest
import torch

from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.prosody import median_f0
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_voice
from lightning_voiceclone.voice.options import RenderOptions
from lightning_voiceclone.voice.speaker_prompt import StoredPrompt


def speech(seconds, speaker=0):
    return torch.from_numpy(speech_like(seconds, speaker=speaker).audio)


@pytest.fixture
def told():
    """A voice that clones 1.01 s, and what its generator was told the last time."""
    voice = small_voice(Dims(20, content=4, speaker=8, noise=2, pitch=True, energy=True))
    seen = {}
    voice.generator.register_forward_pre_hook(lambda _, inputs: seen.update(condition=inputs[0]))

    def convert(references=None, **manner):
        given = [speech(1.5, 3)] if references is None else references
        prompt = voice.prompt(given, 16000) if given else None
        return voice.convert(speech(1.01), prompt, 16000, **manner), seen["condition"]

    convert.voice = voice
    return convert


@pytest.mark.slow
@pytest.mark.parametrize(("speed", "frames"), [(1.0, 101), (2.0, 50), (0.5, 202), (4.0, 25), (0.25, 404)])
def test_a_clone_has_the_length_of_its_speed(told, speed, frames):
    audio, condition = told(speed=speed)
    assert len(audio) == frames * 160
    assert condition.lengths.tolist() == [frames]
    for field in (condition.content, condition.f0, condition.voicing, condition.energy, condition.noise):
        assert field.shape[-1] == frames


@pytest.mark.slow
def test_twelve_semitones_double_the_pitch_that_the_generator_gets(told):
    _, as_it_is = told()
    _, higher = told(pitch_shift=12)
    torch.testing.assert_close(higher.f0, 2 * as_it_is.f0)
    assert torch.equal(higher.voicing, as_it_is.voicing)
    assert torch.equal(higher.content, as_it_is.content)
    reference = told.voice.analyze(speech(1.5, 3)[None])
    torch.testing.assert_close(median_f0(higher.f0), 2 * median_f0(reference.f0))


@pytest.mark.slow
def test_the_pitch_of_an_adapted_voice_is_its_own(told):
    told.voice.own = StoredPrompt(told.voice.prompt_from_analysis(told.voice.analyze(speech(1.5, 3)[None])).together())
    torch.testing.assert_close(told([], pitch_shift=-12)[1].f0, told(pitch_shift=-12)[1].f0)
    assert len(told([], speed=2.0)[0]) == 50 * 160


@pytest.mark.slow
def test_where_the_reference_has_no_pitch_the_source_keeps_its_own_and_is_shifted_too(told):
    whisper = 0.1 * torch.randn(24000, generator=torch.Generator().manual_seed(0))
    own = told.voice.analyze(speech(1.01)[None, :16160])
    assert median_f0(told.voice.analyze(whisper[None]).f0).isnan().all()
    torch.testing.assert_close(told([whisper])[1].f0, own.f0)
    torch.testing.assert_close(told([whisper], pitch_shift=12)[1].f0, 2 * own.f0)


@pytest.mark.slow
def test_a_model_without_pitch_refuses_to_shift_it(told):
    told.voice.generator.needs -= {"f0"}
    with pytest.raises(ConfigurationError, match="pitch_shift is 3, but this model's generator takes no pitch"):
        told(pitch_shift=3)
    assert len(told()[0]) == 101 * 160


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"speed": 0.1}, "speed is 0.1; it must be from 0.25 to 4"),
        ({"pitch_shift": 30}, "pitch_shift is 30 semitones; it must be from -24"),
        ({"guidance": 2.5}, "guidance is 2.5; it must be from 0, for none, to 2"),
        ({"seed": -1}, "seed is -1"),
    ],
)
def test_options_out_of_range_are_refused(options, words):
    with pytest.raises(ConfigurationError, match=words):
        RenderOptions(**options)


def test_the_median_is_that_of_voiced_frames():
    f0 = torch.tensor([[0.0, 100.0, 120.0, 0.0, 300.0], [0.0, 210.0, 0.0, 90.0, 0.0], [0.0] * 5])
    assert median_f0(f0)[:2].tolist() == [120.0, 90.0]  # of two, the lower one
    assert median_f0(f0).isnan().tolist() == [False, False, True]
    drawn = torch.rand(7, 301, generator=torch.Generator().manual_seed(0)) - 0.3
    assert torch.equal(median_f0(drawn), torch.where(drawn > 0, drawn, torch.nan).nanmedian(-1).values)
