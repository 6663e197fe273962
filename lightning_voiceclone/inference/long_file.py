"""Convert a file of any length to a file, block by block, in memory that does not grow with it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from lightning_voiceclone.audio.io import Pieces
from lightning_voiceclone.audio.opening import Decoder
from lightning_voiceclone.checkpoints.external_weights import weights_sha256
from lightning_voiceclone.core.conditions import SpeakerPrompt
from lightning_voiceclone.core.streaming import State
from lightning_voiceclone.inference.level import gain_to
from lightning_voiceclone.inference.long_source import LongSource
from lightning_voiceclone.inference.stream import Stream
from lightning_voiceclone.inference.unfinished import Unfinished, unfinished
from lightning_voiceclone.utils.progress import progress_bar
from lightning_voiceclone.voice.model import VoiceModel
from lightning_voiceclone.voice.options import RenderOptions
from lightning_voiceclone.voice.streaming import ChunkedConversion

LEAST_MISSING_SECONDS = 0.1  # less may be the rounding of two rates


class Converts(Protocol):
    """What is needed of a converter; :class:`~lightning_voiceclone.inference.converter.Converter` has it."""

    voice: VoiceModel
    denoise: str
    note: Callable[[str], None]

    @property
    def sample_rate(self) -> int:
        """Sample rate of the model's audio, in Hz."""

    @property
    def device(self) -> torch.device:
        """Where the model computes."""

    @property
    def fingerprint(self) -> str:
        """Hash of all weights and settings."""


def known_of(
    voice: VoiceModel, sample: Tensor, loudness: float, prompt: SpeakerPrompt, options: RenderOptions
) -> State:
    """Statistics of a source, for the state of a stream, and the gain that makes its output as loud as the source.

    Args:
        voice: the model.
        sample: (N,) of the source, converted once as a whole for this.
        loudness: mean square of the source's speech.
        prompt: target speaker; one row.
        options: of the conversion.
    """
    conversion = ChunkedConversion(voice)
    made, state = conversion.push(sample[None], conversion.init_state(), prompt, options, final=True)
    gain = gain_to(made["samples"][0].cpu(), voice.spec.sample_rate, loudness)
    return conversion.statistics_of(state) | {"level.gain": torch.tensor([gain], dtype=torch.float64)}


def convert_long(
    converter: Converts, source: LongSource, prompt: SpeakerPrompt, options: RenderOptions, begun: Unfinished | None
) -> Iterator[tuple[int, Tensor, State]]:
    """Blocks of the output from the first that is not done: how many are done after it, samples (n,), and the state."""
    state = None if begun is None else begun.state
    known = state
    if known is None:
        sample = source.sample.to(converter.device)
        known = known_of(converter.voice, sample, source.loudness, prompt, options)
    stream = Stream(converter.voice, prompt, options, known=known)
    if state is not None:
        stream.state = {name: value.to(converter.device) for name, value in state.items()}
    for index in range(0 if begun is None else begun.done, source.blocks):
        made = stream.push(source.block(index))
        if index == source.blocks - 1:
            made += stream.flush()
        yield index + 1, torch.cat([*made, torch.zeros(0)]), stream.state


def convert_long_file(
    converter: Converts,
    file: Decoder,
    sha256: str,
    output: Path,
    prompt: SpeakerPrompt,
    options: RenderOptions,
    *,
    progress: bool,
) -> int:
    """Convert an open recording of more than a minute; the output must be locked. Returns how many samples there are.

    Raises:
        LVCError: as of ``Converter.convert_file``.
    """
    voice, rate = converter.voice, converter.sample_rate
    pieces = Pieces(file, rate)
    source = LongSource(file.name, pieces, voice.spec, converter.denoise)
    identity = {
        "source": sha256,
        "speaker": weights_sha256(prompt.tensors()),
        "model": converter.fingerprint,
        "options": {**vars(options), "guidance": voice.strength(options), "denoise": converter.denoise},
    }
    expected = round(file.frames * rate / file.rate / options.speed)
    with unfinished(output, identity, expected, converter.note) as begun:
        for line in (*pieces.notes, *_shortness(file, source.survey.length, rate), *source.notes):
            converter.note(line)
        if begun.done:
            converter.note(f"{output}: goes on after {begun.samples / rate:.0f} s that an earlier command made")
        with progress_bar("Converting", source.blocks, begun.done, shown=progress) as advance:
            for done, samples, state in convert_long(converter, source, prompt, options, begun):
                begun.append(np.asarray(samples), done, state)
                advance(1)
        begun.finish(rate)
        return begun.samples


def _shortness(file: Decoder, length: int, rate: int) -> tuple[str, ...]:
    """A note where fewer samples decode than the header promises; ``length`` counts them at ``rate``."""
    missing = file.frames / file.rate - length / rate
    if file.layout.truncated or missing < LEAST_MISSING_SECONDS:
        return ()
    return (f"{file.name} is truncated: its header promises {missing:.1f} s more than are there; what is there is"
            " used",)  # fmt: skip
