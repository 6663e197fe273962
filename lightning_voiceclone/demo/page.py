"""The demonstration's page: the model that ships, then the GAN trained here. No network, no scripts."""

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
    "source": ("Source", "The words to keep."),
    "reference": ("Reference", "The voice to clone."),
    "cloned_default": ("Clone by the model that ships", "The source's words in the reference's voice."),
    "cloned": ("Clone by the GAN trained here", "From the same source and reference as above."),
}
SHIPPED = ("source", "reference", "cloned_default")
GAN = ("source", "reference", "cloned")
STYLE = """
.card.cloned_default { border: 2px solid var(--accent); padding: calc(1rem - 1px); }
.card.cloned { border: 2px dashed var(--soft); padding: calc(1rem - 1px); }
section.gan { border-top: 2px solid var(--line); margin-top: 3rem; }
section.gan > .cards, section.gan > dl { margin-bottom: 1rem; }
p code { overflow-wrap: anywhere; }
.over { margin-top: 1.75rem; }
.card q { display: block; margin: .6rem 0; min-height: 3.1em; }
.card > picture > img { margin-top: .75rem; }
pre { background: var(--card); border: 1px solid var(--line); border-radius: .75rem; padding: 1rem; margin: 0;
  font: .875rem/1.6 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; }
"""


@dataclass(frozen=True)
class Story:
    """What the page shows beside the recordings.

    Args:
        commands: that made the page, in order.
        files: the user's recordings that became source and reference; empty for the demonstration's own.
        texts: the words of each recording; a name may be absent.
        seconds: of training, wall-clock; None where unknown.
        metrics: ``metrics.csv`` of the training, or None.
        speakers: of the corpus, the one kept for validation among them.
        minutes: of speech in training.
    """

    commands: Sequence[str]
    files: Mapping[str, str] = field(default_factory=dict)
    texts: Mapping[str, str] = field(default_factory=dict)
    seconds: float | None = None
    metrics: Path | None = None
    speakers: int | None = None
    minutes: float | None = None


def write_page(folder: str | Path, story: Story) -> Path:
    """Write ``index.html`` and ``pictures/`` beside the recordings, NAME.wav for each of RECORDINGS.

    Every link is relative, and nothing is fetched: the folder can be moved, zipped and opened from a disk.

    Returns:
        Path of the page.

    Raises:
        RecordingError: if one of the four is missing, is no audio, or has another rate than the source.
    """
    folder = Path(folder)
    recordings, rate = _read(folder)
    curves = pictures.read_curves(story.metrics) if story.metrics else {}
    f0 = {name: pictures.pitch_of(audio, rate) for name, audio in recordings.items()}
    with atomic_folder(folder / PICTURES) as temporary:
        pictures.draw_spectrograms(recordings, rate, temporary)
        for stem, names in (("pitch-default", SHIPPED), ("pitch-gan", GAN)):
            titles = {name: RECORDINGS[name][0] for name in names}
            pictures.draw_pitch({name: f0[name] for name in names}, titles, temporary, stem)
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
    commands = escape("\n".join(story.commands))
    body = f"""<header>
<h1>A recording in another voice</h1>
<p class="lead">The source gives the words, the reference gives the voice. Two models converted the same source: the
model that ships with this package, and below it a GAN that was trained on this computer.</p>
<p>{_used(story)}</p>
</header>
<main>
{_shipped_section(story, medians)}
{_gan_section(story, curves, drawn, medians)}
<h2>The commands that made this</h2>
<pre><code>{commands}</code></pre>
</main>
<footer>Made by lightning-voiceclone {escape(__version__)}. The corpus was synthesised by espeak-ng.</footer>"""
    return document("lightning-voiceclone: one recording, two models", body, style=STYLE)


def _used(story: Story) -> str:
    """Which recordings were used."""
    if not story.files:
        return "Recordings used: two synthetic speakers of espeak-ng, neither of whom is in the GAN's training data."
    source, reference = (f"<code>{escape(story.files[name])}</code>" for name in ("source", "reference"))
    return f"Recordings used: source {source}, reference {reference}, for both models."


def _shipped_section(story: Story, medians: Mapping[str, float | None]) -> str:
    cards = "\n".join(_card(name, story.texts.get(name), medians[name]) for name in SHIPPED)
    return f"""<section class="shipped">
<h2>The model that ships</h2>
<p>What <code>lvc clone</code> uses by default. It was trained on recordings of real speech before it was packaged;
nothing of it was trained here.</p>
<div class="cards">
{cards}
</div>
<h3 class="over">Pitch with the model that ships</h3>
<p>The clone should follow the source's melody at the pitch of the reference.</p>
<div class="card wide">{_pitch_picture("pitch-default", SHIPPED, medians)}</div>
</section>"""


def _gan_section(
    story: Story,
    curves: Mapping[str, pictures.Curve],
    drawn: Sequence[tuple[str, str]],
    medians: Mapping[str, float | None],
) -> str:
    figures = "\n".join(
        f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in _figures(story, curves)
    )
    plots = "\n".join(_plot(name, label, curves) for name, label in drawn)
    training = (
        f'<h3 class="over">Training curves of the GAN</h3>\n<p>Each picture shows one figure over the steps of'
        f' training; thick lines are means over a tenth of it.</p>\n<div class="cards">\n{plots}\n</div>'
        if plots
        else ""
    )
    return f"""<section class="gan">
<h2>The GAN trained here{f" in {_duration(story.seconds)}" if story.seconds else ""}</h2>
<p>{_corpus(story)} This section shows that the whole chain works, from recordings over training to a clone. After
minutes of training expect a rough clone; it is no measure of the model above.</p>
<div class="cards">
{_card("cloned", story.texts.get("cloned"), medians["cloned"])}
<figure class="card"><figcaption><h3>Pitch with the GAN</h3></figcaption>
{_pitch_picture("pitch-gan", GAN, medians)}</figure>
</div>
<dl>
{figures}
</dl>
{training}
</section>"""


def _corpus(story: Story) -> str:
    if not story.speakers or not story.minutes:
        return "Its training began from random weights, on synthetic speech only."
    return (
        f"Its training began from random weights, on {story.minutes:.0f} minutes of synthetic speech by"
        f" {story.speakers} speakers; its vocoder is the one that ships."
    )


def _duration(seconds: float) -> str:
    return f"{seconds:.0f} seconds" if seconds < 120 else f"{seconds / 60:.1f} minutes"


def _card(name: str, text: str | None, median: float | None) -> str:
    title, description = RECORDINGS[name]
    height = f" Median pitch {median:.0f} Hz." if median else " No pitch was found in it."
    quote = f"<q>{escape(text)}</q>" if text else ""
    alt = f"Spectrogram of {title}: level in decibels over time in seconds and frequency in kilohertz."
    return f"""<section class="card {name}" aria-labelledby="{name}">
<h3 id="{name}">{title}</h3>
<p class="soft">{description}{height}</p>
<audio controls preload="metadata" src="{name}.wav" aria-label="{title}"></audio>
{quote}
{_picture(name, alt)}
</section>"""


def _pitch_picture(stem: str, names: Sequence[str], medians: Mapping[str, float | None]) -> str:
    known = [f"{RECORDINGS[name][0]} {value:.0f} Hz" for name in names if (value := medians[name])]
    told = f" Medians: {', '.join(known)}." if known else ""
    return _picture(stem, f"Pitch in hertz over time of the recordings.{told}")


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
        found.append(("Training speech", f"{story.minutes:.0f} minutes"))
    if story.speakers is not None:
        found.append(("Speakers", str(story.speakers)))
    return found
