"""Begin a training with differential privacy, or refuse one whose recordings would leave traces beside the noise."""

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor, nn

from lightning_voiceclone.data.poisson import UnitSampling
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.training.privacy import Plan, PrivacyLedger, PrivacySettings
from lightning_voiceclone.training.private_gradients import PrivateGradients
from lightning_voiceclone.training.trainer_checks import COUNTERS

PUBLIC = ("validation/", "quality/", *COUNTERS)  # figures that no training recording is in
PRECISIONS = ("32-true", "64-true", "bf16-mixed")  # with them weights, gradients and noise have at least 32 bits


class PrivateSteps:
    """The private side of a module's steps: its ledger, its gradients, and how its speakers are drawn.

    Args:
        module: in training.
        trainer: of it.
        stored: what the checkpoint that it goes on from has; None for a new training.

    Raises:
        ConfigurationError: if the recordings would leave traces beside the noise, or epsilon cannot be reached.
        PluginError: if Opacus is not installed.
    """

    def __init__(self, module: Any, trainer: pl.Trainer, stored: Mapping[str, Any] | None) -> None:
        settings = module.steps.privacy
        assert settings is not None
        data: Any = getattr(trainer, "datamodule", None)
        _check_module(module, trainer)
        speakers, probability = _speakers(data, settings)
        done = 0 if stored is None else sum(steps for *_, steps in stored["history"])
        steps = Counter(len(module.updated(step)) for step in range(done, trainer.max_steps))
        self.ledger = PrivacyLedger(settings, Plan(speakers, probability, steps), stored)
        noise, key = self.ledger.noise_multiplier, self.ledger.key
        self.gradients = PrivateGradients(settings.clip, noise, speakers * probability, key)
        self.sampling = UnitSampling(key, probability, settings.crops)
        rank_zero_info(
            f"differential privacy: noise of {noise:.4g} times what one of the {speakers} speakers can contribute, each"
            f" in a step with probability {probability:.4g}, so that all {trainer.max_steps:,} steps spend epsilon"
            f" {settings.epsilon:g} (delta {settings.delta:g}); metrics and checkpoints of the run are not covered"
        )


def seed_of(seed: int, step: int, task: str, speaker: str) -> int:
    """Seed of what is drawn for one speaker in a step: the same number whoever else is in it.

    With one random state for all, a speaker who is left out would change the numbers, and so the gradients, of others.

    Args:
        seed: of the training.
        step: its index.
        task: of the step; each has other numbers.
        speaker: by name; empty for what is drawn once for all.
    """
    return int.from_bytes(hashlib.sha256(f"{seed}\n{step}\n{task}\n{speaker}".encode()).digest()[:8], "big") % 2**63


def watched(module: nn.Module) -> dict[str, Tensor]:
    """Copies of the buffers that a step must not change: all but the average's, which follows from the weights."""
    return {name: buffer.clone() for name, buffer in module.named_buffers() if not name.startswith("average.")}


def check_unchanged(module: nn.Module, before: Mapping[str, Tensor]) -> None:
    """Refuse networks that keep statistics of the recordings, or a state that one speaker leaves to the next.

    Args:
        module: after a step.
        before: what :func:`watched` returned before it.

    Raises:
        ConfigurationError: names the first buffer that the step changed.
    """
    now = dict(module.named_buffers())
    for name, then in before.items():
        if name not in now or not torch.equal(now[name], then):
            raise ConfigurationError(
                f"model.steps.privacy is set, but {name} follows the recordings without noise, as batch norm's"
                " statistics and spectral norm's vectors do; use another norm, such as layer, group or weight"
            )


def _speakers(data: Any, settings: PrivacySettings) -> tuple[int, float]:
    """Number of the training speakers, and the probability with which each is in a step.

    Raises:
        ConfigurationError: if there are too few, or the data draw crops in another way.
    """
    if not hasattr(data, "private_speakers"):
        raise ConfigurationError(
            "model.steps.privacy is set, but the data have no speakers; train with a VoiceDataModule"
        )
    speakers = data.private_speakers()
    expected = data.batch_size / settings.crops
    if expected > speakers:
        raise ConfigurationError(
            f"data.batch_size is {data.batch_size}, which is {expected:g} speakers of {settings.crops} crops"
            f" (model.steps.privacy.crops), but there are {speakers}; it must be at most {speakers * settings.crops}"
        )
    return speakers, expected / speakers


def _check_module(module: Any, trainer: pl.Trainer) -> None:
    """Refuse what would carry the recordings past the noise, or make the number of steps unknown.

    Raises:
        ConfigurationError: names the setting, and what to do.
    """
    steps = module.steps
    monitors = [plateau.monitor for plateau in module.plateaus]
    monitors += [getattr(callback, "monitor", None) or PUBLIC[0] for callback in trainer.callbacks]  # type: ignore[attr-defined]
    private = [name for name in monitors if not name.startswith(PUBLIC)]
    faults = {
        f"{type(module).__name__} learns from the recordings before its first step too; only a VoiceModule can":
            not module.may_be_private,
        "a part normalises features, and its statistics of the recordings would have no noise; begin with those of a"
        " model of other recordings (model.start default)": not module.fitted,
        f"trainer.max_steps is {trainer.max_steps}; the noise follows from the number of steps: set it":
            trainer.max_steps < 1,
        "there are several processes; train in one (trainer.devices 1)": trainer.world_size > 1,
        f"steps.accumulate is {steps.accumulate}; set it to 1": steps.accumulate > 1,
        "steps.balance measures gradients without noise; set it to null": steps.balance is not None,
        f"trainer.precision is {trainer.precision}, which scales or rounds gradients and noise; use one of"
        f" {', '.join(PRECISIONS)}": str(trainer.precision) not in PRECISIONS,
        "trainer.reload_dataloaders_every_n_epochs is set, which draws the first epoch's speakers again; set it to 0":
            trainer.reload_dataloaders_every_n_epochs > 0,  # type: ignore[attr-defined]
        f"{private[0] if private else ''} is monitored, which is measured on training recordings without noise; monitor"
        " a figure of validation/": bool(private),
    }  # fmt: skip
    if fault := next((text for text, wrong in faults.items() if wrong), None):
        raise ConfigurationError(f"model.steps.privacy is set, but {fault}")
