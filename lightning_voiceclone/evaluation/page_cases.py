"""The cases of a report's page: recordings, spectrograms and pitch curves side by side."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import torch

from lightning_voiceclone.audio.io import read_audio
from lightning_voiceclone.errors import RecordingError
from lightning_voiceclone.evaluation.pairs import file_stem
from lightning_voiceclone.evaluation.report import ROLES, Report, number, recording_path
from lightning_voiceclone.features.prosody import VOICED, Pitch
from lightning_voiceclone.utils.html import plots
from lightning_voiceclone.utils.html.document import escape
from lightning_voiceclone.utils.html.spectrogram import FMAX, bare_decibels, save_bare

PICTURES = "pictures"
TITLES = {
    "source": ("Source", "the recording with the words"),
    "reference": ("Reference", "the recording with the voice"),
    "clone": ("Clone", "the output of the system"),
}
PITCH_RATE = 16000  # of the audio that the pitch is computed from
LOWEST, HIGHEST = 60.0, 500.0  # Hz of the pitch's axis, which is logarithmic
PITCH_HOP = PITCH_RATE // 50
QUIET = 1e-4  # of the loudest frame's power; below it the pitch is that of hum, not of the voice
LEAP = 1.4  # ratio of one frame's pitch to the next one's at which a curve is interrupted
NOT_TEXTS = ("case", "error", "source_speaker", "target_speaker", "scores", "seconds")


@dataclass(frozen=True)
class Sound:
    """The page's data of one recording.

    Args:
        seconds: its length.
        levels: spectrogram (bins, frames) in dB.
        f0: (T,) in Hz, 50 a second, NaN where unvoiced.
    """

    seconds: float
    levels: np.ndarray
    f0: np.ndarray


class CaseWriter:
    """Draws the pictures of cases, one at a time, and writes their part of the page.

    Args:
        report: with the cases.
        pictures: folder of the pictures.
    """

    def __init__(self, report: Report, pictures: Path) -> None:
        self.report, self.pictures = report, pictures
        self.pitch = Pitch(sample_rate=PITCH_RATE, hop_length=PITCH_HOP, fmin=LOWEST, fmax=HIGHEST)

    def write(self, index: int, case: Mapping[str, Any]) -> str:
        """HTML of one case, with its pictures drawn."""
        name = case["case"]
        sounds: dict[str, Sound] = {}
        reasons: dict[str, str] = {}
        for role in ROLES:
            try:
                sounds[role] = self._load(self.report.audio(name, role))
            except (RecordingError, OSError) as error:
                reasons[role] = str(error)
        top = max((float(sound.levels.max()) for sound in sounds.values()), default=0.0)
        for role, sound in sounds.items():
            save_bare(sound.levels, top, self.pictures / f"{file_stem(name)}.{role}.png")
        cards = "\n".join(_card(name, role, sounds, reasons) for role in ROLES)
        return f"""<details class="case" id="case-{index}"><summary>{escape(name)}{_speakers(case)}</summary>
{_error(case)}{_texts(case)}<div class="cards">
{cards}
</div>
{_pitch(sounds)}{self._figures(case)}</details>
"""

    def _load(self, path: Path) -> Sound:
        audio, rate = read_audio(path)
        seconds = len(audio) / rate
        resampled = audio if rate == PITCH_RATE else read_audio(path, PITCH_RATE)[0]
        if len(resampled) < self.pitch.spec.hop_length:
            raise RecordingError(f"{path} is only {seconds:.3f} s long; nothing can be drawn")
        return Sound(seconds, bare_decibels(audio, rate), self._curve(resampled))

    def _curve(self, audio: np.ndarray) -> np.ndarray:
        """Pitch in Hz, 50 a second, NaN where there is none."""
        f0, voicing = self.pitch(torch.from_numpy(audio)[None])[0].numpy()
        power = np.square(audio[: len(f0) * PITCH_HOP]).reshape(-1, PITCH_HOP).mean(1)
        return np.where((voicing > VOICED) & (power > QUIET * power.max()), f0, np.nan)

    def _figures(self, case: Mapping[str, Any]) -> str:
        figures = [
            f"<div><dt>{escape(name)}</dt><dd>{plots.figure(value)} {escape(str(metric.get('unit') or ''))}</dd></div>"
            for name, metric in self.report.metrics.items()
            if (value := number(case.get(name))) is not None
        ]
        return f'<dl class="small">{"".join(figures)}</dl>\n' if figures else ""


def speakers_of(case: Mapping[str, Any]) -> tuple[str, str]:
    """Source and target speaker of a case; empty where the report has none."""
    return str(case.get("source_speaker") or ""), str(case.get("target_speaker") or "")


def _speakers(case: Mapping[str, Any]) -> str:
    source, target = speakers_of(case)
    if not source and not target:
        return ""
    return f' <span class="soft">{escape(source or "?")} in the voice of {escape(target or "?")}</span>'


def _error(case: Mapping[str, Any]) -> str:
    return f'<p class="error">{escape(str(case["error"]))}</p>\n' if case.get("error") else ""


def _texts(case: Mapping[str, Any]) -> str:
    """The report's texts of a case: transcript, what was recognised, why a metric is missing."""
    lines = []
    for name, value in case.items():
        if name in NOT_TEXTS:
            continue
        if isinstance(value, str) and value:
            lines.append((name, value))
        elif isinstance(value, list):
            lines += [(name, str(text)) for text in value]
        elif isinstance(value, Mapping):
            by_text: dict[str, list[str]] = {}
            for inner, text in value.items():
                by_text.setdefault(str(text), []).append(str(inner))
            lines += [(name, f"{', '.join(names)}: {text}") for text, names in by_text.items()]
    items = "".join(
        f"<div><dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(text)}</dd></div>" for name, text in lines
    )
    return f'<dl class="texts">{items}</dl>\n' if items else ""


