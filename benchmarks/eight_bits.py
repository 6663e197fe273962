"""Which engine computes a model in 8 bits fastest here: torch.ao, torchao or ONNX Runtime, against 32 bits.

    python benchmarks/eight_bits.py --source a.wav --reference b.wav

Each converts the same source in turn, with one thread: torch as it is; ``torch.ao.quantization.quantize_dynamic`` and
torchao's ``Int8DynamicActivationInt8WeightConfig`` on the dense layers of all parts (neither has dynamic convolutions);
the graphs of ``lvc export`` in 32 bits and as ``lvc compress --bits 8`` makes them. Columns: the least seconds of CPU
for a second of the source over --rounds, and the greatest difference of a sample from torch's. Engines that are not
installed are left out (pip install torchao).
"""

import argparse
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lightning_voiceclone.checkpoints.voice_folder import load_voice
from lightning_voiceclone.inference.converter import Converter
from lightning_voiceclone.inference.export.folder import export_model
from lightning_voiceclone.inference.export.quantization import quantize_export
from lightning_voiceclone.inference.onnx_engine import OnnxModel
from lightning_voiceclone.testing.signals import speech_like

PARTS = ("content_encoder", "generator", "vocoder")


def by_torch(path: str, change: Callable[[nn.Module], object], options: argparse.Namespace) -> Callable[[], np.ndarray]:
    """A conversion by a model whose parts are changed, in place, once the reference is analysed."""
    converter = Converter(load_voice(path), note=lambda line: None)
    speaker = converter.speaker(options.reference)
    for name in PARTS:
        change(getattr(converter.voice, name))
    return lambda: np.asarray(converter.convert(options.source, speaker)[0]).squeeze()


def by_torch_ao(part: nn.Module) -> None:
    torch.ao.quantization.quantize_dynamic(part, {nn.Linear}, dtype=torch.qint8, inplace=True)


def by_torchao(part: nn.Module) -> None:
    from torchao.quantization import Int8DynamicActivationInt8WeightConfig, quantize_

    quantize_(part, Int8DynamicActivationInt8WeightConfig())


def by_onnx(folder: Path, options: argparse.Namespace) -> Callable[[], np.ndarray]:
    model = OnnxModel(str(folder), note=lambda line: None, threads=1)
    speaker = model.speaker(options.reference)
    return lambda: np.asarray(model.convert(options.source, speaker)).squeeze()


def graphs(path: str, place: Path) -> tuple[Path, Path]:
    """Exports in 32 and in 8 bits."""
    voice = load_voice(path)
    source, reference = (speech_like(2.0, sample_rate=voice.spec.sample_rate, speaker=number, seed=number).audio
                         for number in range(2))  # fmt: skip
    export_model(Converter(voice), place / "32", source, reference, path=path, report=lambda name, difference: None)
    quantize_export(place / "32", place / "8")
    return place / "32", place / "8"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", default="default")
    parser.add_argument("--source", required=True)
    parser.add_argument("--reference", required=True)
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    warnings.filterwarnings("ignore")
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as place:
        single, eight = graphs(options.checkpoint, Path(place))
        makers = {
            "torch, 32 bits": lambda: by_torch(options.checkpoint, lambda part: None, options),
            "torch.ao, 8 bits": lambda: by_torch(options.checkpoint, by_torch_ao, options),
            "torchao, 8 bits": lambda: by_torch(options.checkpoint, by_torchao, options),
            "ONNX Runtime, 32 bits": lambda: by_onnx(single, options),
            "ONNX Runtime, 8 bits": lambda: by_onnx(eight, options),
        }
        calls, expected = {}, None
        for name, make in makers.items():
            try:
                calls[name] = make()
                audio = calls[name]()
            except Exception as error:
                if expected is None:
                    raise  # without torch's own samples there is nothing to compare with
                print(f"{name}: {type(error).__name__}: {str(error)[:200]}")
                calls.pop(name, None)
                continue
            expected = audio if expected is None else expected
            print(f"{name}: samples differ by at most {np.abs(audio - expected).max():.2g}", flush=True)
        least = dict.fromkeys(calls, float("inf"))
        for _ in range(options.rounds):
            for name, call in calls.items():
                begun = time.process_time()
                call()
                least[name] = min(least[name], time.process_time() - begun)
        seconds = len(expected) / load_voice(options.checkpoint).spec.sample_rate
        for name, taken in least.items():
            print(f"{name:24} {taken / seconds:.4f} s of CPU for a second, {taken / least['torch, 32 bits']:.2f}")


if __name__ == "__main__":
    main()
