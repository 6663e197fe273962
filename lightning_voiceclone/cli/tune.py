"""``lvc tune``: search settings by Optuna."""

import argparse
import hashlib
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lightning_voiceclone.cli.options import CommandParser
from lightning_voiceclone.errors import SIGNALLED
from lightning_voiceclone.utils.terminal import printable, table

OF_FIT = ("trainer", "model", "data", "checkpoint", "seed_everything")  # first names of the options of lvc fit


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = CommandParser(
        "lvc tune",
        description="Search settings of a recipe: each trial is a training by lvc fit with values from a space, weak"
        " ones are ended early, and the same command goes on with a study that was interrupted or killed, and with its"
        " trainings. Each trial is written as a recipe that runs alone.",
        epilog="All other options are those of lvc fit, for every trial: --data.root, --trainer.max_time, ...",
    )
    made.add_argument("--config", action="append", required=True, metavar="RECIPE",
                      help="recipe of every trial, as lvc fit takes it; may be repeated")  # fmt: skip
    made.add_argument("--space", required=True, type=Path, metavar="FILE",
                      help="what is varied, and by which figure trials are compared: a file of a W&B sweep, such as"
                      " recipes/sweeps/librispeech.yaml")  # fmt: skip
    made.add_argument(
        "--study",
        default="sqlite:///tune.db",
        metavar="URL",
        help="database of the study, which several processes may share (default: sqlite:///tune.db)",
    )
    made.add_argument("--name", metavar="NAME", help="of the study in it (default: the last recipe's)")
    made.add_argument("--output", type=Path, default=Path("tune"), metavar="FOLDER",
                      help="for runs and recipes of the trials (default: tune)")  # fmt: skip
    made.add_argument("--trials", type=int, default=20, metavar="N",
                      help="finished trials that the study is to have (default: 20)")  # fmt: skip
    made.add_argument("--metric", metavar="FIGURE", help="figure to compare by (default: that of the space); with the"
                      " callback CloneQuality also quality/similarity_reference and others")  # fmt: skip
    made.add_argument("--goal", choices=("minimize", "maximize"), help="(default: that of the space)")
    made.add_argument("--seed", type=int, default=0, help="of the search; equal seeds try equal settings (default: 0)")
    made.add_argument("--keep-weak", action="store_true", help="do not end weak trials early")
    return made


def run(argv: list[str]) -> int:
    """Search."""
    own, others = _split(argv)
    options = parser().parse_args(own)
    from dataclasses import replace

    from lightning_voiceclone.cli.recipes import find_recipe
    from lightning_voiceclone.errors import ConfigurationError, check_range
    from lightning_voiceclone.training import search
    from lightning_voiceclone.training.search_space import read_space

    check_range("--trials", options.trials, 1, 1_000_000)
    check_range("--seed", options.seed, 0, 1_000_000)
    if "LOCAL_RANK" in os.environ:  # Lightning starts further processes of a training by repeating the command
        raise ConfigurationError(
            "lvc tune trains a trial in one process; leave trainer.devices at 1, and start lvc tune once a device"
        )
    path = options.space if options.space.exists() else find_recipe(str(options.space))
    space = read_space(path)
    space = replace(space, metric=options.metric or space.metric, goal=options.goal or space.goal)
    if space.metric is None:
        raise ConfigurationError(f"{path} names no metric; give --metric validation/mel_l1 or another logged figure")
    recipes = [Path(name) if Path(name).is_file() else find_recipe(name) for name in options.config]
    identity = {"recipe": [hashlib.sha256(recipe.read_bytes()).hexdigest() for recipe in recipes],
                "options": others, "metric": space.metric}  # fmt: skip
    study = search.open_study(options.study, options.name or recipes[-1].stem, space, space.goal, identity)
    if again := search.take_up(study):
        print(f"{again} trials whose process ended are tried again")
    import optuna

    study.pruner = optuna.pruners.NopPruner() if options.keep_weak else optuna.pruners.MedianPruner(4)
    done = (optuna.trial.TrialState.COMPLETE, optuna.trial.TrialState.PRUNED)
    failed = 0
    while len(study.get_trials(deepcopy=False, states=done)) < options.trials:
        trial, settings = search.next_trial(study, space, options.seed)
        print(f"trial {trial.number}: {printable(', '.join(f'{name}={value}' for name, value in settings.items()))}")
        ended = _train(recipes, others, settings, trial, space, options.output)
        if isinstance(ended, search.Outcome) and ended.interrupted:
            print("interrupted; the same command goes on", file=sys.stderr)
            return SIGNALLED + ended.interrupted
        search.finish(study, trial, ended)
        failed = failed + 1 if isinstance(ended, str) or ended.value is None else 0
        print(f"trial {trial.number}: {printable(_result(ended, space.metric))}")
        if failed >= 3:
            raise ConfigurationError(f"three trials in a row failed, the last one: {_result(ended, space.metric)}")
    print(_summary(study, options.output))
    return 0


