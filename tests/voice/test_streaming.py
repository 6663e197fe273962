"""Chunks of a source, whatever their sizes, are converted as the whole is."""

import math
from dataclasses import replace

import pytest
import torch
from in_pieces import push, random_sizes, whole
from safetensors.torch import load, save

from lightning_voiceclone.core.interfaces import ContentEncoder, Vocoder
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import STREAMER, small_live_voice, small_streaming_voice, small_voice
from lightning_voiceclone.voice import segments
from lightning_voiceclone.voice.options import RenderOptions
from lightning_voiceclone.voice.segments import SegmentedConversion, conversion_of
from lightning_voiceclone.voice.statistics import RunningStatistics
from lightning_voiceclone.voice.streaming import ChunkedConversion


@pytest.fixture(scope="module")
def voice():
    return small_streaming_voice(guidance=0.5)


@pytest.fixture(scope="module")
def prompt(voice):
    return voice.prompt([speech(1.5, 3)], 16000)


def speech(seconds, speaker=0):
    return torch.from_numpy(speech_like(seconds, speaker=speaker).audio)


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"guidance": 0.0, "pitch_shift": 3.0}])
def test_any_chunks_give_the_samples_of_the_whole(voice, prompt, options):
    audio, options = speech(1.52)[None, :-7], RenderOptions(**options)
    expected, known = whole(voice, audio, prompt, options)
    assert torch.equal(expected[0], voice.convert(audio[0], prompt, 16000, **vars(options)))
    conversion = ChunkedConversion(voice)
    assert conversion.streams
    for seed, largest in ((0, 20000), (1, 300)):
        made = push(conversion, audio, prompt, random_sizes(audio.shape[1], seed, largest), options, known)
        torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)
    assert expected.abs().max() > 1e-3


