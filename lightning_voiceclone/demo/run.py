"""The demonstration from end to end: corpus, clone by the model that ships, training, clone by the GAN, page."""

import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from lightning_voiceclone.audio.io import read_with_notes, write_audio
from lightning_voiceclone.demo.corpus import SAMPLE_RATE, TABLE, make_corpus, read_table
from lightning_voiceclone.errors import ConfigurationError, LVCError
from lightning_voiceclone.utils.files import atomic_file, check_no_input, unwritable_above
from lightning_voiceclone.utils.terminal import printable

RECIPE = Path(__file__).with_name("recipe.yaml")
LOGGER = "lightning.pytorch.loggers.CSVLogger"
PROGRESS_BAR = "lightning.pytorch.callbacks.TQDMProgressBar"
STEPS_A_LINE = 50  # where the progress bar cannot be drawn over itself, as in a log file


def run_demo(
    output: str | Path,
    *,
    minutes: float = 4.0,
    speakers: int = 12,
    sentences: int = 40,
    seed: int = 0,
    source: str | Path | None = None,
    reference: str | Path | None = None,
) -> Path:
    """Clone with the model that ships, train a GAN on a synthetic corpus, clone with it too, and write a page of both.

    Both models convert the same source to the same reference: a pair that is not in the corpus's training part, or the
    user's. A second run keeps a corpus of the same settings, trains again, and replaces one file after another.

    Args:
        output: folder to write; created.
        minutes: of training.
        speakers: see :func:`~lightning_voiceclone.demo.corpus.make_corpus`, as for sentences.
        sentences: of each speaker.
        seed: of the corpus and of the training.
        source: recording to convert, with ``reference``; None for the demonstration's own pair.
        reference: recording of the target speaker.

    Returns:
        Path of the page.

    Raises:
        ConfigurationError: if ``minutes`` is not above 0, only one of the two recordings is given, or one lies in
            ``output``.
        RecordingError: if one of the two recordings cannot be read; before anything is written.
        LVCError: if a step fails; names the step and its command.
    """
    if not minutes > 0:
        raise ConfigurationError(f"the demonstration's training takes some minutes, above 0, not {minutes:g}")
    output = Path(output)
    files = _given(source, reference)
    recordings = _read(files, output)
    if (above := unwritable_above(output / "corpus")) is not None:
        raise ConfigurationError(
            f"{output} cannot be written: {above} is no folder that you may write to; name another with --output"
        )
    print(f"1/5 Synthesising speech of {speakers} speakers into {printable(output / 'corpus')}", flush=True)
    corpus = make_corpus(output / "corpus", speakers=speakers, sentences=sentences, seed=seed)
    print("2/5 Cloning with the model that ships", flush=True)
    _write_pair(output, corpus, recordings)
    shipped = clone_command("default", output, "cloned_default")
    run_step("cloning with the model that ships", shipped)
    print(f"3/5 Training a GAN for {minutes:g} minutes on this computer", flush=True)
    fit = fit_command(corpus / "train", output, minutes, seed)
    seconds = _train(fit, output)
    print("4/5 Cloning with the GAN", flush=True)
    clone = clone_command(find_checkpoint(output / "training"), output, "cloned")
    run_step("cloning with the GAN", clone)
    print("5/5 Drawing the page", flush=True)
    again = ["demo", "--output", str(output), "--minutes", f"{minutes:g}", "--speakers", str(speakers)]
    again += ["--sentences", str(sentences), "--seed", str(seed)]
    again += [word for name, path in files.items() for word in (f"--{name}", path)]
    page = _page(output, corpus, seconds, [again, shipped, fit, clone], files)
    print(f"done: open {page.resolve().as_uri()} in a browser, or listen to {printable(output / 'cloned_default.wav')}"
          f" (the model that ships) and {printable(output / 'cloned.wav')} (the GAN trained here)")  # fmt: skip
    return page


def _given(source: str | Path | None, reference: str | Path | None) -> dict[str, str]:
    """The user's recordings by name, or none of them."""
    paths = {"source": source, "reference": reference}
    files = {name: str(path) for name, path in paths.items() if path is not None}
    if len(files) == 1:
        (name, path), (missing,) = *files.items(), paths.keys() - files.keys()
        raise ConfigurationError(
            f"--{name} {path} is given without --{missing}; give both, or neither for the demonstration's own pair"
        )
    return files


def _read(files: Mapping[str, str], output: Path) -> dict[str, np.ndarray]:
    """The user's recordings, (N,) each at SAMPLE_RATE; the notes on them go to standard error."""
    check_no_input(output, files.values())
    recordings = {}
    for name, path in files.items():
        recordings[name], _, notes = read_with_notes(path, SAMPLE_RATE)
        for note in notes:
            print(f"note: {printable(note)}", file=sys.stderr)
    return recordings


def _write_pair(output: Path, corpus: Path, recordings: Mapping[str, np.ndarray]) -> None:
    """Write source.wav and reference.wav: the user's recordings, or the corpus's held-out pair."""
    for name in ("source", "reference"):
        path = output / f"{name}.wav"
        if recordings:
            write_audio(path, recordings[name], SAMPLE_RATE)
            continue
        with atomic_file(path) as temporary:
            shutil.copyfile(corpus / "held_out" / path.name, temporary)


def _train(fit: Sequence[str], output: Path) -> float:
    """Run the training in place of an earlier one; the seconds that it took."""
    shutil.rmtree(output / "training", ignore_errors=True)
    begun = time.monotonic()
    # What is known of the corpus stays beside it, and not in the user's own cache.
    run_step("the training", [*fit, *_degraded_progress()], {"LVC_CACHE": str((output / "cache").resolve())})
    return time.monotonic() - begun


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


def clone_command(checkpoint: str | Path, output: Path, name: str) -> list[str]:
    """Arguments of ``lvc`` that convert ``output/source.wav`` and write ``output/NAME.wav``."""
    return [
        "clone", "--checkpoint", str(checkpoint), "--source", str(output / "source.wav"),
        "--reference", str(output / "reference.wav"), "--output", str(output / f"{name}.wav"),
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


def _page(
    output: Path, corpus: Path, seconds: float, commands: Sequence[Sequence[str]], files: Mapping[str, str]
) -> Path:
    import soundfile

    from lightning_voiceclone.demo.page import Story, write_page

    rows = read_table(corpus / "train" / TABLE)
    texts = {Path(path).stem: text for path, _, text in read_table(corpus / "held_out" / TABLE)}
    story = Story(
        commands=[f"lvc {shlex.join(command)}" for command in commands],
        files=files,
        texts={} if files else {**texts, "cloned_default": texts["source"], "cloned": texts["source"]},
        seconds=seconds,
        metrics=next((output / "training").rglob("metrics.csv"), None),
        speakers=len({speaker for _, speaker, _ in rows}),
        minutes=sum(soundfile.info(corpus / "train" / path).duration for path, _, _ in rows) / 60,
    )
    return write_page(output, story)
