"""Confidence intervals over pairs, where one speaker occurs in many pairs."""

from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lightning_voiceclone.errors import ConfigurationError

Floats = NDArray[np.float64]
CHUNK = 1 << 20  # weights that are in memory at once


class ClusterBootstrap:
    """Draws source and target speakers independently, with replacement; a case's weight is the product of both counts.

    The pigeonhole bootstrap (Owen, The pigeonhole bootstrap, Annals of Applied Statistics 2007): pairs of one speaker
    are not independent, so an interval over cases alone would be too narrow. This one is rather too wide. The same seed
    gives the same draws.

    Args:
        sources: the source speaker of each case.
        targets: the target speaker of each case.
        draws: number of draws.
        seed: random seed of the draws.

    Raises:
        ConfigurationError: if there is nothing to draw, or the seed is negative.
    """

    def __init__(
        self, sources: Sequence[Hashable], targets: Sequence[Hashable], *, draws: int = 2000, seed: int = 0
    ) -> None:
        if draws < 1 or seed < 0:
            raise ConfigurationError(f"draws is {draws} and seed {seed}; draws must be at least 1, a seed at least 0")
        self._sides = [_numbered(sources), _numbered(targets)]
        self.cases, self.draws, self.seed = len(sources), draws, seed

    @property
    def clusters(self) -> tuple[int, int]:
        """Source speakers and target speakers."""
        return tuple(int(side.max(initial=-1)) + 1 for side in self._sides)  # type: ignore[return-value]

    def weights(self) -> Iterator[Floats]:
        """Weights (some draws, cases), a block at a time."""
        random = np.random.default_rng(self.seed)
        left, size = self.draws, max(1, CHUNK // max(self.cases, 1))
        while left > 0:
            count = min(size, left)
            product = np.ones((count, self.cases))
            for side, clusters in zip(self._sides, self.clusters, strict=True):
                if clusters > 1:  # a single speaker is always drawn
                    product *= random.multinomial(clusters, np.full(clusters, 1 / clusters), count)[:, side]
            yield product
            left -= count

    def interval(
        self, figure: Callable[[Floats], Floats], *, known: NDArray[np.bool_] | None = None, level: float = 0.95
    ) -> tuple[float, float] | None:
        """Percentiles of a metric's value; None where its cases have only one speaker on both sides.

        Draws that leave no case to compute the value from are ignored.

        Args:
            figure: from weights (D, known cases) to values (D,).
            known: (cases,) whether a case has a score; None for all.
            level: share of the draws between the two.
        """
        known = np.ones(self.cases, dtype=bool) if known is None else known
        if max(len(np.unique(side[known])) for side in self._sides) < 2:
            return None
        values = np.concatenate([figure(weights[:, known]) for weights in self.weights()])
        values = values[np.isfinite(values)]
        if not len(values):
            return None
        low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
        return float(low), float(high)


def _numbered(names: Sequence[Hashable]) -> NDArray[np.intp]:
    numbers = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return np.array([numbers[name] for name in names], dtype=np.intp)
