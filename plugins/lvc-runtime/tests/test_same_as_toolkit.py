"""What lvc-runtime computes by NumPy equals what the toolkit computes by torch."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from lvc_runtime import chunks, features, level, recordings, statistics, tempo
from lvc_runtime.chunks import Context

from lightning_voiceclone.audio.noise import speech_power
from lightning_voiceclone.core.chunks import Stage
from lightning_voiceclone.core.streaming import Context as TorchContext
from lightning_voiceclone.features.filterbank import mel_filterbank
from lightning_voiceclone.features.prosody import VOICED, Energy, Pitch, median_f0
from lightning_voiceclone.features.spectral import MFCC, STFT, MelSpectrogram
from lightning_voiceclone.inference.level import RunningLevel
from lightning_voiceclone.inference.long_source import LongSource
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.voice.guidance import extrapolate
from lightning_voiceclone.voice.statistics import RunningStatistics
from lightning_voiceclone.voice.tempo import Tempo

AUDIO = speech_like(1.5).audio


def frames_of(count):
    random = np.random.default_rng(0)
    f0 = (120 + 40 * random.random((1, count))) * (random.random((1, count)) > 0.4)
    made = {"features": random.standard_normal((1, 4, count)), "f0": f0, "voicing": (f0 > 0) * 0.9,
            "energy": random.standard_normal((1, count)) - 4}  # fmt: skip
    return {name: value.astype(np.float32) for name, value in made.items()}


def tensors(fields):
    return {name: torch.from_numpy(np.ascontiguousarray(value)) for name, value in fields.items()}


@pytest.mark.parametrize("extractor", [
    MelSpectrogram(n_mels=20), STFT(n_fft=512), MFCC(n_mels=24), MelSpectrogram(n_mels=20, power=2.0, log=None),
], ids=["mel", "stft", "mfcc", "power"])  # fmt: skip
@pytest.mark.parametrize("samples", [170, 1000, 16123])
def test_features(extractor, samples):
    spec = dataclasses.asdict(extractor.spec)
    constants = {"window": extractor.window.numpy()}
    if extractor.spec.n_mels:
        constants["filters"] = mel_filterbank(extractor.spec).numpy()
    if isinstance(extractor, MFCC):
        constants["cosines"] = extractor.cosines.numpy()
    expected = extractor(torch.from_numpy(AUDIO[None, :samples]))[0].numpy()
    frames = features.framed(AUDIO[:samples], spec["n_fft"], spec["hop_length"])
    np.testing.assert_allclose(features.spectral(frames, spec, constants), expected, atol=3e-3, rtol=1e-4)


def test_pitch_and_energy():
    audio = torch.from_numpy(AUDIO[None])
    expected, voicing = Pitch()(audio)[0].numpy()
    frames = features.framed(AUDIO, 1024, 160)
    f0, voiced = features.pitch(frames, dataclasses.asdict(Pitch().spec))
    np.testing.assert_allclose(voiced, voicing, atol=1e-4)
    certain = voicing > VOICED
    assert certain.mean() > 0.3
    np.testing.assert_allclose(f0[certain], expected[certain], rtol=1e-4)
    made = features.energy(frames)
    np.testing.assert_allclose(made, Energy()(audio)[0, 0].numpy(), atol=1e-6)


@pytest.mark.parametrize("context", [(3, 2, 1), (5, 0, 2), (0, 4, 4)])
@pytest.mark.parametrize("most", [None, 8])
def test_a_stage_computes_the_same_chunks(context, most):
    x = frames_of(61)
    theirs = Stage("s", TorchContext(*context), most=most)
    ours = chunks.Stage("s", Context(*context), per_frame={}, most=most)
    state, other = theirs.init_state(1), ours.init_state()

    def same(fields, part, ahead):
        return dict(fields), part

    for begin, end in [(0, 1), (1, 20), (20, 20), (20, 55), (55, 61)]:
        chunk = {name: value[..., begin:end] for name, value in x.items()} if end > begin else {}
        expected, state = theirs.push(tensors(chunk), state, same, final=end == 61)
        made, other = ours.push(chunk, other, same, final=end == 61)
        assert made.keys() == expected.keys()
        for name, value in made.items():
            np.testing.assert_array_equal(value, expected[name].numpy())
    assert sorted(other) == sorted(state)


def test_a_stage_whose_computation_cuts_gives_the_same():
    x, context = frames_of(61), Context(3, 2, 1)
    plain, cutting = (chunks.Stage("s", context, per_frame={}, cuts=cuts) for cuts in (False, True))
    state, other = plain.init_state(), cutting.init_state()

    def smoothed(fields, part, ahead, wanted=(0, None)):
        made = {name: sum(np.roll(value, step, -1) for step in range(-2, 4)) for name, value in fields.items()}
        return {name: value[..., slice(*wanted)] for name, value in made.items()}, part

    for begin, end in [(0, 1), (1, 20), (20, 22), (22, 61)]:
        chunk = {name: value[..., begin:end] for name, value in x.items()}
        expected, state = plain.push(chunk, state, smoothed, final=end == 61)
        made, other = cutting.push(chunk, other, smoothed, final=end == 61)
        assert made.keys() == expected.keys()
        for name, value in made.items():
            np.testing.assert_array_equal(value, expected[name])


def test_names_of_a_state_below_a_prefix_and_besides_it():
    state = {"a.x": np.zeros(1), "b.x": np.ones(1), "a.y": np.ones(2)}
    assert list(chunks.below(state, "a.")) == ["x", "y"]
    assert list(chunks.besides(state, "a.")) == ["b.x"]
    back = chunks.above(chunks.below(state, "a."), "a.") | chunks.besides(state, "a.")
    assert back.keys() == state.keys()
    assert all(back[name] is value for name, value in state.items())


@pytest.mark.parametrize("samples", [300, 4000])
def test_frames_are_those_of_a_sliding_window(samples):
    made = features.framed(AUDIO[:samples], 1024, 160)
    padded = np.pad(AUDIO[:samples], 432, mode="reflect")
    np.testing.assert_array_equal(made, np.lib.stride_tricks.sliding_window_view(padded, 1024)[::160])


@pytest.mark.parametrize("count", [1, 2, features.FEW, features.FEW + 1])
def test_few_frames_have_the_features_that_they_have_among_many(count):
    spec, constants = dataclasses.asdict(MelSpectrogram(n_mels=20).spec), {"window": np.hanning(1024)}
    constants["filters"] = mel_filterbank(MelSpectrogram(n_mels=20).spec).numpy()
    frames = features.framed(AUDIO, 1024, 160)
    whole = features.spectral(frames, spec, constants)
    np.testing.assert_allclose(features.spectral(frames[7 : 7 + count], spec, constants), whole[:, 7 : 7 + count],
                               atol=1e-5)  # fmt: skip


def test_contexts_compose_alike():
    one, other = (12, 5, 4), (3, 7, 6)
    made, expected = (kind(*one).then(kind(*other), 0.5).beside(kind(1, 30, 5)) for kind in (Context, TorchContext))
    assert dataclasses.astuple(made) == dataclasses.astuple(expected)
    assert made.around(40, 60, 70) == expected.around(40, 60, 70)


@pytest.mark.parametrize("speed", [0.7, 1.0, 1.3])
@pytest.mark.parametrize("edges", [[0, 50], [0, 1, 23, 50]])
def test_tempo(speed, edges):
    x, theirs = frames_of(50), Tempo()
    state, other, expected, made = theirs.init_state(1), tempo.init_state(), [], []
    for begin, end in itertools.pairwise(edges):
        chunk = {name: value[..., begin:end] for name, value in x.items()}
        one, state = theirs.push(tensors(chunk), state, speed, final=end == 50)
        two, other = tempo.push(chunk, other, speed, final=end == 50)
        expected, made = [*expected, one], [*made, two]
    for name in x:
        whole = torch.cat([part[name] for part in expected if part], -1).numpy()
        np.testing.assert_allclose(np.concatenate([part[name] for part in made if part], -1), whole, atol=2e-4)


class Embeds:
    """A speaker encoder that gives the mean of the features, as the toolkit's statistics take one."""

    def __init__(self):
        self.speaker_encoder = type("Encoder", (), {"channels": 4})

    def embed(self, analysis):
        return analysis.features.mean(-1)


