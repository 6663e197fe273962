"""A text encoder that needs no training, for tests of what uses one."""

import torch
from torch import Tensor, nn

from lightning_voiceclone.core.conditions import Script, SpeakerPrompt
from lightning_voiceclone.core.durations import by_frame, whole_frames
from lightning_voiceclone.core.interfaces import TextEncoder
from lightning_voiceclone.core.masking import keep, reach_mask
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.text import inventory

VOWELS = [number for number, token in enumerate(inventory.TOKENS) if token[:2] in inventory.VOWELS]


class TableTextEncoder(TextEncoder):
    """The content of a token is that of a table; vowels last twice as long as others, and are voiced at 120 Hz.

    Its loss compares means over frames.

    Args:
        dims: widths of the content.
        vocabulary: number of tokens.
        frames: of a token that is no vowel.
    """

    def __init__(self, dims: Dims, *, vocabulary: int = len(inventory.TOKENS), frames: float = 5.0):
        super().__init__()
        self.channels, self.frame_rate, self.frames = dims.content, dims.frame_rate, frames
        self.table = nn.Embedding(vocabulary, dims.content)

    def durations(self, tokens: Tensor, lengths: Tensor, prompt: SpeakerPrompt | None = None) -> Tensor:
        """``frames`` a token, twice as many a vowel."""
        return self.frames * (1 + self._vowels(tokens)) * reach_mask(lengths, tokens.shape[1])[:, 0]

    def forward(
        self, tokens: Tensor, lengths: Tensor, prompt: SpeakerPrompt | None = None, *, speed: float = 1.0,
        durations: Tensor | None = None,
    ) -> Script:  # fmt: skip
        """Each token's values in all of its frames."""
        frames = whole_frames(self.durations(tokens, lengths) / speed) if durations is None else durations
        content = by_frame(self.table(tokens).transpose(1, 2), frames)
        voicing = by_frame(self._vowels(tokens).to(content.dtype), frames)
        mean = voicing.sum(1, keepdim=True) / frames.sum(1, keepdim=True)
        energy = keep((voicing - mean)[:, None], reach_mask(frames.sum(1), voicing.shape[1]))[:, 0]
        return Script(frames.sum(1), content, f0=120 * voicing, voicing=voicing, energy=energy,
                      register=torch.full((len(tokens),), 120.0))  # fmt: skip

    def losses(
        self, tokens: Tensor, lengths: Tensor, target: Script, durations: Tensor | None = None
    ) -> dict[str, Tensor]:
        """Squared distance of the mean content from the recording's."""
        ours, theirs = _mean(self.table(tokens).transpose(1, 2), lengths), _mean(target.content, target.lengths)
        return {"mean": (ours - theirs).square().sum(1)}

    @staticmethod
    def _vowels(tokens: Tensor) -> Tensor:
        return torch.isin(tokens, torch.tensor(VOWELS, device=tokens.device)).long()


def _mean(x: Tensor, lengths: Tensor) -> Tensor:
    return keep(x, reach_mask(lengths, x.shape[-1])).sum(-1) / lengths[:, None]
