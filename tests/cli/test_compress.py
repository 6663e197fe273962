"""``lvc compress``: what it writes, what it refuses, and graphs in 8 bits."""

import json
import math

import numpy as np
import pytest
import soundfile
from forks import completed

from lightning_voiceclone.checkpoints.voice_folder import load_voice, save_voice
from lightning_voiceclone.cli.compress import run
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError, LVCError
from lightning_voiceclone.evaluation import cost
from lightning_voiceclone.inference.export.quantization import quantize_export
from lightning_voiceclone.networks.content_encoders.transformer import TransformerContentEncoder
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_voice
from lightning_voiceclone.utils.optional import file_sha256
from lightning_voiceclone.vocoders.vocos import Vocos


@pytest.fixture
def arguments(tmp_path, monkeypatch):
    """Of a model whose hidden units are most of it, without the judges' models and without further processes."""
    monkeypatch.setattr(cost, "JUDGES", ())
    monkeypatch.setattr(cost, "_judge", lambda *_: None)
    monkeypatch.setattr(cost, "_peak_of", lambda *_: 100.0)
    monkeypatch.setattr(cost, "COLUMNS", {name: cost.COLUMNS[name] for name in ("size", "memory", "rtf")})
    monkeypatch.setattr(cost, "_times", lambda calls: [1.0] * len(calls))  # no faster: it is the size that counts
    encoder = TransformerContentEncoder(Dims(20), channels=4, width=64, hidden=512, layers=1, core=16, edge=4)
    save_voice(small_voice(content_encoder=encoder, vocoder=lambda spec: Vocos(spec, width=8, hidden=64, layers=1,
               pretrained="none")), tmp_path / "model", bits=16)  # fmt: skip
    (tmp_path / "speech").mkdir()
    for speaker in range(2):
        soundfile.write(tmp_path / "speech" / f"{speaker}.wav", speech_like(1.5, speaker=speaker).audio, 16000)
    (tmp_path / "pairs.tsv").write_text("case\tsource\treference\nx\tspeech/0.wav\tspeech/1.wav\n")
    return [str(tmp_path / "model"), "--pairs", str(tmp_path / "pairs.tsv"), "--output", str(tmp_path / "small")]


