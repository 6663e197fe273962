import platform
import subprocess
import sys
import textwrap

import librosa
import numpy as np
import pytest
import torch

from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.errors import ConfigurationError, RecordingError
from lightning_voiceclone.features.filterbank import mel_filterbank
from lightning_voiceclone.features.framing import frame, pad
from lightning_voiceclone.features.prosody import Energy, Pitch
from lightning_voiceclone.features.spectral import MFCC, STFT, MelSpectrogram
from lightning_voiceclone.features.stack import Stack
from lightning_voiceclone.features.waveform import Waveform
from lightning_voiceclone.testing import FeatureExtractorConformance, speech_like

EXTRACTORS = [
    MelSpectrogram(),
    MelSpectrogram(power=2.0, log="10", mel_scale="htk", mel_norm=None, fmin=50, fmax=7000, win_length=800),
    MFCC(),
    STFT(),
    STFT(n_fft=512, hop_length=161, window="hamming", log="e", power=1.5),
    Pitch(),
    Energy(log="e"),
    Waveform(),
    Stack([MelSpectrogram(n_mels=20), Pitch(), Energy(), Waveform()]),
]
each_extractor = pytest.mark.parametrize(
    "extractor", EXTRACTORS, ids=[f"{type(part).__name__}{index}" for index, part in enumerate(EXTRACTORS)]
)


@pytest.fixture(scope="module")
def audio():
    return torch.from_numpy(np.stack([speech_like(1.0, speaker=index, seed=index).audio for index in range(4)]))


def assert_equal_to_librosa(ours, theirs, tolerance=1e-4):
    assert ours.shape == theirs.shape
    assert np.abs(ours.numpy() - theirs).max() <= tolerance * np.abs(theirs).max()


