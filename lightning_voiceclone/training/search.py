"""A search over settings by Optuna, one training a trial."""

import json
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from lightning_voiceclone.errors import ConfigurationError, PluginError
from lightning_voiceclone.training.search_space import SearchSpace
from lightning_voiceclone.utils.lightning_internals import stop_without_validation

IDENTITY = "identity"  # attribute of a study
OWNER, FOLDER, FAILURE, REPORTED = "process", "folder", "failure", "reported"  # attributes of its trials


class Watch(Callback):
    """Reports a trial's figure after each validation, and ends the training where it is weak.

    Args:
        trial: Optuna's.
        metric: name of the figure.
        goal: minimize or maximize.
    """

    def __init__(self, trial: Any, metric: str, goal: str) -> None:
        self.trial, self.metric = trial, metric
        self._better = min if goal == "minimize" else max
        self.best: float | None = self._better(self._reported().values(), default=None)
        self.pruned = False

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Report, once a step."""
        found = trainer.callback_metrics.get(self.metric)
        if trainer.state.fn != "fit" or found is None or trainer.global_step in self._reported():
            return
        value = float(found)
        if value != value:  # noqa: PLR0124 (NaN)
            return
        self.trial.report(value, trainer.global_step)
        self.best = value if self.best is None else self._better(self.best, value)
        if self.trial.should_prune():
            self.pruned = True
            stop_without_validation(trainer)

    def _reported(self) -> Mapping[int, float]:
        reported: Mapping[int, float] = self.trial.study.get_trials(deepcopy=False)[
            self.trial.number
        ].intermediate_values
        return reported


@dataclass(frozen=True)
class Outcome:
    """How a training of a trial ended.

    Args:
        value: its best figure; None if there was none.
        pruned: whether it was ended because it was weak.
        interrupted: number of the signal that ended it; 0 for none.
    """

    value: float | None
    pruned: bool = False
    interrupted: int = 0


def open_study(storage: str, name: str, space: SearchSpace, goal: str, identity: Mapping[str, Any]) -> Any:
    """The study, made or gone on with.

    Args:
        storage: URL of a database, such as ``sqlite:///tune.db``.
        name: of the study in it.
        space: what is varied.
        goal: minimize or maximize.
        identity: what must be the same for a study to go on.

    Raises:
        ConfigurationError: if there is a study of that name with another recipe, space or metric, or the database
            cannot be opened.
        PluginError: if Optuna is not installed.
    """
    optuna = _optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        study = optuna.create_study(storage=storage, study_name=name, direction=goal, load_if_exists=True)
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ConfigurationError(f"--study {storage} cannot be opened: {reason}; give sqlite:///FILE.db") from error
    parameters = {key: repr(parameter) for key, parameter in space.parameters.items()}
    wanted = json.loads(json.dumps({**identity, "parameters": parameters, "goal": goal}))
    stored = study.user_attrs.get(IDENTITY)
    if stored is None:
        study.set_user_attr(IDENTITY, wanted)
    elif stored != wanted:
        changed = sorted(key for key in stored.keys() | wanted.keys() if stored.get(key) != wanted.get(key))
        raise ConfigurationError(
            f"the study {name} in {storage} has another {' and '.join(changed)}; give another --name, or the same"
            f" {changed[0]} as before"
        )
    return study


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise PluginError('a search needs Optuna: pip install "lightning-voiceclone[tune]"') from error
    return optuna


def take_up(study: Any) -> int:
    """Have trials tried again, with their training, whose process has ended without a result; returns how many.

    Those of other machines are left alone: whether their processes live cannot be known here.
    """
    from optuna.trial import TrialState

    count = 0
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        host, _, process = str(trial.user_attrs.get(OWNER, "")).rpartition(":")
        if not host or host != socket.gethostname() or _lives(int(process)):
            continue
        try:
            study.tell(trial.number, state=TrialState.FAIL)
        except ValueError:  # another process that was started meanwhile has it
            continue
        kept = {FOLDER: trial.user_attrs[FOLDER], REPORTED: trial.intermediate_values}
        study.enqueue_trial(trial.params, user_attrs=kept)
        count += 1
    return count


def _lives(process: int) -> bool:
    if process == os.getpid():
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def next_trial(study: Any, space: SearchSpace, seed: int) -> tuple[Any, dict[str, Any]]:
    """The next trial and its settings, by option. Equal histories and seeds give equal settings."""
    optuna = _optuna()
    number = len(study.get_trials(deepcopy=False))
    study.sampler = optuna.samplers.TPESampler(seed=(1_000_003 * seed + number) % 2**32, constant_liar=True)
    trial = study.ask()
    settings = {name: parameter.of(name, trial) for name, parameter in space.parameters.items()}
    if FOLDER not in trial.user_attrs:
        trial.set_user_attr(FOLDER, f"{study.study_name}/trial_{trial.number:03d}")
    trial.set_user_attr(OWNER, f"{socket.gethostname()}:{os.getpid()}")
    for step, value in trial.user_attrs.get(REPORTED, {}).items():
        trial.report(value, int(step))
    return trial, settings


def finish(study: Any, trial: Any, ended: Outcome | str) -> None:
    """Write down how a trial ended: its figure, or why it failed."""
    from optuna.trial import TrialState

    if isinstance(ended, str) or ended.value is None:
        trial.set_user_attr(FAILURE, ended if isinstance(ended, str) else "no figure was logged")
        study.tell(trial, state=TrialState.FAIL)
    elif ended.pruned:
        study.tell(trial, state=TrialState.PRUNED)
    else:
        study.tell(trial, ended.value)
