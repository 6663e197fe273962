"""The corpora that ship, and faults that the checks of a corpus must catch."""

from pathlib import Path

import pytest

from lightning_voiceclone.core import registry
from lightning_voiceclone.core.interfaces import Corpus, Recording
from lightning_voiceclone.data.corpora import VCTK, LibriSpeech, LibriTTS, LJSpeech, SpeakerFolders, Table
from lightning_voiceclone.testing.conformance import CorpusConformance


class OfFiles(CorpusConformance):
    """Of files with these contents, by path."""

    files = {}

    def lay_out(self, root):
        for name, text in self.files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


class TestLibriSpeech(OfFiles):
    part = LibriSpeech
    files = {
        "LibriSpeech/train-clean-100/19/198/19-198-0001.flac": "",
        "LibriSpeech/train-clean-100/19/198/19-198.trans.txt": "19-198-0001 TWO WORDS\n",
        "LibriSpeech/test-other/367/1/367-1-0000.flac": "",
    }


class TestLibriTTS(OfFiles):
    part = LibriTTS
    files = {
        "LibriTTS/train-clean-100/19/198/19_198_0_0.wav": "",
        "LibriTTS/dev-clean/84/1/84_1_0_0.wav": "",
    }


class TestVCTK(OfFiles):
    part = VCTK
    files = {"wav48/p225/p225_001.wav": "", "txt/p225/p225_001.txt": "Please.", "wav48/p226/p226_001.wav": ""}


class TestLJSpeech(OfFiles):
    part = LJSpeech
    files = {"LJSpeech-1.1/wavs/LJ001-0002.wav": "", "LJSpeech-1.1/wavs/LJ001-0001.wav": ""}


class TestSpeakerFolders(OfFiles):
    part = SpeakerFolders
    files = {"b/one.wav": "", "b/deep/two.ogg": "", "a/x.mp3": ""}


class TestTable(OfFiles):
    part = Table
    files = {"a.tsv": "path\tspeaker\tend\n1.wav\tAnn\t2\nb/2.wav\tBob\t\n", "1.wav": "", "b/2.wav": ""}

    def make(self, root):
        return super().make(root / "a.tsv")


def test_all_that_ship_are_tested():
    shipped = {plugin.name for plugin in registry.installed() if plugin.kind == "corpora"}
    tested = {cls.part.__name__ for cls in OfFiles.__subclasses__() if cls.__name__.startswith("Test")}
    assert tested == shipped


class FaultyCorpus(Corpus):
    """Another order each time, paths from the file system's root, nobody who speaks, and no root that is wrong."""

    listed = 0

    def __init__(self, root):
        super().__init__()
        self.root = Path(root)

    def recordings(self):
        type(self).listed += 1
        found = sorted(self.root.rglob("*.wav"), reverse=bool(type(self).listed % 2))
        yield from (Recording(str(path), "", split="dev") for path in found)


class Faulty(OfFiles):
    part = FaultyCorpus
    files = {"a.wav": "", "b.wav": ""}


@pytest.mark.parametrize(
    ("check", "fault"),
    [
        ("test_the_same_order_each_time", "expected the same 2 recordings in the same order"),
        ("test_paths_are_below_the_root", "expected paths relative to the root"),
        ("test_each_recording_has_a_speaker_a_split_and_a_span", "expected the name of a speaker"),
        ("test_a_wrong_root_is_one_line_that_names_it", "got no error"),
    ],
)
def test_faulty_corpus_is_caught(tmp_path, check, fault):
    with pytest.raises((AssertionError, pytest.fail.Exception), match=fault):
        getattr(Faulty(), check)(tmp_path)
