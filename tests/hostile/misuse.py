"""Command lines with one mistake each, for every command: what a user mistypes, misplaces or may not read or write."""

import codecs
import os
import resource
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path

import soundfile
import yaml
from hostile import configurations

from lightning_voiceclone.checkpoints.voice_folder import save_voice
from lightning_voiceclone.core import registry
from lightning_voiceclone.testing.reports import write_report
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_streaming_voice, small_voice

NOBODY = 65534
MISSPELT = 3  # options of each command that are misspelt: one function looks for all
SMALL_FILE = 2048  # bytes that a file may have at most where the disk is as good as full
CHECKPOINT = Path(__file__).parents[1] / "checkpoints/made_before/voice.ckpt"
BAD = "bad"  # folder of what is none of the good inputs
IMPORTED = ("cli.training", "evaluation.listening.bounds", "evaluation.listening.server", "evaluation.run", "demo.run",
            "demo.corpus", "training.adaptation")  # fmt: skip
ENCODINGS = ("utf-8-sig", "cp1252", "idna")


@dataclass(frozen=True)
class Command:
    """A command line that works, and what its options take.

    Args:
        words: the command line; ``{name}`` is a path of the bench, ``{out}`` the attempt's own empty folder.
        files: options whose value is a file that is read; digits are places in ``words``.
        folders: likewise for folders that are read.
        output: option whose value is written, and its name there; empty for none.
        numbers: options of whole or decimal numbers.
        choices: options of a few names, each with one of them.
        kept: what an error may leave in ``{out}``, because the same command continues with it.
    """

    words: Sequence[str]
    files: Sequence[str] = ()
    folders: Sequence[str] = ()
    output: tuple[str, str] = ("", "")
    numbers: Sequence[str] = ()
    choices: Mapping[str, str] = field(default_factory=dict)
    kept: str = ""


