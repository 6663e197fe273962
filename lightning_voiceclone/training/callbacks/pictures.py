"""Pictures of features."""

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from lightning_voiceclone.core.spec import AudioSpec


def compare_features(real: Tensor, fake: Tensor, spec: AudioSpec, title: str) -> NDArray[np.uint8]:
    """Real above generated features, with one colour scale, as an image (height, width, 3).

    Args:
        real: (F, T).
        fake: (F, T).
        spec: for the axes.
        title: of the picture.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 5), dpi=100)
    canvas = FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True)
    figure.subplots_adjust(left=0.11, right=0.99, bottom=0.1, top=0.93)  # measuring all texts takes a third of the time
    low, high = float(real.min()), float(real.max())
    seconds = real.shape[-1] / spec.frame_rate
    for axes, values, name in ((upper, real, "recording"), (lower, fake, "made")):
        image = axes.imshow(
            values.numpy(), origin="lower", aspect="auto", vmin=low, vmax=high, extent=(0, seconds, 0, spec.channels)
        )
        axes.set_ylabel(f"{name}: {spec.kind}")
    lower.set_xlabel("seconds")
    upper.set_title(title)
    figure.colorbar(image, ax=[upper, lower])
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()
