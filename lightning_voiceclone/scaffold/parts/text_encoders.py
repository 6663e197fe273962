"""A text encoder: tokens to the same script that a recording gives."""

import torch
from torch import Tensor, nn

from lightning_voiceclone.core.conditions import Script, SpeakerPrompt
from lightning_voiceclone.core.durations import by_frame, whole_frames
from lightning_voiceclone.core.interfaces import Dims, TextEncoder
from lightning_voiceclone.core.masking import keep, reach_mask


class ExampleTextEncoder(TextEncoder):
    """Content from a table, four frames a token, all voiced at 100 Hz; its loss compares means over frames."""

    def __init__(self, dims: Dims, *, vocabulary: int = 100):
        super().__init__()
        self.channels, self.frame_rate = dims.content, dims.frame_rate
        self.table = nn.Embedding(vocabulary, dims.content)

    def durations(self, tokens: Tensor, lengths: Tensor, prompt: SpeakerPrompt | None = None) -> Tensor:
        """Four frames a token."""
        return 4.0 * reach_mask(lengths, tokens.shape[1])[:, 0]

    def forward(self, tokens: Tensor, lengths: Tensor, prompt: SpeakerPrompt | None = None, *, speed: float = 1.0,
                durations: Tensor | None = None) -> Script:  # fmt: skip
        """Each token's values in all of its frames."""
        frames = whole_frames(self.durations(tokens, lengths) / speed) if durations is None else durations
        content = by_frame(self.table(tokens).transpose(1, 2), frames)
        voicing = reach_mask(frames.sum(1), content.shape[2])[:, 0].to(content.dtype)
        return Script(frames.sum(1), content, f0=100 * voicing, voicing=voicing, energy=torch.zeros_like(voicing),
                      register=torch.full((len(tokens),), 100.0))  # fmt: skip

    def losses(self, tokens: Tensor, lengths: Tensor, target: Script,
               durations: Tensor | None = None) -> dict[str, Tensor]:  # fmt: skip
        """Squared distance of the mean content from the recording's."""
        ours, theirs = _mean(self.table(tokens).transpose(1, 2), lengths), _mean(target.content, target.lengths)
        return {"mean": (ours - theirs).square().sum(1)}


def _mean(x: Tensor, lengths: Tensor) -> Tensor:
    return keep(x, reach_mask(lengths, x.shape[-1])).sum(-1) / lengths[:, None]
