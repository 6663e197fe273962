"""Few-shot adaptation: fine-tune a model on one speaker, to whom it then clones without a reference."""

import logging
import math
import os
import random
import signal
import threading
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.seed import isolate_rng
from torch import Tensor

from lightning_voiceclone.audio.folders import FORMATS, passed_over, recordings_below
from lightning_voiceclone.checkpoints.reader import read_checkpoint
from lightning_voiceclone.checkpoints.storage_bits import check_finite
from lightning_voiceclone.core.part import fuse_parts
from lightning_voiceclone.core.schedule import Scheduled
from lightning_voiceclone.core.validation import check_seed
from lightning_voiceclone.data.memory import MemoryDataModule
from lightning_voiceclone.errors import ConfigurationError, NotFiniteError, RecordingError
from lightning_voiceclone.inference.converter import Converter
from lightning_voiceclone.training.checkpoint_io import WholeCheckpointIO
from lightning_voiceclone.training.modules.voice import VoiceTraining
from lightning_voiceclone.training.step import StepSettings
from lightning_voiceclone.utils.progress import progress_bar
from lightning_voiceclone.voice.model import VoiceModel
from lightning_voiceclone.voice.speaker_prompt import StoredPrompt

Weights = dict[str, Tensor]
LEAST_SECONDS = 5.0
# Measured on three validation speakers, adapted to 10 s of each without one recording: at a strength of 0.5, 0.75 and 1
# the cosine to the rest rose from 0.812 to 0.834, 0.842 and 0.844, wrong words from 12.3% to 14.3%, 14.0% and 15.2%.
STRENGTH = 0.6
CROP_SECONDS, REFERENCE_SECONDS, BATCH = 2.56, 3.84, 8


def recordings_in(folder: Path, note: Callable[[str], None] = lambda line: None) -> list[Path]:
    """Paths of the recordings below a folder, in order; ``note`` is called with a line about files that were skipped.

    Raises:
        ConfigurationError: if there are none.
        OSError: if the folder is missing, is a file, or cannot be read.
    """
    os.scandir(folder).close()
    found, passed = recordings_below(folder)
    if not found:
        why = f" ({passed_over(passed)})" if passed else ""
        raise ConfigurationError(f"no recordings ({FORMATS}) in {folder}{why}; name a folder of one speaker's")
    if passed:
        note(passed_over(passed))
    return found


def check_settings(steps: int, learning_rate: float, strength: float, seed: int) -> None:
    """Refuse settings that cannot work, before a model is loaded for them.

    Raises:
        ConfigurationError: names the setting and its range.
    """
    if steps < 1:
        raise ConfigurationError(f"steps is {steps}; it must be at least 1")
    if not (learning_rate > 0 and math.isfinite(learning_rate)):
        raise ConfigurationError(f"the learning rate is {learning_rate:g}; it must be above 0, as 1e-4")
    if not 0 < strength <= 1:
        raise ConfigurationError(f"the strength is {strength:g}; it must be above 0 and at most 1")
    check_seed(seed)


def adapt(
    voice: VoiceModel,
    recordings: Sequence[Path],
    *,
    steps: int = 300,
    learning_rate: float = 1e-4,
    strength: float = STRENGTH,
    seed: int = 0,
    denoise: str = "auto",
    progress: bool = True,
    note: Callable[[str], None] = lambda line: None,
) -> VoiceModel:
    """Fine-tune a model on one speaker and store that speaker in it, so that it needs no reference.

    Only the generator is trained: it reconstructs each crop from the output of the frozen encoders, and a speaker loss
    is added where the model has a speaker encoder that takes features. The weights are then interpolated from the
    original to the trained ones by ``strength``, which keeps more of what half a minute of speech cannot teach
    (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").

    Args:
        voice: model with a content encoder that uses references; it is changed in place and returned.
        recordings: of one speaker, at least 5 s together; half a minute is good, more than some minutes adds little.
        steps: training steps.
        learning_rate: of AdamW.
        strength: interpolation from the original (0, excluded) to the trained weights (1); more is closer to the
            speaker.
        seed: random seed of crops and of the noise on the speaker embedding.
        denoise: as for ``screen_source``.
        progress: whether to show a progress bar on the error output, if that is a terminal.
        note: called with notes on the recordings, a line each.

    Raises:
        RecordingError: if a recording is not usable, or they are too short together.
        ConfigurationError: if the model cannot clone, a setting is out of range, or the training diverges.
        KeyboardInterrupt: if Ctrl-C or SIGTERM ends the training.
    """
    check_settings(steps, learning_rate, strength, seed)
    clean, references = screened(voice, recordings, denoise, note)
    before = weights_of(voice.generator)
    after = train_generator(voice, clean, steps=steps, learning_rate=learning_rate, seed=seed, progress=progress)
    interpolate(voice, before, after.average, strength)
    voice.own = StoredPrompt(voice.cpu().prompt(references, voice.spec.sample_rate))
    finish(voice)
    return voice


