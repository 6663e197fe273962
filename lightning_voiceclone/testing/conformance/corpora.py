"""Checks that every corpus must pass."""

# ruff: noqa: D102 - a check's name describes it

from pathlib import Path

import pytest

from lightning_voiceclone.core.interfaces import Corpus, Recording
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.testing.conformance.part import PartConformance

SPLITS = {"", "train", "validation", "test"}


class CorpusConformance(PartConformance):
    """Recordings in one order, with paths below the root, a speaker and a known split; one line for a wrong root."""

    def lay_out(self, root: Path) -> None:
        """Write a small corpus of this kind into an empty folder; its recordings may be empty files."""
        raise NotImplementedError(f"{type(self).__name__} must override lay_out")

    def make(self, root: Path) -> Corpus:
        """The corpus in a folder; override it for one whose root is a file in it."""
        part = self.part(root, **self.arguments)
        assert isinstance(part, Corpus)
        return part

    def listed(self, root: Path) -> tuple[Corpus, list[Recording]]:
        """The corpus that :meth:`lay_out` writes, and its recordings."""
        root.mkdir()
        self.lay_out(root)
        corpus = self.make(root)
        return corpus, list(corpus.recordings())

    def test_the_same_order_each_time(self, tmp_path: Path) -> None:
        corpus, recordings = self.listed(tmp_path / "corpus")
        assert recordings
        assert list(corpus.recordings()) == recordings
        assert list(self.make(tmp_path / "corpus").recordings()) == recordings

    def test_paths_are_below_the_root(self, tmp_path: Path) -> None:
        corpus, recordings = self.listed(tmp_path / "corpus")
        for recording in recordings:
            path = Path(recording.path)
            assert not path.is_absolute(), f"{path} is not relative to the root"
            assert ".." not in path.parts
            assert (corpus.root / path).is_file(), f"there is no {path} below {corpus.root}"

    def test_each_recording_has_a_speaker_a_split_and_a_span(self, tmp_path: Path) -> None:
        for recording in self.listed(tmp_path / "corpus")[1]:
            assert isinstance(recording.speaker, str)
            assert recording.speaker
            assert isinstance(recording.text, str)
            assert recording.split in SPLITS
            assert recording.start >= 0
            assert recording.end is None or recording.end > recording.start

    def test_a_wrong_root_is_one_line_that_names_it(self, tmp_path: Path) -> None:
        with pytest.raises(ConfigurationError) as caught:
            list(self.make(tmp_path / "nowhere").recordings())
        assert str(tmp_path / "nowhere") in str(caught.value)
        assert "\n" not in str(caught.value)
