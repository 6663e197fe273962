import itertools
import runpy
import sys

import pytest

pytest.importorskip("lvc_supervector", reason="not installed: pip install plugins/lvc-supervector")

import torch
from lvc_supervector.encoder import Cepstra, SupervectorSpeakerEncoder, supervector
from safetensors.torch import save_file

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.evaluation.metrics.sources import check_speaker_encoder, metric_source
from lightning_voiceclone.testing import SpeakerEncoderConformance, speech_like


class TestSupervectorSpeakerEncoder(SpeakerEncoderConformance):
    part = SupervectorSpeakerEncoder
    sizes = (480, 8000, 20000, 32000)


def audio(speaker, seed, seconds=4.0, rate=16000):
    return torch.from_numpy(speech_like(seconds, speaker=speaker, seed=seed, sample_rate=rate).audio)


def test_supervector_is_the_posterior_mean_by_hand():
    frames = torch.tensor([[1.0], [3.0]])
    # One Gaussian takes all frames: n = 2, and its mean moves n / (n + 16) of the way from 0.5 to 2.
    moved = supervector(frames, torch.zeros(1), torch.tensor([[0.5]]), torch.tensor([[2.0]]))
    assert torch.allclose(moved, torch.tensor([2 / 18 * (2.0 - 0.5) / 2.0]))
    # Two far apart take a frame each.
    means, sharp = torch.tensor([[0.0], [4.0]]), torch.full((2, 1), 0.1)
    moved = supervector(frames, torch.full((2,), 0.5).log(), means, sharp)
    assert torch.allclose(moved, torch.tensor([1 / 17 / 0.1, -1 / 17 / 0.1]) * 0.5**0.5, atol=1e-5)


@pytest.mark.slow
def test_the_level_is_no_voice_and_a_steady_filter_hardly():
    sound, encoder = audio(1, 0), SupervectorSpeakerEncoder()
    assert Cepstra()(sound).shape[1] == 38
    filtered = torch.nn.functional.conv1d(sound[None, None], torch.tensor([[[1.0, -0.5]]]), padding=1)[0, 0]
    alone, quiet, dull, other = encoder(torch.stack([sound, 0.1 * sound, filtered[: len(sound)], audio(3, 0)]))
    assert float(alone @ quiet) > 0.99
    assert float(alone @ dull) > 0.7
    assert float(alone @ other) < 0.5


@pytest.mark.slow
def test_a_fitted_speaker_classifier_separates_speakers(tmp_path):
    from lvc_supervector.__main__ import fit  # scikit-learn takes a second to import

    cepstra = Cepstra()
    labelled = [(cepstra(audio(speaker, seed)), str(speaker)) for speaker in range(6) for seed in range(5)]
    frames, speakers = zip(*labelled, strict=True)
    save_file(fit(frames, speakers, gaussians=8, channels=5), tmp_path / "encoder.safetensors")
    encoder = check_speaker_encoder(SupervectorSpeakerEncoder(weights=str(tmp_path / "encoder.safetensors")))
    embeddings = {(speaker, seed): encoder(audio(speaker, seed)[None])[0] for speaker in range(6) for seed in (7, 8)}
    same = [float(embeddings[s, 7] @ embeddings[s, 8]) for s in range(6)]
    other = [float(embeddings[a, 7] @ embeddings[b, 8]) for a, b in itertools.permutations(range(6), 2)]
    assert min(same) > 0.8
    assert sum(same) / len(same) > sum(other) / len(other) + 0.5


@pytest.mark.slow
def test_the_shipped_encoder_takes_other_rates_and_names_itself():
    encoder = SupervectorSpeakerEncoder()
    low = encoder(audio(2, 0)[None])[0]
    high = SupervectorSpeakerEncoder(sample_rate=24000)(audio(2, 0, rate=24000)[None])[0]
    assert float(low @ high) > 0.8
    named = metric_source(encoder)
    assert named.name == "SupervectorSpeakerEncoder"
    assert named.version == "0.1.0"
    assert len(named.sha256) == 64


@pytest.mark.parametrize("content", [None, {"other": torch.zeros(2)}])
def test_other_weights_are_one_line(tmp_path, content):
    path = tmp_path / "encoder.safetensors"
    if content:
        save_file(content, path)
    with pytest.raises(ConfigurationError, match="name a file that python -m lvc_supervector wrote") as caught:
        SupervectorSpeakerEncoder(weights=str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_the_command_fits_a_table(tmp_path, monkeypatch, capsys):
    import soundfile

    lines = ["path\tspeaker\tcorpus"]
    for speaker in range(3):
        soundfile.write(tmp_path / f"{speaker}.wav", audio(speaker, 0, 12.0).numpy(), 16000)
        lines.append(f"{speaker}.wav\t{speaker}\tours")
    (tmp_path / "table.tsv").write_text("\n".join(lines) + "\n")
    options = ["table.tsv", "--corpora", "ours", "--gaussians", "4", "--output", "encoder.safetensors"]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["lvc_supervector", *options])
    monkeypatch.delitem(sys.modules, "lvc_supervector.__main__", raising=False)  # as in a new process
    runpy.run_module("lvc_supervector", run_name="__main__")
    assert "9 pieces of 3 speakers" in capsys.readouterr().out
    assert SupervectorSpeakerEncoder(weights=str(tmp_path / "encoder.safetensors")).channels == 2
