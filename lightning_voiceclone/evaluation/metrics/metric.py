"""The contract of metrics of clones."""

from abc import abstractmethod
from typing import ClassVar

import numpy as np
import torch
import torchmetrics
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics.utilities import dim_zero_cat

from lightning_voiceclone.core.interfaces import MetricSource
from lightning_voiceclone.core.part import Part
from lightning_voiceclone.evaluation.case import Case

Floats = NDArray[np.float64]


class Metric(Part, torchmetrics.Metric):
    """A metric of one clone and of many: ``update(case)`` for each, ``compute() -> scalar`` for all of them.

    A subclass computes one case's score in :meth:`score`: a number, whose mean over cases is the metric; two numbers,
    whose sums' ratio is the metric (errors and words); or any others, with a :meth:`summarize` of its own. Intervals
    come from :meth:`summarize` with other weights, so it must depend on these numbers alone.

    A constructor's parameter called ``recognizer`` or ``speaker_encoder`` receives the evaluation's own.

    Class attributes: ``name``, the metric's name in reports and on the command line; ``unit``; ``higher_is_better``;
    ``best``, the value that nothing exceeds, or None; ``per_case``, whether a single case has a value;
    ``falls_back``, whether the clone is compared with the source where there is no parallel recording.
    """

    kind: ClassVar[str] = "metrics"
    name: ClassVar[str]
    unit: ClassVar[str]
    higher_is_better: bool
    best: ClassVar[float | None] = None
    per_case: ClassVar[bool] = True
    falls_back: ClassVar[bool] = False
    full_state_update = False
    scores: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("scores", [], dist_reduce_fx="cat")

    @property
    def source(self) -> MetricSource | None:
        """The model that measures; None for a formula. Reports add the package and version of a plugin."""
        return None

    @abstractmethod
    def score(self, case: Case) -> float | tuple[float, ...]:
        """The score of one case.

        Raises:
            UndefinedMeasureError: if the metric is undefined for such cases (no parallel recording, say).
            RecordingError: if something is wrong with this one.
        """

    def update(self, case: Case) -> None:
        """Add a case.

        Raises:
            UndefinedMeasureError: as :meth:`score`; the case is then left out.
            RecordingError: likewise.
        """
        self.scores.append(torch.tensor(np.atleast_2d(self.score(case)), dtype=torch.float64))

    def compute(self) -> Tensor:
        """The metric over all cases, a scalar; NaN if there were none."""
        if len(self.scores) == 0:
            return torch.tensor(torch.nan, dtype=torch.float64)
        scores = dim_zero_cat(self.scores).cpu().numpy()
        return torch.tensor(self.summarize(scores, np.ones((1, len(scores))))[0])

    @classmethod
    def summarize(cls, scores: Floats, weights: Floats) -> Floats:
        """Values (D,) from scores (n, 1 or more), once for each row of weights (D, n), which are not negative.

        NaN where a row's weights leave nothing to compute it from.
        """
        total = weights.sum(1) if scores.shape[1] == 1 else weights @ scores[:, 1]
        with np.errstate(invalid="ignore", divide="ignore"):
            return weights @ scores[:, 0] / np.where(total > 0, total, np.nan)
