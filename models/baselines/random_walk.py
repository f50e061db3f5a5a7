"""The random walk with volatility scaling: the baseline with which every network is compared."""

from dataclasses import dataclass

import numpy as np

from models.baselines.base import baseline_config, no_sigma, sigma_rows
from models.config import MEMORY, QUANTILES, ModelConfig, Strategy
from models.errors import ArtifactError
from models.forecaster import ForecastBatch, SkippedSymbol
from models.preprocessing.features import ewma_sigma
from models.preprocessing.price_history import FloatArray, Panel, PriceHistory
from models.preprocessing.windows import MIN_BARS_TRAINING

NETWORK = "random_walk"
"""Name of the forecaster."""

MIN_RESIDUALS = 250
"""Pooled residuals of a step below which standard normal quantiles replace the measured ones."""

STANDARD_NORMAL = (-1.959964, -1.281552, -0.67449, 0.0, 0.67449, 1.281552, 1.959964)
"""Quantiles of the standard normal distribution at `config.QUANTILES`."""


@dataclass(frozen=True, slots=True)
class RandomWalk:
    """Per step, the pooled quantiles of `y / (sigma * sqrt(step))`, times `sigma * sqrt(step)`.

    Attributes:
        config: Its strategy gives the horizon; its forecaster is `random_walk`.
        quantiles: `(horizon, 7)` of the scaled residuals, ascending per step.
        residuals: Number of residuals per step; below `MIN_RESIDUALS` the quantiles are those of the standard normal
            distribution.
        fitted_until: UTC instant by which all residuals were final, seconds since 1970; None without any.
    """

    config: ModelConfig
    quantiles: tuple[tuple[float, ...], ...]
    residuals: tuple[int, ...]
    fitted_until: int | None

    def forecast(self, panel: Panel) -> ForecastBatch:
        """Forecast every symbol from its last session; holes before it are allowed.

        Args:
            panel: Price histories that end at as_of; references are not read.

        Returns:
            A forecast per symbol, or a skipped symbol where the bar of as_of is missing or bars are too few.
        """
        valid: list[tuple[PriceHistory, float]] = []
        skipped: list[SkippedSymbol] = []
        for history in panel.histories:
            close = history.close[-MEMORY:]
            sigma = float(ewma_sigma(close)[-1]) if len(close) else float("nan")
            if np.isnan(sigma):
                skipped.append(SkippedSymbol(history.symbol, no_sigma(history)))
            else:
                valid.append((history, sigma))
        sigmas = np.array([sigma for _, sigma in valid], dtype=np.float64)
        return ForecastBatch(
            symbols=tuple(history.symbol for history, _ in valid),
            quantiles=self.at(sigmas),
            sigma=sigmas,
            last_close=np.array([history.close[-1] for history, _ in valid], dtype=np.float64),
            degraded=((),) * len(valid),
            skipped=tuple(skipped),
        )

    def at(self, sigma: FloatArray) -> FloatArray:
        """Return the quantiles for many known volatilities, as an evaluation needs them.

        Args:
            sigma: `(n,)` EWMA daily volatility known at as_of.

        Returns:
            `(n, horizon, 7)` cumulative log returns, ascending along the last axis.
        """
        quantiles: FloatArray = sigma[:, None, None] * scale_of_steps(len(self.quantiles)) * np.asarray(self.quantiles)
        return quantiles

    def to_dict(self) -> dict[str, object]:
        """Return the JSON-serialisable form; floats survive the round trip exactly."""
        return {
            "config": self.config.to_dict(),
            "quantiles": [list(row) for row in self.quantiles],
            "residuals": list(self.residuals),
            "fitted_until": self.fitted_until,
        }

    @staticmethod
    def from_dict(data: dict[str, object]) -> "RandomWalk":
        """Build a random walk from the form of `to_dict`.

        Raises:
            ArtifactError: The form is not that of this version.
        """
        try:
            config = ModelConfig.from_dict(data["config"])  # type: ignore[arg-type]
            rows: list[list[float]] = data["quantiles"]  # type: ignore[assignment]
            residuals: list[int] = data["residuals"]  # type: ignore[assignment]
            until: int | None = data["fitted_until"]  # type: ignore[assignment]
        except (KeyError, TypeError, ValueError) as error:
            raise ArtifactError(f"the stored random walk cannot be read ({error!r}); fit it again") from error
        if len(rows) != config.horizon or any(len(row) != len(QUANTILES) for row in rows):
            raise ArtifactError(
                f"the stored random walk has {len(rows)} steps where {config.horizon} of {len(QUANTILES)} quantiles "
                "are needed; fit it again"
            )
        return RandomWalk(config, tuple(tuple(row) for row in rows), tuple(residuals), until)


def random_walk_config(strategy: Strategy) -> ModelConfig:
    """Return the config of the random walk for a strategy: no references, no network."""
    return baseline_config(NETWORK, strategy)


def fit_random_walk(panel: Panel, config: ModelConfig, cut_at: np.datetime64) -> RandomWalk:
    """Fit the quantiles to the pooled scaled residuals of all sessions with a bar and a sigma, per step.

    The fit never fails for lack of data: a young group is served with normal quantiles until it has
    `MIN_RESIDUALS` residuals.

    Args:
        panel: Price histories; may end after the cut. References are not read.
        config: Its strategy gives the horizon; see `random_walk_config`.
        cut_at: UTC instant, inclusive: only targets final by then count.
    """
    windows = sigma_rows(panel, config.horizon, MIN_BARS_TRAINING)
    known = windows.target_final_at <= cut_at
    quantiles, counts = [], []
    for step in range(config.horizon):
        residuals = windows.targets[known[:, step], step]
        enough = len(residuals) >= MIN_RESIDUALS
        measured = np.quantile(residuals, QUANTILES) if enough else np.asarray(STANDARD_NORMAL)
        quantiles.append(tuple(measured.tolist()))
        counts.append(len(residuals))
    until = int(windows.target_final_at[known].max().astype(np.int64)) if known.any() else None
    return RandomWalk(config, tuple(quantiles), tuple(counts), until)


def scale_of_steps(horizon: int) -> FloatArray:
    """Return `(horizon, 1)` square roots of the steps 1..horizon."""
    roots: FloatArray = np.sqrt(np.arange(1, horizon + 1, dtype=np.float64))[:, None]
    return roots
