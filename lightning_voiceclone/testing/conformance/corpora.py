"""Checks that every corpus must pass."""

# ruff: noqa: D102 - a check's name describes it

from pathlib import Path

from lightning_voiceclone.core.interfaces import Corpus, Recording
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.testing.conformance.expect import expect, expect_refusal
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
        expect(bool(recordings), "the recordings of lay_out", "none")
        for again in (corpus, self.make(tmp_path / "corpus")):
            listed = list(again.recordings())
            same = listed == recordings
            expect(same, f"the same {len(recordings)} recordings in the same order", [item.path for item in listed][:6])

    def test_paths_are_below_the_root(self, tmp_path: Path) -> None:
        corpus, recordings = self.listed(tmp_path / "corpus")
        for recording in recordings:
            path = Path(recording.path)
            inside = not path.is_absolute() and ".." not in path.parts
            expect(inside, "paths relative to the root", path)
            expect((corpus.root / path).is_file(), f"a file {path} below the root", "none")

    def test_each_recording_has_a_speaker_a_split_and_a_span(self, tmp_path: Path) -> None:
        for recording in self.listed(tmp_path / "corpus")[1]:
            named = isinstance(recording.speaker, str) and bool(recording.speaker)
            expect(named, "the name of a speaker", repr(recording.speaker))
            expect(isinstance(recording.text, str), "a transcript, or an empty one", repr(recording.text))
            expect(recording.split in SPLITS, f"a split among {sorted(SPLITS)}", repr(recording.split))
            ends = recording.start >= 0 and (recording.end is None or recording.end > recording.start)
            expect(ends, "a span that begins at 0 or later and ends after it", (recording.start, recording.end))

    def test_a_wrong_root_is_one_line_that_names_it(self, tmp_path: Path) -> None:
        nowhere = tmp_path / "nowhere"
        expect_refusal(lambda: list(self.make(nowhere).recordings()), ConfigurationError, str(nowhere))