def screened(
    voice: VoiceModel, recordings: Sequence[Path], denoise: str, note: Callable[[str], None]
) -> tuple[list[Tensor], list[Tensor]]:
    """Recordings (N,) to train on, and segments of them (N,) for the speaker's reference.

    Args:
        voice: model that is to be adapted.
        recordings: of one speaker.
        denoise: as for ``screen_source``.
        note: called with notes on the recordings, a line each.

    Raises:
        RecordingError: if a recording is not usable, or they are too short together.
        ConfigurationError: if the model cannot clone.
    """
    if voice.content_encoder is None or not voice.needs_reference:
        raise ConfigurationError("this model cannot clone, and so cannot be adapted to a speaker; take one that can")
    converter = Converter(voice, denoise=denoise, note=note)
    read = [converter.read(path) for path in recordings]
    samples = sum(len(audio) for _, audio in read)
    seconds = samples / converter.sample_rate
    if seconds < LEAST_SECONDS:
        raise RecordingError(f"the recordings last {seconds:.1f} s together; adaptation needs {LEAST_SECONDS:g} s")
    references = converter.screen_references(read)
    if sum(map(len, references)) < samples:
        note(f"that is for the speaker embedding; training uses all of the {seconds:.0f} s")
    quiet = Converter(voice, denoise=denoise, note=lambda line: None)  # the notes were given above
    return [quiet.screen_source(each) for each in read], list(references)


def interpolate(voice: VoiceModel, before: Weights, after: Weights, strength: float) -> None:
    """Set the generator's weights between two states."""
    voice.generator.load_state_dict({name: _between(before[name], value, strength) for name, value in after.items()})


def finish(voice: VoiceModel) -> None:
    """Make a model ready for use again after a training."""
    voice.eval().requires_grad_(False)
    fuse_parts(voice)  # training undid it


@dataclass(frozen=True)
class GeneratorState:
    """A generator in training.

    Args:
        weights: by name.
        average: their moving average, likewise.
    """

    weights: Weights
    average: Weights


def train_generator(
    voice: VoiceModel,
    recordings: Sequence[Tensor],
    *,
    steps: int,
    learning_rate: float,
    seed: int,
    progress: bool,
    speakers: Sequence[str] | None = None,
    begin: GeneratorState | None = None,
    checkpoint: Path | None = None,
) -> GeneratorState:
    """Train the generator of a model on recordings; the model is changed.

    Args:
        voice: the model.
        recordings: samples (N,), of one speaker if ``speakers`` does not say otherwise.
        steps: to make.
        learning_rate: of AdamW.
        seed: of crops and of the noise on the speaker embedding.
        progress: whether to show a progress bar.
        speakers: of each recording.
        begin: state to begin from, in place of the model's own.
        checkpoint: file that holds everything else between two calls: optimizer, step, place in the data. It is read if
            it is there, and written. Two calls with the weights handed on are then equal to the bit to one of as many
            steps. None for a training of its own.

    Raises:
        ConfigurationError: if no recording can be used, or the weights are not finite any more.
        KeyboardInterrupt: if Ctrl-C or SIGTERM ends the training.
    """
    voice.eval().requires_grad_(False).generator.requires_grad_(True)  # without dropout, as in the measurements above
    for part in voice.modules():
        if isinstance(part, torch.nn.RNNBase):
            part.train()  # cuDNN computes gradients of recurrent networks in training mode only
            part.dropout = 0.0  # training mode would apply it
    data = MemoryDataModule(
        [audio.numpy() for audio in recordings], voice.spec.sample_rate, speakers, segment_seconds=CROP_SECONDS,
        reference_seconds=REFERENCE_SECONDS, reference_elsewhere=0.75, batch_size=BATCH, seed=seed,
    )  # fmt: skip
    with isolate_rng():
        random.seed(seed)
        np.random.seed(seed)
        torch.manual_seed(seed)
        module = _module(voice, learning_rate)
        module.seed = seed
        with _interruptible(), _quiet(), progress_bar("adapting", steps, shown=progress) as advance:
            last = checkpoint if checkpoint is not None and checkpoint.is_file() else None
            done = 0 if last is None else int(read_checkpoint(last)["global_step"])
            trainer = _trainer(done + steps, [_Advance(advance), _Begin(begin)])
            try:
                trainer.fit(module, data, ckpt_path=last)
                state = _state(module)
                check_finite(state.average)
            except NotFiniteError as error:
                raise ConfigurationError(
                    f"the training diverged: losses or weights are not finite any more; the learning rate is"
                    f" {learning_rate:g}, take a lower one"
                ) from error
            if checkpoint is not None:
                trainer.save_checkpoint(checkpoint)
    return state


