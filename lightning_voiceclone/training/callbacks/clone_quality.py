"""The metrics of ``lvc evaluate`` during training, on clones of a few validation pairs."""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import lightning.pytorch as pl
import numpy as np
import soxr
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

from lightning_voiceclone.audio.io import read_audio
from lightning_voiceclone.errors import ConfigurationError, LVCError, PluginError
from lightning_voiceclone.evaluation.case import Case
from lightning_voiceclone.evaluation.pairs import Pair, read_pairs
from lightning_voiceclone.evaluation.panel import RECOGNIZER, SPEAKER_ENCODER, Panel, PanelSettings, chosen_metrics
from lightning_voiceclone.evaluation.workers import RATE
from lightning_voiceclone.inference.converter import Converter

DEFAULT_MEASURES = ("similarity_reference", "similarity_source", "wer_self")
LEAST_SECONDS = 1.0  # of a validation recording that is cloned, or cloned from
logger = logging.getLogger(__name__)


class CloneQuality(Callback):
    """Clones a few pairs after a validation, and logs ``quality/NAME`` for each metric, and the clones as audio.

    ``checkpoint.monitor: quality/similarity_reference`` then keeps the best by that metric (with ``checkpoint.mode:
    max``). In validations between two of these, the last values are logged again: let ``every`` be at most the steps
    between validations if checkpoints are chosen by them. Training is not affected: nothing is drawn from torch's
    random state, and a pair that cannot be read or measured is left out with a warning.

    Args:
        every: minimum number of steps between two evaluations; they follow the first validation after it.
        pairs: table of pairs, as ``lvc evaluate`` takes; null for recordings of the validation split.
        count: number of pairs.
        measures: names of the metrics.
        recognizer: speech recogniser, as NAME:setting=value.
        speaker_encoder: speaker encoder, likewise; better not the one that the model is trained with.
        seed: random seed of the choice of validation pairs.

    Raises:
        ConfigurationError: if there is no such metric, or a number is below 1; when training begins, if there are
            no pairs.
        PluginError: if a metric's model is not installed; when training begins.
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
        self.settings = PanelSettings(chosen_metrics(measures), recognizer, speaker_encoder)
        self.figures: dict[str, float] = dict.fromkeys(self.settings.metrics, math.nan)
        self._due = 0
        self._panel: Panel | None = None
        self._pairs: list[tuple[str, Callable[[], Case]]] = []

    @property
    def logged(self) -> set[str]:
        """Names of the metrics that it logs."""
        return {f"quality/{name}" for name in self.figures}

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Load the metrics' models and choose the pairs, so that what is missing is an error before hours of training.

        Raises:
            ConfigurationError: if the module trains nothing that could clone, or there are no pairs.
            PluginError: if a metric's model is not installed.
        """
        voice = getattr(pl_module, "voice", None)
        if voice is None or voice.content_encoder is None or not voice.needs_reference:
            raise ConfigurationError(
                f"CloneQuality needs a model that can clone, with a content encoder and a speaker encoder, but"
                f" {type(pl_module).__name__} trains none; leave the callback out"
            )
        failure: Exception | None = None
        if trainer.is_global_zero:
            try:
                self._prepare(trainer, voice.spec.sample_rate)
            except Exception as error:  # sent to all processes before it is raised: none may wait for this one
                failure = error
        reason = trainer.strategy.broadcast(None if failure is None else _reason(failure))
        if failure is not None:
            raise failure
        if reason is not None:
            raise ConfigurationError(f"the first process could not begin: {reason}")

    def _prepare(self, trainer: pl.Trainer, rate: int) -> None:
        self._panel = Panel(self.settings)
        for name, reason in self._panel.absent.items():
            raise PluginError(f"CloneQuality cannot measure {name}: {reason}")
        self._pairs = self._of_validation(trainer, rate) if self.pairs is None else self._of_table(self.pairs, rate)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Clone and measure, if it is due, in the first process; log the metrics in all."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        if trainer.global_step >= self._due:
            self._due = trainer.global_step + self.every
            if trainer.is_global_zero:
                self.figures = self._measured(trainer, pl_module)
            if trainer.world_size > 1:
                self.figures = trainer.strategy.broadcast(self.figures)
        pl_module.log_dict({f"quality/{name}": value for name, value in self.figures.items()}, sync_dist=False)

    def _measured(self, trainer: pl.Trainer, module: Any) -> dict[str, float]:
        """Metrics by name, NaN where there are none; raises nothing, since other processes wait for the result."""
        devices = [module.device] if module.device.type == "cuda" else []
        scores: dict[str, list[list[float]]] = {name: [] for name in self.figures}
        try:
            with torch.random.fork_rng(devices):
                for number, (name, read) in enumerate(self._pairs):
                    try:
                        measured = self._measured_pair(trainer, module, number, read())
                    except Exception as error:  # whatever it was, it is one pair's
                        logger.warning("CloneQuality leaves %s out: %s", name, _reason(error))
                        continue
                    for measure, score in measured.items():
                        scores[measure].append(score)
            return {name: self._figure(name, table) for name, table in scores.items()}
        except Exception as error:
            logger.warning("CloneQuality has no figures at step %d: %s", trainer.global_step, _reason(error))
            return dict.fromkeys(self.figures, math.nan)

    def _measured_pair(self, trainer: pl.Trainer, module: Any, number: int, case: Case) -> dict[str, list[float]]:
        assert self._panel is not None
        clone = self._cloned(module, case)
        self._log_audio(trainer, number, clone, module.spec.sample_rate)
        result = self._panel.measure(_at_metrics_rate(replace(case, clone=clone)), list(self.figures))
        for name, reason in result["reasons"].items():
            logger.warning("CloneQuality: no %s of %s: %s", name, case.name, reason)
        scores: dict[str, list[float]] = result["scores"]
        return scores

    def _figure(self, name: str, scores: list[list[float]]) -> float:
        """A metric over the cases' scores; without ``compute``, which would wait for the other processes."""
        assert self._panel is not None
        if not scores:
            return math.nan
        return float(self._panel.metrics[name].summarize(np.array(scores), np.ones((1, len(scores))))[0])

    def _cloned(self, module: Any, case: Case) -> torch.Tensor:
        converter = Converter(module.voice, note=logger.debug)
        with module.averaged():
            speaker = converter.speaker((case.reference, case.sample_rate))
            return torch.as_tensor(converter.convert((case.source, case.sample_rate), speaker, seed=self.seed).samples)

    def _log_audio(self, trainer: pl.Trainer, number: int, clone: torch.Tensor, rate: int) -> None:
        for shown in trainer.loggers:
            if isinstance(shown, TensorBoardLogger):
                shown.experiment.add_audio(f"quality/{number}", clone[None], trainer.global_step, sample_rate=rate)
            elif isinstance(shown, WandbLogger):
                shown.log_audio(f"quality/{number}", [clone.numpy()], trainer.global_step, sample_rate=[rate])

    # Which pairs -----------------------------------------------------------------------------------------------------

    def _of_table(self, table: str, rate: int) -> list[tuple[str, Callable[[], Case]]]:
        rows = read_pairs(table).limited(self.count).rows
        for row in rows:
            if missing := [path for path in (row.source, row.reference) if not path.is_file()]:
                raise ConfigurationError(
                    f"CloneQuality: the case {row.case!r} of {table} names {missing[0]}, where there is no file; paths"
                    " are relative to the table's folder"
                )
        return [(row.case, partial(_read_row, row, rate)) for row in rows]

    def _of_validation(self, trainer: pl.Trainer, rate: int) -> list[tuple[str, Callable[[], Case]]]:
        data: Any = getattr(trainer, "datamodule", None)
        if not hasattr(data, "datasets"):
            raise ConfigurationError("CloneQuality has no validation recordings to clone; give it a table with pairs=")
        recordings = data.datasets["validation"].recordings
        places = _drawn(recordings.utterances, self.count, self.seed)
        if not places:
            raise ConfigurationError(
                f"CloneQuality needs two validation recordings of {LEAST_SECONDS} s, one to clone in the"
                f" voice of the other, but finds fewer among {len(recordings.utterances)}; keep more with"
                " data.validation, or give it a table with pairs="
            )
        return [
            (_name(recordings, first, second), partial(_read_validation, recordings, first, second, rate))
            for first, second in places
        ]

    # Resuming --------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """Step at which it is due again, and the last values."""
        return {"due": self._due, "figures": self.figures}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Resume from there; values of metrics that are not computed any more are dropped."""
        self._due = state_dict["due"]
        self.figures = {name: state_dict["figures"].get(name, math.nan) for name in self.figures}


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split())
    return text if isinstance(error, LVCError) else f"{type(error).__name__}: {text[:300]}"


# The cases that are read have the source in the place of the clone, which is made later.


def _read_row(row: Pair, rate: int) -> Case:
    source, reference = (torch.from_numpy(read_audio(path, rate)[0]) for path in (row.source, row.reference))
    return Case(row.case, source, reference, source, rate, row.transcript)


def _read_validation(recordings: Any, first: int, second: int, rate: int) -> Case:
    source, reference = (torch.from_numpy(recordings.read(place)) for place in (first, second))
    text = recordings.utterances[first].text
    return Case(_name(recordings, first, second), source, reference, source, rate, text)


def _name(recordings: Any, first: int, second: int) -> str:
    return f"{recordings.utterances[first].name} as {recordings.utterances[second].speaker}"


def _at_metrics_rate(case: Case) -> Case:
    if case.sample_rate == RATE:
        return case
    source, reference, clone = (
        torch.from_numpy(soxr.resample(audio.numpy(), case.sample_rate, RATE, quality="HQ"))
        for audio in (case.source, case.reference, case.clone)
    )
    return replace(case, source=source, reference=reference, clone=clone, sample_rate=RATE)


def _drawn(utterances: Sequence[Any], count: int, seed: int) -> list[tuple[int, int]]:
    """Places of sources and references, of different speakers where there are any; the same for the same seed.

    A recording is never its own reference: of a single one there are no pairs.
    """
    random = np.random.default_rng(seed)
    long = [place for place, utterance in enumerate(utterances) if utterance.seconds >= LEAST_SECONDS]
    pairs = []
    for place in random.permutation(long)[:count]:
        speaker = utterances[place].speaker
        others = [other for other in long if utterances[other].speaker != speaker]
        others = others or [other for other in long if other != place]
        if others:
            pairs.append((int(place), int(random.choice(others))))
    return pairs
