"""Export to ONNX, and the export beside the model: as a whole, in chunks, from the shell, and without torch."""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import threading
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from lightning_voiceclone.checkpoints.voice_folder import save_voice
from lightning_voiceclone.cli import main as cli
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError, LVCError
from lightning_voiceclone.inference import converter, long_source, recordings
from lightning_voiceclone.inference.converter import Converter
from lightning_voiceclone.inference.export import folder as exporting
from lightning_voiceclone.networks.content_encoders.transformer import TransformerContentEncoder
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_streaming_voice, small_voice
from lightning_voiceclone.utils.locked_output import locked_output
from lightning_voiceclone.utils.torch_internals import open_to_one

runtime = pytest.importorskip("lvc_runtime", reason="lvc-runtime is not installed")
pytest.importorskip("onnxscript", reason="onnxscript is not installed")

ROOT = Path(__file__).parents[2]
RATE, LIMIT = 16000, 1e-4
SOURCE, REFERENCE = speech_like(4.0).audio, speech_like(2.0, speaker=1, seed=1).audio


@pytest.fixture(scope="module")
def model(exportable):
    return exportable


@pytest.fixture
def loaded(export):
    return runtime.load(export[0], threads=1, note=lambda line: None)


@pytest.fixture
def altered(export, tmp_path):
    """A copy of the export, to be altered."""
    return Path(shutil.copytree(export[0], tmp_path / "altered"))


def pushed(stream, source, seed=0):
    """The source pushed in pieces of random lengths, from one sample up."""
    random, made, begin = np.random.default_rng(seed), [], 0
    while begin < len(source):
        size = int(random.choice([0, 1, 7, 160, 2999, 30000]))
        made.append(stream.push(source[begin : begin + size]))
        begin += size
    return np.concatenate([*made, stream.flush()])


@pytest.mark.slow
def test_the_check_compares_each_graph_and_the_samples(export):
    names = {"features", "f0", "voicing", "energy", "content_encoder", "speaker_encoder", "generator", "vocoder",
             "samples, own features", "samples", "samples, in chunks"}  # fmt: skip
    assert export[1].keys() == names
    assert max(value for name, value in export[1].items() if name not in ("features", "f0")) <= LIMIT
    described = json.loads((export[0] / "export.json").read_text())
    assert described["files"].keys() == {path.name for path in export[0].iterdir()} - {"export.json"}
    assert described["parts"]["content_encoder"]["stateful"]


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"guidance": 0.0}, {"pitch_shift": 3.0, "speed": 1.3}], ids=str)
def test_a_clone_is_that_of_torch(model, loaded, options):
    references = [(REFERENCE, RATE), (REFERENCE[:20000], RATE)]
    expected = model.convert((SOURCE, RATE), model.speaker(*references), **options).samples.numpy()
    made = loaded.convert((SOURCE, RATE), loaded.speaker(references), runtime.Options(**options))
    assert np.abs(expected).max() > 0.05
    np.testing.assert_allclose(made, expected, atol=LIMIT)


@pytest.mark.slow
def test_a_stream_is_that_of_torch_whatever_the_pushes(model, loaded):
    speaker = loaded.speaker((REFERENCE, RATE))
    stream = model.stream(model.speaker((REFERENCE, RATE)))
    expected = torch.cat([*stream.push(SOURCE), *stream.flush()]).numpy()
    for seed in range(2):
        with loaded.stream(speaker) as ours:
            np.testing.assert_allclose(pushed(ours, SOURCE, seed), expected, atol=LIMIT)


@pytest.mark.slow
def test_a_model_whose_parts_all_keep_a_state(live, live_export):
    """What its generator makes of the reference is computed once, by a graph of its own."""
    folder, found = live_export
    assert max(value for name, value in found.items() if name not in ("features", "f0")) <= LIMIT
    assert (folder / "generator.reference.onnx").is_file()
    assert not (folder / "generator.last.onnx").exists()
    loaded = runtime.load(folder, threads=1, note=lambda line: None)
    ours, theirs = ([one.speaker((sound, RATE)) for sound in (REFERENCE, SOURCE)] for one in (loaded, live))
    made, stream = [], live.stream(theirs[0])
    expected = stream.push(SOURCE[:30000])
    stream.prompt = live.prompt_of(theirs[1])
    expected = torch.cat([*expected, *stream.push(SOURCE[30000:]), *stream.flush()]).numpy()
    with loaded.stream(ours[0]) as stream:
        made += [stream.push(piece) for piece in np.split(SOURCE[:30000], 30)]
        stream.speaker = ours[1]
        made += [stream.push(SOURCE[30000:]), stream.flush()]
    np.testing.assert_allclose(np.concatenate(made), expected, atol=LIMIT)
    assert np.abs(expected).max() > 0.05


