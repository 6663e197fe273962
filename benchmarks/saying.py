"""Speech from text against the same sentences recorded, and cloned from the recordings.

    python benchmarks/saying.py TABLE --voice VOICE [--text-encoder NAME] [--sentences 30] [--voices 5] [--output DIR]

TABLE is tab-separated, as for lvc evaluate, with the columns case, source, reference and transcript: the transcript of
a source is spoken in the voices of some of the references in turn. Prints for each system the corpus-level word error
rate (Whisper tiny.en), the cosine to the reference (Resemblyzer), DNSMOS, the length over that of the recording, and
the real-time factor; with --each, what was recognised of every sentence.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import torch

from lightning_voiceclone.audio.io import read_audio, write_audio
from lightning_voiceclone.checkpoints.text_encoder_choice import set_text_encoder
from lightning_voiceclone.checkpoints.voice_folder import load_voice
from lightning_voiceclone.evaluation.case import Case
from lightning_voiceclone.evaluation.pairs import read_pairs
from lightning_voiceclone.evaluation.panel import Panel, PanelSettings
from lightning_voiceclone.text.frontend import FrontEnd
from lightning_voiceclone.voice.options import RenderOptions

METRICS = ("similarity_reference", "wer", "dnsmos_ovrl")
SYSTEMS = ("recording", "clone", "clone without guidance", "text")
RATE = 16_000


class Speaker:
    """Makes what each system makes of a sentence in the voice of a reference."""

    def __init__(self, voice):
        self.voice, self.front = voice, FrontEnd()

    @torch.inference_mode()
    def make(self, system, source, reference, transcript):
        """Samples (N,), and the seconds that it took without the analysis of the reference."""
        voice = self.voice
        prompt = voice.prompt([reference], RATE)
        start = time.perf_counter()
        if system == "recording":
            made = source
        elif system == "text":
            text = transcript.lower() if transcript.isupper() else transcript
            tokens = torch.tensor([self.front.pronounce(text.rstrip(".") + ".").tokens])
            script = voice.text_encoder(tokens, torch.tensor([tokens.shape[1]]), prompt)
            made = voice.render(script, prompt)
        else:
            options = RenderOptions(guidance=None if system == "clone" else 0.0)
            made = voice.render(voice.script(source, RATE), prompt, options)
        return made, time.perf_counter() - start


def judged(options):
    """By system: errors and words of each sentence, cosine, DNSMOS, length, seconds, and what was recognised."""
    voice = load_voice(options.voice)
    if options.text_encoder:
        set_text_encoder(voice, options.text_encoder)
    speaker, panel = Speaker(voice), Panel(PanelSettings(METRICS))
    pairs = read_pairs(options.table).limited(options.sentences).rows
    references = list(dict.fromkeys(pair.reference for pair in pairs))
    references = references[:: max(len(references) // options.voices, 1)][: options.voices]
    if len({path.parent for path in references}) < 2:
        raise SystemExit(f"{options.table} has references of one folder; a voice is to be another than the source's")
    results = {system: [] for system in options.systems}
    for number, pair in enumerate(pairs):
        others = [path for path in references if path.parent != pair.source.parent]
        reference = samples(others[number % len(others)])
        source = samples(pair.source)
        for system in options.systems:
            made, seconds = speaker.make(system, source, reference, pair.transcript)
            case = Case(pair.case, source, reference, made, RATE, pair.transcript)
            found = panel.measure(case, METRICS)
            length = len(made) / RATE
            scores = [found["scores"].get(name, [np.nan])[0] for name in ("similarity_reference", "dnsmos_ovrl")]
            errors = panel.metrics["wer"].score(case)
            results[system].append((*errors, *scores, length / (len(source) / RATE), seconds / length))
            if options.output:
                options.output.mkdir(parents=True, exist_ok=True)
                write_audio(options.output / f"{number:02d}-{system.replace(' ', '-')}.wav", made, RATE)
            if options.each:
                print(f"{number:2d} {system}: {found.get('heard')}", flush=True)
    return results


def samples(path):
    return torch.from_numpy(read_audio(path, RATE)[0])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--voice", required=True)
    parser.add_argument("--text-encoder")
    parser.add_argument("--sentences", type=int, default=30)
    parser.add_argument("--voices", type=int, default=5)
    parser.add_argument("--output", type=Path)
    parser.add_argument("--systems", nargs="+", choices=SYSTEMS, default=SYSTEMS)
    parser.add_argument("--each", action="store_true")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("| system | WER | cosine | DNSMOS | length | real-time factor |\n|---|---|---|---|---|---|")
    for system, rows in judged(options).items():
        errors, count, cosine, quality, length, factor = np.array(rows).T
        print(f"| {system} | {errors.sum() / count.sum():.3f} | {np.nanmean(cosine):.3f} | {np.nanmean(quality):.2f} |"
              f" {length.mean():.2f} | {np.median(factor):.3f} |")  # fmt: skip


if __name__ == "__main__":
    main()
