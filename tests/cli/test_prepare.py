import subprocess
import sys

import numpy as np
import pytest
import soundfile
from forks import completed

from lightning_voiceclone.cli.main import main
from lightning_voiceclone.cli.prepare import run
from lightning_voiceclone.data.corpora import LibriSpeech
from lightning_voiceclone.data.manifest import Manifest
from lightning_voiceclone.errors import ConfigurationError, LVCError, PluginError

RATE = 16000


@pytest.fixture
def corpus(tmp_path):
    time = np.arange(RATE) / RATE
    for speaker in range(5):
        for number in range(2):
            path = tmp_path / "corpus" / f"s{speaker}" / f"{number}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(
                path, 0.3 * np.sin(2 * np.pi * (150 + 2 * speaker + number) * time) * np.sin(np.pi * time), RATE
            )
    (tmp_path / "corpus" / "s0" / "bad.wav").write_text("no")
    return tmp_path / "corpus"


def test_a_short_summary_of_the_results(corpus, tmp_path, capsys):
    output = tmp_path / "out"
    assert run(["SpeakerFolders", str(corpus), "--output", str(output), "--validation", "1", "--test", "0.2"]) == 0
    printed = capsys.readouterr().out
    assert "10 utterances, 0.00 hours\n" in printed
    assert (
        "train             6 utterances of 3 speakers" in " ".join(printed.split("  "))
        or "6 utterances of 3" in printed
    )
    assert "2 utterances of 1 speakers" in printed
    assert "1 rejected: 1 not audio that can be decoded" in printed
    assert str(output / "manifest.parquet") in printed
    run(["SpeakerFolders", str(corpus), "--output", str(output), "--validation", "1"])
    assert "(11 known from before)" in capsys.readouterr().out


@pytest.mark.slow
def test_settings_reach_the_parts(corpus, tmp_path):
    arguments = ["--transform", "NormalizePeak:target=-12", "--transform", "TrimSilence:hangover=0,longest_pause=0.5",
                 "--rate", "8000", "--split-by", "utterance", "--validation", "3", "--seed", "4"]  # fmt: skip
    assert run(["SpeakerFolders", str(corpus), "--output", str(tmp_path / "out"), *arguments]) == 0
    manifest = Manifest.read(tmp_path / "out" / "manifest.parquet")
    assert len(manifest.of_split("validation")) == 3
    audio, rate = soundfile.read(manifest.root / manifest.utterances[0].path)
    assert rate == 8000
    assert 20 * np.log10(np.abs(audio).max()) == pytest.approx(-12, abs=0.1)


def test_features_by_name(corpus, tmp_path):
    arguments = ["--features", "MelSpectrogram:n_mels=40", "--feature-type", "float16"]
    assert run(["SpeakerFolders", str(corpus), "--output", str(tmp_path / "out"), *arguments]) == 0
    files = list((tmp_path / "out" / "features").rglob("*.npy"))
    assert len(files) == 10
    assert np.load(files[0]).shape == (40, 100)
    assert np.load(files[0]).dtype == np.float16


@pytest.mark.parametrize(
    ("arguments", "error", "told"),
    [
        (["SpeakerFolder"], PluginError, r"did you mean SpeakerFolders\?.*installed: .*LibriSpeech"),
        (["SpeakerFolders", "--transform", "TrimSilense"], PluginError, r"did you mean TrimSilence\?"),
        (["SpeakerFolders", "--transform", "TrimSilence:hangovr=1"], ConfigurationError, r"did you mean hangover\?"),
        (["SpeakerFolders", "--transform", "TrimSilence:0.1"], ConfigurationError, "setting=value"),
        (["SpeakerFolders", "--transform", "TrimSilence:hangover=soon"], ConfigurationError, "types of the settings"),
        (["SpeakerFolders", "--transform", "AddNoise"], ConfigurationError, "in training"),
        (["SpeakerFolders", "--subset", "dev-clean"], ConfigurationError, "no setting 'subsets'"),
        (["SpeakerFolders", "--split-by", "word"], ConfigurationError, "speaker or utterance"),
        (["SpeakerFolders", "--download"], ConfigurationError, "no download"),
    ],
)
def test_what_cannot_work_is_refused(corpus, tmp_path, arguments, error, told):
    kind, *rest = arguments
    with pytest.raises(error, match=told) as caught:
        run([kind, str(corpus), "--output", str(tmp_path / "out"), *rest])
    assert isinstance(caught.value, LVCError)
    assert not (tmp_path / "out" / "manifest.parquet").exists()


def test_download_comes_first(corpus, tmp_path, monkeypatch):
    asked = []

    def download(root, **options):
        asked.append((root, options))
        corpus.joinpath("s0").rename(tmp_path / "moved")
        target = tmp_path / "LibriSpeech" / "dev-clean" / "s0" / "1"
        target.parent.mkdir(parents=True)
        (tmp_path / "moved").rename(target)

    monkeypatch.setattr(LibriSpeech, "download", download)
    root = tmp_path / "LibriSpeech"
    assert (
        run(["LibriSpeech", str(root), "--output", str(tmp_path / "out"), "--download", "--subset", "dev-clean"]) == 0
    )
    assert asked == [(root, {"subsets": ["dev-clean"]})]
    assert len(Manifest.read(tmp_path / "out" / "manifest.parquet").of_split("validation")) == 2


@pytest.mark.slow
def test_help_explains_and_imports_nothing_heavy():
    code = (
        "import sys\nfrom lightning_voiceclone.cli.prepare import run\n"
        "try:\n run(['--help'])\nexcept SystemExit as end: status = end.code\n"
        "sys.exit(status or ', '.join({'torch', 'numpy', 'yaml'} & set(sys.modules)) or None)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    for word in ("LibriSpeech", "VCTK", "--transform", "--features", "rejected.tsv", "examples:"):
        assert word in done.stdout


@pytest.mark.slow
def test_the_command_ends_with_one_line(corpus, tmp_path):
    command = ["prepare", "LibriSpeech", str(corpus), "--output", str(tmp_path / "out")]
    done = completed(lambda: main(command), tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("lvc: error: no LibriSpeech at")
    assert done.stderr.count("\n") == 1
