"""A coach's assessment as JSON, as lines, and as a picture."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lightning_voiceclone.inference.coaching import FLAGGED, FRAME_RATE, AssessedPhoneme, Assessment
from lightning_voiceclone.utils.files import atomic_file
from lightning_voiceclone.utils.html.spectrogram import COLOUR_MAP, DYNAMIC_RANGE, HOP, decibels

if TYPE_CHECKING:
    from matplotlib.axes import Axes

INCHES_A_SECOND, NARROWEST, WIDEST = 2.4, 8.0, 60.0
HIGHEST_HZ = 5000.0  # that the picture shows
GOOD, WRONG, EXPECTED = "#3a9a5b", "#c0392b", "#2f7fc1"
SHOWN_RATIO = 4.0  # of lengths, at the edges of the picture
COLUMNS = ("SECOND", "WORD", "PHONEME", "SCORE", "NEARER TO", "LENGTH", "PITCH")


def as_json(made: Assessment) -> str:
    """All that is known; times in seconds, pitches in semitones above the register."""
    words = [{
        "word": one.word.spoken, "characters": [one.word.start, one.word.end],
        "start": one.phonemes[0].start, "end": one.phonemes[-1].end, "origin": one.word.origin,
        "accepted": [" ".join(said) for said in one.accepted],
        "phonemes": [_phoneme(phoneme) for phoneme in one.phonemes],
    } for one in made.words]  # fmt: skip
    register = None if math.isnan(made.register) else round(made.register, 1)
    listed = {"text": made.text, "seconds": round(made.seconds, 3), "score": round(made.score, 3),
              "flagged": sum(one.flagged for one in made.phonemes), "flagged_below": FLAGGED,
              "tempo": round(made.tempo, 3), "register_hz": register, "words": words}  # fmt: skip
    return json.dumps(listed, indent=1) + "\n"


def _phoneme(one: AssessedPhoneme) -> dict[str, Any]:
    return {"phoneme": one.phoneme, "start": round(one.start, 3), "end": round(one.end, 3),
            "score": round(one.score, 3), "flagged": one.flagged, "goodness": round(one.goodness, 2),
            "nearest": one.nearest, "seconds": round(one.end - one.start, 3),
            "expected_seconds": round(one.expected_seconds, 3), "pitch": _rounded(one.pitch),
            "expected_pitch": _rounded(one.expected_pitch)}  # fmt: skip


def flagged_rows(made: Assessment) -> Iterator[tuple[str, ...]]:
    """For each flagged phoneme the cells of ``COLUMNS``."""
    for word in made.words:
        for one in word.phonemes:
            if one.flagged:
                length = f"{(one.end - one.start) / one.expected_seconds:.1f} x"
                pitch = "" if one.pitch is None or one.expected_pitch is None else (
                    f"{one.pitch - one.expected_pitch:+.1f} st")  # fmt: skip
                yield (f"{one.start:.2f}", word.word.spoken, one.phoneme.rstrip("012"), f"{100 * one.score:.0f}%",
                       one.nearest, length, pitch)  # fmt: skip


def draw(made: Assessment, samples: np.ndarray, sample_rate: int, path: Path) -> None:
    """A picture (PNG) of an attempt: its spectrogram with the phonemes, their scores, lengths and pitches.

    Args:
        made: the assessment.
        samples: (N,) of the attempt.
        sample_rate: in Hz.
        path: of the picture.

    Raises:
        OSError: if it cannot be written.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width = min(max(INCHES_A_SECOND * made.seconds, NARROWEST), WIDEST)
    figure = Figure(figsize=(width, 7.5), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    rows = figure.subplots(4, 1, sharex=True, height_ratios=(3, 1.6, 1.6, 2))
    _draw_spectrogram(rows[0], made, samples, sample_rate)
    _draw_scores(rows[1], made)
    _draw_lengths(rows[2], made)
    _draw_pitch(rows[3], made)
    for axes in rows:
        axes.spines[["top", "right"]].set_visible(False)
        for word in made.words:
            axes.axvline(word.phonemes[0].start, color="#888888", linewidth=0.5)
    rows[-1].set(xlabel="seconds", xlim=(0, made.seconds))
    with atomic_file(path) as temporary:
        figure.savefig(temporary, format="png")


def _draw_spectrogram(axes: "Axes", made: Assessment, samples: np.ndarray, sample_rate: int) -> None:
    levels = decibels(samples)
    top = float(levels.max())
    axes.imshow(levels, origin="lower", aspect="auto", cmap=COLOUR_MAP, vmin=top - DYNAMIC_RANGE, vmax=top,
                extent=(0, levels.shape[1] * HOP / sample_rate, 0, sample_rate / 2000))  # fmt: skip
    axes.set(ylabel="kHz", ylim=(0, HIGHEST_HZ / 1000))
    for word in made.words:
        middle = (word.phonemes[0].start + word.phonemes[-1].end) / 2
        axes.annotate(word.word.spoken, (middle, 1.0), xycoords=("data", "axes fraction"), xytext=(0, 12),
                      textcoords="offset points", ha="center", fontsize=10)  # fmt: skip
        for one in word.phonemes:
            axes.annotate(one.phoneme.rstrip("012"), (_middle(one), 1.0), xycoords=("data", "axes fraction"),
                          xytext=(0, 2), textcoords="offset points", ha="center", fontsize=7.5, color=_colour(one),
                          weight="bold" if one.flagged else "normal")  # fmt: skip


def _draw_scores(axes: "Axes", made: Assessment) -> None:
    for one in made.phonemes:
        axes.bar(one.start, 100 * max(one.score, 0.01), one.end - one.start, align="edge", color=_colour(one))
        if one.flagged:
            axes.annotate(one.nearest, (_middle(one), 100 * one.score), xytext=(0, 3), textcoords="offset points",
                          ha="center", fontsize=7.5, color=WRONG)  # fmt: skip
    axes.set(ylabel="score (%)", ylim=(0, 100))


def _draw_lengths(axes: "Axes", made: Assessment) -> None:
    for one in made.phonemes:
        ratio = (one.end - one.start) / max(one.expected_seconds, 1 / FRAME_RATE)
        axes.bar(one.start, math.log2(min(max(ratio, 1 / SHOWN_RATIO), SHOWN_RATIO)), one.end - one.start, align="edge",
                 color="#8a8a8a")  # fmt: skip
    axes.axhline(0, color=EXPECTED, linewidth=1)
    axes.set(ylabel="length", ylim=(-2, 2))
    axes.set_yticks([-2, -1, 0, 1, 2], labels=["1/4", "1/2", "as expected", "2 x", "4 x"])


def _draw_pitch(axes: "Axes", made: Assessment) -> None:
    f0 = made.f0.numpy()
    with np.errstate(divide="ignore"):
        curve = np.where(f0 > 0, 12 * np.log2(f0 / made.register), np.nan)
    axes.plot((np.arange(len(f0)) + 0.5) / FRAME_RATE, curve, ".", color="#444444", markersize=3, label="attempt")
    lines = [(one.start, one.end, one.expected_pitch) for one in made.phonemes if one.expected_pitch is not None]
    for number, (start, end, pitch) in enumerate(lines):
        axes.plot([start, end], [pitch, pitch], color=EXPECTED, linewidth=2.5, label=None if number else "expected")
    axes.set(ylabel="semitones", ylim=(-14, 14))
    axes.legend(loc="upper right", frameon=False, fontsize=8)


def _middle(one: AssessedPhoneme) -> float:
    return (one.start + one.end) / 2


def _colour(one: AssessedPhoneme) -> str:
    return WRONG if one.flagged else GOOD


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 2)
