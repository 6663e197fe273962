"""The figures of ``lvc evaluate`` in training: a few validation pairs, cloned and judged every so often."""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import soxr
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

from lightning_voiceclone.audio.recordings import read_audio
from lightning_voiceclone.errors import ConfigurationError, LVCError, PluginError
from lightning_voiceclone.evaluation.pairs import read_pairs
from lightning_voiceclone.evaluation.panel import (
    RECOGNIZER,
    SPEAKER_ENCODER,
    Panel,
    PanelSettings,
    chosen_measures,
)
from lightning_voiceclone.evaluation.workers import RATE
from lightning_voiceclone.interfaces import Case

DEFAULT_MEASURES = ("similarity_reference", "similarity_source", "wer_self")
LEAST_SECONDS = 1.0  # of a reference
logger = logging.getLogger(__name__)


class CloneQuality(Callback):
    """Clones a few pairs after a validation, and logs ``quality/NAME`` for each measure, and the clones to listen to.

    ``checkpoint.monitor: quality/similarity_reference`` then keeps the best by that figure (with ``checkpoint.mode:
    max``). In validations between two of these, the last figures are logged again: let ``every`` be at most the steps
    between validations if checkpoints are chosen by them. Training goes on as it would without: nothing is drawn from
    torch's random state.

    Args:
        every: steps from one time to the next, at least; the first validation after so many.
        pairs: table of pairs, as ``lvc evaluate`` takes; null for recordings of the validation split.
        count: how many pairs.
        measures: names of the figures.
        recognizer: who listens to words, as NAME:setting=value.
        speaker_encoder: who tells voices apart, likewise; better not the one that the model is trained with.
        seed: of the choice of validation pairs.

    Raises:
        ConfigurationError: if there is no such measure, or a number is below 1.
        PluginError: if a judge is not installed; when training begins.
    """

    def __init__(
        self,
        every: int = 1000,
        pairs: str | None = None,
        count: int = 4,
        measures: Sequence[str] = DEFAULT_MEASURES,
        recognizer: str = RECOGNIZER,
        speaker_encoder: str = SPEAKER_ENCODER,
        seed: int = 0,
    ) -> None:
        for name, value in (("every", every), ("count", count)):
            if value < 1:
                raise ConfigurationError(f"CloneQuality: {name} is {value}, but must be at least 1")
        self.every, self.pairs, self.count, self.seed = every, pairs, count, seed
        self.settings = PanelSettings(chosen_measures(measures), recognizer, speaker_encoder)
        self.figures: dict[str, float] = dict.fromkeys(self.settings.measures, math.nan)
        self._due = 0
        self._panel: Panel | None = None

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Call the judges together, so that what is missing is told before hours of training.

        Raises:
            ConfigurationError: if the module trains nothing that could clone.
            PluginError: if a judge is not installed.
        """
        voice = getattr(pl_module, "voice", None)
        if voice is None or voice.content_encoder is None or not voice.listens:
            raise ConfigurationError(
                f"CloneQuality needs a voice that can clone, with a content encoder and a speaker encoder, but"
                f" {type(pl_module).__name__} trains none; leave the callback out"
            )
        if not trainer.is_global_zero:
            return
        self._panel = Panel(self.settings)
        for name, reason in self._panel.absent.items():
            raise PluginError(f"CloneQuality cannot measure {name}: {reason}")

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Clone and judge, if it is time, in the first process; log the figures in all."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        if trainer.global_step >= self._due:
            self._due = trainer.global_step + self.every
            if trainer.is_global_zero:
                devices = [pl_module.device] if pl_module.device.type == "cuda" else []
                with torch.random.fork_rng(devices):
                    self.figures = self._measured(trainer, pl_module)
            if trainer.world_size > 1:
                self.figures = trainer.strategy.broadcast(self.figures)
        pl_module.log_dict({f"quality/{name}": value for name, value in self.figures.items()}, sync_dist=False)

    def _measured(self, trainer: pl.Trainer, module: Any) -> dict[str, float]:
        assert self._panel is not None
        measures = self._panel.measures
        for measure in measures.values():
            measure.reset()
        for number, case in enumerate(self._cases(trainer, module.spec.sample_rate)):
            try:
                clone = self._cloned(module, case)
            except LVCError as error:
                logger.warning("CloneQuality leaves %s out: %s", case.name, error)
                continue
            self._log_audio(trainer, number, clone, module.spec.sample_rate)
            judged = _at_judges_rate(replace(case, clone=clone))
            for name, measure in measures.items():
                try:
                    measure.update(judged)
                except LVCError as error:
                    logger.warning("CloneQuality: no %s of %s: %s", name, case.name, error)
        counted = {name: len(measure.scores) for name, measure in measures.items()}
        return {name: float(measure.compute()) if counted[name] else math.nan for name, measure in measures.items()}

    def _cloned(self, module: Any, case: Case) -> torch.Tensor:
        source, reference = (audio.to(module.device) for audio in (case.source, case.reference))
        with module.averaged():
            return module.voice.clone(source, [reference], case.sample_rate, seed=self.seed).cpu()

    def _log_audio(self, trainer: pl.Trainer, number: int, clone: torch.Tensor, rate: int) -> None:
        for shown in trainer.loggers:
            if isinstance(shown, TensorBoardLogger):
                shown.experiment.add_audio(f"quality/{number}", clone[None], trainer.global_step, sample_rate=rate)
            elif isinstance(shown, WandbLogger):
                shown.log_audio(f"quality/{number}", [clone.numpy()], trainer.global_step, sample_rate=[rate])

    # Which pairs -----------------------------------------------------------------------------------------------------

    def _cases(self, trainer: pl.Trainer, rate: int) -> Iterator[Case]:
        """Sources and references at the voice's rate, the source standing for the clone that is yet to be made."""
        if self.pairs is not None:
            for row in read_pairs(Path(self.pairs)).limited(self.count).rows:
                source, reference = (torch.from_numpy(read_audio(p, rate)[0]) for p in (row.source, row.reference))
                yield Case(row.case, source, reference, source, rate, row.transcript)
            return
        data: Any = getattr(trainer, "datamodule", None)
        if not hasattr(data, "datasets"):
            raise ConfigurationError("CloneQuality has no validation recordings to clone; give it a table with pairs=")
        recordings = data.datasets["validation"].recordings
        for first, second in _drawn(recordings.utterances, self.count, self.seed):
            said = recordings.utterances[first]
            source, reference = (torch.from_numpy(recordings.read(index)) for index in (first, second))
            yield Case(
                f"{said.name} as {recordings.utterances[second].speaker}", source, reference, source, rate, said.text
            )

    # Resuming --------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """When it is due again, and the last figures."""
        return {"due": self._due, "figures": self.figures}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Go on from there; figures of other measures are forgotten."""
        self._due = state_dict["due"]
        self.figures = {name: state_dict["figures"].get(name, math.nan) for name in self.figures}


def _at_judges_rate(case: Case) -> Case:
    if case.sample_rate == RATE:
        return case
    source, reference, clone = (
        torch.from_numpy(soxr.resample(audio.numpy(), case.sample_rate, RATE, quality="HQ"))
        for audio in (case.source, case.reference, case.clone)
    )
    return replace(case, source=source, reference=reference, clone=clone, sample_rate=RATE)


def _drawn(utterances: Sequence[Any], count: int, seed: int) -> list[tuple[int, int]]:
    """Places of sources and references, of different speakers where there are any; the same for the same seed."""
    random = np.random.default_rng(seed)
    long = [place for place, utterance in enumerate(utterances) if utterance.seconds >= LEAST_SECONDS]
    pairs = []
    for place in random.permutation(long)[:count]:
        speaker = utterances[place].speaker
        others = [other for other in long if utterances[other].speaker != speaker] or long
        pairs.append((int(place), int(random.choice(others))))
    return pairs