def _card(case: str, role: str, sounds: Mapping[str, Sound], reasons: Mapping[str, str]) -> str:
    title, meaning = TITLES[role]
    head = f'<section class="card {role}"><h4>{title}</h4><p class="soft">{meaning[:1].upper()}{meaning[1:]}.</p>'
    if role in reasons:
        return f'{head}<p class="error">{escape(reasons[role])}</p></section>'
    sound = sounds[role]
    # Source and clone have the same words and pace, so they share an axis; the reference has other words.
    peers = [other.seconds for name, other in sounds.items() if (name == "reference") == (role == "reference")]
    longest = max(peers)
    alt = f"Spectrogram of the {title.lower()}: {sound.seconds:.1f} seconds, 0 to {FMAX / 1000:g} kilohertz."
    image = (
        f'<img src="{quote(f"{PICTURES}/{file_stem(case)}.{role}.png")}" alt="{alt}" loading="lazy"'
        f' style="width:{100 * sound.seconds / longest:.4g}%">'
    )
    kilohertz = [(place / 4, f"{FMAX / 4000 * place:g}") for place in range(5)]
    return (
        f'{head}<audio controls preload="none" src="{quote(recording_path(case, role))}"'
        f' aria-label="{title} of {escape(case)}"></audio>'
        f"{plots.plot(image, plots.seconds_ticks(longest), kilohertz, caption='kHz over seconds')}</section>"
    )


def _pitch(sounds: Mapping[str, Sound]) -> str:
    medians = {role: float(np.nanmedian(sound.f0)) for role, sound in sounds.items() if np.isfinite(sound.f0).any()}
    longest = max((sound.seconds for role, sound in sounds.items() if role != "reference"), default=0.0)
    if not medians or not longest:
        return ""
    # The reference has other words: only its median can be compared.
    shapes = [plots.curve(np.array([0, 1]), np.repeat(_height(medians["reference"]), 2), "reference")
              if "reference" in medians else ""]  # fmt: skip
    for role in ("source", "clone"):
        if role in medians:
            f0 = sounds[role].f0
            shapes.append(plots.curve((np.arange(len(f0)) + 0.5) / 50 / longest, _height(_broken(f0)), role))
    ticks = [(float(_height(hertz)), f"{hertz:g}") for hertz in (75, 100, 150, 200, 300, 400)]
    listed = ", ".join(f"{TITLES[role][0].lower()} {median:.0f} Hz" for role, median in medians.items())
    keys = plots.legend({role: TITLES[role][0] + " (median)" * (role == "reference") for role in medians})
    shown = plots.plot(plots.drawing(shapes, f"Pitch over time. Medians: {listed}."), plots.seconds_ticks(longest),
                       ticks, caption=f"Hz over seconds. Medians: {listed}. {keys}")  # fmt: skip
    return f'<div class="card pitch"><h4>Pitch</h4>{shown}</div>\n'


def _broken(f0: np.ndarray) -> np.ndarray:
    """The curve with a gap where it jumps by about an octave, as pitch errors do."""
    leaps = np.abs(np.log(f0[1:] / f0[:-1])) > np.log(LEAP)
    return np.where(np.concatenate([leaps, [False]]), np.nan, f0)


def _height(hertz: float | np.ndarray) -> np.ndarray:
    return np.log(np.asarray(hertz) / LOWEST) / np.log(HIGHEST / LOWEST)
