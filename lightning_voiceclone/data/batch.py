"""The batch that loaders yield."""

from dataclasses import dataclass, fields, replace

from torch import Tensor


@dataclass
class Batch:
    """Crops of recordings, each with another crop of the same speaker as its reference.

    Args:
        audio: (B, (T + 2 * margin) * hop) in [-1, 1]; the margins are the recording itself, mirrored at its ends.
        lengths: (B,) frames that are real, without the margins.
        reference: (B, R * hop) crop of another recording of the speaker, or of the same one, apart from ``audio`` where
            it is long enough; R is 0 for a model that uses no reference.
        reference_lengths: (B,) frames of it that are real.
        names: of the utterances (speaker/recording), with the second at which the crop begins.
        margin: frames on either side of each crop.
        bandwidth: (B,) frequency in Hz above which the recordings have no energy; None where unknown.
        reference_bandwidth: (B,) the same for the recordings of the references.
        parallel: (B, N) as ``audio``: the same words at the same times in another voice, or ``audio`` itself where
            there is no such recording; None where no recording has one.
        texts: transcripts; empty where unknown, and for crops that do not hold the whole recording. None for no crop.
        speakers: of the crops; None if that is not known.
        styles: how the crops are said, as a style encoder reads it; empty where unknown. None for no crop.
        features: (B, F, T) stored features of the crops in the extractor's units; None to compute them.
    """

    audio: Tensor
    lengths: Tensor
    reference: Tensor
    reference_lengths: Tensor
    names: list[str]
    margin: int
    bandwidth: Tensor | None = None
    reference_bandwidth: Tensor | None = None
    parallel: Tensor | None = None
    texts: list[str] | None = None
    speakers: list[str] | None = None
    styles: list[str] | None = None
    features: Tensor | None = None

    def head(self, count: int) -> "Batch":
        """Only the first crops."""
        values = {field.name: getattr(self, field.name) for field in fields(self) if field.name != "margin"}
        return replace(self, **{name: value[:count] for name, value in values.items() if value is not None})
