"""Detect two speakers in a recording, and find the one who speaks longer."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_voiceclone.audio.segment_selection import Span

WINDOW_SECONDS = 1.6  # of audio per embedding
WINDOW_STEP_SECONDS = 0.4
LEAST_VOICED_SHARE = 0.15  # of a window; others are not embedded
LEAST_WINDOWS = 6
LEAST_TURN_SHARE = 0.15  # of the windows: less is a cough or a noise
MOST_CHANGES = 0.15  # of the windows: sounds of one speaker alternate faster than speakers take turns
BATCH = 32  # windows embedded at once


@dataclass(frozen=True)
class SameSpeakerCheck:
    """How speakers are distinguished.

    Args:
        embed: from audio (B, N) to embeddings (B, D) of its speakers.
        one_speaker: minimum cosine between the means of two groups of windows of one speaker; two speakers are below.
    """

    embed: Callable[[Tensor], Tensor]
    one_speaker: float


def longer_speaker(
    audio: Tensor, voiced: NDArray[np.bool_], sample_rate: int, same_speaker: SameSpeakerCheck
) -> list[Span] | None:
    """Spans of audio (N,) of the speaker who speaks longer, if there are two; None if there is only one.

    Windows of 1.6 s are embedded and clustered in two groups. There are two speakers if the cosine of the groups' means
    is below ``one_speaker``, and the turns last longer than single sounds do.

    Args:
        audio: of any length.
        voiced: (T,) frames, spread evenly over the audio.
        sample_rate: in Hz.
        same_speaker: embeds windows, and holds the threshold.
    """
    size, step = round(WINDOW_SECONDS * sample_rate), round(WINDOW_STEP_SECONDS * sample_rate)
    begins = np.arange(0, len(audio) - size + 1, step)
    frames = len(voiced) / max(len(audio), 1)
    shares = np.array([voiced[int(begin * frames) : int((begin + size) * frames)].mean() for begin in begins])
    begins = begins[shares >= LEAST_VOICED_SHARE]
    if len(begins) < LEAST_WINDOWS:
        return None
    windows = audio.unfold(0, size, 1)[torch.from_numpy(begins).to(audio.device)]
    embedded = torch.cat([same_speaker.embed(some) for some in windows.split(BATCH)]).detach().cpu().double()
    groups, likeness = part_in_two(torch.nn.functional.normalize(embedded, dim=1).numpy())
    longer = groups.mean() >= 0.5
    changes = (groups[1:] != groups[:-1]).mean()
    least = min(groups.mean(), 1 - groups.mean())
    if likeness >= same_speaker.one_speaker or changes > MOST_CHANGES or least < LEAST_TURN_SHARE:
        return None
    return _turns(groups == longer, begins, size, step)


def part_in_two(embedded: NDArray[np.float64]) -> tuple[NDArray[np.bool_], float]:
    """Groups (W,) of embeddings (W, D) of unit length by 2-means clustering, and the cosine between the two means."""
    likeness = embedded @ embedded.T
    first, second = np.unravel_index(likeness.argmin(), likeness.shape)
    centres = embedded[[first, second]]
    groups = np.zeros(len(embedded), dtype=bool)
    for _ in range(20):
        nearer = embedded @ centres[1] > embedded @ centres[0]
        if (nearer == groups).all() or nearer.all() or not nearer.any():
            break
        groups = nearer
        centres = np.stack([embedded[~groups].mean(axis=0), embedded[groups].mean(axis=0)])
        centres /= np.linalg.norm(centres, axis=1, keepdims=True).clip(1e-12)
    return groups, float(centres[0] @ centres[1])


def _turns(chosen: NDArray[np.bool_], begins: NDArray[np.int_], size: int, step: int) -> list[Span] | None:
    """Spans around the middles of windows that are chosen, as are the windows before and after; None if there are none.

    A window at the border of two turns has both speakers.
    """
    inner = chosen & np.append(chosen[1:], True) & np.insert(chosen[:-1], 0, True)
    spans: list[Span] = []
    for begin in begins[inner] + (size - step) // 2:
        if spans and begin - spans[-1][1] < step:
            spans[-1] = (spans[-1][0], int(begin + step))
        else:
            spans.append((int(begin), int(begin + step)))
    return spans or None