@pytest.mark.parametrize(("n_fft", "hop"), [(1024, 160), (1024, 161), (512, 512), (256, 100)])
@pytest.mark.parametrize("samples", [512, 513, 700, 2000])
def test_padding_is_numpys_reflection_however_short_the_audio(n_fft, hop, samples):
    audio = torch.randn(2, samples, generator=torch.Generator().manual_seed(0))
    total = n_fft - hop
    expected = np.pad(audio.numpy(), ((0, 0), (total // 2, total - total // 2)), mode="reflect")
    assert np.array_equal(pad(audio, n_fft, hop).numpy(), expected)


@pytest.mark.parametrize("samples", [1, 2, 160, 161, 400])
def test_padding_of_less_than_itself_reflects_again(samples):
    audio = torch.arange(samples, dtype=torch.float32)[None]
    expected = np.pad(audio.numpy(), ((0, 0), (432, 432)), mode="reflect" if samples > 1 else "edge")
    assert np.array_equal(pad(audio, 1024, 160).numpy(), expected)


def test_frame_is_centred_half_a_hop_after_its_first_sample():
    audio = torch.zeros(1, 1600)
    audio[0, 4 * 160 + 80] = 1.0
    assert frame(audio, 1024, 160)[0, 4].argmax() == 512


@each_extractor
def test_frames_are_samples_over_hop(extractor):
    hop = extractor.spec.hop_length
    for samples in (hop, hop + 1, 2 * hop - 1, 2 * hop, 3 * hop + 7, 1023, 1024, 5000, 20 * hop, 21 * hop - 1):
        noise = 0.1 * torch.randn(2, samples, generator=torch.Generator().manual_seed(samples))
        features = extractor(noise)
        assert features.shape == (2, extractor.spec.channels, samples // hop)
        assert features.isfinite().all()


@each_extractor
def test_crop_with_context_gives_the_same_frames(extractor, audio):
    hop, left, right = extractor.spec.hop_length, extractor.context.left, extractor.context.right
    first, last = 30, 55
    crop = audio[:, (first - left) * hop : (last + right) * hop]
    whole, part = extractor(audio)[..., first:last], extractor(crop)[..., left : left + last - first]
    assert (whole - part).abs().max() <= 1e-5 * whole.abs().max()


@each_extractor
def test_batch_equals_one_by_one(extractor, audio):
    together = extractor(audio)
    for index in range(len(audio)):
        alone = extractor(audio[index : index + 1])
        assert (together[index : index + 1] - alone).abs().max() <= 1e-5 * together.abs().max()


@each_extractor
def test_long_recording_computed_in_chunks(extractor, audio):
    long = audio.repeat(1, 6)[:1]
    hop = extractor.spec.hop_length
    start, reach = 300, extractor.context.left
    crop = extractor(long[:, (start - reach) * hop : (start + 50 + reach) * hop])[..., reach : reach + 50]
    assert (extractor(long)[..., start : start + 50] - crop).abs().max() <= 1e-5 * crop.abs().max()


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries keep memory by other rules")
def test_chunks_find_the_memory_of_those_before():
    code = """
        import resource
        import torch
        from lightning_voiceclone.features.spectral import MelSpectrogram
        extractor, audio = MelSpectrogram(), torch.zeros(16, 32000)
        def faults():
            return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        torch.set_num_threads(2)
        with torch.inference_mode():
            for _ in range(5):
                extractor(audio)
            each = []
            for _ in range(11):
                before = faults()
                extractor(audio)
                each.append(faults() - before)
        print(sorted(each)[5])
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, check=True)
    # The median: one call may still find more memory for its second thread. Without, each call has thousands.
    assert float(done.stdout) < 100


@each_extractor
def test_precisions(extractor, audio):
    single, double = extractor(audio), extractor(audio.double())
    assert double.dtype == torch.float64
    close = (double - single).abs() <= 1e-4 * double.abs().max()
    assert close.float().mean() > 0.999  # a lag may be chosen otherwise where two are equally good
    assert extractor(audio.bfloat16()).dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(extractor(audio), single)


@pytest.mark.slow
@each_extractor
def test_gradients_are_right_and_finite_in_silence(extractor):
    if type(extractor) in (Pitch, Stack):
        pytest.skip("the choice of a lag has no gradient")
    torch.manual_seed(0)
    audio = (0.1 * torch.randn(1, 400, dtype=torch.float64)).requires_grad_()
    # The spectrum is larger than the audio: a random projection of it checks all of its gradients.
    weights = torch.randn_like(extractor(audio))
    assert torch.autograd.gradcheck(lambda x: (extractor(x) * weights).sum(), audio, eps=1e-6, atol=1e-2, rtol=1e-3)
    silence = torch.zeros(1, 2000, requires_grad=True)
    extractor(silence).sum().backward()
    assert silence.grad.isfinite().all()


@each_extractor
def test_spec_round_trip_and_no_weights(extractor):
    assert AudioSpec.from_mapping(extractor.spec.to_mapping()) == extractor.spec
    assert extractor.state_dict() == {}
    assert list(extractor.parameters()) == []


@pytest.mark.slow
def test_stft_equals_librosa(audio):
    theirs = librosa.stft(pad(audio, 1024, 160).numpy(), n_fft=1024, hop_length=160, center=False)
    assert_equal_to_librosa(STFT()(audio), np.abs(theirs))
    assert_equal_to_librosa(STFT().complex(audio), theirs)


@pytest.mark.slow
@pytest.mark.parametrize("window", ["hamming", "blackman"])
def test_stft_with_short_windows_equals_librosa(audio, window):
    padded = pad(audio, 512, 101).numpy()
    theirs = librosa.stft(padded, n_fft=512, hop_length=101, win_length=399, window=window, center=False)
    assert_equal_to_librosa(STFT(n_fft=512, hop_length=101, win_length=399, window=window)(audio), np.abs(theirs))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        ({}, {"power": 1}),
        ({"power": 2.0, "n_mels": 40, "fmin": 60.0, "fmax": 7600.0}, {"power": 2, "fmin": 60, "fmax": 7600}),
        ({"mel_scale": "htk", "mel_norm": None}, {"power": 1, "htk": True, "norm": None}),
    ],
)
def test_mel_equals_librosa(audio, ours, theirs):
    # Without a little noise the logarithm would show the rounding in empty bands, theirs and ours.
    audio = audio + 0.01 * torch.randn(audio.shape, generator=torch.Generator().manual_seed(0))
    expected = librosa.feature.melspectrogram(
        y=pad(audio, 1024, 160).numpy(), sr=16000, n_fft=1024, hop_length=160, center=False,
        **{"n_mels": ours.get("n_mels", 80), **theirs},
    )  # fmt: skip
    assert_equal_to_librosa(MelSpectrogram(log=None, **ours)(audio), expected)
    assert_equal_to_librosa(MelSpectrogram(**ours)(audio), np.log(np.maximum(expected, 1e-5)))
    assert_equal_to_librosa(MelSpectrogram(log="10", floor=1e-3, **ours)(audio), np.log10(np.maximum(expected, 1e-3)))


@pytest.mark.slow
@pytest.mark.parametrize(("n_mfcc", "n_mels", "hop"), [(13, 128, 160), (20, 40, 512)])
def test_mfcc_equals_librosa(audio, n_mfcc, n_mels, hop):
    settings = {"sr": 16000, "n_fft": 1024, "hop_length": hop, "n_mels": n_mels, "center": False}
    power = librosa.feature.melspectrogram(y=pad(audio, 1024, hop).numpy(), **settings)
    expected = librosa.feature.mfcc(S=librosa.power_to_db(power, top_db=None), n_mfcc=n_mfcc)
    assert_equal_to_librosa(MFCC(n_mfcc=n_mfcc, n_mels=n_mels, hop_length=hop)(audio), expected)


def test_mfcc_equals_librosas_defaults_where_nothing_is_80_db_down():
    torch.manual_seed(0)
    noise = 0.1 * torch.randn(1, 8000)
    expected = librosa.feature.mfcc(
        y=pad(noise, 1024, 160).numpy(), sr=16000, n_mfcc=13, n_fft=1024, hop_length=160, center=False
    )
    assert_equal_to_librosa(MFCC()(noise), expected)


@pytest.mark.parametrize(
    "settings",
    [{}, {"mel_scale": "htk", "mel_norm": None}, {"sample_rate": 11025, "n_fft": 512, "n_mels": 40}, {"n_mels": 128}],
)
def test_filters_equal_librosas(settings):
    spec = MelSpectrogram(**settings).spec
    expected = librosa.filters.mel(
        sr=spec.sample_rate, n_fft=spec.n_fft, n_mels=spec.n_mels, htk=spec.mel_scale == "htk", norm=spec.mel_norm
    )
    assert_equal_to_librosa(mel_filterbank(spec).T, expected, 1e-6)


@pytest.mark.parametrize("htk", [False, True])
def test_mel_bands_stand_for_their_centres(htk):
    extractor = MelSpectrogram(mel_scale="htk" if htk else "slaney")
    centres = librosa.mel_frequencies(82, fmin=0, fmax=8000, htk=htk)[1:-1]
    assert np.abs(extractor.channel_frequencies().numpy() - centres).max() < 16000 / 1024  # a bin


def test_bins_stand_for_their_frequencies_and_other_channels_for_none():
    assert STFT(n_fft=512).channel_frequencies().tolist() == librosa.fft_frequencies(sr=16000, n_fft=512).tolist()
    for extractor in (MFCC(), Pitch(), Waveform(), Stack([MFCC(), Pitch()])):
        assert extractor.channel_frequencies() is None
    several = Stack([MelSpectrogram(), Pitch(), MelSpectrogram(n_mels=20)]).channel_frequencies()
    parts = [MelSpectrogram().channel_frequencies(), torch.zeros(Pitch().spec.channels),
             MelSpectrogram(n_mels=20).channel_frequencies()]  # fmt: skip
    assert torch.equal(several, torch.cat(parts))


def test_energy_equals_librosa(audio):
    expected = librosa.feature.rms(y=pad(audio, 1024, 160).numpy(), frame_length=1024, hop_length=160, center=False)
    assert_equal_to_librosa(Energy()(audio), expected)
    assert_equal_to_librosa(Energy(log="e")(audio), np.log(np.maximum(expected, 1e-5)))


@pytest.mark.parametrize(("fmin", "fmax", "n_fft"), [(60.0, 500.0, 1024), (80.0, 450.0, 800)])
def test_pitch_equals_librosa(audio, fmin, fmax, n_fft):
    padded = pad(audio, n_fft, 160).numpy()
    expected = librosa.yin(
        padded, fmin=fmin, fmax=fmax, sr=16000, frame_length=n_fft, hop_length=160, center=False, trough_threshold=0.1
    ).clip(fmin, fmax)
    f0 = Pitch(fmin=fmin, fmax=fmax, n_fft=n_fft)(audio)[:, 0].numpy()
    error = np.abs(f0 - expected) / expected
    assert np.median(error) < 1e-4
    assert (error < 1e-3).mean() >= 0.99


def test_pitch_finds_the_pitch_of_speech():
    sound = speech_like(1.5, speaker=3, seed=1)
    f0, voicing = Pitch()(torch.from_numpy(sound.audio)[None])[0].numpy()
    true = sound.f0[80::160][: len(f0)]
    sure = (true > 0) & (voicing > 0.85)
    assert sure.sum() > 30
    assert np.median(np.abs(f0[sure] / true[sure] - 1)) < 0.02


def test_voicing_of_a_tone_noise_and_silence():
    torch.manual_seed(0)
    tone = 0.3 * torch.sin(2 * torch.pi * 220 * torch.arange(8000) / 16000)
    f0, voicing = Pitch()(torch.stack([tone, 0.1 * torch.randn(8000), torch.zeros(8000)])).unbind(1)
    assert torch.allclose(f0[0, 5:-5], torch.tensor(220.0), rtol=5e-3)
    assert (voicing[0, 5:-5] > 0.9).all()
    assert voicing[1].mean() < 0.3
    assert (voicing[2] == 0).all()
    assert ((f0 >= 60) & (f0 <= 500)).all()


def test_waveform_is_the_samples(audio):
    features = Waveform(hop_length=160)(audio[:, :1000])
    assert features.shape == (4, 160, 6)
    assert features[2, 7, 3] == audio[2, 3 * 160 + 7]


def test_stack_puts_channels_together(audio):
    mel, pitch = MelSpectrogram(), Pitch()
    stack = Stack([mel, pitch])
    assert torch.equal(stack(audio), torch.cat([mel(audio), pitch(audio)], 1))
    assert stack.spec.parts == (mel.spec, pitch.spec)
    assert stack.spec.channels == 82
    assert stack.context == Context(3, 3)
    assert Stack([Waveform()]).context == Context(0, 0)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: MelSpectrogram(n_fft=128), "n_fft is 128.*hop_length"),
        (lambda: STFT(n_fft=1023), "n_fft is 1023.*even"),
        (lambda: MelSpectrogram(fmax=9000), "fmax is 9000.*8000.*lower fmax"),
        (lambda: MelSpectrogram(fmin=4000, fmax=3000), "fmin is 4000"),
        (lambda: MelSpectrogram(n_mels=400), "of 400 mel bands.*lower n_mels"),
        (lambda: MelSpectrogram(n_mels=0), "n_mels is 0"),
        (lambda: MelSpectrogram(mel_scale="bark"), "'bark'"),
        (lambda: MelSpectrogram(log="2"), "log is '2'"),
        (lambda: MelSpectrogram(floor=0.0), "floor is 0"),
        (lambda: STFT(power=-1.0), "power is -1"),
        (lambda: STFT(win_length=2000), "win_length is 2000"),
        (lambda: STFT(window="kaiser"), "'kaiser'"),
        (lambda: MFCC(n_mfcc=41, n_mels=40), "n_mfcc is 41.*40"),
        (lambda: Pitch(fmin=10), "1600 samples.*raise n_fft"),
        (lambda: Pitch(fmin=500, fmax=100), "fmin is 500"),
        (lambda: Pitch(fmin=499, fmax=500), "widen"),
        (lambda: Pitch(threshold=0), "threshold is 0"),
        (lambda: Energy(log="2"), "'2'"),
        (lambda: Waveform(hop_length=0), "hop_length is 0"),
        (lambda: Stack([]), "empty"),
        (lambda: Stack([MelSpectrogram(), Pitch(hop_length=256)]), "hop_length is 160.*256"),
        (lambda: Stack([MelSpectrogram(), Energy(sample_rate=22050)]), "sample_rate is 16000.*22050"),
    ],
)
def test_bad_settings_are_reported(make, told):
    with pytest.raises(ConfigurationError, match=told):
        make()


@each_extractor
def test_bad_audio_is_reported(extractor):
    with pytest.raises(RecordingError, match="100 samples"):
        extractor(torch.zeros(1, 100))
    with pytest.raises(ConfigurationError, match="batch, samples"):
        extractor(torch.zeros(16000))
    with pytest.raises(ConfigurationError, match="int16"):
        extractor(torch.zeros(1, 16000, dtype=torch.int16))


class TestMelSpectrogram(FeatureExtractorConformance):
    part = MelSpectrogram


class TestMFCC(FeatureExtractorConformance):
    part = MFCC
    arguments = {"n_mfcc": 20, "hop_length": 512}


class TestSTFT(FeatureExtractorConformance):
    part = STFT
    arguments = {"sample_rate": 22050, "n_fft": 512, "hop_length": 256}


class TestPitch(FeatureExtractorConformance):
    part = Pitch


class TestEnergy(FeatureExtractorConformance):
    part = Energy


class TestWaveform(FeatureExtractorConformance):
    part = Waveform


class TestStack(FeatureExtractorConformance):
    part = Stack
    arguments = {"extractors": [MelSpectrogram(n_mels=10), Energy()]}
