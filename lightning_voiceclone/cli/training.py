"""``lvc fit``, ``validate``, ``test`` and ``predict``: Lightning's own command line, with plugins and clear errors."""

import logging
import os
import re
import sys
import warnings
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from jsonargparse import set_parsing_settings
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from lightning.pytorch.cli import LightningArgumentParser
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from lightning_voiceclone.checkpoints.reader import open_checkpoint
from lightning_voiceclone.cli.failures import as_own_error, translated
from lightning_voiceclone.cli.given import (
    EVALUATIONS,
    checkpoint_folders,
    find_checkpoint,
    recipe_name,
    recipes_first,
    runs_folder,
    with_named_recipes,
    with_own_config,
)
from lightning_voiceclone.cli.kept_settings import kept_lines
from lightning_voiceclone.cli.missing_packages import missing_package
from lightning_voiceclone.cli.parser import PluginParser
from lightning_voiceclone.cli.parser_errors import ParsingError
from lightning_voiceclone.cli.recipe_text import bound_recipes
from lightning_voiceclone.core import registry
from lightning_voiceclone.data.datamodule import VoiceDataModule
from lightning_voiceclone.errors import SIGNALLED, ConfigurationError, LVCError
from lightning_voiceclone.training import ranks
from lightning_voiceclone.training.callbacks.clone_quality import CloneQuality  # noqa: F401 (so that its short name resolves)
from lightning_voiceclone.training.callbacks.health import GANHealth
from lightning_voiceclone.training.callbacks.run import ConfigWriter, Interruption, LastCheckpoint, SameOptimizers
from lightning_voiceclone.training.callbacks.samples import SampleLogger, WavWriter
from lightning_voiceclone.training.checkpoint_io import WholeCheckpointIO
from lightning_voiceclone.training.modules.adversarial import AdversarialModule
from lightning_voiceclone.training.recipes import DistillationModule, TextModule, VocoderModule, VoiceModule
from lightning_voiceclone.training.trainer_checks import check_trainer
from lightning_voiceclone.utils.lightning_internals import ClassChange, HookedCLI, class_changes
from lightning_voiceclone.utils.terminal import printable

PRECISIONS = ("None", "32", "32-true", "16", "16-mixed", "bf16", "bf16-mixed")  # of the Trainer's


# Imported, so that a recipe can name them; the first is the default.
MODULES = (VoiceModule, VocoderModule, DistillationModule, TextModule)


