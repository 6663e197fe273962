"""Features of another package have all that the shipped ones have: the mask of missing bands, settings, a vocoder."""

import math
from functools import partial

import pytest
import torch

from lightning_voiceclone.checkpoints.voice_folder import load_voice, save_voice
from lightning_voiceclone.core.interfaces import FeatureExtractor
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.data.batch import Batch
from lightning_voiceclone.errors import ConfigurationError, SpecMismatchError
from lightning_voiceclone.features.framing import check_grid, frame_context, framed_features
from lightning_voiceclone.features.waveform import Waveform
from lightning_voiceclone.networks.discriminators.mlp import MLPDiscriminator
from lightning_voiceclone.networks.generators.conv import ConvGenerator
from lightning_voiceclone.testing.checking import check_part
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.training.cross_speaker import CrossSpeaker
from lightning_voiceclone.training.recipes import VoiceModule
from lightning_voiceclone.vocoders.griffin_lim import GriffinLimBase, spectrum_of_bands
from lightning_voiceclone.voice.model import VoiceModel

N_FFT, HOP, RATE, BANDS = 512, 160, 16000, 32


def erb_filters(spec):
    """Gaussians (n_fft // 2 + 1, F) evenly spaced in ERB rate (Glasberg & Moore 1990), and their centres in Hz."""
    ends = [21.4 * math.log10(1 + 0.00437 * hertz) for hertz in (100, spec.sample_rate / 2)]
    centres = (10 ** (torch.linspace(*ends, spec.channels) / 21.4) - 1) / 0.00437
    widths = spec.setting("width") * 24.7 * (1 + 0.00437 * centres)
    hertz = torch.arange(spec.n_fft // 2 + 1)[:, None] * spec.sample_rate / spec.n_fft
    return torch.exp(-0.5 * ((hertz - centres) / widths) ** 2), centres


class ErbSpectrogram(FeatureExtractor):
    """Log magnitudes in bands of the ear's bandwidths."""

    def __init__(self, *, width: float = 1.0):
        super().__init__()
        check_grid("ErbSpectrogram", RATE, HOP, N_FFT)
        self.spec = AudioSpec(
            kind="erb", channels=BANDS, sample_rate=RATE, hop_length=HOP, n_fft=N_FFT, win_length=N_FFT, window="hann",
            log="e", floor=1e-4, settings={"width": width},
        )  # fmt: skip
        self.context = frame_context(N_FFT, HOP)
        self.register_buffer("window", torch.hann_window(N_FFT), persistent=False)
        self.register_buffer("filters", erb_filters(self.spec)[0], persistent=False)

    def channel_frequencies(self):
        return erb_filters(self.spec)[1]

    def forward(self, audio):
        return framed_features("ErbSpectrogram", audio, N_FFT, HOP, self._of_frames)

    def _of_frames(self, frames):
        magnitudes = torch.fft.rfft(frames * self.window.to(frames.dtype)).abs()
        return (magnitudes @ self.filters.to(frames.dtype)).clamp_min(1e-4).log()


class ErbGriffinLim(GriffinLimBase):
    """The sound of ERB bands."""

    def __init__(self, spec, *, iterations: int = 16):
        super().__init__(spec, iterations=iterations)
        self.register_buffer("filters", erb_filters(spec)[0], persistent=False)

    def magnitudes(self, features):
        return spectrum_of_bands(features.exp(), self.filters)


class FreeGriffinLim(GriffinLimBase):
    """For features without a transform."""

    def magnitudes(self, features):
        return features


@pytest.mark.slow
def test_extractor_and_vocoder_pass_their_checks():
    assert check_part(ErbSpectrogram).failed == []
    found = check_part(ErbGriffinLim, methods={"extractor": lambda self: ErbSpectrogram(), "seconds": 0.3})
    assert found.failed == []


def test_missing_bands_are_masked():
    module = VoiceModule(
        feature_extractor=ErbSpectrogram(), generator=partial(ConvGenerator, width=8, layers=1), vocoder=ErbGriffinLim,
        discriminator=partial(MLPDiscriminator, hidden=8), noise=2, weights={"adversarial": 1.0},
    )  # fmt: skip
    hertz = ErbSpectrogram().channel_frequencies()
    assert (float(hertz[0]), float(hertz[-1])) == (pytest.approx(100), pytest.approx(8000))
    batch = Batch(torch.zeros(1, 16000), torch.tensor([100]), torch.zeros(1, 0), torch.tensor([0]), ["a"], 0)
    batch.bandwidth = torch.tensor([4000.0])
    kept = module._in_band(batch, CrossSpeaker(1, 0))
    assert kept[0, :, 0].tolist() == (hertz <= 4000).tolist()
    assert 16 < int(kept.sum()) < 32


def test_settings_survive_a_voice_folder(tmp_path):
    torch.manual_seed(0)
    extractor = ErbSpectrogram(width=1.5)
    voice = VoiceModel(extractor, ConvGenerator(Dims(BANDS, noise=2), width=8, layers=1),
                       ErbGriffinLim(extractor.spec), noise=2)  # fmt: skip
    voice.normalizer.fit([extractor(torch.from_numpy(speech_like(1.0).audio)[None])])
    save_voice(voice, tmp_path / "voice")
    loaded = load_voice(tmp_path / "voice")
    assert loaded.spec == extractor.spec
    assert loaded.spec.settings == (("width", 1.5),)
    assert loaded.spec.setting("width") == 1.5


def test_settings_are_compared_by_name():
    one, other = ErbSpectrogram().spec, ErbSpectrogram(width=2.0).spec
    assert one.differences(other) == [("settings.width", 1.0, 2.0)]
    assert one.fingerprint != other.fingerprint
    assert {one: 1}[AudioSpec.from_mapping(one.to_mapping())] == 1


def test_bad_settings_are_refused():
    numbers = {"kind": "own", "channels": 1, "sample_rate": RATE, "hop_length": HOP}
    with pytest.raises(SpecMismatchError, match="'a b' of a spec is 1"):
        AudioSpec(**numbers, settings={"a b": 1})
    with pytest.raises(SpecMismatchError, match=r"'taps' of a spec is \[1\]"):
        AudioSpec(**numbers, settings={"taps": [1]})
    with pytest.raises(SpecMismatchError, match="no setting 'width'"):
        AudioSpec(**numbers).setting("width")
    assert "settings" not in AudioSpec(**numbers).to_mapping()


def test_griffin_lim_needs_a_transform():
    with pytest.raises(SpecMismatchError, match="FreeGriffinLim needs n_fft"):
        FreeGriffinLim(Waveform().spec)
    with pytest.raises(ConfigurationError, match="FreeGriffinLim: iterations is 0"):
        FreeGriffinLim(ErbSpectrogram().spec, iterations=0)
