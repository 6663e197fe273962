"""A small corpus of synthetic speech: several speakers, each saying sentences of its own, with a pair held out."""

import json
import random
import shutil
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from lightning_voiceclone.demo import sentences as grammar
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.utils.files import atomic_file, atomic_folder, made_folder

SAMPLE_RATE = 16000
LOUDNESS = 0.08  # RMS of every recording; espeak-ng's variants differ by 15 dB
PEAK = 0.95
VERSION = 1  # raised when the same settings give other samples, so that an older corpus is made anew
ACCENTS = ("en-us", "en-us", "en-gb-x-rp")
# Variants whose pitch and timbre differ audibly, high and low in turn. Whispers, robots and effects are left out, and
# those with breath (f2, f3, f5, Alicia, Reed): they draw noise that no two processes share.
VARIANTS = (
    "linda", "m7", "f1", "m4", "Annie", "Andy", "grandma", "m1", "f4", "Gene2",
    "belinda", "m8", "shelby", "Nguyen", "aunty", "m2", "anika", "Lee", "Andrea", "m5",
)  # fmt: skip
TEXT_OF_REFERENCE = "A reference tells how the voice sounds, and the words of it do not matter at all."
TABLE = "table.tsv"
MARKER = ".said.json"  # in each folder: what was said there, and how


@dataclass(frozen=True)
class EspeakVoice:
    """A speaker: settings of espeak-ng, in the terms of :meth:`lightning_voiceclone.text.espeak.Espeak.speak`."""

    name: str
    voice: str
    variant: str
    pitch: int
    rate: int


# The pair of the demonstration, whom training never hears.
SOURCE = EspeakVoice("source", "en-us", "steph", 50, 165)
REFERENCE = EspeakVoice("reference", "en-us", "m3", 50, 165)


def make_corpus(folder: str | Path, *, speakers: int = 12, sentences: int = 40, seed: int = 0) -> Path:
    """Make the corpus; what is there already and complete is kept, and the same settings give the same bytes.

    ``train/`` has a folder of 16-bit WAV at 16 kHz for each speaker; ``held_out/`` has ``source.wav``, a sentence that
    nobody says in training by a speaker who is not in it, and ``reference.wav``, by another such speaker. Both have a
    ``table.tsv`` (path, speaker, text), with paths relative to its own folder.

    Args:
        folder: where; created.
        speakers: in training, 2 to 20.
        sentences: of each speaker, 1 to 1,000.
        seed: chooses sentences, pitches and rates.

    Returns:
        ``folder``.

    Raises:
        ConfigurationError: if a number is out of its range.
        LVCError: if espeak-ng is missing.
    """
    if not 2 <= speakers <= len(VARIANTS):
        raise ConfigurationError(f"the corpus can have 2 to {len(VARIANTS)} speakers, not {speakers}")
    if not 1 <= sentences <= 1000:
        raise ConfigurationError(f"a speaker can say 1 to 1000 sentences, not {sentences}")
    folder = Path(folder)
    held_out = grammar.compose(1, seed=seed)
    pool = grammar.compose(max(60, 2 * sentences), seed=seed + 1, without=held_out)
    draw = random.Random(f"speakers {seed}")
    train = [(voice, draw.sample(pool, sentences)) for voice in voices(speakers, seed)]
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn

    columns = ("{task.description}", BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with made_folder(folder), Progress(*columns) as progress:
        task = progress.add_task("Sentences spoken", total=speakers * sentences + 2)
        for voice, texts in train:
            said = {f"{number:04}.wav": (voice, text) for number, text in enumerate(texts, start=1)}
            _speak(folder / "train" / voice.name, said)
            progress.advance(task, len(texts))
        pair = {"source.wav": (SOURCE, held_out[0]), "reference.wav": (REFERENCE, TEXT_OF_REFERENCE)}
        _speak(folder / "held_out", pair)
        progress.advance(task, 2)
    _write_table(
        folder / "train" / TABLE,
        [(f"{voice.name}/{i:04}.wav", voice.name, text) for voice, texts in train for i, text in enumerate(texts, 1)],
    )
    _write_table(folder / "held_out" / TABLE, [(name, voice.name, text) for name, (voice, text) in pair.items()])
    _remove_others(folder / "train", {voice.name for voice, _ in train})
    return folder


def read_table(path: Path) -> list[tuple[str, str, str]]:
    """Path, speaker and text of each line of a corpus's table, without its head."""
    return [(p, s, t) for p, s, t in (line.split("\t") for line in path.read_text("utf-8").splitlines()[1:])]


def voices(speakers: int, seed: int) -> list[EspeakVoice]:
    """The speakers of training, each with a variant of its own, and pitch and rate drawn by the seed."""
    draw = random.Random(f"voices {seed}")
    return [
        EspeakVoice(
            name=f"speaker{index + 1:02}",
            voice=ACCENTS[index % len(ACCENTS)],
            variant=variant,
            pitch=draw.randint(40, 60),
            rate=draw.randint(150, 180),
        )
        for index, variant in enumerate(VARIANTS[:speakers])
    ]


def _speak(folder: Path, said: Mapping[str, tuple[EspeakVoice, str]]) -> None:
    """Write the files into a folder that appears whole; leave it alone if just these sentences are in it already."""
    wanted = {"version": VERSION, "said": {name: [asdict(voice), text] for name, (voice, text) in said.items()}}
    try:
        made = json.loads((folder / MARKER).read_text("utf-8"))
    except (OSError, ValueError):
        made = None
    if made == wanted and all((folder / name).is_file() for name in said):
        return
    from lightning_voiceclone.text.espeak import Espeak

    espeak = Espeak()  # one for each folder: its first sentence is then the same, whichever folders were kept
    with atomic_folder(folder) as temporary:
        for name, (voice, text) in said.items():
            audio, rate = espeak.speak(text, voice.voice, voice.variant, voice.pitch, voice.rate)
            _write_wav(temporary / name, audio, rate)
        (temporary / MARKER).write_text(json.dumps(wanted), "utf-8")


def _write_wav(path: Path, audio: np.ndarray, rate: int) -> None:
    import soundfile
    import soxr

    audio = soxr.resample(audio, rate, SAMPLE_RATE)
    audio = audio * min(LOUDNESS / float(np.sqrt(np.mean(audio**2))), PEAK / float(np.abs(audio).max()))
    soundfile.write(path, np.round(audio * 32767).astype(np.int16), SAMPLE_RATE, subtype="PCM_16")


def _write_table(path: Path, rows: Sequence[tuple[str, str, str]]) -> None:
    lines = ["\t".join(row) for row in [("path", "speaker", "text"), *rows]]
    with atomic_file(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", "utf-8")


def _remove_others(train: Path, names: Collection[str]) -> None:
    """Remove speakers of an earlier, larger corpus; folders that are not ours stay."""
    for path in train.iterdir():
        if path.name not in names and (path / MARKER).is_file():
            shutil.rmtree(path)
