"""One clone and what it is compared with."""

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Case:
    """One clone and what it is judged by; all audio is mono, in [-1, 1], at one rate.

    Args:
        name: of the case, one of its own in the table of pairs.
        source: (N,) whose words were to be said.
        reference: (M,) whose voice they were to be said in.
        clone: (K,) what the system made of the two.
        sample_rate: of all of them, in Hz.
        transcript: what the source says; empty where unknown.
        parallel: (L,) what a perfect clone would be, sample for sample: the source of a copy, or a recording of the
            reference's speaker saying these words at this pace. None where there is none.
        genuine: (G,) another recording of the reference's speaker; None where there is none.
        source_speaker: who speaks in the source; empty where unknown.
        target_speaker: who speaks in the reference; empty where unknown.
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
        """What the clone is laid beside, frame by frame: the parallel recording, or else the source."""
        return self.source if self.parallel is None else self.parallel
