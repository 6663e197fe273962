"""A metric of clones."""

from typing import ClassVar

from lightning_voiceclone.evaluation.case import Case
from lightning_voiceclone.evaluation.metrics.metric import Metric


class ExampleMetric(Metric):
    """Difference of the clone's level from the source's, in dB, without its sign."""

    name: ClassVar[str] = "example_level_difference"
    unit: ClassVar[str] = "dB"
    higher_is_better = False
    best: ClassVar[float | None] = 0.0

    def score(self, case: Case) -> float:
        """Difference of one case."""
        source, clone = (audio.square().mean().clamp_min(1e-10) for audio in (case.source, case.clone))
        return abs(10 * float((clone / source).log10()))
