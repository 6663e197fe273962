"""Several models as one: the mean of what their generators make, from whole recordings and from chunks."""

from dataclasses import replace
from functools import partial

import pytest
import torch
from forks import forked

from lightning_voiceclone.checkpoints.voice_folder import save_voice
from lightning_voiceclone.core.interfaces import ContentEncoder, Dims
from lightning_voiceclone.core.masking import pad_to_multiple
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.errors import ConfigurationError, SpecMismatchError
from lightning_voiceclone.features.prosody import Pitch
from lightning_voiceclone.inference.converter import Converter, load_model
from lightning_voiceclone.networks.content_encoders.causal import CausalContentEncoder
from lightning_voiceclone.networks.generators.reference import ReferenceGenerator
from lightning_voiceclone.networks.speaker_encoders.statistics import StatisticsSpeakerEncoder
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import STREAMER, small_live_voice, small_streaming_voice, small_voice
from lightning_voiceclone.voice.ensemble import ensemble
from lightning_voiceclone.voice.streaming import ChunkedConversion

RATE = 16000


def speech(seconds, speaker=0):
    return torch.from_numpy(speech_like(seconds, speaker=speaker).audio)


def features_of(voice, source, references):
    """Generated features in the extractor's own units."""
    script = voice.script(source, RATE)
    condition = voice.condition(script, voice.prompt(references, RATE), noise=None)
    with torch.inference_mode():
        return voice.normalizer.inverse(voice.generator(condition))


@pytest.fixture(scope="module")
def references():
    return [speech(1.5, 1)]


def different(seed):
    """A model of the same features, but other widths, normalisation and generator."""
    reference = partial(ReferenceGenerator, width=8, layers=1, look_up=(0,), heads=2)
    voice = small_voice(replace(STREAMER, content=4, speaker=6), generator=reference, spread=0.3, seed=seed)
    voice.normalizer.mean += 1
    voice.normalizer.scale *= 1.5
    return voice


def test_features_are_the_mean_of_the_members(references):
    one, other = small_streaming_voice(), different(3)
    both = ensemble({"one": one, "other": other})
    source = speech(1.0)
    expected = (features_of(one, source, references) + features_of(other, source, references)) / 2
    torch.testing.assert_close(features_of(both, source, references), expected, atol=1e-4, rtol=1e-4)


def test_a_model_with_itself_converts_as_alone(references):
    one = small_streaming_voice(guidance=0.4)
    twice = ensemble({"one": one, "copy": small_streaming_voice(guidance=0.4)})
    source = speech(1.0)
    alone = one.convert(source, one.prompt(references, RATE), RATE)
    torch.testing.assert_close(twice.convert(source, twice.prompt(references, RATE), RATE), alone, atol=1e-5, rtol=0)
    assert twice.guidance == pytest.approx(0.4)


def test_one_model_is_returned_as_it_is():
    one = small_streaming_voice()
    assert ensemble({"one": one}) is one


def test_noise_of_each_member_is_its_own(references):
    one, other = (small_voice(replace(STREAMER, noise=noise), spread=0.3, seed=noise) for noise in (2, 3))
    both = ensemble({"one": one, "other": other})
    assert both.noise == 5
    drawn = torch.randn(1, 5, 100)
    source = speech(1.0)

    def features(voice, noise):
        condition = voice.condition(voice.script(source, RATE), voice.prompt(references, RATE), noise=noise)
        return voice.normalizer.inverse(voice.generator(condition))

    with torch.inference_mode():
        expected = (features(one, drawn[:, :2]) + features(other, drawn[:, 2:])) / 2
        torch.testing.assert_close(features(both, drawn), expected, atol=1e-4, rtol=1e-4)


def test_chunks_give_what_the_whole_gives(references):
    members = {"one": small_streaming_voice(), "other": small_streaming_voice(replace(STREAMER, content=4), seed=5)}
    model = Converter(ensemble(members), note=lambda line: None)
    assert model.voice.latency == max(voice.latency for voice in members.values())
    audio = speech(2.0)
    speaker = model.speaker((references[0], RATE))
    with model.stream(speaker, like=(audio, RATE)) as stream:
        chunks = [chunk for piece in audio.split(1234) for chunk in stream.push(piece)]
        made = torch.cat([*chunks, *stream.flush()])
    with model.stream(speaker, like=(audio, RATE)) as stream:
        whole = torch.cat([*stream.push(audio), *stream.flush()])
    torch.testing.assert_close(made, whole, atol=1e-5, rtol=0)


