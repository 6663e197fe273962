"""``lvc save``."""

import argparse


def run(argv: list[str]) -> int:
    """Turn a checkpoint into a voice folder, or into a vocoder folder."""
    parser = argparse.ArgumentParser("lvc save", description="Turn a checkpoint of lvc fit into a voice folder, or that"
                                     " of a vocoder into a vocoder folder (safetensors weights and YAML), which loads"
                                     " without Lightning.")  # fmt: skip
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a .ckpt of lvc fit")
    parser.add_argument("--output", required=True, metavar="FOLDER",
                        help="where to write; a folder of the same kind there is replaced")  # fmt: skip
    parser.add_argument("--half", action="store_true", help="store the weights in 16 bits (of a vocoder)")
    options = parser.parse_args(argv)
    from pathlib import Path

    from lightning_voiceclone.errors import ConfigurationError
    from lightning_voiceclone.interfaces import Vocoder
    from lightning_voiceclone.storage import load_voice, read_checkpoint, save_voice
    from lightning_voiceclone.vocoders.pretrained import load_vocoder, save_vocoder
    from lightning_voiceclone.voice import Voice

    path = Path(options.checkpoint)
    part: Voice | Vocoder
    if path.is_file() and "vocoder" in read_checkpoint(path):
        part = vocoder = load_vocoder(path)
        save_vocoder(vocoder, options.output, half=options.half)
    else:
        if options.half:
            raise ConfigurationError("--half is for vocoders; leave it out for a voice")
        part = voice = load_voice(path)
        save_voice(voice, options.output)
    count = sum(parameter.numel() for parameter in part.parameters())
    print(f"{options.output}: {count / 1e6:.2f} M parameters, {part.spec.kind} at {part.spec.sample_rate} Hz")
    return 0
