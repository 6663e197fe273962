"""The training step of a recipe against a bare PyTorch loop over the same networks.

    python benchmarks/training_step.py --config recipes/librispeech.yaml --data.root ../shared/speech/LibriSpeech
    python benchmarks/training_step.py --config recipes/vocoder_vocos.yaml --data.root ../shared/speech/index.tsv

Both take the same batches, already in memory, with the same losses, clipping and moving average; they run in turns,
and the median of the rounds' ratios is printed (goal: at most 1.05). Whatever follows is passed on to the recipe. With
--model.steps.balance 0.9 the same recipe without it is the rival (goal: at most 1.10).
"""

import statistics
import sys
import time
from typing import Any

import lightning.pytorch as pl
import torch
from recipe import made

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.features.prosody import tracked
from lightning_voiceclone.losses.reconstruction import feature_matching, masked_l1
from lightning_voiceclone.training.recipes import VocoderModule
from lightning_voiceclone.utils.torch_internals import lerp_all

ROUNDS, STEPS, SKIPPED = 5, 30, 5


class Clock(pl.Callback):
    """Seconds a step, from the end of one to the end of another, after the first few."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        self.ends.append(time.perf_counter())

    def seconds(self) -> float:
        return (self.ends[-1] - self.ends[SKIPPED - 1]) / (len(self.ends) - SKIPPED)


def batches_of(data: Any) -> list[Any]:
    """The batches of one round, in memory."""
    loader, batches = data.train_dataloader(), []
    while len(batches) < STEPS:
        batches += list(loader)[: STEPS - len(batches)]
    return batches


def lightning_seconds(module: Any, batches: list[Any]) -> float:
    clock = Clock()
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, max_steps=STEPS,
        enable_model_summary=False, callbacks=[clock], use_distributed_sampler=False, log_every_n_steps=10,
    )  # fmt: skip
    trainer.fit(module, torch.utils.data.DataLoader(batches, batch_size=None))  # type: ignore[arg-type]
    return clock.seconds()


def bare_seconds(module: Any, batches: list[Any]) -> float:
    """The same step with nothing round it."""
    made, side = (vocoder_pair, module.vocoder) if isinstance(module, VocoderModule) else (voice_pair, module.voice)
    discriminator, adversarial_loss, clip, weights = (
        module.discriminator,
        module.adversarial_loss,
        module.steps.gradient_clip,
        module.weights,
    )
    (generator_optimizer, discriminator_optimizer), _ = module.configure_optimizers()
    average = {name: p.detach().clone() for name, p in side.named_parameters() if p.requires_grad}
    trained = [p for p in side.parameters() if p.requires_grad]
    module.train()
    ends = []
    for batch in batches:
        real, fake, condition, loss = made(module, batch)
        still = condition.detach()
        discriminator.begin_step()
        real_maps, fake_maps = discriminator(real, still), discriminator(fake.detach(), still)
        adversarial_loss.discriminator([m[-1] for m in real_maps], [m[-1] for m in fake_maps]).mean().backward()
        torch.nn.utils.clip_grad_norm_(discriminator.parameters(), clip)
        discriminator_optimizer.step()
        discriminator_optimizer.zero_grad()
        discriminator.requires_grad_(False)
        fake_maps = discriminator(fake, condition)
        with torch.no_grad():
            real_maps = discriminator(real, condition)
        loss = loss + weights["adversarial"] * adversarial_loss.generator([m[-1] for m in fake_maps]).mean()
        loss = loss + weights["feature_matching"] * feature_matching(real_maps, fake_maps).mean()
        loss.backward()
        discriminator.requires_grad_(True)
        torch.nn.utils.clip_grad_norm_(trained, clip)
        generator_optimizer.step()
        generator_optimizer.zero_grad()
        lerp_all(list(average.values()), [p.data for p in trained], 0.001)
        ends.append(time.perf_counter())
    return (ends[-1] - ends[SKIPPED - 1]) / (len(ends) - SKIPPED)


def voice_pair(module: Any, batch: Any) -> tuple[Any, Any, Any, Any]:
    """Real, fake, condition and the weighted loss between them, of features."""
    voice = module.voice
    source = voice.analyze(batch.audio, batch.lengths, margin=batch.margin)
    reference = voice.analyze(batch.reference, batch.reference_lengths, prosody=False)
    script = voice.script_from_analysis(source, content_transforms=module.content_transforms)
    condition = voice.condition(script, voice.prompt_from_analysis(reference))
    mask = condition.mask(source.features.shape[-1])
    fake, real = voice.generator(condition) * mask, source.features
    return real, fake, condition, module.weights["reconstruction"] * masked_l1(fake, real, mask).mean()


def vocoder_pair(module: Any, batch: Any) -> tuple[Any, Any, Any, Any]:
    """The same of waveforms."""
    audio, hop, margin = batch.audio, module.spec.hop_length, batch.margin
    for transform in module.augmentation:
        audio = transform(audio, module.spec.sample_rate)
    with torch.no_grad():
        features = module.extractor(audio)[..., margin:-margin]
        f0 = {} if module.pitch is None else {"f0": tracked(audio, module.pitch)[:, margin:-margin]}
    real = audio[:, margin * hop : -margin * hop]
    fake = module.vocoder(features, **f0)
    loss = module.weights["mel"] * module.mel(fake, real).mean()
    return real[:, None], fake[:, None], Condition(batch.lengths), loss


def main() -> None:
    arguments = [*sys.argv[1:], "--model.steps.warmup=0"]
    ours, bare = [], []
    module, data = made(arguments)
    batches = batches_of(data)
    unbalanced = None if module.balancer is None else made([*arguments, "--model.steps.balance=null"])[0]
    for _ in range(ROUNDS):
        ours.append(lightning_seconds(module, batches))
        bare.append(bare_seconds(module, batches) if unbalanced is None else lightning_seconds(unbalanced, batches))
    ratios = [left / right for left, right in zip(ours, bare, strict=True)]
    rival = "bare loop" if unbalanced is None else "not balanced"
    print(f"training step: {statistics.median(ours) * 1e3:.1f} ms, {rival} {statistics.median(bare) * 1e3:.1f} ms,"
          f" ratio {statistics.median(ratios):.3f} (median of {ROUNDS}, from {min(ratios):.3f} to {max(ratios):.3f};"
          f" {torch.get_num_threads()} threads)")  # fmt: skip


if __name__ == "__main__":
    main()
