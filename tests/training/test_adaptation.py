"""A voice trained further on one speaker."""

import copy
import inspect
import os
import tempfile
from functools import partial

import pytest
import soundfile
import torch

from lightning_voiceclone.checkpoints.voice_folder import load_voice, save_voice
from lightning_voiceclone.cli.adapt import parser
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.data.memory import MemoryDataModule
from lightning_voiceclone.errors import ConfigurationError, RecordingError
from lightning_voiceclone.networks.generators.recurrent import RecurrentGenerator
from lightning_voiceclone.networks.generators.reference import ReferenceGenerator
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_voice
from lightning_voiceclone.training import adaptation
from lightning_voiceclone.training.adaptation import adapt, recordings_in


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("speaker")
    for number in range(2):
        soundfile.write(made / f"{number}.wav", speech_like(4.0, speaker=3, seed=number).audio, 16000)
    return made


def voice():
    return small_voice(Dims(20, content=4, speaker=8, pitch=True, energy=True),
                       generator=partial(ReferenceGenerator, width=16, layers=2, heads=2, head_width=8))  # fmt: skip


@pytest.mark.slow
def test_only_the_generator_learns_and_the_voice_needs_no_reference_then(folder, tmp_path):
    before = voice()
    after = adapt(copy.deepcopy(before), recordings_in(folder), steps=3, progress=False)
    old, new = before.state_dict(), after.state_dict()
    moved = {name.split(".")[0] for name in old if not torch.equal(old[name], new[name])}
    assert moved == {"generator"}
    assert not any(parameter.requires_grad for parameter in after.parameters())
    assert not any(part.training for part in after.modules())
    save_voice(after, tmp_path / "adapted")
    source = torch.from_numpy(speech_like(1.0, speaker=1).audio)
    said = after.convert(source, None, 16000)
    assert torch.equal(load_voice(tmp_path / "adapted").convert(source, None, 16000), said)
    assert len(said) == 16000
    assert len(after.convert(source, None, 16000, speed=2)) == 8000
    given = [torch.from_numpy(speech_like(2.0, speaker=5).audio)]  # is used where there is one
    assert not torch.equal(after.convert(source, after.prompt(given, 16000), 16000), said)
    with pytest.raises(ConfigurationError, match="no reference given; pass one"):
        before.convert(source, None, 16000)


@pytest.mark.slow
def test_the_same_seed_gives_the_same_voice(folder):
    one, two = (adapt(voice(), recordings_in(folder), steps=2, progress=False).state_dict() for _ in range(2))
    assert all(torch.equal(value, two[name]) for name, value in one.items())


@pytest.mark.slow
def test_the_weights_go_part_of_the_way(folder):
    before = voice().generator.state_dict()
    half, whole = (
        adapt(voice(), recordings_in(folder), steps=2, strength=strength, progress=False) for strength in (0.5, 1)
    )
    moved = 0.0
    for name, value in whole.generator.state_dict().items():
        torch.testing.assert_close(half.generator.state_dict()[name], (before[name] + value) / 2)
        moved += float((value - before[name]).abs().sum())
    assert moved > 0


@pytest.mark.slow
def test_another_seed_is_another_voice_and_stays_behind(folder):
    environment, state = dict(os.environ), torch.get_rng_state()
    one = adapt(voice(), recordings_in(folder), steps=2, progress=False).state_dict()
    other = adapt(voice(), recordings_in(folder), steps=2, seed=7, progress=False).state_dict()
    assert any(not torch.equal(value, other[name]) for name, value in one.items())
    again = adapt(voice(), recordings_in(folder), steps=2, progress=False).state_dict()
    assert all(torch.equal(value, again[name]) for name, value in one.items())
    assert dict(os.environ) == environment
    torch.manual_seed(0)  # as voice() left it
    voice()
    expected = torch.rand(3)
    torch.set_rng_state(state)
    adapt(voice(), recordings_in(folder), steps=1, progress=False)
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.slow
def test_all_recordings_are_trained_on(folder, monkeypatch):
    made = []
    monkeypatch.setattr(adaptation, "MemoryDataModule", lambda *given, **named: made.append(
        MemoryDataModule(*given, **named)) or made[-1])  # fmt: skip
    adapt(voice(), recordings_in(folder), steps=1, progress=False)
    (data,) = made
    assert {name: len(of_split.recordings.utterances) for name, of_split in data.datasets.items()} == {
        "train": 2, "validation": 0, "test": 0,
    }  # fmt: skip


