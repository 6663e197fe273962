import pytest
import torch

from lightning_voiceclone.errors import SpecMismatchError
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.features.waveform import Waveform
from lightning_voiceclone.testing import VocoderConformance
from lightning_voiceclone.vocoders.unframe import Unframe


class TestUnframe(VocoderConformance):
    part = Unframe

    def extractor(self):
        return Waveform(hop_length=100)


def test_samples_come_back_as_they_were():
    torch.manual_seed(0)
    audio = torch.randn(2, 1050)
    waveform = Waveform(hop_length=100)
    assert torch.equal(Unframe(waveform.spec)(waveform(audio)), audio[:, :1000])


def test_wrong_features_are_refused():
    with pytest.raises(SpecMismatchError, match=r"'mel'.*GriffinLim"):
        Unframe(MelSpectrogram().spec)
    with pytest.raises(SpecMismatchError, match=r"\(batch, 160, frames\) but got \(1, 80, 10\)"):
        Unframe(Waveform().spec)(torch.zeros(1, 80, 10))