@pytest.mark.slow
def test_a_pruned_model_is_measured_and_written(arguments, tmp_path, capsys):
    data = ["--data", str(tmp_path / "speech"), "--steps", "2"]
    assert run([*arguments, "--prune", "0.5", *data]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[:2] == ["content_encoder: 256 of 512 hidden units removed", "vocoder: 32 of 64 hidden units removed"]
    before, after = (line.split() for line in printed[3:5])
    assert (before[0], after[0], float(before[1]) > 1.2 * float(after[1])) == ("before", "after", True)
    assert load_voice(tmp_path / "small").content_encoder.blocks[0].expand.out_features == 256
    small, large = (sum(path.stat().st_size for path in (tmp_path / name).iterdir()) for name in ("small", "model"))
    assert small < large / 1.2


@pytest.mark.slow
def test_what_is_neither_smaller_nor_faster_is_refused_with_the_figures(arguments, tmp_path):
    words = r"^not written: .* neither smaller \(0\.\d+ MB, before 0\.\d+ MB\) nor faster \(\d\.\d+ s of CPU"
    with pytest.raises(LVCError, match=words):
        run([*arguments, "--prune", "0.5", "--structure", "weights"])
    assert not (tmp_path / "small").exists()


@pytest.mark.slow
def test_mistakes_are_found_before_a_model_is_loaded(arguments, tmp_path):
    for more, words in (
        ([], "there is nothing to do: give --prune, --bits 8, or both"),
        (["--data", str(tmp_path)], "--data is to fine-tune what --prune left"),
        (["--prune", "1.5"], r"the share that is pruned is 1\.5; it must be from 0\.01 to 0\.95"),
        (["--prune", "0.3", "--steps", "0"], "steps is 0"),
    ):
        with pytest.raises(ConfigurationError, match=words):
            run(["none", *arguments[1:], *more])


def test_worth_it_by_hand():
    before = {"size": 10.0, "rtf": 0.1}
    for size, rtf, worth in ((10.0, 0.1, False), (9.9, 0.099, False), (9.0, 0.2, True), (20.0, 0.09, True)):
        assert cost.worth_it(before, {"size": size, "rtf": rtf}) is worth
    lines = cost.table({"a": {**dict.fromkeys(cost.COLUMNS), "rtf": 0.1234}}).splitlines()
    assert lines[1].split() == ["a", "-", "-", "0.123", "-", "-", "-"]


def in_8_bits():
    """Print how far a product, bias and all, in 8 bits is from the exact one, what it is made of, and the folder."""
    from pathlib import Path

    import onnx
    import onnxruntime
    from onnx import TensorProto, helper, numpy_helper

    folder, rng = Path("export"), np.random.default_rng(0)
    folder.mkdir()
    weight, bias = (rng.standard_normal(shape).astype(np.float32) for shape in ((256, 128), (128,)))
    ends = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, "n", size])
        for name, size in (("x", 256), ("y", 128))
    ]
    first = np.eye(256, dtype=np.float32)
    entering = [helper.make_node("MatMul", ["x", "i"], ["q"], "first"), helper.make_node("Add", ["q", "n"], ["h"])]
    dense = [helper.make_node("MatMul", ["h", "w"], ["p"], "second"), helper.make_node("Add", ["p", "b"], ["y"])]
    weights = [numpy_helper.from_array(weight, "w"), numpy_helper.from_array(bias, "b")]
    more = [numpy_helper.from_array(first, "i"), numpy_helper.from_array(np.full(256, 0.5, np.float32), "n")]
    dense[0].input[0] = "x"  # copied by the graph that is made next
    graphs = {"content_encoder": helper.make_graph(dense, "g", ends[:1], ends[1:], weights)}
    dense[0].input[0] = "h"
    graphs["vocoder"] = helper.make_graph([*entering, *dense], "g", ends[:1], ends[1:], [*weights, *more])
    for name, graph in graphs.items():
        onnx.save(
            helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9),
            folder / f"{name}.onnx",
        )
    (folder / "speaker_encoder.onnx").write_bytes(b"as it was")
    files = {path.name: file_sha256(path) for path in folder.iterdir()}
    described = {"format": 2, "files": files, "parts": {"vocoder": {"stateful": True}}, "spec": {"channels": 80}}
    (folder / "export.json").write_text(json.dumps(described))
    quantize_export(folder, Path("fast"))
    x = rng.standard_normal((1, 9, 256)).astype(np.float32)
    errors, made = {}, {}
    for name, given in (("content_encoder", x), ("vocoder", x + 0.5)):
        exact = given @ weight + bias
        (y,) = onnxruntime.InferenceSession(f"fast/{name}.onnx").run(None, {"x": x})
        errors[name] = float(np.square(y - exact).mean() / np.square(exact).mean())
        made[name] = [node.op_type for node in onnx.load(f"fast/{name}.onnx").graph.node]
    written = json.loads(Path("fast/export.json").read_text())
    hashes = written["files"] == {name: file_sha256(Path("fast") / name) for name in files}
    sizes = [(Path(name) / "content_encoder.onnx").stat().st_size for name in ("export", "fast")]
    same = Path("fast/speaker_encoder.onnx").read_text()
    for case, change in (("without a state", {"parts": {"vocoder": {}}}), ("of bands", {"spec": {"channels": 256}})):
        (folder / "export.json").write_text(json.dumps(described | change))
        quantize_export(folder, Path(case))
        made[case] = [node.op_type for node in onnx.load(f"{case}/vocoder.onnx").graph.node]
    formats = [written["format"], json.loads(Path("without a state/export.json").read_text())["format"]]
    there = sorted(path.name for path in Path("fast").iterdir())
    print(json.dumps([errors, made, hashes, sizes, same, there, formats]))


@pytest.mark.slow
def test_matrix_products_are_computed_in_8_bits(tmp_path):
    pytest.importorskip("onnxruntime")
    done = completed(in_8_bits, tmp_path)
    assert done.returncode == 0, done.stderr
    errors, made, hashes, sizes, same, files, formats = json.loads(done.stdout.splitlines()[-1])
    assert 0 < math.sqrt(errors["content_encoder"]) < 0.02
    assert 0 < math.sqrt(errors["vocoder"]) < 0.01
    assert made["content_encoder"] == ["DynamicQuantizeMatMul"]  # one operation for all of it
    assert sorted(set(made["vocoder"]) - {"Add"}) == ["MatMul", "MatMulNBits"]  # its first layer is as it was
    assert set(made["without a state"]) == set(made["of bands"]) == {"Add", "MatMul"}
    assert (hashes, same, formats) == (True, "as it was", [3, 2])
    assert files == ["content_encoder.onnx", "export.json", "speaker_encoder.onnx", "vocoder.onnx"]
    assert sizes[1] < 0.3 * sizes[0]
