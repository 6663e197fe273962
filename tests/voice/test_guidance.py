from dataclasses import replace

import pytest
import torch

from lightning_voiceclone.checkpoints.voice_folder import load_voice, save_voice
from lightning_voiceclone.cli.main import main
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.evaluation.systems import ClonedBy
from lightning_voiceclone.networks.generators.conv import ConvGenerator
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_voice


def untrained(*, speaker=True, told=True, **settings):
    """A voice that was never trained, with weights that are not near zero."""
    dims = Dims(20, content=4, speaker=8 if speaker else 0)

    def generator(widths):
        return ConvGenerator(widths if told else replace(widths, speaker=0), width=8, layers=2)

    return small_voice(dims, generator=generator, spread=0.3, **settings)


def speech(seconds=1.0, speaker=0):
    return torch.from_numpy(speech_like(seconds, speaker=speaker).audio)


def passes(voice, reference, **settings):
    """Who was to speak in each pass of the generator, what it made, and what the vocoder was given in the end."""
    speakers, made, given = [], [], []
    prompt = voice.prompt([reference], 16000)
    hooks = [
        voice.generator.register_forward_pre_hook(lambda _, inputs: speakers.append(inputs[0].speaker)),
        voice.generator.register_forward_hook(lambda _, inputs, output: made.append(output)),
        voice.vocoder.register_forward_pre_hook(lambda _, inputs: given.append(voice.normalizer(inputs[0]))),
    ]
    voice.convert(speech(), prompt, 16000, **settings)
    for hook in hooks:
        hook.remove()
    return speakers, made, given[0]


@pytest.mark.slow
def test_guidance_extrapolates_from_the_output_for_the_sources_speaker():
    voice = untrained()
    (other, own), (made, unlike), given = passes(voice, speech(2.0, speaker=2), guidance=0.5)
    with torch.no_grad():
        torch.testing.assert_close(own, voice.embed(voice.analyze(speech()[None])))
        torch.testing.assert_close(other, voice.embed(voice.analyze(speech(2.0, speaker=2)[None])))
    assert (made - unlike).abs().mean() > 1e-3
    led = 1.5 * made - 0.5 * unlike
    torch.testing.assert_close(given.mean(-1), led.mean(-1), atol=1e-3, rtol=1e-3)
    torch.testing.assert_close(given.std(-1), made.std(-1), atol=1e-3, rtol=1e-3)
    assert torch.corrcoef(torch.stack([given.flatten(), led.flatten()]))[0, 1] > 0.99


@pytest.mark.slow
def test_without_guidance_the_generator_runs_once():
    speakers, (made,), given = passes(untrained(guidance=0.5), speech(2.0, speaker=2), guidance=0.0)
    assert len(speakers) == 1
    torch.testing.assert_close(given, made, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_guidance_from_the_target_itself_changes_nothing():
    _, (made, same), given = passes(untrained(), speech(), guidance=2.0)
    torch.testing.assert_close(made, same)
    torch.testing.assert_close(given, made, atol=1e-4, rtol=1e-4)


@pytest.mark.slow
def test_a_voice_keeps_its_guidance(tmp_path):
    voice = untrained(guidance=0.5)
    save_voice(voice, tmp_path / "voice")
    kept = load_voice(tmp_path / "voice")
    assert kept.guidance == 0.5
    manners = ({}, {"guidance": 0.5}, {"guidance": 0.0})
    prompt = kept.prompt([speech(2.0, speaker=2)], 16000)
    told = [kept.convert(speech(), prompt, 16000, **manner) for manner in manners]
    assert torch.equal(told[0], told[1])
    assert not torch.equal(told[0], told[2])
    save_voice(untrained(), tmp_path / "older")
    assert "\nguidance" not in (tmp_path / "older/voice.yaml").read_text()
    assert load_voice(tmp_path / "older").guidance == 0


@pytest.mark.slow
@pytest.mark.parametrize("strength", [-0.1, 2.1, float("nan")])
def test_guidance_out_of_range_is_refused(strength):
    with pytest.raises(ConfigurationError, match=r"guidance is .*; it must be from 0, for none, to 2"):
        untrained().convert(speech(), None, 16000, guidance=strength)
    with pytest.raises(ConfigurationError, match="it must be from 0"):
        untrained(guidance=strength)


def test_a_model_without_a_speaker_embedding_has_none():
    with pytest.raises(ConfigurationError, match="this model's generator takes no speaker embedding"):
        untrained(told=False, guidance=0.5)
    with pytest.raises(ConfigurationError, match="generator takes no speaker embedding"):
        untrained(speaker=False, told=False, guidance=0.5)
    untrained(speaker=False, told=False)


@pytest.mark.slow
def test_saved_and_evaluated_with_another_guidance(tmp_path, capsys):
    save_voice(untrained(), tmp_path / "voice")
    voice, led = str(tmp_path / "voice"), str(tmp_path / "led")
    assert main(["save", voice, "--guidance", "0.4", "--output", led]) == 0
    assert load_voice(led).guidance == 0.4
    assert ClonedBy(led).describe()["guidance"] == 0.4
    assert ClonedBy(led, guidance=0.0).describe()["guidance"] == 0
    with pytest.raises(ConfigurationError, match="guidance is 3"):
        ClonedBy(led, guidance=3.0)
    capsys.readouterr()
    assert main(["save", voice, "--guidance", "-1", "--output", str(tmp_path / "none")]) == 2
    assert "guidance is -1; it must be from 0" in capsys.readouterr().err
    assert not (tmp_path / "none").exists()
    pairs = ["--pairs", str(tmp_path / "pairs.tsv"), "--output", str(tmp_path / "report")]
    assert main(["evaluate", "--ground-truth", "--guidance", "0.4", *pairs]) == 2
    assert "--guidance needs --checkpoint, which is not given; leave it out" in capsys.readouterr().err


def test_lvc_save_refuses_guidance_of_a_part(tmp_path, capsys):
    save_voice(untrained(), tmp_path / "voice")
    options = ["--part", "speaker_encoder", "--guidance", "0.4", "--output", str(tmp_path / "part")]
    assert main(["save", str(tmp_path / "voice"), *options]) == 2
    assert "--guidance has no effect on the speaker_encoder; leave it out" in capsys.readouterr().err
