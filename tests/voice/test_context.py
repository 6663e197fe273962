"""How far a model looks ahead, composed of its parts' contexts."""

import math
from dataclasses import replace

import pytest
import torch

from lightning_voiceclone.core.interfaces import ContentEncoder
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.features.prosody import Energy, Pitch
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.networks.content_encoders.conv import ConvContentEncoder
from lightning_voiceclone.networks.content_encoders.transformer import TransformerContentEncoder
from lightning_voiceclone.networks.generators.conv import ConvGenerator
from lightning_voiceclone.networks.generators.recurrent import RecurrentGenerator
from lightning_voiceclone.networks.generators.reference import ReferenceGenerator
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.vocoders.vocos import Vocos
from lightning_voiceclone.voice.model import VoiceModel

MEL = MelSpectrogram()
DIMS = Dims(80, content=6, pitch=True, energy=True)


def model(encoder, generator=ConvGenerator, **settings):
    torch.manual_seed(0)
    return VoiceModel(
        MEL,
        generator(DIMS, **settings),
        Vocos(MEL.spec, width=8, hidden=8, layers=1, pretrained="none"),
        content_encoder=encoder,
        pitch=Pitch(),
        energy=Energy(),
    ).eval()


def test_latency_of_the_shape_that_ships():
    """Vocoder 58, generator 65, drawn to 100 a second 2: a chunk of the encoder. It adds 66, the extractors 3."""
    encoder = TransformerContentEncoder(Dims(80), width=64, hidden=8, layers=1, channels=6)
    vocoder = Vocos(MEL.spec, width=8, hidden=8, harmonic=True)
    whole = VoiceModel(MEL, ReferenceGenerator(DIMS, width=8, layers=7), vocoder, content_encoder=encoder,
                       pitch=Pitch(), energy=Energy())  # fmt: skip
    assert whole.context == Context(256 + 66 + 3, 256 + 66 + 3, grid=256)
    assert whole.latency == pytest.approx(3.25)


def test_a_part_that_sees_the_whole_recording_has_no_latency_that_is_finite():
    whole = model(ConvContentEncoder(Dims(80), channels=6, width=8, hidden=8), RecurrentGenerator, hidden=8, layers=1)
    assert whole.latency == math.inf


class AudioEncoder(ContentEncoder):
    """Sees 2 of its frames before and 1 after."""

    takes = "audio"
    frame_rate = 50.0
    sample_rate = 16000
    channels = 6
    context = Context(2, 1)

    def forward(self, x, lengths=None):
        return x.unfold(1, 320, 320).mean(2, keepdim=True).transpose(1, 2).expand(-1, 6, -1)


def test_an_encoder_of_audio_counts_in_its_own_frames():
    generator = {"width": 8, "layers": 1, "kernel_size": 1}
    whole = model(AudioEncoder(), **generator)
    # Vocoder 15, generator 1, each in pairs: 17, so 18; drawn to 100 a second 2; content 2 and 1 of twice the length.
    assert whole.context == Context(18 + 2 + 4, 18 + 2 + 2, grid=2)


@torch.no_grad()
def test_a_chunk_with_the_models_context_is_converted_as_in_the_whole():
    encoder = ConvContentEncoder(Dims(80), channels=6, width=8, hidden=8, layers=1)
    whole = model(encoder, width=8, layers=1, frames_per_step=3)
    assert whole.context.grid == 6
    audio = torch.from_numpy(speech_like(1.6).audio)[None].double()
    whole.double()

    def convert(samples, level):
        """All but the quantities of the whole recording: the mean of the energy is that of the whole."""
        condition = whole.condition(whole.script_from_analysis(whole.analyze(samples)))
        energy = whole.energy(samples)[:, 0].clamp_min(1e-4).log() - level
        return whole.vocode(whole.generator(replace(condition, energy=energy)))

    level = whole.energy(audio)[:, 0].clamp_min(1e-4).log().mean()
    expected, frames = convert(audio, level), audio.shape[1] // 160
    for begin in (60, 66):
        start, stop = whole.context.around(begin, begin + 6, frames)
        assert start > 0
        assert stop < frames
        chunk = convert(audio[:, start * 160 : stop * 160], level)[:, (begin - start) * 160 :][:, : 6 * 160]
        torch.testing.assert_close(chunk, expected[:, begin * 160 : (begin + 6) * 160], rtol=0, atol=1e-9)
