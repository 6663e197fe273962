"""The voice: analysis, condition, cloning and storage."""

from functools import partial

import pytest
import torch
import yaml

from lightning_voiceclone.checkpoints.voice_folder import describe_voice, load_voice, save_voice
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError, RecordingError, SpecMismatchError
from lightning_voiceclone.features.normalizer import Normalizer
from lightning_voiceclone.features.prosody import median_f0
from lightning_voiceclone.features.spectral import MFCC, MelSpectrogram
from lightning_voiceclone.networks.generators.conv import ConvGenerator
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_voice
from lightning_voiceclone.vocoders.griffin_lim import GriffinLim
from lightning_voiceclone.voice.analysis import pad_together
from lightning_voiceclone.voice.model import VoiceModel
from lightning_voiceclone.voice.prosody import move_register

HOP = 160


def untrained(noise=2):
    return small_voice(Dims(20, content=4, speaker=8, noise=noise, pitch=True, energy=True),
                       generator=partial(ConvGenerator, width=8, layers=2), spread=0.3)  # fmt: skip


def speech(seconds, speaker=0, seed=0):
    return torch.from_numpy(speech_like(seconds, speaker=speaker, seed=seed).audio)


def test_normalizer_by_hand():
    normalizer = Normalizer(2)
    normalizer.fit([torch.tensor([[[1.0, 3.0], [0.0, 0.0]]]), torch.tensor([[[5.0], [6.0]]])])
    torch.testing.assert_close(normalizer.mean[:, 0], torch.tensor([3.0, 2.0]))
    torch.testing.assert_close(normalizer.scale[:, 0], torch.tensor([2.0, 12**0.5]))
    features = torch.randn(1, 2, 5)
    torch.testing.assert_close(normalizer.inverse(normalizer(features)), features)


@pytest.mark.slow
def test_padding_changes_nothing():
    voice = untrained(noise=0)
    short, long = speech(1.0), speech(1.6, speaker=1)
    audio, lengths = pad_together([short, long], HOP)
    with torch.no_grad():
        together = voice.analyze(audio, lengths)
        alone = voice.analyze(short[None])
        frames = alone.features.shape[-1]
        made_together, made_alone = (
            voice.generator(voice.condition(voice.script_from_analysis(one), voice.prompt_from_analysis(one)))
            for one in (together, alone)
        )
    # The last frames' windows reach into what follows: a mirror image alone, silence here.
    torch.testing.assert_close(together.features[:1, :, : frames - 4], alone.features[:, :, :-4], atol=1e-4, rtol=0)
    torch.testing.assert_close(made_together[:1, :, : frames - 4], made_alone[:, :, : frames - 4], atol=0.15, rtol=0)


@pytest.mark.slow
def test_melody_moves_to_the_register_of_the_reference():
    voice = untrained()
    source, register = voice.script(speech(1.5, 1), 16000), voice.prompt([speech(1.5, 3)], 16000).register
    assert torch.equal(source.register, median_f0(source.f0))
    moved = move_register(source, register)
    assert float(median_f0(moved.f0)) == pytest.approx(float(register), rel=1e-4)
    assert torch.equal(moved.register, register)
    assert torch.equal(moved.f0 > 0, source.f0 > 0)
    ratio = (moved.f0 / source.f0)[source.f0 > 0]
    assert float(ratio.std()) < 1e-4


def convert(voice, source, references, sample_rate):
    return voice.convert(source, voice.prompt(references, sample_rate), sample_rate)


@pytest.mark.slow
def test_conversion_keeps_the_length_and_follows_the_seed():
    voice = untrained()
    source, prompt = speech(1.234), voice.prompt([speech(1.0, 2), speech(1.5, 2, seed=1)], 16000)
    one, two = (voice.convert(source, prompt, 16000, seed=1) for _ in range(2))
    assert len(one) == len(source) // HOP * HOP
    assert torch.equal(one, two)
    assert not torch.equal(one, voice.convert(source, prompt, 16000, seed=2))
    assert one.abs().max() <= 1


