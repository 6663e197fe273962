"""Select the clearest parts of long recordings."""

import itertools
import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lightning_voiceclone.audio.quality import Quality

PIECE_SECONDS = 2.0  # chosen or not as a whole
AROUND_PIECES = 2  # on either side, from which the noise floor is estimated
FADE_SECONDS = 0.01
Span = tuple[int, int]


def clearest(qualities: Sequence[Quality], sample_rate: int, seconds: float) -> list[list[Span]]:
    """Spans of samples of each recording where the voice is clearest, in order, at most ``seconds`` long in total.

    Pieces of 2 s are ranked by the share of them that is voiced times the level of that over the noise around it. The
    rest at a recording's end belongs to its last piece, and a short recording is one piece: no span is shorter than
    2 s, or than its recording.
    """
    ranked: list[tuple[float, int, Span]] = []
    for index, quality in enumerate(qualities):
        pieces = _pieces(len(quality.power), round(PIECE_SECONDS * sample_rate / quality.step))
        ranked += [(score, index, (begin * quality.step, end * quality.step))
                   for score, (begin, end) in zip(_scores(quality, pieces), pieces, strict=True)]  # fmt: skip
    ranked.sort(key=lambda piece: (-piece[0], piece[1:]))
    chosen: list[list[Span]] = [[] for _ in qualities]
    left = seconds * sample_rate
    for _, index, (begin, end) in ranked:
        if end - begin <= left:
            chosen[index].append((begin, end))
            left -= end - begin
    return [_merged(spans) for spans in chosen]


def _pieces(frames: int, size: int) -> list[Span]:
    """Of that many frames, pieces of ``size``, the last of which has what is left as well."""
    return list(itertools.pairwise([*range(0, max(frames // size, 1) * size, size), frames]))


def _scores(quality: Quality, pieces: Sequence[Span]) -> list[float]:
    """How clear the voice is in each of the pieces, which are spans of frames, one after the other."""
    scores = []
    for place, (begin, end) in enumerate(pieces):
        around = pieces[max(place - AROUND_PIECES, 0) : place + AROUND_PIECES + 1]
        voiced, power = quality.voiced[begin:end], quality.power[begin:end]
        if not voiced.any():
            scores.append(0.0)
            continue
        floor = np.percentile(quality.power[around[0][0] : around[-1][1]], 5)
        clarity = 10 * math.log10(power[voiced].mean(dtype=np.float64) / max(floor, 1e-10))
        scores.append(float(voiced.mean() * min(max(clarity, 0), 40)))
    return scores


def _merged(spans: Sequence[Span]) -> list[Span]:
    """Spans in order, those that touch as one."""
    merged: list[Span] = []
    for begin, end in sorted(spans):
        if merged and merged[-1][1] == begin:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((begin, end))
    return merged


def join(audio: Tensor, spans: Sequence[Span], sample_rate: int) -> Tensor:
    """The spans of audio (N,), one after the other, faded where they were cut so that nothing clicks."""
    if spans == [(0, len(audio))]:
        return audio
    pieces = [audio[begin:end].clone() for begin, end in spans]
    slope = torch.linspace(0, 1, round(FADE_SECONDS * sample_rate), device=audio.device)
    for piece in pieces:
        fade = slope[: len(piece) // 2]
        piece[: len(fade)] *= fade
        piece[len(piece) - len(fade) :] *= fade.flip(0)
    return torch.cat(pieces)
