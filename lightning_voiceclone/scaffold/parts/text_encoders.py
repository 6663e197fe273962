"""A text encoder: tokens to the same script that a recording gives."""

import torch
from torch import Tensor, nn

from lightning_voiceclone.core.conditions import Script, SpeakerPrompt
from lightning_voiceclone.core.interfaces import Dims, TextEncoder
from lightning_voiceclone.core.masking import keep, reach_mask


class ExampleTextEncoder(TextEncoder):
    """The values of a table, four frames a token; its loss compares means over frames, so durations are not learned.

    Args:
        dims: widths of the content.
        vocabulary: number of tokens.
    """

    def __init__(self, dims: Dims, *, vocabulary: int = 100):
        super().__init__()
        self.channels, self.frame_rate = dims.content, dims.frame_rate
        self.table = nn.Embedding(vocabulary, dims.content + 3)  # content, ln(f0 / 100 Hz), voicing, energy

    def forward(
        self, tokens: Tensor, lengths: Tensor, prompt: SpeakerPrompt | None = None, *, speed: float = 1.0
    ) -> Script:
        """Four frames a token at speed 1."""
        frames = max(round(4 / speed), 1)
        values = self.table(tokens).transpose(1, 2).repeat_interleave(frames, 2)
        *_, f0, voicing, energy = values.unbind(1)
        return Script(frames * lengths, values[:, : self.channels], f0=100 * f0.exp(), voicing=voicing.sigmoid(),
                      energy=energy, register=torch.full((len(tokens),), 100.0))  # fmt: skip

    def losses(self, tokens: Tensor, lengths: Tensor, target: Script) -> dict[str, Tensor]:
        """Squared distance of the mean values from those of the recording."""
        assert target.f0 is not None
        assert target.voicing is not None
        assert target.energy is not None
        wanted = torch.stack([(target.f0.clamp_min(1) / 100).log(), target.voicing, target.energy], 1)
        theirs = _mean(torch.cat([target.content, wanted], 1), target.lengths)
        return {"mean": (_mean(self.table(tokens).transpose(1, 2), lengths) - theirs).square().sum(1)}


def _mean(x: Tensor, lengths: Tensor) -> Tensor:
    return keep(x, reach_mask(lengths, x.shape[-1])).sum(-1) / lengths[:, None]
