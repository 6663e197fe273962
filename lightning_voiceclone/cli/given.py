"""Find the recipe and the checkpoint that a command line names."""

import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lightning_voiceclone.cli.recipe_text import check_mapping
from lightning_voiceclone.cli.recipes import find_recipe
from lightning_voiceclone.errors import ConfigurationError, nearest

RUNS = Path("runs")
EVALUATIONS = ("validate", "test", "predict")
CONFIG = ("--config", "-c")
LAST = "last"  # for --ckpt_path: the newest checkpoint of the recipe's runs


def recipes_first(arguments: list[str]) -> list[str]:
    """The command line with its recipes first, so that all other options override them."""
    recipes: list[str] = []
    others: list[str] = []
    words = iter(arguments[1:])
    for word in words:
        if word in CONFIG:
            recipes += [word, *(value for value in [next(words, None)] if value is not None)]
        else:
            (recipes if word.startswith("--config=") else others).append(word)
    return [*arguments[:1], *recipes, *others]


def with_named_recipes(arguments: list[str]) -> list[str]:
    """The command line with names of the package's recipes replaced by paths; files in the working directory win.

    Raises:
        ConfigurationError: if there is neither; names the nearest recipe.
    """
    made = list(arguments)
    for place, word in enumerate(arguments):
        if word.startswith("--config="):
            made[place] = f"--config={_recipe(word.partition('=')[2])}"
        elif place and arguments[place - 1] in CONFIG:
            made[place] = _recipe(word)
    return made


def _recipe(value: str) -> str:
    """What ``--config`` gets: a file, a recipe of the package, or YAML as it was given."""
    if Path(value).is_file():
        check_mapping(Path(value))
        return value
    is_name = re.fullmatch(r"[\w./-]+", value) is not None
    return str(find_recipe(value)) if is_name and not Path(value).exists() else value


def with_own_config(arguments: list[str]) -> list[str]:
    """The command line of an evaluation, with the configuration beside the checkpoint if it names none.

    Raises:
        ConfigurationError: if there is none.
    """
    known = (*CONFIG, "--model", "--print_config", "--help", "-h")
    if any(argument.startswith(known) for argument in arguments):
        return arguments
    given = [a.partition("=")[2] or b for a, b in zip(arguments, [*arguments[1:], ""], strict=True)
             if a.partition("=")[0] == "--ckpt_path"]  # fmt: skip
    for name in (argument.partition("=")[0] for argument in arguments[1:] if argument.startswith("--")):
        if meant := nearest(name, ["--config"]):
            raise ConfigurationError(f"there is no option {name}{meant}")
    if arguments[0] not in EVALUATIONS or not given:
        raise ConfigurationError(
            f"lvc {arguments[0]} needs a recipe, such as --config recipes/librispeech.yaml"
            + ("; or --ckpt_path CHECKPOINT, beside which lvc fit wrote one" if arguments[0] in EVALUATIONS else "")
        )
    beside = Path(_existing(given[-1])).resolve().parent.parent / "config.yaml"
    if not beside.is_file():
        raise ConfigurationError(f"there is no {beside}, which lvc fit leaves; name the recipe: --config RECIPE")
    return [arguments[0], "--config", str(beside), *arguments[1:]]


def find_checkpoint(name: str, folders: Iterable[Path]) -> str:
    """Path of the checkpoint that ``--ckpt_path`` names; of ``last`` the newest one in the recipe's runs.

    Args:
        name: value of ``--ckpt_path``.
        folders: in which the recipe's runs keep their checkpoints.

    Raises:
        ConfigurationError: if there is no such file; of Lightning's special names only ``last`` is supported.
    """
    if name != LAST or Path(name).is_file():
        return _existing(name)
    folders = list(folders)
    found = [path for folder in folders for path in folder.glob("*.ckpt")]
    if not found:
        where = ", ".join(map(str, folders)) or "runs of this recipe"
        raise ConfigurationError(
            f"--ckpt_path is last, but there is no checkpoint in {where}; name a file, or leave it out to begin anew"
        )
    return str(max(found, key=lambda path: path.stat().st_mtime_ns))


def recipe_name(settings: Any) -> str:
    """Name of the recipe that settings come from, as runs are called by it; empty without one."""
    files = settings.get("config") or []
    return Path(str(files[-1])).stem if files else ""


def runs_folder(settings: Any) -> Path:
    """Where runs with these settings are kept: below ``trainer.default_root_dir``, or the working directory."""
    return Path(settings.trainer.default_root_dir or ".") / RUNS


def checkpoint_folders(settings: Any) -> list[Path]:
    """Folders in which trainings with these settings keep their checkpoints; empty where a custom logger decides."""
    if settings.checkpoint.dirpath is not None:
        return [Path(settings.checkpoint.dirpath)]
    if settings.trainer.logger is False:
        return [Path(settings.trainer.default_root_dir or ".") / "checkpoints"]
    if settings.trainer.logger in (None, True):
        return sorted((runs_folder(settings) / (recipe_name(settings) or "fit")).glob("version_*/checkpoints"))
    return []


def _existing(name: str) -> str:
    if not Path(name).is_file():
        raise ConfigurationError(
            f"--ckpt_path: there is no file {name}; name a checkpoint that lvc fit wrote"
            " (runs/RECIPE/version_N/checkpoints/*.ckpt), or, with a recipe, last for its newest one"
        )
    return name
