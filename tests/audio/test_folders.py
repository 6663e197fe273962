import os

import numpy as np
import pytest
import soundfile

from lightning_voiceclone.audio.folders import CONVERT, DECODED, MADE, passed_over, recordings_below
from lightning_voiceclone.audio.io import read_audio
from lightning_voiceclone.utils.output_folder import mark_output

TONE = (0.3 * np.sin(np.arange(16000) / 8)).astype(np.float32)


@pytest.mark.parametrize("suffix", sorted(DECODED - {".wave", ".oga", ".opus", ".aif", ".aifc", ".rf64"}))
def test_every_suffix_of_the_list_is_decoded(tmp_path, suffix):
    soundfile.write(tmp_path / f"a{suffix}", TONE, 16000, format="OGG" if suffix == ".ogg" else suffix[1:].upper())
    audio, rate = read_audio(tmp_path / f"a{suffix}")
    assert (rate, len(audio)) == (16000, 16000)


def test_links_are_followed_but_not_in_circles(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    soundfile.write(tmp_path / "elsewhere" / "b.wav", TONE, 16000)
    (tmp_path / "root" / "deep").mkdir(parents=True)
    soundfile.write(tmp_path / "root" / "a.flac", TONE, 16000)
    os.symlink(tmp_path / "elsewhere", tmp_path / "root" / "deep" / "link")
    os.symlink(tmp_path / "root", tmp_path / "root" / "deep" / "circle")
    found, passed = recordings_below(tmp_path / "root")
    assert [str(path.relative_to(tmp_path / "root")) for path in found] == ["a.flac", "deep/link/b.wav"]
    assert passed_over(passed) == ""


def test_what_is_passed_over_is_counted(tmp_path):
    for name in ("a.m4a", "b.AAC", "notes.txt", ".hidden.wav", "out/c.wav", "out/audio/d.wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    mark_output(tmp_path / "out")
    assert recordings_below(tmp_path) == ([], {CONVERT: 2, MADE: 2})
    found, passed = recordings_below(tmp_path, others=True)
    assert [path.name for path in found] == ["a.m4a", "b.AAC"]
    assert passed_over(passed) == f"2 recording(s) passed over: 2 {MADE}"
