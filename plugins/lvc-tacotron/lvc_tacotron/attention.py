"""Where attention should be, where it may be, and how it fails."""

from collections.abc import Iterator

import torch
from torch import Tensor

from lightning_voiceclone.core.durations import by_frame
from lightning_voiceclone.text.inventory import TOKENS, WORD

NEAR = 2.0  # tokens: width of the guide around times that are known
LEAD_SECONDS = 0.06  # by which attention may be ahead of given durations, or behind
SEEN = 0.2  # greatest weight of a token, below which it is skipped
BACK_TOKENS = 3  # by which attention goes back for a repeat, and
BACK_SECONDS = 0.06  # for how long at least
LONGEST_SECONDS = 1.0  # of a phoneme


def middles(durations: Tensor, frames_per_step: int) -> Tensor:
    """Token (B, S) in the middle of each step, by its index: the path that attention should take.

    Args:
        durations: (B, L) whole frames of the tokens.
        frames_per_step: of the decoder.
    """
    index = torch.arange(durations.shape[1], device=durations.device).expand_as(durations)
    path = by_frame(index, durations)
    steps = -(-path.shape[1] // frames_per_step)
    at = torch.arange(steps, device=path.device) * frames_per_step + frames_per_step // 2
    return path[:, at.clamp_max(path.shape[1] - 1)]


def distant(path: Tensor, tokens: int, width: Tensor) -> Tensor:
    """Cost (B, S, L) of attention, from 0 on the path to 1 far from it: 1 - exp(-d ** 2 / (2 * width ** 2)).

    Guided attention (Tachibana et al. 2018, section 4.1), whose path is the diagonal.

    Args:
        path: (B, S) token of each step.
        tokens: L.
        width: (B,) in tokens.
    """
    apart = torch.arange(tokens, device=path.device) - path[..., None]
    return 1 - torch.exp(-apart.square() / (2 * width[:, None, None].square()))


def windows(durations: Tensor, lengths: Tensor, frames_per_step: int, lead: int) -> Tensor:
    """Tokens (B, S, L) to which each step may attend: those whose frames it makes, or would ``lead`` frames off.

    After the end of a row, the last token.

    Args:
        durations: (B, L) whole frames of the tokens.
        lengths: (B,) tokens that are real.
        frames_per_step: of the decoder.
        lead: frames.
    """
    ends = durations.cumsum(1)[:, None]
    starts = ends - durations[:, None]
    steps = -(-int(ends[..., -1].max()) // frames_per_step)
    first = (torch.arange(steps, device=durations.device) * frames_per_step)[:, None]
    allowed = (starts < first + frames_per_step + lead) & (ends >= first - lead)
    index = torch.arange(durations.shape[1], device=durations.device)
    last = index == lengths[:, None, None] - 1
    return (allowed & (index < lengths[:, None, None])) | (last & (first >= ends[..., -1:]))


def faults(attention: Tensor, tokens: Tensor, *, ended: bool, seconds: float, phonemes: int) -> list[str]:
    """How attention fails to follow a text, in words with the place; empty where it does not.

    Args:
        attention: (S, L) weights of each step.
        tokens: (L,) of the text.
        ended: whether the end was predicted.
        seconds: of a step.
        phonemes: first number from which on tokens are phonemes.
    """
    path = attention.argmax(1).cpu()
    tokens = tokens.cpu()
    spoken = (tokens >= phonemes).nonzero()[:, 0].tolist()
    seen = (attention.amax(0) >= SEEN).tolist()
    named = [f"{_name(int(token))} (token {place} of {len(tokens)})" for place, token in enumerate(tokens, 1)]
    found = [] if ended else [f"no end is predicted within {len(path) * seconds:.2f} s"]
    for first, last in _runs([place for place in spoken if not seen[place]], spoken):
        until = "" if first == last else f" to {named[last]}"
        found.append(f"it ends before {named[first]}" if last == spoken[-1] and ended else
                     f"it skips {named[first]}{until}")  # fmt: skip
    back = path.cummax(0).values - path >= BACK_TOKENS
    for begin, end in _stretches(back):
        if (end - begin) * seconds >= BACK_SECONDS:
            furthest, to = int(path[:begin].max()), int(path[begin:end].min())
            found.append(f"it goes back from {named[furthest]} to {named[to]} at {begin * seconds:.2f} s")
    for place in spoken:
        for begin, end in _stretches(path == place):
            if (end - begin) * seconds > LONGEST_SECONDS:
                found.append(f"it stays at {named[place]} for {(end - begin) * seconds:.2f} s")
    return found


def _name(token: int) -> str:
    name = TOKENS[token] if token < len(TOKENS) else str(token)
    return "the space" if name == WORD else name


def _stretches(given: Tensor) -> Iterator[tuple[int, int]]:
    """Beginning and end of each stretch of a vector (S,) that is true."""
    edges = torch.diff(given.int(), prepend=torch.zeros(1, dtype=torch.int), append=torch.zeros(1, dtype=torch.int))
    return zip((edges == 1).nonzero()[:, 0].tolist(), (edges == -1).nonzero()[:, 0].tolist(), strict=True)


def _runs(places: list[int], order: list[int]) -> Iterator[tuple[int, int]]:
    """First and last of those of ``places`` that follow each other in ``order``."""
    chosen = torch.tensor([place in set(places) for place in order], dtype=torch.bool)
    for begin, end in _stretches(chosen):
        yield order[begin], order[end - 1]
