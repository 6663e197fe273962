"""Features taken for content as they are."""

from torch import Tensor

from lightning_voiceclone.core.interfaces import ContentEncoder
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.streaming import Context


class FeatureContentEncoder(ContentEncoder):
    """The features themselves, normalised: what a text encoder gives is then the vocoder's input, as in Tacotron.

    It keeps the speaker's voice, so that a model with it speaks texts, and cannot convert recordings.

    Args:
        dims: widths; C is ``dims.features``.
    """

    capabilities = frozenset({"deterministic", "differentiable", "exportable", "streamable"})
    context = Context(0, 0)

    def __init__(self, dims: Dims):
        super().__init__()
        self.channels, self.frame_rate = dims.features, dims.frame_rate

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """x (B, F, T), as it is."""
        return x
