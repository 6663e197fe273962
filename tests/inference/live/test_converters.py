"""A model as a live converter: changes while it runs, rehearsal, models that cannot stream; console and readout."""

import functools
import math
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.inference.converter import Converter
from lightning_voiceclone.inference.live.console import Console, readout
from lightning_voiceclone.inference.live.converters import _held, lookahead_note, rehearse
from lightning_voiceclone.inference.live.engine import GAIN
from lightning_voiceclone.inference.live.voice_converter import VoiceConverter
from lightning_voiceclone.testing.live import PassThrough
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_live_voice, small_streaming_voice, small_voice

RATE = 16000


@pytest.fixture(scope="module")
def model():
    torch.set_num_threads(1)
    return Converter(small_streaming_voice(), note=lambda line: None)


@pytest.fixture(scope="module")
def speakers(model):
    return [model.speaker((speech_like(1.5, speaker=number).audio, RATE)) for number in (1, 3)]


@pytest.fixture(scope="module")
def needs(model, speakers):
    return rehearse(VoiceConverter(model, speakers[0]), 0.1, latency=model.voice.latency)


@functools.cache
def synthetic():
    return speech_like(3.0).audio


def voiced(times):
    """Speech-like sound at moments."""
    audio = synthetic()
    return audio[np.round(times * RATE).astype(int) % len(audio)]


@pytest.mark.slow
def test_the_rehearsal_measures_the_look_ahead_with_the_grid_of_the_parts(model, needs):
    grid = model.voice.context.grid / model.voice.spec.frame_rate
    assert model.voice.latency <= needs.lookahead <= model.voice.latency + grid + 1 / model.voice.spec.frame_rate
    assert needs.compute == 0
    assert f"looks {needs.lookahead:.1f} s ahead" in lookahead_note(needs.lookahead)
    assert lookahead_note(0.08) == ""


def test_chunks_are_aligned_so_that_least_is_held_back():
    stages = [(3, 1), (2, 2), (0, 1), (0, 2), (2, 2)]  # of recipes/clone_live.yaml
    assert [_held(frames * 160, 320, 160, stages) for frames in range(2)] == [8 * 160 + 1, 7 * 160 + 1]


@pytest.mark.slow
def test_a_live_voice_holds_back_what_its_parts_wait_for_and_no_more():
    model = Converter(small_live_voice(), note=lambda line: None)
    speaker = model.speaker((speech_like(1.5, speaker=1).audio, RATE))
    converter, source = VoiceConverter(model, speaker), speech_like(1.0).audio
    needs = rehearse(converter, 0.02, latency=model.voice.latency)
    assert needs.lookahead == pytest.approx(0.07, abs=0.001)
    made = np.concatenate([converter.push(chunk) for chunk in np.split(source[:9600], 30)])
    with model.stream(speaker) as stream:  # 10 ms of silence before, which are no part of the output
        expected = torch.cat(stream.push(torch.from_numpy(np.pad(source[:9600], (160, 0))))).numpy()[160:]
    np.testing.assert_allclose(made, expected[: len(made)], rtol=0, atol=1e-5)
    assert len(made) == 9600 - 1120


@pytest.mark.slow
def test_the_rehearsal_allows_for_the_slowest_chunk_and_leaves_no_trace():
    converter, moments = PassThrough(lookahead=500), iter(np.arange(1000) ** 1.5)
    needs = rehearse(converter, 0.02, lambda: next(moments))
    assert needs.lookahead == pytest.approx(500 / RATE, abs=0.001)
    assert needs.compute > 1
    assert converter.restarts == 1
    with pytest.raises(ConfigurationError, match="nothing came out of the model in 30 s"):
        rehearse(PassThrough(lookahead=10**9), 0.1)


@pytest.mark.slow
def test_live_output_is_that_of_the_stream_and_the_delay_is_that_of_the_readout(begun, model, speakers, needs):
    live = begun(voiced, converter=lambda clock: VoiceConverter(model, speakers[0]), needs=needs, gate=None,
                 chunk=0.1)  # fmt: skip
    live.run(0.9)
    times, samples = live.sink.played()
    times_in = (np.arange(round(0.9 * RATE)) - 17) / RATE  # the run begins with what the resampler looks ahead
    source = np.where(times_in < 0, 0, voiced(np.maximum(times_in, 0)))
    with model.stream(speakers[0]) as stream:
        expected = torch.cat(stream.push(torch.from_numpy(source.astype(np.float32)))).numpy() * GAIN
    place = np.argmax(samples != 0)
    assert np.abs(samples[place + 100 : place + 2000] - expected[100:2000]).max() < 1e-5  # after the fade-in
    assert times[place] - (live.source.begun - 17 / RATE) == pytest.approx(live.live.delays.mean().total, abs=1e-3)
    assert live.live.counts.gaps == 0


