"""Whether a training tells who was in it, with and without differential privacy, and what the privacy costs.

    python benchmarks/privacy.py --speech ../shared/speech                                      # some minutes on a core
    python benchmarks/privacy.py --table TABLE --speakers 2000 --steps 20000 --batch 512 --width 192 --device cuda

Speakers of LibriSpeech (or of a table with the columns path and speaker), one recording each, are divided into three
equal groups: members, others, and public ones. A small model of the parts of recipes/librispeech.yaml, without pitch
and energy, is trained against a discriminator three times from the same first weights: on the members without privacy,
on the members with it (the unit is the speaker), and on the public speakers. The normalisation is that of the public
speakers.

The test of membership (Yeom et al. 2018) takes the reconstruction error of each member and of each other: a member's
should be lower. "calibrated" is the error less that of the model of the public speakers (Watson et al. 2022), which is
stronger. The AUC is the probability that a member is taken for one before another is: 0.5 is chance. Intervals are 95%,
by 2,000 draws of the members and of the others. ``mel_l1`` is the error of the others, as ``validation/mel_l1``.
"""

import argparse
import copy
import csv
import logging
import time
import warnings
from functools import partial
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
import torch

from lightning_voiceclone.audio.io import read_audio
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.data.memory import MemoryDataModule
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.losses.reconstruction import masked_l1
from lightning_voiceclone.networks.content_encoders.instance_norm import InstanceNormContentEncoder
from lightning_voiceclone.networks.discriminators.patch import PatchDiscriminator
from lightning_voiceclone.networks.generators.conv import ConvGenerator
from lightning_voiceclone.networks.speaker_encoders.statistics import StatisticsSpeakerEncoder
from lightning_voiceclone.training.modules.voice import VoiceTraining
from lightning_voiceclone.training.privacy import PrivacySettings
from lightning_voiceclone.training.step import StepSettings
from lightning_voiceclone.vocoders.griffin_lim import GriffinLim
from lightning_voiceclone.voice.model import VoiceModel

RATE, SECONDS, CROP = 16000, 12.0, 1.28
LINE = "{:28} {:>12} {:>24} {:>24} {:>7}"


def groups_of(table: Path, corpus: str | None, speakers: int, seed: int) -> list[dict[str, np.ndarray]]:
    """Three groups of so many speakers in all, each with the first seconds of one recording."""
    with table.open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream, delimiter="\t") if corpus is None or row["corpus"] == corpus]
    first = {row["speaker"]: row["path"] for row in reversed(rows)}
    names = np.random.default_rng(seed).permutation(sorted(first))[:speakers]
    read = {name: read_audio(table.parent / first[name], RATE)[0][: int(SECONDS * RATE)] for name in names}
    return [{name: read[name] for name in part} for part in np.array_split(names, 3)]


def small_model(width: int, public: dict[str, np.ndarray]) -> VoiceModel:
    torch.manual_seed(0)
    extractor = MelSpectrogram()
    inputs = Dims(80)
    content = InstanceNormContentEncoder(inputs, channels=16, width=width, layers=2)
    speaker = StatisticsSpeakerEncoder(inputs, channels=32, width=width)
    dims = Dims(80, content=16, speaker=32)
    generator = ConvGenerator(dims, width=width, layers=4, dropout=0.0)
    voice = VoiceModel(extractor, generator, GriffinLim(extractor.spec), content_encoder=content,
                       speaker_encoder=speaker)  # fmt: skip
    voice.normalizer.fit(extractor(torch.from_numpy(audio)[None]) for audio in public.values())
    return voice


