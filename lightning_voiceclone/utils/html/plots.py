"""Plots as HTML: curves and bars in SVG that stretch, with ticks as text that keeps its size on a phone."""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from lightning_voiceclone.utils.html.document import escape

NONE = "\N{EN DASH}"  # where there is no figure
Tick = tuple[float, str]  # place from 0 to 1 along the axis, and its label
STYLE = """
.plot { display: grid; grid-template-columns: 2.6rem minmax(0, 1fr);
  grid-template-rows: var(--height, 9rem) 1.3rem auto; font-size: .78rem; color: var(--soft); }
.plot .area { position: relative; border-left: 1px solid var(--line); border-bottom: 1px solid var(--line); }
.plot .area > * { position: absolute; inset: 0; width: 100%; height: 100%; }
.plot .y, .plot .x { position: relative; }
.plot .y span { position: absolute; right: .35rem; transform: translateY(50%); }
.plot .x { grid-column: 2; }
.plot .x span { position: absolute; transform: translateX(-50%); white-space: nowrap; }
.plot .x .first { transform: none; } .plot .x .last { transform: translateX(-100%); }
.plot figcaption, .plot .unit { grid-column: 1 / -1; }
.plot path { fill: none; stroke-width: 2; vector-effect: non-scaling-stroke; stroke-linecap: round; }
.plot line { vector-effect: non-scaling-stroke; }
"""


def plot(area: str, x: Sequence[Tick], y: Sequence[Tick], *, caption: str = "") -> str:
    """A plot's HTML.

    Args:
        area: HTML of what is shown, which fills the area.
        x: ticks from the left, in their order.
        y: ticks from the bottom.
        caption: HTML below, such as the axes' units.
    """
    ups = "".join(f'<span style="bottom:{100 * place:.4g}%">{escape(label)}</span>' for place, label in y)
    alongs = "".join(f'<span style="left:{100 * place:.4g}%"{_end(place)}>{escape(label)}</span>' for place, label in x)
    unit = f'<div class="unit">{caption}</div>' if caption else ""
    return (
        f'<div class="plot"><div class="y" aria-hidden="true">{ups}</div><div class="area">{area}</div>'
        f'<div class="x" aria-hidden="true">{alongs}</div>{unit}</div>'
    )


def _end(place: float) -> str:
    return ' class="first"' if place < 0.02 else ' class="last"' if place > 0.98 else ""


def drawing(shapes: Iterable[str], description: str) -> str:
    """An SVG of shapes in a square of 1000 by 1000, y downwards, that stretches to its place."""
    return (
        f'<svg viewBox="0 0 1000 1000" preserveAspectRatio="none" role="img" aria-label="{escape(description)}">'
        f"{''.join(shapes)}</svg>"
    )


def curve(x: np.ndarray, y: np.ndarray, style: str) -> str:
    """A line through points, x and y from 0 to 1 with y upwards; it breaks where y is NaN."""
    steps, down = [], False
    for along, up in zip(x, y, strict=True):
        if math.isfinite(up):
            steps.append(f"{'L' if down else 'M'}{1000 * along:.0f} {1000 * (1 - up):.0f}")
        down = math.isfinite(up)
    return f'<path class="{escape(style)}" d="{"".join(steps)}"/>'


def histogram(values: Sequence[float], mean: float | None, ci95: Sequence[float] | None, description: str) -> str:
    """How often values of a measure fall into bins, with a line at the mean and a band over its interval."""
    counts, edges = np.histogram(values, bins=min(max(round(2 * len(values) ** 0.5), 3), 24))
    low, high = float(edges[0]), float(edges[-1])
    places, tops = (edges - low) / (high - low), counts / max(counts.max(), 1)
    shapes = [
        f'<rect x="{1000 * left:.1f}" y="{1000 * (1 - top):.1f}" width="{1000 * (right - left):.1f}"'
        f' height="{1000 * top:.1f}"/>'
        for left, right, top in zip(places, places[1:], tops, strict=False)
    ]
    if ci95 is not None:
        ends = [min(max((end - low) / (high - low), 0), 1) for end in ci95]
        shapes.append(
            f'<rect class="interval" x="{1000 * ends[0]:.1f}" y="0" height="1000"'
            f' width="{1000 * (ends[1] - ends[0]):.1f}"/>'
        )
    if mean is not None:
        place = 1000 * min(max((mean - low) / (high - low), 0), 1)
        shapes.append(f'<line x1="{place:.1f}" x2="{place:.1f}" y1="0" y2="1000"/>')
    middle = (low + high) / 2
    x = [(0.0, figure(low)), (0.5, figure(middle)), (1.0, figure(high))]
    return plot(drawing(shapes, description), x, [(0.0, "0"), (1.0, str(counts.max()))])


def seconds_ticks(longest: float) -> list[Tick]:
    """Ticks of a time axis from 0 to ``longest`` seconds, at most 8."""
    step = next((step for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 20) if longest / step <= 8), max(longest / 8, 1e-9))
    return [(second / longest, f"{second:g}") for second in np.arange(0, longest + 1e-9, step).round(6)]


def figure(value: float | None) -> str:
    """A number with three significant digits; a dash for none."""
    if value is None:
        return NONE
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    digits = max(2 - math.floor(math.log10(abs(value))), 0)
    return f"{value:.{min(digits, 4)}f}".replace("-", "\N{MINUS SIGN}")


def legend(names: Mapping[str, str]) -> str:
    """Legend of a plot: the class of each curve, and its label."""
    return " ".join(f'<span class="key {escape(style)}">{escape(name)}</span>' for style, name in names.items())
