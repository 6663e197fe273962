"""The vocoder for features that are samples already."""

from torch import Tensor

from lightning_voiceclone.core.interfaces import Vocoder
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.errors import SpecMismatchError


class Unframe(Vocoder):
    """Waveform features (B, hop, T) put together again: audio (B, T * hop), sample t * hop + k from channel k.

    The samples are not clipped, so that gradients flow; what writes a file clips them.

    Args:
        spec: of the features; of the kind waveform.

    Raises:
        SpecMismatchError: if the features are of another kind.
    """

    capabilities = frozenset({"differentiable", "deterministic", "streamable", "exportable"})
    context = Context(0, 0)

    def __init__(self, spec: AudioSpec):
        super().__init__()
        if spec.kind != "waveform":
            raise SpecMismatchError(
                f"Unframe understands waveform features, but these are of the kind {spec.kind!r}; use GriffinLim for"
                " mel, MFCC and STFT, or the feature extractor Waveform"
            )
        self.spec = spec

    def forward(self, features: Tensor) -> Tensor:
        """Audio (B, T * hop) of features (B, hop, T).

        Raises:
            SpecMismatchError: if there are not as many channels as a hop has samples.
            ConfigurationError: if there are no frames, or values that are not finite.
        """
        self.check(features)
        return features.transpose(1, 2).flatten(1)
