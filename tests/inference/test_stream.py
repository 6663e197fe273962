"""Streams from Python: state, batches, loudness, trouble."""

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from lightning_voiceclone.audio.noise import speech_power
from lightning_voiceclone.errors import ConfigurationError, RecordingError
from lightning_voiceclone.inference.converter import Converter
from lightning_voiceclone.inference.level import RunningLevel, bent
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_streaming_voice
from lightning_voiceclone.voice.options import RenderOptions

RATE = 16000


def speech(seconds, speaker=0):
    return torch.from_numpy(speech_like(seconds, speaker=speaker).audio)


@pytest.fixture(scope="module")
def model():
    return Converter(small_streaming_voice(guidance=0.3), note=lambda line: None)


@pytest.fixture(scope="module")
def speaker(model):
    return model.speaker((speech(2.0, 1), RATE))


def run(stream, audio, size):
    made = [chunk for piece in audio.split(size, -1) for chunk in stream.push(piece)]
    return torch.cat([*made, *stream.flush()], -1)


@pytest.mark.slow
def test_a_stream_gives_what_the_whole_gives_if_it_knows_the_source(model, speaker):
    audio = speech(2.0)
    expected = model.convert((audio, RATE), speaker).samples
    with model.stream(speaker, like=(audio, RATE)) as stream:
        made = run(stream, audio, 5000)
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_samples_come_before_the_source_ends(model, speaker):
    with model.stream(speaker) as stream:
        made = sum(len(chunk) for chunk in stream.push(speech(1.0)))
    assert made >= RATE - round((model.voice.latency + 0.02) * RATE)


@pytest.mark.slow
def test_its_state_is_saved_and_goes_on_in_another_stream(model, speaker):
    audio = speech(2.0)
    with model.stream(speaker) as one, model.stream(speaker) as two:
        one.push(audio[:17000])
        two.state = load(save({name: value.contiguous().clone() for name, value in one.state.items()}))
        made = [torch.cat([*stream.push(audio[17000:]), *stream.flush()]) for stream in (one, two)]
    assert torch.equal(*made)


@pytest.mark.slow
def test_states_of_streams_make_a_batch(model, speaker):
    audio, other = torch.stack([speech(1.6), speech(1.6, 2)]), model.speaker((speech(1.5, 3), RATE))
    streams = [model.stream(who) for who in (speaker, other)]
    for stream, row in zip(streams, audio, strict=True):
        stream.push(row[:12000])
    both = model.stream(speaker, other)
    both.state = {name: torch.cat([stream.state[name] for stream in streams]) for name in streams[0].state}
    together = torch.cat([*both.push(audio[:, 12000:]), *both.flush()], -1)
    alone = [torch.cat([*stream.push(row[12000:]), *stream.flush()])
             for stream, row in zip(streams, audio, strict=True)]  # fmt: skip
    torch.testing.assert_close(together, torch.stack(alone), rtol=0, atol=1e-5)


@pytest.mark.slow
def test_voice_and_options_change_between_pushes_without_a_gap(model, speaker):
    audio, other = speech(2.0), model.speaker((speech(1.5, 3), RATE))
    with model.stream(speaker) as stream:
        made = stream.push(audio[:16000])
        stream.prompt, stream.options = model.prompt_of(other), RenderOptions(pitch_shift=2.0, guidance=0.0)
        made += [*stream.push(audio[16000:]), *stream.flush()]
        assert sum(map(len, made)) == len(audio)
    with model.stream(speaker) as stream:
        assert not torch.allclose(torch.cat(made), run(stream, audio, 16000), atol=1e-3)
    with pytest.raises(ConfigurationError, match=r"the speed is 2, but the stream began with 1"):
        stream.options = RenderOptions(speed=2.0)
    with pytest.raises(ConfigurationError, match="the prompt has 2 rows, but the stream 1"):
        stream.prompt = model.prompt_of(speaker, other)


@pytest.mark.slow
def test_what_is_not_finite_is_refused_and_changes_nothing(model, speaker):
    audio, bad = speech(1.5), torch.full((100,), torch.nan)
    with model.stream(speaker) as stream:
        made = stream.push(audio[:8000])
        with pytest.raises(RecordingError, match="NaN or infinite; push zeros in their place"):
            stream.push(bad)
        made += [*stream.push(audio[8000:]), *stream.flush()]
    with model.stream(speaker) as undisturbed:
        torch.testing.assert_close(torch.cat(made), run(undisturbed, audio, 24000), rtol=0, atol=1e-5)


@pytest.mark.slow
def test_after_a_gap_it_begins_anew_and_knows_the_source(model, speaker):
    before, after = speech(2.5), speech(1.6, 2)
    with model.stream(speaker) as stream:
        stream.push(before)
        known = {name: value for name, value in stream.state.items() if name.startswith(("statistics.", "level."))}
        stream.restart()
        made = run(stream, after, 4000)
    with model.stream(speaker) as fresh:
        fresh.state = fresh.state | known
        assert torch.equal(made, run(fresh, after, 4000))
        with pytest.raises(ConfigurationError, match="has ended"):
            fresh.restart()
    with model.stream(speaker) as unaware:
        assert not torch.allclose(made, run(unaware, after, 4000), atol=1e-3)


@pytest.mark.parametrize("samples", [torch.zeros(2, 100), torch.zeros(10, dtype=torch.int16), torch.zeros(1, 1, 5)])
def test_other_shapes_and_types_are_refused(model, speaker, samples):
    with model.stream(speaker) as stream, pytest.raises(RecordingError, match=r"a stream of 1 row\(s\) was given"):
        stream.push(samples)


@pytest.mark.slow
def test_no_samples_and_silence_are_taken_and_an_ended_stream_is_not(model, speaker):
    with model.stream(speaker) as stream:
        assert stream.push(np.zeros(0, np.float32)) == []
        made = run(stream, torch.zeros(RATE), 400)
        assert len(made) == RATE
        assert made.isfinite().all()
        with pytest.raises(ConfigurationError, match="this stream has ended"):
            stream.push(torch.zeros(10))


@pytest.mark.slow
def test_the_state_does_not_grow(model, speaker):
    audio, sizes = speech(0.5), []
    with model.stream(speaker) as stream:
        for _ in range(20):
            stream.push(audio)
            sizes.append(sum(value.numel() for value in stream.state.values()))
    assert max(sizes[12:]) <= 1.02 * max(sizes[6:12])


@pytest.mark.slow
def test_a_running_level_comes_to_that_of_the_source():
    source, level, state, made = speech(8.0), RunningLevel(100), {}, []
    for piece in source.split(1600):
        power = piece.unflatten(0, (-1, 160)).square().mean(-1)[None]
        out, state = level.apply(0.2 * piece[None], power, state)
        made.append(out[0])
    joined = torch.cat(made)
    assert speech_power(joined[48000:].numpy(), RATE) == pytest.approx(
        speech_power(source[48000:].numpy(), RATE), rel=0.2
    )
    assert (joined[1:] - joined[:-1]).abs().max() < 1.5 * (source[1:] - source[:-1]).abs().max()


def test_what_is_too_loud_is_bent_and_never_clips():
    samples = torch.linspace(-4, 4, 1001)
    assert torch.equal(bent(samples)[samples.abs() <= 0.9], samples[samples.abs() <= 0.9])
    assert bent(samples).abs().max() <= 1
    assert (bent(samples).diff() >= 0).all()
