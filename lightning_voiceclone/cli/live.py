"""``lvc live``."""

from __future__ import annotations

import argparse
import contextlib
import queue
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_voiceclone.cli.options import CommandParser, add_speaker_options, check_for_onnx
from lightning_voiceclone.utils.terminal import printable

if TYPE_CHECKING:
    from collections.abc import Callable

    from lightning_voiceclone.inference.live.clock import Clock
    from lightning_voiceclone.inference.live.converters import ModelConverter
    from lightning_voiceclone.inference.live.devices import Device
    from lightning_voiceclone.inference.live.engine import Live
    from lightning_voiceclone.inference.live.sound_card import SoundCard

CHUNK_MS = {"torch": 60.0, "onnx": 20.0}
SETTINGS = "live"  # name of what is remembered: the devices
SHOW_SECONDS = 0.5  # between two readouts on a terminal
SWITCH_SECONDS = 0.0005  # for which one thread may hold Python's interpreter while a device waits


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = CommandParser(
        "lvc live",
        description="Convert a microphone to the voice of reference recordings, while you speak. Use headphones.",
        epilog="While it runs, type a command and Enter: pitch 2, guidance 0.5, voice c.wav, gate -50, mute, quit.",
    )
    add_speaker_options(made)
    made.add_argument("--checkpoint", nargs="+", default=["live"], metavar="PATH",
                      help="a .ckpt of lvc fit, or a model folder, as of lvc clone (default: live, the bundled model"
                      " that looks 70 ms ahead)")  # fmt: skip
    made.add_argument("--input", metavar="WHICH",
                      help="microphone, by its name, a part of it, or its number; or a recording, - for standard input"
                      " (default: the one of the last time, else the system's)")  # fmt: skip
    made.add_argument("--output", metavar="WHICH",
                      help="loudspeaker, likewise; or a file to write (.wav, .flac). Both files: no sound card is"
                      " needed, and time is simulated")  # fmt: skip
    made.add_argument("--list-devices", action="store_true", help="list microphones and loudspeakers")
    made.add_argument("--chunk-ms", type=float, metavar="MS",
                      help="converted at once, 5 to 1000: less is less delay and more work (default: 20 with onnx, 60"
                      " with torch, whose time for a chunk hardly depends on its length)")  # fmt: skip
    made.add_argument("--pitch-shift", type=float, default=0.0, metavar="SEMITONES",
                      help="shift from the reference speaker's pitch (default: 0)")  # fmt: skip
    made.add_argument("--guidance", type=float, metavar="STRENGTH",
                      help="as of lvc clone, 0 to 2 (default: the model's own)")  # fmt: skip
    made.add_argument("--gate", default="-40", metavar="DB",
                      help="level, -90 to -10, below which the output is silent, or off (default: -40)")  # fmt: skip
    made.add_argument("--engine", default="torch", choices=("torch", "onnx"),
                      help="what computes: onnx takes a folder of lvc export as --checkpoint, and starts faster"
                      " (default: torch)")  # fmt: skip
    made.add_argument("--vocoder", metavar="WHICH", help="as of lvc clone")
    made.add_argument("--threads", type=int, default=1, metavar="N",
                      help="to compute with; chunks are small, so more seldom help (default: 1)")  # fmt: skip
    return made


def run(argv: list[str]) -> int:
    """Convert until the input ends, or until Ctrl-C or quit, which are no failure."""
    options = parser().parse_args(argv)
    if options.list_devices:
        from lightning_voiceclone.inference.live.sound_card import SoundCard

        print(SoundCard().listed())
        return 0
    from lightning_voiceclone.errors import check_range

    if options.chunk_ms is None:
        options.chunk_ms = CHUNK_MS[options.engine]
    check_range("--chunk-ms", options.chunk_ms, 5, 1000)
    check_range("--threads", options.threads, 1, 256)
    if options.engine == "onnx":
        check_for_onnx(options, checkpoint=1)
    gate = _gate(options.gate)
    return _convert(options, gate)


def _gate(text: str) -> float | None:
    from lightning_voiceclone.errors import ConfigurationError
    from lightning_voiceclone.inference.live.gate import Gate

    try:
        threshold = None if text == "off" else float(text)
    except ValueError:
        raise ConfigurationError(f"--gate is {text!r}, but must be a number of dB, or off") from None
    return Gate(16000, threshold).threshold


def _convert(options: argparse.Namespace, gate: float | None) -> int:
    from lightning_voiceclone.inference.live.clock import Clock, SimulatedClock
    from lightning_voiceclone.inference.live.devices import FileOutput
    from lightning_voiceclone.utils.locked_output import locked_output
    from lightning_voiceclone.utils.user_settings import load_settings, save_settings

    known = load_settings(SETTINGS)
    names = {side: getattr(options, side) or known.get(side) for side in ("input", "output")}
    simulated = all(map(_is_file, names.values()))
    clock = SimulatedClock() if simulated else Clock()
    source, sink = _devices(options, names, clock)

    def remember() -> None:
        devices = {"input": source.name, "output": sink.name}  # their names: numbers change
        save_settings(SETTINGS, known | {side: name if name == "default" else devices[side]
                                         for side, name in names.items() if name and not _is_file(name)})  # fmt: skip

    with locked_output(Path(sink.name)) if isinstance(sink, FileOutput) else contextlib.nullcontext():
        return _run(options, gate, clock, source, sink, None if simulated else remember)


