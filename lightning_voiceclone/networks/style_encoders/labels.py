"""Styles by name: a learned vector for each label."""

import torch
from torch import Tensor, nn

from lightning_voiceclone.core.interfaces import StyleEncoder
from lightning_voiceclone.core.validation import check_positive
from lightning_voiceclone.errors import ConfigurationError, nearest
from lightning_voiceclone.utils.reading import excerpt

EMOTIONS = ("neutral", "happy", "sad", "angry")


class StyleLabels(StyleEncoder):
    """A vector for each label, such as an emotion, which recordings have in the column ``style`` of their table.

    Args:
        labels: all that there are; null for neutral, happy, sad and angry.
        channels: S, numbers of the style vector.

    Raises:
        ConfigurationError: if there is no label, or one is empty or stands twice.
    """

    takes = "value"

    def __init__(self, *, labels: list[str] | None = None, channels: int = 64):
        super().__init__()
        name = type(self).__name__
        check_positive(name, channels=channels)
        self.labels = list(EMOTIONS) if labels is None else labels
        if not self.labels or not all(self.labels) or len(set(self.labels)) < len(self.labels):
            raise ConfigurationError(f"{name}: labels is {excerpt(self.labels, 80)}; name one or more, each once")
        self.channels = channels
        self.table = nn.Embedding(len(self.labels), channels)

    def read(self, value: str) -> Tensor:
        """The number () of a label.

        Raises:
            ConfigurationError: if there is no such label; lists those that there are.
        """
        if value not in self.labels:
            raise ConfigurationError(
                f"no style is called {excerpt(value, 60)!r}{nearest(value, self.labels)}; there are"
                f" {excerpt(', '.join(self.labels), 200)}"
            )
        return torch.tensor(self.labels.index(value))

    def forward(self, x: Tensor) -> Tensor:
        """Style vectors (B, S) of numbers (B,) of labels."""
        return self.table(x)