@pytest.mark.slow
def test_a_state_goes_on_where_it_was_copied(loaded):
    speaker = loaded.speaker((REFERENCE, RATE))
    stream, other = loaded.stream(speaker), loaded.stream(speaker)
    stream.push(SOURCE[:20000])
    other.state = {name: value.copy() for name, value in stream.state.items()}
    for one in (stream, other):
        one.options = runtime.Options(guidance=0.0)
    first, second = (np.concatenate([one.push(SOURCE[20000:]), one.flush()]) for one in (stream, other))
    np.testing.assert_array_equal(first, second)
    with pytest.raises(runtime.RuntimeFailure, match="has ended"):
        stream.push(SOURCE)


@pytest.mark.slow
def test_a_long_source_is_that_of_torch(model, loaded, monkeypatch):
    for module in (converter, long_source, runtime.runtime, runtime.recordings):
        monkeypatch.setattr(module, "LONGEST_SECONDS", 10.0)  # for a minute
    source = np.concatenate([speech_like(5.5, seed=seed).audio for seed in range(4)])
    expected = model.convert((source, RATE), model.speaker((REFERENCE, RATE))).samples.numpy()
    made = loaded.convert((source, RATE), loaded.speaker((REFERENCE, RATE)))
    np.testing.assert_allclose(made, expected, atol=LIMIT)