@pytest.mark.slow
def test_references_together_are_their_mean_by_length():
    voice = untrained()
    one, two = speech(1.0, 2), speech(3.0, 4)
    audio, lengths = pad_together([one, two], HOP)
    with torch.no_grad():
        separate = voice.embed(voice.analyze(audio, lengths))
    expected = (separate[0] + 3 * separate[1]) / 4
    seen = {}
    voice.generator.register_forward_pre_hook(lambda _, inputs: seen.update(speaker=inputs[0].speaker))
    voice.convert(speech(1.0), voice.prompt([one, two], 16000), 16000)
    torch.testing.assert_close(seen["speaker"][0], expected)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"sample_rate": 22050}, SpecMismatchError, "declared at 22050 Hz but this model's rate is 16000 Hz"),
        ({"references": [speech(0.45)]}, RecordingError, "a reference lasts 0.45 s, at least 0.5 s"),
        ({"references": [torch.zeros(32000)]}, RecordingError, "a reference is silent"),
        ({"source": torch.full((32000,), torch.nan)}, RecordingError, "the source has samples that are not finite"),
        ({"source": torch.zeros(0)}, RecordingError, "the source lasts 0.00 s"),
    ],
)
def test_inaudible_input_is_refused(change, error, words):
    settings = {"source": speech(1.0), "references": [speech(1.2, 1)], "sample_rate": 16000}
    with pytest.raises(error, match=words):
        convert(untrained(), **{**settings, **change})


def test_parts_that_do_not_fit_are_refused():
    extractor = MelSpectrogram(n_mels=20)
    generator = ConvGenerator(Dims(20, noise=2), width=8, layers=1)
    with pytest.raises(SpecMismatchError, match="n_mels is 20 in the feature extractor but 40 in the vocoder"):
        VoiceModel(extractor, generator, GriffinLim(MelSpectrogram(n_mels=40).spec), noise=2)
    with pytest.raises(SpecMismatchError, match="kind is 'mel' in the feature extractor but 'mfcc'"):
        VoiceModel(extractor, generator, GriffinLim(MFCC(n_mels=40).spec), noise=2)
    with pytest.raises(ConfigurationError, match="ConvGenerator needs noise"):
        VoiceModel(extractor, generator, GriffinLim(extractor.spec))


@pytest.mark.slow
def test_a_stored_voice_is_the_same_voice(tmp_path):
    voice = untrained()
    voice.normalizer.fit([voice.feature_extractor(speech(2.0)[None])])
    save_voice(voice, tmp_path / "voice")
    loaded = load_voice(tmp_path / "voice")
    assert describe_voice(loaded) == describe_voice(voice)
    arguments = (speech(1.0), [speech(1.0, 2)], 16000)
    assert torch.equal(convert(loaded, *arguments), convert(voice, *arguments))
    assert not any(parameter.requires_grad for parameter in loaded.parameters())


@pytest.mark.slow
def test_storage_refuses_what_it_cannot_trust(tmp_path):
    voice = untrained()
    save_voice(voice, tmp_path / "voice")
    path = tmp_path / "voice/voice.yaml"
    kept = yaml.safe_load(path.read_text())
    path.write_text(yaml.safe_dump(kept | {"format": 99}))
    with pytest.raises(ConfigurationError, match="format 99, this version reads 1"):
        load_voice(tmp_path / "voice")
    path.write_text(yaml.safe_dump(kept | {"spec": kept["spec"] | {"fmax": 7000.0}}))
    with pytest.raises(SpecMismatchError, match=r"fmax is 7000\.0 in the stored spec but 8000\.0"):
        load_voice(tmp_path / "voice")
    path.write_text("!!python/object/apply:os.system ['touch attacked']")
    with pytest.raises(ConfigurationError, match="does not describe a model: it is no YAML"):
        load_voice(tmp_path / "voice")
    (tmp_path / "mine").mkdir()
    with pytest.raises(ConfigurationError, match="is not a model folder"):
        save_voice(voice, tmp_path / "mine")
    (tmp_path / "voice/weights.safetensors").unlink()
    with pytest.raises(ConfigurationError, match=r"has no weights\.safetensors"):
        load_voice(tmp_path / "voice")
