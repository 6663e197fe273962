"""Private API of Lightning, and of jsonargparse on which its command line stands, each use with its reason.

A new version may change any of it: ``tests/utils/test_lightning_internals.py`` watches each. What torch keeps private
is in ``torch_internals``, so that a model loads without Lightning.
"""

import re
import subprocess
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
import yaml
from jsonargparse import ArgumentParser, _typehints, get_loader, set_loader
from jsonargparse._loaders_dumpers import get_loader_exceptions, set_omegaconf_loader
from jsonargparse._typehints import NestedArg
from jsonargparse._util import import_object
from lightning.pytorch.cli import LightningCLI
from lightning.pytorch.core.optimizer import LightningOptimizer, do_nothing_closure
from lightning.pytorch.strategies.launchers import subprocess_script
from lightning.pytorch.trainer.connectors import checkpoint_connector

# Steps ---------------------------------------------------------------------------------------------------------------


@contextmanager
def uncounted(optimizer: LightningOptimizer) -> Iterator[None]:
    """Keep Lightning from counting this optimizer's steps.

    It counts each optimizer's, two a batch in adversarial training; a step is a batch here (:func:`count_batch`).
    """
    before, after = optimizer._on_before_step, optimizer._on_after_step
    optimizer._on_before_step = optimizer._on_after_step = do_nothing_closure  # type: ignore[method-assign]
    try:
        yield
    finally:
        optimizer._on_before_step, optimizer._on_after_step = before, after  # type: ignore[method-assign]


def count_batch(trainer: pl.Trainer) -> None:
    """Count one step: ``global_step``, ``max_steps`` and checkpoints follow this counter under manual optimization."""
    progress = trainer.fit_loop.epoch_loop.manual_optimization.optim_step_progress
    progress.increment_ready()
    progress.increment_completed()


def batches_done(trainer: pl.Trainer) -> int:
    """Batches of the present epoch that were processed; in a checkpoint of a running epoch, where it goes on."""
    done: int = trainer.fit_loop.epoch_loop.batch_progress.current.processed  # type: ignore[attr-defined]
    return done


def loader_state(checkpoint: Mapping[str, Any]) -> dict[str, Any] | None:
    """State of the training's loader in a checkpoint; None where it has none.

    Lightning itself does not restore it where the last epoch was complete and the limit is one of epochs.
    """
    fit: Any = checkpoint.get("loops", {}).get("fit_loop", {}).get("state_dict", {})
    states = fit.get("combined_loader", [])
    return states[0] if len(states) == 1 else None


def validates_next(trainer: pl.Trainer) -> bool:
    """Whether a validation follows the batch that ends now; Lightning leaves it out in a training that resumes here."""
    loop: Any = trainer.fit_loop
    return bool(loop.epoch_loop._should_check_val_fx(loop._data_fetcher))


def stop_without_validation(trainer: pl.Trainer) -> None:
    """End the training after this batch, without the validation that may be due: Lightning runs it even then."""
    trainer.should_stop = True
    trainer.limit_val_batches = 0


# Processes -----------------------------------------------------------------------------------------------------------


def distributes_samplers(trainer: pl.Trainer) -> bool:
    """Whether ``Trainer(use_distributed_sampler=True)``; the Trainer keeps it where no public attribute leads."""
    return bool(trainer._accelerator_connector.use_distributed_sampler)


LAUNCH_OBSERVER = subprocess_script._launch_process_observer  # Lightning's own, before another takes its place


def watch_children_with(observer: Callable[[list["subprocess.Popen[bytes]"]], None]) -> None:
    """Let ``observer`` take the place of Lightning's watch over the processes that it starts.

    Lightning's own kills this process without a message when one of them fails.
    """
    subprocess_script._launch_process_observer = observer  # type: ignore[assignment]


# Command line --------------------------------------------------------------------------------------------------------


class HookedCLI(LightningCLI):
    """Lightning's command line with public hooks in the place of two private methods, and a third made cheap."""

    def choose_checkpoint(self) -> None:
        """Called with the parsed configuration.

        Lightning's own lets what a checkpoint calls its hyper-parameters change the configuration: it could run code.
        """

    def set_seed(self) -> None:
        """Called next; seeds all generators as ``--seed_everything`` states.

        Raises:
            ValueError: if the seed is out of range.
        """
        super()._set_seed()

    def _parse_ckpt_path(self) -> None:
        self.choose_checkpoint()

    def _set_seed(self) -> None:
        self.set_seed()

    def _dump_config(self) -> None:
        """As Lightning's own, without validating anew what was validated when it was parsed: half a second."""
        if not hasattr(self, "config_dump"):
            text = self.parser.dump(
                self.config, format="yaml", skip_link_targets=False, skip_none=False, skip_validation=True
            )
            settings = yaml.safe_load(text)
            self.config_dump = settings[self.config.subcommand] if "subcommand" in self.config else settings