def test_encoders_with_state_stream_together(references):
    def voice(seed):
        encoder = CausalContentEncoder(Dims(80), channels=6, layers=1, pretrained="none", start="none")
        return small_voice(replace(STREAMER, features=80), content_encoder=encoder, spread=0.3, seed=seed)

    both = ensemble({"one": voice(1), "other": voice(2)})
    encoder = both.content_encoder
    x = torch.randn(2, 80, 60)
    with torch.inference_mode():
        whole = encoder(x)
        state, made = encoder.init_state(2), []
        ahead = int(encoder.context.right)
        for begin in range(0, 60, 20):
            given = min(60 - begin - 20, ahead)
            chunk, state = encoder.forward_chunk(x[..., begin : begin + 20 + given], state, ahead=given)
            made.append(chunk)
    torch.testing.assert_close(torch.cat(made, -1), whole, atol=1e-4, rtol=1e-4)


@forked
def test_live_voices_stream_together_and_encode_each_reference_once(references, monkeypatch):
    both, calls = ensemble({str(seed): small_live_voice(seed=seed) for seed in (1, 2)}), []
    original = ReferenceGenerator.encode_reference
    monkeypatch.setattr(ReferenceGenerator, "encode_reference",
                        lambda self, given: calls.append(self) or original(self, given))  # fmt: skip
    prompt, conversion, source = both.prompt(references, RATE), ChunkedConversion(both), speech(1.0)[None]
    assert both.latency == pytest.approx(0.07)
    expected, ended = conversion.push(source, conversion.init_state(), prompt, final=True)
    state, made = conversion.init_state(1, conversion.statistics_of(ended)), []
    calls.clear()
    for piece in [*source.split(1600, 1), source[:, :0]]:
        out, state = conversion.push(piece, state, prompt, final=not piece.shape[1])
        made += [out["samples"]] if out else []
    torch.testing.assert_close(torch.cat(made, 1), expected["samples"], rtol=0, atol=2e-5)
    assert len(calls) == 2


class Blocks(ContentEncoder):
    """Means of four frames at half their rate: of chunks on its grid it sees no frame after them."""

    normalized = True
    channels, frame_rate, context = STREAMER.content, 50.0, Context(0, 0, 4)

    def forward(self, x, lengths=None):
        means = pad_to_multiple(x[:, : self.channels], 4).unflatten(2, (-1, 4)).mean(3)
        return 3 * means.repeat_interleave(2, 2)[..., : (x.shape[2] + 1) // 2]


def test_an_encoder_of_blocks_beside_another_waits_for_whole_blocks(references):
    both = ensemble({"one": small_live_voice(), "blocks": small_live_voice(seed=1, content_encoder=Blocks())})
    prompt, conversion, source = both.prompt(references, RATE), ChunkedConversion(both), speech(1.0)[None, :-7]
    expected, ended = conversion.push(source, conversion.init_state(), prompt, final=True)
    state, made = conversion.init_state(1, conversion.statistics_of(ended)), []
    for piece in [*source.split(333, 1), source[:, :0]]:
        out, state = conversion.push(piece, state, prompt, final=not piece.shape[1])
        made += [out["samples"]] if out else []
    torch.testing.assert_close(torch.cat(made, 1), expected["samples"], rtol=0, atol=2e-5)


def test_equal_frozen_encoders_run_once(references):
    both = ensemble({"one": load_model().voice, "other": load_model().voice})
    assert len(both.content_encoder.encoders) == len(both.speaker_encoder.encoders) == 1
    assert both.content_encoder.channels == 192


def test_other_features_are_refused():
    with pytest.raises(SpecMismatchError, match="20 in the features of one but 24 in those of other"):
        ensemble({"one": small_voice(), "other": small_voice(Dims(24, content=4, speaker=8))})


def test_other_pitch_is_refused():
    one, other = small_voice(STREAMER), small_voice(STREAMER, pitch=Pitch(fmin=70.0))
    with pytest.raises(ConfigurationError, match="one and other measure pitch otherwise"):
        ensemble({"one": one, "other": other})


def test_encoders_of_features_and_of_audio_are_refused():
    class OfAudio(StatisticsSpeakerEncoder):
        takes = "audio"

    other = small_voice(speaker_encoder=OfAudio(Dims(20), channels=8, width=8, layers=1))
    with pytest.raises(ConfigurationError, match="StatisticsSpeakerEncoder takes features and OfAudio takes audio"):
        ensemble({"one": small_voice(), "other": other})


def test_models_on_disk_are_joined_and_named_once(tmp_path):
    for seed in range(2):
        save_voice(small_streaming_voice(seed=seed), tmp_path / str(seed))
    joined = load_model([tmp_path / "0", tmp_path / "1"])
    assert len(joined.voice.generator.generators) == 2
    assert joined.fingerprint != load_model([tmp_path / "1", tmp_path / "0"]).fingerprint
    for paths in ([], [tmp_path / "0"] * 2):
        with pytest.raises(ConfigurationError, match="name each once"):
            load_model(paths)


def test_the_vocoder_is_the_first_ones():
    one, other = small_voice(), small_voice(seed=2)
    both = ensemble({"one": one, "other": other})
    assert both.vocoder is one.vocoder
    assert not any(module is other.vocoder for module in both.modules())