class TrainingCLI(HookedCLI):
    """Lightning's command line for modules of this project.

    Args:
        claimed: list to which the folders that were made for the run are appended, inner ones first; None to make none.
    """

    def __init__(self, *arguments: Any, claimed: list[Path] | None, **settings: Any) -> None:
        self.claimed = claimed
        self.asked: list[str] = settings["args"][:1] if settings["run"] else []
        super().__init__(*arguments, **settings)

    def subcommands(self) -> dict[str, set[str]]:  # type: ignore[override]
        """Only the requested one: building the parsers of all four takes four times as long."""
        return {name: skipped for name, skipped in super().subcommands().items() if name in self.asked}

    def parse_arguments(self, parser: LightningArgumentParser, args: Any) -> None:
        """Read recipes and command line, and print what classes keep of those whose place they take."""
        changes: list[ClassChange] = []
        with translated(), class_changes(changes):
            super().parse_arguments(parser, args)
        if self.asked == ["fit"] and rank_zero_only.rank == 0:  # type: ignore[attr-defined]
            for line in kept_lines(changes, self.config.fit, args):
                print(f"lvc: note: {printable(line)}", file=sys.stderr)

    def choose_checkpoint(self) -> None:
        """Find the checkpoint to resume from or to evaluate."""
        if self.config.get("subcommand") and (name := self.config[self.config.subcommand].get("ckpt_path")):
            settings = self.config[self.config.subcommand]
            settings["ckpt_path"] = find_checkpoint(name, checkpoint_folders(settings))
            open_checkpoint(Path(settings["ckpt_path"]))  # an error before anything is made for the run

    def set_seed(self) -> None:
        """Seed all generators."""
        with translated():
            super().set_seed()

    def instantiate_classes(self) -> None:
        """Make the Trainer, the model and the data."""
        with translated():
            super().instantiate_classes()
        if self.subcommand == "fit":
            check_trainer(self.trainer, self.model.logged)  # before the data are prepared, which may take hours

    def _settings(self, config: Any) -> Any:
        """Settings of the subcommand that runs, or all settings without one."""
        return config.get(str(self.subcommand), config)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Add options for checkpoints."""
        parser.add_lightning_class_args(ModelCheckpoint, "checkpoint")
        parser.set_defaults({
            "checkpoint.filename": "step{step}",
            "checkpoint.auto_insert_metric_name": False,
            "model": {"class_path": f"{MODULES[0].__module__}.{MODULES[0].__name__}"},
        })  # fmt: skip

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """Fill in defaults: the loggers' folder, and precision and strategy for this machine."""
        settings = self._settings(self.config).trainer
        if settings.logger in (None, True):
            kwargs["logger"] = self._default_loggers()
        if str(settings.precision) not in PRECISIONS:
            raise ConfigurationError(
                f"trainer.precision is {settings.precision}, which spectra and losses are not computed in; use 32-true,"
                " or bf16-mixed where the device gains by it"
            )
        if settings.precision is None:
            cuda = settings.accelerator in ("auto", "gpu", "cuda") and torch.cuda.is_available()
            gains = cuda and torch.cuda.is_bf16_supported(including_emulation=False)
            kwargs["precision"] = "bf16-mixed" if gains else "32-true"
        if settings.strategy in ("auto", "ddp") and _processes(settings) > 1:
            # A step of the generator leaves the discriminator's weights without gradients, and the other way round.
            kwargs["strategy"] = DDPStrategy(find_unused_parameters=True)
        given = self._settings(self.config_init).trainer.plugins or []
        kwargs["plugins"] = [*(given if isinstance(given, list) else [given]), WholeCheckpointIO()]
        return super().instantiate_trainer(**kwargs)

    def _default_loggers(self) -> list[Any]:
        name = recipe_name(self._settings(self.config)) or str(self.subcommand)
        name = f"{name}-{self.subcommand}" if self.subcommand in EVALUATIONS else name
        runs = runs_folder(self.config.get(str(self.subcommand), self.config))
        version = _next_version(runs / name)
        if self.claimed is not None and "LOCAL_RANK" not in os.environ:  # one process for all of the run's
            missing = [folder for folder in (runs / name, *(runs / name).parents) if not folder.exists()]
            version = _claim(runs / name)
            self.claimed += [runs / name / version, *missing]
        return [CSVLogger(runs, name, version), TensorBoardLogger(runs, name, version, default_hp_metric=False)]

    def after_fit(self) -> None:
        """Print where the trained model is."""
        last = next(c.path for c in self.trainer.callbacks if isinstance(c, LastCheckpoint))  # type: ignore[attr-defined]
        if self.trainer.is_global_zero and last.is_file() and not self.interrupted:
            print(f"trained for {self.trainer.global_step} steps; {printable(self.model.advice(last), lines=True)}")

    @property
    def interrupted(self) -> int:
        """Number of the signal that ended the training; 0 for none."""
        found = [c for c in self.trainer.callbacks if isinstance(c, Interruption)]  # type: ignore[attr-defined]
        return next((c.received for c in found if c.received), 0)


def _next_version(folder: Path) -> str:
    taken = [int(m[1]) for p in folder.glob("version_*") if (m := re.fullmatch(r"version_(\d+)", p.name))]
    return f"version_{max(taken, default=-1) + 1}"


def _claim(folder: Path) -> str:
    """The next version; its folder is made at once, so that a run started meanwhile takes another."""
    while True:
        version = _next_version(folder)
        with suppress(FileExistsError):
            (folder / version).mkdir(parents=True)
            return version


