"""``lvc save``."""

import argparse

PARTS = ("content_encoder", "speaker_encoder", "vocoder")


def run(argv: list[str]) -> int:
    """Turn a checkpoint into a voice folder, or into that of a vocoder or encoder."""
    parser = argparse.ArgumentParser("lvc save", description="Turn a checkpoint of lvc fit into a voice folder, or into"
                                     " the folder of a vocoder or encoder (safetensors weights and YAML), which loads"
                                     " without Lightning.")  # fmt: skip
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a .ckpt of lvc fit")
    parser.add_argument("--output", required=True, metavar="FOLDER",
                        help="where to write; a folder of the same kind there is replaced")  # fmt: skip
    parser.add_argument("--bits", type=int, default=32, choices=(32, 16, 8),
                        help="of a stored weight; fewer make the folder smaller and change little")  # fmt: skip
    parser.add_argument("--part", choices=PARTS,
                        help="of a voice only this one, for others to be built with (pretrained: FOLDER)")  # fmt: skip
    options = parser.parse_args(argv)
    from pathlib import Path

    from torch import nn

    from lightning_voiceclone.errors import ConfigurationError
    from lightning_voiceclone.spec import AudioSpec
    from lightning_voiceclone.storage import load_voice, read_checkpoint, save_voice
    from lightning_voiceclone.trained import load_part, read_part, role_of, save_part

    path = Path(options.checkpoint)
    checkpoint = read_checkpoint(path) if path.is_file() else {}
    made: nn.Module
    if role_of(checkpoint) and not options.part:
        description, _ = read_part(path)
        spec = AudioSpec.from_mapping(description["spec"])
        made = part = load_part(path, description["part"]["kind"])
        save_part(part, spec, options.output, bits=options.bits)
    else:
        made = voice = load_voice(path)
        spec = voice.spec
        if options.part:
            made = part = getattr(voice, options.part)
            if part is None:
                raise ConfigurationError(f"the voice {path} has no {options.part}")
            save_part(part, spec, options.output, bits=options.bits)
        else:
            save_voice(voice, options.output, bits=options.bits)
    count = sum(parameter.numel() for parameter in made.parameters())
    print(f"{options.output}: {count / 1e6:.2f} M parameters, {spec.kind} at {spec.sample_rate} Hz")
    return 0