@pytest.mark.slow
def test_speakers_are_exchanged_with_the_toolkit(model, loaded, tmp_path):
    loaded.speaker((REFERENCE, RATE)).save(tmp_path / "a.voice")
    model.speaker((REFERENCE, RATE)).save(tmp_path / "b.voice")
    ours, theirs = model.speaker(tmp_path / "a.voice").prompt, loaded.speaker(tmp_path / "b.voice")
    np.testing.assert_allclose(ours.speaker.numpy(), theirs.speaker, atol=1e-5)
    np.testing.assert_allclose(ours.register.numpy(), theirs.register, rtol=1e-5)
    content = bytearray((tmp_path / "b.voice").read_bytes())
    (tmp_path / "c.voice").write_bytes(content[: len(content) // 2])
    with pytest.raises(runtime.RuntimeFailure, match="no speaker, or is damaged"):
        loaded.speaker(tmp_path / "c.voice")


@pytest.mark.slow
def test_clone_by_the_engine(model, export, tmp_path, capsys):
    for name, audio in {"a.wav": SOURCE, "b.wav": REFERENCE}.items():
        recordings.write(tmp_path / name, (audio, RATE))
    names = [str(tmp_path / name) for name in ("a.wav", "b.wav", "c.wav")]
    given = ["clone", "--engine", "onnx", "--checkpoint", str(export[0]), "--source", names[0], "--reference", names[1]]
    assert cli.main([*given, "--output", names[2]]) == 0
    expected = model.convert(names[0], model.speaker(names[1])).samples.numpy()
    np.testing.assert_allclose(soundfile.read(names[2], dtype="float32")[0], expected, atol=LIMIT + 2**-15)
    with locked_output(Path(names[2])):
        assert cli.main([*given, "--output", names[2]]) == 2
    assert "another process is writing it" in capsys.readouterr().err
    for options, words in {
        ("--device", "cuda"): "--device is cuda", ("--jobs", "2"): "--jobs is 2", ("--denoise", "on"): "not denoise",
        ("--speed", "9"): "speed is 9",
    }.items():  # fmt: skip
        assert cli.main([*given, "--output", names[2], *options]) == 2
        printed = capsys.readouterr().err
        assert words in printed
        assert printed.count("\n") == 1


@pytest.mark.slow
def test_bad_input_of_the_engine_is_one_line_and_the_rest_is_read(export, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    silent, broken = np.zeros_like(SOURCE), SOURCE.copy()
    broken[len(broken) // 2] = np.nan
    recordings.write("b.wav", (REFERENCE, RATE))
    recordings.write("a.wav", (SOURCE, RATE))
    data = Path("a.wav").read_bytes()
    Path("cut.wav").write_bytes(data[:-3])  # within a sample
    samples = soundfile.read("a.wav", dtype="int16")[0]
    for name, kind in (("long.wav", "RF64"), ("long.w64", "W64")):
        soundfile.write(name, samples, RATE, "PCM_16", format=kind)
    for name, audio in {"silent.wav": silent, "nan.wav": broken}.items():
        soundfile.write(name, audio, RATE, "FLOAT")
    soundfile.write("joined.wav", SOURCE[:8000], 8000)
    Path("joined.wav").write_bytes(Path("joined.wav").read_bytes() + data)  # two files, of different rates
    os.mkfifo("pipe")
    writer = threading.Thread(target=lambda: Path("pipe").write_bytes(data))
    writer.start()

    def clone(source, output="c.wav"):
        Path("c.wav").unlink(missing_ok=True)
        status = cli.main(["clone", "--engine", "onnx", "--checkpoint", str(export[0]), "--source", source,
                           "--reference", "b.wav", "--output", output])  # fmt: skip
        return status, capsys.readouterr().err

    made = {}
    for source in ("a.wav", "pipe", "long.wav", "long.w64", "cut.wav"):
        status, printed = clone(source)
        assert status == 0
        assert ("is truncated" in printed) == (source == "cut.wav")
        made[source] = Path("c.wav").read_bytes()
    writer.join()
    assert made["a.wav"] == made["pipe"] == made["long.wav"] == made["long.w64"]
    for source, output, words in (
        ("silent.wav", "c.wav", "silent"), ("nan.wav", "c.wav", "not finite"), ("joined.wav", "c.wav", "8000"),
        ("none.wav", "c.wav", "none.wav"), ("a.wav", "c.mp3", "c.mp3"),
        ("a.wav", "b.wav", "is the same file as the input"),
    ):  # fmt: skip
        status, printed = clone(source, output)
        assert status == 2
        assert words in printed
        assert printed.count("\n") == 1
    assert sorted(path.suffix for path in tmp_path.iterdir() if path.name.startswith(("c.", "."))) == []


@pytest.mark.slow
def test_a_full_disk_leaves_nothing_half_written(export, tmp_path, capsys, monkeypatch):
    for name, audio in {"a.wav": SOURCE, "b.wav": REFERENCE}.items():
        recordings.write(tmp_path / name, (audio, RATE))

    def full(source, target):
        raise OSError(28, "No space left on device", str(target))

    monkeypatch.setattr(os, "replace", full)
    given = [str(tmp_path / name) for name in ("a.wav", "b.wav", "c.wav")]
    assert cli.main(["clone", "--engine", "onnx", "--checkpoint", str(export[0]), "--source", given[0], "--reference",
                     given[1], "--output", given[2]]) == 2  # fmt: skip
    assert "c.wav: the disk is full" in capsys.readouterr().err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.wav", "b.wav"]


@pytest.mark.slow
def test_alone_in_an_environment_without_torch(export, model, tmp_path):
    pytest.importorskip("hatchling", reason="hatchling, which builds lvc-runtime, is not installed")
    source = shutil.copytree(ROOT / "plugins" / "lvc-runtime", tmp_path / "lvc-runtime")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    wheel = [*pip, "wheel", "-q", "--no-index", "--no-deps", "--no-build-isolation", "-w", str(tmp_path), str(source)]
    subprocess.run(wheel, check=True, timeout=300)
    environment = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True, timeout=300)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(environment), "platbase": str(environment)}))
    for name in needed("numpy", "onnxruntime", "soundfile", "soxr"):
        for top in {Path(file).parts[0] for file in importlib.metadata.files(name) if Path(file).parts[0] != ".."}:
            found = Path(str(importlib.metadata.distribution(name).locate_file(top)))
            if not (packages / top).exists() and found.exists():
                (packages / top).symlink_to(found)
    (built,) = tmp_path.glob("lvc_runtime-*.whl")
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(built), str(packages)], check=True, timeout=300)
    for name, audio in {"a.wav": SOURCE, "b.wav": REFERENCE}.items():
        recordings.write(tmp_path / name, (audio, RATE))
    script = (
        "import sys, lvc_runtime.cli; status = lvc_runtime.cli.main(sys.argv[1:]);"
        " sys.exit('torch' in sys.modules or status)"
    )
    python = [str(environment / "bin" / "python"), "-c", script]
    clone = ["clone", "--model", str(export[0]), "--source", "a.wav", "--reference", "b.wav", "--output", "c.wav"]
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    missing = subprocess.run([*python[:2], "import torch"], cwd=tmp_path, env=clean, capture_output=True, check=False)
    assert b"ModuleNotFoundError" in missing.stderr
    subprocess.run([*python, *clone], cwd=tmp_path, env=clean, check=True, timeout=300)
    expected = model.convert(tmp_path / "a.wav", model.speaker(tmp_path / "b.wav")).samples.numpy()
    made, _ = soundfile.read(tmp_path / "c.wav", dtype="float32")  # with its offset, as it was written
    np.testing.assert_allclose(made, expected, atol=LIMIT + 2**-15)


