"""``lvc save``."""

import argparse


def run(argv: list[str]) -> int:
    """Turn a checkpoint into a voice folder."""
    parser = argparse.ArgumentParser("lvc save", description="Turn a checkpoint of lvc fit into a voice folder"
                                     " (safetensors weights and YAML), which loads without Lightning.")  # fmt: skip
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a .ckpt of lvc fit")
    parser.add_argument(
        "--output", required=True, metavar="FOLDER", help="where to write; a voice folder there is replaced"
    )
    options = parser.parse_args(argv)
    from lightning_voiceclone.storage import load_voice, save_voice

    voice = load_voice(options.checkpoint)
    save_voice(voice, options.output)
    count = sum(parameter.numel() for parameter in voice.parameters())
    print(f"{options.output}: {count / 1e6:.2f} M parameters, {voice.spec.kind} at {voice.spec.sample_rate} Hz")
    return 0
