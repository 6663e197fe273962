"""Attention of a trained Tacotron: with the frames of recordings, and on its own.

    python benchmarks/tacotron.py TABLE --text-encoder NAME [--voice mel] [--split validation] [--sentences 30]

TABLE is tab-separated with the columns path, speaker, text and split. Prints how sharp attention is (mean of the
greatest weight of a step), in how many steps it stays or goes on by at most two tokens, how many phonemes it reaches,
and which share is off the diagonal, all with the frames of the recording; and of how many sentences it finds the way on
its own in one attempt and in three, how long these are over the recordings, and the processor time of a second.
Needs plugins/lvc-tacotron.
"""

import argparse
import csv
import statistics
import time
from pathlib import Path

import torch
from lvc_tacotron.attention import REACHED
from lvc_tacotron.text_encoder import MOST_FRAMES

from lightning_voiceclone.audio.io import read_audio
from lightning_voiceclone.checkpoints.text_encoder_choice import set_text_encoder
from lightning_voiceclone.checkpoints.voice_folder import load_voice
from lightning_voiceclone.errors import AlignmentError
from lightning_voiceclone.text.frontend import FrontEnd


def with_frames(encoder, tokens, lengths, script):
    """Sharpness, monotone steps, phonemes reached and share off the diagonal, with the frames of a recording."""
    memory = encoder.network.encode(tokens, lengths, script.speaker)
    run = encoder.network.decode(memory, lengths, target=encoder._steps(encoder._target(script)))
    moves = run.attention[0].argmax(1).diff()
    spoken = tokens[0] >= encoder.phonemes
    return {"sharpness": float(run.attention.amax(2).mean()),
            "monotone steps": float(((moves >= 0) & (moves <= 2)).float().mean()),
            "phonemes reached": float((run.attention[0].amax(0)[spoken] >= REACHED).float().mean()),
            "off the diagonal": float(encoder.attention_off(run.attention, lengths, script.lengths))}  # fmt: skip


def alone(encoder, tokens, lengths, prompt, frames):
    """Whether attention finds its way in one attempt, and in three; length over the recording's, processor seconds."""
    longer, counts = encoder._stopped(tokens, lengths)
    memory = encoder.network.encode(longer, counts, prompt.speaker)
    run = encoder.network.decode(memory, counts, most=-(-MOST_FRAMES * counts // encoder.step))
    found = encoder._faults(run, 0, longer[0])
    begin = time.process_time()
    try:
        script = encoder(tokens, lengths, prompt)
    except AlignmentError:
        return {"first attempt": float(not found), "three attempts": 0.0}, found
    seconds = (time.process_time() - begin) / (int(script.lengths) / encoder.frame_rate)
    return {"first attempt": float(not found), "three attempts": 1.0, "length": int(script.lengths) / frames,
            "seconds a second": seconds}, found  # fmt: skip


@torch.inference_mode()
def main():
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--text-encoder", required=True)
    parser.add_argument("--voice", default="mel")
    parser.add_argument("--split", default="validation")
    parser.add_argument("--sentences", type=int, default=30)
    options = parser.parse_args()
    voice, front, values = load_voice(options.voice), FrontEnd(), {}
    set_text_encoder(voice, options.text_encoder)
    rows = [row for row in csv.DictReader(options.table.open(), delimiter="\t") if row["split"] == options.split]
    for row in rows[: options.sentences]:
        audio = torch.from_numpy(read_audio(options.table.parent / row["path"], voice.spec.sample_rate)[0])
        script, prompt = voice.script(audio, voice.spec.sample_rate, speaker=False), voice.prompt([audio], 16_000)
        tokens = torch.tensor([front.pronounce(row["text"]).tokens])
        lengths = torch.tensor([tokens.shape[1]])
        of_recording = type(script)(**{**script.tensors(), "speaker": prompt.speaker})
        made, found = alone(voice.text_encoder, tokens, lengths, prompt, int(script.lengths))
        for name, value in (with_frames(voice.text_encoder, tokens, lengths, of_recording) | made).items():
            values.setdefault(name, []).append(value)
        print(f"{row['path']}: {'; '.join(found) or 'follows the text'}", flush=True)
    for name, given in values.items():
        print(f"{name:18} {statistics.mean(given):.3f} ({len(given)} sentences)")


if __name__ == "__main__":
    main()
