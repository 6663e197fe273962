"""One clone and what it is compared with."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Case:
    """One clone and the recordings that it is measured against; all audio is mono, in [-1, 1], at one rate.

    Args:
        name: of the case, unique in the table of pairs.
        source: (N,) the recording with the words.
        reference: (M,) the recording with the voice.
        clone: (K,) the system's output for the two.
        sample_rate: of all of them, in Hz.
        transcript: words of the source; empty where unknown.
        parallel: (L,) the perfect clone, sample for sample: the source of a copy, or a recording of the reference's
            speaker with these words at this pace. None where there is none.
        genuine: (G,) another recording of the reference's speaker; None where there is none.
        source_speaker: the source's speaker; empty where unknown.
        target_speaker: the reference's speaker; empty where unknown.
    """

    name: str
    source: Tensor
    reference: Tensor
    clone: Tensor
    sample_rate: int
    transcript: str = ""
    parallel: Tensor | None = None
    genuine: Tensor | None = None
    source_speaker: str = ""
    target_speaker: str = ""

    @property
    def compared(self) -> Tensor:
        """The recording that the clone is compared with frame by frame: the parallel recording, or else the source."""
        return self.source if self.parallel is None else self.parallel