def _split(argv: list[str]) -> tuple[list[str], list[str]]:
    """The command's own words, and those of ``lvc fit``."""
    own: list[str] = []
    others: list[str] = []
    words = iter(argv)
    for word in words:
        name = word.removeprefix("--").partition("=")[0].partition(".")[0]
        if not word.startswith("--") or name not in OF_FIT:
            own.append(word)
            continue
        others.append(word)
        if "=" not in word:
            others += [value for value in [next(words, None)] if value is not None]
    return own, others


def _train(
    recipes: list[Path], others: list[str], settings: Mapping[str, Any], trial: Any, space: Any, output: Path
) -> Any:
    """Train a trial, or go on with its training; how it ended, or in words why it failed."""
    from lightning_voiceclone.cli.train import option_words
    from lightning_voiceclone.cli.training import run_cli
    from lightning_voiceclone.errors import LVCError
    from lightning_voiceclone.training.search import FOLDER, REPORTED, Outcome, Watch

    folder = output / trial.user_attrs[FOLDER]
    words = ["fit", *(word for recipe in recipes for word in ("--config", str(recipe))), *others]
    words += [*option_words(settings), f"--trainer.default_root_dir={folder}"]
    if REPORTED in trial.user_attrs and any(folder.rglob("*.ckpt")):
        words.append("--ckpt_path=last")
    watch = Watch(trial, space.metric, space.goal)
    try:
        cli = run_cli(words, [watch])
    except LVCError as error:
        return str(error)
    except Exception as error:  # of a device, a library or a plugin: the next trial may do
        return " ".join(f"{type(error).__name__}: {error}".split())[:300]
    _write_recipe(folder)
    return Outcome(watch.best, watch.pruned, cli.interrupted)


def _write_recipe(folder: Path) -> None:
    """Write what a trial ran, without the checkpoint that it went on from, as a recipe beside its folder."""
    import yaml

    from lightning_voiceclone.utils.files import atomic_file

    newest = max(folder.rglob("config.yaml"), key=lambda path: path.stat().st_mtime_ns)
    settings = yaml.safe_load(newest.read_text("utf-8"))
    settings["ckpt_path"] = None
    settings["trainer"]["default_root_dir"] = None
    with atomic_file(folder.with_name(f"{folder.name}.yaml")) as temporary:
        temporary.write_text(yaml.safe_dump(settings, sort_keys=False), encoding="utf-8")


def _result(ended: Any, metric: str) -> str:
    if isinstance(ended, str):
        return f"failed: {ended}"
    if ended.value is None:
        return f"failed: it logged no {metric}; is that a figure of this recipe, and was there a validation?"
    return f"{metric} {ended.value:.5g}{', ended early' if ended.pruned else ''}"


def _summary(study: Any, output: Path) -> str:
    """The trials, the best first."""
    from optuna.trial import TrialState

    finished = [trial for trial in study.get_trials(deepcopy=False) if trial.state == TrialState.COMPLETE]
    finished.sort(key=lambda trial: trial.value, reverse=study.direction.name == "MAXIMIZE")
    names = sorted({name for trial in finished for name in trial.params})
    short = {name: name.removeprefix("model.") for name in names}
    rows = [["TRIAL", "FIGURE", *(short[name] for name in names)]]
    rows += [[str(trial.number), f"{trial.value:.5g}", *(_shown(trial.params.get(name)) for name in names)]
             for trial in finished]  # fmt: skip
    if not finished:
        return "all trials were ended early"
    best = output / f"{finished[0].user_attrs['folder']}.yaml"
    return f"\n{table(rows)}\n\nthe best: lvc fit --config {printable(best)}"


def _shown(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