def _processes(settings: Any) -> int:
    devices = settings.devices
    if devices in ("auto", -1, "-1"):
        count = torch.cuda.device_count() if settings.accelerator in ("auto", "gpu", "cuda") else 1
    elif isinstance(devices, int) or str(devices).isdigit():
        count = int(devices)
    else:
        count = len(str(devices).split(",")) if isinstance(devices, str) else len(devices)
    return max(count, 1) * settings.num_nodes


def build_cli(
    arguments: list[str], *, run: bool, claimed: list[Path] | None = None, callbacks: Sequence[Callback] = ()
) -> TrainingCLI:
    """The command line, parsed, with model, data and trainer made; and run, if asked.

    Args:
        arguments: of ``lvc``, from the subcommand on.
        run: whether to run the subcommand.
        claimed: of TrainingCLI.
        callbacks: for the Trainer, beside those that every training has and those of the recipe.
    """
    for failure in registry.load_all():
        print(f"lvc: warning: {printable(failure)}; it is left out", file=sys.stderr)
    set_parsing_settings(omegaconf_absolute_to_relative_paths=True)
    bound_recipes()
    _keep_quiet()
    every = [Interruption(), SampleLogger(), WavWriter(), LastCheckpoint(), SameOptimizers(), GANHealth(), *callbacks]
    return TrainingCLI(
        AdversarialModule,
        VoiceDataModule,
        claimed=claimed,
        subclass_mode_model=True,
        subclass_mode_data=False,
        auto_configure_optimizers=False,  # generator and discriminator have an optimizer each
        args=arguments if run else arguments[1:],
        run=run,
        parser_class=PluginParser,
        parser_kwargs={arguments[0]: {"parser_mode": "omegaconf+"}} if run else {
            "parser_mode": "omegaconf+", "exit_on_error": False},
        save_config_callback=ConfigWriter,
        seed_everything_default=0,
        trainer_defaults={
            "callbacks": every, "use_distributed_sampler": False, "log_every_n_steps": 10, "max_epochs": 1000,
            "num_sanity_val_steps": 0,
        },
    )  # fmt: skip


def run(arguments: list[str]) -> int:
    """Run a subcommand of the Trainer, and return its exit status."""
    cli = run_cli(arguments)
    return SIGNALLED + cli.interrupted if cli.interrupted else 0


def run_cli(arguments: list[str], callbacks: Sequence[Callback] = ()) -> TrainingCLI:
    """Run a subcommand of the Trainer; ``callbacks`` as of :func:`build_cli`.

    Raises:
        LVCError: for what a user can fix, such as a part's error about its settings, without the parser's text around.
    """
    claimed: list[Path] = []
    ranks.watch()
    words: list[str] = []
    try:
        words = with_own_config(recipes_first(with_named_recipes(arguments)))
        return build_cli(words, run=True, claimed=claimed, callbacks=callbacks)
    except ParsingError as error:
        if (missing := missing_package(words)) is not None:
            raise missing from error
        raise
    except LVCError:
        raise
    except Exception as error:
        if own := as_own_error(error):
            raise own from error
        raise
    except SystemExit as error:
        if isinstance(error.__context__, KeyboardInterrupt):  # as Lightning ends where no batch is running
            raise KeyboardInterrupt from error
        raise
    finally:
        for folder in claimed:
            with suppress(OSError):  # it holds something
                folder.rmdir()


def _keep_quiet() -> None:
    """Suppress Lightning's messages that come every time and need no action."""
    for words in ("does not have many workers", "isinstance.treespec, LeafSpec", "LightningCLI's args parameter",
                  r"lr_scheduler\.step\(\)` before"):  # fmt: skip
        warnings.filterwarnings("ignore", f".*{words}.*")
    for name in ("pytorch.utilities.rank_zero", "fabric.utilities.rank_zero",
                 "pytorch.trainer.connectors.checkpoint_connector"):  # fmt: skip
        logging.getLogger(f"lightning.{name}").addFilter(_is_news)


def _is_news(record: logging.LogRecord) -> bool:
    return not any(
        words in record.getMessage() for words in ("litlogger", "`weights_only` was not set", "TPU available")
    )
