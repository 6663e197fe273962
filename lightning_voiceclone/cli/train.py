"""``lvc fit`` from Python."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from lightning.pytorch.callbacks import Callback, ModelCheckpoint

from lightning_voiceclone.cli.training import TrainingCLI, run_cli
from lightning_voiceclone.training.callbacks.run import LastCheckpoint, run_folder


@dataclass(frozen=True)
class RunResult:
    """What a training left.

    Args:
        folder: of the run: ``config.yaml``, ``metrics.csv``, ``checkpoints``.
        checkpoint: the last one, from which the training can go on; None if no step was made.
        best: the best one by the recipe's monitored figure; None if there was no validation.
        step: batches that were trained on.
        figures: the last value of each figure that was logged, by name.
        interrupted: number of the signal that ended it; 0 for none.
    """

    folder: Path
    checkpoint: Path | None
    best: Path | None
    step: int
    figures: Mapping[str, float] = field(default_factory=dict)
    interrupted: int = 0


def train(
    config: str | Path | Sequence[str | Path],
    overrides: Mapping[str, Any] | None = None,
    resume: str | Path | None = None,
    callbacks: Sequence[Callback] = (),
) -> RunResult:
    """Train by a recipe, as ``lvc fit`` does. In the main thread, Ctrl-C ends it with a checkpoint, as there.

        result = lvc.train("librispeech", {"data.root": "LibriSpeech", "trainer.max_steps": 1000})
        model = lvc.load_model(result.checkpoint)

    Args:
        config: a recipe's path, or the name of one that comes with the package; of several, later ones override.
        overrides: values by option, such as ``model.generator_optimizer.lr``; mappings and lists may be values.
        resume: checkpoint to go on from; "last" for the newest of the recipe's runs.
        callbacks: Lightning's, beside those that every training has.

    Raises:
        LVCError: for what ``lvc fit`` would end with in one line.
    """
    given = [config] if isinstance(config, (str, Path)) else list(config)
    words = ["fit", *(word for one in given for word in ("--config", str(one)))]
    words += option_words(overrides or {})
    if resume is not None:
        words.append(f"--ckpt_path={resume}")
    return _result(run_cli(words, callbacks))


def option_words(overrides: Mapping[str, Any]) -> list[str]:
    """Values by option, as words of the command line."""
    return [f"--{name}={_written(value)}" for name, value in overrides.items()]


def _written(value: Any) -> str:
    """A value as the command line takes it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, str):
        try:
            plain = value != "" and yaml.safe_load(value) == value
        except yaml.YAMLError:
            plain = False
        return value if plain else json.dumps(value)
    return json.dumps(value)


def _result(cli: TrainingCLI) -> RunResult:
    trainer: Any = cli.trainer
    last = next(one.path for one in trainer.callbacks if isinstance(one, LastCheckpoint))
    best = next((one.best_model_path for one in trainer.callbacks if isinstance(one, ModelCheckpoint)), "")
    return RunResult(
        folder=run_folder(trainer),
        checkpoint=last if last.is_file() else None,
        best=Path(best) if best else None,
        step=trainer.global_step,
        figures={name: float(value) for name, value in trainer.callback_metrics.items()},
        interrupted=cli.interrupted,
    )
