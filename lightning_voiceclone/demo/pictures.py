"""The pictures of the demonstration's page, each for a light and for a dark screen."""

import csv
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from lightning_voiceclone.features.prosody import VOICED, Pitch
from lightning_voiceclone.utils.html.spectrogram import COLOUR_MAP, DYNAMIC_RANGE, HOP, decibels

THEMES = {"light": "#1c2530", "dark": "#e4e9ef"}  # of the ink; the ground is the page's own
COLOURS = {"source": "#c2571a", "reference": "#2f7fc1", "cloned_default": "#3a9a5b", "cloned": "#8a63c9"}
TRAIN_COLOUR, VALIDATION_COLOUR = "#2f7fc1", "#c2571a"
NOT_CURVES = ("epoch", "step")

# Words for the usual names; any other name is shown with spaces for underscores.
LABELS = {
    "adversarial": "Adversarial loss of the generator",
    "discriminator": "Loss of the discriminator",
    "feature_matching": "Feature matching",
    "generator": "Loss of the generator, all terms",
    "kl": "KL term",
    "mel_l1": "Mel L1",
    "reconstruction": "Reconstruction (L1)",
}


@dataclass(frozen=True)
class Curve:
    """One figure over training: ``group`` is what stands before the last slash of its name, ``label`` is for people."""

    group: str
    label: str
    steps: tuple[float, ...]
    values: tuple[float, ...]


def read_curves(path: Path) -> dict[str, Curve]:
    """The curves of a ``metrics.csv`` of Lightning's CSVLogger, by column; gaps and values that are not finite go.

    A column without any value is left out. Lines without a step are taken at the step of the line before.
    """
    points: dict[str, list[tuple[float, float]]] = {}
    step = 0.0
    with path.open(newline="", encoding="utf-8") as stream:
        for row in csv.DictReader(stream):
            given = _number(row.get("step"))
            step = step if given is None else given
            for name, text in row.items():
                value = _number(text)
                if name and name not in NOT_CURVES and value is not None:
                    points.setdefault(name, []).append((step, value))
    return {name: _curve(name, found) for name, found in points.items()}


def _number(text: object) -> float | None:
    try:
        value = float(text)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None


def _curve(name: str, points: Sequence[tuple[float, float]]) -> Curve:
    group, _, last = name.rpartition("/")
    last = re.sub(r"_(step|epoch)$", "", last)
    label = LABELS.get(last, last.replace("_", " ").replace("-", " "))
    steps, values = zip(*sorted(points), strict=True)
    return Curve(group, label[:1].upper() + label[1:], steps, values)


def draw_spectrograms(recordings: Mapping[str, np.ndarray], sample_rate: int, folder: Path) -> None:
    """``NAME-light.png`` and ``NAME-dark.png`` for each recording (N,), all on one scale of colours and of time."""
    levels = {name: decibels(audio) for name, audio in recordings.items()}
    top = max(float(values.max()) for values in levels.values())
    longest = max(len(audio) for audio in recordings.values()) / sample_rate
    for name, values in levels.items():
        for theme, ink in THEMES.items():
            figure, axes = _figure(theme, (5.6, 3.2))
            seconds = values.shape[1] * HOP / sample_rate
            image = axes.imshow(
                values, origin="lower", aspect="auto", cmap=COLOUR_MAP, vmin=top - DYNAMIC_RANGE, vmax=top,
                extent=(0, seconds, 0, sample_rate / 2000), interpolation="bilinear",
            )  # fmt: skip
            axes.set(xlabel="Time (s)", ylabel="Frequency (kHz)", xlim=(0, longest))
            bar = figure.colorbar(image, ax=axes, pad=0.02)
            bar.set_label("Level (dB)")
            bar.set_ticks([top - below for below in (60, 40, 20, 0)], labels=["-60", "-40", "-20", "0"])
            bar.ax.yaxis.label.set_color(ink)
            bar.ax.tick_params(colors=ink)
            bar.outline.set_visible(False)  # type: ignore[operator]
            _save(figure, folder / f"{name}-{theme}.png")