@pytest.mark.slow
def test_voice_pitch_and_guidance_change_within_one_chunk_and_without_a_click(model, speakers):
    """At 2.2 s, when the source's own speaker is known, which guidance needs."""
    audio, size, changed = speech_like(3.2).audio, 1600, 22

    def run(speaker=None, **options):
        converter, chunks = VoiceConverter(model, speakers[0], guidance=0.3), []
        for number, begin in enumerate(range(0, len(audio), size)):
            if number == changed and (speaker or options):
                converter.change(speaker, **options)
            chunks.append(converter.push(audio[begin : begin + size]))
        return np.concatenate(chunks), sum(map(len, chunks[:changed]))

    usual, _ = run()
    behind = round((model.voice.generator.context.right + model.voice.vocoder.context.right + 4) / 100 * RATE)
    for change in ({"speaker": speakers[1]}, {"pitch_shift": 7.0}, {"guidance": 1.5}):
        made, before = run(**change)
        assert np.array_equal(made[:before], usual[:before])
        differs = np.argmax(np.abs(made - usual) > 1e-6)
        assert before <= differs < before + behind + size
        around = slice(before - 800, before + behind + 2400)
        assert np.abs(np.diff(made[around])).max() < 1.5 * np.abs(np.diff(usual)).max()


@pytest.mark.slow
def test_a_change_out_of_range_is_refused_at_once_and_changes_nothing(model, speakers):
    converter = VoiceConverter(model, speakers[0])
    with pytest.raises(ConfigurationError, match="pitch_shift is 99 semitones; it must be from -24 to 24"):
        converter.change(pitch_shift=99.0)
    other = Converter(small_streaming_voice(seed=5), note=lambda line: None)
    foreign = other.speaker((speech_like(1.5).audio, RATE))
    with pytest.raises(ConfigurationError, match="the speaker was made by another model"):
        converter.change(foreign)
    converter.push(np.zeros(320, np.float32))
    assert len(converter.push(np.zeros(0, np.float32))) == 0


@pytest.mark.slow
def test_a_model_of_the_whole_recording_is_refused_and_the_parts_are_named():
    model = Converter(small_voice(), note=lambda line: None)
    with pytest.raises(ConfigurationError, match=r"cannot be used live: InstanceNormContentEncoder, GriffinLim need"):
        VoiceConverter(model)


@pytest.fixture
def console(model, speakers, begun):
    live = begun(converter=lambda clock: VoiceConverter(model, speakers[0]))
    said = []
    return SimpleNamespace(run=Console(live.live, live.converter, live.session.stop, said.append).run, said=said,
                           live=live.live, session=live.session)  # fmt: skip


@pytest.mark.slow
def test_commands_change_what_runs_and_a_mistake_is_one_line(console, tmp_path):
    soundfile.write(tmp_path / "c.wav", speech_like(2.0, speaker=4).audio, RATE)
    for line in ("pitch 2", "guidance 0.5", f"voice {tmp_path}/c.wav", "gate -50", "gate off", "mute", "mute", "\n",
                 "quit"):  # fmt: skip
        console.run(line)
    assert console.said == ["pitch: 2", "guidance: 0.5", f"voice: {tmp_path}/c.wav", "gate: -50", "gate: off", "muted",
                            "not muted", "ends"]  # fmt: skip
    assert (console.live.gate.threshold, console.session.stopped) == (None, True)
    console.said.clear()
    for line in ("pitch high", "pitch 99", "pich 2", "gate", "gate 5", f"voice {tmp_path}/none.wav"):
        console.run(line)
    expected = ["pitch is 'high', but must be a number", "from -24 to 24", "(did you mean pitch?)",
                "gate needs a value: gate DB", "gate is 5; it must be from -90", "there is no such file"]  # fmt: skip
    for line, words in zip(console.said, expected, strict=True):
        assert line.startswith("error: ")
        assert words in line
        assert "\n" not in line


def test_the_readout_is_one_line_whose_terms_make_the_sum(begun):
    live = begun(lambda times: np.where(times < 1, np.nan, 0.1 * np.sin(2000 * times)), gate=None)
    assert readout(live.live) == "nothing is played yet"
    live.live.delays.add_spent(0.03)
    assert readout(live.live) == "too slow: a chunk of 20 ms takes 30 ms; use a longer one"
    live.live.delays.clear()
    live.run(3.0)
    text = readout(live.live)
    terms = [int(word.rsplit(" ", 1)[1]) for word in text.split(" = ")[0].split(" + ")]
    assert sum(terms) == pytest.approx(int(text.split(" = ")[1].split()[0]), abs=3)
    assert math.isclose(live.live.delays.mean().total, sum(live.live.delays.mean().terms))
    assert f"{live.live.counts.replaced} samples were not finite" in text
    assert "\n" not in text


@pytest.mark.slow
def test_a_path_with_a_blank_and_a_fault_of_a_plugin(console, tmp_path, monkeypatch):
    soundfile.write(tmp_path / "my file.wav", speech_like(2.0, speaker=4).audio, RATE)
    console.run(f'voice "{tmp_path}/my file.wav"')
    console.run('voice "no end')
    monkeypatch.setattr(console.live.gate, "set", lambda threshold: 1 / 0)
    console.run("gate -50")
    assert console.said[0] == f"voice: {tmp_path}/my file.wav"
    assert console.said[1:] == ["error: No closing quotation", "error: ZeroDivisionError: division by zero"]
