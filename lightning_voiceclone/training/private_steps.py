"""Begin a training with differential privacy, or refuse one whose recordings would leave traces beside the noise."""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor, nn

from lightning_voiceclone.data.poisson import UnitSampling
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.training.privacy import Plan, PrivacyLedger, PrivacySettings
from lightning_voiceclone.training.private_gradients import PrivateGradients
from lightning_voiceclone.training.trainer_checks import COUNTERS
from lightning_voiceclone.utils.torch_internals import is_persistent

PUBLIC = ("validation/", "quality/", *COUNTERS)  # figures that no training recording is in
OF_WEIGHTS = ("._u", "._v")  # spectral norm's buffers, which follow from the weights alone


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
        self._checked = False
        rank_zero_info(
            f"differential privacy: noise of {noise:.4g} times what one of the {speakers} speakers can contribute, each"
            f" in a step with probability {probability:.4g}, so that all {trainer.max_steps:,} steps spend epsilon"
            f" {settings.epsilon:g} (delta {settings.delta:g}); metrics and checkpoints of the run are not covered"
        )

    def watch(self, module: Any) -> dict[str, tuple[Tensor, Tensor]] | None:
        """Copies of the buffers that the first step must not change; None once that was checked."""
        if self._checked:
            return None
        both = {"generator": module.generator_side, "discriminator": module.discriminator}
        networks = {name: part for name, part in both.items() if part is not None}
        return {f"{name}.{key}": (buffer, buffer.clone()) for name, part in networks.items()
                for key, buffer in _buffers(part) if not key.endswith(OF_WEIGHTS)}  # fmt: skip

    def check_unchanged(self, before: dict[str, tuple[Tensor, Tensor]] | None) -> None:
        """Refuse networks that keep statistics of the recordings.

        Raises:
            ConfigurationError: names the first buffer that a step changed.
        """
        for name, (now, then) in (before or {}).items():
            if not bool((now == then).all()):
                raise ConfigurationError(
                    f"model.steps.privacy is set, but {name} follows the recordings without noise, as batch norm's"
                    " statistics do; use another norm, such as layer or group"
                )
        self._checked = True


def _buffers(part: nn.Module) -> list[tuple[str, Tensor]]:
    return [(f"{prefix}.{name}", buffer) for prefix, owner in part.named_modules()
            for name, buffer in owner.named_buffers(recurse=False) if is_persistent(owner, name)]  # fmt: skip


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
        f"trainer.precision is {trainer.precision}, which scales gradients; use bf16-mixed or 32-true":
            str(trainer.precision).startswith("16"),
        f"{private[0] if private else ''} is monitored, which is measured on training recordings without noise; monitor"
        " a figure of validation/": bool(private),
    }  # fmt: skip
    if fault := next((text for text, wrong in faults.items() if wrong), None):
        raise ConfigurationError(f"model.steps.privacy is set, but {fault}")
