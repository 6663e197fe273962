from pathlib import Path

import pytest
import torchaudio

from lightning_voiceclone.core import registry
from lightning_voiceclone.core.interfaces import Recording
from lightning_voiceclone.data.corpora import VCTK, LibriSpeech, LibriTTS, LJSpeech, SpeakerFolders, Table
from lightning_voiceclone.errors import ConfigurationError

SPEECH = Path(__file__).parents[2].parent / "shared" / "speech"


def tree(root, files):
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def librispeech(tmp_path):
    return tree(
        tmp_path / "LibriSpeech",
        {
            "SPEAKERS.TXT": ";ID",
            "train-clean-100/19/198/19-198-0001.flac": "",
            "train-clean-100/19/198/19-198-0000.flac": "",
            "train-clean-100/19/198/19-198.trans.txt": "19-198-0000 ONE\n19-198-0001 TWO WORDS\n",
            "train-clean-100/103/7/103-7-0000.mp3": "",
            "test-other/367/1/367-1-0000.flac": "",
            "dev-clean/84/1/84-1-0000.flac": "",
        },
    )


def test_librispeech_by_its_folder_or_the_one_above(librispeech):
    expected = [
        Recording("dev-clean/84/1/84-1-0000.flac", "84", "", split="validation"),
        Recording("test-other/367/1/367-1-0000.flac", "367", "", split="test"),
        Recording("train-clean-100/103/7/103-7-0000.mp3", "103", ""),
        Recording("train-clean-100/19/198/19-198-0000.flac", "19", "ONE"),
        Recording("train-clean-100/19/198/19-198-0001.flac", "19", "TWO WORDS"),
    ]
    for root in (librispeech, librispeech.parent, str(librispeech)):
        corpus = LibriSpeech(root)
        assert list(corpus.recordings()) == expected
        assert corpus.root == librispeech
    assert list(LibriSpeech(librispeech, subsets=["dev-clean"]).recordings()) == expected[:1]
    assert {r.split for r in LibriSpeech(librispeech, declare_splits=False).recordings()} == {""}


def test_librispeech_of_a_wrong_root_or_subset(librispeech, tmp_path):
    with pytest.raises(ConfigurationError, match=r"no subset train-clean-360; it has dev-clean, test-other, train"):
        list(LibriSpeech(librispeech, subsets=["train-clean-360"]).recordings())
    for root in (tmp_path / "nowhere", tmp_path / "LibriSpeech" / "dev-clean", librispeech / "SPEAKERS.TXT"):
        with pytest.raises(ConfigurationError, match="--download") as caught:
            list(LibriSpeech(root).recordings())
        assert str(root) in str(caught.value)
        assert "\n" not in str(caught.value)


@pytest.mark.skipif(not (SPEECH / "LibriSpeech").is_dir(), reason="the real LibriSpeech is not beside the repository")
def test_real_librispeech():
    flac = list(LibriSpeech(SPEECH / "LibriSpeech", subsets=["train-clean-100"]).recordings())
    assert (len(flac), len({r.speaker for r in flac}), {r.text for r in flac}) == (247, 247, {""})
    assert {r.split for r in LibriSpeech(SPEECH, subsets=["test-other"]).recordings()} == {"test"}
    mp3 = list(LibriSpeech(SPEECH / "LibriSpeech-mp3").recordings())
    assert len(mp3) == 1313
    assert all(r.text and r.split == "validation" for r in mp3)


def test_libritts(tmp_path):
    tree(
        tmp_path / "LibriTTS" / "train-clean-100" / "19" / "198",
        {"19_198_0_0.wav": "", "19_198_0_0.normalized.txt": "One.\n", "19_198_0_0.original.txt": "1."},
    )
    path = "train-clean-100/19/198/19_198_0_0.wav"
    assert list(LibriTTS(tmp_path).recordings()) == [Recording(path, "19", "One.")]


def test_vctk_of_both_versions(tmp_path):
    tree(
        tmp_path / "VCTK-Corpus-0.92",
        {
            "wav48_silence_trimmed/p225/p225_001_mic1.flac": "",
            "wav48_silence_trimmed/p225/p225_001_mic2.flac": "",
            "wav48_silence_trimmed/p280/p280_001_mic1.flac": "",
            "wav48_silence_trimmed/log.txt": "",
            "txt/p225/p225_001.txt": "Please call Stella.\n",
        },
    )
    first = "wav48_silence_trimmed/p225/p225_001_mic{}.flac"
    text = "Please call Stella."
    assert list(VCTK(tmp_path).recordings()) == [Recording(first.format(2), "p225", text)]
    assert [r.speaker for r in VCTK(tmp_path / "VCTK-Corpus-0.92", microphone="mic1").recordings()] == ["p225", "p280"]
    tree(tmp_path / "old", {"wav48/p225/p225_001.wav": "", "txt/p225/p225_001.txt": text})
    assert list(VCTK(tmp_path / "old").recordings()) == [Recording("wav48/p225/p225_001.wav", "p225", text)]
    with pytest.raises(ConfigurationError, match="mic3"):
        VCTK(tmp_path, microphone="mic3")


