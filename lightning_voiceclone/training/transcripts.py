"""Learning words: a head that spells the transcript from content frames, by CTC."""

import itertools
import unicodedata
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.losses.rows import RowLoss

SYMBOLS = " 'abcdefghijklmnopqrstuvwxyz"  # 0 is CTC's blank, symbol i is i + 1
KERNEL = 5


def spelled(text: str) -> list[int]:
    """Indices of a transcript's characters, without accents; empty where a letter or digit cannot be spelled."""
    plain = unicodedata.normalize("NFKD", text.lower()).replace("\u2019", "'")
    kept = [c if c in SYMBOLS else " " for c in plain if not unicodedata.combining(c)]
    if any(c.isalnum() and c not in SYMBOLS for c in plain):
        return []
    return [SYMBOLS.index(c) + 1 for c in " ".join("".join(kept).split())]


class TranscriptHead(nn.Module):
    """Three residual convolutions over content, and the loss of connectionist temporal classification.

    CTC (Graves et al. 2006) needs no times of the letters, only the transcript of the whole recording. The head is
    used in training alone.

    Args:
        channels: of the content.
        width: channels inside.
    """

    def __init__(self, channels: int, width: int = 192):
        super().__init__()
        self.enter = nn.Linear(channels, width)
        self.layers = nn.ModuleList(nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2) for _ in range(3))
        self.leave = nn.Linear(width, len(SYMBOLS) + 1)

    def forward(self, content: Tensor) -> Tensor:
        """Logarithms of the symbols' probabilities (B, T, 29) of content (B, C, T)."""
        x = self.enter(content.transpose(1, 2)).transpose(1, 2)
        for layer in self.layers:
            x = x + F.dropout(F.relu(layer(x)), 0.1, self.training)
        return self.leave(x.transpose(1, 2)).log_softmax(2)

    def loss(self, content: Tensor, lengths: Tensor, texts: Sequence[str]) -> RowLoss | None:
        """Mean negative log-likelihood of a character, in nats, of the rows that have a transcript that fits.

        Args:
            content: (B, C, T).
            lengths: (B,) steps that are real.
            texts: transcript of each row; empty for none.

        Returns:
            A value a row, weighted by its characters; None where no row has a transcript.
        """
        targets = [spelled(text) for text in texts]
        rows = [row for row, symbols in enumerate(targets) if symbols and _fits(symbols, int(lengths[row]))]
        if not rows:
            return None
        sizes = torch.tensor([len(targets[row]) for row in rows])
        wanted = torch.tensor([symbol for row in rows for symbol in targets[row]])
        spoken = self(content[rows]).float().transpose(0, 1)
        nats = F.ctc_loss(spoken, wanted.to(content.device), lengths[rows].long().cpu(), sizes, reduction="none")
        count = sizes.to(nats)
        values, weights = (x.new_zeros(len(texts)).index_put((torch.tensor(rows, device=x.device),), x)
                           for x in (nats / count, count))  # fmt: skip
        return RowLoss(values, weights)


def _fits(symbols: list[int], steps: int) -> bool:
    """Whether CTC can output the symbols in so many steps: a repeated one needs a blank between."""
    return steps >= len(symbols) + sum(a == b for a, b in itertools.pairwise(symbols))
