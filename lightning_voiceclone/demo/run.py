"""The demonstration from end to end: corpus, training, clone, page."""

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from lightning_voiceclone.demo.corpus import TABLE, make_corpus, read_table
from lightning_voiceclone.errors import ConfigurationError, LVCError
from lightning_voiceclone.utils.files import atomic_file
from lightning_voiceclone.utils.terminal import printable

RECIPE = Path(__file__).with_name("recipe.yaml")
LOGGER = "lightning.pytorch.loggers.CSVLogger"
PROGRESS_BAR = "lightning.pytorch.callbacks.TQDMProgressBar"
STEPS_A_LINE = 50  # where the progress bar cannot be drawn over itself, as in a log file


def run_demo(
    output: str | Path, *, minutes: float = 4.0, speakers: int = 12, sentences: int = 40, seed: int = 0
) -> Path:
    """Make a corpus, train on it, clone a sentence that was held out, and write a page that plays it.

    Run again, it keeps a corpus of the same settings, trains anew, and replaces one file after another.

    Args:
        output: folder to write; created.
        minutes: of training.
        speakers: see :func:`~lightning_voiceclone.demo.corpus.make_corpus`, as for sentences.
        sentences: of each speaker.
        seed: of the corpus and of the training.

    Returns:
        Path of the page.

    Raises:
        LVCError: if a step fails; names the step and its command.
    """
    if not minutes > 0:
        raise ConfigurationError(f"the demonstration's training takes some minutes, above 0, not {minutes:g}")
    output = Path(output)
    print(f"1/4 Synthesising speech of {speakers} speakers into {printable(output / 'corpus')}", flush=True)
    corpus = make_corpus(output / "corpus", speakers=speakers, sentences=sentences, seed=seed)
    print(f"2/4 Training for {minutes:g} minutes on this computer", flush=True)
    fit = fit_command(corpus / "train", output, minutes, seed)
    shutil.rmtree(output / "training", ignore_errors=True)
    begun = time.monotonic()
    # What is known of the corpus stays beside it, and not in the user's own cache.
    run_step("the training", fit + _degraded_progress(), {"LVC_CACHE": str((output / "cache").resolve())})
    seconds = time.monotonic() - begun
    print("3/4 Cloning a sentence that nobody said in training", flush=True)
    for name in ("source.wav", "reference.wav"):
        with atomic_file(output / name) as temporary:
            shutil.copyfile(corpus / "held_out" / name, temporary)
    clone = clone_command(find_checkpoint(output / "training"), output)
    run_step("the cloning", clone)
    print("4/4 Drawing the page", flush=True)
    again = ["demo", "--output", str(output), "--minutes", f"{minutes:g}", "--speakers", str(speakers)]
    again += ["--sentences", str(sentences), "--seed", str(seed)]
    page = _page(output, corpus, seconds, [again, fit, clone])
    print(f"done: open {page.resolve().as_uri()} in a browser, or listen to {printable(output / 'cloned.wav')}")
    return page


def fit_command(recordings: Path, output: Path, minutes: float, seed: int) -> list[str]:
    """Arguments of ``lvc`` that train into ``output/training``."""
    recipe = RECIPE.relative_to(Path.cwd()) if RECIPE.is_relative_to(Path.cwd()) else RECIPE
    total = max(round(minutes * 60), 1)
    limit = f"{total // 86400:02}:{total // 3600 % 24:02}:{total // 60 % 60:02}:{total % 60:02}"
    return [
        "fit", "--config", str(recipe), "--seed_everything", str(seed), "--data.root", str(recordings),
        "--trainer.max_time", limit, "--trainer.logger", LOGGER, "--trainer.logger.save_dir", str(output),
        "--trainer.logger.name", "", "--trainer.logger.version", "training",
    ]  # fmt: skip


def clone_command(checkpoint: Path, output: Path) -> list[str]:
    """Arguments of ``lvc`` that write ``output/cloned.wav``."""
    return [
        "clone", "--checkpoint", str(checkpoint), "--source", str(output / "source.wav"),
        "--reference", str(output / "reference.wav"), "--output", str(output / "cloned.wav"),
    ]  # fmt: skip


def find_checkpoint(folder: Path) -> Path:
    """The last checkpoint of a training.

    Raises:
        LVCError: if the training left none.
    """
    found = sorted(folder.rglob("*.ckpt"), key=lambda path: (path.name == "last.ckpt", path.stat().st_mtime))
    if not found:
        raise LVCError(f"the training left no checkpoint in {folder}; give it more time with --minutes")
    return found[-1]


def run_step(what: str, arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
    """Run ``lvc`` with the arguments in a process of its own, whose progress and messages the user sees.

    Raises:
        LVCError: if it ends with another status than 0.
        KeyboardInterrupt: on Ctrl-C, once the process, which hears of it too, has tidied up.
    """
    command = [sys.executable, "-m", "lightning_voiceclone", *arguments]
    process = subprocess.Popen(command, env={**os.environ, **(environment or {})})
    try:
        status = process.wait()
    except KeyboardInterrupt:
        process.wait()
        raise
    if status != 0:
        ended = f"was ended by signal {-status}" if status < 0 else f"failed with status {status}"
        raise LVCError(f"{what} {ended}, for the reason above; to repeat just this: lvc {shlex.join(arguments)}")


def _degraded_progress() -> list[str]:
    """Options for a progress bar that prints a line now and then, where the output is no terminal."""
    if sys.stdout.isatty():
        return []
    return [f"--trainer.callbacks+={PROGRESS_BAR}", f"--trainer.callbacks.refresh_rate={STEPS_A_LINE}"]


def _page(output: Path, corpus: Path, seconds: float, commands: Sequence[Sequence[str]]) -> Path:
    import soundfile

    from lightning_voiceclone.demo.page import Story, write_page

    rows = read_table(corpus / "train" / TABLE)
    texts = {Path(path).stem: text for path, _, text in read_table(corpus / "held_out" / TABLE)}
    story = Story(
        commands=[f"lvc {shlex.join(command)}" for command in commands],
        texts={**texts, "cloned": texts["source"]},
        seconds=seconds,
        metrics=next((output / "training").rglob("metrics.csv"), None),
        speakers=len({speaker for _, speaker, _ in rows}),
        minutes=sum(soundfile.info(corpus / "train" / path).duration for path, _, _ in rows) / 60,
    )
    return write_page(output, story)
