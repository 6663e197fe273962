"""Readers of corpora on disk: recordings with their speakers and transcripts."""

import collections
import csv
import re
from abc import abstractmethod
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TextIO

from lightning_voiceclone.audio.folders import DECODED, FORMATS, MADE, OTHERS, recordings_below
from lightning_voiceclone.core.interfaces import Corpus, Recording
from lightning_voiceclone.data import downloading
from lightning_voiceclone.data.manifest_file import MOST_SECONDS
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.utils.output_folder import is_output
from lightning_voiceclone.utils.reading import bounded_bytes, excerpt

BESIDE = "beside the speakers' folders"
TABLE_COLUMNS = ("path", "speaker", "text", "start", "end", "split", "parallel", "style")
MOST_TEXT = 1 << 26  # bytes of a file of transcripts
MOST_LINE = 1 << 20  # characters of a table's line; csv allows 131,072 in a cell


def _recordings_below(folder: Path, pattern: str) -> list[Path]:
    found = (path for path in folder.glob(pattern) if path.suffix.lower() in DECODED | OTHERS)
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def _text(path: Path) -> str:
    if not path.is_file():
        return ""
    data = bounded_bytes(path, MOST_TEXT, "split it")
    try:
        return data.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace").strip()  # what older programs wrote, Latin-1 among it


def _find_root(root: Path, folder: str, looks_right: Callable[[Path], bool], remedy: str) -> Path:
    """``root`` itself, or ``folder`` inside it."""
    for candidate in (root, root / folder):
        if candidate.is_dir() and looks_right(candidate):
            return candidate
    state = "does not look like it" if root.is_dir() else "is a file" if root.exists() else "does not exist"
    raise ConfigurationError(f"no {folder} at {root}, which {state}; {remedy}")


class _Subsets(Corpus):
    """Base of LibriSpeech and LibriTTS: subset/speaker/chapter/utterance, dev and test declared by the subset."""

    folder: str
    subset_pattern = re.compile(r"(train|dev|test)-(clean|other)(-\d+)?")

    def __init__(
        self, root: str | Path, *, subsets: str | list[str] | None = None, declare_splits: bool = True
    ) -> None:
        super().__init__()
        self.root = Path(root)
        self.subsets = [subsets] if isinstance(subsets, str) else subsets
        self.declare_splits = declare_splits

    def _present(self, folder: Path) -> list[str]:
        return sorted(p.name for p in folder.iterdir() if p.is_dir() and self.subset_pattern.fullmatch(p.name))

    def recordings(self) -> Iterator[Recording]:
        """Recordings by subset, speaker, chapter and utterance."""
        name = type(self).__name__
        self.root = _find_root(
            self.root, self.folder, lambda folder: bool(self._present(folder)),
            f"name the folder that holds train-clean-100 and the like (--data.root in lvc fit), or fetch it:"
            f" lvc prepare {name} {self.root} --output DIR --download",
        )  # fmt: skip
        present = self._present(self.root)
        if missing := [subset for subset in self.subsets or () if subset not in present]:
            raise ConfigurationError(f"{self.root} has no subset {', '.join(missing)}; it has {', '.join(present)}")
        for subset in self.subsets or present:
            declared = {"dev": "validation", "test": "test"} if self.declare_splits else {}
            split = declared.get(subset.partition("-")[0], "")
            for path in _recordings_below(self.root / subset, "*/*/*"):
                text, speaker = self._transcript(path), path.parts[-3]
                yield Recording(path.relative_to(self.root).as_posix(), speaker, text, split=split)

    @abstractmethod
    def _transcript(self, path: Path) -> str:
        """Transcript of the recording; empty where unknown."""

    @classmethod
    def download(cls, root: Path, **options: Any) -> None:
        """Fetch subsets (option ``subsets``; train-clean-100 by default) by torchaudio, those that are not there.

        Raises:
            ConfigurationError: if fetching fails, or torchaudio does not know a subset.
        """
        base = root.parent if root.name == cls.folder else root
        for subset in options.get("subsets") or ["train-clean-100"]:
            downloading.fetch_subset(cls.__name__.upper(), base, cls.folder, subset)


class LibriSpeech(_Subsets):
    """LibriSpeech (Panayotov et al. 2015), as FLAC or as MP3, whole or in part.

    Args:
        root: the folder LibriSpeech, or the one that holds it.
        subsets: such as train-clean-100; all that are present by default.
        declare_splits: whether dev-* is for validation and test-* for the test; else all are shared out alike.
    """

    folder = "LibriSpeech"

    def __init__(
        self, root: str | Path, *, subsets: str | list[str] | None = None, declare_splits: bool = True
    ) -> None:
        super().__init__(root, subsets=subsets, declare_splits=declare_splits)
        self._chapter: tuple[Path, dict[str, str]] = (Path(), {})

    def _transcript(self, path: Path) -> str:
        if self._chapter[0] != path.parent:
            lines = _text(path.parent / f"{path.parts[-3]}-{path.parts[-2]}.trans.txt").splitlines()
            self._chapter = path.parent, {line.partition(" ")[0]: line.partition(" ")[2] for line in lines}
        return self._chapter[1].get(path.stem, "")


