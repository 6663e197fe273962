"""Pairs of synthetic speech, and files that some system made of them."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from lightning_voiceclone.testing.signals import speech_like


@pytest.fixture
def pairs(tmp_path):
    """Six pairs of three speakers, as a table beside the recordings."""
    folder = tmp_path / "speech"
    folder.mkdir()
    lines = ["case\tsource\treference\ttranscript"]
    for speaker in range(3):
        for take in range(3):
            audio = speech_like(1.5, speaker=speaker, seed=10 * speaker + take).audio
            soundfile.write(folder / f"{speaker}-1-{take:04}.wav", audio, 16000)
    for source in range(3):
        for target in range(3):
            if source != target:
                lines.append(f"{source}-to-{target}\t{source}-1-{target:04}.wav\t{target}-1-{target:04}.wav\tWORDS")
    path = folder / "pairs.tsv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def converted(tmp_path, pairs):
    """Clones of all pairs: the source with a little noise."""

    def make(name="converted", noise=0.01):
        folder = tmp_path / name
        folder.mkdir()
        random = np.random.default_rng(0)
        for line in pairs.read_text().splitlines()[1:]:
            case, source = line.split("\t")[:2]
            audio, rate = soundfile.read(pairs.parent / source, dtype="float32")
            soundfile.write(folder / f"{case}.wav", audio + noise * random.standard_normal(len(audio)), rate)
        return Path(folder)

    return make