def needed(*names):
    """Distributions that those need, in turn, without extras; those that are not installed are not needed here."""
    found, left = set(), list(names)
    while left:
        name = left.pop()
        try:
            required = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        if name not in found:
            found.add(name)
            left += [re.match(r"[\w.-]+", one)[0] for one in required if "extra ==" not in one]
    return sorted(found)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["content_encoder.onnx", "content_encoder.last.onnx", "vocoder.onnx"])
def test_an_altered_graph_is_refused(altered, name):
    content = bytearray((altered / name).read_bytes())
    content[len(content) // 2] ^= 1
    (altered / name).write_bytes(content)
    with pytest.raises(runtime.RuntimeFailure, match=f"{name} was altered"):
        runtime.load(altered).folder.graph(name.removesuffix(".onnx"))


@pytest.mark.slow
def test_a_newer_format_and_a_missing_file_are_refused(altered):
    (altered / "vocoder.onnx").unlink()
    with pytest.raises(runtime.RuntimeFailure, match=r"vocoder.onnx cannot be read \(No such file"):
        runtime.load(altered).folder.graph("vocoder")
    described = json.loads((altered / "export.json").read_text())
    for change, words in (
        ({"format": 4}, "has format 4, this version reads 1 to 3"),
        ({"files": {"../a": ""}}, "outside"),
    ):
        (altered / "export.json").write_text(json.dumps(described | change))
        with pytest.raises(runtime.RuntimeFailure, match=words):
            runtime.load(altered)
    (altered / "export.json").write_text("{")
    with pytest.raises(runtime.RuntimeFailure, match="cannot be read"):
        runtime.load(altered)


@pytest.mark.slow
@pytest.mark.parametrize(("given", "words"), [
    ((SOURCE[:100], RATE), "lasts 0.01 s"), ((0 * SOURCE, RATE), "silent"), ((SOURCE * np.nan, RATE), "not finite"),
    ("nowhere.wav", "nowhere.wav cannot be read"), ((np.zeros((1, 2, 3), np.float32), RATE), "give floating-point"),
], ids=["short", "silent", "nan", "missing", "shape"])  # fmt: skip
def test_recordings_that_cannot_be_used(loaded, given, words):
    with pytest.raises(runtime.RuntimeFailure, match=words):
        loaded.speaker(given)


@pytest.mark.slow
def test_one_window_is_no_special_case():
    encoder = TransformerContentEncoder(
        Dims(20), channels=6, width=64, hidden=8, layers=1, core=8, edge=4, pretrained="none"
    ).eval()
    lengths = torch.export.AdditionalInputs()
    lengths.add((torch.randn(1, 20, 44),))
    with open_to_one(), torch.no_grad():
        exported = torch.export.export(encoder, (torch.randn(1, 20, 42),), dynamic_shapes=lengths)
        exported = exported.module(check_guards=False)  # the way through is that of all lengths; ONNX has no guards
        for frames in (5, 16, 17, 200):
            x = torch.randn(1, 20, frames)
            torch.testing.assert_close(exported(x), encoder(x), atol=1e-5, rtol=0)


def test_a_folder_that_is_no_export(tmp_path, capsys):
    with pytest.raises(runtime.RuntimeFailure, match="is no folder of `lvc export`"):
        runtime.load(tmp_path)
    recordings.write(tmp_path / "a.wav", (SOURCE, RATE))
    source, output = str(tmp_path / "a.wav"), str(tmp_path / "c.wav")
    given = ["clone", "--engine", "onnx", "--checkpoint", str(tmp_path), "--source", source, "--output", output]
    assert cli.main(given) == 2
    assert "is no export; make one: lvc export" in capsys.readouterr().err


def refused(model, folder):
    with pytest.raises(ConfigurationError) as failed:
        exporting.export_model(model, folder, SOURCE, REFERENCE, report=lambda name, difference: None)
    assert not folder.exists()
    return str(failed.value)


def test_parts_that_cannot_be_exported_are_named(tmp_path):
    folder = tmp_path / "out"
    assert refused(Converter(small_streaming_voice()), folder) == (
        "the speaker_encoder, StatisticsSpeakerEncoder, cannot be exported: it does not claim to be exportable; `lvc"
        " plugins --claims` lists the parts that do"
    )
    noise = Converter(small_voice(Dims(20, content=4, speaker=8, noise=3)))
    assert refused(noise, folder) == (
        "the generator, ConvGenerator, cannot be exported: it takes noise, which lvc-runtime cannot draw as torch does"
    )
    voice = small_streaming_voice()
    voice.pitch = type("World", (type(voice.pitch),), {})()
    assert "the pitch, World, cannot be exported: lvc-runtime computes Pitch only" in refused(Converter(voice), folder)


def test_nothing_else_is_replaced_and_a_place_is_checked_first(tmp_path):
    (tmp_path / "other").mkdir()
    with pytest.raises(ConfigurationError, match="is no export; name another"):
        exporting.check_place(tmp_path / "other")
    if os.geteuid():
        (tmp_path / "closed").mkdir(mode=0o500)
        with pytest.raises(ConfigurationError, match="is no folder that you may write to"):
            exporting.check_place(tmp_path / "closed" / "out")
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be made"):
        exporting.check_place(tmp_path / "file" / "out")


@pytest.mark.slow
def test_an_export_that_differs_is_not_written(model, export, tmp_path, monkeypatch):
    class Copied:  # the graphs as they were exported, so that this takes no half minute
        def __init__(self, path):
            self.name, self.path = path.stem, path

        def check(self):
            pass

        def write(self, path):
            shutil.copy(self.path, path)

    monkeypatch.setattr(exporting, "graphs_of", lambda voice: [Copied(path) for path in export[0].glob("*.onnx")])
    monkeypatch.setattr(exporting, "differences", lambda *given: [("vocoder", 1.0), ("samples", 2e-4)])
    with pytest.raises(LVCError, match=r"samples differ by 2\.0e-04 from PyTorch's, expected at most 0\.0001"):
        exporting.export_model(model, tmp_path / "out", SOURCE, REFERENCE, report=lambda name, difference: None)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_the_command_exports_a_folder(model, export, tmp_path, monkeypatch, capsys):
    save_voice(model.voice, tmp_path / "voice")
    (tmp_path / "voice" / "MODEL_CARD.md").write_text("Licence: any\n")
    made = []
    monkeypatch.setattr(exporting, "graphs_of", lambda voice: made.append(voice) or [])
    monkeypatch.setattr(exporting, "differences", lambda *given: [("samples", 0.0)])
    assert cli.main(["export", str(tmp_path / "voice"), "--output", str(tmp_path / "out")]) == 0
    assert "samples                0.0e+00" in capsys.readouterr().out
    assert made[0].guidance == 0.5
    assert (tmp_path / "out" / "MODEL_CARD.md").read_text() == "Licence: any\n"
    assert json.loads((tmp_path / "out" / "export.json").read_text())["card"] == ["MODEL_CARD.md"]