class LibriTTS(_Subsets):
    """LibriTTS (Zen et al. 2019), with the normalised text.

    Args:
        root: the folder LibriTTS, or the one that holds it.
        subsets: such as train-clean-100; all that are present by default.
        declare_splits: whether dev-* is for validation and test-* for the test; else all are shared out alike.
    """

    folder = "LibriTTS"

    def _transcript(self, path: Path) -> str:
        return _text(path.with_suffix(".normalized.txt"))


class VCTK(Corpus):
    """VCTK 0.92 (Yamagishi et al. 2019), or 0.80 with its folder wav48.

    Args:
        root: the folder VCTK-Corpus-0.92, or the one that holds it.
        microphone: mic1 or mic2, of 0.92; utterances without a recording of this microphone are left out.
    """

    folder = "VCTK-Corpus-0.92"
    audio_folders = ("wav48_silence_trimmed", "wav48")

    def __init__(self, root: str | Path, *, microphone: str = "mic2") -> None:
        super().__init__()
        if microphone not in {"mic1", "mic2"}:
            raise ConfigurationError(f"microphone is {microphone!r}; VCTK has mic1 and mic2")
        self.root = Path(root)
        self.microphone = microphone

    def recordings(self) -> Iterator[Recording]:
        """Recordings by speaker and number."""
        self.root = _find_root(
            self.root, self.folder, lambda folder: any((folder / name).is_dir() for name in self.audio_folders),
            f"name the folder that holds {self.audio_folders[0]} and txt, or fetch it: lvc prepare VCTK {self.root}"
            " --output DIR --download",
        )  # fmt: skip
        audio = next(self.root / name for name in self.audio_folders if (self.root / name).is_dir())
        for path in _recordings_below(audio, "*/*"):
            utterance, _, microphone = path.stem.partition("_mic")
            if microphone and f"mic{microphone}" != self.microphone:
                continue
            text = _text(self.root / "txt" / path.parent.name / f"{utterance}.txt")
            yield Recording(path.relative_to(self.root).as_posix(), path.parent.name, text)

    @classmethod
    def download(cls, root: Path, **options: Any) -> None:
        """Fetch it by torchaudio, unless it is there.

        Raises:
            ConfigurationError: if fetching fails.
        """
        downloading.fetch_whole("VCTK_092", root.parent if root.name == cls.folder else root, cls.folder)


class LJSpeech(Corpus):
    """LJSpeech 1.1 (Ito and Johnson 2017): one speaker, LJ.

    Args:
        root: the folder LJSpeech-1.1, with wavs and (for the texts) metadata.csv, or the one that holds it.
    """

    folder = "LJSpeech-1.1"

    def __init__(self, root: str | Path) -> None:
        super().__init__()
        self.root = Path(root)

    def recordings(self) -> Iterator[Recording]:
        """Recordings by number, with the normalised text."""
        self.root = _find_root(
            self.root, self.folder, lambda folder: (folder / "wavs").is_dir(),
            f"name the folder that holds wavs, or fetch it: lvc prepare LJSpeech {self.root} --output DIR --download",
        )  # fmt: skip
        lines = (line.split("|") for line in _text(self.root / "metadata.csv").splitlines())
        texts = {line[0]: line[-1] for line in lines}
        for path in _recordings_below(self.root / "wavs", "*"):
            yield Recording(path.relative_to(self.root).as_posix(), "LJ", texts.get(path.stem, ""))

    @classmethod
    def download(cls, root: Path, **options: Any) -> None:
        """Fetch it by torchaudio, unless it is there.

        Raises:
            ConfigurationError: if fetching fails.
        """
        downloading.fetch_whole("LJSPEECH", root.parent if root.name == cls.folder else root, cls.folder)


class SpeakerFolders(Corpus):
    """A folder with one folder for each speaker, of recordings at any depth; a .txt beside one is its text.

    Args:
        root: the folder that holds the speakers' folders.
    """

    def __init__(self, root: str | Path) -> None:
        super().__init__()
        self.root = Path(root)

    def recordings(self) -> Iterator[Recording]:
        """Recordings by speaker and path."""
        if not self.root.is_dir():
            state = "a file" if self.root.exists() else "not there"
            raise ConfigurationError(f"{self.root} is {state}; name a folder with one folder for each speaker")
        empty = True
        loose = [path for path in self.root.iterdir() if path.suffix.lower() in DECODED | OTHERS and path.is_file()]
        self.passed_over = collections.Counter({BESIDE: len(loose)} if loose else {})
        for folder in sorted(path for path in self.root.iterdir() if path.is_dir() and path.name[0] != "."):
            found, passed = recordings_below(folder, others=True)
            if is_output(folder):
                found, passed = [], collections.Counter({MADE: len(found) + sum(passed.values())})
            self.passed_over += passed
            for path in found:
                empty = False
                yield Recording(path.relative_to(self.root).as_posix(), folder.name, _text(path.with_suffix(".txt")))
        if empty:
            raise ConfigurationError(
                f"no folder in {self.root} has recordings ({FORMATS}); it needs one folder for each speaker"
            )