def _state(module: VoiceTraining) -> GeneratorState:
    weights = weights_of(module.voice.generator)
    with module.averaged():
        return GeneratorState(weights, weights_of(module.voice.generator))


def _module(voice: VoiceModel, learning_rate: float) -> VoiceTraining:
    """The training module of the model."""
    weights: dict[str, Scheduled] = {"reconstruction": 20.0}
    speaker = voice.speaker_encoder
    if speaker is not None and speaker.takes == "features":
        weights["speaker"] = 5.0
    return VoiceTraining(
        voice, speaker_noise=0.1, weights=weights,
        generator_optimizer=partial(torch.optim.AdamW, lr=learning_rate, betas=(0.8, 0.99)),
        steps=StepSettings(average=0.98),
    )  # fmt: skip


def weights_of(part: torch.nn.Module) -> Weights:
    """Copies of a part's weights and buffers, on the CPU."""
    return {name: value.detach().cpu().clone() for name, value in part.state_dict().items()}


def _between(before: torch.Tensor, after: torch.Tensor, strength: float) -> torch.Tensor:
    """Interpolate between two tensors; ``after`` itself where they are not floating point, such as counts."""
    return torch.lerp(before, after, strength) if after.is_floating_point() else after.clone()


class _Advance(Callback):
    def __init__(self, advance: Callable[[int], None]) -> None:
        self.advance = advance

    def on_train_batch_end(self, *_: Any) -> None:
        """Advance the progress bar by one step."""
        self.advance(1)


class _Begin(Callback):
    def __init__(self, state: GeneratorState | None) -> None:
        self.state = state

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Replace the weights that the model or the checkpoint has."""
        if self.state is None:
            return
        with pl_module.averaged():
            pl_module.voice.generator.load_state_dict(self.state.average)
        pl_module.voice.generator.load_state_dict(self.state.weights)


def _trainer(steps: int, callbacks: list[Callback]) -> pl.Trainer:
    return pl.Trainer(
        accelerator="auto", devices=1, max_steps=steps, max_epochs=-1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, use_distributed_sampler=False,
        num_sanity_val_steps=0, limit_val_batches=0, callbacks=callbacks, plugins=[WholeCheckpointIO()],
    )  # fmt: skip


@contextmanager
def _quiet() -> Iterator[None]:
    """Suppress Lightning's messages about the machine, its services and its loaders."""
    logger = logging.getLogger("lightning.pytorch")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        logger.setLevel(before)


@contextmanager
def _interruptible() -> Iterator[None]:
    """Raise KeyboardInterrupt on Ctrl-C and SIGTERM; Lightning would end the process, after SIGTERM with status 0."""
    main = threading.current_thread() is threading.main_thread()
    handler = signal.getsignal(signal.SIGINT) if main else None
    try:
        yield
    except SystemExit as ended:
        raise KeyboardInterrupt from ended
    finally:
        if handler is not None:  # Lightning ignores all further ones
            signal.signal(signal.SIGINT, handler)