def pitch_of(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Fundamental frequency in Hz, 100 a second, NaN where unvoiced, by YIN, as models take it."""
    track = Pitch(sample_rate=sample_rate, hop_length=sample_rate // 100, n_fft=2 * round(0.032 * sample_rate))
    f0, voicing = track(torch.from_numpy(audio).float()[None])[0].numpy()
    return np.where(voicing > VOICED, f0, np.nan)


def draw_pitch(pitches: Mapping[str, np.ndarray], names: Mapping[str, str], folder: Path, stem: str) -> None:
    """``STEM-light.png`` and ``STEM-dark.png``: a curve for each recording's f0 (T,), 100 a second."""
    for theme in THEMES:
        figure, axes = _figure(theme, (6.6, 3.0))
        for name, f0 in pitches.items():
            axes.plot(np.arange(len(f0)) / 100, f0, color=COLOURS[name], label=names[name], linewidth=2)
        axes.set(xlabel="Time (s)", ylabel="Pitch (Hz)", xlim=(0, max(map(len, pitches.values())) / 100))
        _legend(axes, theme)
        _save(figure, folder / f"{stem}-{theme}.png")


def draw_curves(curves: Mapping[str, Curve], folder: Path) -> list[tuple[str, str]]:
    """One picture for each label, with the groups that have it as lines of it.

    Returns:
        For each picture its file name without ``-light.png`` or ``-dark.png``, and its label.
    """
    by_label: dict[str, dict[str, Curve]] = {}
    for curve in curves.values():
        by_label.setdefault(curve.label, {}).setdefault(curve.group, curve)
    drawn = []
    for label, groups in sorted(by_label.items(), key=lambda item: (_train_only(item[1]), item[0])):
        name = "curve-" + re.sub(r"[^a-z0-9]+", "-", label.lower()).strip("-")
        for theme in THEMES:
            _draw_curve(groups, theme, folder / f"{name}-{theme}.png")
        drawn.append((name, label))
    return drawn


def _train_only(groups: Mapping[str, Curve]) -> bool:
    return all(group.startswith("train") for group in groups)


def _draw_curve(groups: Mapping[str, Curve], theme: str, path: Path) -> None:
    figure, axes = _figure(theme, (4.6, 2.6))
    for group, curve in groups.items():
        colour = TRAIN_COLOUR if group.startswith("train") else VALIDATION_COLOUR
        few = len(curve.steps) < 25
        axes.plot(curve.steps, curve.values, color=colour, linewidth=1.8 if few else 0.7, alpha=1 if few else 0.45,
                  marker="o" if few else None, markersize=4, label=group if few else None)  # fmt: skip
        if not few:
            axes.plot(curve.steps, _smooth(np.array(curve.values)), color=colour, linewidth=2, label=group)
    axes.set(xlabel="Step")
    axes.margins(y=0.12)
    _legend(axes, theme)
    _save(figure, path)


def _smooth(values: np.ndarray) -> np.ndarray:
    """Mean over a window of a tenth of the curve, shorter at both ends."""
    half = max(len(values) // 20, 1)
    sums = np.concatenate([[0.0], np.cumsum(values)])
    positions = np.arange(len(values))
    low, high = np.maximum(positions - half, 0), np.minimum(positions + half + 1, len(values))
    return (sums[high] - sums[low]) / (high - low)


def _figure(theme: str, size: tuple[float, float]) -> tuple[Figure, "matplotlib.axes.Axes"]:
    """A figure without pyplot, whose windows and global state a command has no use for."""
    ink = THEMES[theme]
    figure = Figure(figsize=size, dpi=140, layout="constrained")
    FigureCanvasAgg(figure)
    with matplotlib.rc_context({
        "text.color": ink, "axes.labelcolor": ink, "xtick.color": ink, "ytick.color": ink, "axes.edgecolor": ink,
        "axes.facecolor": "none", "font.size": 10.5,
    }):  # fmt: skip
        axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _legend(axes: "matplotlib.axes.Axes", theme: str) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(frameon=False, labelcolor=THEMES[theme], fontsize=9.5)


def _save(figure: Figure, path: Path) -> None:
    figure.patch.set_alpha(0)
    figure.savefig(path)
