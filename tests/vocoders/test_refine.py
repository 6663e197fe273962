"""Vocos refined: nearer to the bands and to a spectrum that sound can have, with the same weights."""

import itertools

import pytest
import torch

from lightning_voiceclone.checkpoints.description import same_making
from lightning_voiceclone.checkpoints.vocoder_choice import choose_vocoder
from lightning_voiceclone.core.part import describe
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.spectral import STFT, MelSpectrogram
from lightning_voiceclone.networks.layers.past import Past
from lightning_voiceclone.testing.conformance import VocoderConformance
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.vocoders.mel_projection import MelProjection
from lightning_voiceclone.vocoders.overlap_add import overlap_add
from lightning_voiceclone.vocoders.vocos import REFINE, Vocos

SMALL = {"width": 16, "hidden": 16, "layers": 1}
MEL = MelSpectrogram()


@pytest.mark.slow
class TestVocosRefinedOften(VocoderConformance):
    part = Vocos
    arguments = {**SMALL, "refine": 2}  # torch.export writes each out: with all of REFINE it takes 0.8 GB

    def extractor(self):
        return MelSpectrogram()


class TestVocosUnrefined(VocoderConformance):
    part = Vocos
    arguments = {**SMALL, "refine": 0}

    def extractor(self):
        return MelSpectrogram()


@pytest.fixture(scope="module")
def audio():
    return torch.stack([torch.from_numpy(speech_like(1.0, speaker=row, seed=row).audio) for row in range(2)])


def shipped(refine=None):
    return Vocos(MEL.spec, pretrained="default", refine=refine).eval()


@pytest.mark.slow
def test_more_iterations_come_nearer_to_the_bands(audio):
    features = MEL(audio)
    with torch.inference_mode():
        sounds = [shipped(count)(features) for count in (0, 1, 2, 4, 8, 16, REFINE)]
        distances = [(MEL(sound) - features).abs().mean().item() for sound in sounds]
    assert all(after < 0.92 * before for before, after in itertools.pairwise(distances))
    assert distances[-1] < 0.3 * distances[0]


@pytest.mark.slow
def test_momentum_comes_nearer_in_as_many_iterations(audio):
    features = MEL(audio)
    with torch.inference_mode():
        begin = shipped()(features)
        plain, fast = (MelProjection(MEL.spec, momentum=momentum)(begin, features, REFINE) for momentum in (0, 0.85))
        distances = [(MEL(sound) - features).abs().mean().item() for sound in (begin, plain, fast)]
    assert distances[2] < 0.8 * distances[1]
    assert distances[2] < 0.4 * distances[0]


@pytest.mark.slow
def test_each_iteration_without_it_comes_nearer_to_a_spectrum_that_sound_can_have(audio):
    features, stft, projection = MEL(audio), STFT(), MelProjection(MEL.spec, momentum=0)
    with torch.inference_mode():
        sound, errors, wanted = shipped()(features), [], projection.bands(features)
        for _ in range(6):
            spectrum = projection.project(stft.complex(sound).transpose(1, 2), wanted)
            sound = projection(sound, features, 1)
            errors.append(((stft.complex(sound).transpose(1, 2) - spectrum).norm() / spectrum.norm()).item())
    assert all(after < before for before, after in itertools.pairwise(errors))
    assert errors[-1] < 0.75 * errors[0]


def test_a_recording_stays_as_it_is(audio):
    again = MelProjection(MEL.spec)(audio, MEL(audio), 3)
    assert (again - audio).abs().max() < 1e-5


def test_without_refinement_it_is_the_networks_output(audio):
    features, vocoder = MEL(audio), shipped(0)
    with torch.inference_mode():
        magnitude, phase, _ = vocoder._spectrum(features, Past())
        real, imaginary = magnitude * phase.cos() * vocoder.signs, magnitude * phase.sin() * vocoder.signs
        frames = torch.fft.irfft(torch.complex(real, imaginary), n=640) * vocoder.window
        assert torch.equal(vocoder(features), overlap_add(frames, vocoder.window, 160).clamp(-1, 1))


