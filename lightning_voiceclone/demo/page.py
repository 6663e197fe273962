"""The demonstration's page: what was heard, what came out, and how it was learnt. No network, no scripts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from lightning_voiceclone import __version__
from lightning_voiceclone.demo import pictures
from lightning_voiceclone.errors import RecordingError
from lightning_voiceclone.utils.files import atomic_file, atomic_folder
from lightning_voiceclone.utils.html.document import document, escape

PICTURES = "pictures"
RECORDINGS = {
    "source": ("Source", "whose words are said"),
    "reference": ("Reference", "whose voice is wanted"),
    "cloned": ("Clone", "the source's words in the reference's voice"),
}
STYLE = """
.card.cloned { border: 2px solid var(--accent); padding: calc(1rem - 1px); }
.card q { display: block; margin: .6rem 0; min-height: 3.1em; }
.card > picture > img { margin-top: .75rem; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1rem; margin: 0;
  font: .875rem/1.6 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
"""


@dataclass(frozen=True)
class Story:
    """What the page tells beside the recordings.

    Args:
        commands: that made the page, in order.
        texts: what is said in source, reference and cloned; a name may be absent.
        seconds: of training, as a clock on the wall shows them; None where unknown.
        metrics: ``metrics.csv`` of the training, or None.
        speakers: of the corpus, the one kept for validation among them.
        minutes: of speech in training.
    """

    commands: Sequence[str]
    texts: Mapping[str, str] = field(default_factory=dict)
    seconds: float | None = None
    metrics: Path | None = None
    speakers: int | None = None
    minutes: float | None = None


def write_page(folder: str | Path, story: Story) -> Path:
    """Write ``index.html`` and ``pictures/`` beside source.wav, reference.wav and cloned.wav, which must be there.

    Every link is relative, and nothing is fetched: the folder can be moved, zipped and opened from a disk.

    Returns:
        Path of the page.

    Raises:
        RecordingError: if one of the three is missing, is no audio, or has another rate than the source.
    """
    folder = Path(folder)
    recordings, rate = _read(folder)
    curves = pictures.read_curves(story.metrics) if story.metrics else {}
    f0 = {name: pictures.pitch_of(audio, rate) for name, audio in recordings.items()}
    with atomic_folder(folder / PICTURES) as temporary:
        pictures.draw_spectrograms(recordings, rate, temporary)
        pictures.draw_pitch(f0, {name: title for name, (title, _) in RECORDINGS.items()}, temporary)
        drawn = pictures.draw_curves(curves, temporary)
    medians = {name: _median(values) for name, values in f0.items()}
    with atomic_file(folder / "index.html") as temporary:
        temporary.write_text(_page(story, curves, drawn, medians), encoding="utf-8")
    return folder / "index.html"


def _read(folder: Path) -> tuple[dict[str, np.ndarray], int]:
    recordings, rates = {}, {}
    for name in RECORDINGS:
        path = folder / f"{name}.wav"
        try:
            audio, rates[name] = soundfile.read(path, dtype="float32", always_2d=True)
        except (soundfile.LibsndfileError, OSError) as error:
            raise RecordingError(f"the page needs {path}, which cannot be read: {error}; run lvc demo again") from error
        recordings[name] = audio.mean(axis=1)
    if len(set(rates.values())) > 1:
        raise RecordingError(
            f"the page's recordings must have one sample rate, but have {rates}; give it the voice's own rate"
        )
    return recordings, rates["source"]


def _median(f0: np.ndarray) -> float | None:
    return float(np.nanmedian(f0)) if np.isfinite(f0).any() else None


def _page(
    story: Story,
    curves: Mapping[str, pictures.Curve],
    drawn: Sequence[tuple[str, str]],
    medians: Mapping[str, float | None],
) -> str:
    cards = "\n".join(_card(name, story.texts.get(name), medians[name]) for name in RECORDINGS)
    figures = "\n".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in _figures(story, curves)
    )
    plots = "\n".join(_plot(name, label, curves) for name, label in drawn)
    learnt = (
        f"<h2>How it was learnt</h2>\n<p>Each picture shows one figure over the steps of training; thick lines are"
        f' means over a tenth of it.</p>\n<div class="cards">\n{plots}\n</div>'
        if plots
        else ""
    )
    commands = escape("\n".join(story.commands))
    body = f"""<header>
<h1>A sentence in another voice</h1>
<p class="lead">{_lead(story)}</p>
</header>
<main>
<h2>Listen</h2>
<p>The clone should say the source's sentence, at the source's pace and with its melody, but at the pitch and with the
timbre of the reference. Training heard neither of the two speakers, nor the sentence. After minutes of training
expect a recognisable sentence with a rough, metallic sound: the vocoder is Griffin-Lim, which learns nothing.</p>
<div class="cards">
{cards}
</div>
<h2>Pitch</h2>
<p>A clone follows the source's melody at the height of the reference's voice.</p>
<div class="card wide">{_picture("pitch", "Pitch in hertz over time of the recordings." + _heights(medians))}</div>
<h2>Figures</h2>
<dl>
{figures}
</dl>
{learnt}
<h2>The commands that made this</h2>
<pre><code>{commands}</code></pre>
</main>
<footer>Made by lightning-voiceclone {escape(__version__)} from speech that espeak-ng synthesised.</footer>"""
    return document("lightning-voiceclone: a cloned voice", body, style=STYLE)


def _lead(story: Story) -> str:
    learnt = ""
    if story.seconds and story.speakers and story.minutes:
        learnt = (
            f" that learnt for {_duration(story.seconds)}, on this computer, from a corpus of"
            f" {story.minutes:.0f} minutes of synthetic speech by {story.speakers} speakers"
        )
    return f"One recording gives the words, another the voice. The clone is the work of a model{learnt}."


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.1f} minutes"


def _card(name: str, text: str | None, median: float | None) -> str:
    title, told = RECORDINGS[name]
    height = f" Median pitch {median:.0f} Hz." if median else ""
    quote = f"<q>{escape(text)}</q>" if text else ""
    alt = f"Spectrogram of the {title.lower()}: level in decibels over time in seconds and frequency in kilohertz."
    return f"""<section class="card {name}" aria-labelledby="{name}">
<h3 id="{name}">{title}</h3>
<p class="soft">{told[:1].upper()}{told[1:]}.{height}</p>
<audio controls preload="metadata" src="{name}.wav" aria-label="{title}"></audio>
{quote}
{_picture(name, alt)}
</section>"""


def _picture(name: str, alt: str) -> str:
    light, dark = (f"{PICTURES}/{name}-{theme}.png" for theme in pictures.THEMES)
    return (
        f'<picture><source srcset="{dark}" media="(prefers-color-scheme: dark)">'
        f'<img src="{light}" alt="{escape(alt)}" loading="lazy"></picture>'
    )


def _plot(name: str, label: str, curves: Mapping[str, pictures.Curve]) -> str:
    told = "; ".join(
        f"{curve.group or 'value'} from {curve.values[0]:.3g} to {curve.values[-1]:.3g}"
        for curve in curves.values()
        if curve.label == label
    )
    alt = f"{label} over the steps of training: {told}."
    return f'<figure class="card"><figcaption><h3>{escape(label)}</h3></figcaption>{_picture(name, alt)}</figure>'


def _heights(medians: Mapping[str, float | None]) -> str:
    known = [f"{RECORDINGS[name][0].lower()} {value:.0f} Hz" for name, value in medians.items() if value]
    return f" Medians: {', '.join(known)}." if known else ""


def _figures(story: Story, curves: Mapping[str, pictures.Curve]) -> list[tuple[str, str]]:
    found = []
    if story.seconds is not None:
        found.append(("Training took", _duration(story.seconds)))
    if curves:
        found.append(("Steps", f"{max(curve.steps[-1] for curve in curves.values()) + 1:,.0f}"))
    validation = curves.get("validation/mel_l1")
    if validation:
        found.append(("Validation mel L1, first", f"{validation.values[0]:.3f}"))
        found.append(("Validation mel L1, last", f"{validation.values[-1]:.3f}"))
    if story.minutes is not None:
        found.append(("Speech to learn from", f"{story.minutes:.0f} minutes"))
    if story.speakers is not None:
        found.append(("Speakers", str(story.speakers)))
    return found