def test_a_live_voice_looks_70_ms_ahead_and_any_chunks_give_the_whole():
    voice = small_live_voice(guidance=0.3)
    # 30 ms of the features' window, 20 of the content encoder, 20 of the vocoder's overlap.
    assert voice.latency == pytest.approx(0.07)
    audio, prompt = speech(1.52)[None, :-7], voice.prompt([speech(1.5, 3)], 16000)
    expected, known = whole(voice, audio, prompt)
    for sizes in (random_sizes(audio.shape[1], 0, 20000), [320] * (audio.shape[1] // 320) + [audio.shape[1] % 320]):
        made = push(ChunkedConversion(voice), audio, prompt, sizes, known=known)
        torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)
    assert expected.abs().max() > 1e-3


def test_guidance_that_sets_in_later_begins_with_the_frames_before():
    """With the state of a recording's start, its first half second was another voice's beginning."""
    voice, audio = small_live_voice(guidance=0.8), speech(2.0)[None]
    prompt, conversion = voice.prompt([speech(1.5, 3)], 16000), ChunkedConversion(voice)
    _, known = whole(voice, audio, prompt)
    state, states = conversion.init_state(1, known), []
    for number, piece in enumerate(audio.split(3200, 1)):
        _, state = conversion.push(piece, state, prompt, RenderOptions(guidance=0.0 if number < 5 else 0.8))
        states.append({name: value.clone() for name, value in state.items()})
    made, own = ({name.split(".", 3)[3]: value for name, value in states[4].items()
                  if name.startswith(f"generate.part.{which}.")} for which in ("made", "own"))  # fmt: skip
    assert made.keys() == own.keys()
    assert all(torch.equal(value, own[name]) for name, value in made.items())
    assert any(value.abs().max() > 0 for value in own.values())


def test_the_state_of_a_live_voice_is_saved_and_goes_on_and_holds_no_more_than_it_needs():
    voice, audio = small_live_voice(), speech(1.2)[None]
    prompt, conversion = voice.prompt([speech(1.5, 3)], 16000), ChunkedConversion(voice)
    expected, known = whole(voice, audio, prompt)
    state, made = conversion.init_state(1, known), []
    for piece in [*audio.split(4800, 1), audio[:, :0]]:
        state = load(save({name: value.contiguous() for name, value in state.items()}))
        out, state = conversion.push(piece, state, prompt, final=not piece.shape[1])
        made.append(out.get("samples"))
        assert all(value.untyped_storage().nbytes() <= 2 * value.nbytes + 64 for name, value in state.items()
                   if name.startswith(("encode.part", "generate.part.made", "vocode.part")))  # fmt: skip
    torch.testing.assert_close(torch.cat([one for one in made if one is not None], 1), expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_another_reference_is_encoded_anew_and_the_same_only_once(monkeypatch):
    voice, encoded = small_live_voice(), []
    original = voice.generator.encode_reference
    monkeypatch.setattr(voice.generator, "encode_reference", lambda given: encoded.append(given) or original(given))
    prompts = [voice.prompt([speech(1.5, number)], 16000) for number in (3, 4)]
    other = replace(prompts[0], content=-prompts[0].content)
    conversion, made = ChunkedConversion(voice), []
    for after in (prompts[1], other):
        state = conversion.init_state()
        for number, piece in enumerate(speech(1.0)[None].split(1600, 1)):
            out, state = conversion.push(piece, state, prompts[0] if number < 5 else after)
            made.append(out.get("samples"))
    assert len(encoded) == 4
    assert not torch.equal(made[9], made[19])


@pytest.mark.slow
def test_running_statistics_do_not_depend_on_the_chunks(voice, prompt):
    audio = torch.cat([speech(2.5), speech(3.0, 2)])[None]
    rate = voice.spec.frame_rate
    expected = push(ChunkedConversion(voice, RunningStatistics(rate, 1)), audio, prompt, [audio.shape[1]])
    for seed, largest in ((0, 30000), (1, 3000)):
        conversion = ChunkedConversion(voice, RunningStatistics(rate, 1))
        made = push(conversion, audio, prompt, random_sizes(audio.shape[1], seed, largest))
        torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)
    assert expected.shape[1] == audio.shape[1]


@pytest.mark.slow
def test_running_statistics_come_near_those_of_the_whole():
    random = torch.Generator().manual_seed(0)
    f0 = 120 * (0.2 * torch.randn(1, 2000, generator=random)).exp()
    f0[:, ::3] = 0
    energy = -3 + torch.randn(1, 2000, generator=random)
    frames, _ = RunningStatistics(100).prosody({"f0": f0, "energy": energy}, {}, None)
    assert frames["register"][0, 0].isnan()
    assert float(frames["register"][0, 200:].max()) < 132
    assert float(frames["register"][0, 200:].min()) > 109
    assert float(frames["energy"][0, 300:].mean()) == pytest.approx(0, abs=0.1)


def test_silence_moves_no_running_statistic():
    statistics, quiet = RunningStatistics(100), {"f0": torch.zeros(1, 500), "energy": torch.full((1, 500), -9.2)}
    loud = {"f0": torch.full((1, 300), 100.0), "energy": torch.full((1, 300), -3.0)}
    _, state = statistics.prosody(loud, {}, None)
    _, after = statistics.prosody(quiet, state, None)
    assert all(torch.equal(after[name], value) for name, value in state.items())


@pytest.mark.slow
def test_rows_of_a_batch_are_converted_as_each_alone(voice, prompt):
    audio = torch.stack([speech(2.0), speech(2.0, 2)])
    both = prompt.map(lambda value: torch.cat([value, value]))
    conversion = ChunkedConversion(voice, RunningStatistics(100))
    together = push(conversion, audio, both, [9000, 23000])
    alone = [push(conversion, row[None], prompt, [9000, 23000]) for row in audio]
    torch.testing.assert_close(together, torch.cat(alone), rtol=0, atol=1e-5)


@pytest.mark.slow
def test_a_state_that_was_stored_goes_on_and_is_not_changed(voice, prompt):
    audio, conversion = speech(2.0)[None], ChunkedConversion(voice, RunningStatistics(100))
    _, state = conversion.push(audio[:, :15000], conversion.init_state(), prompt)
    copy = {name: value.clone() for name, value in state.items()}
    one, _ = conversion.push(audio[:, 15000:], state, prompt, final=True)
    assert all(torch.equal(state[name].nan_to_num(), value.nan_to_num()) for name, value in copy.items())
    two, _ = conversion.push(audio[:, 15000:], copy, prompt, final=True)
    assert torch.equal(one["samples"], two["samples"])
    assert all(len(value) == 1 for value in state.values())


@pytest.mark.slow
def test_voice_pitch_and_guidance_change_between_chunks(voice, prompt):
    audio, conversion = speech(3.0)[None], ChunkedConversion(voice, RunningStatistics(100))
    other = voice.prompt([speech(1.5, 4)], 16000)
    plan = [(prompt, {}), (other, {"guidance": 0.0}), (other, {"guidance": 1.0, "pitch_shift": -3.0})]
    state, made = conversion.init_state(), []
    for piece, (who, options) in zip(audio.split(16000, 1), plan, strict=True):
        out, state = conversion.push(piece, state, who, RenderOptions(**options))
        made.append(out["samples"])
    out, _ = conversion.push(audio[:, :0], state, *[other, RenderOptions(guidance=1.0)], final=True)
    assert torch.cat([*made, out["samples"]], 1).shape == audio.shape


@pytest.mark.slow
def test_noise_is_that_of_its_place(prompt):
    voice = small_streaming_voice(Dims(20, content=6, speaker=8, noise=3, pitch=True, energy=True))
    audio, conversion = speech(2.0)[None], ChunkedConversion(voice, RunningStatistics(100))
    one, two = (push(conversion, audio, prompt, sizes) for sizes in ([32000], random_sizes(32000, 3, 9000)))
    torch.testing.assert_close(one, two, rtol=0, atol=1e-5)
    other = push(conversion, audio, prompt, [32000], RenderOptions(seed=1))
    assert not torch.allclose(one, other, atol=1e-3)


@pytest.mark.slow
def test_a_model_of_whole_recordings_is_converted_by_segments(prompt, monkeypatch):
    monkeypatch.setattr(segments, "LEAST_SECONDS", 1.5)
    monkeypatch.setattr(segments, "LONGEST_SECONDS", 3.0)
    voice = small_voice(STREAMER, spread=0.3)
    assert not ChunkedConversion(voice).streams
    conversion = conversion_of(voice)
    audio = torch.cat([speech(1.7), torch.zeros(8000), speech(1.0, 2), speech(3.0, 1)])[None]
    one, two = (push(conversion, audio, prompt, sizes)
                for sizes in ([audio.shape[1]], random_sizes(audio.shape[1], 0, 20000)))  # fmt: skip
    assert one.shape == audio.shape
    torch.testing.assert_close(one, two, rtol=0, atol=1e-5)
    fast = push(conversion, audio, prompt, [audio.shape[1]], RenderOptions(speed=2.0))
    assert abs(fast.shape[1] - audio.shape[1] / 2) <= 320


def test_a_source_that_is_shorter_than_a_frame_gives_nothing(voice, prompt):
    for conversion in (ChunkedConversion(voice), SegmentedConversion(voice)):
        out, _ = conversion.push(torch.zeros(1, 90), conversion.init_state(), prompt, final=True)
        assert out == {}
        out, state = conversion.push(torch.zeros(1, 0), conversion.init_state(), prompt)
        assert out == {}
        assert conversion.push(torch.zeros(1, 0), state, prompt, final=True)[0] == {}


class SummingEncoder(ContentEncoder):
    """Content at half the features' rate: the mean of all features so far, and of 2 frames ahead. Keeps a state."""

    context = Context(math.inf, 2, 2)

    def __init__(self, dims, *, channels=6):
        super().__init__()
        self.channels, self.frame_rate = channels, dims.frame_rate / 2

    def init_state(self, batch):
        return {"sum": torch.zeros(batch, self.channels, 1), "count": torch.zeros(batch)}

    def forward(self, x, lengths=None):
        return self.forward_chunk(x, self.init_state(len(x)))[0]

    def forward_chunk(self, x, state, ahead=0):
        frames = x.shape[-1] - ahead
        moved = torch.cat([x, x[..., :0].new_zeros(*x.shape[:-1], 2)], -1)[..., 2 : 2 + frames]
        both = (x[..., :frames] + moved)[:, : self.channels, ::2]
        sums = state["sum"] + both.cumsum(-1)
        counts = state["count"][:, None] + torch.arange(1, both.shape[-1] + 1)
        return sums / counts[:, None], {"sum": sums[..., -1:], "count": counts[:, -1]}


class DecayingVocoder(Vocoder):
    """Samples that depend on all frames before, by a state."""

    context = Context(math.inf, 1)

    def __init__(self, spec):
        super().__init__()
        self.spec = spec

    def init_state(self, batch):
        return {"last": torch.zeros(batch)}

    def forward(self, features):
        return self.forward_chunk(features, self.init_state(len(features)))[0]

    def forward_chunk(self, x, state, ahead=0):
        last, made = state["last"], []
        for frame in x[:, 0, : x.shape[-1] - ahead].unbind(-1):
            last = 0.9 * last + 0.01 * frame
            made.append(last)
        wave = torch.linspace(-1, 1, self.spec.hop_length)
        return (torch.stack(made, -1)[..., None] * wave).flatten(1), {"last": last}


@pytest.mark.slow
def test_parts_with_a_state_give_the_samples_of_the_whole(prompt):
    voice = small_voice(STREAMER, spread=0.3, content_encoder=SummingEncoder(Dims(20)), vocoder=DecayingVocoder)
    audio = speech(1.205)[None]
    expected, known = whole(voice, audio, prompt)
    conversion = ChunkedConversion(voice)
    assert conversion.streams
    made = push(conversion, audio, prompt, random_sizes(audio.shape[1], 0, 2000), known=known)
    torch.testing.assert_close(made, expected, rtol=0, atol=1e-5)
    assert expected.abs().max() > 1e-3
