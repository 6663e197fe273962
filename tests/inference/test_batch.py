"""Many recordings by one command: files, folders, tables, failures, and what was done before."""

import numpy as np
import pytest
import soundfile

from lightning_voiceclone.checkpoints.voice_folder import save_voice
from lightning_voiceclone.cli.main import main
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.inference.batch import convert_many
from lightning_voiceclone.inference.batch_jobs import CloneJob, clone_jobs, is_many
from lightning_voiceclone.inference.converter import Converter, load_model
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_voice


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, three sources in a folder, of which one is no recording, and two references."""
    folder = tmp_path_factory.mktemp("many")
    save_voice(small_voice(spread=0.3), folder / "model")
    (folder / "in" / "below").mkdir(parents=True)
    for index, name in enumerate(("in/a.wav", "in/below/b.wav", "r.wav", "s.wav")):
        soundfile.write(folder / name, speech_like(1.0 + index % 2, speaker=index).audio, 16000)
    (folder / "in" / "bad.wav").write_bytes(b"no sound")
    return folder


def convert(folder, jobs, output, notes, **settings):
    return convert_many(
        jobs, output, model={"path": folder / "model"}, options={"seed": 1}, note=notes.append, **settings
    )


@pytest.mark.slow
def test_one_bad_file_is_noted_and_the_rest_go_on_and_are_skipped_when_repeated(folder, tmp_path):
    jobs, line = clone_jobs([str(folder / "in")], [str(folder / "r.wav")], tmp_path)
    assert line == ""
    assert [job.output for job in jobs] == ["a.wav", "bad.wav", "below/b.wav"]
    notes = []
    summary = convert(folder, jobs, tmp_path, notes)
    assert (summary.converted, summary.skipped, summary.failed) == (2, 0, 1)
    failures = [note for note in notes if note.startswith("error: ")]
    assert failures[0].startswith(f"error: {tmp_path}/bad.wav was not made: {folder}/in/bad.wav: not audio")
    model = load_model(folder / "model")
    expected = model.convert(folder / "in/below/b.wav", model.speaker(folder / "r.wav"), seed=1).samples.numpy()
    made = soundfile.read(tmp_path / "below/b.wav", dtype="float32")[0]
    assert np.abs(made - expected).max() <= 2**-16 + 1e-7
    again = convert(folder, jobs, tmp_path, notes)
    assert (again.converted, again.skipped, again.failed) == (0, 2, 1)
    (tmp_path / "a.wav").unlink()
    assert convert(folder, jobs, tmp_path, notes).converted == 1
    other, _ = clone_jobs([str(folder / "in")], [str(folder / "s.wav")], tmp_path)
    assert convert(folder, other, tmp_path, notes).converted == 2
    assert str(again) == "0 converted, 2 skipped as done before, 1 failed"


@pytest.mark.slow
def test_each_reference_is_analysed_once(folder, tmp_path, monkeypatch):
    analysed, speaker = [], Converter.speaker
    monkeypatch.setattr(Converter, "speaker", lambda self, *paths: analysed.append(paths) or speaker(self, *paths))
    source, one, two = (str(folder / name) for name in ("in/a.wav", "r.wav", "s.wav"))
    jobs = [CloneJob(source, (who,), f"{index}.wav") for index, who in enumerate((one, two, one, two, one))]
    assert convert(folder, jobs, tmp_path, []).converted == 5
    assert sorted(analysed) == [(one,), (two,)]


@pytest.mark.slow
def test_a_reference_that_cannot_be_used_fails_its_own_rows(folder, tmp_path):
    soundfile.write(tmp_path / "silent.wav", np.zeros(16000), 16000)
    source = str(folder / "in/a.wav")
    jobs = [CloneJob(source, (str(tmp_path / "silent.wav"),), "c.wav"),
            CloneJob(source, (str(folder / "missing.wav"),), "d.wav"),
            CloneJob(source, (str(folder / "r.wav"),), "e.wav")]  # fmt: skip
    notes = []
    summary = convert(folder, jobs, tmp_path / "out", notes)
    assert (summary.converted, summary.failed) == (1, 2)
    assert "is silent" in notes[0]
    assert "missing.wav: " in notes[1]


def test_tables_name_source_reference_and_output(folder, tmp_path):
    rows = [("source", "reference", "output"), ("in/a.wav", "r.wav", "x/one.flac"), ("in/a.wav", "s.wav", "two.wav")]
    for suffix, delimiter in ((".tsv", "\t"), (".csv", ",")):
        table = folder / f"table{suffix}"
        table.write_text("\n".join(delimiter.join(row) for row in rows) + "\n")
        assert is_many([str(table)])
        jobs, _ = clone_jobs([str(table)], [], tmp_path)
        assert jobs == [CloneJob(str(folder / "in/a.wav"), (str(folder / "r.wav"),), "x/one.flac"),
                        CloneJob(str(folder / "in/a.wav"), (str(folder / "s.wav"),), "two.wav")]  # fmt: skip
    table.write_text("source\nin/a.wav\n")
    assert clone_jobs([str(table)], ["r.wav"], tmp_path)[0] == [CloneJob(str(folder / "in/a.wav"), ("r.wav",), "a.wav")]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("sources,reference\na,b\n", r"has no column source \(did you mean sources\?\)"),
        ("source,other\na.wav,b\n", "has no column reference"),
        ("source,reference,output\na.wav,b.wav,../c.wav\n", r"line 2: the output '\.\./c\.wav' must be a path below"),
        ("source,reference,output\na.wav,b.wav,c.mp3\n", r"ends in \.wav or \.flac"),
        ("source,reference\na.wav,\n", "line 2: the reference is ''; every row needs a path"),
        ("source,reference\na.wav,b.wav\nx/a.wav,b.wav\n", "would both be written to"),
        ("source,reference\n", "has no recordings to convert"),
    ],
)
def test_tables_that_cannot_work_are_refused(tmp_path, text, words):
    (tmp_path / "t.csv").write_text(text)
    with pytest.raises(ConfigurationError, match=words):
        clone_jobs([str(tmp_path / "t.csv")], [], tmp_path / "out")


def test_no_output_replaces_an_input(folder):
    with pytest.raises(ConfigurationError, match="is an input, too, and would be replaced"):
        clone_jobs([str(folder / "r.wav"), str(folder / "in/a.wav")], [str(folder / "s.wav")], folder)


@pytest.mark.slow
def test_the_command_takes_several_files_by_two_processes(folder, tmp_path, capsys):
    (tmp_path / "bad.wav").write_bytes(b"no sound")
    argv = ["clone", "--checkpoint", str(folder / "model"), "--source", str(folder / "in/a.wav"),
            str(folder / "in/below/b.wav"), str(tmp_path / "bad.wav"), "--reference", str(folder / "r.wav"),
            "--output", str(tmp_path / "out"), "--jobs", "2"]  # fmt: skip
    assert main(argv) == 1
    printed = capsys.readouterr()
    assert printed.out == f"{tmp_path}/out: 2 converted, 0 skipped as done before, 1 failed\n"
    assert sum(line.startswith("error: ") for line in printed.err.splitlines()) == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".lvc-clones.jsonl", "a.wav", "b.wav"]
    assert main([*argv[:-1], "0"]) == 2
    (tmp_path / "file").touch()
    assert main([*argv[:-3], str(tmp_path / "file"), "--jobs", "1"]) == 2
    assert "is a file; for several sources, name a folder" in capsys.readouterr().err
