"""The textbook GAN on MFCCs: after training, the statistics of each coefficient, made against real.

    python benchmarks/textbook.py --data.root ../shared/speech/LJSpeech [--trainer.max_steps 10000]

Trains recipes/textbook_mfcc.yaml and prints each coefficient's difference of means in real standard deviations (goal:
within 0.3) and its ratio of standard deviations (goal: from 0.5 to 1.5), over all recordings.
"""

import sys
import tempfile
from pathlib import Path

import torch
from rich.console import Console
from rich.table import Table

from lightning_voiceclone.cli.training import build_cli
from lightning_voiceclone.evaluation.metrics.moments import ChannelMoments

RECIPE = Path(__file__).resolve().parents[1] / "recipes/textbook_mfcc.yaml"


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        cli = build_cli(["fit", "--config", str(RECIPE), *sys.argv[1:], "--trainer.logger=false",
                         f"--trainer.default_root_dir={folder}"], run=False)  # fmt: skip
        cli.trainer.fit(cli.model, cli.datamodule)
    module, data = cli.model.eval(), cli.datamodule
    voice = module.voice
    moments = ChannelMoments(voice.spec.channels)
    torch.manual_seed(0)
    with torch.no_grad(), module.averaged():
        for split in ("train", "validation"):
            recordings = data.datasets[split].recordings
            for index in range(len(recordings.utterances)):
                audio = torch.from_numpy(recordings.read(index))[None]
                source = voice.analyze(audio)
                fake = voice.generator(voice.condition(voice.script_from_analysis(source)))
                moments.update(source.features, fake, torch.ones_like(fake[:, :1]))
    gaps, ratios = moments.by_channel()
    table = Table(title=f"textbook MFCC GAN after {cli.trainer.global_step} steps, {int(moments.count)} frames")
    for heading in ("coefficient", "difference of means / sd", "ratio of sd"):
        table.add_column(heading, justify="right")
    for number, (gap, ratio) in enumerate(zip(gaps, ratios, strict=True)):
        table.add_row(str(number), f"{gap:+.3f}", f"{ratio:.3f}")
    Console(width=100).print(table)
    print(f"largest difference {gaps.abs().max():.3f}; spread from {ratios.min():.3f} to {ratios.max():.3f}")


if __name__ == "__main__":
    main()
