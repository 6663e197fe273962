"""``lvc live --engine onnx`` beside torch: the same samples, and the same under trouble, on simulated time."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile

from lightning_voiceclone.cli import main as cli
from lightning_voiceclone.errors import LVCError
from lightning_voiceclone.inference.live.console import Console
from lightning_voiceclone.inference.live.converters import rehearse
from lightning_voiceclone.inference.live.onnx_converter import OnnxConverter
from lightning_voiceclone.inference.live.voice_converter import VoiceConverter
from lightning_voiceclone.inference.onnx_engine import OnnxModel
from lightning_voiceclone.testing.signals import speech_like

pytestmark = pytest.mark.slow
RATE, LIMIT, CHUNK = 16000, 1e-4, 0.1
SOUND = speech_like(3.0).audio


def spoken(times):
    return SOUND[np.round(times * RATE).astype(int) % len(SOUND)]


@pytest.fixture(scope="module")
def references(tmp_path_factory):
    """Recordings of two speakers."""
    folder = tmp_path_factory.mktemp("references")
    for name, number in (("b", 1), ("c", 4)):
        soundfile.write(folder / f"{name}.wav", speech_like(2.0, speaker=number).audio, RATE)
    return str(folder / "b.wav"), str(folder / "c.wav")


@pytest.fixture
def converters(exportable, export, references):
    """Two of the same model and speaker: by torch, and by lvc-runtime."""
    exported = OnnxModel(str(export[0]), note=lambda line: None, threads=1)
    return (VoiceConverter(exportable, exportable.speaker(references[0])),
            OnnxConverter(exported, exported.speaker(references[0])))  # fmt: skip


@pytest.fixture
def needs(converters):
    found = [rehearse(converter, CHUNK, latency=converter.latency) for converter in converters]
    assert found[0] == found[1]
    return found[0]


class Troubled:
    """A converter that takes five seconds of simulated time for one chunk, and fails at another."""

    def __init__(self, converter, clock, stalls=None, fails=None):
        self.converter, self.clock, self.sample_rate = converter, clock, converter.sample_rate
        self.stalls, self.fails, self.chunks = stalls, fails, 0

    def push(self, samples):
        self.chunks += 1
        if self.chunks == self.stalls:
            self.clock.sleep(5.0)
        if self.chunks == self.fails:
            raise ValueError("planted")
        return self.converter.push(samples)

    def restart(self, *, forget=False):
        self.converter.restart(forget=forget)


def unplugged(live):
    for moment, plugged in ((1.0, False), (2.0, True)):
        live.clock.at(moment, lambda plugged=plugged: setattr(live.source, "plugged", plugged))


def not_finite(times):
    return np.where((times > 1.0) & (times < 1.01), np.nan, spoken(times))


TROUBLES = {
    "none": (2.0, spoken, {}, None),
    "a stall": (8.0, spoken, {"stalls": 12}, None),
    "a fault": (2.5, spoken, {"fails": 12}, None),
    "unplugged": (4.0, spoken, {}, unplugged),
    "not finite": (2.0, not_finite, {}, None),
}


@pytest.mark.parametrize("name", TROUBLES)
def test_samples_are_those_of_torch_whatever_the_trouble(begun, converters, needs, name):
    seconds, sound, trouble, event = TROUBLES[name]
    played, counts, delays = [], [], []
    for converter in converters:
        live = begun(sound, converter=lambda clock, one=converter: Troubled(one, clock, **trouble), needs=needs,
                     gate=None, chunk=CHUNK)  # fmt: skip
        if event is not None:
            event(live)
        live.run(seconds)
        played.append(live.sink.played()[1])
        counts.append(live.live.counts)
        delays.append(live.live.delays.mean().total)
    assert np.abs(played[0][-RATE // 2 :]).max() > 0.05  # it went on
    np.testing.assert_allclose(played[1], played[0], atol=LIMIT)
    assert counts[0] == counts[1]
    assert delays[0] == pytest.approx(delays[1], abs=1e-6)
    all_but_a_chunk = counts[1].dropped >= 5.0 - CHUNK - 1e-9  # of the stall; chunks of some grids end with it exactly
    assert (counts[1].faults, counts[1].replaced > 0, all_but_a_chunk) == (
        int(name == "a fault"), name == "not finite", name == "a stall")  # fmt: skip


def test_commands_change_what_torch_changes(begun, converters, references):
    made = []
    for converter in converters:
        live, printed = begun(converter=lambda clock, one=converter: one), []
        console, chunks = Console(live.live, converter, live.session.stop, printed.append), []
        for number, begin in enumerate(range(0, len(SOUND), 1600)):
            for line in {8: ["pitch 3", "guidance 1.5"], 16: [f"voice {references[1]}"], 24: ["pitch 99"]}.get(
                number, []
            ):
                console.run(line)
            chunks.append(converter.push(SOUND[begin : begin + 1600]))
        assert printed[:3] == ["pitch: 3", "guidance: 1.5", f"voice: {references[1]}"]
        assert "pitch_shift is 99" in printed[3]
        assert printed[3].startswith("error: ")
        made.append(np.concatenate(chunks))
    np.testing.assert_allclose(made[1], made[0], atol=LIMIT)


def test_a_speaker_of_another_model_is_refused_at_once(converters):
    speaker = converters[1].speaker
    foreign = type(converters[1].model.runtime.analysed([SOUND]))(10, "another")
    with pytest.raises(LVCError, match="was made with other encoders"):
        converters[1].change(foreign)
    assert speaker() is None
    assert len(converters[1].push(SOUND[:1600])) >= 0


def live(folder, source, output, *more):
    return cli.main(["live", "--engine", "onnx", "--checkpoint", str(folder), "--input", str(source), "--output",
                     str(output), "--chunk-ms", "100", *more])  # fmt: skip


def test_the_command_gives_the_samples_of_torch_and_imports_none(export, exportable, references, tmp_path, capsys):
    from lightning_voiceclone.checkpoints.voice_folder import save_voice

    save_voice(exportable.voice, tmp_path / "voice")
    soundfile.write(tmp_path / "a.wav", SOUND, RATE)
    words = ["live", "--input", "a.wav", "--reference", references[0], "--chunk-ms", "100", "--output"]
    script = "import sys; from lightning_voiceclone.cli.main import main; status = main(sys.argv[1:]);" \
             " sys.exit('torch' in sys.modules or status)"  # fmt: skip
    subprocess.run([sys.executable, "-c", script, *words, "c.wav", "--checkpoint", str(export[0]), "--engine", "onnx"],
                   cwd=tmp_path, check=True, timeout=300)  # fmt: skip
    names = [str(tmp_path / word) if word == "a.wav" else word for word in words]
    assert cli.main([*names, str(tmp_path / "d.wav"), "--checkpoint", str(tmp_path / "voice")]) == 0
    onnx, torch = (soundfile.read(tmp_path / name)[0] for name in ("c.wav", "d.wav"))
    assert np.abs(torch).max() > 0.05
    np.testing.assert_allclose(onnx, torch, atol=LIMIT + 2**-15)


def test_what_cannot_work_is_one_line(export, references, tmp_path, capsys, monkeypatch):
    soundfile.write(tmp_path / "a.wav", SOUND[:RATE], RATE)
    whole = shutil.copytree(export[0], tmp_path / "whole")
    described = json.loads((whole / "export.json").read_text())
    described["contexts"]["vocoder"] = {"left": None, "right": None, "grid": 1}
    (whole / "export.json").write_text(json.dumps(described))
    a, c, reference = tmp_path / "a.wav", tmp_path / "c.wav", ("--reference", references[0])
    for folder, more, words in (
        (tmp_path, reference, "is no export; make one: lvc export"),
        ("default", reference, "default is no export; make one: lvc export default"),
        (whole, reference, "cannot be streamed: its vocoder needs the whole recording"),
        (export[0], (), "no reference given"),
        (export[0], (*reference, "--pitch-shift", "99"), "pitch_shift is 99"),
        (export[0], (*reference, "--device", "cuda"), "--device is cuda, which --engine onnx cannot apply"),
        (export[0], (*reference, "--seed", "3"), "--seed is 3"),
        (export[0], (*reference, "--vocoder", "GriffinLim"), "--vocoder is GriffinLim"),
    ):
        assert live(folder, a, c, *more) == 2
        printed = capsys.readouterr().err
        assert words in printed
        assert printed.count("\n") == 1
    monkeypatch.setitem(sys.modules, "lvc_runtime", None)
    assert live(export[0], a, c, *reference) == 2
    assert "pip install 'lightning-voiceclone[onnx]'" in capsys.readouterr().err
    assert not c.exists()
