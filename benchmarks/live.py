"""Delay of lvc live, term by term, and its real-time factor on one core.

    python benchmarks/live.py --speech ../shared/speech [--checkpoint VOICE] [--chunk-ms 20 40] [--seconds 30]
    python benchmarks/live.py --speech ../shared/speech --engine onnx --checkpoint EXPORT      # of lvc export VOICE

A recording goes through the live engine between a microphone and a loudspeaker of simulated time, at 48 kHz with blocks
of 10 ms and a latency of 5 ms each. Converting takes as long on that time as it takes on this computer, with one
thread, so that a chunk that is slow is late. Prints each term of the delay (in ms: 50th, 95th and 99th percentile over
the chunks), ``work`` (for a chunk, with resampling and the simulated card), chunk + look-ahead + 95th percentile of
compute, the real-time factor (converting over the chunk's length, by wall and by CPU time: the latter is what it would
be on a core that nothing else uses), and what was dropped. Without ``--speech`` the source is synthetic.
"""

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
import torch

from lightning_voiceclone.inference.converter import load_model
from lightning_voiceclone.inference.live.clock import SimulatedClock
from lightning_voiceclone.inference.live.converters import ModelConverter, rehearse
from lightning_voiceclone.inference.live.engine import Live
from lightning_voiceclone.inference.live.onnx_converter import OnnxConverter
from lightning_voiceclone.inference.live.session import Session
from lightning_voiceclone.inference.live.voice_converter import VoiceConverter
from lightning_voiceclone.inference.onnx_engine import OnnxModel
from lightning_voiceclone.testing.live import FakeLoudspeaker, FakeMicrophone
from lightning_voiceclone.testing.signals import speech_like

CARD = {"rate": 48000, "block": 0.01, "latency": 0.005}
WARM_SECONDS = 2.0  # after which figures are taken


class Timed:
    """A converter that takes as long on simulated time as on the computer's; counts the CPU time too."""

    cpu = wall = 0.0

    def __init__(self, converter: ModelConverter, clock: SimulatedClock) -> None:
        self.converter, self.clock = converter, clock
        self.sample_rate, self.latency, self.restart = converter.sample_rate, converter.latency, converter.restart

    def push(self, samples: np.ndarray) -> np.ndarray:
        begin, used = time.perf_counter(), time.process_time()
        made = self.converter.push(samples)
        self.cpu += time.process_time() - used
        seconds = time.perf_counter() - begin
        self.wall += seconds
        self.clock.sleep(seconds)
        return made


def recording(speech: Path | None, seconds: float, rate: int, *, reference: bool = False) -> np.ndarray:
    """So much speech of one speaker, from the beginning again where it ends; the reference's is another speaker's."""
    if speech is None:
        return speech_like(min(seconds, 10), sample_rate=rate, speaker=int(reference)).audio
    folders = sorted({path.parent for path in (speech / "LibriSpeech").rglob("*.flac")})
    audio, left = [], seconds
    for path in sorted(folders[-1 if reference else 0].glob("*.flac")):
        samples, own = soundfile.read(path, dtype="float32")
        audio.append(soxr.resample(samples, own, rate))
        left -= len(samples) / own
        if left <= 0:
            break
    return np.concatenate(audio)


def converter_of(arguments: argparse.Namespace) -> ModelConverter:
    """The model with the voice of another speaker than the source's."""
    if arguments.engine == "onnx":
        model: Any = OnnxModel(arguments.checkpoint, note=print, threads=1)
        rate, make = model.runtime.sample_rate, OnnxConverter
    else:
        model = load_model(arguments.checkpoint, note=lambda line: None)
        rate, make = model.sample_rate, VoiceConverter
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "reference.wav"
        soundfile.write(path, recording(arguments.speech, 8, rate, reference=True), rate)
        return make(model, model.speaker(str(path)), guidance=arguments.guidance)


def measure(arguments: argparse.Namespace, chunk: float) -> None:
    """Print the figures for one length of chunks."""
    audio = recording(arguments.speech, arguments.seconds, CARD["rate"])
    clock = SimulatedClock()
    converter = Timed(converter_of(arguments), clock)
    needs = rehearse(converter.converter, chunk, time.perf_counter, latency=converter.latency)
    live = Live(converter, clock, chunk=chunk, needs=needs)
    source = FakeMicrophone(clock, lambda times: audio[np.round(times * CARD["rate"]).astype(int) % len(audio)], **CARD)
    sink = FakeLoudspeaker(clock, keep=False, **CARD)
    begun = clock.now() + WARM_SECONDS + 2 * needs.lookahead

    def look() -> None:
        nonlocal begun
        if clock.now() >= begun:
            live.delays.clear()
            converter.cpu = converter.wall = 0.0
            begun = np.inf

    live.delays = type(live.delays)(kept=10**6)
    Session(live, source, sink, clock, on_look=look).run(arguments.seconds + WARM_SECONDS + 2 * needs.lookahead)
    report(live, converter, chunk)


def report(live: Live, converter: Timed, chunk: float) -> None:
    """Print what was measured."""
    figures = live.delays.percentiles(50, 95, 99)
    print(f"chunk of {1000 * chunk:g} ms, look-ahead of the model {1000 * live.needs.lookahead:.0f} ms, one thread")
    if not len(live.delays):
        print("  nothing was played: converting takes longer than the sound")
    for name, values in figures.items():
        print(f"  {name:<10}" + "".join(f"{1000 * value:9.1f}" for value in values))
    late = figures["chunk"][0] + figures["lookahead"][0] + figures["compute"][1]
    chunks = max(live.delays.chunks, 1)
    print(f"  chunk + look-ahead + 95th percentile of compute: {1000 * late:.0f} ms")
    print(f"  real-time factor {converter.wall / chunks / chunk:.3f}, by CPU time {converter.cpu / chunks / chunk:.3f};"
          f" dropped {live.counts.dropped:.2f} s, {live.counts.gaps} gaps", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path)
    parser.add_argument("--checkpoint", default="live")
    parser.add_argument("--engine", choices=("torch", "onnx"), default="torch")
    parser.add_argument("--guidance", type=float)
    parser.add_argument("--chunk-ms", type=float, nargs="+", default=[20.0, 60.0])
    parser.add_argument("--seconds", type=float, default=30.0)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(" " * 12 + "".join(f"{name:>9}" for name in ("p50", "p95", "p99")))
    for milliseconds in arguments.chunk_ms:
        measure(arguments, milliseconds / 1000)


if __name__ == "__main__":
    main()