@pytest.mark.slow
def test_it_is_off_in_training(audio):
    features = MEL(audio)
    assert torch.equal(shipped(4).train()(features), shipped(0).train()(features))
    assert not torch.equal(shipped(4)(features), shipped(0)(features))


@pytest.mark.slow
def test_any_number_has_the_same_weights():
    several = [shipped(count) for count in (None, 0, 1, 9)]
    assert [vocoder.refine for vocoder in several] == [0, 0, 1, 9]
    assert len({vocoder.weights_sha256 for vocoder in several}) == 1
    assert not [name for name in several[3].state_dict() if "projection" in name]


@pytest.mark.slow
def test_checkpoints_from_before_and_with_another_number_go_on():
    now = describe(Vocos(MEL.spec, **SMALL, refine=2))
    before = {**now, "arguments": {key: value for key, value in now["arguments"].items() if key != "refine"}}
    assert same_making(now, before)
    assert same_making(now, describe(Vocos(MEL.spec, **SMALL, refine=5)))
    assert not same_making(now, describe(Vocos(MEL.spec, **{**SMALL, "width": 8}, refine=2)))


@pytest.mark.slow
@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_frame_depends_on_its_declared_context_alone(count):
    torch.manual_seed(0)
    vocoder = Vocos(MEL.spec, **SMALL, step=1, refine=count).eval().double()
    reach, middle = vocoder.context.left, 60
    assert reach == Vocos(MEL.spec, **SMALL, step=1, refine=0).context.left + 6 * count
    features = MEL(torch.from_numpy(speech_like(1.2).audio)[None]).double()
    changed = features.clone()
    changed[:, :, middle] += 1
    moved = (vocoder(changed) - vocoder(features))[0].unflatten(0, (-1, 160)).abs().amax(1)
    touched = (moved > 1e-12).nonzero()[:, 0]
    assert middle - reach <= touched[0]
    assert touched[-1] <= middle + reach
    if count == 1:  # of more, the far ends are too faint to be told from rounding
        assert touched[-1] > middle + reach - 6, "the context is wider than it need be"


@pytest.mark.slow
@pytest.mark.parametrize(
    "extractor",
    [
        MelSpectrogram(power=2.0, log="10", mel_scale="htk", mel_norm=None, floor=1e-8),
        MelSpectrogram(log=None, n_fft=512, win_length=400),
        MelSpectrogram(hop_length=161, n_mels=40, fmin=80, fmax=7000),
    ],
    ids=["power", "linear", "odd hop"],
)
def test_other_mel_bands_draw_it_too(audio, extractor):
    torch.manual_seed(0)
    features = extractor(audio)
    noise = 0.01 * torch.randn(2, features.shape[-1] * extractor.spec.hop_length)
    near = MelProjection(extractor.spec)(noise, features, 4)
    distances = [(extractor(sound) - features).abs().mean() for sound in (noise, near)]
    assert distances[1] < 0.5 * distances[0]


@pytest.mark.parametrize(
    ("spec", "refine", "words"),
    [
        (MEL.spec, -1, "refine is -1 with features of the kind mel, but must be from 0 to"),
        (STFT().spec, 2, "refine is 2 with features of the kind stft, but must be from 0 to 1000, and 0 unless"),
        (MelSpectrogram(win_length=200).spec, 1, "whose windows overlap by half; leave it out"),
    ],
)
def test_numbers_that_cannot_work(spec, refine, words):
    with pytest.raises(ConfigurationError, match=words):
        Vocos(spec, **SMALL, refine=refine)


@pytest.mark.slow
def test_recordings_features_are_refined_by_name_and_generated_ones_are_not():
    assert choose_vocoder("default", MEL.spec).refine == REFINE
    assert choose_vocoder("default", MEL.spec, generated=True).refine == 0