def _run(
    options: argparse.Namespace,
    gate: float | None,
    clock: Clock,
    source: Device,
    sink: Device,
    remember: Callable[[], None] | None,
) -> int:
    """Convert between the devices; ``remember`` is called before they start, and None in simulated time."""
    from lightning_voiceclone.inference.live.console import Console
    from lightning_voiceclone.inference.live.converters import lookahead_note, rehearse
    from lightning_voiceclone.inference.live.devices import FileOutput
    from lightning_voiceclone.inference.live.engine import Live
    from lightning_voiceclone.inference.live.session import Session

    converter = (_onnx_converter if options.engine == "onnx" else _torch_converter)(options)
    if isinstance(sink, FileOutput):
        sink.rate = converter.sample_rate
    chunk = options.chunk_ms / 1000
    needs = rehearse(converter, chunk, None if remember is None else time.perf_counter, latency=converter.latency)
    note = lookahead_note(needs.lookahead)
    live = Live(converter, clock, chunk=chunk, needs=needs, gate=gate)
    show = _Line(live)
    session = Session(live, source, sink, clock, note=_print, on_look=show)
    if remember is None:
        session.run()
        _finish(live, sink, note)
        return 0
    if note:
        _print(f"note: {note}")
    remember()
    sys.setswitchinterval(SWITCH_SECONDS)
    if options.input != "-":
        console = Console(live, converter, session.stop, show.lines.put)
        threading.Thread(target=_read_commands, args=(console,), daemon=True).start()
    try:
        session.run()
    except KeyboardInterrupt:  # the usual end
        pass
    finally:  # what a microphone gave is kept, whatever ended it
        show()
        _finish(live, sink, "")
    return 0


def _finish(live: Live, sink: Device, note: str) -> None:
    """Write the output, if it is a file, and print a last readout."""
    from lightning_voiceclone.inference.live.console import readout
    from lightning_voiceclone.inference.live.devices import FileOutput

    if isinstance(sink, FileOutput) and sink.begun:  # else a device could not be opened
        print(f"{printable(sink.name)}: {sink.save():.2f} s at {sink.rate} Hz", flush=True)
    if note:
        _print(f"note: {note}")
    _print(readout(live))


def _devices(options: argparse.Namespace, names: dict[str, str | None], clock: Clock) -> tuple[Device, Device]:
    """Input and output device."""
    from lightning_voiceclone.inference.live.devices import FileInput, FileOutput
    from lightning_voiceclone.inference.live.sound_card import SoundCard
    from lightning_voiceclone.utils.files import check_no_input

    card: SoundCard | None = None if all(map(_is_file, names.values())) else SoundCard()
    source, sink = names["input"], names["output"]
    made: list[Any] = []
    if source is not None and _is_file(source):
        made.append(FileInput(source, clock, lambda line: _print(f"note: {line}")))
        made[0].open()  # what is wrong with it is known before the model is loaded
    else:
        assert card is not None
        made.append(card.device("input", source))
    if sink is not None and _is_file(sink):
        given = [source] if source is not None and _is_file(source) else []
        made.append(FileOutput(sink, clock))
        check_no_input(sink, [*given, *options.reference, *options.checkpoint, options.vocoder or ""])
    else:
        assert card is not None
        made.append(card.device("output", sink))
    return made[0], made[1]


def _onnx_converter(options: argparse.Namespace) -> ModelConverter:
    from lightning_voiceclone.inference.live.onnx_converter import OnnxConverter
    from lightning_voiceclone.inference.onnx_engine import OnnxModel

    model = OnnxModel(options.checkpoint[0], note=lambda line: _print(f"note: {line}"), threads=options.threads)
    return OnnxConverter(model, model.speaker(*options.reference), pitch_shift=options.pitch_shift,
                         guidance=options.guidance)  # fmt: skip


def _torch_converter(options: argparse.Namespace) -> ModelConverter:
    import torch

    from lightning_voiceclone.inference.converter import load_model
    from lightning_voiceclone.inference.live.voice_converter import VoiceConverter

    torch.set_num_threads(options.threads)
    model = load_model(options.checkpoint, vocoder=options.vocoder, device=options.device,
                       note=lambda line: _print(f"note: {line}"))  # fmt: skip
    speaker = model.speaker(*options.reference) if options.reference else None
    return VoiceConverter(model, speaker, seed=options.seed, pitch_shift=options.pitch_shift,
                          guidance=options.guidance)  # fmt: skip


def _is_file(name: str | None) -> bool:
    from lightning_voiceclone.inference.live.devices import is_file

    return name is not None and is_file(name)


def _read_commands(console: Any) -> None:
    """Carry out the lines of standard input, until it ends."""
    for line in sys.stdin:
        console.run(line)


class _Line:
    """A readout on the error output that is written anew; on anything but a terminal, only the lines of commands.

    Args:
        live: the engine.
    """

    def __init__(self, live: Live) -> None:
        self._live, self._shown, self._terminal = live, 0.0, sys.stderr.isatty()
        self.lines: queue.SimpleQueue[str] = queue.SimpleQueue()

    def __call__(self) -> None:
        """Print what commands gave, and on a terminal the readout."""
        from lightning_voiceclone.inference.live.console import readout

        while not self.lines.empty():
            _print(self.lines.get())
        if self._terminal and time.monotonic() - self._shown >= SHOW_SECONDS:
            self._shown = time.monotonic()
            sys.stderr.write(f"\r\x1b[K{printable(readout(self._live))}")
            sys.stderr.flush()


def _print(line: str) -> None:
    start = "\r\x1b[K" if sys.stderr.isatty() else ""
    print(f"{start}{printable(line)}", file=sys.stderr)
