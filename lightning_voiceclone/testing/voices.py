"""Untrained models, small enough to be built in every test."""

from collections.abc import Callable
from functools import partial
from typing import Any

import torch

from lightning_voiceclone.core.interfaces import Generator, Vocoder
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.features.prosody import Energy, Pitch
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.networks.content_encoders.causal import CausalContentEncoder
from lightning_voiceclone.networks.content_encoders.conv import ConvContentEncoder
from lightning_voiceclone.networks.content_encoders.instance_norm import InstanceNormContentEncoder
from lightning_voiceclone.networks.generators.conv import ConvGenerator
from lightning_voiceclone.networks.generators.reference import ReferenceGenerator
from lightning_voiceclone.networks.speaker_encoders.statistics import StatisticsSpeakerEncoder
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.vocoders.griffin_lim import GriffinLim
from lightning_voiceclone.vocoders.vocos import Vocos
from lightning_voiceclone.voice.model import VoiceModel

SMALL: dict[str, Any] = {"width": 8, "layers": 1}
CLONER = Dims(20, content=4, speaker=8)
STREAMER = Dims(20, content=6, speaker=8, pitch=True, energy=True)
GENERATOR: Callable[[Dims], Generator] = partial(ConvGenerator, **SMALL)
VOCODER: Callable[[AudioSpec], Vocoder] = partial(GriffinLim, iterations=2)


def small_voice(
    dims: Dims = CLONER,
    *,
    generator: Callable[[Dims], Generator] = GENERATOR,
    vocoder: Callable[[AudioSpec], Vocoder] = VOCODER,
    spread: float | None = None,
    seed: int = 0,
    **parts: Any,
) -> VoiceModel:
    """Build an untrained model of 16 kHz mel bands, with the normaliser fitted to some synthetic speech.

    Args:
        dims: widths of the mel bands and of the generator's inputs; an input of 0 or False has no part.
        generator: made with the widths.
        vocoder: made with the spec of the features.
        spread: standard deviation of the generator's weights, drawn anew, as trained ones are not near zero; None for
            those that it is made with.
        seed: of all weights, which torch's own random state begins with.
        parts: of :class:`~lightning_voiceclone.voice.model.VoiceModel`, in place of those made here, and its settings.
    """
    torch.manual_seed(seed)
    extractor = MelSpectrogram(n_mels=dims.features)
    inputs = Dims(dims.features)
    made: dict[str, Any] = {"noise": dims.noise}
    if dims.content:
        made["content_encoder"] = InstanceNormContentEncoder(inputs, channels=dims.content, **SMALL)
    if dims.speaker:
        made["speaker_encoder"] = StatisticsSpeakerEncoder(inputs, channels=dims.speaker, **SMALL)
    if dims.pitch:
        made["pitch"] = Pitch()
    if dims.energy:
        made["energy"] = Energy()
    network = generator(dims)
    if spread is not None:
        for parameter in network.parameters():
            torch.nn.init.normal_(parameter, std=spread)
    voice = VoiceModel(extractor, network, vocoder(extractor.spec), **(made | parts))
    voice.normalizer.fit([extractor(torch.from_numpy(speech_like(2.0).audio)[None])])
    return voice.eval()


def small_streaming_voice(dims: Dims = STREAMER, *, seed: int = 0, **parts: Any) -> VoiceModel:
    """As :func:`small_voice`, of parts whose contexts are finite, so that chunks give the samples of the whole."""
    torch.manual_seed(seed)
    encoder = ConvContentEncoder(Dims(dims.features), channels=dims.content, width=8, hidden=8, layers=1)
    vocoder = partial(Vocos, width=8, hidden=8, layers=1)
    return small_voice(dims, **{"vocoder": vocoder, "spread": 0.3, "seed": seed, "content_encoder": encoder, **parts})


def small_live_voice(*, seed: int = 0, **parts: Any) -> VoiceModel:
    """As :func:`small_streaming_voice`, of the parts of ``recipes/clone_live.yaml``: they see the past and keep it."""
    torch.manual_seed(seed)
    encoder = CausalContentEncoder(Dims(STREAMER.features), channels=STREAMER.content, width=64, hidden=8, layers=1,
                                   past=5, repeat=True)  # fmt: skip
    live: dict[str, Any] = {
        "generator": partial(ReferenceGenerator, width=8, layers=2, heads=2, head_width=4, causal=True),
        "vocoder": partial(Vocos, width=8, hidden=8, layers=1, causal=True),
        "content_encoder": encoder,
    }
    return small_streaming_voice(seed=seed, **{**live, **parts})