EVALUATE = [
    "evaluate",
    "--pairs",
    "{pairs}",
    "--measures",
    "similarity_source",
    "--workers",
    "1",
    "--output",
    "{out}/r",
]
COMMANDS = {
    "clone": Command(
        ["clone", "--checkpoint", "{voice}", "--source", "{a}", "--reference", "{a}", "--output", "{out}/c.wav"],
        files=["--source", "--reference", "--checkpoint"],
        folders=["--checkpoint", "--vocoder"],
        output=("--output", "c.wav"),
        numbers=["--pitch-shift", "--speed", "--guidance", "--seed"],
        choices={"--denoise": "auto", "--device": "cpu", "--engine": "onnx"},
    ),
    "live": Command(
        ["live", "--checkpoint", "{streamer}", "--reference", "{a}", "--input", "{a}", "--output", "{out}/c.wav",
         "--chunk-ms", "200"],
        files=["--input", "--reference", "--checkpoint"],
        folders=["--checkpoint", "--vocoder"],
        output=("--output", "c.wav"),
        numbers=["--pitch-shift", "--guidance", "--seed", "--chunk-ms", "--threads", "--gate"],
        choices={"--device": "cpu"},
    ),
    "adapt": Command(
        ["adapt", "--checkpoint", "{voice}", "--data", "{speaker}", "--steps", "1", "--output", "{out}/m"],
        files=["--checkpoint"],
        folders=["--data", "--checkpoint"],
        output=("--output", "m"),
        numbers=["--steps", "--learning-rate", "--strength", "--seed", "--bits"],
        choices={"--denoise": "auto"},
    ),
    "save": Command(
        ["save", "{checkpoint}", "--output", "{out}/m"],
        files=["1"],
        folders=["1", "--vocoder"],
        output=("--output", "m"),
        numbers=["--bits", "--guidance"],
        choices={"--part": "vocoder", "--vocoder": "GriffinLim"},
    ),
    "export": Command(
        ["export", "{voice}", "--output", "{out}/e"],
        files=["1", "--check"],
        folders=["1", "--vocoder"],
        output=("--output", "e"),
        choices={"--vocoder": "GriffinLim"},
    ),
    "compress": Command(
        ["compress", "{voice}", "--prune", "0.5", "--pairs", "{pairs}", "--limit", "1", "--output", "{out}/m"],
        files=["1", "--pairs"],
        folders=["1"],
        output=("--output", "m"),
        numbers=["--prune", "--steps", "--seed", "--limit"],
        choices={"--structure": "units"},
    ),
    "phonemes": Command(
        ["phonemes", "Two words."],
        files=["--lexicon"],
        choices={"--language": "en-us"},
    ),
    "say": Command(
        ["say", "Two words.", "--reference", "{a}", "--output", "{out}/c.wav"],
        files=["--lexicon"],
        choices={"--language": "en-us"},
    ),
    "coach": Command(
        ["coach", "--text", "Two words.", "--attempt", "{a}", "--output", "{out}/c"],
        files=["--lexicon"],
        choices={"--language": "en-us"},
    ),
    "checkpoint": Command(["checkpoint", "{checkpoint}"], files=["1"], folders=["1"]),
    "tune": Command(
        ["tune", "--config", "{recipe}", "--space", "{space}", "--study", "sqlite:///{out}/t.db", "--output",
         "{out}/t"],
        numbers=["--trials", "--seed"],
        choices={"--goal": "minimize"},
        kept="t.db",
    ),
    "prepare": Command(
        ["prepare", "SpeakerFolders", "{corpus}", "--features", "MelSpectrogram", "--output", "{out}/p", "--workers",
         "1"],
        folders=["2"],
        output=("--output", "p"),
        numbers=["--rate", "--min-seconds", "--validation", "--test", "--seed", "--workers"],
        choices={"1": "SpeakerFolders", "--split-by": "speaker", "--feature-type": "float16",
                 "--transform": "TrimSilence", "--features": "MelSpectrogram"},
        kept="p",
    ),
    "prepare Table": Command(
        ["prepare", "Table", "{table}", "--output", "{out}/p", "--workers", "1"],
        files=["2"],
    ),
    "evaluate": Command(
        [*EVALUATE, "--checkpoint", "{voice}"],
        files=["--pairs", "--checkpoint"],
        folders=["--checkpoint", "--vocoder"],
        output=("--output", "r"),
        numbers=["--guidance", "--limit", "--workers", "--seed", "--draws"],
        choices={"--measures": "snr_db", "--without": "snr_db", "--device": "cpu",
                 "--speaker-encoder": "ResemblyzerSpeakerEncoder"},
        kept="r",
    ),
    "evaluate --converted": Command(
        [*EVALUATE, "--converted", "{converted}"],
        folders=["--converted"],
        kept="r",
    ),
    "compare": Command(
        ["compare", "{report}", "{report2}"],
        folders=["1", "2"],
        numbers=["--draws", "--seed"],
    ),
    "listen": Command(
        ["listen", "{report}", "{report2}", "--port", "0", "--database", "{out}/d.sqlite"],
        folders=["1"],
        output=("--database", "d.sqlite"),
        numbers=["--port", "--trials", "--seed"],
        choices={"--tests": "mos"},
    ),
    "listen --results": Command(
        ["listen", "--results", "--database", "{database}"],
        files=["--database"],
    ),
    "recipes": Command(
        ["recipes", "clone_small", "--output", "{out}/r"],
        output=("--output", "r"),
        choices={"1": "clone_small"},
    ),
    "plugins": Command(["plugins"], choices={"--kind": "generators"}),
    "demo": Command(
        ["demo", "--output", "{out}/d", "--source", "{a}", "--reference", "{a}"],
        files=["--source", "--reference"],
        output=("--output", "d"),
        numbers=["--minutes", "--speakers", "--sentences", "--seed"],
    ),
    "fit": Command(
        ["fit", "--config", "{recipe}", "--trainer.default_root_dir", "{out}/root"],
        files=["--config", "--model.start"],
        output=("--trainer.default_root_dir", "root"),
        numbers=["--data.batch_size", "--model.generator_optimizer.lr"],
        choices={"--model.generator": "ConvGenerator"},
    ),
    "validate": Command(["validate", "--config", "{recipe}"], files=["--ckpt_path"]),
    **{
        name: Command([name, "--config", "{recipe}", "--ckpt_path", "{checkpoint}"], numbers=["--data.batch_size"])
        for name in ("test", "predict")
    },
}  # fmt: skip


@dataclass(frozen=True)
class Mistake:
    """A command line with one mistake.

    Args:
        command: name in ``COMMANDS``.
        fault: kind of mistake.
        option: where it is.
        words: the command line; ``{out}`` is still in it.
        value: what the message must name.
        before: called in a process of the attempt's own, before the command; None where this process will do.
    """

    command: str
    fault: str
    option: str
    words: Sequence[str]
    value: str
    before: Callable[[], object] | None = None

    @property
    def name(self) -> str:
        """Of the attempt."""
        return f"{self.command}: {self.fault}: {self.option}"