def test_ljspeech_with_and_without_texts(tmp_path):
    tree(tmp_path / "LJSpeech-1.1", {"wavs/LJ001-0001.wav": "", "wavs/LJ001-0002.wav": ""})
    assert [r.text for r in LJSpeech(tmp_path).recordings()] == ["", ""]
    tree(tmp_path / "LJSpeech-1.1", {"metadata.csv": 'LJ001-0001|No. 1|"Number one\n'})
    assert list(LJSpeech(tmp_path / "LJSpeech-1.1").recordings()) == [
        Recording("wavs/LJ001-0001.wav", "LJ", '"Number one'),
        Recording("wavs/LJ001-0002.wav", "LJ", ""),
    ]


def test_speaker_folders_at_any_depth(tmp_path):
    tree(
        tmp_path,
        {
            "b/one.wav": "", "b/one.txt": "Hello", "b/deep/er/two.OGG": "", "a/x.mp3": "", "a/notes.md": "",
            "a/.hidden.wav": "", ".git/c.wav": "", "loose.wav": "", "c/unsupported.m4a": "",
        },
    )  # fmt: skip
    assert list(SpeakerFolders(tmp_path).recordings()) == [
        Recording("a/x.mp3", "a"),
        Recording("b/deep/er/two.OGG", "b"),
        Recording("b/one.wav", "b", "Hello"),
        Recording("c/unsupported.m4a", "c"),
    ]


@pytest.mark.parametrize(
    ("corpus", "told"),
    [
        (SpeakerFolders, "not there"),
        (Table, "no table"),
        (VCTK, "lvc prepare VCTK"),
        (LJSpeech, "lvc prepare LJSpeech"),
        (LibriTTS, "lvc prepare LibriTTS"),
    ],
)
def test_a_missing_root_is_reported_in_one_line(tmp_path, corpus, told):
    with pytest.raises(ConfigurationError, match=told) as caught:
        list(corpus(tmp_path / "nowhere").recordings())
    assert "nowhere" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_speaker_folders_without_recordings(tmp_path):
    tree(tmp_path, {"a/notes.txt": "", "loose.wav": ""})
    with pytest.raises(ConfigurationError, match="one folder for each speaker"):
        list(SpeakerFolders(tmp_path).recordings())


def test_tables_with_tabs_and_commas(tmp_path):
    tree(
        tmp_path,
        {
            "a.tsv": '\ufeffspeaker\tpath\tstart\tend\tsplit\tmore\nAnn\ta/1.wav\t0.5\t2\ttest\tx\nBob\t2.wav\n',
            "a.csv": 'path,speaker,text,parallel,style\n1.wav,Ann,"Well, ""yes""",/abs/2.wav,sad\n/abs/2.wav,Bob,,,\n',
        },
    )  # fmt: skip
    table = Table(tmp_path / "a.tsv")
    assert list(table.recordings()) == [
        Recording("a/1.wav", "Ann", "", 0.5, 2.0, "test"),
        Recording("2.wav", "Bob"),
    ]
    assert table.root == tmp_path
    assert list(Table(tmp_path / "a.csv").recordings()) == [
        Recording("1.wav", "Ann", 'Well, "yes"', parallel="/abs/2.wav", style="sad"),
        Recording("/abs/2.wav", "Bob"),
    ]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("path\ttext\na\tb\n", "no column speaker"),
        ("", "no column path and speaker"),
        ("path\tspeaker\na.wav\t\n", "line 2: path or speaker is empty"),
        ("path\tspeaker\tstart\na.wav\tb\tsoon\n", "line 2: start 'soon'"),
        ("path\tspeaker\tstart\tend\na.wav\tb\t2\t1\n", "the end after the start"),
        ("path\tspeaker\tstart\na.wav\tb\tnan\n", "start 'nan'"),
        ("path\tspeaker\tsplit\na.wav\tb\tdev\n", "'dev'; use train, validation, test"),
    ],
)
def test_a_wrong_table_is_reported_with_its_line(tmp_path, text, told):
    (tmp_path / "a.tsv").write_text(text)
    with pytest.raises(ConfigurationError, match=told):
        list(Table(tmp_path / "a.tsv").recordings())


def test_a_table_that_is_no_text(tmp_path):
    (tmp_path / "a.tsv").write_bytes(b"\xff\xfe\x00path")
    with pytest.raises(ConfigurationError, match="UTF-8"):
        list(Table(tmp_path / "a.tsv").recordings())


