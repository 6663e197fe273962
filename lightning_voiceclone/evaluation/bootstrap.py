"""Intervals of figures over pairs, in which one speaker stands in many pairs."""

from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from lightning_voiceclone.errors import ConfigurationError

Floats = NDArray[np.float64]
CHUNK = 1 << 20  # weights that are in memory at once


class ClusterBootstrap:
    """Draws source speakers and, apart from them, target speakers with replacement; a case counts as often as both.

    The pigeonhole bootstrap (Owen, The pigeonhole bootstrap, Annals of Applied Statistics 2007): pairs of one speaker
    are not independent, and an interval over cases alone would be too narrow. It errs on the wide side. The same seed
    gives the same draws.

    Args:
        sources: the source speaker of each case.
        targets: the target speaker of each case.
        draws: how many.
        seed: of the draws.

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
        """(some draws, cases) at a time."""
        random = np.random.default_rng(self.seed)
        left, size = self.draws, max(1, CHUNK // max(self.cases, 1))
        while left > 0:
            count = min(size, left)
            product = np.ones((count, self.cases))
            for side, clusters in zip(self._sides, self.clusters, strict=True):
                if clusters > 1:  # of a single speaker there is nothing to draw
                    product *= random.multinomial(clusters, np.full(clusters, 1 / clusters), count)[:, side]
            yield product
            left -= count

    def interval(
        self, figure: Callable[[Floats], Floats], *, known: NDArray[np.bool_] | None = None, level: float = 0.95
    ) -> tuple[float, float] | None:
        """Percentiles of a figure; None where its cases have one speaker on either side only.

        Draws that leave no case to compute the figure from are passed over.

        Args:
            figure: from weights (D, cases that are known) to (D,).
            known: (cases,) those that have the figure; None for all.
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
