"""A source converted whole, and in pieces, for tests that both are the same."""

import math

import torch

from lightning_voiceclone.voice.options import RenderOptions
from lightning_voiceclone.voice.streaming import ChunkedConversion


def random_sizes(total, seed, largest):
    """Sizes from 1 sample to ``largest``, spread evenly over their logarithm, whose sum is ``total``."""
    random, sizes = torch.Generator().manual_seed(seed), []
    while sum(sizes) < total:
        size = math.ceil(math.exp(float(torch.rand(1, generator=random)) * math.log(largest)))
        sizes.append(min(size, total - sum(sizes)))
    return sizes


def pushed(conversion, audio, prompt, sizes, options=RenderOptions(), known=None):  # noqa: B008
    """What each push gives that gives samples, of a source that is pushed in pieces of those sizes."""
    state, made = conversion.init_state(len(audio), known), []
    for piece in audio.split(sizes, 1):
        out, state = conversion.push(piece, state, prompt, options)
        made.append(out.get("samples"))
    out, state = conversion.push(audio[:, :0], state, prompt, options, final=True)
    return [samples for samples in [*made, out.get("samples")] if samples is not None]


def push(*arguments, **settings):
    """The samples of all pushes, as :func:`pushed` takes them."""
    return torch.cat(pushed(*arguments, **settings), 1)


def whole(voice, audio, prompt, options=RenderOptions()):  # noqa: B008
    """Samples of the whole in one chunk, and its statistics."""
    conversion = ChunkedConversion(voice)
    out, state = conversion.push(audio, conversion.init_state(len(audio)), prompt, options, final=True)
    return out["samples"], conversion.statistics_of(state)
