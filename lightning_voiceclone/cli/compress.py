"""``lvc compress``."""

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

from lightning_voiceclone.cli.options import CommandParser
from lightning_voiceclone.utils.terminal import printable

DESCRIPTION = """\
Make a model smaller and faster: prune it, fine-tune what is left, and compute in 8 bits. Prints size, memory, time and
quality before and after, measured here on a few pairs; what comes out neither smaller nor faster is not written."""
EXPORT = "export"  # folder of the graphs before they are quantised
EPILOG = """\
Without --bits 8 the output is a model folder, like that of lvc save. With --bits 8 it is an export like that of lvc
export, for lvc clone --engine onnx and lvc-runtime.

examples:
  lvc compress default --prune 0.3 --data recordings --pairs pairs.tsv --output small
  lvc compress default --bits 8 --pairs pairs.tsv --output fast
  lvc clone --engine onnx --checkpoint fast --source a.wav --reference b.wav --output c.wav"""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = CommandParser("lvc compress", description=DESCRIPTION, epilog=EPILOG,
                         formatter_class=argparse.RawDescriptionHelpFormatter)  # fmt: skip
    made.add_argument("checkpoint", metavar="VOICE",
                      help="a .ckpt of lvc fit, or a model folder; default for the one that ships")  # fmt: skip
    made.add_argument("--output", required=True, metavar="FOLDER", help="folder to write")
    made.add_argument("--pairs", required=True, metavar="TABLE",
                      help="pairs to measure on, as for lvc evaluate")  # fmt: skip
    made.add_argument("--limit", type=int, default=4, metavar="N", help="use only N pairs, evenly spread (default: 4)")
    made.add_argument("--prune", type=float, metavar="SHARE",
                      help="prune this share, 0.01 to 0.95, of the content encoder and the vocoder")  # fmt: skip
    made.add_argument("--structure", default="units", choices=("units", "weights"),
                      help="what is pruned by its magnitude: hidden units, which are removed, or weights, which are set"
                      " to 0 (default: units)")  # fmt: skip
    made.add_argument("--data", metavar="FOLDER", help="recordings of any speakers, to fine-tune the pruned model on")
    made.add_argument("--steps", type=int, default=300, help="steps of fine-tuning of each part (default: 300)")
    made.add_argument("--seed", type=int, default=0, help="random seed of the fine-tuning (default: 0)")
    made.add_argument("--bits", type=int, default=16, choices=(16, 8),
                      help="8 computes matrix products in 8 bits by ONNX Runtime; 16 stores weights so, and computes in"
                      " 32 (default: 16)")  # fmt: skip
    made.add_argument("--compile", action="store_true",
                      help="also measure the model with torch.compile, which no folder can store")  # fmt: skip
    return made


def run(argv: list[str]) -> int:
    """Compress a model, print the table, and write the result if it is smaller or faster."""
    options = parser().parse_args(argv)
    from lightning_voiceclone.checkpoints import voice_folder
    from lightning_voiceclone.core.validation import check_seed
    from lightning_voiceclone.errors import ConfigurationError, LVCError
    from lightning_voiceclone.evaluation.cost import measured, table, worth_it
    from lightning_voiceclone.evaluation.pairs import read_pairs
    from lightning_voiceclone.inference.export import folder as export_folder
    from lightning_voiceclone.training.pruning import check_settings
    from lightning_voiceclone.utils.files import atomic_folder, check_no_input

    if options.data and options.prune is None:
        raise ConfigurationError("--data is to fine-tune what --prune left, and has no effect alone; leave it out")
    if options.prune is None and options.bits != 8:
        raise ConfigurationError("there is nothing to do: give --prune, --bits 8, or both; lvc save --bits 8 stores the"
                                 " same model in less space")  # fmt: skip
    check_settings(0.5 if options.prune is None else options.prune, options.structure, options.steps)
    check_seed(options.seed)
    output = Path(options.output)
    (export_folder if options.bits == 8 else voice_folder).check_place(output)
    pairs = read_pairs(options.pairs).limited(options.limit).rows
    inputs = [options.checkpoint, options.pairs, *([options.data] if options.data else [])]
    check_no_input(output, [*inputs, *(path for row in pairs for path in (row.source, row.reference))])
    with tempfile.TemporaryDirectory() as place:
        voice = voice_folder.load_voice(options.checkpoint)
        before = _size(voice)
        made = _made(options, voice, Path(place))
        candidates = _candidates(options, made, before, _size(voice))
        figures = measured(candidates, pairs)
        print(table({each.name: row for each, row in zip(candidates, figures, strict=True)}))
        if not worth_it(*figures[:2]):
            raise LVCError(
                f"not written: on this machine the result is neither smaller ({figures[1]['size']:.3f} MB, before"
                f" {figures[0]['size']:.3f} MB) nor faster ({figures[1]['rtf']:.3f} s of CPU for a second, before"
                f" {figures[0]['rtf']:.3f}); prune units instead of weights, or use --bits 8"
            )
        with atomic_folder(output) as temporary:
            for file in made.iterdir():
                (temporary / file.name).write_bytes(file.read_bytes())
    print(f"{printable(options.output)}: written")
    return 0