@pytest.fixture
def fetched(monkeypatch):
    """Stands for torchaudio.datasets: makes the folder that the real class would, and keeps what it was asked."""
    asked = []

    def stand_in(name, folder, file):
        def construct(root, url="", download=False):
            asked.append((name, url, download))
            tree(Path(root) / folder / url, {file: "x"})
            (Path(root) / "archive.tar.gz").touch()

        monkeypatch.setattr(torchaudio.datasets, name, construct)

    stand_in("LIBRISPEECH", "LibriSpeech", "19/198/19-198-0000.flac")
    stand_in("LIBRITTS", "LibriTTS", "19/198/19_198_0_0.wav")
    stand_in("VCTK_092", "VCTK-Corpus-0.92", "wav48_silence_trimmed/p225/p225_001_mic2.flac")
    stand_in("LJSPEECH", "LJSpeech-1.1", "wavs/LJ001-0001.wav")
    return asked


@pytest.mark.parametrize(("corpus", "name"), [(VCTK, "VCTK_092"), (LJSpeech, "LJSPEECH")])
def test_whole_corpora_are_fetched_once(tmp_path, fetched, corpus, name):
    root = tmp_path / "new"
    for _ in range(2):
        corpus.download(root)
    assert fetched == [(name, "", True)]
    assert len(list(corpus(root).recordings())) == 1
    assert [path.name for path in root.iterdir()] == [corpus.folder]


@pytest.mark.parametrize(("corpus", "name"), [(LibriSpeech, "LIBRISPEECH"), (LibriTTS, "LIBRITTS")])
def test_subsets_are_fetched_that_are_not_there(tmp_path, fetched, corpus, name):
    for root in (tmp_path, tmp_path / corpus.folder):
        corpus.download(root, subsets=["dev-clean", "test-clean"])
    corpus.download(tmp_path)
    assert fetched == [(name, subset, True) for subset in ("dev-clean", "test-clean", "train-clean-100")]
    assert {r.split for r in corpus(tmp_path).recordings()} == {"validation", "test", ""}
    assert [path.name for path in tmp_path.iterdir()] == [corpus.folder]


def test_an_interrupted_download_leaves_nothing(tmp_path, monkeypatch):
    def fail(root, url, download):
        tree(Path(root) / "LibriSpeech" / url, {"19/198/half.flac": "x"})
        raise OSError("<urlopen error\n[Errno -3] Temporary failure in name resolution>")

    monkeypatch.setattr(torchaudio.datasets, "LIBRISPEECH", fail)
    with pytest.raises(ConfigurationError, match=r"could not be fetched.*name resolution.*check the network") as caught:
        LibriSpeech.download(tmp_path)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_corpora_without_a_download_are_refused(tmp_path):
    for corpus in (SpeakerFolders, Table):
        with pytest.raises(ConfigurationError, match="no download"):
            corpus.download(tmp_path)


@pytest.mark.parametrize("name", ["LibriSpeech", "LibriTTS", "VCTK", "LJSpeech", "SpeakerFolders", "Table"])
def test_corpora_are_installed_plugins(name):
    assert registry.find("corpora", name).load().kind == "corpora"


def test_a_byte_order_mark_loses_no_text(tmp_path):
    (tmp_path / "wavs").mkdir()
    (tmp_path / "wavs" / "LJ001-0001.wav").touch()
    (tmp_path / "metadata.csv").write_bytes("\ufeffLJ001-0001|One|one".encode())
    assert [found.text for found in LJSpeech(tmp_path).recordings()] == ["one"]


def test_a_latin_1_transcript_is_read(tmp_path):
    (tmp_path / "ann").mkdir()
    (tmp_path / "ann" / "a.wav").touch()
    (tmp_path / "ann" / "a.txt").write_bytes("déjà".encode("latin-1"))
    assert [found.text for found in SpeakerFolders(tmp_path).recordings()] == ["déjà"]


def test_numbers_name_speakers(tmp_path):
    (tmp_path / "t.tsv").write_text("path\tspeaker\na.wav\t1688\nb.wav\t1998\n")
    assert [found.path for found in Table(tmp_path / "t.tsv", where={"speaker": [1998]}).recordings()] == ["b.wav"]


def test_recordings_beside_the_speakers_and_own_output_are_counted(tmp_path):
    for name in ("ann/a.wav", "loose.wav", "out/audio/ann/b.wav", "out/.lock"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    corpus = SpeakerFolders(tmp_path)
    assert [found.path for found in corpus.recordings()] == ["ann/a.wav"]
    assert sorted(corpus.passed_over.values()) == [1, 1]
