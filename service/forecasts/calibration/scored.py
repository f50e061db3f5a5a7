"""Holds scored forecasts as columns, from which calibration learns."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
DayArray = NDArray[np.datetime64]


@dataclass(frozen=True, slots=True)
class ScoredForecasts:
    """Scored forecasts, `(n,)` each.

    Attributes:
        score: Id of the score.
        version: Id of the model version.
        edition: Number of the edition.
        revision: The forecast's revision.
        step: 1, 2, 3.
        symbol: Yahoo-style name.
        as_of: datetime64[D].
        target: datetime64[D].
        sigma: Daily volatility known at as_of.
        actual: Log return.
        raw: `(n, 7)` quantiles before calibration, log returns.
    """

    score: IntArray
    version: IntArray
    edition: IntArray
    revision: IntArray
    step: IntArray
    symbol: NDArray[np.str_]
    as_of: DayArray
    target: DayArray
    sigma: FloatArray
    actual: FloatArray
    raw: FloatArray

    def __len__(self) -> int:
        return len(self.score)

    def take(self, rows: IntArray) -> "ScoredForecasts":
        """Return some of the rows, by position."""
        return ScoredForecasts(
            self.score[rows], self.version[rows], self.edition[rows], self.revision[rows], self.step[rows],
            self.symbol[rows], self.as_of[rows], self.target[rows], self.sigma[rows], self.actual[rows], self.raw[rows],
        )  # fmt: skip

    def latest(self) -> "ScoredForecasts":
        """Return the last revision of each forecast, in the order of the scores.

        A forecast is a (version, symbol, as_of, step).
        """
        kept: dict[tuple[int, str, int, int], tuple[int, int]] = {}
        days = self.as_of.astype(np.int64).tolist()
        keys = zip(self.version.tolist(), self.symbol.tolist(), days, self.step.tolist(), strict=True)
        for row, (key, revision) in enumerate(zip(keys, self.revision.tolist(), strict=True)):
            if revision >= kept.get(key, (-1, 0))[0]:
                kept[key] = (revision, row)
        return self.take(np.array(sorted(row for _, row in kept.values()), np.int64))
