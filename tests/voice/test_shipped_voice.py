"""The voice that ships: small, quick to load, on its own, and always the same."""

import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import soundfile
import torch
import yaml
from in_pieces import pushed, random_sizes, whole

import lightning_voiceclone
from lightning_voiceclone.audio.io import read_audio
from lightning_voiceclone.checkpoints.voice_folder import load_voice, save_voice
from lightning_voiceclone.cli.main import main
from lightning_voiceclone.inference.screening import same_speaker_check, screen_references
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_voice
from lightning_voiceclone.voice.streaming import ChunkedConversion

WEIGHTS = Path(lightning_voiceclone.__file__).with_name("weights")
CLONING = {"voice", "content_wide", "speaker", "text"}
SPEECH = Path(__file__).parents[2].parent / "shared" / "speech" / "LibriSpeech" / "test-other"


@pytest.fixture(scope="module")
def voice():
    return load_voice("default")


def speech(seconds, speaker):
    return torch.from_numpy(speech_like(seconds, speaker=speaker).audio)


def test_all_that_cloning_loads_is_at_most_30_megabytes():
    described = yaml.safe_load((WEIGHTS / "voice/voice.yaml").read_text())
    pretrained = {role: part["arguments"].get("pretrained") for role, part in described["parts"].items()}
    assert pretrained["content_encoder"] == "content_wide"
    assert pretrained["speaker_encoder"] == pretrained["text_encoder"] == "default"
    assert pretrained["vocoder"] is None  # it has a vocoder of its own, fine-tuned on what its generator makes
    loaded = [WEIGHTS / name / "weights.safetensors" for name in CLONING]
    assert sum(path.stat().st_size for path in loaded) <= 30e6
    others = {path.parent.name for path in WEIGHTS.rglob("*.safetensors")} - CLONING
    # Of the others cloning needs nothing.
    assert others == {"vocos", "content", "voice_live", "voice_mel", "phones"}


@pytest.mark.slow
def test_it_clones_alike_each_time_and_as_long_as_the_source(voice):
    source, prompt = speech(2.0, 1), voice.prompt([speech(3.0, 5)], 16000)
    one, two = (voice.convert(source, prompt, 16000) for _ in range(2))
    assert torch.equal(one, two)
    assert len(one) == len(source) // 160 * 160
    assert 1e-3 < one.square().mean().sqrt() < 0.5


@pytest.mark.slow
def test_the_reference_makes_a_difference(voice):
    source = speech(2.0, 1)
    prompts = [voice.prompt([speech(3.0, speaker)], 16000) for speaker in (0, 5)]
    one, other = (voice.convert(source, prompt, 16000) for prompt in prompts)
    assert (one - other).square().mean() > 0.1 * one.square().mean()


@pytest.mark.slow
def test_lvc_clone_needs_no_checkpoint(tmp_path, capsys):
    for name, speaker in (("a", 1), ("b", 5)):
        soundfile.write(tmp_path / f"{name}.wav", speech(2.0, speaker).numpy(), 16000)
    arguments = ["clone", "--source", f"{tmp_path}/a.wav", "--reference", f"{tmp_path}/b.wav"]
    assert main([*arguments, "--output", f"{tmp_path}/c.wav"]) == 0
    assert soundfile.info(tmp_path / "c.wav").frames == 32000
    assert main([*arguments, "--output", f"{tmp_path}/fast.wav", "--speed", "2", "--pitch-shift", "-3"]) == 0
    assert soundfile.info(tmp_path / "fast.wav").frames == 16000
    assert "16000 Hz" in capsys.readouterr().out


@pytest.mark.slow
def test_it_needs_neither_lightning_nor_anothers_models(tmp_path):
    """Nor does a folder of one's own, nor the screening of recordings, which does without scipy's signals too."""
    save_voice(small_voice(), tmp_path / "own")
    code = """
        import sys
        import lightning_voiceclone.inference.screening
        assert "scipy.signal" not in sys.modules
        from lightning_voiceclone.checkpoints.voice_folder import load_voice
        assert load_voice(sys.argv[1]).spec.n_mels == 20
        load_voice("default")
        heavy = {"lightning", "resemblyzer", "faster_whisper", "ctranslate2", "librosa"} & set(sys.modules)
        sys.exit(", ".join(sorted(heavy)) or 0)
    """
    command = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path / "own")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.slow
@pytest.mark.skipif(not SPEECH.is_dir(), reason=f"no real speech at {SPEECH}")
def test_two_speakers_are_found_where_there_are_two(voice):
    same_speaker = same_speaker_check(voice)
    files = sorted(SPEECH.rglob("*.flac"))
    recordings = [torch.from_numpy(read_audio(path, 16000)[0][: 6 * 16000]) for path in files[::3]]
    recordings = [audio for audio in recordings if len(audio) > 4.5 * 16000]
    both = [torch.cat([one[: 3 * 16000], other[: 3 * 16000]])
            for one, other in zip(recordings, recordings[len(recordings) // 2 :], strict=False)]  # fmt: skip
    one, two = ([screen_references([("", audio)], voice.spec, same_speaker=same_speaker)[1] for audio in some]
                for some in (recordings, both))  # fmt: skip
    assert sum("two speakers" in " ".join(notes) for notes in one) <= 1
    assert sum("two speakers" in " ".join(notes) for notes in two) >= 0.6 * len(both)


@pytest.mark.slow
def test_chunks_give_the_samples_of_the_whole(voice):
    """To 1e-5 of full scale: in single precision the vocoder's phases make 2e-6 to 7e-6 of the rounding."""
    source, prompt = torch.cat([speech(4.0, 1), speech(5.0, 2)])[None], voice.prompt([speech(3.0, 5)], 16000)
    expected, known = whole(voice, source, prompt)
    sizes = random_sizes(source.shape[1], 0, 160_000)
    made = pushed(ChunkedConversion(voice), source, prompt, sizes, known=known)
    assert len(made) > 1
    torch.testing.assert_close(torch.cat(made, 1), expected, rtol=0, atol=1e-5)
