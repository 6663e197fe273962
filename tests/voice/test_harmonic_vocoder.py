"""Models whose vocoder takes f0: it is that of the target, frame by frame, in chunks and exported too."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch

from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.features.stack import Stack
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_live_voice, small_streaming_voice, small_voice
from lightning_voiceclone.vocoders.stacked import StackVocoder
from lightning_voiceclone.vocoders.vocos import Vocos
from lightning_voiceclone.voice.options import RenderOptions
from lightning_voiceclone.voice.streaming import ChunkedConversion

HARMONIC = partial(Vocos, width=8, hidden=8, layers=1, harmonic=True)
RATE = 16000


def speech(seconds, speaker=0):
    return torch.from_numpy(speech_like(seconds, speaker=speaker, seed=speaker).audio)


def files():
    return small_streaming_voice(vocoder=HARMONIC)


def live():
    return small_live_voice(vocoder=partial(HARMONIC, causal=True))


def moved(voice):
    """With weights of the residual phases that are not 0, as trained ones."""
    torch.nn.init.normal_(voice.vocoder.harmonics.head.weight, std=0.3)
    return voice


@pytest.mark.parametrize("made", [files, live])
def test_chunks_give_the_samples_of_the_whole(made):
    voice = moved(made())
    audio, prompt = speech(3.0)[None, :-7], voice.prompt([speech(1.5, 3)], RATE)
    conversion, options = ChunkedConversion(voice), RenderOptions(pitch_shift=2.0)
    whole, state = conversion.push(audio, conversion.init_state(), prompt, options, final=True)
    known = {name: value for name, value in state.items() if name.startswith("statistics.")}
    state, chunks, places = conversion.init_state(known=known), [], np.random.default_rng(0).integers(0, 48000, 9)
    pieces = np.split(audio.numpy(), np.sort(places), 1)
    for index, piece in enumerate(pieces):
        part, state = conversion.push(torch.from_numpy(piece), state, prompt, options, final=index == len(pieces) - 1)
        chunks += [part["samples"]] if part else []
    torch.testing.assert_close(torch.cat(chunks, 1), whole["samples"], rtol=0, atol=1e-5)
    assert whole["samples"].abs().max() > 1e-3


@pytest.mark.parametrize("made", [files, live])
def test_the_vocoder_gets_the_pitch_that_is_to_be_heard(made):
    voice, heard = made(), []
    source, prompt = speech(1.5), voice.prompt([speech(1.5, 3)], RATE)
    method = "forward_chunk" if made is live else "forward"
    spoken = getattr(voice.vocoder, method)

    def listening(*given, **named):
        heard.append(named["f0"])
        return spoken(*given, **named)

    setattr(voice.vocoder, method, listening)
    voice.convert(source, prompt, RATE, pitch_shift=3.0)
    script = voice.script(source, RATE)
    ratio = prompt.register / script.register * 2 ** (3 / 12)
    torch.testing.assert_close(torch.cat(heard, 1), script.f0 * ratio)


@torch.no_grad()
def test_another_pitch_gives_another_sound_and_none_is_as_without_harmonics():
    torch.manual_seed(0)
    harmonic, features = HARMONIC(small_voice().spec).eval(), torch.randn(1, 20, 100)
    plain = Vocos(harmonic.spec, width=8, hidden=8, layers=1).eval()
    plain.load_state_dict({name: value for name, value in harmonic.state_dict().items() if "harmonics" not in name})
    low, high = (harmonic(features, torch.full((1, 100), hertz)) for hertz in (100.0, 150.0))
    assert (low - high).abs().max() > 0.01 * low.abs().max()
    for silent in (None, torch.zeros(1, 100)):
        torch.testing.assert_close(harmonic(features, silent), plain(features), rtol=0, atol=2e-3 * low.abs().max())


def test_a_script_without_f0_is_refused():
    voice = files()
    script = replace(voice.script(speech(1.5), RATE), f0=None)
    with pytest.raises(ConfigurationError, match=r"Vocos needs f0, and the script has none"):
        voice.render(script, voice.prompt([speech(1.5, 3)], RATE))


def test_stacked_features_reach_a_vocoder_with_a_state():
    spec = Stack([MelSpectrogram(n_mels=20)]).spec
    stacked = StackVocoder(spec, vocoder="Vocos:width=8,hidden=8,layers=1,harmonic=true,causal=true").eval()
    features, f0 = torch.randn(1, 20, 100), torch.full((1, 100), 120.0)
    whole, state, made = stacked(features, f0), stacked.init_state(1), []
    for begin, end in ((0, 30), (30, 98)):
        given = slice(begin, end + 2)
        sound, state = stacked.forward_chunk(features[..., given], state, ahead=2, f0=f0[:, given])
        made.append(sound)
    made.append(stacked.forward_chunk(features[..., 98:], state, f0=f0[:, 98:])[0])
    torch.testing.assert_close(torch.cat(made, 1), whole, rtol=0, atol=1e-5)
    assert stacked.needs == {"f0"}


def test_a_model_without_pitch_is_refused():
    with pytest.raises(ConfigurationError, match=r"Vocos needs f0, and this model has no extractor of pitch"):
        small_voice(Dims(20, content=4, speaker=8), vocoder=HARMONIC)