def _lines(file: TextIO) -> Iterator[str]:
    """Lines, none of them longer than ``MOST_LINE``.

    Raises:
        csv.Error: if one is.
    """
    while line := file.readline(MOST_LINE):
        if len(line) == MOST_LINE and not line.endswith("\n"):
            raise csv.Error(f"it has more than {MOST_LINE} characters")
        yield line


class Table(Corpus):
    """A TSV or CSV with a header: path and speaker, and perhaps text, start, end (seconds), split, parallel and style.

    ``parallel`` is the path of another line's recording, with the same words at the same times in another voice;
    ``style`` is how it is said, as a style encoder reads it, such as happy.
    Paths are relative to the table's folder, or absolute; further columns are used by ``where`` only.

    Args:
        root: of the table's file; commas separate if it ends in .csv, tabs otherwise.
        where: take only the lines that have, in each of these columns, one of these values; null for all lines.
    """

    def __init__(self, root: str | Path, where: dict[str, list[str | int]] | None = None) -> None:
        super().__init__()
        self.where = {column: [str(value) for value in values] for column, values in (where or {}).items()}
        self.table = Path(root)
        self.root = self.table.parent

    def recordings(self) -> Iterator[Recording]:
        """Recordings in the table's order."""
        if not self.table.is_file():
            raise ConfigurationError(f"there is no table at {self.table}; name a TSV or CSV file with path and speaker")
        tabs = self.table.suffix.lower() != ".csv"
        rows: csv.DictReader[str] | None = None
        try:
            with self.table.open(encoding="utf-8-sig", newline="") as file:
                options: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE} if tabs else {}
                rows = csv.DictReader(_lines(file), strict=True, **options)
                self._check_header(rows.fieldnames or ())
                for row in rows:
                    if all(row[column] in values for column, values in self.where.items()):
                        yield self._recording(row, rows.line_num)
        except UnicodeDecodeError as error:
            raise ConfigurationError(
                f"{self.table} is not UTF-8: {error.reason} at byte {error.start} of a block; save it as UTF-8"
            ) from error
        except csv.Error as error:
            raise ConfigurationError(
                f"{self.table}, line {rows.line_num if rows else 1}: {error}; mend its quotes, or use tabs (.tsv)"
            ) from error

    def _check_header(self, names: Sequence[str]) -> None:
        if missing := [name for name in TABLE_COLUMNS[:2] if name not in names]:
            raise ConfigurationError(
                f"{self.table} has no column {' and '.join(missing)}: its first line must name the columns, of which"
                f" {', '.join(TABLE_COLUMNS)} are known; it is {', '.join(names)[:100]!r}"
            )
        if twice := sorted({name for name in (*TABLE_COLUMNS, *self.where) if names.count(name) > 1}):
            raise ConfigurationError(f"{self.table} has two columns {twice[0]}; remove or rename one of them")
        if missing := [name for name in self.where if name not in names]:
            raise ConfigurationError(
                f"{self.table} has no column {' and '.join(missing)}, which where asks for; it has"
                f" {excerpt(', '.join(names))}"
            )

    def _recording(self, row: dict[str, str | None], line: int) -> Recording:
        value = {name: (row.get(name) or "").strip() for name in TABLE_COLUMNS}
        if not value["path"] or not value["speaker"]:
            raise ConfigurationError(f"{self.table}, line {line}: path or speaker is empty; fill both in")
        if bad := [name for name in ("path", "speaker") if "\0" in value[name]]:
            raise ConfigurationError(
                f"{self.table}, line {line}: {bad[0]} is {value[bad[0]][:100]!r}, which has a NUL; take it out"
            )
        try:
            start, end = float(value["start"] or 0), float(value["end"]) if value["end"] else None
            if not 0 <= start <= MOST_SECONDS or (end is not None and not start < end <= MOST_SECONDS):
                raise ValueError
        except ValueError:
            raise ConfigurationError(
                f"{self.table}, line {line}: start {value['start'][:30]!r} and end {value['end'][:30]!r} must be"
                f" seconds from 0 to {MOST_SECONDS:.0f}, the end after the start"
            ) from None
        if value["split"] not in {"", "train", "validation", "test"}:
            raise ConfigurationError(
                f"{self.table}, line {line}: split is {value['split'][:30]!r}; use train, validation, test or nothing"
            )
        named = {name: value[name] for name in ("path", "speaker", "text", "split", "parallel", "style")}
        return Recording(start=start, end=end, **named)
