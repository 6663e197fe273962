"""What each ingredient of the cloning model is worth: trainings that lack one, or have one more, at equal times.

    OMP_NUM_THREADS=1 python benchmarks/ablations.py --speech ../shared/speech --output OUT --at-once 2

Each variant of ``recipes/clone_small.yaml`` goes on for 45 minutes from the voice that ships (``--model.start``; a
discriminator begins anew in all of them), then clones the pairs of eval_pairs.tsv. Prints a table in Markdown: the
figures of the recipe itself with their intervals, and of every variant the paired differences from it. Trainings and
reports that are there already are not done again; one that was interrupted goes on where it stood, and one that failed
is named and left out. Needs the extra ``judges``.
"""

import argparse
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from cloning import figure

from lightning_voiceclone.evaluation.compare import compare
from lightning_voiceclone.evaluation.run import evaluate
from lightning_voiceclone.evaluation.systems import ClonedBy

RECIPE = Path(__file__).resolve().parents[1] / "recipes/clone_small.yaml"
MEASURES = ("similarity_reference", "similarity_source", "nearer_reference", "wer", "dnsmos_ovrl")
WHOLE = "the recipe"
GAME = ["--model.discriminator", "null", "--model.weights.adversarial", "0", "--model.weights.feature_matching", "0",
        "--model.swap", "0"]  # fmt: skip
VARIANTS: Mapping[str, list[str]] = {
    WHOLE: [],
    "statistics of exchanged rows": ["--model.weights.statistics", "1"],
    # An encoder that trains would learn to be content with anything: this one can have no content loss.
    "content by instance normalisation": [
        "--model.content_encoder", "InstanceNormContentEncoder", "--model.content_encoder.channels", "96",
        "--model.weights.content", "0",
    ],
    "no adversarial loss": GAME,
    "no speaker loss": ["--model.weights.speaker", "0"],
    "no perturbation": ["--model.content_transforms", "null"],
    "no pseudo-speakers": ["--data.speeds", "null"],
    "no retrieval": ["--model.generator.look_up", "[]"],
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, required=True, help="folder with index.tsv and eval_pairs.tsv")
    parser.add_argument("--output", type=Path, required=True, help="folder for the runs and the reports")
    parser.add_argument("--start", default="default", help="voice to begin with: checkpoint, folder, or default")
    parser.add_argument("--minutes", type=int, default=45, help="of each training (default: 45)")
    parser.add_argument("--at-once", type=int, default=1, help="trainings at a time; give each as many processors")
    parser.add_argument("--limit", type=int, help="so many pairs only, evenly spread")
    options = parser.parse_args()
    with ThreadPoolExecutor(options.at_once) as pool:
        trained = list(pool.map(lambda name: train(options, name), VARIANTS))
    print_table({name: judge(options, name) for name, done in zip(VARIANTS, trained, strict=True) if done})


def folder_of(options: argparse.Namespace, name: str) -> Path:
    return Path(options.output).resolve() / name.replace(" ", "-")


def start_of(options: argparse.Namespace) -> str:
    """The voice to begin with; a path holds from wherever a training runs."""
    return str(Path(options.start).resolve()) if Path(options.start).exists() else options.start


def last_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of a variant; None where it has none."""
    found = sorted(folder.glob("runs/clone_small/version_*/checkpoints/*.ckpt"), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def train(options: argparse.Namespace, name: str) -> bool:
    """Train a variant for its minutes, or for what is left of them; whether that came to its end."""
    folder = folder_of(options, name)
    folder.mkdir(parents=True, exist_ok=True)
    done = folder / "trained"
    if done.exists():
        return True
    command = [sys.executable, "-m", "lightning_voiceclone", "fit", "--config", str(RECIPE),
               "--data.root", str(options.speech.resolve() / "index.tsv"), "--model.start", start_of(options),
               "--model.steps.warmup", "0", "--trainer.max_steps", "-1", "--trainer.max_time",
               f"00:{options.minutes // 60:02}:{options.minutes % 60:02}:00", "--trainer.enable_progress_bar", "false",
               *VARIANTS[name]]  # fmt: skip
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


def judge(options: argparse.Namespace, name: str) -> Path:
    """Folder of a variant's report."""
    folder = folder_of(options, name)
    checkpoint = last_checkpoint(folder)
    assert checkpoint is not None, f"{folder} has no checkpoint"
    pairs = options.speech / "eval_pairs.tsv"
    evaluate(pairs, ClonedBy(checkpoint), folder / "report", measures=MEASURES, limit=options.limit)
    return folder / "report"


def print_table(folders: Mapping[str, Path]) -> None:
    """The recipe's figures, and what each variant has more or less, paired."""
    comparison = compare(list(folders.values()))
    metrics = {name: comparison.metrics[name] for name in MEASURES if name in comparison.metrics}
    print(f"| variant, {len(comparison.reports[0].cases)} pairs | {' | '.join(metrics)} |")
    print("|---" * (1 + len(metrics)) + "|")
    whole = comparison.reports[0].metrics
    cells = [figure(metric["means"][0], whole[name]["ci95"]) for name, metric in metrics.items()]
    print(f"| {WHOLE} | {' | '.join(cells)} |")
    for place, name in enumerate(list(folders)[1:]):
        cells = [figure(metric["differences"][place], metric["ci95"][place], "+") for metric in metrics.values()]
        print(f"| {name} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