def raised_while_restoring(error: BaseException) -> bool:
    """Whether an exception comes from Lightning's taking over of a checkpoint that was read; it wraps none."""
    return any(
        frame.f_globals.get("__name__") == checkpoint_connector.__name__
        and frame.f_code.co_name.startswith(("restore", "resume"))
        for frame, _ in traceback.walk_tb(error.__traceback__)
    )


# jsonargparse --------------------------------------------------------------------------------------------------------


def option_names(parser: ArgumentParser) -> list[str]:
    """Names of a parser's own options, without those that print help."""
    return [action.dest for action in parser._actions if not action.dest.endswith("help")]


def option_types(parser: ArgumentParser) -> dict[str, Any]:
    """Types of the values of a parser's own options, by the option's name."""
    return {action.dest: action._typehint for action in parser._actions if hasattr(action, "_typehint")}


def imported(path: str) -> Any:
    """The object that jsonargparse imports for a ``class_path``, so that a check uses the object that is called."""
    return import_object(path)


def wrap_loader(mode: str, wrapper: Callable[[Callable[[str], Any]], Callable[[str], Any]]) -> None:
    """Put ``wrapper`` around the function that turns text into values in a parser mode.

    ``set_loader`` needs the exceptions of the loader that it replaces, and omegaconf's loader is registered only when
    the first parser of that mode is made: neither has a public function.
    """
    if mode.startswith("omegaconf"):
        set_omegaconf_loader(mode)
    set_loader(mode, wrapper(get_loader(mode)), get_loader_exceptions("yaml"))


@dataclass(frozen=True)
class ClassChange:
    """One class named in the place of another, and what it takes over of that one's arguments.

    Args:
        old: path of the class before.
        new: path of the class in its place.
        kept: arguments that it takes over.
        option: last word of the option; empty where jsonargparse does not give it: before it merges the two.
    """

    old: str
    new: str
    kept: dict[str, Any]
    option: str = ""


@contextmanager
def class_changes(found: list[ClassChange]) -> Iterator[None]:
    """Note each class that takes another's place while parsers read; arguments that it is given itself are not kept.

    jsonargparse keeps the arguments that both classes have, and only logs, for debugging, those that it drops.
    """
    drop = _typehints.discard_init_args_on_class_path_change

    def watched(parser: Any, before: Any, after: Any) -> None:
        drop(parser, before, after)
        if before and before.get("init_args") and before["class_path"] != after["class_path"]:
            given = after.get("init_args") or {}
            kept = {name: value for name, value in before["init_args"].items(branches=True, nested=False)
                    if not isinstance(given, NestedArg) and name not in given}  # fmt: skip
            option = getattr(parser, "dest", "").rpartition(".")[2]  # of a parser none
            found.append(ClassChange(before["class_path"], after["class_path"], kept, option))

    _typehints.discard_init_args_on_class_path_change = watched
    try:
        yield
    finally:
        _typehints.discard_init_args_on_class_path_change = drop


# Its error messages: the only place that names the wrong option and the reason.
UNKNOWN = re.compile(r"(?:unrecognized arguments: --?|Option '|Group '([\w.]+)' does not accept option ')([\w.]+)")
BARE = re.compile(r"unrecognized arguments: ([^-\s]\S*)")
VALUELESS = re.compile(r"argument --(\S+): expected (?:one|at least one) argument")
NO_CLASS = re.compile(r"(?:dot import path string|import path format|Import path expected)[^:]*: (\S+)")
FOREIGN = re.compile(r"(?:Expected '([\w.]+)' to be a |Import path ([\w.]+) does not |Importing '([\w.]+)' is not all)")
NO_MODULE = re.compile(r"No module named '([\w.]+)'")
NO_CONFIG = re.compile(r"Unable to load config ['\"](.+?)['\"]")
WANTED = re.compile(r"Expected an? (.+?)(?= - |\. Got value| Given value|$)")
GIVEN = re.compile(r"(?:Got value|Given value): (?:NestedArg\(.*val='?(.*?)'?\)|(.+?))(?= - |$)")
KEY = re.compile(r'Parser key "([^"]+)"')
NESTED = re.compile(r"Given value: NestedArg\(key='([^']+)'")
ALTERNATIVES = re.compile(r"Union subtypes .*?Errors: - (.+?)(?: - Expected an?| Given value|$)")