@pytest.mark.slow
def test_its_output_is_closer_to_the_speaker(folder):
    before = voice()
    audio = torch.from_numpy(speech_like(4.0, speaker=3, seed=0).audio)

    def error(voice):
        with torch.inference_mode():
            analysis = voice.analyze(audio[None])
            condition = voice.condition(voice.script_from_analysis(analysis), voice.prompt_from_analysis(analysis))
            return float((voice.generator(condition) - analysis.features).abs().mean())

    after = adapt(copy.deepcopy(before), recordings_in(folder), steps=30, learning_rate=3e-3, progress=False)
    assert error(after) < 0.95 * error(before)


@pytest.mark.slow
def test_recurrent_networks_train_and_dropout_does_not_act(folder):
    one = small_voice(Dims(20, content=4, speaker=8),
                      generator=partial(RecurrentGenerator, hidden=8, layers=2, dropout=0.5))  # fmt: skip
    modes = {True: set(), False: set()}

    def look(*_):
        for part in one.modules():
            recurrent = isinstance(part, torch.nn.RNNBase)
            modes[recurrent].add(part.training)
            assert not recurrent or part.dropout == 0

    one.generator.register_forward_pre_hook(look)
    adapt(one, recordings_in(folder), steps=1, progress=False)
    assert modes[True] == {True}  # cuDNN gives their gradients in no other mode
    assert modes[False] == {False}
    assert not any(part.training for part in one.modules())


@pytest.mark.slow
def test_what_diverges_is_refused(folder):
    with pytest.raises(ConfigurationError, match=r"diverged: .* the learning rate is 1e\+09"):
        adapt(voice(), recordings_in(folder), steps=3, learning_rate=1e9, progress=False)


@pytest.mark.slow
def test_the_command_has_the_functions_defaults():
    ours, theirs = vars(parser().parse_args(["--data", "a", "--output", "b"])), inspect.signature(adapt).parameters
    for name in ("steps", "learning_rate", "strength", "seed", "denoise"):
        assert ours[name] == theirs[name].default


@pytest.mark.slow
def test_an_interruption_leaves_nothing_behind(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    one = voice()

    def interrupt(*_):
        raise KeyboardInterrupt

    one.generator.register_forward_pre_hook(interrupt)
    environment = dict(os.environ)
    with pytest.raises(KeyboardInterrupt):
        adapt(one, recordings_in(folder), steps=2, progress=False)
    assert list(tmp_path.iterdir()) == []
    assert dict(os.environ) == environment


@pytest.mark.slow
def test_many_short_recordings_are_enough(tmp_path):
    for number in range(5):
        soundfile.write(tmp_path / f"{number}.wav", speech_like(1.2, speaker=3, seed=number).audio, 16000)
    adapted = adapt(voice(), recordings_in(tmp_path), steps=2, progress=False)
    assert int(adapted.own.prompt().lengths) == 600


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "words"),
    [({"steps": 0}, "steps is 0"), ({"learning_rate": 0.0}, "learning rate is 0"), ({"seed": -1}, "seed is -1")],
)
def test_settings_out_of_range_are_refused(folder, settings, words):
    with pytest.raises(ConfigurationError, match=words):
        adapt(voice(), recordings_in(folder), progress=False, **{"steps": 1, **settings})


@pytest.mark.slow
def test_a_voice_that_cannot_clone_is_refused(folder):
    deaf = voice()
    deaf.content_encoder = None
    with pytest.raises(ConfigurationError, match="this model cannot clone"):
        adapt(deaf, recordings_in(folder), steps=1, progress=False)


def test_too_little_is_refused(tmp_path):
    soundfile.write(tmp_path / "short.wav", speech_like(2.0).audio, 16000)
    with pytest.raises(RecordingError, match=r"last 2\.0 s together; adaptation needs 5 s"):
        adapt(voice(), recordings_in(tmp_path), steps=1, progress=False)


def test_a_folder_without_recordings_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="no recordings"):
        recordings_in(tmp_path)
