"""Resemblyzer as a speaker encoder, where it is installed."""

import importlib.util
import sys

import pytest
import torch

from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import PluginError
from lightning_voiceclone.networks.speaker_encoders.resemblyzer import ResemblyzerSpeakerEncoder
from lightning_voiceclone.testing.conformance import SpeakerEncoderConformance
from lightning_voiceclone.testing.signals import speech_like

here = pytest.mark.skipif(importlib.util.find_spec("resemblyzer") is None, reason="resemblyzer is not installed")


@pytest.mark.slow
@here
class TestResemblyzerSpeakerEncoder(SpeakerEncoderConformance):
    part = ResemblyzerSpeakerEncoder
    sizes = (480, 8000, 20000, 32000)


@pytest.mark.slow
@here
def test_equals_the_package_itself():
    from resemblyzer import VoiceEncoder, preprocess_wav

    audio = speech_like(3.0, speaker=2).audio
    theirs = VoiceEncoder("cpu", verbose=False).embed_utterance(preprocess_wav(audio, source_sr=16000))
    ours = ResemblyzerSpeakerEncoder()(torch.from_numpy(audio)[None])[0]
    assert torch.allclose(ours, torch.from_numpy(theirs), atol=1e-5)


@pytest.mark.slow
@here
def test_takes_other_rates():
    low = torch.from_numpy(speech_like(3.0, speaker=2, sample_rate=16000).audio)
    high = torch.from_numpy(speech_like(3.0, speaker=2, sample_rate=22050).audio)
    ours = ResemblyzerSpeakerEncoder()(low[None])[0]
    theirs = ResemblyzerSpeakerEncoder(Dims(80), sample_rate=22050)(high[None])[0]
    assert float(ours @ theirs) > 0.9


def test_absent_package_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "resemblyzer", None)
    with pytest.raises(PluginError, match="the package resemblyzer is not installed"):
        ResemblyzerSpeakerEncoder()