@pytest.mark.parametrize("edges", [[0, 250], [0, 3, 90, 250]])
def test_running_statistics(edges):
    x = frames_of(250)
    theirs, ours = RunningStatistics(50.0), statistics.RunningStatistics(50.0, channels=4)
    state, other = {}, {}
    for begin, end in itertools.pairwise(edges):
        chunk = {name: value[..., begin:end] for name, value in x.items()}
        expected, state = theirs.prosody(tensors(chunk), state, Embeds())
        made, other = ours.prosody(chunk, other, lambda frames: frames["features"].mean(-1))
        for name in ("energy", "register", "own"):
            np.testing.assert_allclose(made[name], expected[name].numpy(), rtol=1e-5, atol=1e-5, err_msg=name)
        features_of = chunk["features"]
        wanted, state = theirs.guide(
            torch.from_numpy(features_of.copy()), torch.from_numpy(0.5 * features_of), 0.4, state
        )
        got, other = ours.guide(features_of, 0.5 * features_of, 0.4, other)
        np.testing.assert_allclose(got, wanted.numpy(), atol=1e-5)


def test_guidance_and_the_median_of_the_whole():
    x = frames_of(80)
    made, own = x["features"], x["features"] ** 2
    expected = extrapolate(torch.from_numpy(made), torch.from_numpy(own), 0.8).numpy()
    moments = statistics.moments_of(made, own)[..., None]
    np.testing.assert_allclose(statistics.extrapolate(made, own, 0.8, moments), expected, atol=2e-5)
    assert statistics.median_f0(x["f0"][0]) == float(median_f0(torch.from_numpy(x["f0"]))[0])
    assert np.isnan(statistics.median_f0(np.zeros(4, np.float32)))


def test_level():
    assert level.speech_power(AUDIO, 16000) == pytest.approx(speech_power(AUDIO, 16000), rel=1e-5)
    power = np.random.default_rng(0).random((1, 20)).astype(np.float32) / 100
    theirs, ours = RunningLevel(100.0), level.RunningLevel(100.0)
    state, other = {}, {}
    for begin, end in [(0, 5), (5, 20)]:
        samples = 2 * AUDIO[None, 1600 + begin * 160 : 1600 + end * 160]
        expected, state = theirs.apply(torch.from_numpy(samples), torch.from_numpy(power[:, begin:end]), state)
        made, other = ours.apply(samples[0], power[0, begin:end], other)
        np.testing.assert_allclose(made, expected[0].numpy(), atol=1e-6)


def test_the_sample_of_a_long_source():
    spec = MelSpectrogram(n_mels=20).spec
    audio = np.concatenate([speech_like(22.0, seed=seed).audio * (seed != 1) for seed in range(4)])
    source = LongSource("a", lambda first, last: audio[first:last], spec, "off")
    np.testing.assert_allclose(recordings.sample(audio, 16000), source.sample.numpy(), atol=1e-6)
