"""What each ingredient of the cloning model contributes: trainings without one, or with one more, of equal length.

    python benchmarks/ablations.py --speech ../shared/speech --output OUT --only
    OMP_NUM_THREADS=1 python benchmarks/ablations.py --speech ../shared/speech --output OUT --results OUT/reports
    OMP_NUM_THREADS=1 python benchmarks/ablations.py --speech ../shared/speech --output OUT --results OUT/reports \
        --recipe librispeech --start none --minutes 20 [--pairs PAIRS.tsv --limit N]

Each variant of ``recipes/clone_small.yaml`` is trained for 45 minutes from the model that ships (``--model.start``; a
discriminator begins anew in all of them), then clones the pairs of eval_pairs.tsv, without guidance. Prints a table in
Markdown: the figures of the recipe itself with their intervals, and of every variant the paired differences from it.
Reports are kept in ``--results``, so that variants can be trained one by one, on other days; a training that was
interrupted is resumed, and one that failed is named and left out. All use the recipe's vocoder.
The first command prints the table of those in ``benchmarks/results/ablations``. They began with the model that shipped
until 2026-11-26, which is one of three in the mean that ships since; to add a variant to them, name it with
``--start``: the files of ``git show 875642c^:lightning_voiceclone/weights/voice/NAME`` in a folder. The last command
compares features of several time scales with the plain mel of ``recipes/librispeech.yaml``, from fresh weights of one
seed. Needs the extra ``judges``.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from cloning import figure

from lightning_voiceclone.checkpoints.reader import read_checkpoint
from lightning_voiceclone.checkpoints.voice_folder import WEIGHTS, voice_path
from lightning_voiceclone.errors import LVCError
from lightning_voiceclone.evaluation.compare import compare
from lightning_voiceclone.evaluation.report import METRICS
from lightning_voiceclone.evaluation.run import evaluate
from lightning_voiceclone.evaluation.systems import ClonedBy, path_sha256
from lightning_voiceclone.utils.files import atomic_folder

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
RESULTS = Path(__file__).resolve().parent / "results/ablations"
MEASURES = ("similarity_reference", "similarity_source", "nearer_reference", "wer", "dnsmos_ovrl")
WHOLE, START = "the recipe", "the start itself"
NO_DISCRIMINATOR = ["--model.discriminator", "null", "--model.weights.adversarial", "0",
                    "--model.weights.feature_matching", "0", "--model.swap", "0"]  # fmt: skip
OF_CLONE_SMALL: Mapping[str, list[str]] = {
    START: [],
    WHOLE: [],
    # A content loss by an encoder that trains too could be reduced by the encoder alone: there is none here.
    "content by instance normalisation": [
        "--model.content_encoder", "InstanceNormContentEncoder", "--model.content_encoder.channels", "96",
        "--model.weights.content", "0",
    ],
    "no discriminator, no cross-speaker rows": NO_DISCRIMINATOR,
    "no speaker loss": ["--model.weights.speaker", "0"],
    "no perturbation": ["--model.content_transforms", "null"],
    "no pseudo-speakers": ["--data.speeds", "null"],
    "no retrieval": ["--model.generator.look_up", "[]"],
    "statistics of exchanged rows": ["--model.weights.statistics", "1"],
    "sampling by quality": ["--data.clean_db", "40"],
}  # fmt: skip
OF_LIBRISPEECH: Mapping[str, list[str]] = {
    WHOLE: [],
    "several time scales": ["--config", str(RECIPES / "librispeech_multi_scale.yaml")],
}
VARIANTS = {"clone_small": OF_CLONE_SMALL, "librispeech": OF_LIBRISPEECH}  # by recipe
DATA = {"clone_small": "index.tsv", "librispeech": "LibriSpeech"}  # below --speech
FRESH = "none"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, required=True, help="folder with index.tsv and eval_pairs.tsv")
    parser.add_argument("--output", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--results", type=Path, default=RESULTS, help=f"folder of the reports (default: {RESULTS})")
    parser.add_argument("--recipe", default="clone_small", choices=[*VARIANTS])
    parser.add_argument("--start", default="default", help="voice to begin with: checkpoint, folder, default, or none")
    parser.add_argument("--pairs", type=Path, help="table of pairs (default: eval_pairs.tsv of --speech)")
    parser.add_argument("--limit", type=int, help="so many pairs only, evenly spread")
    parser.add_argument("--minutes", type=int, default=45, help="of each training (default: 45)")
    parser.add_argument("--at-once", type=int, default=1, help="trainings at a time; give each as many processors")
    parser.add_argument("--only", nargs="*", metavar="VARIANT",
                        help="of the recipe's variants (default: all); none to print the table alone")  # fmt: skip
    options = parser.parse_args()
    options.variants = VARIANTS[options.recipe]
    options.only = [*options.variants] if options.only is None else options.only
    if unknown := [name for name in options.only if name not in options.variants]:
        parser.error(f"--only is {unknown[0]!r}, but must be of {', '.join(options.variants)}")
    if options.only and (other := report_of_others(options)) is not None:
        parser.error(f"{other} is of another recipe, start or time; name another folder with --results")
    with ThreadPoolExecutor(options.at_once) as pool:
        list(pool.map(lambda name: run(options, name), options.only))
    print_table({name: found for name in options.variants if (found := kept(options, name)) is not None})


def slug(name: str) -> str:
    return name.replace(" ", "-")


def run(options: argparse.Namespace, name: str) -> None:
    """Train a variant and evaluate it, unless its report is there."""
    try:
        if kept(options, name) is None and (name == START or train(options, name)):
            evaluate_variant(options, name)
    except LVCError as error:
        print(f"{name} failed: {error}", file=sys.stderr, flush=True)


def conditions(options: argparse.Namespace) -> dict[str, Any]:
    """What must be the same for variants that are compared."""
    made = {"minutes": options.minutes, "start": FRESH, "recipe": path_sha256(recipe(options))}
    if options.start != FRESH:
        start = voice_path(options.start)
        made["start"] = path_sha256(start / WEIGHTS if start.is_dir() else start)
    return made


def recipe(options: argparse.Namespace) -> Path:
    return RECIPES / f"{options.recipe}.yaml"


def kept(options: argparse.Namespace, name: str) -> Path | None:
    """Folder of a variant's report; None if there is none."""
    folder: Path = options.results / slug(name)
    return folder if (folder / METRICS).is_file() else None