def trained(start: VoiceModel, group: dict[str, np.ndarray], options: argparse.Namespace,
            privacy: PrivacySettings | None) -> tuple[VoiceModel, str]:  # fmt: skip
    """The model after training on a group, and what it spent."""
    pl.seed_everything(options.seed, verbose=False)
    voice = copy.deepcopy(start)
    against = PatchDiscriminator(Dims(80, content=16, speaker=32), width=16, layers=3)
    adam = partial(torch.optim.Adam, lr=options.rate, betas=(0.8, 0.99))
    module = VoiceTraining(
        voice, against, weights={"reconstruction": 20.0, "adversarial": 1.0, "feature_matching": 2.0},
        generator_optimizer=adam, discriminator_optimizer=adam,
        steps=StepSettings(average=None, gradient_clip=None, privacy=privacy),
    )  # fmt: skip
    data = MemoryDataModule(list(group.values()), RATE, list(group), segment_seconds=CROP, reference_seconds=CROP,
                            batch_size=options.batch, seed=options.seed)  # fmt: skip
    trainer = pl.Trainer(
        accelerator="gpu" if options.device == "cuda" else "cpu", devices=1, max_steps=options.steps, max_epochs=-1,
        logger=False, enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        use_distributed_sampler=False, limit_val_batches=0, num_sanity_val_steps=0,
    )  # fmt: skip
    trainer.fit(module, data)
    if module.private is None:
        return voice.cpu().eval(), "epsilon infinite"
    record = module.private.ledger.record()
    return voice.cpu().eval(), f"epsilon {record['epsilon']:.2f}, noise {record['noise_multiplier']:.2f}"


@torch.no_grad()
def errors_of(voice: VoiceModel, group: dict[str, np.ndarray]) -> np.ndarray:
    """Mean absolute error (speakers,) of the mel bands of each speaker's crops, in the extractor's units."""
    samples, found = int(CROP * RATE), []
    for audio in group.values():
        pieces = torch.from_numpy(audio[: len(audio) // samples * samples]).view(-1, samples)
        lengths = torch.full((len(pieces),), samples // voice.spec.hop_length)
        source = voice.analyze(pieces, lengths)
        prompt = voice.prompt_from_analysis(voice.analyze(pieces.roll(1, 0), lengths, prosody=False))
        fake = voice.generator(voice.condition(voice.script_from_analysis(source), prompt))
        inverse = voice.normalizer.inverse
        distance = masked_l1(inverse(fake), inverse(source.features), torch.ones(len(fake), 1, fake.shape[-1]))
        found.append(float(distance.mean()))
    return np.array(found)


def auc(members: np.ndarray, others: np.ndarray) -> float:
    """Probability that a member's error is lower than another's; ties count half."""
    less, equal = members[:, None] < others[None], members[:, None] == others[None]
    return float((less + equal / 2).mean())


def with_interval(members: np.ndarray, others: np.ndarray) -> str:
    rng = np.random.default_rng(0)
    draws = [auc(rng.choice(members, len(members)), rng.choice(others, len(others))) for _ in range(2000)]
    low, high = np.quantile(draws, [0.025, 0.975])
    return f"{auc(members, others):.3f} ({low:.3f} to {high:.3f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, default=Path("../shared/speech"))
    parser.add_argument("--table", type=Path, help="table of recordings, in place of --speech's LibriSpeech")
    parser.add_argument("--speakers", type=int, default=240)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--crops", type=int, default=2)
    parser.add_argument("--width", type=int, default=48)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--epsilon", type=float, nargs="+", default=[8.0])
    parser.add_argument("--delta", type=float, default=1e-3)
    parser.add_argument("--clip", type=float, default=0.5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    warnings.filterwarnings("ignore", module="lightning")
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    table, corpus = options.table, None
    if table is None:
        table, corpus = options.speech / "index.tsv", "LibriSpeech/train-clean-100"
    members, others, public = groups_of(table, corpus, options.speakers, options.seed)
    start = small_model(options.width, public)
    print(f"{len(members)} members, {len(others)} others, {options.steps} steps of {options.batch} crops;"
          f" delta {options.delta:g}, seed {options.seed}")  # fmt: skip
    print(LINE.format("training", "mel_l1", "AUC", "AUC calibrated", "minutes"))
    print(LINE.format("none", f"{errors_of(start, others).mean():.4f}", with_interval(errors_of(start, members),
          errors_of(start, others)), "", ""), flush=True)  # fmt: skip
    reference, _ = trained(start, public, options, None)
    baseline = [errors_of(reference, group) for group in (members, others)]
    for epsilon in (None, *options.epsilon):
        settings = None if epsilon is None else PrivacySettings(epsilon, options.delta, options.clip, options.crops)
        begun = time.monotonic()
        voice, spent = trained(start, members, options, settings)
        minutes = (time.monotonic() - begun) / 60
        found = [errors_of(voice, group) for group in (members, others)]
        calibrated = with_interval(found[0] - baseline[0], found[1] - baseline[1])
        print(LINE.format(spent, f"{found[1].mean():.4f}", with_interval(*found), calibrated, f"{minutes:.1f}"),
              flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