def _candidates(options: argparse.Namespace, made: Path, before: int, after: int) -> list[Any]:
    """What is measured: the model before, what was made of it, and for comparison others; with the models' bytes."""
    from lightning_voiceclone.evaluation.cost import Candidate

    found = [Candidate("before", options.checkpoint, before)]
    if options.bits == 8:
        export = made.with_name(EXPORT)
        found.append(Candidate("after", str(made), _bytes_in(made), onnx=True))
        found.append(Candidate("32-bit export", str(export), _bytes_in(export), onnx=True))
    else:
        found.append(Candidate("after", str(made), after))
    if options.compile:
        found.append(Candidate("before, compiled", options.checkpoint, before, compiled=True))
    return found


def _bytes_in(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.iterdir())


def _size(voice: Any) -> int:
    """Bytes of all weights of a model as they are stored in 16 bits, those that it refers to included."""
    from lightning_voiceclone.checkpoints.external_weights import all_weights
    from lightning_voiceclone.checkpoints.storage_bits import quantize_storage

    return sum(tensor.nbytes for tensor in quantize_storage(all_weights(voice), 16).values())


def _made(options: argparse.Namespace, voice: Any, place: Path) -> Path:
    """The model, compressed in place and written to a folder below ``place``."""
    from lightning_voiceclone.checkpoints.voice_folder import save_voice

    if options.prune is not None:
        _prune(options, voice)
    if options.bits == 16:
        save_voice(voice, place / "model", bits=16)
        return place / "model"
    from lightning_voiceclone.cli.export import SECONDS
    from lightning_voiceclone.inference.converter import Converter
    from lightning_voiceclone.inference.export.folder import export_model
    from lightning_voiceclone.inference.export.quantization import quantize_export
    from lightning_voiceclone.testing.signals import speech_like

    source, reference = (speech_like(SECONDS, sample_rate=voice.spec.sample_rate, speaker=number, seed=number).audio
                         for number in range(2))  # fmt: skip
    export_model(Converter(voice), place / EXPORT, source, reference, path=options.checkpoint,
                 report=lambda name, difference: None)  # fmt: skip
    quantize_export(place / EXPORT, place / "model")
    return place / "model"


def _prune(options: argparse.Namespace, voice: Any) -> None:
    """Prune the model and, with recordings, fine-tune it."""
    from lightning_voiceclone.checkpoints.voice_folder import load_voice
    from lightning_voiceclone.inference.converter import Converter
    from lightning_voiceclone.training.adaptation import recordings_in
    from lightning_voiceclone.training.pruning import finetune, prune

    def note(line: str) -> None:
        print(f"note: {printable(line)}", file=sys.stderr)

    for role, what in prune(voice, options.prune, options.structure).items():
        print(f"{role}: {what}")
    if options.data:
        converter = Converter(voice, note=note)
        recordings = [converter.read(path)[1] for path in recordings_in(Path(options.data), note)]
        finetune(voice, load_voice(options.checkpoint), recordings, steps=options.steps, seed=options.seed)
    else:
        note("not fine-tuned; give recordings with --data, or the clones get worse")