def report_of_others(options: argparse.Namespace) -> Path | None:
    """A report of another recipe, start or time among those that are kept, which no other could be compared with."""
    ours = conditions(options)
    for folder in filter(None, (kept(options, name) for name in options.variants)):
        if json.loads((folder / METRICS).read_text("utf-8"))["training"]["conditions"] != ours:
            return folder
    return None


def folder_of(options: argparse.Namespace, name: str) -> Path:
    return Path(options.output).resolve() / slug(name)


def start_of(options: argparse.Namespace) -> list[str]:
    """Arguments for the voice to begin with; a path holds from wherever a training runs."""
    if options.start == FRESH:
        return []
    known = str(Path(options.start).resolve()) if Path(options.start).exists() else options.start
    return ["--model.start", known, "--model.steps.warmup", "0"]


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of a variant; None where it has none."""
    found = sorted(folder.glob("runs/*/version_*/checkpoints/*.ckpt"), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def train(options: argparse.Namespace, name: str) -> bool:
    """Train a variant for its minutes, or for what is left of them; whether that came to its end."""
    folder = folder_of(options, name)
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / f"trained-{options.minutes}"
    if done.exists():
        return True
    command = [sys.executable, "-m", "lightning_voiceclone", "fit", "--config", str(recipe(options)),
               "--data.root", str(options.speech.resolve() / DATA[options.recipe]), *start_of(options),
               "--trainer.max_steps", "-1", "--trainer.enable_progress_bar", "false", "--trainer.max_time",
               f"00:{options.minutes // 60:02}:{options.minutes % 60:02}:00",
               *options.variants[name]]  # fmt: skip
    if (stored := last_checkpoint(folder)) is not None:
        command += ["--ckpt_path", str(stored)]
    print(f"training: {name}", file=sys.stderr, flush=True)
    with (folder / "fit.log").open("a", encoding="utf-8") as log:
        status = subprocess.run(command, check=False, cwd=folder, stdout=log, stderr=subprocess.STDOUT).returncode
    if status:
        print(f"{name} failed with status {status}; see {folder / 'fit.log'}", file=sys.stderr, flush=True)
        return False
    done.touch()
    return True


def evaluate_variant(options: argparse.Namespace, name: str) -> None:
    """Clone the pairs, and keep what was found."""
    folder = folder_of(options, name)
    checkpoint = options.start if name == START else last_checkpoint(folder)
    assert checkpoint is not None, f"{folder} has no checkpoint"
    # A start may have a vocoder of its own; what is trained from it has the recipe's, and both must sound alike.
    system = ClonedBy(checkpoint, vocoder="default" if name == START else None, guidance=0.0)
    report = evaluate(options.pairs or options.speech / "eval_pairs.tsv", system, folder / "report",
                      measures=MEASURES, limit=options.limit, workers=1 if options.at_once > 1 else 0)  # fmt: skip
    found = json.loads((report.folder / METRICS).read_text("utf-8"))
    found["system"]["name"] = name
    steps = 0 if name == START else read_checkpoint(Path(checkpoint))["global_step"]
    found["training"] = {"steps": steps, "settings": options.variants[name], "conditions": conditions(options)}
    with atomic_folder(options.results / slug(name)) as temporary:
        (temporary / METRICS).write_text(json.dumps(found, indent=1), encoding="utf-8")


def print_table(folders: Mapping[str, Path]) -> None:
    """The recipe's figures, and what each variant has more or less, paired."""
    if WHOLE not in folders or len(folders) < 2:
        print(f"there is nothing to compare yet: the table needs the report of {WHOLE!r} and another one")
        return
    others = [name for name in folders if name != WHOLE]
    comparison = compare([folders[name] for name in (WHOLE, *others)])
    metrics = {name: comparison.metrics[name] for name in MEASURES if name in comparison.metrics}
    print(f"| variant, {len(comparison.reports[0].cases)} pairs | steps | {' | '.join(metrics)} |")
    print("|---" * (2 + len(metrics)) + "|")
    whole = comparison.reports[0].metrics
    rows = {WHOLE: [figure(metric["means"][0], whole[name]["ci95"]) for name, metric in metrics.items()]}
    for place, name in enumerate(others):
        rows[name] = [figure(metric["differences"][place], metric["ci95"][place], "+") for metric in metrics.values()]
    for name, cells in rows.items():
        steps = json.loads((folders[name] / METRICS).read_text("utf-8"))["training"]["steps"]
        print(f"| {name} | {steps:,} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
