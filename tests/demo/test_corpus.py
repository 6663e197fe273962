import hashlib
import importlib.util
from itertools import pairwise

import numpy as np
import pytest
import soundfile
import torch

from lightning_voiceclone.demo import corpus, sentences
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.inference.screening import screen_references, screen_source

needs_espeak = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None,
    reason="espeakng-loader (the extra espeak) is not installed",
)


def digests(folder):
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    return corpus.make_corpus(tmp_path_factory.mktemp("small"), speakers=3, sentences=4, seed=3)


def test_sentences_are_distinct_reproducible_and_apart():
    first = sentences.compose(200, seed=1)
    assert len(set(first)) == 200
    assert sentences.compose(200, seed=1) == first
    assert sentences.compose(200, seed=2) != first
    assert not set(sentences.compose(50, seed=1, without=first)) & set(first)
    assert all(6 <= len(sentence.split()) <= 16 for sentence in first)


def test_voices_are_distinct_and_the_held_out_pair_is_none_of_them():
    drawn = corpus.voices(len(corpus.VARIANTS), seed=0)
    assert len({voice.variant for voice in drawn}) == len({voice.name for voice in drawn}) == len(corpus.VARIANTS)
    assert not {corpus.SOURCE.variant, corpus.REFERENCE.variant} & {voice.variant for voice in drawn}


@pytest.mark.parametrize(("numbers", "word"), [({"speakers": 1}, "2 to 20"), ({"sentences": 0}, "1 to 1000")])
def test_numbers_out_of_range_are_refused(tmp_path, numbers, word):
    with pytest.raises(ConfigurationError, match=word):
        corpus.make_corpus(tmp_path, **numbers)


@pytest.mark.slow
@needs_espeak
def test_tree_and_tables_agree(small):
    rows = corpus.read_table(small / "train" / corpus.TABLE)
    assert len(rows) == 3 * 4
    assert {path for path, _, _ in rows} == {
        str(path.relative_to(small / "train")) for path in (small / "train").rglob("*.wav")
    }
    assert all(path.startswith(f"{speaker}/") for path, speaker, _ in rows)
    for speaker in ("speaker01", "speaker02", "speaker03"):
        assert len({text for _, who, text in rows if who == speaker}) == 4
    for path, _, _ in rows:
        info = soundfile.info(small / "train" / path)
        assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
        assert 1.8 < info.duration < 5.2


@pytest.mark.slow
@needs_espeak
def test_the_held_out_sentence_is_not_in_training(small):
    held_out = {path: text for path, _, text in corpus.read_table(small / "held_out" / corpus.TABLE)}
    assert set(held_out) == {"source.wav", "reference.wav"}
    trained = {text for _, _, text in corpus.read_table(small / "train" / corpus.TABLE)}
    assert not trained & set(held_out.values())
    assert soundfile.info(small / "held_out" / "reference.wav").duration > 2


@needs_espeak
def test_the_held_out_pair_is_used_without_a_note(tmp_path):
    pair = {"source.wav": (corpus.SOURCE, sentences.compose(1, seed=0)[0]),
            "reference.wav": (corpus.REFERENCE, corpus.TEXT_OF_REFERENCE)}  # fmt: skip
    corpus._speak(tmp_path / "held_out", pair)
    recordings = {name: torch.from_numpy(soundfile.read(tmp_path / "held_out" / name, dtype="float32")[0])
                  for name in pair}  # fmt: skip
    assert screen_source(recordings["source.wav"], MelSpectrogram().spec).notes == ()
    assert screen_references([("reference.wav", recordings["reference.wav"])], MelSpectrogram().spec)[1] == ()


@pytest.mark.slow
@needs_espeak
def test_the_same_seed_gives_the_same_bytes_and_another_does_not(small, tmp_path):
    again = corpus.make_corpus(tmp_path / "again", speakers=3, sentences=4, seed=3)
    assert digests(again) == digests(small)
    other = corpus.make_corpus(tmp_path / "other", speakers=3, sentences=4, seed=4)
    assert digests(other)["train/speaker01/0001.wav"] != digests(small)["train/speaker01/0001.wav"]


@pytest.mark.slow
@needs_espeak
def test_a_corpus_is_resumed_and_an_older_one_replaced(small, tmp_path):
    folder = corpus.make_corpus(tmp_path, speakers=4, sentences=4, seed=3)
    kept = folder / "train" / "speaker01" / "0002.wav"
    before = kept.stat().st_mtime_ns
    (folder / "train" / "speaker02" / "0003.wav").unlink()
    (folder / "train" / "mine").mkdir()
    corpus.make_corpus(folder, speakers=3, sentences=4, seed=3)
    assert kept.stat().st_mtime_ns == before
    assert digests(folder) == digests(small)
    assert (folder / "train" / "mine").is_dir()


@needs_espeak
def test_high_and_low_voices_alternate(small):
    import librosa

    medians = []
    for speaker in ("speaker01", "speaker02", "speaker03"):
        audio, rate = soundfile.read(small / "train" / speaker / "0001.wav")
        medians.append(float(np.median(librosa.yin(audio, fmin=60, fmax=500, sr=rate))))
    ratios = [left / right for left, right in pairwise(medians)]
    assert ratios[0] > 1.3
    assert ratios[1] < 1 / 1.3
