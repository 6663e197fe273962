"""What a loader hands to a module."""

from dataclasses import dataclass

from torch import Tensor


@dataclass
class Batch:
    """Crops of recordings, each with another crop of the same speaker as its reference.

    Args:
        audio: (B, (T + 2 * margin) * hop) in [-1, 1]; the margins are the recording itself, mirrored at its ends.
        lengths: (B,) frames that are real, without the margins.
        reference: (B, R * hop) a crop apart from ``audio`` where the recording is long enough, or of another one; R is
            0 where the voice listens to no reference.
        reference_lengths: (B,) frames of it that are real.
        names: of the utterances (speaker/recording), with the second at which the crop begins.
        margin: frames on either side of each crop.
        bandwidth: (B,) Hz above which the recordings have nothing; None where that is not known.
        features: (B, F, T) stored features of the crops in the extractor's units; None to compute them.
    """

    audio: Tensor
    lengths: Tensor
    reference: Tensor
    reference_lengths: Tensor
    names: list[str]
    margin: int
    bandwidth: Tensor | None = None
    features: Tensor | None = None

    def head(self, count: int) -> "Batch":
        """The first crops alone."""
        return Batch(
            self.audio[:count],
            self.lengths[:count],
            self.reference[:count],
            self.reference_lengths[:count],
            self.names[:count],
            self.margin,
            None if self.bandwidth is None else self.bandwidth[:count],
            None if self.features is None else self.features[:count],
        )