def make_bench(folder: Path) -> dict[str, Path]:
    """Write good inputs of all commands into a folder that everybody may enter; paths by the names in ``COMMANDS``."""
    for name in IMPORTED:
        import_module(f"lightning_voiceclone.{name}")
    registry.load_all()
    for name in ENCODINGS:  # a process without permission may be unable to import them
        codecs.lookup(name)
    from lightning_voiceclone.evaluation.listening.store import Store

    bench = {name: folder / name for name in ("voice", "speaker", "corpus", "converted", "report", "report2")}
    save_voice(small_voice(), bench["voice"])
    bench["streamer"] = folder / "streamer"
    save_voice(small_streaming_voice(), bench["streamer"])
    for speaker in range(3):
        for take in range(2):
            path = bench["corpus"] / f"speaker{speaker}" / f"take{take}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, speech_like(3.0, speaker=speaker, seed=10 * speaker + take).audio, 16000)
    shutil.copytree(bench["corpus"] / "speaker0", bench["speaker"])
    bench["a"] = bench["speaker"] / "take0.wav"
    bench["converted"].mkdir()
    shutil.copy(bench["a"], bench["converted"] / "x.wav")
    bench["checkpoint"] = Path(shutil.copy(CHECKPOINT, folder))
    bench["pairs"], bench["table"] = folder / "pairs.tsv", folder / "table.tsv"
    bench["pairs"].write_text("case\tsource\treference\ttranscript\nx\tspeaker/take0.wav\tspeaker/take1.wav\t\n")
    rows = [f"corpus/speaker{s}/take{t}.wav\tspeaker{s}\n" for s in range(3) for t in range(2)]
    bench["table"].write_text("path\tspeaker\n" + "".join(rows))
    for seed, name in enumerate(("report", "report2")):
        write_report(bench[name], seed=seed)
    recipe = configurations.good(bench["corpus"])
    del recipe["trainer"]["logger"]
    bench["recipe"], bench["database"] = folder / "recipe.yaml", folder / "answers.sqlite"
    bench["recipe"].write_text(yaml.safe_dump(recipe))
    Store(bench["database"], {"systems": []}).close()
    bench["space"] = folder / "space.yaml"
    bench["space"].write_text("metric: {name: validation/mel_l1}\nparameters: {model.noise: {values: [0, 1]}}\n")
    _make_bad(folder / BAD)
    return bench


def mistakes(bench: Mapping[str, Path], name: str) -> Iterator[Mistake]:
    """The command's mistakes."""
    command, bad = COMMANDS[name], bench["voice"].parent / BAD
    good = [word.format(**bench, out="{out}") for word in command.words]
    output, written = command.output
    options = dict.fromkeys([output, *command.files, *command.folders, *command.choices, *command.numbers])
    for option in [option for option in options if option.startswith("--")][:MISSPELT]:
        wrong = f"{option[:-2]}{option[-1]}{option[-2]}" if option[-1] != option[-2] else f"{option}x"
        yield Mistake(name, "misspelt option", option, _with(good, option, "1", wrong), wrong)
    for place, option in enumerate(command.numbers):
        value = ("many", "nan")[place % 2]
        yield Mistake(name, "no number", option, _with(good, option, value), value)
    for option, value in command.choices.items():
        wrong = f"{value[:-2]}{value[-1]}x"
        yield Mistake(name, "misspelt value", option, _with(good, option, wrong), wrong)
    for options, faults in ((command.files, FILES), (command.folders, FOLDERS)):
        for option in options:
            for fault, (place, before) in faults.items():
                yield Mistake(name, fault, option, _with(good, option, str(bad / place)), place, before)
    if output:
        taken = "full/" if "." in written else "text.wav"
        outputs = {"below a file": f"text.wav/{written}", "in a sealed folder": f"sealed/{written}", "taken": taken}
        for fault, place in outputs.items():
            before = _as_nobody if "sealed" in place else None
            yield Mistake(name, fault, output, _with(good, output, str(bad / place)), place.split("/")[0], before)
        yield Mistake(name, "full disk", output, good, "", _full)


def _with(words: Sequence[str], option: str, value: str, spelt: str = "") -> list[str]:
    """The words with another value of an option, which is added where it is missing."""
    made = list(words)
    if option.isdigit():
        made[int(option)] = value
    elif option in made:
        place = made.index(option)
        made[place : place + 2] = [spelt or option, made[place + 1] if spelt else value]
    else:
        made += [spelt or option, value]
    return made


def _full() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (SMALL_FILE, SMALL_FILE))


def _as_nobody() -> None:
    """Root may read and write everything."""
    if os.getuid() == 0:
        os.setgid(NOBODY)
        os.setuid(NOBODY)


FILES = {
    "missing file": ("none.wav", None),
    "folder for a file": ("full", None),
    "empty file": ("empty.wav", None),
    "text file": ("text.wav", None),
    "unreadable file": ("locked.wav", _as_nobody),
}
FOLDERS = {
    "missing folder": ("none", None),
    "file for a folder": ("text.wav", None),
    "empty folder": ("empty", None),
    "unreadable folder": ("locked", _as_nobody),
}


def _make_bad(bad: Path) -> None:
    for name in ("empty", "full", "locked", "sealed"):
        (bad / name).mkdir(parents=True)
    (bad / "full/notes.txt").write_text("notes")
    (bad / "empty.wav").touch()
    (bad / "text.wav").write_text("these are words\nand no audio\n" * 100)
    (bad / "locked.wav").write_bytes((bad.parent / "speaker/take0.wav").read_bytes())
    for path, mode in ((bad / "locked.wav", 0), (bad / "locked", 0), (bad / "sealed", 0o555)):
        path.chmod(mode)
