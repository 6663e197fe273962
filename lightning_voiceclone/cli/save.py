"""``lvc save``."""

import argparse
from typing import Any

from lightning_voiceclone.cli.options import CommandParser
from lightning_voiceclone.utils.terminal import printable

PARTS = ("content_encoder", "speaker_encoder", "text_encoder", "vocoder")


def run(argv: list[str]) -> int:
    """Turn checkpoints into a model folder, or one into that of a vocoder or encoder."""
    parser = CommandParser("lvc save", description="Turn a checkpoint of lvc fit into a model folder, or into"
                                     " the folder of a vocoder or encoder (safetensors weights and YAML), which loads"
                                     " without Lightning. Several checkpoints of one model are averaged.")  # fmt: skip
    parser.add_argument("checkpoints", nargs="+", metavar="CHECKPOINT",
                        help="a .ckpt of lvc fit, or a model folder; several of one model for the mean of their"
                        " weights, with the first one's vocoder")  # fmt: skip
    parser.add_argument("--output", required=True, metavar="FOLDER",
                        help="folder to write; a folder of the same kind there is replaced")  # fmt: skip
    parser.add_argument("--bits", type=int, default=32, choices=(32, 16, 8),
                        help="bits of a stored weight; fewer make the folder smaller and change little"
                        " (default: 32)")  # fmt: skip
    parser.add_argument("--part", choices=PARTS,
                        help="save only this part of a model, to build others with (pretrained: FOLDER)")  # fmt: skip
    parser.add_argument("--vocoder", metavar="NAME",
                        help="store this vocoder in the model: a checkpoint or folder of one, default, or the name of"
                        " a class that needs no training")  # fmt: skip
    parser.add_argument("--text-encoder", metavar="NAME",
                        help="store this text encoder in the model, which then speaks texts too: a checkpoint or folder"
                        " of one, or default")  # fmt: skip
    parser.add_argument("--guidance", type=float, metavar="STRENGTH",
                        help="store this guidance, 0 to 2, as the model's default; see lvc clone --help (default: that"
                        " of the first checkpoint)")  # fmt: skip
    options = parser.parse_args(argv)
    if options.part and options.guidance is not None:
        parser.error(f"--guidance has no effect on the {options.part}; leave it out")
    if options.part == "vocoder" and options.checkpoints[1:]:
        parser.error("further checkpoints have no effect on the vocoder, which is the first one's; leave them out")
    if options.part not in (None, "vocoder") and options.vocoder:
        parser.error(f"--vocoder has no effect on the {options.part}; leave it out")
    if options.part and options.text_encoder:
        parser.error(f"--text-encoder has no effect on the {options.part}; leave it out")
    made, spec = _saved(options)
    count = sum(parameter.numel() for parameter in made.parameters())
    print(f"{printable(options.output)}: {count / 1e6:.2f} M parameters, {spec.kind} at {spec.sample_rate} Hz")
    return 0


def _saved(options: argparse.Namespace) -> tuple[Any, Any]:
    """Write the folder; returns the model or part, and the spec of its features."""
    from pathlib import Path

    from lightning_voiceclone.checkpoints.part_folder import load_part, read_part, save_part
    from lightning_voiceclone.checkpoints.voice_folder import save_voice
    from lightning_voiceclone.core.spec import AudioSpec
    from lightning_voiceclone.errors import ConfigurationError
    from lightning_voiceclone.utils.files import check_no_input

    check_no_input(options.output, [*options.checkpoints, options.vocoder or "", options.text_encoder or ""])
    path = Path(options.checkpoints[0])
    if _holds_part(path):
        given = options.part or options.vocoder or options.text_encoder or options.guidance is not None
        if given or options.checkpoints[1:]:
            raise ConfigurationError(
                f"{path} holds a vocoder or an encoder, not a model: it is saved by itself, without --part, --vocoder,"
                " --text-encoder, --guidance or other checkpoints"
            )
        description, _ = read_part(path)
        part = load_part(path, description["part"]["kind"])
        spec = AudioSpec.from_mapping(description["spec"])
        save_part(part, spec, options.output, bits=options.bits)
        return part, spec
    voice = _voice(options)
    if not options.part:
        save_voice(voice, options.output, bits=options.bits)
        return voice, voice.spec
    part = getattr(voice, options.part)
    if part is None:
        raise ConfigurationError(f"the model {path} has no {options.part}")
    save_part(part, voice.spec, options.output, bits=options.bits)
    return part, voice.spec


def _holds_part(path: Any) -> bool:
    from lightning_voiceclone.checkpoints.part_folder import DESCRIPTION, role_of
    from lightning_voiceclone.checkpoints.reader import open_checkpoint

    return (path / DESCRIPTION).is_file() or (path.is_file() and bool(role_of(open_checkpoint(path).values)))


def _voice(options: argparse.Namespace) -> Any:
    """The model of the checkpoint, or the mean of several."""
    from lightning_voiceclone.checkpoints.privacy_record import with_joined
    from lightning_voiceclone.checkpoints.text_encoder_choice import set_text_encoder
    from lightning_voiceclone.checkpoints.vocoder_choice import chosen
    from lightning_voiceclone.checkpoints.voice_folder import load_voice, voice_path
    from lightning_voiceclone.checkpoints.weight_average import mean_voice
    from lightning_voiceclone.errors import ConfigurationError
    from lightning_voiceclone.voice.compatibility import check_guidance

    first, *others = options.checkpoints
    voice = load_voice(first, chosen(options.vocoder))
    if options.guidance is not None:
        check_guidance(voice, options.guidance)
        voice.guidance = options.guidance
    if len({voice_path(name).resolve() for name in options.checkpoints}) < len(options.checkpoints):
        raise ConfigurationError("a checkpoint is named twice and would count twice in the mean; name each once")
    if others:
        voice = mean_voice({first: voice, **{name: load_voice(name) for name in others}})
    if options.text_encoder:
        set_text_encoder(voice, options.text_encoder)
    joined = [role for role in ("text_encoder", "vocoder") if getattr(options, role)]
    if voice.privacy is not None and joined:
        voice.privacy = with_joined(voice.privacy, joined)
    return voice
