"""Tokens of a recording with their durations, as a text encoder learns them."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_voiceclone.networks.aligner import Interval
from lightning_voiceclone.text import inventory
from lightning_voiceclone.text.pronounced import Pronounced, Word

PAUSE_SECONDS, STOP_SECONDS = 0.08, 0.5  # a silence from which on it is a pause; from which on it ends a sentence
LAST_SECONDS = 0.2  # kept of the silence after the last word
BREAK_SHARE = 0.1  # of pauses that are made breaks of the markup in training
MARKS = torch.tensor(inventory.numbers(inventory.MARKS))
WORD, BREAK, COMMA, STOP = inventory.numbers((inventory.WORD, inventory.BREAK, ",", "."))


@dataclass(frozen=True)
class TimedText:
    """Tokens of a stretch of a recording, one after the other without gaps.

    Args:
        tokens: (L,) numbers of ``text.inventory``.
        durations: (L,) whole frames; phonemes have one at least.
        start: first frame of the first token.
    """

    tokens: Tensor
    durations: Tensor
    start: int = 0

    @property
    def stop(self) -> int:
        """The frame after the last."""
        return self.start + int(self.durations.sum())


def timed_text(said: Pronounced, times: Sequence[Sequence[Interval]], frames: int, frame_rate: float) -> TimedText:
    """The tokens of what a recording says, and how long each lasts.

    A silence belongs to the mark of punctuation or the boundary between the words around it. Transcripts may have no
    punctuation: a boundary with a silence is taken for a comma, with a long one for a full stop, and the last token is
    a full stop. The silence before the first word is left out, and of that after the last word most is.

    Args:
        said: the text; breaks of the markup in it have the silence that is there.
        times: of each phoneme of each word, in order.
        frames: of the recording.
        frame_rate: frames a second.
    """
    starts = [[round(one.start * frame_rate) for one in word] for word in times]
    tokens: list[int] = []
    durations: list[int] = []
    done = at = starts[0][0]
    word = -1
    for index, item in enumerate(said.items):
        if not isinstance(item, Word):
            continue
        word += 1
        if tokens:
            tokens.append(_between(said, index, (starts[word][0] - done) / frame_rate))
            durations.append(starts[word][0] - done)
        ends = [*starts[word][1:], round(times[word][-1].end * frame_rate)]
        tokens += inventory.numbers(item.phonemes)
        durations += [end - start for start, end in zip(starts[word], ends, strict=True)]
        done = ends[-1]
    last = said.items[-1]
    tokens.append(STOP if isinstance(last, Word) else inventory.NUMBER[last.mark])
    durations.append(min(frames - done, round(LAST_SECONDS * frame_rate)))
    return TimedText(torch.tensor(tokens), torch.tensor(durations), at)


def _between(said: Pronounced, index: int, silence: float) -> int:
    """The token before the word of that index: the mark that the text has, or what the silence (seconds) suggests."""
    before = said.items[index - 1]
    if not isinstance(before, Word):
        return inventory.NUMBER[before.mark]
    return STOP if silence >= STOP_SECONDS else COMMA if silence >= PAUSE_SECONDS else WORD


def cut(whole: TimedText, most: int) -> TimedText:
    """A stretch of at most so many frames, from one pause to another where there are such; drawn from torch's state.

    A text that is no longer is returned as it is. A stretch without a pause ends, or begins, between two words.
    """
    if int(whole.durations.sum()) <= most:
        return whole
    ends = whole.durations.cumsum(0)
    pauses = (torch.isin(whole.tokens, MARKS) & (whole.durations > 0)).nonzero()[:, 0]
    words = (whole.tokens == WORD).nonzero()[:, 0]
    starts = torch.cat([torch.tensor([-1]), pauses[:-1] if len(pauses) > 1 else words])
    # Not so late that hardly anything is left.
    left = ends[-1] - torch.where(starts < 0, 0, ends[starts])
    starts = starts[left >= min(most // 2, int(left.max()))]
    first = int(starts[torch.randint(len(starts), ())]) + 1
    before = int(ends[first - 1]) if first else 0
    last = _last(ends - before, first, most, pauses)
    if last is None:
        last = _last(ends - before, first, most, words)
    if last is None:  # a single word that is too long
        last = len(ends) - 1
    tokens = whole.tokens[first : last + 1]
    durations = whole.durations[first : last + 1]
    if tokens[-1] == WORD:
        tokens, durations = tokens[:-1], durations[:-1]
    return TimedText(tokens, durations, whole.start + before)


def _last(ends: Tensor, first: int, most: int, places: Tensor) -> int | None:
    fitting = places[(places > first) & (ends[places] <= most)]
    return int(fitting[-1]) if len(fitting) else None


def with_breaks(text: TimedText) -> TimedText:
    """With some pauses, drawn from torch's state, as breaks of the markup: a break is a silence of given length."""
    pauses = torch.isin(text.tokens, MARKS) & (text.durations > 0)
    pauses[-1] = False  # a text may end with one, but there a full stop says more
    drawn = pauses & (torch.rand(len(text.tokens)) < BREAK_SHARE)
    return TimedText(torch.where(drawn, BREAK, text.tokens), text.durations, text.start)
