"""Mix a recording down to one channel: the mean of its channels, without a constant offset.

Both are determined once for the whole file, so that a segment equals that slice of the whole.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lightning_voiceclone.audio.opening import Decoder, FileKey
from lightning_voiceclone.errors import RecordingError

CANCELLED = 0.01  # of the loudest channel's power that is left in the mean: 20 dB less; equal channels lose nothing
LEAST_OFFSET = 1e-3  # 60 dB below full scale; a twentieth of LibriSpeech's recordings have more, up to 0.02
LEAST_SAMPLES = 1000  # the mean of less is that of its sound
ALIKE = 1 - 1e-6  # of two channels whose powers differ by less, the first is taken
MOST_KEPT = 1 << 16


@dataclass(frozen=True)
class Mixdown:
    """How to mix samples (n, channels) down to one row.

    Args:
        channels: how many there are.
        channel: that is taken alone, from 0, because the channels cancel each other in the mean; None for the mean.
        offset: that is subtracted from the row.
    """

    channels: int = 1
    channel: int | None = None
    offset: float = 0.0

    def __call__(self, block: NDArray[np.float32]) -> NDArray[np.float32]:
        """Row (n,) of samples (n, channels)."""
        if self.channel is not None or self.channels == 1:
            mono = block[:, self.channel or 0]
        else:
            mono = block.mean(axis=1, dtype=np.float32)
        return mono - np.float32(self.offset) if self.offset else mono

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes for the user, one line each."""
        notes = []
        if self.channel is not None:
            notes.append(f"its channels cancel each other when mixed: channel {self.channel + 1} of {self.channels} is"
                         " used")  # fmt: skip
        if self.offset:
            notes.append(f"its samples have a constant offset: {self.offset:+.3f} of full scale, subtracted")
        return tuple(notes)


def measure_mixdown(blocks: Iterable[NDArray[np.float32]]) -> Mixdown:
    """The mixdown of a recording, given all its samples in blocks (n, channels)."""
    count, sums, squares = 0, np.zeros(1), np.zeros(1)  # of the channels, and of their mean
    for block in blocks:
        if block.shape[1] == 1:
            sums = sums + block.sum(dtype=np.float64)
        else:
            rows = np.concatenate([block, block.mean(axis=1, dtype=np.float32)[:, None]], axis=1)
            sums = sums + rows.sum(axis=0, dtype=np.float64)
            squares = squares + np.square(rows, dtype=np.float64).sum(axis=0)
        count += len(block)
    channels = max(len(sums) - 1, 1)
    if count < LEAST_SAMPLES or not (np.isfinite(sums).all() and np.isfinite(squares).all()):
        return Mixdown(channels)
    means = sums / count
    powers = squares / count - np.square(means)
    loudest = int((powers[:-1] >= ALIKE * powers[:-1].max()).argmax()) if channels > 1 else 0
    channel = loudest if channels > 1 and powers[-1] < CANCELLED * powers[loudest] else None
    offset = float(means[-1 if channel is None else channel])
    return Mixdown(channels, channel, offset if abs(offset) >= LEAST_OFFSET else 0.0)


_kept: dict[FileKey, Mixdown] = {}


def mixdown_of(file: Decoder, known: Mixdown | None = None) -> Mixdown:
    """The mixdown of an open recording: the ``known`` one if the file has its channel.

    Otherwise all of the recording is decoded for it the first time that the file is met.
    """
    if known is not None and (known.channel or 0) < file.channels:
        return replace(known, channels=file.channels)
    if (found := None if file.key is None else _kept.get(file.key)) is not None:
        return found
    try:
        found = measure_mixdown(file.blocks(0))
    except RecordingError:  # damaged somewhere; reading that place raises the error
        found = Mixdown(file.channels)
    file.close()  # a decoder of MP3 that seeks to the beginning does not give the very samples of one that begins there
    if file.key is not None:
        if len(_kept) >= MOST_KEPT:
            _kept.clear()
        _kept[file.key] = found
    return found
